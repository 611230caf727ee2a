//! The port ledger: which passive ports are in use, and by nobody twice.
//!
//! A port is leased to a session and comes back when the lease is dropped. Ports are taken in
//! random order, so that nobody can guess the next one.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream as Socket};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use twoport_proto::data::LOWEST_PORT;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, Socket as Raw, Type};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

use twoport_proto::reason::Reason;

use super::dial::canonical;
use crate::watch;

/// Ports that helpers in NATs and firewalls take for other protocols and rewrite: FTP, TFTP, RTSP,
/// H.323, PPTP, SCCP, SIP. They are left out of every range.
pub const HELPER_PORTS: [u16; 8] = [21, 69, 554, 1720, 1723, 2000, 5060, 5061];

/// The free ports of a server. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Ports {
    free: Arc<Mutex<Vec<u16>>>,
    total: usize,
}

/// A passive port that listens, until it is dropped.
///
/// Connections to it are given out as they are: the runtime does not know them yet.
#[derive(Debug)]
pub struct Lease {
    listener: AsyncFd<OwnedFd>,
    place: Arc<Place>,
}

/// A port that is taken from the ledger, until the last lease of it is dropped.
#[derive(Debug)]
struct Place {
    port: u16,
    ports: Ports,
}

/// Why no port could be leased.
#[derive(Debug)]
pub struct LeaseError {
    /// The range is full, or the system refused.
    pub reason: Reason,
    /// The system's error.
    pub source: Option<io::Error>,
}

impl Ports {
    /// A ledger of all ports of a range but those of [`HELPER_PORTS`].
    #[must_use]
    pub fn new(range: RangeInclusive<u16>) -> Self {
        let free: Vec<u16> = range.filter(|port| !HELPER_PORTS.contains(port)).collect();
        Self { total: free.len(), free: Arc::new(Mutex::new(free)) }
    }

    /// Whether so few are left that a session should not keep one that it does not need: one in
    /// eight.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.with_free(|free| free.len()) <= self.total / 8
    }

    /// How many there are, in use or not.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// Any port that is free now. It is not taken: for doors that need no socket.
    #[must_use]
    pub fn any(&self) -> Option<u16> {
        self.with_free(|free| free.get(random_below(free.len())?).copied())
    }

    /// Listens at `address` on a free port of the ledger, never on another.
    ///
    /// # Errors
    /// [`Reason::PassiveRangeFull`] if no port is free, [`Reason::DataListenFailed`] if the system
    /// does not let us listen.
    pub fn lease(&self, address: IpAddr) -> Result<Lease, LeaseError> {
        self.lease_beyond(0, address)
    }

    /// The same, but only while there are plenty: the last port in eight, and one in any case, are
    /// left for those who share them.
    ///
    /// # Errors
    /// As for [`Ports::lease`].
    pub fn lease_while_plenty(&self, address: IpAddr) -> Result<Lease, LeaseError> {
        self.lease_beyond((self.total / 8).max(1), address)
    }

    fn lease_beyond(&self, reserve: usize, address: IpAddr) -> Result<Lease, LeaseError> {
        let mut busy = Vec::new();
        let leased = loop {
            let Some(port) = self.take(reserve.saturating_sub(busy.len())) else {
                break Err(LeaseError { reason: Reason::PassiveRangeFull, source: None });
            };
            match listen(address.to_canonical(), port) {
                Ok(listener) => {
                    let place = Arc::new(Place { port, ports: self.clone() });
                    break Ok(Lease { listener, place });
                }
                Err(error) if is_taken(&error) => busy.push(port),
                Err(error) => {
                    busy.push(port);
                    let reason = Reason::DataListenFailed;
                    break Err(LeaseError { reason, source: Some(error) });
                }
            }
        };
        self.with_free(|free| free.append(&mut busy));
        leased
    }

    fn take(&self, reserve: usize) -> Option<u16> {
        self.with_free(|free| {
            let index = random_below(free.len()).filter(|_| free.len() > reserve)?;
            Some(free.swap_remove(index))
        })
    }

    fn with_free<T>(&self, work: impl FnOnce(&mut Vec<u16>) -> T) -> T {
        work(&mut self.free.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lease {
    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place.port
    }

    /// The same port at another address.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn beside(&self, address: IpAddr) -> io::Result<Self> {
        let listener = listen(address.to_canonical(), self.port())?;
        Ok(Self { listener, place: Arc::clone(&self.place) })
    }

    /// The next connection, and where it comes from, in its own family.
    ///
    /// # Errors
    /// What the system says; the caller may try again.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = poll_fn(|cx| self.poll_accept(cx)).await?;
        Ok((TcpStream::from_std(stream)?, peer))
    }

    /// The next connection, without waiting for one: asked of the kernel itself, which knows before
    /// the runtime does.
    #[must_use]
    pub fn accept_now(&self) -> Option<(TcpStream, SocketAddr)> {
        accept_now(self.listener.get_ref())
    }

    /// The next connection, for who waits for more than one thing. The runtime does not know it: a short
    /// transfer is over before it need.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>> {
        loop {
            let mut ready = ready!(self.listener.poll_read_ready(cx))?;
            if let Ok(accepted) = ready.try_io(|listener| accept(listener.get_ref())) {
                return Poll::Ready(accepted);
            }
        }
    }

    /// The same, without waiting for one: as [`accept_now`](Self::accept_now).
    #[must_use]
    pub fn accept_fresh(&self) -> Option<(Socket, SocketAddr)> {
        accept(self.listener.get_ref()).ok()
    }

    /// Closes connections that wait unaccepted: left over from an earlier offer, they must not be
    /// taken for the answer to the next one. The kernel itself is asked, and the runtime told.
    pub fn drain(&self) {
        let ready = self.listener.poll_read_ready(&mut Context::from_waker(Waker::noop()));
        let listener = self.listener.get_ref();
        // To ask first costs a fifth of an accept that finds nothing.
        let mut waiting = [PollFd::new(listener, PollFlags::IN)];
        if !matches!(poll(&mut waiting, Some(&Timespec::default())), Ok(0)) {
            while rustix::net::accept(listener).is_ok() {}
        }
        if let Poll::Ready(Ok(mut ready)) = ready {
            // What has come since then is another readiness, and stays.
            ready.clear_ready();
        }
    }
}

