//! The way of chunks through memory: for text, listings, storages without files, and TLS.
//!
//! In a turn one thread does all with a chunk, from storage to sealing to socket or back, so that it
//! stays in that core's cache; nobody waits for a peer there but for moments.

use std::future::poll_fn;
use std::io::{Error, ErrorKind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use super::turn::{Turn, Watch, Water};
use super::{CHUNK, Progress, PumpError, Sink, Source, blocking, data_error, direct, timeout};
use crate::stream::{Detached, Stream};
use rustix::event::PollFlags;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::yield_now;

/// How a turn ended.
enum End {
    /// The data ended.
    Whole,
    /// The peer does not keep up, or the turn is over.
    Waits,
    /// Somebody ended it.
    Cancelled,
}

/// Bytes on their way out, from the first that the connection has not taken.
#[derive(Default)]
struct Outgoing {
    chunk: Vec<u8>,
    from: usize,
}

impl Outgoing {
    fn rest(&self) -> &[u8] {
        self.chunk.get(self.from..).unwrap_or_default()
    }
}

/// Sends all of the source and leaves the connection open.
pub(super) async fn send<S: Source>(
    mut stream: Stream,
    mut source: S,
    stall: Duration,
    progress: &Progress,
) -> Result<(Stream, S), PumpError<S::Error>> {
    stream.batch(CHUNK);
    let watch = Watch::default();
    let mut out = Outgoing::default();
    loop {
        let turn = watch.turn().await;
        let (mut detached, counted) = (stream.detach().map_err(data_error)?, progress.clone());
        let end;
        (detached, source, out, end) = blocking(move || {
            let end = turn_out(&turn, &mut detached, &mut source, &mut out, &counted);
            (detached, source, out, end)
        })
        .await;
        stream = detached.attach().map_err(data_error)?;
        if matches!(end?, End::Whole) {
            // Under TLS the last batch may have been taken, and not yet sent.
            timeout(stall, stream.flush()).await?;
            return Ok((stream, source));
        }
        let written = timeout(stall, stream.write(out.rest())).await?;
        progress.add(written);
        out.from += written;
    }
}

/// One turn: from the source into the chunk, from the chunk into the connection.
fn turn_out<S: Source>(
    turn: &Turn,
    stream: &mut Detached,
    source: &mut S,
    out: &mut Outgoing,
    progress: &Progress,
) -> Result<End, PumpError<S::Error>> {
    let (mut sent, mut is_long) = (0, false);
    loop {
        if turn.is_cancelled() {
            return Ok(End::Cancelled);
        }
        if sent >= CHUNK as u64
            && !is_long
            && let Some(socket) = stream.fd()
        {
            is_long = true;
            direct::suit_to_near_peer(socket);
        }
        if out.rest().is_empty() {
            out.chunk.clear();
            out.from = 0;
            out.chunk.reserve(CHUNK);
            source.fill(&mut out.chunk).map_err(PumpError::Storage)?;
            if out.chunk.is_empty() {
                return Ok(End::Whole);
            }
            if Turn::is_over(sent) {
                return Ok(End::Waits);
            }
        }
        let written = match stream.write(out.rest()) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if Turn::wait(stream.fd(), PollFlags::OUT) {
                    continue;
                }
                return Ok(End::Waits);
            }
            written => written.map_err(data_error)?,
        };
        turn.step(|| progress.add(written));
        out.from += written;
        sent += written as u64;
    }
}

