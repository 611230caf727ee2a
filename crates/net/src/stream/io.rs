//! The socket beneath TLS: with the runtime while a peer is waited for, and without it in a turn of
//! the pump, where the runtime would only be woken for each segment.
//!
//! It knows nothing of TLS. See [`Detached`](super::Detached).

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream as Socket;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How much is read at a time where much is to come. Origin: rustls itself reads 4 KiB at a time,
/// which is four system calls for a record; from 64 KiB on the calls no longer count.
const AHEAD: usize = 64 * 1024;

/// A socket with or without the runtime, and what was read from it ahead.
#[derive(Debug)]
pub struct Io {
    socket: Place,
    /// Empty unless much is to come.
    ahead: Vec<u8>,
    from: usize,
    to: usize,
}

#[derive(Debug)]
enum Place {
    Runtime(TcpStream),
    Thread(Socket),
    /// On its way from one to the other, and lost if that fails.
    Nowhere,
}

impl Io {
    pub(crate) const fn new(tcp: TcpStream) -> Self {
        Self { socket: Place::Runtime(tcp), ahead: Vec::new(), from: 0, to: 0 }
    }

    /// Reads in large pieces from now on.
    pub(crate) fn read_ahead(&mut self) {
        self.ahead.resize(AHEAD, 0);
    }

    pub(crate) fn leave_runtime(&mut self) -> io::Result<()> {
        if let Place::Runtime(tcp) = std::mem::replace(&mut self.socket, Place::Nowhere) {
            self.socket = Place::Thread(tcp.into_std()?);
        }
        Ok(())
    }

    pub(crate) fn enter_runtime(&mut self) -> io::Result<()> {
        if let Place::Thread(socket) = std::mem::replace(&mut self.socket, Place::Nowhere) {
            self.socket = Place::Runtime(TcpStream::from_std(socket)?);
        }
        Ok(())
    }

    pub(crate) fn into_tcp(self) -> io::Result<TcpStream> {
        match self.socket {
            Place::Runtime(tcp) => Ok(tcp),
            Place::Thread(socket) => TcpStream::from_std(socket),
            Place::Nowhere => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.socket {
            Place::Runtime(tcp) => Some(tcp.as_fd()),
            Place::Thread(socket) => Some(socket.as_fd()),
            Place::Nowhere => None,
        }
    }

    fn poll_socket(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Place::Runtime(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Place::Thread(socket) => {
                let read = not_now(socket.read(buffer.initialize_unfilled()));
                read.map_ok(|read| buffer.advance(read))
            }
            Place::Nowhere => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

/// On a thread nobody is woken: the turn asks again when the kernel says so.
fn not_now<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let io = self.get_mut();
        if io.from == io.to {
            if io.ahead.is_empty() {
                return io.poll_socket(cx, buffer);
            }
            let mut ahead = std::mem::take(&mut io.ahead);
            let mut space = ReadBuf::new(&mut ahead);
            let read = io.poll_socket(cx, &mut space);
            (io.from, io.to) = (0, space.filled().len());
            io.ahead = ahead;
            std::task::ready!(read)?;
        }
        let held = io.ahead.get(io.from..io.to).unwrap_or_default();
        let taken = held.get(..held.len().min(buffer.remaining())).unwrap_or_default();
        buffer.put_slice(taken);
        io.from += taken.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Place::Runtime(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Place::Thread(socket) => not_now(socket.write(bytes)),
            Place::Nowhere => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Place::Runtime(tcp) => Pin::new(tcp).poll_write_vectored(cx, pieces),
            Place::Thread(socket) => not_now(socket.write_vectored(pieces)),
            Place::Nowhere => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Place::Runtime(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Place::Thread(socket) => Poll::Ready(socket.shutdown(std::net::Shutdown::Write)),
            Place::Nowhere => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}
