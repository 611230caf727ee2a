//! Ports of inner hosts, as they ask for them: connections to an outer address go to an inner one, if they
//! come from those who may, and those of an inner one to a peer leave by an outer port.
//!
//! It sends nothing. IPv4 only: nothing else is translated.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use twoport_proto::pcp::filter::Filter;

use super::message::{Attributes, Verb};
use super::routing::{at, chain, octets, of, padded, port, rule, tcp, translation};
use super::rules::Family;
use super::words::{FIRST, FIRST_OF_FOUR, Header, expression, payload};

/// Before the host's own masquerading (100), which would choose the port.
pub(super) const FIRST_OUT: i32 = 90;

const IPV4: u32 = 7;
const SERVICE: u32 = 13;

const FLAG_INTERVAL: u32 = 0x04;
const FLAG_MAP: u32 = 0x08;
const FLAG_TIMEOUT: u32 = 0x10;
const FLAG_CONCAT: u32 = 0x80;

/// Who may come to where, and where that is inside.
const FORWARD: &str = "forward4";

/// Whose way to whom leaves by which port.
const PEER: &str = "peer4";

/// Behind a key of 16 bytes.
const RESULT: u32 = FIRST_OF_FOUR + 4;

/// The way of an inner port to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// The port inside.
    pub internal: SocketAddr,
    /// To whom.
    pub peer: SocketAddr,
    /// How the peer sees it.
    pub external: SocketAddr,
}

/// The maps; they are numbered from `first` on.
pub(super) fn sets(table: &str, first: u32) -> [(Verb, Attributes); 2] {
    let ends = (((((IPV4 << 6) | SERVICE) << 6) | IPV4) << 6) | SERVICE;
    let map = |name: &str, flags: u32, number: u32| {
        let set = Attributes::new().text(1, table).text(2, name);
        let set = set.number(3, FLAG_MAP | FLAG_TIMEOUT | flags).number(4, ends).number(5, 16);
        set.number(6, (IPV4 << 6) | SERVICE).number(7, 8).number(10, number)
    };
    let field =
        |fields: Attributes, length: u32| fields.nest(1, &Attributes::new().number(1, length));
    let fields = [4, 2, 4, 2].into_iter().fold(Attributes::new(), field);
    let forward = map(FORWARD, FLAG_INTERVAL | FLAG_CONCAT, first);
    let forward = forward.nest(9, &Attributes::new().nest(2, &fields));
    [(Verb::NewSet, forward), (Verb::NewSet, map(PEER, 0, first + 1))]
}

/// `dnat ip to ip saddr . tcp sport . ip daddr . tcp dport map @forward4`, and the same with `snat` and
/// the other map, in a chain of its own.
pub(super) fn rules(table: &str) -> [(Verb, Attributes); 3] {
    let ends = |map: &str, kind: u32| {
        let mut parts: Vec<Attributes> = of(Family::V4).into_iter().chain(tcp()).collect();
        let lookup = Attributes::new().text(1, map).number(2, FIRST).number(3, RESULT);
        parts.extend([
            payload(Header::Network, 12, 4, FIRST),
            port(0, FIRST_OF_FOUR + 1),
            payload(Header::Network, 16, 4, FIRST_OF_FOUR + 2),
            port(2, FIRST_OF_FOUR + 3),
            expression("lookup", &lookup),
            translation(Family::V4, kind, RESULT, Some(RESULT + 1)),
        ]);
        parts
    };
    [
        rule(table, "prerouting", &ends(FORWARD, 1)),
        chain(table, "outbound", "nat", (4, FIRST_OUT)),
        rule(table, "outbound", &ends(PEER, 0)),
    ]
}

fn ends(from: (IpAddr, u16), to: SocketAddr) -> Vec<u8> {
    [octets(from.0), padded(from.1).to_vec(), at(to)].concat()
}

fn message((table, set): (&str, &str), element: &Attributes) -> Attributes {
    Attributes::new().text(1, table).text(2, set).nest(3, &Attributes::new().nest(1, element))
}

fn value(bytes: &[u8]) -> Attributes {
    Attributes::new().bytes(1, bytes)
}

fn with(element: Attributes, to: SocketAddr, lifetime: Duration) -> Attributes {
    let milliseconds = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    element.nest(2, &value(&at(to))).long(4, milliseconds)
}

/// From the first to the last of those who may.
fn between(from: &Filter, external: SocketAddr) -> (Vec<u8>, Vec<u8>) {
    let (low, high) = match from.port() {
        0 => (0, u16::MAX),
        port => (port, port),
    };
    (ends((from.network(), low), external), ends((from.last(), high), external))
}

/// Connections of some to an outer address and port go to an inner one, for a while.
pub(super) fn send_on(
    table: &str,
    (external, internal): (SocketAddr, SocketAddr),
    from: &Filter,
    lifetime: Duration,
) -> (Verb, Attributes) {
    let (first, last) = between(from, external);
    let element = with(Attributes::new().nest(1, &value(&first)), internal, lifetime);
    (Verb::NewElement, message((table, FORWARD), &element.nest(10, &value(&last))))
}

/// They do not any more.
pub(super) fn send_no_more(table: &str, external: SocketAddr, from: &Filter) -> (Verb, Attributes) {
    let (first, last) = between(from, external);
    let element = Attributes::new().nest(1, &value(&first)).nest(10, &value(&last));
    (Verb::DeleteElement, message((table, FORWARD), &element))
}

/// Nobody's, from now on.
pub(super) fn none(table: &str) -> [(Verb, Attributes); 2] {
    let all = |map: &str| Attributes::new().text(1, table).text(2, map);
    [FORWARD, PEER].map(|map| (Verb::DeleteElement, all(map)))
}

fn way(outbound: &Outbound) -> Attributes {
    let Outbound { internal, peer, .. } = outbound;
    Attributes::new().nest(1, &value(&ends((internal.ip(), internal.port()), *peer)))
}

/// Connections of an inner port to one peer leave by an outer one, for a while.
pub(super) fn leave(table: &str, outbound: &Outbound, lifetime: Duration) -> (Verb, Attributes) {
    let element = with(way(outbound), outbound.external, lifetime);
    (Verb::NewElement, message((table, PEER), &element))
}

/// They do not any more.
pub(super) fn leave_no_more(table: &str, outbound: &Outbound) -> (Verb, Attributes) {
    (Verb::DeleteElement, message((table, PEER), &way(outbound)))
}

/// The maps as `nft` writes them.
pub(super) const SETS: &str = "\tmap forward4 { type ipv4_addr . inet_service . ipv4_addr . inet_service : ipv4_addr . inet_service; flags interval,timeout; }\n\
     \tmap peer4 { type ipv4_addr . inet_service . ipv4_addr . inet_service : ipv4_addr . inet_service; flags timeout; }\n";

/// The rules.
pub(super) const IN: &str =
    "\t\tdnat ip to ip saddr . tcp sport . ip daddr . tcp dport map @forward4\n";
pub(super) const OUT: &str =
    "\t\tsnat ip to ip saddr . tcp sport . ip daddr . tcp dport map @peer4\n";
