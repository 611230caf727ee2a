//! The control connection: bytes in as they come, each command or reply out in one write.
//!
//! It reads no lines and knows no verbs: the machines of either side do.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::data::dial::canonical;

/// How long the connection may be silent before the system probes it. Origin: it stays below the
/// shortest idle times of NATs in use (a minute), and data flow for longer than that.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How much is read at a time. Origin: replies and commands are short; FEAT is the longest that
/// comes often.
const READ: usize = 4096;

/// A control connection, either end of it.
#[derive(Debug)]
pub struct ControlStream {
    socket: TcpStream,
    local: SocketAddr,
    peer: SocketAddr,
}

impl ControlStream {
    /// Takes over a connection that is up, and sets its options: no delay, since a command or reply
    /// is one write; keep-alive; and urgent data in line, where the Synch of ABOR is read (RFC 959
    /// §4.1.3).
    ///
    /// # Errors
    /// The connection is gone already.
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        let (local, peer) = (canonical(socket.local_addr()?), canonical(socket.peer_addr()?));
        socket.set_nodelay(true)?;
        let options = SockRef::from(&socket);
        let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
        options.set_tcp_keepalive(&keep_alive)?;
        options.set_out_of_band_inline(true)?;
        Ok(Self { socket, local, peer })
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
            Ok(connected) => Self::new(connected?),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The own address, an IPv4 one in its own family: data connections use it too.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// The other end's address, an IPv4 one in its own family.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Appends what came to `bytes`; 0 is the end. May be dropped at any time, nothing is lost.
    ///
    /// # Errors
    /// What the system says.
    pub async fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            self.socket.readable().await?;
            bytes.reserve(READ);
            match self.socket.try_read_buf(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Writes all of `bytes`, in one segment where they fit: the helpers in the network read no
    /// command or reply that is split.
    ///
    /// # Errors
    /// What the system says. Not to be dropped half-way, unless the connection is given up.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await
    }

    /// Ends the own direction; what comes is still read.
    ///
    /// # Errors
    /// What the system says.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.socket.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn both_ends_talk_and_see_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let second = Duration::from_secs(1);
        let (client, accepted) =
            tokio::join!(ControlStream::dial(address, None, second), listener.accept());
        let (mut client, mut server) =
            (client.unwrap(), ControlStream::new(accepted.unwrap().0).unwrap());
        assert_eq!((client.peer(), server.peer()), (server.local(), client.local()));
        client.write(b"NOOP\r\n").await.unwrap();
        let mut bytes = Vec::new();
        assert_eq!(server.read(&mut bytes).await.unwrap(), 6);
        assert_eq!(bytes, b"NOOP\r\n");
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut bytes).await.unwrap(), 0);
    }
}
