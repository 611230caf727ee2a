//! Ports for the hosts of the inner network, by PCP and NAT-PMP: a client or a server behind this router
//! opens what it needs for its data connections itself, and its TLS stays its own from end to end.
//!
//! IPv4 only, TCP only, for the host that asks alone, and no port of services. Where nothing is
//! translated (the host has a public address), a mapping is a hole in this router's firewall.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::sleep_until;

use twoport_net::clock;
use twoport_net::data::ports::random_port;
use twoport_net::nft::{EXPECTED, Router};
use twoport_proto::data::LOWEST_PORT;
use twoport_proto::pcp::router::{Outcome, Refusal, Request, Wanted, answer, read};
use twoport_proto::pcp::{LONGEST, Nonce, PORT};
use twoport_proto::reason::Reason;
use twoport_proto::scope::Scope;
use twoport_proto::time::Time;

use crate::gateway::Shared;
use crate::seat::{self, Seat};

/// How long a mapping lasts, in seconds. Origin: RFC 6887 §15 has at least 120; what a host that has
/// gone leaves behind should not outlast a coffee break, and hosts renew at half of it.
const LIFETIMES: (u32, u32) = (120, 3600);

/// Of one host. Origin: a server's range in an inner network; it is twice what twoport's server asks for.
const PER_HOST: usize = 64;

/// Of all. Origin: each holds two files for its expectation; a tenth of what sessions may hold.
const ALL: usize = 1024;

/// The port that is asked for to learn the outer address: no connection is sent there (RFC 6887 §11.6).
const DISCARD: u16 = 9;

/// A host's port.
type Inner = (Ipv4Addr, u16);

/// What is given to whom.
#[derive(Debug, Default)]
struct Book(HashMap<Inner, Mapping>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    external: (Ipv4Addr, u16),
    nonce: Option<Nonce>,
    until: Time,
    /// Whether connections are sent on: not for the port that stands for the question alone, nor where
    /// the gateway takes them itself.
    is_open: bool,
}

impl Mapping {
    fn external(&self) -> SocketAddr {
        self.external.into()
    }
}

/// The way to a host.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// The address outside.
    outer: Ipv4Addr,
    /// Whether connections to this port of this host are taken by the gateway anyhow.
    is_taken: bool,
}

