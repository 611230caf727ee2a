//! The pump between files and loopback connections: whole, cut, slow, full.
//!
//! What the end of data means to a session is tested there.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream as Socket};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;

const STALL: Duration = Duration::from_secs(20);

/// A file that is sent and stored as it is; `room` is how much of it the disk takes.
struct Whole {
    file: File,
    room: u64,
    taken: u64,
}

impl Whole {
    fn of(file: File) -> Self {
        Self { file, room: u64::MAX, taken: 0 }
    }
}

impl Source for Whole {
    type Error = io::Error;

    fn fill(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        (&mut self.file).take(CHUNK as u64).read_to_end(chunk).map(drop)
    }

    fn file(&self) -> Option<(&File, u64)> {
        Some((&self.file, self.room - self.taken))
    }

    fn passed(&mut self, bytes: u64) {
        self.taken += bytes;
    }
}

impl Sink for Whole {
    type Error = io::Error;

    fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.taken += chunk.len() as u64;
        if self.taken > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all(chunk)
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

fn bytes(count: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

fn pair() -> (Stream, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = Socket::connect(listener.local_addr().unwrap()).unwrap();
    let (near, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    (Stream::Plain(TcpStream::from_std(near).unwrap()), far)
}

fn file_of(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

async fn sent(source: Whole, pause: Duration) -> (Vec<u8>, u64) {
    let (near, mut far) = pair();
    let reader = std::thread::spawn(move || {
        std::thread::park_timeout(pause);
        let mut got = Vec::new();
        far.read_to_end(&mut got).map(|_| got)
    });
    let progress = Progress::default();
    send(near, source, STALL, &progress).await.unwrap();
    (reader.join().unwrap().unwrap(), progress.bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_any_length_arrive_whole() {
    for length in [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 1 << 20, 9_000_001] {
        let content = bytes(length);
        let (got, counted) = sent(Whole::of(file_of(&content)), Duration::ZERO).await;
        assert!(got == content, "{length}: {} came", got.len());
        assert_eq!(counted, length as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_ends_where_it_shall() {
    let content = bytes(3 << 20);
    for (from, length) in [(0, 1), (5, 70_000), (1 << 20, 1 << 20), (100, 9 << 20)] {
        let mut file = file_of(&content);
        file.seek(io::SeekFrom::Start(from as u64)).unwrap();
        let source = Whole { room: length as u64, ..Whole::of(file) };
        let (got, _) = sent(source, Duration::ZERO).await;
        assert!(got == content[from..content.len().min(from + length)], "{from} {length}");
    }
}

/// The peer reads nothing for longer than a turn waits: the pipe is given up and filled again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_pauses_gets_every_byte_once() {
    let content = bytes(24 << 20);
    let (got, counted) = sent(Whole::of(file_of(&content)), Duration::from_millis(200)).await;
    assert!(got == content);
    assert_eq!(counted, content.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_reads_stalls() {
    let (near, _far) = pair();
    let source = Whole::of(file_of(&bytes(24 << 20)));
    let stall = Duration::from_millis(50);
    let sent = send(near, source, stall, &Progress::default()).await;
    assert!(matches!(sent, Err(PumpError::Data(Reason::DataStalled, None))));
}

/// More transfers than threads, each to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_take_turns() {
    let content: &'static [u8] = bytes(6 << 20).leak();
    let all = (0..3 * turn::THREADS).map(|_| {
        tokio::spawn(async move { sent(Whole::of(file_of(content)), Duration::ZERO).await.0 })
    });
    for got in all.collect::<Vec<_>>() {
        assert!(got.await.unwrap() == content);
    }
}

/// Sends the pieces with a pause after each, and closes as told.
fn feed(mut far: Socket, pieces: Vec<Vec<u8>>) -> std::thread::JoinHandle<Socket> {
    std::thread::spawn(move || {
        for piece in pieces {
            far.write_all(&piece).unwrap();
            std::thread::park_timeout(Duration::from_millis(60));
        }
        far.shutdown(Shutdown::Write).unwrap();
        far
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_of_any_length_and_pace_are_stored_whole() {
    let pieces: [&[usize]; 5] =
        [&[], &[1], &[70_000], &[9_000_001], &[2_000_000, 100, 3_000_000, 7]];
    for lengths in pieces {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let pieces: Vec<_> = lengths.iter().map(|length| bytes(*length)).collect();
        let content = pieces.concat();
        let (near, far) = pair();
        let feeder = feed(far, pieces);
        let sink = Whole::of(File::create(&path).unwrap());
        let progress = Progress::default();
        let (_, end) = receive(near, sink, STALL, &progress, std::future::pending()).await;
        assert!(matches!(end, Ok(true)), "{end:?}");
        assert!(fs::read(&path).unwrap() == content, "{lengths:?}");
        assert_eq!(progress.bytes(), content.len() as u64);
        drop(feeder.join().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_a_cancellation_is_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let content = bytes(5_000_000);
    let (near, mut far) = pair();
    let (cancel, cancelled) = oneshot::channel::<()>();
    let progress = Progress::default();
    let (counted, sent) = (progress.clone(), content.clone());
    let feeder = std::thread::spawn(move || {
        far.write_all(&sent).unwrap();
        while counted.bytes() < sent.len() as u64 {
            std::thread::yield_now();
        }
        cancel.send(()).unwrap();
        far
    });
    let sink = Whole::of(File::create(&path).unwrap());
    let cancelled = async { cancelled.await.unwrap() };
    let (_, end) = receive(near, sink, STALL, &progress, cancelled).await;
    assert!(matches!(end, Ok(false)), "{end:?}");
    assert!(fs::read(&path).unwrap() == content);
    drop(feeder.join().unwrap());
}

/// `/dev/full` takes no byte and cannot be spliced into: the sink is shown them and says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_takes_nothing_is_the_sinks_to_explain() {
    let (near, far) = pair();
    let feeder = feed(far, vec![bytes(100)]);
    let sink = Whole::of(File::options().write(true).open("/dev/full").unwrap());
    let progress = Progress::default();
    let (_, end) = receive(near, sink, STALL, &progress, std::future::pending()).await;
    assert!(matches!(end, Err(PumpError::Storage(error)) if error.raw_os_error() == Some(28)));
    drop(feeder.join().unwrap());
}

/// Opened to be appended to, a file cannot be spliced into: what the pipe holds is not lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_spliced_is_copied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let content = bytes(4_000_000);
    let (near, far) = pair();
    let feeder = feed(far, vec![content.clone()]);
    let sink = Whole::of(File::options().append(true).create(true).open(&path).unwrap());
    let progress = Progress::default();
    let (_, end) = receive(near, sink, STALL, &progress, std::future::pending()).await;
    assert!(matches!(end, Ok(true)), "{end:?}");
    assert!(fs::read(&path).unwrap() == content);
    drop(feeder.join().unwrap());
}

/// Who drops a transfer may measure the file and go on from there: nothing is written behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_transfer_stores_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = directory.path().join(round.to_string());
        let (near, mut far) = pair();
        let feeder = std::thread::spawn(move || while far.write_all(&[7; 65_536]).is_ok() {});
        let sink = Whole::of(File::create(&path).unwrap());
        let progress = Progress::default();
        let receiving = receive(near, sink, STALL, &progress, std::future::pending());
        let flowing = async {
            while progress.bytes() < 3 << 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = flowing => {}
            _ = receiving => panic!("it ended"),
        }
        let length = fs::metadata(&path).unwrap().len();
        feeder.join().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
    }
}