/// Sends bytes that are in memory.
pub(super) async fn write_all<E>(
    stream: &mut Stream,
    mut bytes: &[u8],
    stall: Duration,
    progress: &Progress,
) -> Result<(), PumpError<E>> {
    while !bytes.is_empty() {
        let written = timeout(stall, stream.write(bytes)).await?;
        progress.add(written);
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Receives until the peer closes, or until `cancel` is ready.
pub(super) async fn receive<S: Sink>(
    mut stream: Stream,
    mut sink: S,
    stall: Duration,
    progress: &Progress,
    mut cancel: Pin<&mut impl Future<Output = ()>>,
) -> (S, Result<bool, PumpError<S::Error>>) {
    stream.read_ahead();
    let watch = Watch::default();
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        let begun = first(&mut stream, &mut chunk, CHUNK, stall, progress, cancel.as_mut()).await;
        if let Err(end) = begun {
            let (sink, taken) = last(sink, chunk, matches!(end, Ok(true))).await;
            return (sink, taken.map_err(PumpError::Storage).and(end));
        }
        let turn = watch.turn().await;
        let (mut detached, counted) = match stream.detach() {
            Ok(detached) => (detached, progress.clone()),
            Err(error) => return (sink, Err(data_error(error))),
        };
        let mut turned = pin!(blocking(move || {
            let end = turn_in(&turn, &mut detached, &mut sink, &mut chunk, &counted);
            (detached, sink, chunk, end)
        }));
        let mut is_cancelled = false;
        let (detached, end);
        (detached, sink, chunk, end) = loop {
            tokio::select! {
                biased;
                turned = &mut turned => break turned,
                () = &mut cancel, if !is_cancelled => {
                    is_cancelled = true;
                    watch.cancel();
                }
            }
        };
        match end {
            Err(error) => return (sink, Err(error)),
            Ok(End::Whole) => return (sink, Ok(true)),
            Ok(End::Waits | End::Cancelled) if is_cancelled => return (sink, Ok(false)),
            Ok(End::Waits | End::Cancelled) => {}
        }
        stream = match detached.attach() {
            Ok(stream) => stream,
            Err(error) => return (sink, Err(data_error(error))),
        };
    }
}

/// One turn: what was read first into the sink, and what comes after it.
fn turn_in<S: Sink>(
    turn: &Turn,
    stream: &mut Detached,
    sink: &mut S,
    chunk: &mut Vec<u8>,
    progress: &Progress,
) -> Result<End, PumpError<S::Error>> {
    let (mut filled, mut received) = (chunk.len(), 0);
    let mut water = Water::default();
    // Once for the turn: what is read over it needs no zeros first.
    chunk.resize(CHUNK.max(filled), 0);
    let end = loop {
        if !store(turn, sink, chunk.get(..filled))? || turn.is_cancelled() {
            break End::Cancelled;
        }
        if Turn::is_over(received) {
            break End::Waits;
        }
        let more;
        (filled, more) = fill(stream, chunk);
        turn.step(|| progress.add(filled));
        received += filled as u64;
        match more {
            Ok(true) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if filled == 0 && !water.wait(stream.fd(), received) {
                    break End::Waits;
                }
            }
            // Before an error and an end, too, what came is stored.
            more => {
                let is_wanted = store(turn, sink, chunk.get(..filled))?;
                more.map_err(data_error)?;
                // The own end; a peer that is gone already has no use for it.
                let _: Result<(), Error> = stream.shutdown();
                if !is_wanted {
                    break End::Cancelled;
                }
                sink.end().map_err(PumpError::Storage)?;
                break End::Whole;
            }
        }
    };
    water.lower(stream.fd());
    chunk.clear();
    Ok(end)
}

/// Hands the bytes to the sink; `false` if nobody wants them any more.
fn store<S: Sink>(
    turn: &Turn,
    sink: &mut S,
    bytes: Option<&[u8]>,
) -> Result<bool, PumpError<S::Error>> {
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return Ok(true) };
    let taken = turn.step(|| sink.take(bytes));
    taken.map_or(Ok(false), |taken| taken.map(|()| true).map_err(PumpError::Storage))
}

