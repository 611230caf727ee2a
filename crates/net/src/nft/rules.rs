//! The table of a [`Gate`](super::Gate) in the kernel's words: two sets, one chain, and the rules
//! that close a range of ports but for the pairs in the sets.
//!
//! It sends nothing.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::message::{Attributes, Verb};
use super::words::{
    FIRST, FIRST_OF_FOUR, Header, equal, expression, meta, payload, value, verdict,
};

/// The chain at the hook `input`.
const CHAIN: &str = "input";

/// A set of (address, port).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(super) const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    const fn set(self) -> &'static str {
        match self {
            Self::V4 => "open4",
            Self::V6 => "open6",
        }
    }

    /// What `nft` shows the keys as: ipv4_addr is 7, ipv6_addr 8, inet_service 13.
    const fn key_type(self) -> u32 {
        match self {
            Self::V4 => (7 << 6) | 13,
            Self::V6 => (8 << 6) | 13,
        }
    }

    /// Address and port, each padded to four bytes.
    const fn key_length(self) -> u32 {
        match self {
            Self::V4 => 8,
            Self::V6 => 20,
        }
    }

    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub(super) const fn protocol(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// The table with its sets and its chain. It is owned: gone when our socket closes, whatever closes
/// it, and closed to other processes.
pub(super) fn table(name: &str) -> Vec<(Verb, Attributes)> {
    const OWNER: u32 = 2;
    let mut batch = vec![(Verb::NewTable, Attributes::new().text(1, name).number(2, OWNER))];
    for (number, family) in (1..).zip(Family::BOTH) {
        batch.push((Verb::NewSet, set(name, family, number)));
    }
    // Hook 1 is `input`, priority 0 `filter`, policy 1 `accept`.
    let hook = Attributes::new().number(1, 1).number(2, 0);
    let chain = Attributes::new().text(1, name).text(3, CHAIN);
    let chain = chain.nest(4, &hook).number(5, 1).text(7, "filter");
    batch.push((Verb::NewChain, chain));
    batch
}

fn set(table: &str, family: Family, number: u32) -> Attributes {
    const TIMEOUT: u32 = 0x10;
    Attributes::new()
        .text(1, table)
        .text(2, family.set())
        .number(3, TIMEOUT)
        .number(4, family.key_type())
        .number(5, family.key_length())
        .number(10, number)
}

/// New connections to a port of the range pass if their pair is in a set, and else are dropped.
/// What is established is not touched.
pub(super) fn close(table: &str, range: &RangeInclusive<u16>) -> Vec<(Verb, Attributes)> {
    let accept = |family| rule(table, [is_of(family), is_new(range), is_open(family), verdict(1)]);
    let drop = rule(table, [Vec::new(), is_new(range), Vec::new(), verdict(0)]);
    [accept(Family::V4), accept(Family::V6), drop].map(|rule| (Verb::NewRule, rule)).into()
}

/// Opens a pair for a while.
pub(super) fn open(
    table: &str,
    (peer, port): (IpAddr, u16),
    lifetime: Duration,
) -> (Verb, Attributes) {
    let timeout = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    (Verb::NewElement, element(table, (peer, port), |element| element.long(4, timeout)))
}

/// Ends it.
pub(super) fn shut(table: &str, pair: (IpAddr, u16)) -> (Verb, Attributes) {
    (Verb::DeleteElement, element(table, pair, |element| element))
}

fn element(
    table: &str,
    (peer, port): (IpAddr, u16),
    more: impl Fn(Attributes) -> Attributes,
) -> Attributes {
    let address = match peer {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let key = [&address[..], &port.to_be_bytes(), &[0, 0]].concat();
    let element = more(Attributes::new().nest(1, &Attributes::new().bytes(1, &key)));
    let set = Family::of(peer).set();
    Attributes::new().text(1, table).text(2, set).nest(3, &Attributes::new().nest(1, &element))
}

fn rule(table: &str, parts: [Vec<Attributes>; 4]) -> Attributes {
    let expressions = parts
        .into_iter()
        .flatten()
        .fold(Attributes::new(), |all, expression| all.nest(1, &expression));
    Attributes::new().text(1, table).text(2, CHAIN).nest(4, &expressions)
}

/// `meta nfproto ipv4`.
fn is_of(family: Family) -> Vec<Attributes> {
    const NFPROTO: u32 = 15;
    vec![meta(NFPROTO), equal(&[family.protocol()])]
}

/// `meta l4proto tcp tcp dport LO-HI tcp flags & (fin|syn|rst|ack) == syn`.
fn is_new(range: &RangeInclusive<u16>) -> Vec<Attributes> {
    const L4PROTO: u32 = 16;
    let ports = Attributes::new().number(1, FIRST).number(2, 0);
    let ports = ports.nest(3, &value(&range.start().to_be_bytes()));
    let ports = ports.nest(4, &value(&range.end().to_be_bytes()));
    let flags = Attributes::new().number(1, FIRST).number(2, FIRST).number(3, 1);
    let flags = flags.nest(4, &value(&[0x17])).nest(5, &value(&[0]));
    vec![
        meta(L4PROTO),
        equal(&[6]),
        payload(Header::Transport, 2, 2, FIRST),
        expression("range", &ports),
        payload(Header::Transport, 13, 1, FIRST),
        expression("bitwise", &flags),
        equal(&[0x02]),
    ]
}

/// `ip saddr . tcp dport @open4`.
fn is_open(family: Family) -> Vec<Attributes> {
    let (offset, length) = match family {
        Family::V4 => (12, 4),
        Family::V6 => (8, 16),
    };
    let behind = FIRST_OF_FOUR + length / 4;
    let lookup = Attributes::new().text(1, family.set()).number(2, FIRST);
    vec![
        payload(Header::Network, offset, length, FIRST),
        payload(Header::Transport, 2, 2, behind),
        expression("lookup", &lookup),
    ]
}
