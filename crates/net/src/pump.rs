//! The byte pump: moves a file's bytes through a data connection, both ways, for server and client.
//!
//! It knows no protocol: what the end of data means is decided by the machine that is told of it.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use twoport_proto::reason::Reason;

use crate::stream::Stream;

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
}

/// Where the bytes of a transfer go to. Called on a thread that may block.
pub trait Sink: Send + 'static {
    /// What can go wrong.
    type Error: Send + 'static;

    /// Takes all of the bytes.
    ///
    /// # Errors
    /// What the storage says.
    fn take(&mut self, chunk: &[u8]) -> Result<(), Self::Error>;
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
    mut socket: Stream,
    source: S,
    stall: Duration,
    progress: &Progress,
) -> Result<S, PumpError<S::Error>> {
    let (mut source, mut chunk) = fill(source, Vec::new()).await?;
    while !chunk.is_empty() {
        // The next chunk is read from the storage while this one goes out.
        let sent = write_all(&mut socket, &chunk, stall, progress);
        let filled = fill(source, Vec::new());
        let (sent, filled) = tokio::join!(sent, filled);
        sent?;
        (source, chunk) = filled?;
    }
    let ended = socket.shutdown().await;
    if socket.is_tls() {
        // A peer that knows the length may be gone already (curl), and has no use for our end.
        drain(&mut socket, stall.min(DRAIN)).await;
    } else {
        ended.map_err(data_error)?;
    }
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
    mut socket: Stream,
    mut sink: S,
    stall: Duration,
    progress: &Progress,
    cancel: impl Future<Output = ()>,
) -> (S, Result<bool, PumpError<S::Error>>) {
    let mut cancel = pin!(cancel);
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        let end = tokio::select! {
            biased;
            () = &mut cancel => Err(Ok(false)),
            read = read_chunk(&mut socket, &mut chunk, stall, progress) => match read {
                Ok(true) => Ok(()),
                Ok(false) => Err(Ok(true)),
                Err(error) => Err(Err(error)),
            },
        };
        let taken;
        (sink, chunk, taken) = take(sink, chunk).await;
        match (end, taken) {
            (_, Err(error)) => return (sink, Err(PumpError::Storage(error))),
            (Err(end), Ok(())) => return (sink, end),
            (Ok(()), Ok(())) => {}
        }
    }
}

/// Fills the chunk with what has come; `false` at the peer's close.
async fn read_chunk<E>(
    socket: &mut Stream,
    chunk: &mut Vec<u8>,
    stall: Duration,
    progress: &Progress,
) -> Result<bool, PumpError<E>> {
    let mut read = timeout(stall, socket.read_buf(chunk)).await?;
    while read > 0 {
        progress.add(read);
        if chunk.len() >= CHUNK {
            return Ok(true);
        }
        // What else is there already.
        read = match poll_fn(|cx| Poll::Ready(pin!(socket.read_buf(chunk)).poll(cx))).await {
            Poll::Pending => return Ok(true),
            Poll::Ready(read) => read.map_err(data_error)?,
        };
    }
    // The own end of TLS and of TCP; a peer that is gone already has no use for them.
    let _: io::Result<()> = socket.shutdown().await;
    Ok(false)
}

async fn fill<S: Source>(
    mut source: S,
    mut chunk: Vec<u8>,
) -> Result<(S, Vec<u8>), PumpError<S::Error>> {
    blocking(move || {
        chunk.reserve(CHUNK);
        source.fill(&mut chunk).map(|()| (source, chunk))
    })
    .await
    .map_err(PumpError::Storage)
}

async fn take<S: Sink>(mut sink: S, mut chunk: Vec<u8>) -> (S, Vec<u8>, Result<(), S::Error>) {
    if chunk.is_empty() {
        return (sink, chunk, Ok(()));
    }
    blocking(move || {
        let taken = sink.take(&chunk);
        chunk.clear();
        (sink, chunk, taken)
    })
    .await
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

async fn write_all<E>(
    socket: &mut Stream,
    mut bytes: &[u8],
    stall: Duration,
    progress: &Progress,
) -> Result<(), PumpError<E>> {
    while !bytes.is_empty() {
        let written = timeout(stall, socket.write(bytes)).await?;
        progress.add(written);
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
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
fn data_error<E>(error: io::Error) -> PumpError<E> {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => Reason::TlsTruncated,
        _ => Reason::DataReset,
    };
    PumpError::Data(reason, Some(error))
}
