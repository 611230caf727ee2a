//! Active mode through the own NAT or firewall, which is opened from inside: a SYN from the port
//! that was announced to the port that the server will dial from, of so few hops that it ends
//! behind the NAT and before the server. The server's SYN then looks like an answer, and the kernel
//! completes it as a simultaneous open (RFC 9293 §3.5, RFC 5382 REQ-2).
//!
//! It asks nobody for a privilege, and tells the server nothing: what is announced is decided by the
//! machine `Open`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use twoport_proto::data::is_client;
use twoport_proto::reason::Reason;
use twoport_proto::time::Time;
use twoport_sys::hops::{keep_errors, set_hops, set_least_hops, take_error};

use super::ports::HELPER_PORTS;
use crate::clock;

/// How far probes go. Origin: the NATs of a client (its own, and a carrier's) are among the first
/// hops; farther out a packet only comes closer to the server's own firewall.
const FARTHEST: u8 = 6;

/// How far packets go once a hole is open: the default of Linux.
const EVERYWHERE: u8 = 64;

/// An ICMP error tells of a packet that had one hop left, or none: errors of such packets must not
/// end the socket, or the listener would answer the server with another sequence number, which the
/// NAT has not seen (Linux conntrack then drops the end of the data).
const LEAST_HOPS: u8 = 2;

/// The kernel repeats a SYN after each second (`TCP_TIMEOUT_INIT`; linear for four times since Linux
/// 6.5, at 1, 3, 7 s before). A repeated SYN must not reach the server either: around full seconds
/// packets go no farther than the first one went.
const REPEATS: Duration = Duration::from_secs(1);

/// How long before such a second, and how long behind it. Origin: a timer of the kernel may be early
/// or late by some jiffies, and so may ours on a busy machine.
const GUARD: Duration = Duration::from_millis(80);

/// How many ports are tried. Origin: of the dynamic ports few are in use.
const TRIES: usize = 16;

/// Where a packet with so many hops to go ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Its distance: 1 is the own gateway.
    pub number: u8,
    /// The router, where it says who it is.
    pub router: Option<IpAddr>,
}

/// The farthest of the first hops at which a packet from `from` to `to` is known to end before it
/// reaches its target: behind all that is on the client's side, before what is on the server's.
///
/// It sends SYNs, like those that open the hole, to the port that these go to: nothing answers there
/// but routers, and perhaps the server that nobody listens.
pub async fn find_hop(from: IpAddr, to: SocketAddr, patience: Duration) -> Option<Hop> {
    let mut probes = JoinSet::new();
    for hops in 1..=FARTHEST {
        probes.spawn(async move { ends_at(from, to, hops).await.ok().flatten() });
    }
    let mut farthest: Option<Hop> = None;
    for patience in [patience, SECOND_REPEAT] {
        let collected = tokio::time::timeout(patience, async {
            while let Some(ended) = probes.join_next().await {
                let found = ended.ok().flatten().into_iter();
                farthest = found.chain(farthest).max_by_key(|hop| hop.number);
            }
        });
        if collected.await.is_ok() || farthest.is_some() {
            break;
        }
    }
    farthest
}

/// How much longer is waited if no router has told anything. Origin: routers tell so once a second to
/// each address, which clients behind one NAT share; the kernel repeats a SYN a second time after 3 s.
const SECOND_REPEAT: Duration = Duration::from_secs(2);

/// Whether a packet of so many hops ends at a router, and at which.
async fn ends_at(from: IpAddr, to: SocketAddr, hops: u8) -> io::Result<Option<Hop>> {
    let socket = open(SocketAddr::new(from, 0))?;
    keep_errors(&socket, to.is_ipv4())?;
    let socket = send_syn(socket, to, hops)?;
    socket.writable().await?;
    let mut found = None;
    while let Some(error) = take_error(&socket)? {
        if error.is_expiry {
            found = Some(Hop { number: hops, router: error.from });
        }
    }
    Ok(found)
}

/// A port that a server may connect to, before the hole towards it is open.
#[derive(Debug)]
pub struct Opening {
    listener: TcpListener,
    local: SocketAddr,
}

/// A hole that is open: the SYNs are on their way.
#[derive(Debug)]
pub struct Hole {
    listener: TcpListener,
    sockets: Vec<(TcpStream, SocketAddr)>,
    hops: u8,
    begun: Time,
}

