//! A connection in clear or under TLS, one type for both, so that TLS can begin in place.
//!
//! The handshakes are in [`tls`](crate::tls).

mod io;

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{Shutdown, TcpStream as Socket};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

pub use self::io::Io;
use crate::tls::Facts;

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// In clear.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<TlsStream<Io>>),
}

impl Stream {
    /// Whether it is under TLS, where an end of data without TLS's own end is a truncation.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// What its handshake agreed on; nothing in clear.
    #[must_use]
    pub fn facts(&self) -> Option<Facts> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => Some(Facts::of(tls.get_ref().1)),
        }
    }

    /// The certificate that the peer has shown in the handshake, if any.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => tls.get_ref().1.peer_certificates()?.first(),
        }
    }

    /// The name that a client asked for in the handshake (RFC 6066 §3).
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        match self {
            Self::Tls(tls) => match &**tls {
                TlsStream::Server(tls) => tls.get_ref().1.server_name(),
                TlsStream::Client(_) => None,
            },
            Self::Plain(_) => None,
        }
    }

    /// The connection beneath, to ask the kernel about it.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Plain(tcp) => Some(tcp.as_fd()),
            Self::Tls(tls) => tls.get_ref().0.fd(),
        }
    }

    /// The connection beneath, TLS left behind: after both ends have closed it (CCC).
    ///
    /// # Errors
    /// It is lost.
    pub fn into_tcp(self) -> Result<TcpStream> {
        match self {
            Self::Plain(tcp) => Ok(tcp),
            Self::Tls(tls) => match *tls {
                TlsStream::Client(tls) => tls.into_inner().0.into_tcp(),
                TlsStream::Server(tls) => tls.into_inner().0.into_tcp(),
            },
        }
    }

    /// Lets TLS take much from the system, and give up to `bytes` to it, in one call: for data that are
    /// only passed on.
    pub fn widen(&mut self, bytes: usize) {
        self.batch(bytes);
        self.read_ahead();
    }

    /// Lets TLS seal up to `bytes` before they go to the system, in one call.
    pub(crate) fn batch(&mut self, bytes: usize) {
        let Self::Tls(tls) = self else { return };
        match &mut **tls {
            TlsStream::Client(tls) => tls.get_mut().1.set_buffer_limit(Some(bytes)),
            TlsStream::Server(tls) => tls.get_mut().1.set_buffer_limit(Some(bytes)),
        }
    }

    /// Lets TLS take much from the system in one call.
    pub(crate) fn read_ahead(&mut self) {
        if let Self::Tls(tls) = self {
            tls.get_mut().0.read_ahead();
        }
    }

    /// Takes it out of the runtime, for a thread that waits by itself.
    pub(crate) fn detach(self) -> Result<Detached> {
        match self {
            Self::Plain(tcp) => tcp.into_std().map(Detached::Plain),
            Self::Tls(mut tls) => tls.get_mut().0.leave_runtime().map(|()| Detached::Tls(tls)),
        }
    }
}

/// A connection without the runtime. What cannot be done at once is [`ErrorKind::WouldBlock`].
#[derive(Debug)]
pub(crate) enum Detached {
    Plain(Socket),
    Tls(Box<TlsStream<Io>>),
}

impl Detached {
    /// Gives it back to the runtime.
    pub(crate) fn attach(self) -> Result<Stream> {
        match self {
            Self::Plain(socket) => TcpStream::from_std(socket).map(Stream::Plain),
            Self::Tls(mut tls) => tls.get_mut().0.enter_runtime().map(|()| Stream::Tls(tls)),
        }
    }

    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Plain(socket) => Some(socket.as_fd()),
            Self::Tls(tls) => tls.get_ref().0.fd(),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => now(|cx| Pin::new(&mut **tls).poll_write(cx, bytes)),
        }
    }

    pub(crate) fn read(&mut self, space: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(space),
            Self::Tls(tls) => {
                let mut buffer = ReadBuf::new(space);
                now(|cx| Pin::new(&mut **tls).poll_read(cx, &mut buffer))?;
                Ok(buffer.filled().len())
            }
        }
    }

    /// Ends the own direction; under TLS, with its own end first.
    pub(crate) fn shutdown(&mut self) -> Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown(Shutdown::Write),
            Self::Tls(tls) => now(|cx| Pin::new(&mut **tls).poll_shutdown(cx)),
        }
    }
}

fn now<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<Result<T>>) -> Result<T> {
    match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(Error::from(ErrorKind::WouldBlock)),
    }
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self::Plain(tcp)
    }
}

impl From<TlsStream<Io>> for Stream {
    fn from(tls: TlsStream<Io>) -> Self {
        Self::Tls(Box::new(tls))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    /// Under TLS this says `close_notify` and then ends the direction of TCP.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