impl Book {
    /// Decides about a wish; `is_free` tells whether nobody else has a port outside.
    fn map(
        &mut self,
        now: Time,
        host: Ipv4Addr,
        wanted: Wanted,
        Way { outer, is_taken }: Way,
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Result<Mapping, Refusal> {
        let inner = (host, wanted.internal);
        let is_open = !is_taken && wanted.internal != DISCARD;
        if wanted.internal < LOWEST_PORT && is_open {
            return Err(Refusal::NotAuthorised);
        }
        let known = self.0.get(&inner).copied();
        // Who does not know its name cannot change it (RFC 6887 §11.3).
        if known.is_some_and(|known| known.nonce != wanted.nonce) {
            return Err(Refusal::NotAuthorised);
        }
        let lifetime = wanted.lifetime.clamp(LIFETIMES.0, LIFETIMES.1);
        let until = now.after(Duration::from_secs(lifetime.into()));
        let mapping = match known {
            Some(known) => Mapping { until, ..known },
            None => {
                if self.0.len() >= ALL
                    || self.0.keys().filter(|(of, _)| *of == host).count() >= PER_HOST
                {
                    return Err(Refusal::OverQuota);
                }
                let taken: Vec<u16> = self.0.values().map(|mapping| mapping.external.1).collect();
                let mut may =
                    |port: u16| port >= LOWEST_PORT && !taken.contains(&port) && is_free(port);
                let port = if is_taken || outer == host {
                    Some(wanted.internal)
                        .filter(|port| !wanted.no_other || *port == wanted.external)
                } else {
                    choose(&wanted, &mut may)
                };
                let external = (outer, port.ok_or(Refusal::ExternalTaken)?);
                Mapping { external, nonce: wanted.nonce, until, is_open }
            }
        };
        self.0.insert(inner, mapping);
        Ok(mapping)
    }

    /// Ends a mapping, or in NAT-PMP all of a host (RFC 6886 §3.4).
    fn end(&mut self, host: Ipv4Addr, wanted: Wanted) -> Result<Vec<Mapping>, Refusal> {
        let is_meant =
            |(of, port): &Inner| *of == host && (*port == wanted.internal || wanted.internal == 0);
        let meant = || self.0.iter().filter(|(inner, _)| is_meant(inner));
        if meant().any(|(_, mapping)| mapping.nonce != wanted.nonce) && wanted.internal != 0 {
            return Err(Refusal::NotAuthorised);
        }
        let ended = meant().filter(|(_, mapping)| mapping.nonce == wanted.nonce);
        let ended: HashMap<Inner, Mapping> = ended.map(|(inner, it)| (*inner, *it)).collect();
        self.0.retain(|inner, _| !ended.contains_key(inner));
        Ok(ended.into_values().collect())
    }

    /// Takes out those whose time is over.
    fn expire(&mut self, now: Time) -> Vec<Mapping> {
        let over = self.0.extract_if(|_, mapping| mapping.until <= now);
        over.map(|(_, mapping)| mapping).collect()
    }
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

/// Listens for hosts on an interface; from nowhere else is anything taken.
///
/// # Errors
/// What the system says.
pub(crate) fn bind(interface: &str) -> io::Result<UdpSocket> {
    let bound = || {
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::IPV4, kind, Some(Protocol::UDP))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        UdpSocket::from_std(socket.into())
    };
    bound().map_err(|error| {
        io::Error::new(error.kind(), format!("no PCP on {interface}: port {PORT}: {error}"))
    })
}

/// Answers hosts, until the gateway ends.
pub(crate) async fn serve(socket: UdpSocket, shared: watch::Receiver<Arc<Shared>>) {
    let Some(router) = shared.borrow().router.clone() else { return };
    let mut desk = Desk { router, shared, book: Book::default(), began: clock::now() };
    let mut space = [0; LONGEST + 1];
    let mut renewal = clock::now().after(EXPECTED / 2);
    loop {
        let next = desk.book.0.values().map(|mapping| mapping.until).fold(renewal, Time::min);
        tokio::select! {
            received = socket.recv_from(&mut space) => {
                // What an earlier answer came back with is nobody's request.
                let Ok((length, from)) = received else { continue };
                let request = space.get(..length).unwrap_or_default();
                if let Some(answer) = desk.hear(request, from.ip()) {
                    // Who does not get it asks again.
                    let _: io::Result<usize> = socket.send_to(&answer, from).await;
                }
            }
            () = sleep_until(clock::instant(next)) => {
                let is_renewal = clock::now() >= renewal;
                desk.tidy(is_renewal);
                if is_renewal {
                    renewal = clock::now().after(EXPECTED / 2);
                }
            }
        }
    }
}

struct Desk {
    router: Router,
    shared: watch::Receiver<Arc<Shared>>,
    book: Book,
    began: Time,
}

impl Desk {
    fn hear(&mut self, request: &[u8], from: IpAddr) -> Option<Vec<u8>> {
        let IpAddr::V4(host) = from else { return None };
        let outcome = match read(request, from)? {
            Ok(wanted) => self.grant(host, wanted),
            Err(refusal) => Err(refusal),
        };
        let outcome = outcome.unwrap_or_else(|refusal| {
            let reason = Reason::MappingRefused;
            self.shared.borrow().board.tell("refuse", reason);
            let id = reason.id();
            tracing::warn!(target: "twoport", client = %host, reason = id, why = ?refusal, "refuse");
            Outcome::Refused(refusal)
        });
        let epoch = clock::now().since(self.began).as_secs();
        Some(answer(request, outcome, u32::try_from(epoch).unwrap_or(u32::MAX)))
    }

    fn grant(&mut self, host: Ipv4Addr, request: Request) -> Result<Outcome, Refusal> {
        let shared = Arc::clone(&self.shared.borrow());
        let wanted = match request {
            Request::Announce => return Ok(Outcome::Announced),
            Request::Address => return Ok(Outcome::Address(outer(&shared, host)?)),
            Request::Map(wanted) => wanted,
        };
        let address = outer(&shared, host)?;
        if wanted.lifetime == 0 {
            let ended = self.book.end(host, wanted)?;
            ended.iter().for_each(|mapping| self.close(mapping));
            return Ok(Outcome::Mapped { external: wanted.external, address, lifetime: 0 });
        }
        let is_free = |port: u16| {
            !shared.config.data_ports.contains(&port) && TcpListener::bind((address, port)).is_ok()
        };
        let now = clock::now();
        let is_taken = is_taken(&shared, host, wanted.internal);
        let way = Way { outer: address, is_taken };
        let mapping = self.book.map(now, host, wanted, way, is_free)?;
        let inner = (host, wanted.internal);
        let lifetime = mapping.until.since(now);
        if mapping.is_open {
            if let Err(error) = self.router.forward(mapping.external(), inner.into(), lifetime) {
                tracing::warn!(target: "twoport", client = %host, %error, "a mapping cannot be made");
                self.book.0.remove(&inner);
                return Err(Refusal::NetworkFailure);
            }
            let (internal, external) = (wanted.internal, mapping.external());
            let seconds = lifetime.as_secs();
            tracing::info!(target: "twoport", client = %host, internal, %external, seconds, "map");
        }
        let lifetime = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        let (address, external) = mapping.external;
        Ok(Outcome::Mapped { external, address, lifetime })
    }

