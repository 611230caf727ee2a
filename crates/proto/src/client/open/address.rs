//! Which addresses a 227 or 229 makes worth dialling, and which it must not make us dial.
//!
//! It reads replies and compares addresses; it connects to nothing.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::addr::{find_227, find_229};
use crate::code::Code;
use crate::data::LOWEST_PORT;
use crate::reply::Reply;
use crate::scope::Scope;

/// What a reply announces.
pub(super) struct Candidates {
    /// To be dialled, the likeliest first.
    pub(super) dial: Vec<SocketAddr>,
    /// Announced, but never dialled.
    pub(super) refused: Option<SocketAddr>,
}

/// The addresses of a reply to EPSV or PASV. A 229 answered by a 227 is read as what it is, and so
/// is any 2yz that holds an address. The control connection's own peer comes first: it is right
/// behind most NATs, where the announced address is private, wrong, or 0.0.0.0.
pub(super) fn candidates(reply: &Reply, peer: SocketAddr) -> Option<Candidates> {
    let (port, announced) = announced(reply)?;
    let own = SocketAddr::new(peer.ip(), port);
    let mut found = Candidates { dial: vec![own], refused: None };
    if let Some(address) = announced {
        let other = SocketAddr::new(address, port);
        if address.is_unspecified() || address.to_canonical() == peer.ip().to_canonical() {
            return Some(found);
        }
        if may_dial(other, peer.ip().to_canonical()) {
            found.dial.push(other);
        } else {
            found.refused = Some(other);
        }
    }
    Some(found)
}

fn announced(reply: &Reply) -> Option<(u16, Option<IpAddr>)> {
    let extended = || {
        let mut lines = reply.lines();
        let found = lines.find_map(find_229)?.value;
        Some((found.port, found.address))
    };
    let classic = || {
        let mut lines = reply.lines();
        let found = lines.find_map(find_227)?.value;
        Some((found.port(), Some(IpAddr::V4(*found.ip()))))
    };
    let found = match reply.code {
        Code::PASSIVE => classic(),
        Code::EXTENDED_PASSIVE => extended(),
        _ => classic().or_else(extended),
    };
    found.filter(|(port, _)| *port != 0)
}

/// Whether an announced address other than the peer's may be dialled: never one that means another
/// host to us than to the server, which would let a server aim the client at its own network
/// (`CVE-2020-8284`), and no low port of a third host.
fn may_dial(to: SocketAddr, peer: IpAddr) -> bool {
    let ip = to.ip().to_canonical();
    let same_family = ip.is_ipv4() == peer.is_ipv4();
    let scope = Scope::of(ip);
    let reachable = match scope {
        Scope::Public => true,
        Scope::Loopback | Scope::Link => scope == Scope::of(peer),
        // Through a proxy the server may be known by its name alone.
        Scope::Private => !matches!(Scope::of(peer), Scope::Public | Scope::Nowhere),
        Scope::Nowhere => false,
    };
    same_family && reachable && to.port() >= LOWEST_PORT
}

/// Whether a server at `peer` can see a client that has this address.
pub(super) fn is_plausible(address: IpAddr, peer: IpAddr) -> bool {
    let same_family = address.is_ipv4() == peer.is_ipv4();
    same_family
        && match Scope::of(address) {
            Scope::Public => true,
            other => other != Scope::Nowhere && Scope::of(peer) == other,
        }
}

/// Whether an address means nothing at `peer`: it is of a private network, the other end is not.
pub(super) fn is_hidden_from(address: IpAddr, peer: IpAddr) -> bool {
    Scope::of(peer) == Scope::Public && Scope::of(address) != Scope::Public
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announced_address_is_never_a_way_into_our_own_network() {
        for (to, peer, allowed) in [
            ("8.8.8.8:50000", "9.9.9.9", true),
            ("8.8.8.8:22", "9.9.9.9", false),
            ("10.0.0.1:50000", "9.9.9.9", false),
            ("100.64.0.1:50000", "9.9.9.9", false),
            ("172.31.0.1:50000", "9.9.9.9", false),
            ("127.0.0.1:50000", "9.9.9.9", false),
            ("169.254.169.254:50000", "9.9.9.9", false),
            ("224.0.0.1:50000", "9.9.9.9", false),
            ("255.255.255.255:50000", "9.9.9.9", false),
            ("10.0.0.1:50000", "10.0.0.2", true),
            ("127.0.0.1:50000", "10.0.0.2", false),
            ("169.254.169.254:50000", "10.0.0.2", false),
            ("127.0.0.2:50000", "127.0.0.1", true),
            ("8.8.8.8:50000", "10.0.0.2", true),
            ("10.0.0.1:50000", "2001:db8::1", false),
            ("[fd00::1]:50000", "2600::1", false),
            ("[fe80::1]:50000", "2600::1", false),
            ("[::1]:50000", "2600::1", false),
            ("[2600::2]:50000", "2600::1", true),
            ("10.0.0.1:50000", "0.0.0.0", false),
            ("8.8.8.8:50000", "0.0.0.0", true),
        ] {
            assert_eq!(
                may_dial(to.parse().unwrap(), peer.parse().unwrap()),
                allowed,
                "{to} {peer}"
            );
        }
    }
}
