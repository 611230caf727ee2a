//! The byte pump: moves a file's bytes through a data connection, both ways, for server and client.
//!
//! It knows no protocol: what the end of data means is decided by the machine that is told of it.
//!
//! # One interface, the best way beneath it
//!
//! [`send`] empties a [`Source`] into a connection, [`receive`] a connection into a [`Sink`]. Both
//! end the connection in the right order, count what the kernel took or gave, and give up when no
//! byte moves for the stall time. Which way the bytes take is chosen for each transfer:
//!
//! | connection | file | way |
//! |---|---|---|
//! | in clear | short, sent | read if it is in memory, and sent at once: no thread, no pipe |
//! | in clear | short, received | read at once, stored in one go: no pipe, and no thread where nothing waits |
//! | in clear | long | turns on a thread: `splice` through a pipe of a MiB (`direct`) |
//! | in clear | none: text, listings, storages in memory | the same turns, with chunks of 256 KiB (`copy`) |
//! | under TLS | any | the same chunks, sealed in one batch each, on the same thread |
//!
//! A file is what [`Source::file`] or [`Sink::file`] gives. One that converts, counts or limits
//! what passes gives none and sees every byte. Where splicing fails, for a file system that has
//! none or for a full disk, the chunks go on from the same byte: so errors of storage have one path,
//! that of [`Source::fill`] and [`Sink::take`].
//!
//! # Turns
//!
//! Work that can wait for a disk never runs on a thread of the runtime. A long transfer takes turns
//! on other threads: it moves bytes as long as the peer keeps up, waits for the peer there only for
//! moments, and else goes back to the runtime, where waiting costs nothing. The threads at work at
//! a time are bounded (`turn`), and when others wait for one, turns are short. Where one is free, a
//! source may have a part of its work done [`beside`] the turn (big directories do). A slow peer holds no
//! thread and no pipe, and no buffer but for the first 64 KiB of an upload that nobody sees yet.
//!
//! # Numbers behind the choice
//!
//! CPU seconds per GiB on loopback, Linux 6.18: file to socket by `splice` 0.04 to 0.12, by
//! `sendfile` 0.10, by read and send 0.26; socket to file by `splice` with a low-water mark of 256
//! KiB 0.31 to 0.40, by recv and write 0.60; TLS in batches of 256 KiB 0.28, of 16 KiB 0.40.
//! `./bench` measures them again.

mod copy;
mod direct;
mod pipe;
mod relay;
#[cfg(test)]
mod tests;
mod turn;

use std::fs::File;
use std::io;
use std::net::TcpStream as Socket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use twoport_proto::reason::Reason;

use crate::stream::Stream;

pub use direct::{Begun, SHORT};
pub use relay::relay;
pub use turn::beside;

/// How much is moved at a time. Origin: the measurements of copying paths level off at 256 KiB.
pub const CHUNK: usize = 256 * 1024;

/// How long a peer may keep a connection open whose data have ended. Origin: longer than the round
/// trip of any network, shorter than a client's patience for the final reply.
const DRAIN: Duration = Duration::from_secs(2);

/// Where the bytes of a transfer come from. Called on a thread that may block.
pub trait Source: Send + 'static {
    /// What can go wrong.
    type Error: Send + 'static;

    /// Appends the next bytes, about [`CHUNK`] of them; appending nothing is the end.
    ///
    /// # Errors
    /// What the storage says.
    fn fill(&mut self, chunk: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// The open file whose bytes are sent as they are, from its cursor on, and how many of them
    /// are left at most; none where they change on the way.
    fn file(&self) -> Option<(&File, u64)> {
        None
    }

    /// Whether the file is known to lie in memory, where reading waits for nothing.
    fn is_in_memory(&self) -> bool {
        false
    }

    /// Takes note that bytes of the file were sent past [`Source::fill`]; its cursor has moved.
    fn passed(&mut self, bytes: u64) {
        let _nothing_is_counted = bytes;
    }
}

/// Where the bytes of a transfer go to. Called on a thread that may block.
pub trait Sink: Send + 'static {
    /// What can go wrong.
    type Error: Send + 'static;

    /// The first bytes are there, and may have to wait a moment before they are taken.
    fn comes(&mut self) {}

    /// Takes all of the bytes.
    ///
    /// # Errors
    /// What the storage says.
    fn take(&mut self, chunk: &[u8]) -> Result<(), Self::Error>;

    /// The peer has closed after the last byte. Called once, where and when the last bytes are
    /// taken: what has to be done with a thread is done with the same.
    ///
    /// # Errors
    /// What the storage says.
    fn end(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// How long the end of the bytes at hand, in clear, is waited with before they are taken: a peer that
    /// was killed closes this connection as one that is done does, and its others a moment later.
    fn hesitates(&mut self, at_hand: usize) -> Duration {
        let _however_many = at_hand;
        Duration::ZERO
    }

    /// Whether nobody can see what it takes before the end: then a short upload may come as slowly as
    /// it likes before it is taken.
    fn is_unseen(&self) -> bool {
        false
    }

    /// Whether taking and ending wait for nothing: then a short upload needs no thread.
    fn is_at_once(&self) -> bool {
        false
    }

    /// The open file that takes the bytes as they come, at its cursor; none where they change on
    /// the way.
    fn file(&self) -> Option<&File> {
        None
    }
}

