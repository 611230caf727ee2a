//! Dials a data connection: the server in active mode, the client in passive mode.
//!
//! Whether the address may be dialled at all was decided before.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream as Fresh};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use twoport_proto::reason::Reason;

/// Where a data connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct From {
    /// The control connection's own local address, so that both leave by the same way.
    pub address: IpAddr,
    /// The port to come from if it can be had, such as 20 (RFC 959 §3.2).
    pub port: Option<u16>,
}

/// Why nobody answered, and what the system said.
#[derive(Debug)]
pub struct DialError {
    /// The class of the failure.
    pub reason: Reason,
    /// The system's error; none for a time-out.
    pub source: Option<io::Error>,
}

/// A connection that is up.
#[derive(Debug)]
pub enum Dialled {
    /// Nobody had to wait for it: the runtime does not know it, and for a short transfer need not.
    Fresh(Fresh),
    /// It was waited for.
    Known(TcpStream),
}

impl Dialled {
    /// For whoever has to wait for it.
    ///
    /// # Errors
    /// What the system says.
    pub fn known(self) -> io::Result<TcpStream> {
        match self {
            Self::Fresh(socket) => TcpStream::from_std(socket),
            Self::Known(stream) => Ok(stream),
        }
    }
}

/// Connects to `target` within `patience`.
///
/// # Errors
/// Refused, unreachable or no answer in time.
pub async fn dial(
    target: SocketAddr,
    from: From,
    patience: Duration,
) -> Result<TcpStream, DialError> {
    let dialled = dial_from_any(target, from.address, from.port.as_slice(), patience).await?;
    dialled.known().map_err(failed)
}

/// Connects to `target` within `patience`, from the first of `ports` that can be had: each may be in
/// use towards the same target (or was until a minute ago), or need a privilege. Else from a port
/// that the system chooses.
///
/// # Errors
/// Refused, unreachable or no answer in time.
pub async fn dial_from_any(
    target: SocketAddr,
    local: IpAddr,
    ports: &[u16],
    patience: Duration,
) -> Result<Dialled, DialError> {
    let (target, local) = (canonical(target), local.to_canonical());
    let connected = async {
        let ports = if local.is_ipv4() == target.is_ipv4() { ports } else { &[] };
        for port in ports {
            let Ok(socket) = bound(target, local, *port) else { continue };
            match connect(socket, target).await {
                Err(error) if is_in_use(&error) => {}
                connected => return connected.map_err(failed),
            }
        }
        let socket = socket(target, local).map_err(failed)?;
        connect(socket, target).await.map_err(failed)
    };
    match tokio::time::timeout(patience, connected).await {
        Ok(connected) => connected,
        Err(_) => Err(DialError { reason: Reason::DataDialTimeout, source: None }),
    }
}

/// How long the next address of a listener waits for the one before. Origin: RFC 8305 §5 gives
/// 250 ms as the delay between attempts to connect.
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to the first of the addresses of one listener that answers. Each has `patience` for
/// itself; the next one is tried when the one before fails, or is silent for a quarter of a second.
///
/// # Errors
/// Each address with its error.
pub async fn dial_first(
    targets: Vec<SocketAddr>,
    from: From,
    patience: Duration,
) -> Result<TcpStream, Vec<(SocketAddr, DialError)>> {
    let (mut waiting, mut failures) = (targets.into_iter(), Vec::new());
    let mut dials = JoinSet::new();
    loop {
        let next = waiting.next();
        let is_last = next.is_none();
        if let Some(target) = next {
            dials.spawn(async move { (target, dial(target, from, patience).await) });
        }
        let ended = match is_last {
            true => dials.join_next().await,
            false => tokio::time::timeout(STAGGER, dials.join_next()).await.unwrap_or_default(),
        };
        match ended {
            Some(Ok((_, Ok(socket)))) => return Ok(socket),
            Some(Ok((target, Err(error)))) => failures.push((target, error)),
            Some(Err(_)) => {}
            None if is_last => return Err(failures),
            None => {}
        }
    }
}

/// Whether active connections can come from this port: it may be bound.
#[must_use]
pub fn may_dial_from(local: SocketAddr) -> bool {
    bound(local, local.ip().to_canonical(), local.port()).is_ok()
}

/// An IPv4 address in its own family, not mapped into IPv6.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match (address, address.ip().to_canonical()) {
        (SocketAddr::V6(_), IpAddr::V4(v4)) => (v4, address.port()).into(),
        (address, _) => address,
    }
}

