//! The way of chunks through memory: for text, listings, storages without files, and TLS.
//!
//! Storage is read and written on threads that may block; the connection stays with the runtime.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{CHUNK, Progress, PumpError, Sink, Source, blocking, data_error, timeout};
use crate::stream::Stream;

/// Sends all of the source and leaves the connection open.
pub(super) async fn send<S: Source>(
    mut socket: Stream,
    source: S,
    stall: Duration,
    progress: &Progress,
) -> Result<(Stream, S), PumpError<S::Error>> {
    socket.batch(CHUNK);
    let (mut source, mut chunk) = fill(source, Vec::new()).await?;
    let mut next = Vec::new();
    while !chunk.is_empty() {
        // The next chunk is read from the storage while this one goes out.
        let sent = write_all(&mut socket, &chunk, stall, progress);
        let filled = fill(source, next);
        let (sent, filled) = tokio::join!(sent, filled);
        sent?;
        (source, next) = filled?;
        std::mem::swap(&mut chunk, &mut next);
        next.clear();
    }
    Ok((socket, source))
}

/// Receives until the peer closes, or until `cancel` is ready.
pub(super) async fn receive<S: Sink>(
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
            read = read_chunk(&mut socket, &mut chunk, CHUNK, stall, progress) => match read {
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
pub(super) async fn read_chunk<E>(
    socket: &mut Stream,
    chunk: &mut Vec<u8>,
    most: usize,
    stall: Duration,
    progress: &Progress,
) -> Result<bool, PumpError<E>> {
    let mut read = timeout(stall, socket.read_buf(chunk)).await?;
    while read > 0 {
        progress.add(read);
        if chunk.len() >= most {
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

pub(super) async fn write_all<E>(
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
