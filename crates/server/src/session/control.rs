//! The control connection as the driver sees it: lines in, replies out.
//!
//! It holds no buffer while nothing is on its way.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use rustix::net::RecvFlags;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use twoport_proto::line::{LineReader, MAX_COMMAND};
use twoport_proto::reply::Reply;
use twoport_proto::server::Input;

use crate::serving::Serving;

/// How long a client may leave its replies unread before it counts as gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long, and for how many bytes, a closed connection is read to the client's close: input that
/// nobody reads makes the kernel reset the connection, and the last reply is lost on its way.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 64 * 1024);

/// A control connection.
pub(super) struct Control {
    stream: TcpStream,
    lines: LineReader,
    read: VecDeque<Input>,
    out: Vec<u8>,
    lost: bool,
    told: bool,
}

impl Control {
    pub(super) fn new(stream: TcpStream, serving: &Serving) -> Self {
        if let Err(error) = prepare(&stream, serving.keep_alive) {
            tracing::debug!(target: "twoport", %error, "an option of the control socket was refused");
        }
        let lines = LineReader::new(MAX_COMMAND);
        Self { stream, lines, read: VecDeque::new(), out: Vec::new(), lost: false, told: false }
    }

    /// The next line, or the end. Nothing is lost if the future is dropped.
    pub(super) async fn read(&mut self) -> Input {
        loop {
            if let Some(input) = self.read.pop_front() {
                return input;
            }
            if self.told {
                return std::future::pending().await;
            }
            let mut bytes = [0; 1024];
            let read = match self.stream.readable().await {
                Ok(()) => self.stream.try_read(&mut bytes),
                Err(error) => Err(error),
            };
            self.take(read, &bytes);
        }
    }

    /// All that has come so far, the end included, asked of the kernel itself.
    pub(super) fn read_now(&mut self) -> VecDeque<Input> {
        while !self.told {
            let mut bytes = [0; 1024];
            match rustix::net::recv(&self.stream, &mut bytes, RecvFlags::DONTWAIT) {
                Err(rustix::io::Errno::AGAIN) => break,
                read => self.take(read.map(|(_, length)| length).map_err(Into::into), &bytes),
            }
        }
        std::mem::take(&mut self.read)
    }

    fn take(&mut self, read: io::Result<usize>, bytes: &[u8]) {
        match read {
            Ok(length @ 1..) => {
                self.lines.push(bytes.get(..length).unwrap_or_default());
                while let Some(line) = self.lines.next_line() {
                    self.read.push_back(line.map_or_else(Input::BadLine, Input::Line));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => {
                self.told = true;
                self.read.push_back(Input::Eof);
            }
        }
    }

    /// Queues a reply. One that must be alone in its segment is preceded and followed by a flush:
    /// helpers in the network look at the beginning of a segment only.
    pub(super) async fn reply(&mut self, reply: &Reply, alone: bool) {
        if alone {
            self.flush().await;
        }
        reply.encode(&mut self.out);
        if alone {
            self.flush().await;
        }
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let out = std::mem::take(&mut self.out);
        if !self.lost {
            let sent = timeout(PATIENCE, self.stream.write_all(&out)).await;
            self.lost = !matches!(sent, Ok(Ok(())));
        }
    }

    /// Whether the client takes no replies any more; told once.
    pub(super) fn is_lost(&mut self) -> bool {
        self.lost && !std::mem::replace(&mut self.told, true)
    }

    /// Closes the connection so that the last reply arrives.
    pub(super) async fn close(mut self) {
        self.flush().await;
        if self.lost || self.stream.shutdown().await.is_err() {
            return;
        }
        let (patience, mut most) = LINGER;
        let drained = async {
            let mut bytes = [0; 1024];
            while most > 0 && self.stream.readable().await.is_ok() {
                match self.stream.try_read(&mut bytes) {
                    Ok(length @ 1..) => most = most.saturating_sub(length),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Ok(0) | Err(_) => break,
                }
            }
        };
        // The time running out is as good an end as any.
        let _: Result<(), _> = timeout(patience, drained).await;
    }
}

/// No delay: a reply and the data connection it announces would wait for each other. Probes while
/// idle: a NAT forgets a silent connection during a long transfer. Urgent bytes in line: ABOR comes
/// with a Telnet Synch, and its line's end may be the urgent byte.
fn prepare(stream: &TcpStream, keep_alive: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_out_of_band_inline(true)?;
    let probes = TcpKeepalive::new().with_time(keep_alive).with_interval(keep_alive / 4);
    socket.set_tcp_keepalive(&probes)
}
