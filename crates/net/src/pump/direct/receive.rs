//! From a connection in clear into a file.
//!
//! What came is in the file, or was shown to the sink, however the transfer ends.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream as Socket};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::pin::{Pin, pin};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;
use twoport_proto::reason::Reason;

use super::super::pipe::Pipe;
use super::super::turn::{Turn, Watch, Water};
use super::super::{Progress, PumpError, Sink, blocking, copy, data_error, timeout};
use super::{End, out_of_runtime};
use crate::stream::Stream;
use crate::watch;

/// How much of an upload is taken without splicing. Origin: a short file comes whole, and one write
/// does it.
const AT_ONCE: usize = 64 * 1024;

/// How much of it is made room for before it comes. Origin: two pages hold most of what comes in one
/// segment.
const SHORT: usize = 8 * 1024;

/// How long the end may come behind the first bytes of an upload that somebody sees grow. Origin: a
/// peer sends a short file and closes in two steps, some microseconds apart; the clock of the runtime
/// ticks in ms.
const GATHERING: Duration = Duration::from_millis(1);

/// How much is stored in one step. Origin: it takes a tenth of a ms, and who drops a transfer waits
/// for it.
const STEP: usize = 256 * 1024;

/// Receives until the peer closes, or until `cancel` is ready.
pub(in super::super) async fn receive<S: Sink>(
    tcp: TcpStream,
    mut sink: S,
    stall: Duration,
    progress: &Progress,
    cancel: impl Future<Output = ()>,
) -> (S, Result<bool, PumpError<S::Error>>) {
    let mut cancel = pin!(cancel);
    let mut stream = Stream::Plain(tcp);
    // Only what is at hand at once is read this way: the rest is the turns'.
    let mut chunk = Vec::with_capacity(AT_ONCE);
    let first =
        copy::first(&mut stream, &mut chunk, AT_ONCE, stall, progress, cancel.as_mut()).await;
    sink.comes();
    if let Err(end) = first {
        return short(sink, chunk, end, cancel).await;
    }
    match stream.into_tcp() {
        Ok(tcp) => turns(tcp, sink, chunk, stall, progress, cancel).await,
        Err(error) => (sink, Err(data_error(error))),
    }
}

/// The same of a connection that the runtime does not know yet, and never hears of where all of a short
/// upload is there already.
pub(in super::super) async fn receive_fresh<S: Sink>(
    socket: Socket,
    mut sink: S,
    stall: Duration,
    progress: &Progress,
    cancel: impl Future<Output = ()>,
) -> (S, Result<bool, PumpError<S::Error>>) {
    let mut cancel = pin!(cancel);
    let mut chunk = Vec::with_capacity(SHORT);
    let at_hand =
        take_in(&mut chunk, &mut sink, progress, |chunk| match read_now(&socket, chunk) {
            Err(Errno::AGAIN) => None,
            read => Some(read),
        });
    let socket = match at_hand {
        ControlFlow::Break(Err(end)) => return short(sink, chunk, end, cancel).await,
        ControlFlow::Break(Ok(())) => socket,
        ControlFlow::Continue(()) => {
            let socket = match watch::for_reading(socket) {
                Ok(socket) => socket,
                Err(error) => return (sink, Err(data_error(error))),
            };
            let gathered =
                gather(&socket, &mut chunk, &mut sink, stall, progress, cancel.as_mut()).await;
            if let Err(end) = gathered {
                return short(sink, chunk, end, cancel).await;
            }
            socket.into_inner()
        }
    };
    match TcpStream::from_std(socket) {
        Ok(tcp) => turns(tcp, sink, chunk, stall, progress, cancel).await,
        Err(error) => (sink, Err(data_error(error))),
    }
}

/// Nothing where more is to come; the end of what came, or why it broke, is an error.
type Gathered<E> = Result<(), Result<bool, PumpError<E>>>;

