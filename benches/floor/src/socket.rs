//! Sockets of both kinds of servers: what can be done at once is, and the reactor hears of a socket
//! only where something has to be waited for.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Who waits for a session's peer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A thread of its own, in the calls.
    Threads,
    /// The reactor.
    Tasks,
}

impl Kind {
    fn flags(self) -> SocketFlags {
        match self {
            Self::Threads => SocketFlags::CLOEXEC,
            Self::Tasks => SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        }
    }
}

/// A socket that the reactor may know.
pub enum Socket<S: AsRawFd> {
    Fresh(S),
    Known(AsyncFd<S>),
    Closed,
}

/// A listener on a port of the kernel's choice; it blocks nobody.
pub fn listener() -> io::Result<(Socket<TcpListener>, u16)> {
    let flags = Kind::Tasks.flags();
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::listen(&socket, 1)?;
    let listener = TcpListener::from(socket);
    let port = listener.local_addr()?.port();
    Ok((Socket::new(listener), port))
}

/// A connection to the address: made, or being made.
pub fn connect(address: SocketAddr, kind: Kind) -> io::Result<TcpStream> {
    let socket: OwnedFd =
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, kind.flags(), None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

impl<S: AsRawFd + AsFd> Socket<S> {
    pub fn new(socket: S) -> Self {
        Self::Fresh(socket)
    }

    fn get(&self) -> rustix::io::Result<&S> {
        match self {
            Self::Fresh(socket) => Ok(socket),
            Self::Known(known) => Ok(known.get_ref()),
            Self::Closed => Err(Errno::NOTCONN),
        }
    }

    /// Waits in the reactor for a change.
    async fn changed(&mut self, interest: Interest) -> io::Result<()> {
        if let Self::Fresh(_) = self
            && let Self::Fresh(socket) = std::mem::replace(self, Self::Closed)
        {
            let interest = Interest::READABLE | Interest::WRITABLE;
            // SAFETY: a socket of std has one descriptor, until it is dropped.
            *self = Self::Known(unsafe { AsyncFd::register_with_interest(socket, interest) }?);
        }
        if let Self::Known(known) = self {
            // Each call is tried before, so that what was there then is of no use any more.
            known.ready(interest).await?.clear_ready();
        }
        Ok(())
    }
}

impl Socket<TcpListener> {
    /// The connection that waits to be accepted, if there is one.
    pub fn accept_at_once(&self, kind: Kind) -> io::Result<Option<TcpStream>> {
        match rustix::net::accept_with(self.get()?, kind.flags()) {
            Err(Errno::AGAIN) => Ok(None),
            accepted => Ok(Some(accepted?.into())),
        }
    }

    pub async fn accept(&mut self, kind: Kind) -> io::Result<TcpStream> {
        loop {
            if let Some(accepted) = self.accept_at_once(kind)? {
                return Ok(accepted);
            }
            match kind {
                Kind::Threads => drop(poll(&mut [PollFd::new(self.get()?, PollFlags::IN)], None)?),
                Kind::Tasks => self.changed(Interest::READABLE).await?,
            }
        }
    }
}

impl Socket<TcpStream> {
    pub async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::net::send(self.get()?, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(Errno::AGAIN) => self.changed(Interest::WRITABLE).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Fills the room that `bytes` has with what is there; `None` if that is nothing, else whether the
    /// peer has not closed.
    pub fn receive_at_once(
        &self,
        bytes: &mut Vec<u8>,
        flags: RecvFlags,
    ) -> io::Result<Option<bool>> {
        match rustix::net::recv(self.get()?, spare_capacity(bytes), flags) {
            Ok((received, _)) => Ok(Some(received > 0)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The same, waiting for it.
    pub async fn receive(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            if let Some(is_open) = self.receive_at_once(bytes, RecvFlags::empty())? {
                return Ok(is_open);
            }
            self.changed(Interest::READABLE).await?;
        }
    }

    /// The same where nothing can be there yet: a command after a reply.
    pub async fn receive_later(&mut self, kind: Kind, bytes: &mut Vec<u8>) -> io::Result<bool> {
        if kind == Kind::Tasks {
            self.changed(Interest::READABLE).await?;
        }
        bytes.reserve(128);
        self.receive(bytes).await
    }
}
