//! From a file into a connection in clear.
//!
//! It leaves the connection open.

use std::cell::RefCell;
use std::fs::File;
use std::io::{IoSliceMut, Seek as _, SeekFrom};
use std::net::TcpStream as Socket;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::net::SendFlags;
use rustix::pipe::{SpliceFlags, splice};
use tokio::net::TcpStream;
use twoport_sys::file::is_in_memory;

use super::super::pipe::Pipe;
use super::super::turn::{Turn, Watch};
use super::super::{Progress, PumpError, Source, blocking, copy, data_error, timeout};
use super::{End, out_of_runtime, suit_to_near_peer};
use crate::stream::Stream;

/// How much is sent at once, before a thread is asked for. Origin: 64 KiB are read and sent in the
/// time that changing over to a thread and back takes.
pub const SHORT: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Sends what is left of the file and leaves the connection open.
pub(in super::super) async fn go_on<S: Source>(
    tcp: TcpStream,
    mut source: S,
    begun: Begun,
    stall: Duration,
    progress: &Progress,
) -> Result<(TcpStream, S), PumpError<S::Error>> {
    let mut stream = Stream::Plain(tcp);
    copy::write_all(&mut stream, &begun.unsent, stall, progress).await?;
    let mut tcp = stream.into_tcp().map_err(data_error)?;
    if begun.is_whole {
        return Ok((tcp, source));
    }
    suit_to_near_peer(&tcp);
    let watch = Watch::default();
    loop {
        let turn = watch.turn().await;
        let (taken, counted) = (out_of_runtime(tcp).map_err(data_error)?, progress.clone());
        let (socket, end);
        (socket, source, end) = blocking(move || {
            let socket = taken;
            let end = run(&turn, &socket, &mut source, &counted);
            (socket, source, end)
        })
        .await;
        tcp = TcpStream::from_std(socket).map_err(data_error)?;
        match end {
            End::Whole => return Ok((tcp, source)),
            End::Waits | End::Cancelled => timeout(stall, tcp.writable()).await?,
            End::Socket(error) => return Err(data_error(error)),
            End::File => {
                let (stream, source) = copy::send(tcp.into(), source, stall, progress).await?;
                return Ok((stream.into_tcp().map_err(data_error)?, source));
            }
        }
    }
}

/// What was sent without waiting.
#[derive(Debug, Default)]
pub struct Begun {
    /// Read, and not yet taken by the kernel.
    unsent: Vec<u8>,
    /// Whether there is nothing more to read.
    is_whole: bool,
}

impl Begun {
    /// Whether that was all there is to do.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.is_whole && self.unsent.is_empty()
    }
}

/// Sends the first bytes if they are in memory.
pub(in super::super) fn begin<S: Source>(
    tcp: impl AsFd,
    source: &mut S,
    progress: &Progress,
) -> rustix::io::Result<Begun> {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(SHORT, 0);
        let Some((file, left)) = source.file() else {
            return Ok(Begun::default());
        };
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(SHORT);
        let mut filled = 0;
        let mut is_whole = wanted == 0;
        while let Some(space) = buffer.get_mut(filled..wanted).filter(|space| !space.is_empty()) {
            let Some(read) = read_warm(file, space, source.is_in_memory()) else { break };
            filled += read;
            is_whole = read == 0 || filled as u64 == left;
            if read == 0 {
                break;
            }
        }
        source.passed(filled as u64);
        let read = buffer.get(..filled).unwrap_or_default();
        // The runtime does not know yet that a connection just accepted can be written to.
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = match rustix::net::send(tcp, read, flags) {
            Err(Errno::AGAIN | Errno::INTR) => 0,
            sent => sent?,
        };
        progress.add(sent);
        Ok(Begun { unsent: read.get(sent..).unwrap_or_default().to_vec(), is_whole })
    })
}

/// Reads what is in memory; `None` where the disk would have to be waited for.
fn read_warm(file: &File, space: &mut [u8], in_memory: bool) -> Option<usize> {
    if in_memory {
        return rustix::io::read(file, space).ok();
    }
    let at_cursor = u64::MAX;
    let read = preadv2(file, &mut [IoSliceMut::new(space)], at_cursor, ReadWriteFlags::NOWAIT);
    match read {
        // A tmpfs does not say so when asked this way.
        Err(Errno::OPNOTSUPP) if is_in_memory(file) => rustix::io::read(file, space).ok(),
        read => read.ok(),
    }
}

/// One turn: from the file into a pipe, from the pipe into the socket.
fn run<S: Source>(turn: &Turn, socket: &Socket, source: &mut S, progress: &Progress) -> End {
    let (Some((file, left)), Ok(pipe)) = (source.file(), Pipe::take()) else { return End::File };
    let (mut sent, mut held) = (0, 0);
    let end = loop {
        if turn.is_cancelled() {
            break End::Cancelled;
        }
        if held == 0 {
            if Turn::is_over(sent) {
                break End::Waits;
            }
            let most = usize::try_from(left - sent).unwrap_or(usize::MAX).min(pipe.size);
            held = match splice(file, None, &pipe.into, None, most, SpliceFlags::MOVE) {
                Ok(0) => break End::Whole,
                Ok(held) => held,
                Err(Errno::INTR) => continue,
                Err(_) => break End::File,
            };
        }
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK | SpliceFlags::MORE;
        match splice(&pipe.out, None, socket, None, held, flags) {
            Ok(taken) => {
                held = held.saturating_sub(taken);
                sent += taken as u64;
                turn.step(|| progress.add(taken));
            }
            Err(Errno::AGAIN) if Turn::wait(Some(socket.as_fd()), PollFlags::OUT) => {}
            Err(Errno::AGAIN) => break End::Waits,
            Err(Errno::INTR) => {}
            Err(error) => break End::Socket(error),
        }
    };
    // What the pipe still holds is read again in the next turn.
    if held > 0 && go_back(file, held).is_err() {
        return End::Socket(Errno::IO);
    }
    if held == 0 || pipe.discard(held) {
        pipe.give_back();
    }
    source.passed(sent);
    end
}

fn go_back(mut file: &File, held: usize) -> std::io::Result<u64> {
    file.seek(SeekFrom::Current(-i64::try_from(held).unwrap_or(i64::MAX)))
}
