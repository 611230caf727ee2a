//! What data connections have shown of the way in: from which networks passive ports are reached.
//!
//! It is heeded where `passive` is auto; what else is known of the outside is found in advance.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use twoport_net::clock;
use twoport_proto::time::Time;

/// How long evidence counts. Origin: who opens a port on a firewall tries again within the hour, and
/// one wasted connection an hour tells the server that nothing has changed.
const COUNTS: Duration = Duration::from_secs(3600);

/// For how many networks it is kept. Origin: 100 bytes each; a server has fewer networks of clients.
const MOST: usize = 10_000;

/// How soon a client that turned away from an offer may have wanted nothing of it. Origin: who dials
/// in vain takes longer.
pub(crate) const MOMENT: Duration = Duration::from_secs(1);

/// What is known of each network of clients.
#[derive(Debug, Default)]
pub(crate) struct Evidence(Mutex<HashMap<IpAddr, Seen>>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    reached: bool,
    at: Time,
}

impl Evidence {
    /// A client has reached a passive port, or has not. That a port was reached counts for more: a
    /// client may have many grounds not to come.
    pub(crate) fn note(&self, client: IpAddr, reached: bool) {
        let now = clock::now();
        // Nothing stands between a host and itself.
        let Some(network) = network(client) else { return };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = match seen.get(&network) {
            Some(known) if counts(known, now) => !known.reached,
            _ => true,
        };
        if !reached && !is_new {
            return;
        }
        if seen.len() >= MOST {
            seen.retain(|_, seen| counts(seen, now));
        }
        if seen.len() < MOST {
            let before = seen.insert(network, Seen { reached, at: now });
            if !reached && before.is_none_or(|before| before.reached) {
                tracing::warn!(target: "twoport", %client, "passive ports are not reached from the client's network: its data connections are taken at the control port from now on, passive = \"auto\"");
            }
        }
    }

    /// Whether the client's network reaches passive ports; none if nobody has tried.
    pub(crate) fn of(&self, client: IpAddr) -> Option<bool> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.get(&network(client)?)?;
        counts(known, clock::now()).then_some(known.reached)
    }
}

fn counts(seen: &Seen, now: Time) -> bool {
    now.since(seen.at) < COUNTS
}

/// What clients behind the same boxes have in common: /24, and /56 of IPv6 (RFC 6177 §2).
fn network(client: IpAddr) -> Option<IpAddr> {
    match client.to_canonical() {
        client if client.is_loopback() => None,
        IpAddr::V4(address) => Some(Ipv4Addr::from_bits(address.to_bits() & !0xff).into()),
        IpAddr::V6(address) => {
            Some(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 72)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_port_that_was_reached_counts_for_more() {
        let evidence = Evidence::default();
        let client = ip("203.0.113.7");
        assert_eq!(evidence.of(client), None);
        evidence.note(client, false);
        assert_eq!(evidence.of(client), Some(false));
        evidence.note(client, true);
        evidence.note(client, false);
        assert_eq!(evidence.of(client), Some(true));
    }

    #[test]
    fn it_counts_for_the_whole_network_and_no_other() {
        let evidence = Evidence::default();
        evidence.note(ip("203.0.113.7"), false);
        evidence.note(ip("2001:db8:1:10::1"), false);
        assert_eq!(evidence.of(ip("::ffff:203.0.113.200")), Some(false));
        assert_eq!(evidence.of(ip("203.0.114.7")), None);
        assert_eq!(evidence.of(ip("2001:db8:1:1f::2")), Some(false));
        assert_eq!(evidence.of(ip("2001:db8:2::1")), None);
    }

    #[test]
    fn a_host_has_no_network_to_itself() {
        let evidence = Evidence::default();
        evidence.note(ip("127.0.0.1"), false);
        assert_eq!(evidence.of(ip("127.0.0.1")), None);
    }
}
