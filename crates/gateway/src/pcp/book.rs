//! Which ports are given to whom: the book of mappings.
//!
//! It opens nothing, and reads no clock.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use twoport_net::data::ports::random_port;
use twoport_proto::data::LOWEST_PORT;
use twoport_proto::pcp::Nonce;
use twoport_proto::pcp::filter::{Change, Filter};
use twoport_proto::pcp::router::{Refusal, Wanted};
use twoport_proto::time::Time;

/// How long a mapping lasts, in seconds. Origin: RFC 6887 §15 has at least 120; what a host that has
/// gone leaves behind should not outlast a coffee break, and hosts renew at half of it.
const LIFETIMES: (u32, u32) = (120, 3600);

/// Of one host. Origin: a server's range in an inner network; it is twice what twoport's server asks for.
const PER_HOST: usize = 64;

/// Of all, each of those who may come counted. Origin: each holds two files for its expectation; a tenth
/// of what sessions may hold.
const ALL: usize = 1024;

/// Of those who may come through one mapping. Origin: FTP has one peer; a list is for firewalls.
const PEERS: usize = 8;

/// The port that is asked for to learn the outer address: no connection is sent there (RFC 6887 §11.6).
const DISCARD: u16 = 9;

/// What a mapping is of: a host's port, and for PEER the one to whom it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) internal: SocketAddr,
    pub(super) peer: Option<SocketAddr>,
}

/// What is given to whom.
#[derive(Debug, Default)]
pub(super) struct Book(pub(super) HashMap<Name, Mapping>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) external: SocketAddr,
    pub(super) nonce: Option<Nonce>,
    pub(super) until: Time,
    /// Whether connections are sent on: not for the port that stands for the question alone, nor where
    /// the gateway takes them itself.
    pub(super) is_open: bool,
    /// Who may come; anybody, if nobody is named.
    pub(super) from: Vec<Filter>,
}

/// The way to a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// The address outside: its own, where nothing is translated.
    pub(super) outer: IpAddr,
    /// Whether connections to this port of this host are taken by the gateway anyhow.
    pub(super) is_taken: bool,
    /// How the peer of PEER sees it already.
    pub(super) seen: Option<SocketAddr>,
}