    fn close(&self, mapping: &Mapping) {
        if !mapping.is_open {
            return;
        }
        self.router.forward_no_more(mapping.external());
    }

    /// Ends what is over; what the kernel would forget before is told to it again.
    fn tidy(&mut self, is_renewal: bool) {
        let now = clock::now();
        for mapping in self.book.expire(now) {
            self.close(&mapping);
        }
        if !is_renewal {
            return;
        }
        for (inner, mapping) in self.book.0.iter().filter(|(_, mapping)| mapping.is_open) {
            let left = mapping.until.since(now);
            if let Err(error) = self.router.forward(mapping.external(), (*inner).into(), left) {
                tracing::warn!(target: "twoport", client = %inner.0, %error, "a mapping is lost");
            }
        }
    }
}

/// Whether control connections to a host's port come through the gateway anyhow: then it has all that it
/// asks for.
fn is_taken(shared: &Shared, host: Ipv4Addr, port: u16) -> bool {
    let Seat::Server(taken) = &shared.config.seat else { return false };
    let own = SocketAddr::from((host, port));
    taken.ports.contains(&port)
        && shared.config.servers.iter().any(|server| server.at.parse() == Ok(own))
}

/// The address outside of a host: its own, unless that is one of an inner network.
fn outer(shared: &Shared, host: Ipv4Addr) -> Result<Ipv4Addr, Refusal> {
    if !Scope::of(host.into()).is_inner() {
        return Ok(host);
    }
    seat::outside(&shared.config.seat).ok_or(Refusal::NetworkFailure)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
    const OUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

    const fn wanted(internal: u16, external: u16, lifetime: u32, nonce: u8) -> Wanted {
        Wanted { internal, external, no_other: false, lifetime, nonce: Some([nonce; 12]) }
    }

    fn map(book: &mut Book, host: Ipv4Addr, wanted: Wanted) -> Result<(u16, u64), Refusal> {
        let now = Time::ZERO;
        let way = Way { outer: OUTER, is_taken: false };
        let mapping = book.map(now, host, wanted, way, |port| port != 5000)?;
        assert_eq!(mapping.external.0, OUTER);
        Ok((mapping.external.1, mapping.until.since(now).as_secs()))
    }

    #[test]
    fn a_port_is_given_once_and_renewed_by_who_knows_its_name() {
        let mut book = Book::default();
        assert_eq!(map(&mut book, HOST, wanted(2000, 3000, 600, 1)), Ok((3000, 600)));
        assert_eq!(map(&mut book, HOST, wanted(2000, 4000, 1, 1)), Ok((3000, 120)), "renewed");
        assert_eq!(map(&mut book, HOST, wanted(2000, 0, 600, 2)), Err(Refusal::NotAuthorised));
        let other = Ipv4Addr::new(10, 0, 0, 11);
        assert_eq!(map(&mut book, other, wanted(2000, 3000, 99_999, 3)), Ok((2000, 3600)));
        assert_ne!(map(&mut book, other, wanted(3000, 3000, 600, 3)).unwrap().0, 3000);
        // Somebody else on this host has 5000.
        assert_ne!(map(&mut book, HOST, wanted(5000, 5000, 600, 1)).unwrap().0, 5000);
        let only = Wanted { no_other: true, ..wanted(6000, 3000, 600, 1) };
        assert_eq!(map(&mut book, HOST, only), Err(Refusal::ExternalTaken));
        assert_eq!(book.end(HOST, wanted(2000, 0, 0, 2)), Err(Refusal::NotAuthorised));
        assert_eq!(book.end(HOST, wanted(2000, 0, 0, 1)).unwrap().len(), 1);
        assert_eq!(book.end(HOST, wanted(2000, 0, 0, 1)).unwrap().len(), 0, "it is gone");
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
        map(&mut book, Ipv4Addr::new(10, 0, 0, 11), wanted(9000, 0, 700, 1)).unwrap();
        let later = Time::ZERO.after(Duration::from_secs(600));
        assert_eq!(book.expire(later).len(), PER_HOST);
        assert_eq!(book.0.len(), 1);
    }

    #[test]
    fn a_public_host_gets_its_own_port() {
        let mut book = Book::default();
        let way = Way { outer: OUTER, is_taken: false };
        let mapping = book.map(Time::ZERO, OUTER, wanted(2000, 3000, 600, 1), way, |_| true);
        assert_eq!(mapping.unwrap().external, (OUTER, 2000));
        let way = Way { is_taken: true, ..way };
        let mapping = book.map(Time::ZERO, HOST, wanted(21, 0, 600, 1), way, |_| false).unwrap();
        assert!(mapping.external == (OUTER, 21) && !mapping.is_open, "the gateway's own");
    }
}