/// How far a transfer has come, readable while it runs. Counts bytes on the wire.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// The bytes moved so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Begins anew, for the next transfer. Who still reads the last one's goes on to see that.
    pub fn restart(&mut self) {
        match Arc::get_mut(&mut self.0) {
            Some(bytes) => *bytes.get_mut() = 0,
            None => *self = Self::default(),
        }
    }

    fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Why a transfer ended early.
#[derive(Debug)]
pub enum PumpError<E> {
    /// The data connection failed, or no byte moved for the stall time.
    Data(Reason, Option<io::Error>),
    /// The storage failed.
    Storage(E),
}

/// Sends all of `source`, then closes the connection: done when the kernel has taken the last byte,
/// and under TLS when the peer has closed too, or for two seconds did not. In clear it does not wait
/// for the peer's close, since some clients close only after they have read the final reply. Gives
/// the source back.
///
/// # Errors
/// The first thing that failed. `stall` is the longest time without a byte accepted by the kernel.
pub async fn send<S: Source>(
    socket: Stream,
    source: S,
    stall: Duration,
    progress: &Progress,
) -> Result<S, PumpError<S::Error>> {
    let (mut socket, source) = match socket {
        Stream::Plain(tcp) if source.file().is_some() => {
            let mut source = source;
            let begun = begin(&tcp, &mut source, progress)?;
            return go_on(tcp, source, begun, stall, progress).await;
        }
        socket => copy::send(socket, source, stall, progress).await?,
    };
    let ended = socket.shutdown().await;
    if socket.is_tls() {
        // A peer that knows the length may be gone already (curl), and has no use for our end.
        drain(&mut socket, stall.min(DRAIN)).await;
    } else {
        ended.map_err(data_error)?;
    }
    Ok(source)
}

/// Sends what needs not be waited for, through a connection in clear: of a file in memory as much as
/// the kernel takes. For a short one that is all: the end is said by closing. What is left is for
/// [`go_on`]; the runtime need not know the connection before.
///
/// # Errors
/// The connection failed.
pub fn begin<S: Source>(
    socket: impl AsFd,
    source: &mut S,
    progress: &Progress,
) -> Result<Begun, PumpError<S::Error>> {
    direct::begin(socket.as_fd(), source, progress).map_err(data_error)
}

/// Sends the rest, as [`send`] does.
///
/// # Errors
/// As for [`send`].
pub async fn go_on<S: Source>(
    tcp: TcpStream,
    source: S,
    begun: Begun,
    stall: Duration,
    progress: &Progress,
) -> Result<S, PumpError<S::Error>> {
    if begun.is_done() {
        return Ok(source);
    }
    let (mut tcp, source) = direct::go_on(tcp, source, begun, stall, progress).await?;
    tcp.shutdown().await.map_err(data_error)?;
    Ok(source)
}

/// Reads to the peer's close, so that its `close_notify` meets no closed connection: the reset that
/// would answer it can destroy the last bytes on their way (measured with strict vsftpd: 2 to 4 of
/// 5 uploads passed without this, all with it). How the peer ends is its own matter: some reset the
/// connection once they have all (curl), some keep it open until they have read the final reply.
async fn drain(socket: &mut Stream, patience: Duration) {
    let mut rest = [0; 512];
    let drained = async { while matches!(socket.read(&mut rest).await, Ok(1..)) {} };
    let _: Result<(), _> = tokio::time::timeout(patience, drained).await;
}

/// Receives until the peer closes, or until `cancel` is ready. Gives the sink back, not yet
/// committed, however it ended; `Ok(false)` is the cancelled end.
///
/// # Errors
/// The first thing that failed.
pub async fn receive<S: Sink>(
    socket: Stream,
    sink: S,
    stall: Duration,
    progress: &Progress,
    cancel: impl Future<Output = ()>,
) -> (S, Result<bool, PumpError<S::Error>>) {
    match socket {
        Stream::Plain(tcp) => direct::receive(tcp, sink, stall, progress, cancel).await,
        socket @ Stream::Tls(_) => {
            copy::receive(socket, sink, stall, progress, std::pin::pin!(cancel)).await
        }
    }
}

/// The same through a connection in clear that the runtime does not know yet.
///
/// # Errors
/// As for [`receive`].
pub async fn receive_fresh<S: Sink>(
    socket: Socket,
    sink: S,
    stall: Duration,
    progress: &Progress,
    cancel: impl Future<Output = ()>,
) -> (S, Result<bool, PumpError<S::Error>>) {
    direct::receive_fresh(socket, sink, stall, progress, cancel).await
}

/// Runs work that may block on a thread for it.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(join) => match join.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime shuts down; nobody waits for this any more.
            Err(_) => std::future::pending().await,
        },
    }
}

async fn timeout<T, E>(
    stall: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, PumpError<E>> {
    match tokio::time::timeout(stall, work).await {
        Ok(result) => result.map_err(data_error),
        Err(_) => Err(PumpError::Data(Reason::DataStalled, None)),
    }
}

/// TLS without its own end is an end of file that was not expected.
fn data_error<E>(error: impl Into<io::Error>) -> PumpError<E> {
    let error = error.into();
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => Reason::TlsTruncated,
        _ => Reason::DataReset,
    };
    PumpError::Data(reason, Some(error))
}