/// What comes first: all of a short upload with its end, which is an error here. The kernel is asked
/// until it says that there is no more: the end is mostly there with the data.
async fn gather<S: Sink>(
    socket: &AsyncFd<Socket>,
    chunk: &mut Vec<u8>,
    sink: &mut S,
    stall: Duration,
    progress: &Progress,
    mut cancel: Pin<&mut impl Future<Output = ()>>,
) -> Gathered<S::Error> {
    let gathering = if sink.is_unseen() { stall } else { GATHERING };
    loop {
        let patience = if chunk.is_empty() { stall } else { gathering };
        let waited = tokio::select! {
            biased;
            () = &mut cancel => return Err(Ok(false)),
            waited = tokio::time::timeout(patience, socket.readable()) => waited,
        };
        let mut ready = match waited {
            Ok(ready) => ready.map_err(|error| Err(data_error(error)))?,
            Err(_) if patience == stall => {
                return Err(Err(PumpError::Data(Reason::DataStalled, None)));
            }
            Err(_) => return Ok(()),
        };
        let taken = take_in(chunk, sink, progress, |chunk| {
            ready.try_io(|socket| Ok(read_now(socket.get_ref(), chunk)?)).ok()
        });
        if let ControlFlow::Break(gathered) = taken {
            return gathered;
        }
    }
}