impl Book {
    /// Decides about a wish; `is_free` tells whether nobody else has a port outside.
    pub(super) fn map(
        &mut self,
        now: Time,
        name: Name,
        wanted: Wanted,
        changes: &[Change],
        Way { outer, is_taken, seen }: Way,
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Result<Mapping, Refusal> {
        let host = name.internal.ip();
        let is_open = !is_taken && wanted.internal != DISCARD;
        if wanted.internal < LOWEST_PORT && is_open {
            return Err(Refusal::NotAuthorised);
        }
        let known = self.0.get(&name);
        // Who does not know its name cannot change it (RFC 6887 §11.3).
        if known.is_some_and(|known| known.nonce != wanted.nonce) {
            return Err(Refusal::NotAuthorised);
        }
        let mut from = known.map(|known| known.from.clone()).unwrap_or_default();
        change(&mut from, changes)?;
        if let Some(peer) = name.peer {
            from = vec![Filter::host(peer.ip()).at(peer.port())];
        }
        let lifetime = wanted.lifetime.clamp(LIFETIMES.0, LIFETIMES.1);
        let until = now.after(Duration::from_secs(lifetime.into()));
        let mapping = match known {
            Some(known) => Mapping { until, from, ..known.clone() },
            None => {
                let of_host = self.0.keys().filter(|other| other.internal.ip() == host).count();
                let weight = |mapping: &Mapping| mapping.from.len().max(1);
                if self.0.values().map(weight).sum::<usize>() >= ALL || of_host >= PER_HOST {
                    return Err(Refusal::OverQuota);
                }
                let external = match self.standing(name, seen) {
                    Some(standing) => standing,
                    None => {
                        let taken: Vec<SocketAddr> =
                            self.0.values().map(|mapping| mapping.external).collect();
                        let mut may = |port: u16| {
                            port >= LOWEST_PORT
                                && !taken.contains(&SocketAddr::new(outer, port))
                                && is_free(port)
                        };
                        let port = if is_taken || outer == host {
                            Some(wanted.internal)
                                .filter(|port| !wanted.no_other || *port == wanted.external)
                        } else {
                            choose(&wanted, &mut may)
                        };
                        SocketAddr::new(outer, port.ok_or(Refusal::ExternalTaken)?)
                    }
                };
                Mapping { external, nonce: wanted.nonce, until, is_open, from }
            }
        };
        self.0.insert(name, mapping.clone());
        Ok(mapping)
    }

    /// Where the way to a peer leads already: by its connection, by the port that is mapped for all
    /// (RFC 6887 §12.3), or by that of the same port to another.
    fn standing(&self, name: Name, seen: Option<SocketAddr>) -> Option<SocketAddr> {
        name.peer?;
        let of_another = || {
            let mut others = self.0.iter();
            others.find(|(other, _)| other.internal == name.internal).map(|(_, it)| it.external)
        };
        seen.or_else(|| self.for_all(name.internal)).or_else(of_another)
    }

    /// What is mapped of a host's port by MAP.
    pub(super) fn for_all(&self, internal: SocketAddr) -> Option<SocketAddr> {
        let known = self.0.get(&Name { internal, peer: None })?;
        known.is_open.then_some(known.external)
    }

    /// The ways to peers that lead where a mapping for all leads.
    pub(super) fn ways(&self, name: &Name, external: SocketAddr) -> Vec<(Name, Mapping)> {
        let is_way = |(other, mapping): &(&Name, &Mapping)| {
            name.peer.is_none()
                && other.peer.is_some()
                && other.internal == name.internal
                && mapping.external == external
        };
        let ways = self.0.iter().filter(is_way);
        ways.map(|(name, mapping)| (*name, mapping.clone())).collect()
    }

    /// Ends a mapping, or in NAT-PMP all of a host (RFC 6886 §3.4).
    pub(super) fn end(
        &mut self,
        name: Name,
        wanted: Wanted,
    ) -> Result<Vec<(Name, Mapping)>, Refusal> {
        let is_all = wanted.internal == 0;
        let is_meant = |other: &Name| {
            other.peer == name.peer
                && other.internal.ip() == name.internal.ip()
                && (other.internal.port() == wanted.internal || is_all)
        };
        let meant = || self.0.iter().filter(|(name, _)| is_meant(name));
        if meant().any(|(_, mapping)| mapping.nonce != wanted.nonce) && !is_all {
            return Err(Refusal::NotAuthorised);
        }
        let ended = meant().filter(|(_, mapping)| mapping.nonce == wanted.nonce);
        let ended: Vec<_> = ended.map(|(name, mapping)| (*name, mapping.clone())).collect();
        self.0.retain(|name, _| !ended.iter().any(|(other, _)| other == name));
        Ok(ended)
    }

    /// Takes out those whose time is over.
    pub(super) fn expire(&mut self, now: Time) -> Vec<(Name, Mapping)> {
        self.0.extract_if(|_, mapping| mapping.until <= now).collect()
    }
}

/// Those who may come, after what FILTER says, in its order (RFC 6887 §13.3).
fn change(from: &mut Vec<Filter>, changes: &[Change]) -> Result<(), Refusal> {
    for change in changes {
        match change {
            Change::Clear => from.clear(),
            Change::Add(filter) => {
                if !from.iter().any(|known| known.covers(filter)) {
                    from.retain(|known| !filter.covers(known));
                    from.push(*filter);
                }
            }
        }
        // The kernel keeps no two of which neither is within the other, though they have some in common.
        let crosses = |one: &Filter| {
            let meets = |other: &Filter| other.port() == 0 && one.at(0).covers(other);
            one.port() != 0 && from.iter().any(meets)
        };
        if from.len() > PEERS || from.iter().any(crosses) {
            return Err(Refusal::ExcessivePeers);
        }
    }
    Ok(())
}

/// The wished port, the host's own number, or any.
fn choose(wanted: &Wanted, is_free: &mut impl FnMut(u16) -> bool) -> Option<u16> {
    /// Ports are many and tried at random.
    const TRIES: usize = 64;
    if wanted.no_other {
        return Some(wanted.external).filter(|port| is_free(*port));
    }
    let random = (0..TRIES).filter_map(|_| random_port());
    [wanted.external, wanted.internal].into_iter().chain(random).find(|port| is_free(*port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTER: &str = "198.51.100.1";
    const HOST: &str = "10.0.0.10";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const fn wanted(internal: u16, external: u16, lifetime: u32, nonce: u8) -> Wanted {
        Wanted { internal, external, no_other: false, lifetime, nonce: Some([nonce; 12]) }
    }

    fn name(host: &str, port: u16) -> Name {
        Name { internal: SocketAddr::new(ip(host), port), peer: None }
    }

    fn way(outer: &str) -> Way {
        Way { outer: ip(outer), is_taken: false, seen: None }
    }

    fn map(book: &mut Book, host: &str, wanted: Wanted) -> Result<(u16, u64), Refusal> {
        let now = Time::ZERO;
        let name = name(host, wanted.internal);
        let mapping = book.map(now, name, wanted, &[], way(OUTER), |port| port != 5000)?;
        assert_eq!(mapping.external.ip(), ip(OUTER));
        Ok((mapping.external.port(), mapping.until.since(now).as_secs()))
    }

    #[test]
    fn a_port_is_given_once_and_renewed_by_who_knows_its_name() {
        let mut book = Book::default();
        assert_eq!(map(&mut book, HOST, wanted(2000, 3000, 600, 1)), Ok((3000, 600)));
        assert_eq!(map(&mut book, HOST, wanted(2000, 4000, 1, 1)), Ok((3000, 120)), "renewed");
        assert_eq!(map(&mut book, HOST, wanted(2000, 0, 600, 2)), Err(Refusal::NotAuthorised));
        let other = "10.0.0.11";
        assert_eq!(map(&mut book, other, wanted(2000, 3000, 99_999, 3)), Ok((2000, 3600)));
        assert_ne!(map(&mut book, other, wanted(3000, 3000, 600, 3)).unwrap().0, 3000);
        // Somebody else on this host has 5000.
        assert_ne!(map(&mut book, HOST, wanted(5000, 5000, 600, 1)).unwrap().0, 5000);
        let only = Wanted { no_other: true, ..wanted(6000, 3000, 600, 1) };
        assert_eq!(map(&mut book, HOST, only), Err(Refusal::ExternalTaken));
        let end = |book: &mut Book, nonce| {
            let wanted = wanted(2000, 0, 0, nonce);
            book.end(name(HOST, 2000), wanted).map(|ended| ended.len())
        };
        assert_eq!(end(&mut book, 2), Err(Refusal::NotAuthorised));
        assert_eq!(end(&mut book, 1), Ok(1));
        assert_eq!(end(&mut book, 1), Ok(0), "it is gone");
    }

    #[test]
    fn services_and_too_many_are_refused_and_time_ends_each() {
        let mut book = Book::default();
        assert_eq!(map(&mut book, HOST, wanted(22, 3000, 600, 1)), Err(Refusal::NotAuthorised));
        let low = map(&mut book, HOST, wanted(2000, 22, 600, 1)).unwrap();
        assert_eq!(low.0, 2000, "no port of services outside either");
        assert!(map(&mut book, HOST, wanted(DISCARD, 0, 60, 1)).unwrap().0 >= LOWEST_PORT);
        for port in 0..u16::try_from(PER_HOST).unwrap() - 2 {
            map(&mut book, HOST, wanted(10_000 + port, 0, 600, 1)).unwrap();
        }
        assert_eq!(map(&mut book, HOST, wanted(9000, 0, 600, 1)), Err(Refusal::OverQuota));
        map(&mut book, "10.0.0.11", wanted(9000, 0, 700, 1)).unwrap();
        let later = Time::ZERO.after(Duration::from_secs(600));
        assert_eq!(book.expire(later).len(), PER_HOST);
        assert_eq!(book.0.len(), 1);
    }

    #[test]
    fn a_public_host_gets_its_own_port() {
        let mut book = Book::default();
        for host in [OUTER, "2001:db8::10"] {
            let wish = wanted(2000, 3000, 600, 1);
            let mapping = book.map(Time::ZERO, name(host, 2000), wish, &[], way(host), |_| true);
            assert_eq!(mapping.unwrap().external, SocketAddr::new(ip(host), 2000));
        }
        let way = Way { is_taken: true, ..way(OUTER) };
        let mapping =
            book.map(Time::ZERO, name(HOST, 21), wanted(21, 0, 600, 1), &[], way, |_| false);
        let mapping = mapping.unwrap();
        let own = SocketAddr::new(ip(OUTER), 21);
        assert!(mapping.external == own && !mapping.is_open, "the gateway's own");
    }

    #[test]
    fn filters_are_added_and_cleared_and_few() {
        let mut book = Book::default();
        let add = |network: &str, prefix, port| {
            Change::Add(Filter::new(ip(network), prefix, port).unwrap())
        };
        let mut map = |changes: &[Change]| {
            let wish = wanted(2000, 3000, 600, 1);
            let mapped =
                book.map(Time::ZERO, name(HOST, 2000), wish, changes, way(OUTER), |_| true);
            mapped.map(|mapping| mapping.from.len())
        };
        assert_eq!(map(&[]), Ok(0));
        assert_eq!(map(&[add("192.0.2.1", 32, 0), add("192.0.2.2", 32, 20)]), Ok(2));
        assert_eq!(map(&[add("192.0.2.1", 32, 20)]), Ok(2), "it is let in already");
        assert_eq!(map(&[]), Ok(2), "they stay");
        assert_eq!(map(&[add("192.0.2.0", 24, 0)]), Ok(1), "which has both");
        assert_eq!(map(&[Change::Clear, add("192.0.2.9", 32, 0)]), Ok(1));
        assert_eq!(map(&[add("192.0.2.0", 24, 20)]), Err(Refusal::ExcessivePeers), "they cross");
        assert_eq!(map(&[add("192.0.2.0", 24, 20), Change::Clear]), Err(Refusal::ExcessivePeers));
        assert_eq!(
            map(&[Change::Clear, add("192.0.2.0", 24, 20), add("192.0.2.9", 32, 21)]),
            Ok(2)
        );
        let many: Vec<Change> = (0..9).map(|last| add(&format!("192.0.3.{last}"), 32, 0)).collect();
        assert_eq!(map(&many), Err(Refusal::ExcessivePeers));
        assert_eq!(map(&[Change::Clear]), Ok(0));
    }

    #[test]
    fn the_way_to_a_peer_is_the_one_that_is_there() {
        let mut book = Book::default();
        let peer: SocketAddr = "192.0.2.1:21".parse().unwrap();
        let to = |port| Name { peer: Some(peer), ..name(HOST, port) };
        let asks = |book: &mut Book, port, seen| {
            let way = Way { seen, ..way(OUTER) };
            book.map(Time::ZERO, to(port), wanted(port, 3000, 600, 1), &[], way, |_| true)
        };
        let first = asks(&mut book, 2000, None).unwrap();
        assert_eq!(first.external.to_string(), "198.51.100.1:3000");
        assert_eq!(first.from, [Filter::host(peer.ip()).at(21)]);
        let seen = "198.51.100.1:50123".parse().unwrap();
        assert_eq!(asks(&mut book, 2001, Some(seen)).unwrap().external, seen);
        let all = map(&mut book, HOST, wanted(2002, 0, 600, 9)).unwrap().0;
        assert_eq!(asks(&mut book, 2002, None).unwrap().external.port(), all, "RFC 6887 §12.3");
        let next = Name { peer: "192.0.2.2:21".parse().ok(), ..to(2000) };
        let next = book.map(Time::ZERO, next, wanted(2000, 0, 600, 1), &[], way(OUTER), |_| true);
        assert_eq!(next.unwrap().external.port(), 3000, "to another by the same");
        assert_ne!(map(&mut book, HOST, wanted(2000, 3000, 600, 9)).unwrap().0, 3000);
        let other =
            book.map(Time::ZERO, to(2000), wanted(2000, 0, 600, 2), &[], way(OUTER), |_| true);
        assert_eq!(other, Err(Refusal::NotAuthorised));
        assert_eq!(book.end(to(2000), wanted(2000, 0, 0, 1)).unwrap().len(), 1);
        assert_eq!(book.0.len(), 5);
    }
}
