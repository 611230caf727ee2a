//! The control connection: bytes in as they come, each command or reply out in one write.
//!
//! It reads no lines and knows no verbs: the machines of either side do.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustls::pki_types::CertificateDer;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use twoport_proto::proxy::Ends;

use crate::data::dial::canonical;
use crate::stream::Stream;
use crate::tls::tickets::SessionTls;
use crate::tls::{Facts, TlsError};

/// How long the connection may be silent before the system probes it. Origin: it stays below the
/// shortest idle times of NATs in use (a minute), and data flow for longer than that.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How much is read at a time. Origin: replies and commands are short; FEAT is the longest that
/// comes often.
const READ: usize = 4096;

/// A control connection, either end of it.
#[derive(Debug)]
pub struct ControlStream {
    /// None only while TLS begins or ends on it.
    socket: Option<Stream>,
    local: SocketAddr,
    peer: SocketAddr,
    /// The end on this machine, which a load balancer's client does not see.
    own: SocketAddr,
    maker: IpAddr,
    /// Made for the first upload.
    outlook: Option<Outlook>,
    /// The peer may send urgent data, before which the kernel ends a read.
    may_be_urgent: bool,
}

impl ControlStream {
    /// Takes over a connection that is up, and sets its options: no delay, since a command or reply
    /// is one write; keep-alive; and urgent data in line, where the Synch of ABOR is read (RFC 959
    /// §4.1.3).
    ///
    /// # Errors
    /// The connection is gone already.
    pub fn new(socket: TcpStream, keep_alive: Duration) -> io::Result<Self> {
        set_options(&socket, keep_alive)?;
        Self::inheriting(socket)
    }

    /// The same of a connection that has its options from its listener ([`set_options`]).
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn inheriting(socket: TcpStream) -> io::Result<Self> {
        let (local, peer) = (canonical(socket.local_addr()?), canonical(socket.peer_addr()?));
        Ok(Self {
            socket: Some(socket.into()),
            local,
            peer,
            own: local,
            maker: peer.ip(),
            outlook: None,
            may_be_urgent: true,
        })
    }

    /// For a peer that sends no urgent data, as servers do not (the Synch of ABOR is a client's): what a
    /// read gives is then all that is there. One that does send them is read on when it sends more.
    #[must_use]
    pub fn without_urgent_data(self) -> Self {
        Self { may_be_urgent: false, ..self }
    }