impl Opening {
    /// Listens at `address` on a port of `ports`, in a way that the same port can also connect.
    ///
    /// # Errors
    /// None of the ports could be had.
    pub fn new(address: IpAddr, ports: &RangeInclusive<u16>) -> io::Result<Self> {
        const BACKLOG: i32 = 8;
        let mut failed = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            let port = random_port(ports)?;
            if HELPER_PORTS.contains(&port) {
                continue;
            }
            let local = SocketAddr::new(address.to_canonical(), port);
            let listening = open(local).and_then(|socket| {
                socket.listen(BACKLOG)?;
                TcpListener::from_std(socket.into())
            });
            match listening {
                Ok(listener) => return Ok(Self { listener, local }),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// The port, with the own address.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends the SYNs that open the hole, to each port that the server may dial from.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(self, targets: &[SocketAddr], hops: u8) -> io::Result<Hole> {
        let (begun, mut sockets) = (clock::now(), Vec::new());
        for target in targets {
            let socket = open(self.local)?;
            set_least_hops(&socket, target.is_ipv4(), LEAST_HOPS)?;
            let socket = send_syn(socket, *target, hops)?;
            set_hops(&socket, target.is_ipv4(), EVERYWHERE)?;
            sockets.push((socket, *target));
        }
        Ok(Hole { listener: self.listener, sockets, hops, begun })
    }
}

impl Hole {
    /// The server's connection: through the hole, or, where nothing is in its way, from any port.
    /// Strangers are closed without a word.
    ///
    /// # Errors
    /// After `patience`: [`Reason::PunchReachedServer`] if the server refused a SYN that should have
    /// ended before it, else [`Reason::ActiveNotConnected`].
    pub async fn server(self, server: IpAddr, patience: Duration) -> Result<TcpStream, Reason> {
        let Self { listener, sockets, hops, begun } = self;
        let mut holes = JoinSet::new();
        for (socket, target) in sockets {
            holes.spawn(through(socket, target.is_ipv4(), hops, begun));
        }
        let mut reached = false;
        let wanted = async {
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, from)) if is_client(from.ip(), server, false) => return stream,
                        Ok(_) => {}
                        // Out of file descriptors, say: the connection waits in the queue meanwhile.
                        Err(_) => tokio::time::sleep(GUARD).await,
                    },
                    Some(ended) = holes.join_next() => match ended {
                        Ok(Ok(stream)) => return stream,
                        Ok(Err(error)) => reached |= is_refusal(&error),
                        Err(_) => {}
                    },
                }
            }
        };
        let arrived = tokio::time::timeout(patience, wanted).await;
        arrived.map_err(|_| match reached {
            true => Reason::PunchReachedServer,
            false => Reason::ActiveNotConnected,
        })
    }
}

fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error().map(Errno::from_raw_os_error) == Some(Errno::CONNREFUSED)
}

/// Waits until the server's SYN has met the own one. Dropped, the hole is closed.
async fn through(socket: TcpStream, is_ipv4: bool, hops: u8, begun: Time) -> io::Result<TcpStream> {
    let mut repeats = begun;
    loop {
        let (quiet, loud) = (repeats.after(REPEATS - GUARD), repeats.after(REPEATS + GUARD));
        repeats = repeats.after(REPEATS);
        for (until, then) in [(quiet, hops), (loud, EVERYWHERE)] {
            tokio::select! {
                ready = socket.writable() => {
                    ready?;
                    set_hops(&socket, is_ipv4, EVERYWHERE)?;
                    return match socket.take_error()? {
                        Some(error) => Err(error),
                        None => Ok(socket),
                    };
                }
                () = tokio::time::sleep_until(clock::instant(until)) => {
                    set_hops(&socket, is_ipv4, then)?;
                }
            }
        }
    }
}

/// A socket bound to `local`, which others of this process may share.
fn open(local: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(local), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&local.into())?;
    Ok(socket)
}

/// Begins to connect. The SYN has left when this returns.
fn send_syn(socket: Socket, to: SocketAddr, hops: u8) -> io::Result<TcpStream> {
    set_hops(&socket, to.is_ipv4(), hops)?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => TcpStream::from_std(socket.into()),
    }
}

fn random_port(ports: &RangeInclusive<u16>) -> io::Result<u16> {
    let random = getrandom::u64().map_err(io::Error::other)?;
    let width = u64::from(ports.end().saturating_sub(*ports.start())) + 1;
    let offset = u16::try_from(random % width).unwrap_or(0);
    Ok(ports.start().saturating_add(offset))
}