/// The next connection to a listener, without waiting for one.
#[must_use]
pub fn accept_now(listener: impl AsFd) -> Option<(TcpStream, SocketAddr)> {
    let (stream, peer) = accept(listener).ok()?;
    Some((TcpStream::from_std(stream).ok()?, peer))
}

fn accept(listener: impl AsFd) -> io::Result<(Socket, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    Ok((socket.into(), canonical(peer.ok_or(io::ErrorKind::NotConnected)?)))
}

impl Drop for Place {
    fn drop(&mut self) {
        let port = self.port;
        self.ports.with_free(|free| free.push(port));
    }
}

/// The backlog is short: one connection is wanted, a few strangers may come first.
fn listen(address: IpAddr, port: u16) -> io::Result<AsyncFd<OwnedFd>> {
    const BACKLOG: i32 = 8;
    let address = SocketAddr::from((address, port));
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Raw::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // Connections of earlier transfers linger in TIME_WAIT on the port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    watch::for_reading(socket.into())
}

fn is_taken(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::ADDRINUSE | Errno::ACCESS))
}

/// A random port that is none of services, whoever may have it.
#[must_use]
pub fn random_port() -> Option<u16> {
    let count = usize::from(u16::MAX - LOWEST_PORT) + 1;
    random_below(count).and_then(|index| u16::try_from(index).ok()?.checked_add(LOWEST_PORT))
}

/// A random index below `length`. The tiny bias of the remainder does not help a guesser.
pub(super) fn random_below(length: usize) -> Option<usize> {
    let random = getrandom::u64().ok()?;
    let length = u64::try_from(length).ok().filter(|length| *length > 0)?;
    usize::try_from(random % length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    /// An address of the loopback network that nobody else on the machine uses.
    const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 98, 76, 54));

    #[tokio::test]
    async fn a_full_range_says_so_and_a_dropped_lease_comes_back() {
        let ports = Ports::new(47310..=47312);
        let mut leases: Vec<Lease> = (0..3).map(|_| ports.lease(LOCALHOST).unwrap()).collect();
        let taken: BTreeSet<u16> = leases.iter().map(Lease::port).collect();
        assert_eq!(taken, BTreeSet::from([47310, 47311, 47312]));
        assert_eq!(ports.lease(LOCALHOST).unwrap_err().reason, Reason::PassiveRangeFull);
        assert!(ports.is_short());
        let freed = leases.pop().unwrap().port();
        assert_eq!(ports.lease(LOCALHOST).unwrap().port(), freed);
    }

    #[tokio::test]
    async fn a_port_that_another_program_holds_is_passed_over_and_not_lost() {
        let held = std::net::TcpListener::bind((LOCALHOST, 47315)).unwrap();
        let ports = Ports::new(47315..=47316);
        assert_eq!(ports.lease(LOCALHOST).unwrap().port(), 47316);
        drop(held);
        let both = [ports.lease(LOCALHOST).unwrap(), ports.lease(LOCALHOST).unwrap()];
        let taken = BTreeSet::from(both.each_ref().map(Lease::port));
        assert_eq!(taken, BTreeSet::from([47315, 47316]));
    }

    #[tokio::test]
    async fn stale_connections_are_drained() {
        let lease = Ports::new(47318..=47319).lease(LOCALHOST).unwrap();
        let stale = std::net::TcpStream::connect((LOCALHOST, lease.port())).unwrap();
        lease.drain();
        let fresh = std::net::TcpStream::connect((LOCALHOST, lease.port())).unwrap();
        let (_, peer) = lease.accept().await.unwrap();
        assert_eq!(peer, fresh.local_addr().unwrap());
        drop(stale);
    }

    #[test]
    fn no_helper_port_is_ever_leased() {
        let ports = Ports::new(5059..=5062);
        assert_eq!(ports.total(), 2);
    }
}