async fn connect(socket: Socket, target: SocketAddr) -> io::Result<Dialled> {
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        connected => return connected.map(|()| Dialled::Fresh(socket.into())),
    }
    // On one host it is up by now, or refused.
    if is_answered(&socket) {
        return match socket.take_error()? {
            Some(error) => Err(error),
            None => Ok(Dialled::Fresh(socket.into())),
        };
    }
    let stream = TcpStream::from_std(socket.into())?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(Dialled::Known(stream)),
    }
}

fn is_answered(socket: &Socket) -> bool {
    let mut sockets = [PollFd::new(socket, PollFlags::OUT)];
    matches!(poll(&mut sockets, Some(&Timespec::default())), Ok(1..))
}

fn socket(target: SocketAddr, local: IpAddr) -> io::Result<Socket> {
    let socket = open(target)?;
    if local.is_ipv4() == target.is_ipv4() {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    Ok(socket)
}

/// A socket with a fixed port, which many connections to different targets share (measured: 20 µs
/// with `connect`, as without a port).
fn bound(target: SocketAddr, local: IpAddr, port: u16) -> io::Result<Socket> {
    let socket = open(target)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(local, port).into())?;
    Ok(socket)
}

fn is_in_use(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL))
}

/// The port is chosen at `connect`, where the kernel need not find one that is free towards
/// everybody (measured: 56 µs against 250 µs a transfer).
fn open(target: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(target),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    twoport_sys::socket::choose_port_at_connect(&socket)?;
    Ok(socket)
}

fn failed(error: io::Error) -> DialError {
    let reason = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED) => Reason::DataRefused,
        Some(Errno::TIMEDOUT) => Reason::DataDialTimeout,
        _ => Reason::DataUnreachable,
    };
    DialError { reason, source: Some(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Type};
    use tokio::net::TcpListener;

    /// A listener whose queue is full: SYNs to it are dropped.
    fn black_hole() -> (SocketAddr, Vec<Socket>) {
        let hole = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        hole.bind(&any.into()).unwrap();
        hole.listen(0).unwrap();
        let address = hole.local_addr().unwrap();
        let mut held = vec![hole];
        for _ in 0..4 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _in_progress = socket.connect(&address);
            held.push(socket);
        }
        (address.as_socket().unwrap(), held)
    }

    #[tokio::test]
    async fn a_silent_address_does_not_hold_up_the_next() {
        let (silent, _held) = black_hole();
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let from = From { address: "127.0.0.1".parse().unwrap(), port: None };
        let minute = Duration::from_secs(60);
        let socket = dial_first(vec![silent, open], from, minute).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), open);
    }

    #[tokio::test]
    async fn each_address_has_its_reason() {
        let (silent, _held) = black_hole();
        let refused: SocketAddr = "127.0.0.3:1".parse().unwrap();
        let from = From { address: "127.0.0.1".parse().unwrap(), port: None };
        let patience = Duration::from_millis(300);
        let errors = dial_first(vec![refused, silent], from, patience).await.unwrap_err();
        let errors: Vec<_> = errors.into_iter().map(|(to, error)| (to, error.reason)).collect();
        let wanted = [(refused, Reason::DataRefused), (silent, Reason::DataDialTimeout)];
        assert_eq!(errors, wanted);
    }

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn the_wished_port_is_taken_where_it_is_free_and_another_where_it_is_not() {
        let local: IpAddr = "127.98.76.53".parse().unwrap();
        let listener = TcpListener::bind((local, 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        let dial = async |target, ports| {
            let dialled = dial_from_any(target, local, ports, PATIENCE).await.unwrap();
            dialled.known().unwrap()
        };
        let first = dial(target, &[47_350]).await;
        assert_eq!(first.local_addr().unwrap(), (local, 47_350).into());
        // The same four numbers cannot be had twice.
        let second = dial(target, &[47_350, 47_351]).await;
        assert_eq!(second.local_addr().unwrap(), (local, 47_351).into());
        let third = dial(target, &[47_350, 47_351]).await;
        assert!(![47_350, 47_351].contains(&third.local_addr().unwrap().port()));
        // Another target shares the port.
        let other = TcpListener::bind((local, 0)).await.unwrap();
        let target = other.local_addr().unwrap();
        let fourth = dial(target, &[47_350]).await;
        assert_eq!(fourth.local_addr().unwrap().port(), 47_350);
    }
}
