//! Ports for the hosts of the inner network, by PCP and NAT-PMP: a client or a server behind this router
//! opens what it needs for its data connections itself, and its TLS stays its own from end to end.
//!
//! TCP only, for the host that asks alone, and no port of services. Where nothing is translated (the host
//! has a public address, or one of IPv6), a mapping is a hole in this router's firewall.

mod book;
mod letter;

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use twoport_net::clock;
use twoport_net::nft::{EXPECTED, Outbound, Router};
use twoport_proto::pcp::filter::Change;
use twoport_proto::pcp::router::{Outcome, Refusal, Request, Wanted, answer, read};
use twoport_proto::pcp::{LONGEST, PORT};
use twoport_proto::reason::Reason;
use twoport_proto::scope::Scope;
use twoport_proto::time::Time;

use crate::gateway::Shared;
use crate::seat::{self, Seat};
use crate::sockets::Sockets;
use book::{Book, Mapping, Name, Way};

/// How many requests may wait. Origin: hosts repeat what is not answered.
const QUEUE: usize = 64;

/// What stands before how long hosts have been answered.
const EPOCH: &str = "epoch ";

/// Listens for hosts on an interface; from nowhere else is anything taken.
///
/// # Errors
/// What the system says.
pub(crate) fn bind(interface: &str, sockets: &mut Sockets) -> io::Result<UdpSocket> {
    seat::exists(interface)?;
    if let Some(socket) = sockets.take(&name(interface)) {
        return UdpSocket::from_std(socket.into());
    }
    listen(interface, Ipv4Addr::UNSPECIFIED.into()).map_err(|error| {
        let what = format!("no PCP on {interface}: port {PORT}: {error}; stop who has it");
        io::Error::new(error.kind(), what)
    })
}

/// What another process knows the socket by.
pub(crate) fn name(interface: &str) -> String {
    format!("pcp {interface}")
}

fn listen(interface: &str, address: IpAddr) -> io::Result<UdpSocket> {
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(domain, kind, Some(Protocol::UDP))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SocketAddr::new(address, PORT).into())?;
    UdpSocket::from_std(socket.into())
}

/// A request, and where its answer goes.
type Letter = (Vec<u8>, SocketAddr, Arc<UdpSocket>);

/// The sockets that hosts write to. In IPv6 there is one for each address, since a host believes only an
/// answer from the address that it has written to (RFC 6887 §8.3), and a router's own is link-local.
struct Mailroom {
    interface: Option<String>,
    readers: JoinSet<()>,
    letters: mpsc::Sender<Letter>,
    addresses: HashSet<Ipv6Addr>,
}

