//! Bytes a second: of each transfer, and of all transfers of one client together, whatever their session.
//!
//! It limits only what comes through the gateway's own hands. Clients of IPv6 are told apart by their
//! networks of 64 bits: within one a host takes as many addresses as it likes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep_until;

use twoport_net::clock;
use twoport_proto::time::Time;

use crate::hole::lock;

/// The clients that have sessions. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates(Arc<Mutex<HashMap<IpAddr, Client>>>);

#[derive(Debug, Default)]
struct Client {
    sessions: usize,
    account: Arc<Mutex<Account>>,
}

/// What a client's transfers have had.
#[derive(Debug, Default)]
struct Account {
    /// How many run.
    running: usize,
    /// When the next bytes may go.
    next: Time,
}

impl Account {
    /// Puts so many bytes down. They are paid for at the time that is given back: those who share it
    /// wait for one another, and each has its turn.
    fn put(&mut self, now: Time, length: usize, rate: NonZeroU64) -> Time {
        // Time in which nothing came is not made up for.
        self.next = self.next.max(now).after(takes(length, rate));
        self.next
    }
}

fn takes(length: usize, rate: NonZeroU64) -> Duration {
    let nanoseconds = u128::try_from(length).unwrap_or(u128::MAX).saturating_mul(1_000_000_000);
    Duration::from_nanos(u64::try_from(nanoseconds / u128::from(rate.get())).unwrap_or(u64::MAX))
}

/// A session's part in what its client may have, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    rates: Rates,
    client: IpAddr,
    account: Arc<Mutex<Account>>,
    rate: NonZeroU64,
}

impl Rates {
    pub(crate) fn share(&self, client: IpAddr, rate: NonZeroU64) -> Share {
        let client = network(client);
        let mut clients = lock(&self.0);
        let known = clients.entry(client).or_default();
        known.sessions += 1;
        let account = Arc::clone(&known.account);
        drop(clients);
        Share { rates: self.clone(), client, account, rate }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut clients = lock(&self.rates.0);
        if let Some(known) = clients.get_mut(&self.client) {
            known.sessions = known.sessions.saturating_sub(1);
            if known.sessions == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

/// Who counts as one client.
fn network(client: IpAddr) -> IpAddr {
    /// The part of an address that is the host's own to choose.
    const HOST: u128 = u64::MAX as u128;
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !HOST).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// How fast a transfer may be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits<'a> {
    /// It alone, in either direction.
    pub(crate) each: Option<NonZeroU64>,
    /// With the others of its client, both directions together.
    pub(crate) share: Option<&'a Share>,
}

impl<'a> Limits<'a> {
    pub(crate) const fn are_none(&self) -> bool {
        self.each.is_none() && self.share.is_none()
    }

    /// Counts among the transfers of its client until it is dropped.
    pub(crate) fn begin(self) -> Running<'a> {
        if let Some(share) = self.share {
            lock(&share.account).running += 1;
        }
        Running(self.share)
    }

    /// How much goes at a time.
    fn chunk(&self, most: usize) -> usize {
        /// In a second: so that it flows, and that nobody waits long for a turn.
        const TIMES: usize = 10;
        let fits = |rate: NonZeroU64, among: usize| {
            let rate = usize::try_from(rate.get()).unwrap_or(usize::MAX);
            rate / TIMES / among.max(1)
        };
        let each = self.each.map_or(most, |rate| fits(rate, 1));
        let shared = self.share.map_or(most, |share| {
            let running = lock(&share.account).running;
            fits(share.rate, running)
        });
        each.min(shared).clamp(1, most)
    }
}

/// A transfer that runs.
#[derive(Debug)]
pub(crate) struct Running<'a>(Option<&'a Share>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(share) = self.0 {
            let mut account = lock(&share.account);
            account.running = account.running.saturating_sub(1);
        }
    }
}

/// Keeps one direction of a transfer to its limits.
#[derive(Debug)]
pub(crate) struct Pace<'a> {
    limits: Limits<'a>,
    own: Account,
}

impl<'a> Pace<'a> {
    pub(crate) fn new(limits: Limits<'a>) -> Self {
        Self { limits, own: Account::default() }
    }

    /// How much goes next, `most` at most.
    pub(crate) fn chunk(&self, most: usize) -> usize {
        if self.limits.are_none() { most } else { self.limits.chunk(most) }
    }

    /// Waits until what has gone is paid for.
    pub(crate) async fn keep(&mut self, length: usize) {
        let now = clock::now();
        let own = self.limits.each.map(|rate| self.own.put(now, length, rate));
        let shared =
            self.limits.share.map(|share| lock(&share.account).put(now, length, share.rate));
        if let Some(until) = own.max(shared) {
            sleep_until(clock::instant(until)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: NonZeroU64 = NonZeroU64::new(1000).unwrap();

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_is_an_address_of_ipv4_or_a_network_of_ipv6() {
        let rates = Rates::default();
        let same = |one: &str, other: &str| {
            let (one, other) = (rates.share(address(one), RATE), rates.share(address(other), RATE));
            Arc::ptr_eq(&one.account, &other.account)
        };
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
        assert!(lock(&rates.0).is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn transfers_share_a_rate_fairly_and_idle_time_is_not_made_up_for() {
        let rates = Rates::default();
        // Two sessions of one client.
        let shares = ["192.0.2.1", "192.0.2.1"].map(|it| rates.share(address(it), RATE));
        let limits = shares.each_ref().map(|share| Limits { each: None, share: Some(share) });
        assert_eq!(limits[0].chunk(65_536), 100, "a tenth of a second's");
        let running = limits.map(Limits::begin);
        assert_eq!(limits[0].chunk(65_536), 50, "of which there are two");
        // Each puts down what it may as soon as it may, for ten seconds.
        let mut due = [Time::ZERO; 2];
        let mut moved = [0_usize; 2];
        let end = Time::ZERO.after(Duration::from_secs(10));
        while let Some(turn) = (0..2).filter(|turn| due[*turn] < end).min_by_key(|turn| due[*turn])
        {
            let length = limits[turn].chunk(65_536);
            moved[turn] += length;
            due[turn] = lock(&shares[turn].account).put(due[turn], length, RATE);
        }
        assert!(moved[0].abs_diff(moved[1]) <= 50, "{moved:?}");
        assert!((10_000..=10_100).contains(&(moved[0] + moved[1])), "{moved:?}");
        drop(running);
        let later = end.after(Duration::from_secs(60));
        let paid = lock(&shares[0].account).put(later, 100, RATE);
        assert_eq!(paid, later.after(Duration::from_millis(100)));
    }

    #[test]
    fn the_smaller_limit_counts_and_something_always_goes() {
        let rates = Rates::default();
        let share = rates.share(address("192.0.2.1"), RATE);
        let chunk = |each, share| Limits { each: NonZeroU64::new(each), share }.chunk(65_536);
        assert_eq!(chunk(500, Some(&share)), 50);
        assert_eq!(chunk(5000, Some(&share)), 100);
        assert_eq!((chunk(1, None), chunk(u64::MAX, None)), (1, 65_536));
        assert_eq!(Pace::new(Limits::default()).chunk(65_536), 65_536);
    }
}