    /// The client's end of a connection that was made through a proxy.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn of_client(socket: TcpStream) -> io::Result<Self> {
        Self::new(socket, KEEP_ALIVE)
    }

    /// The same, made by a load balancer for a client that it has named: the ends are those of the
    /// client's own connection.
    #[must_use]
    pub fn on_behalf_of(self, ends: Option<Ends>) -> Self {
        match ends {
            Some(Ends { source, destination }) => Self { local: destination, peer: source, ..self },
            None => self,
        }
    }

    /// Connects from `local`, or from whichever address the system chooses.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::TimedOut`] after `patience`.
    pub async fn dial(
        peer: SocketAddr,
        local: Option<IpAddr>,
        patience: Duration,
    ) -> io::Result<Self> {
        let socket = if peer.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(local) = local.filter(|local| local.is_ipv4() == peer.is_ipv4()) {
            socket.bind((local, 0).into())?;
        }
        match tokio::time::timeout(patience, socket.connect(peer)).await {
            Ok(connected) => Self::of_client(connected?),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The own address, an IPv4 one in its own family: data connections use it too.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// The end on this machine, where data connections arrive: the same as [`local`](Self::local)
    /// unless a load balancer is between.
    #[must_use]
    pub const fn own(&self) -> SocketAddr {
        self.own
    }

    /// Who made the connection: the same as [`peer`](Self::peer) unless a load balancer is between.
    #[must_use]
    pub const fn maker(&self) -> IpAddr {
        self.maker
    }

    /// The other end's address, an IPv4 one in its own family.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// How long a round trip takes; none if the system does not tell.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        let socket = self.socket.as_ref()?;
        let microseconds = twoport_sys::socket::round_trip(socket.fd()?).ok()?;
        Some(Duration::from_micros(microseconds.into()))
    }

    /// Whether it is under TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.socket.as_ref().is_some_and(Stream::is_tls)
    }

    /// What its handshake agreed on; nothing in clear.
    #[must_use]
    pub fn facts(&self) -> Option<Facts> {
        self.socket.as_ref().and_then(Stream::facts)
    }

    /// The certificate that the peer has shown in the handshake, if any.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.socket.as_ref().and_then(Stream::peer_certificate)
    }

    /// The name that a client asked for in the handshake.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.socket.as_ref().and_then(Stream::server_name)
    }

    /// Appends what came to `bytes`; 0 is the end. May be dropped at any time, nothing is lost, and
    /// no buffer is held while nothing comes.
    ///
    /// # Errors
    /// What the system or TLS says.
    pub async fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, |came| bytes.extend_from_slice(came))).await
    }

    /// The same, shown to `take` where it stands, for who waits for more than one thing.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Some(Stream::Plain(tcp)) if self.may_be_urgent => poll_plain(tcp, cx, take),
            Some(Stream::Plain(tcp)) => poll_all(tcp, cx, take),
            Some(Stream::Tls(tls)) => poll_all(&mut **tls, cx, take),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Whether the kernel holds something unread, an end included: asked of the kernel itself,
    /// which knows before the runtime does.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.socket.as_ref().and_then(Stream::fd).is_some_and(has_news)
    }

    /// A way to ask for news from elsewhere.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn outlook(&mut self) -> io::Result<Outlook> {
        if let Some(known) = &self.outlook {
            return Ok(known.clone());
        }
        let socket =
            self.socket.as_ref().and_then(Stream::fd).ok_or(io::ErrorKind::NotConnected)?;
        let outlook = Outlook(Arc::new(rustix::io::fcntl_dupfd_cloexec(socket, 0)?));
        self.outlook = Some(outlook.clone());
        Ok(outlook)
    }

    /// Waits until the peer has closed its end. Nothing is read.
    pub async fn closed(&self) {
        /// How often is looked. Origin: nobody waits for it but others who wait their turn.
        const LOOK: Duration = Duration::from_millis(100);
        while let Some(descriptor) = self.socket.as_ref().and_then(Stream::fd) {
            let mut sockets = [PollFd::new(&descriptor, PollFlags::RDHUP)];
            let ready = poll(&mut sockets, Some(&Timespec::default()));
            if ready.is_ok_and(|ready| ready > 0) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Writes all of `bytes`, in one segment where they fit: the helpers in the network read no
    /// command or reply that is split.
    ///
    /// # Errors
    /// What the system says. Not to be dropped half-way, unless the connection is given up.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        socket.write_all(bytes).await?;
        socket.flush().await
    }

    /// The same, for no longer than `patience`: no timer is set where the kernel takes all at once.
    ///
    /// # Errors
    /// As for [`write`](Self::write); [`io::ErrorKind::TimedOut`] where the peer does not read.
    pub async fn write_within(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        let written = self.write_now(bytes)?;
        match bytes.get(written..).filter(|rest| !rest.is_empty()) {
            Some(rest) => tokio::time::timeout(patience, self.write(rest)).await?,
            None => Ok(()),
        }
    }

    /// Writes what the kernel takes at once; nothing under TLS. The kernel itself is asked: the
    /// runtime does not know yet that a connection just accepted can be written to.
    fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(Stream::Plain(tcp)) = &self.socket else { return Ok(0) };
        match rustix::net::send(tcp, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            sent => Ok(sent?),
        }
    }

    /// Queues another TLS ticket of the session, which goes out with what is written next.
    pub fn give_ticket(&mut self, tls: &SessionTls) {
        if let Some(socket) = &mut self.socket {
            tls.give_ticket(socket);
        }
    }

    /// Ends the own direction; what comes is still read.
    ///
    /// # Errors
    /// What the system says.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?.shutdown().await
    }

    /// Begins TLS in place. What `handshake` does decides which end this is.
    ///
    /// # Errors
    /// Why the handshake failed; the connection is closed then.
    pub async fn secure<F: Future<Output = Result<Stream, TlsError>>>(
        &mut self,
        handshake: impl FnOnce(TcpStream) -> F,
    ) -> Result<(), TlsError> {
        let socket =
            self.socket.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        self.socket = Some(handshake(socket.into_tcp()?).await?);
        Ok(())
    }

    /// Ends TLS in place, after CCC: says `close_notify`, reads the peer's, and goes on in clear.
    ///
    /// # Errors
    /// The peer did not close TLS properly: the connection is of no use any more.
    pub async fn lay_bare(&mut self) -> io::Result<()> {
        let Some(Stream::Tls(mut tls)) = self.socket.take() else { return Ok(()) };
        tls.get_mut().1.send_close_notify();
        tls.flush().await?;
        let mut rest = [0; 64];
        while tls.read(&mut rest).await? > 0 {}
        self.socket = Some(Stream::Plain(Stream::Tls(tls).into_tcp()?));
        Ok(())
    }
}