impl Mailroom {
    fn read(&mut self, socket: Arc<UdpSocket>) {
        let letters = self.letters.clone();
        self.readers.spawn(async move {
            let mut space = [0; LONGEST + 1];
            loop {
                // What an earlier answer came back with is nobody's request.
                let Ok((length, from)) = socket.recv_from(&mut space).await else { continue };
                let request = space.get(..length).unwrap_or_default().to_vec();
                if letters.send((request, from, Arc::clone(&socket))).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Listens at the addresses of IPv6 that have come.
    fn look_around(&mut self) {
        let Some(interface) = self.interface.clone() else { return };
        for address in seat::own_addresses(Some(&interface)) {
            let IpAddr::V6(address) = address else { continue };
            if self.addresses.contains(&address) {
                continue;
            }
            match listen(&interface, address.into()) {
                Ok(socket) => {
                    self.addresses.insert(address);
                    self.read(Arc::new(socket));
                }
                // One that is not yet known to be its own comes later.
                Err(error) => {
                    tracing::debug!(target: "twoport", %address, %error, "no PCP at this address");
                }
            }
        }
    }
}

/// Answers hosts, until the seat retires; begins with what another process has given to them, and ends with
/// what there is to give.
pub(crate) async fn serve(
    socket: Arc<UdpSocket>,
    shared: watch::Receiver<Arc<Shared>>,
    former: Vec<String>,
    mut over: oneshot::Receiver<()>,
) -> Vec<String> {
    let Some(router) = shared.borrow().router.clone() else { return Vec::new() };
    let (letters, mut received) = mpsc::channel(QUEUE);
    let interface = shared.borrow().config.pcp.clone();
    let mut mailroom =
        Mailroom { interface, readers: JoinSet::new(), letters, addresses: HashSet::new() };
    mailroom.read(socket);
    mailroom.look_around();
    let mut desk = Desk::new(router, shared);
    desk.succeed(&former);
    let mut renewal = clock::now().after(EXPECTED / 2);
    loop {
        let next = desk.book.0.values().map(|mapping| mapping.until).fold(renewal, Time::min);
        tokio::select! {
            Some((request, from, socket)) = received.recv() => {
                if let Some(answer) = desk.hear(&request, from.ip()) {
                    // Who does not get it asks again.
                    let _: io::Result<usize> = socket.send_to(&answer, from).await;
                }
            }
            _ = &mut over => {
                mailroom.readers.shutdown().await;
                return desk.letter();
            }
            () = sleep_until(clock::instant(next)) => {
                let is_renewal = clock::now() >= renewal;
                desk.tidy(is_renewal);
                if is_renewal {
                    mailroom.look_around();
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
    /// How long other processes had answered before.
    before: Duration,
}

impl Desk {
    fn new(router: Router, shared: watch::Receiver<Arc<Shared>>) -> Self {
        let before = Duration::ZERO;
        Self { router, shared, book: Book::default(), began: clock::now(), before }
    }

    fn epoch(&self) -> Duration {
        self.before + clock::now().since(self.began)
    }

    /// All that a successor has to know: hosts do not notice that it is another one.
    fn letter(&self) -> Vec<String> {
        let mut lines = vec![format!("{EPOCH}{}", self.epoch().as_secs())];
        lines.extend(letter::write(&self.book, clock::now()));
        lines
    }

    /// Goes on with what a predecessor has written.
    fn succeed(&mut self, lines: &[String]) {
        let now = clock::now();
        for line in lines {
            if let Some(seconds) = line.strip_prefix(EPOCH) {
                self.before = Duration::from_secs(seconds.parse().unwrap_or_default());
                continue;
            }
            self.book.0.extend(letter::read(line, now));
        }
        self.tell_again(now);
    }

    /// What the kernel would forget, or has never heard of.
    fn tell_again(&self, now: Time) {
        for (name, mapping) in &self.book.0 {
            if let Err(error) = self.open(name, mapping, now) {
                let client = name.internal.ip();
                tracing::warn!(target: "twoport", %client, %error, "a mapping is lost");
            }
        }
    }

    fn hear(&mut self, request: &[u8], from: IpAddr) -> Option<Vec<u8>> {
        let host = from.to_canonical();
        let outcome = match read(request, host)? {
            Ok(request) => self.grant(host, request),
            Err(refusal) => Err(refusal),
        };
        let outcome = outcome.unwrap_or_else(|refusal| {
            let reason = Reason::MappingRefused;
            self.shared.borrow().board.tell("refuse", reason);
            let id = reason.id();
            tracing::warn!(target: "twoport", client = %host, reason = id, why = ?refusal, "refuse");
            Outcome::Refused(refusal)
        });
        let epoch = u32::try_from(self.epoch().as_secs()).unwrap_or(u32::MAX);
        Some(answer(request, outcome, epoch))
    }

    fn grant(&mut self, host: IpAddr, request: Request) -> Result<Outcome, Refusal> {
        let shared = Arc::clone(&self.shared.borrow());
        let (wanted, changes, peer) = match request {
            Request::Announce => return Ok(Outcome::Announced),
            Request::Address => {
                return match outer(&shared, host)? {
                    IpAddr::V4(address) => Ok(Outcome::Address(address)),
                    IpAddr::V6(_) => Err(Refusal::NetworkFailure),
                };
            }
            Request::Map(wanted, changes) => (wanted, changes, None),
            Request::Peer(wanted, peer) => (wanted, Vec::new(), Some(peer)),
        };
        let address = outer(&shared, host)?;
        let name = Name { internal: SocketAddr::new(host, wanted.internal), peer };
        if wanted.lifetime == 0 {
            let ended = self.book.end(name, wanted)?;
            ended.iter().for_each(|(name, mapping)| self.close(name, mapping));
            return Ok(Outcome::Mapped { external: wanted.external, address, lifetime: 0 });
        }
        let now = clock::now();
        let way = self.way(&shared, name, address);
        let mapping = self.enter(&shared, (name, way), wanted, &changes, now)?;
        let lifetime = mapping.until.since(now);
        if mapping.is_open {
            let (internal, external) = (wanted.internal, mapping.external);
            let seconds = lifetime.as_secs();
            tracing::info!(target: "twoport", client = %host, internal, %external, seconds, "map");
        }
        let lifetime = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        let external = mapping.external.port();
        Ok(Outcome::Mapped { external, address: mapping.external.ip(), lifetime })
    }

    /// What there is of a way already.
    fn way(&self, shared: &Shared, name: Name, outer: IpAddr) -> Way {
        let seen = name.peer.map(|peer| self.router.seen(name.internal, peer));
        let seen = seen.filter(|seen| *seen != name.internal && outer != name.internal.ip());
        let is_taken = name.peer.is_none() && is_taken(shared, name.internal);
        Way { outer, is_taken, seen }
    }

    /// Into the book, and into the kernel.
    fn enter(
        &mut self,
        shared: &Shared,
        (name, way): (Name, Way),
        wanted: Wanted,
        changes: &[Change],
        now: Time,
    ) -> Result<Mapping, Refusal> {
        let is_free = |port: u16| {
            !shared.config.data_ports.contains(&port)
                && TcpListener::bind((way.outer, port)).is_ok()
        };
        let former = self.book.0.get(&name).cloned();
        let mapping = self.book.map(now, name, wanted, changes, way, is_free)?;
        if let Some(former) = former.filter(|former| former.from != mapping.from) {
            self.close(&name, &former);
        }
        // Where all may come, or those who are named, the way of one is no hole of its own.
        for (_, way) in self.book.ways(&name, mapping.external) {
            self.router.forward_no_more(way.external, &way.from);
        }
        if let Err(error) = self.open(&name, &mapping, now) {
            let client = name.internal.ip();
            tracing::warn!(target: "twoport", %client, %error, "a mapping cannot be made");
            self.book.0.remove(&name);
            self.close(&name, &mapping);
            return Err(Refusal::NetworkFailure);
        }
        Ok(mapping)
    }

    /// Tells the kernel, or tells it again.
    fn open(&self, name: &Name, mapping: &Mapping, now: Time) -> io::Result<()> {
        if !mapping.is_open {
            return Ok(());
        }
        let left = mapping.until.since(now);
        if let Some(outbound) = outbound(name, mapping) {
            self.router.leave(&outbound, left)?;
        }
        // A port that is mapped for others, too, lets the peer in by that, or by its filters not.
        if name.peer.is_some() && self.book.for_all(name.internal) == Some(mapping.external) {
            return Ok(());
        }
        self.router.forward(mapping.external, name.internal, &mapping.from, left)
    }

    fn close(&self, name: &Name, mapping: &Mapping) {
        if !mapping.is_open {
            return;
        }
        if let Some(outbound) = outbound(name, mapping) {
            self.router.leave_no_more(&outbound);
        }
        self.router.forward_no_more(mapping.external, &mapping.from);
        for (name, way) in self.book.ways(name, mapping.external) {
            if let Err(error) = self.open(&name, &way, clock::now()) {
                let client = name.internal.ip();
                tracing::warn!(target: "twoport", %client, %error, "a mapping is lost");
            }
        }
    }

    /// Ends what is over; what the kernel would forget before is told to it again.
    fn tidy(&mut self, is_renewal: bool) {
        let now = clock::now();
        for (name, mapping) in self.book.expire(now) {
            self.close(&name, &mapping);
        }
        if is_renewal {
            self.tell_again(now);
        }
    }
}

/// The way out of PEER, where it is translated.
fn outbound(name: &Name, mapping: &Mapping) -> Option<Outbound> {
    let (internal, external) = (name.internal, mapping.external);
    let outbound = Outbound { internal, peer: name.peer?, external };
    (internal != external).then_some(outbound)
}

/// Whether control connections to a host's port come through the gateway anyhow: then it has all that it
/// asks for.
fn is_taken(shared: &Shared, own: SocketAddr) -> bool {
    let Seat::Server(taken) = &shared.config.seat else { return false };
    taken.ports.contains(&own.port())
        && shared.config.servers.iter().any(|server| server.at.parse() == Ok(own))
}

/// The address outside of a host: its own, unless that is one of an inner network of IPv4.
fn outer(shared: &Shared, host: IpAddr) -> Result<IpAddr, Refusal> {
    match host {
        IpAddr::V4(_) if !Scope::of(host).is_inner() => Ok(host),
        IpAddr::V4(_) => {
            let outer = seat::outside(&shared.config.seat).ok_or(Refusal::NetworkFailure)?;
            Ok(outer.into())
        }
        // It is reached on its link only, where this router has no say.
        IpAddr::V6(v6) if v6.is_unicast_link_local() || v6.is_loopback() || v6.is_unspecified() => {
            Err(Refusal::NotAuthorised)
        }
        IpAddr::V6(_) => Ok(host),
    }
}
