//! One data connection in user space: two connections are joined, put under TLS where their legs
//! are, and copied both ways.
//!
//! Who may come is decided in [`hole`](crate::hole).

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::time::timeout;

use twoport_net::pump::relay;
use twoport_net::stream::Stream;
use twoport_net::tls::accept::{self, Reuse};
use twoport_net::tls::connect::Guard;
use twoport_proto::reason::Reason;

use crate::rate::{Limits, Pace};

/// How much is moved at a time. Origin: the pump's.
const CHUNK: usize = twoport_net::pump::CHUNK;

/// How long a handshake on a data connection may take. Origin: the server's data-timeout.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(30);

/// How long the other direction may take to end once the data are through. Origin: peers close
/// within a round trip; who does not is closed.
const LINGER: Duration =
    if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(30) };

/// What a data connection is put under.
pub(crate) struct Cover<'a> {
    /// TLS towards the client.
    pub(crate) accept: Option<Arc<ServerConfig>>,
    /// TLS towards the server.
    pub(crate) connect: Option<Guard>,
    /// How fast it may be.
    pub(crate) limits: Limits<'a>,
    /// Whether what the client sends goes to the server.
    pub(crate) takes_all: bool,
}

/// Both ends under TLS where they are to be, and copied until they end.
///
/// # Errors
/// A handshake that failed, or data that were cut off.
pub(crate) async fn carry(
    client: TcpStream,
    server: TcpStream,
    cover: Cover<'_>,
    moved: &AtomicU64,
) -> Result<(), Reason> {
    if cover.accept.is_none() && cover.connect.is_none() && cover.limits.are_none() {
        return in_clear(client, server, cover.takes_all, moved).await;
    }
    let accepted = async {
        match cover.accept {
            Some(config) => accept::data(client, config, Reuse::Prefer, HANDSHAKE).await,
            None => Ok(Stream::from(client)),
        }
    };
    let connected = async {
        match cover.connect {
            Some(guard) => guard.connect(server, HANDSHAKE).await,
            None => Ok(Stream::from(server)),
        }
    };
    // Each peer begins when it likes: some only after they have read the 150.
    let (client, server) = tokio::try_join!(accepted, connected).map_err(|error| error.reason)?;
    let _running = cover.limits.begin();
    copy(client, server, (cover.limits, cover.takes_all), moved).await
}