/// Takes what is there until `read` has no more; breaks at the end, and where it is too much for the way
/// of short files.
fn take_in<S: Sink, E: Into<io::Error>>(
    chunk: &mut Vec<u8>,
    sink: &mut S,
    progress: &Progress,
    mut read: impl FnMut(&mut Vec<u8>) -> Option<Result<usize, E>>,
) -> ControlFlow<Gathered<S::Error>> {
    while let Some(read) = read(chunk) {
        match read.map_err(Into::into) {
            Ok(0) => return ControlFlow::Break(Err(Ok(true))),
            Ok(read) => {
                progress.add(read);
                sink.comes();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return ControlFlow::Break(Err(Err(data_error(error)))),
        }
        if chunk.len() >= AT_ONCE {
            return ControlFlow::Break(Ok(()));
        }
    }
    ControlFlow::Continue(())
}

fn read_now(socket: &Socket, chunk: &mut Vec<u8>) -> rustix::io::Result<usize> {
    if chunk.len() == chunk.capacity() {
        chunk.reserve_exact(AT_ONCE.saturating_sub(chunk.len()));
    }
    Ok(rustix::net::recv(socket, spare_capacity(chunk), RecvFlags::DONTWAIT)?.0)
}

/// Takes what came at once, and its end.
async fn short<S: Sink>(
    mut sink: S,
    chunk: Vec<u8>,
    mut end: Result<bool, PumpError<S::Error>>,
    mut cancel: Pin<&mut impl Future<Output = ()>>,
) -> (S, Result<bool, PumpError<S::Error>>) {
    let pause = if matches!(end, Ok(true)) { sink.hesitates(chunk.len()) } else { Duration::ZERO };
    if !pause.is_zero() {
        tokio::select! {
            biased;
            () = &mut cancel => end = Ok(false),
            () = tokio::time::sleep(pause) => {}
        }
    }
    let (sink, taken) = copy::last(sink, chunk, matches!(end, Ok(true))).await;
    (sink, taken.map_err(PumpError::Storage).and(end))
}

/// Takes turns until the end.
async fn turns<S: Sink>(
    mut tcp: TcpStream,
    mut sink: S,
    mut chunk: Vec<u8>,
    stall: Duration,
    progress: &Progress,
    mut cancel: Pin<&mut impl Future<Output = ()>>,
) -> (S, Result<bool, PumpError<S::Error>>) {
    let watch = Watch::default();
    loop {
        let turn = watch.turn().await;
        let socket = match out_of_runtime(tcp) {
            Ok(socket) => socket,
            Err(error) => return (sink, Err(data_error(error))),
        };
        let (counted, first) = (progress.clone(), std::mem::take(&mut chunk));
        let mut turned = pin!(blocking(move || {
            let end = run(&turn, &socket, &mut sink, &first, &counted);
            (socket, sink, end)
        }));
        let mut is_cancelled = false;
        let (socket, back, end) = loop {
            tokio::select! {
                biased;
                turned = &mut turned => break turned,
                () = &mut cancel, if !is_cancelled => {
                    is_cancelled = true;
                    watch.cancel();
                }
            }
        };
        sink = back;
        match end {
            Err(error) => return (sink, Err(PumpError::Storage(error))),
            Ok(End::Socket(error)) => return (sink, Err(data_error(error))),
            Ok(End::Whole) => {
                // The own end; a peer that is gone already has no use for it.
                let _: io::Result<()> = socket.shutdown(Shutdown::Write);
                return (sink, Ok(true));
            }
            Ok(End::Waits | End::File | End::Cancelled) if is_cancelled => {
                return (sink, Ok(false));
            }
            Ok(End::Waits | End::File | End::Cancelled) => {}
        }
        tcp = match TcpStream::from_std(socket) {
            Ok(tcp) => tcp,
            Err(error) => return (sink, Err(data_error(error))),
        };
        if matches!(end, Ok(End::File)) {
            return copy::receive(tcp.into(), sink, stall, progress, cancel).await;
        }
        tokio::select! {
            biased;
            () = &mut cancel => return (sink, Ok(false)),
            ready = timeout(stall, tcp.readable()) => if let Err(error) = ready {
                return (sink, Err(error));
            }
        }
    }
}

/// One turn: from the socket into a pipe, from the pipe into the file.
fn run<S: Sink>(
    turn: &Turn,
    socket: &Socket,
    sink: &mut S,
    first: &[u8],
    progress: &Progress,
) -> Result<End, S::Error> {
    if !first.is_empty()
        && let Some(taken) = turn.step(|| sink.take(first))
    {
        taken?;
    }
    let Some(pipe) = sink.file().and_then(|_| Pipe::take().ok()) else { return Ok(End::File) };
    let (mut received, mut water) = (0, Water::default());
    let end = loop {
        if turn.is_cancelled() {
            break End::Cancelled;
        }
        if Turn::is_over(received) {
            break End::Waits;
        }
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(socket, None, &pipe.into, None, pipe.size, flags) {
            Ok(0) => break End::Whole,
            Ok(came) => {
                received += came as u64;
                match store(turn, &pipe, came, sink, progress)? {
                    Stored::All => {}
                    Stored::Copied => break End::File,
                    // The pipe goes with what it holds.
                    Stored::Nothing => return Ok(End::Cancelled),
                }
            }
            Err(Errno::AGAIN) => {
                if !water.wait(Some(socket.as_fd()), received) {
                    break End::Waits;
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => break End::Socket(error),
        }
    };
    water.lower(Some(socket.as_fd()));
    pipe.give_back();
    if matches!(end, End::Whole) {
        sink.end()?;
    }
    Ok(end)
}

/// What became of the bytes in the pipe.
enum Stored {
    /// They are in the file.
    All,
    /// They are in the sink, since the file does not take them this way.
    Copied,
    /// Nobody wants them any more.
    Nothing,
}

/// Empties the pipe into the file; where the file does not take it, into the sink, which finds out
/// why.
fn store<S: Sink>(
    turn: &Turn,
    pipe: &Pipe,
    mut held: usize,
    sink: &mut S,
    progress: &Progress,
) -> Result<Stored, S::Error> {
    while held > 0 {
        let Some(file) = sink.file() else { break };
        let step = held.min(STEP);
        let stored = turn.step(|| {
            splice(&pipe.out, None, file, None, step, SpliceFlags::MOVE)
                .inspect(|stored| progress.add(*stored))
        });
        match stored {
            None => return Ok(Stored::Nothing),
            Some(Err(Errno::INTR)) => {}
            Some(Ok(0) | Err(_)) => break,
            Some(Ok(stored)) => held = held.saturating_sub(stored),
        }
    }
    if held == 0 {
        return Ok(Stored::All);
    }
    let mut rest = vec![0; held];
    let mut filled = 0;
    while let Some(space) = rest.get_mut(filled..).filter(|space| !space.is_empty()) {
        match rustix::io::read(&pipe.out, space) {
            Err(Errno::INTR) => {}
            Ok(0) | Err(_) => break,
            Ok(read) => filled += read,
        }
    }
    let taken = turn.step(|| {
        progress.add(filled);
        sink.take(rest.get(..filled).unwrap_or_default())
    });
    match taken {
        None => Ok(Stored::Nothing),
        Some(taken) => taken.map(|()| Stored::Copied),
    }
}