/// Sets the options of a control connection, or of a listener: on Linux, what it accepts has them from
/// the start.
///
/// # Errors
/// What the system says.
pub fn set_options(socket: impl AsFd, keep_alive: Duration) -> io::Result<()> {
    let options = SockRef::from(&socket);
    let keep_alive = TcpKeepalive::new().with_time(keep_alive).with_interval(keep_alive);
    options.set_tcp_nodelay(true)?;
    options.set_tcp_keepalive(&keep_alive)?;
    options.set_out_of_band_inline(true)
}

/// Sees whether a control connection has news, on any thread.
#[derive(Clone, Debug)]
pub struct Outlook(Arc<OwnedFd>);

impl Outlook {
    /// As [`ControlStream::has_news`].
    #[must_use]
    pub fn has_news(&self) -> bool {
        has_news(&self.0)
    }
}

fn has_news(socket: impl AsFd) -> bool {
    let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
    let peeked = rustix::net::recv(socket, &mut [0_u8; 1], flags);
    !matches!(peeked, Err(Errno::AGAIN))
}

/// Reads until the kernel says that there is no more: it ends a read before an urgent byte (the
/// Synch of ABOR), and the runtime takes a short read for the last one.
fn poll_plain(
    tcp: &TcpStream,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]),
) -> Poll<io::Result<usize>> {
    loop {
        ready!(tcp.poll_read_ready(cx))?;
        let mut space = [0; READ];
        match tcp.try_read(&mut space) {
            Ok(length) => {
                take(space.get(..length).unwrap_or_default());
                return Poll::Ready(Ok(length));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// Reads once: what comes after it wakes the task again.
fn poll_all(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]),
) -> Poll<io::Result<usize>> {
    let mut space = [MaybeUninit::uninit(); READ];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    take(buffer.filled());
    Poll::Ready(Ok(buffer.filled().len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn what_a_listener_accepts_has_its_options() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let minute = Duration::from_secs(60);
        set_options(&listener, minute).unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (_client, (accepted, _)) = (client.unwrap(), accepted.unwrap());
        let options = SockRef::from(&accepted);
        assert!(options.tcp_nodelay().unwrap() && options.keepalive().unwrap());
        assert!(options.out_of_band_inline().unwrap());
        assert_eq!(options.tcp_keepalive_time().unwrap(), minute);
        assert_eq!(options.tcp_keepalive_interval().unwrap(), minute);
    }

    #[tokio::test]
    async fn both_ends_talk_and_see_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let second = Duration::from_secs(1);
        let (client, accepted) =
            tokio::join!(ControlStream::dial(address, None, second), listener.accept());
        let (mut client, mut server) =
            (client.unwrap(), ControlStream::new(accepted.unwrap().0, second).unwrap());
        assert_eq!((client.peer(), server.peer()), (server.local(), client.local()));
        client.write(b"NOOP\r\n").await.unwrap();
        let mut bytes = Vec::new();
        assert_eq!(server.read(&mut bytes).await.unwrap(), 6);
        assert_eq!(bytes, b"NOOP\r\n");
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut bytes).await.unwrap(), 0);
    }
}