/// Neither leg under TLS: the kernel moves the bytes.
async fn in_clear(
    client: TcpStream,
    server: TcpStream,
    takes_all: bool,
    moved: &AtomicU64,
) -> Result<(), Reason> {
    let direction = async |from, to, passes: bool| {
        let mut bytes = 0;
        let result = match passes {
            true => relay(from, to, &mut bytes).await,
            false => swallow(from, to).await,
        };
        moved.fetch_add(bytes, Ordering::Relaxed);
        Ended { bytes, result }
    };
    let result = {
        let up = direction(&client, &server, takes_all);
        let down = direction(&server, &client, true);
        tokio::pin!(up, down);
        tokio::select! {
            first = &mut up => rest(first, down).await,
            first = &mut down => rest(first, up).await,
        }
    };
    result.map_err(|_| {
        for socket in [&client, &server] {
            // What cannot be reset is gone.
            let _: Result<(), _> = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
        Reason::DataReset
    })
}

/// Reads what nobody is to get, and passes its end on.
async fn swallow(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        from.readable().await?;
        match from.try_read(&mut chunk) {
            Ok(0) => return SockRef::from(to).shutdown(Shutdown::Write),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// A direction at its end: how much came through, and what the other end of it heard.
struct Ended {
    bytes: u64,
    result: io::Result<()>,
}

/// Both ways until both have ended.
///
/// An end that is no end is none on the other leg either: half a file must not pass for a whole one.
async fn copy(
    mut client: Stream,
    mut server: Stream,
    (limits, takes_all): (Limits<'_>, bool),
    moved: &AtomicU64,
) -> Result<(), Reason> {
    client.widen(CHUNK);
    server.widen(CHUNK);
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    let result = {
        let up = one_way(&mut from_client, &mut to_server, (limits, takes_all), moved);
        let down = one_way(&mut from_server, &mut to_client, (limits, true), moved);
        tokio::pin!(up, down);
        tokio::select! {
            first = &mut up => rest(first, down).await,
            first = &mut down => rest(first, up).await,
        }
    };
    let Err(error) = result else { return Ok(()) };
    let (client, server) = (from_client.unsplit(to_client), from_server.unsplit(to_server));
    // Under TLS an end without `close_notify` says of a download that it was cut, and lets a client
    // that cares for nothing but 226 keep what it has got. A server is told in words it cannot miss.
    if !client.is_tls() {
        reset(&client);
    }
    reset(&server);
    let is_cut = error.kind() == io::ErrorKind::UnexpectedEof;
    Err(if is_cut { Reason::TlsTruncated } else { Reason::DataReset })
}

/// The direction that ends last. After a clean end its own way of ending tells nothing, unless it
/// is the one that had the data: who has nothing to say may close its half at once, and the data
/// take what time they need.
async fn rest(first: Ended, other: impl Future<Output = Ended>) -> io::Result<()> {
    first.result?;
    if first.bytes == 0 {
        return other.await.result;
    }
    match timeout(LINGER, other).await {
        Ok(Ended { bytes, result }) if bytes > 0 => result,
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn one_way(
    from: &mut ReadHalf<Stream>,
    to: &mut WriteHalf<Stream>,
    (limits, passes): (Limits<'_>, bool),
    moved: &AtomicU64,
) -> Ended {
    let mut bytes = 0;
    let result = pass(from, passes.then_some(&mut *to), Pace::new(limits), &mut bytes).await;
    // Says `close_notify` under TLS.
    let result = match result {
        Ok(()) => to.shutdown().await,
        broken => broken,
    };
    moved.fetch_add(bytes, Ordering::Relaxed);
    Ended { bytes, result }
}

/// All of one direction, to its end; to nobody where there is no `to`.
async fn pass(
    from: &mut ReadHalf<Stream>,
    mut to: Option<&mut WriteHalf<Stream>>,
    mut pace: Pace<'_>,
    bytes: &mut u64,
) -> io::Result<()> {
    let (mut chunk, mut size) = (Vec::new(), 0);
    loop {
        chunk.clear();
        // The more of its client's run, the less each moves at a time.
        let next = pace.chunk(CHUNK);
        if next != size {
            (chunk, size) = (Vec::with_capacity(next), next);
        }
        let mut read = from.read_buf(&mut chunk).await;
        // TLS gives a record at a time: what else is there goes along.
        while matches!(read, Ok(1..)) && chunk.len() < chunk.capacity() {
            match poll_fn(|cx| Poll::Ready(pin!(from.read_buf(&mut chunk)).poll(cx))).await {
                Poll::Ready(more) => read = more,
                Poll::Pending => break,
            }
        }
        if let Some(to) = to.as_mut().filter(|_| !chunk.is_empty()) {
            *bytes += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            to.write_all(&chunk).await?;
            to.flush().await?;
            pace.keep(chunk.len()).await;
        }
        if read? == 0 {
            return Ok(());
        }
    }
}

fn reset(stream: &Stream) {
    // What cannot be reset is gone.
    if let Some(socket) = stream.fd() {
        let _: Result<(), _> = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    static MOVED: AtomicU64 = AtomicU64::new(0);

    #[tokio::test]
    async fn a_whole_file_is_whole_and_a_cut_one_is_cut() {
        for is_cut in [false, true] {
            let (mut client, inner) = pair().await;
            let (outer, mut server) = pair().await;
            let none =
                Cover { accept: None, connect: None, limits: Limits::default(), takes_all: true };
            let carried = tokio::spawn(carry(inner, outer, none, &MOVED));
            client.write_all(b"data").await.unwrap();
            let mut got = [0; 4];
            server.read_exact(&mut got).await.unwrap();
            if is_cut {
                SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(client);
            let end = server.read(&mut got).await;
            assert_eq!(end.is_err(), is_cut);
            drop(server);
            assert_eq!(carried.await.unwrap().is_err(), is_cut);
        }
    }

    #[tokio::test]
    async fn a_receiver_that_closes_its_half_at_once_gets_the_file_however_long_it_takes() {
        for each in [None, std::num::NonZeroU64::new(1_000_000)] {
            let (mut client, inner) = pair().await;
            let (outer, mut server) = pair().await;
            let limits = Limits { each, ..Limits::default() };
            let cover = Cover { accept: None, connect: None, limits, takes_all: true };
            let carried = tokio::spawn(carry(inner, outer, cover, &MOVED));
            client.shutdown().await.unwrap();
            assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
            for _ in 0..5 {
                tokio::time::sleep(2 * LINGER).await;
                server.write_all(b"slow").await.unwrap();
            }
            drop(server);
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.unwrap();
            assert_eq!(got.len(), 20);
            assert_eq!(carried.await.unwrap(), Ok(()));
        }
    }

    #[tokio::test]
    async fn what_the_receiver_does_after_the_end_is_no_error() {
        let (client, inner) = pair().await;
        let (outer, mut server) = pair().await;
        let none =
            Cover { accept: None, connect: None, limits: Limits::default(), takes_all: true };
        let carried = tokio::spawn(carry(inner, outer, none, &MOVED));
        server.write_all(b"download").await.unwrap();
        server.shutdown().await.unwrap();
        let mut got = [0; 8];
        let mut client = client;
        client.read_exact(&mut got).await.unwrap();
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(carried.await.unwrap(), Ok(()));
    }
}