/// Fills the space with what is there, or to its brim; `false` at the peer's close.
fn fill(stream: &mut Detached, space: &mut [u8]) -> (usize, Result<bool, Error>) {
    let mut filled = 0;
    while let Some(space) = space.get_mut(filled..).filter(|space| !space.is_empty()) {
        match stream.read(space) {
            Ok(0) => return (filled, Ok(false)),
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (filled, Err(error)),
        }
    }
    (filled, Ok(true))
}

/// How long the end may come behind the first bytes without a thread being asked for. Origin: a peer
/// sends a short file and closes in two steps, some microseconds apart; the clock of the runtime
/// ticks in ms.
const GATHERING: Duration = Duration::from_millis(1);

/// How often the runtime's others have their turn before a timer is set for that. Origin: most ends
/// are there at the second; a timer wakes a thread.
const GLANCES: usize = 2;

/// The first bytes after a pause, waited for where it costs nothing, with what comes right behind.
/// What ends the transfer is an error here.
pub(super) async fn first<E>(
    stream: &mut Stream,
    chunk: &mut Vec<u8>,
    most: usize,
    stall: Duration,
    progress: &Progress,
    mut cancel: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), Result<bool, PumpError<E>>> {
    next(stream, chunk, most, stall, progress, cancel.as_mut()).await?;
    for _ in 0..GLANCES {
        if chunk.len() >= most {
            return Ok(());
        }
        yield_now().await;
        let mut glance = pin!(next(stream, chunk, most, stall, progress, cancel.as_mut()));
        if let Poll::Ready(end) = poll_fn(|cx| Poll::Ready(glance.as_mut().poll(cx))).await {
            end?;
        }
    }
    let gathered = tokio::time::timeout(GATHERING, async {
        while chunk.len() < most {
            next(stream, chunk, most, stall, progress, cancel.as_mut()).await?;
        }
        Ok(())
    });
    gathered.await.unwrap_or(Ok(()))
}

async fn next<E>(
    stream: &mut Stream,
    chunk: &mut Vec<u8>,
    most: usize,
    stall: Duration,
    progress: &Progress,
    cancel: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), Result<bool, PumpError<E>>> {
    tokio::select! {
        biased;
        () = cancel => Err(Ok(false)),
        read = read_chunk(stream, chunk, most, stall, progress) => match read {
            Ok(true) => Ok(()),
            Ok(false) => Err(Ok(true)),
            Err(error) => Err(Err(error)),
        },
    }
}

/// Fills the chunk with what has come; `false` at the peer's close. Nothing is lost if the future is
/// dropped.
async fn read_chunk<E>(
    stream: &mut Stream,
    chunk: &mut Vec<u8>,
    most: usize,
    stall: Duration,
    progress: &Progress,
) -> Result<bool, PumpError<E>> {
    let mut read = timeout(stall, stream.read_buf(chunk)).await?;
    while read > 0 {
        progress.add(read);
        if chunk.len() >= most {
            return Ok(true);
        }
        // What else is there already.
        read = match poll_fn(|cx| Poll::Ready(pin!(stream.read_buf(chunk)).poll(cx))).await {
            Poll::Pending => return Ok(true),
            Poll::Ready(read) => read.map_err(data_error)?,
        };
    }
    if stream.is_tls() {
        // The own end; a peer that is gone already has no use for it. In clear, closing says it.
        let _: Result<(), Error> = stream.shutdown().await;
    }
    Ok(false)
}

/// Hands the last chunk to the sink, and tells it if it was the end.
pub(super) async fn last<S: Sink>(
    mut sink: S,
    chunk: Vec<u8>,
    is_end: bool,
) -> (S, Result<(), S::Error>) {
    if chunk.is_empty() && !is_end {
        return (sink, Ok(()));
    }
    let is_at_once = sink.is_at_once();
    let work = move || {
        let mut taken = if chunk.is_empty() { Ok(()) } else { sink.take(&chunk) };
        if is_end && taken.is_ok() {
            taken = sink.end();
        }
        (sink, taken)
    };
    if is_at_once { work() } else { blocking(work).await }
}
