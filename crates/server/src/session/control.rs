//! The control connection as the driver sees it: lines in, replies out.
//!
//! It holds no buffer while nothing is on its way.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use twoport_net::control::{ControlStream, Outlook};
use twoport_net::tls::TlsError;
use twoport_net::tls::accept;
use twoport_net::tls::tickets::SessionTls;
use twoport_proto::line::{LineReader, MAX_COMMAND};
use twoport_proto::proxy;
use twoport_proto::reason::Reason;
use twoport_proto::reply::Reply;
use twoport_proto::server::Input;

use super::spare;

/// How long is waited for what the kernel has already.
const AT_ONCE: Duration = Duration::from_millis(50);

/// How long a client may leave its replies unread before it counts as gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long, and for how many bytes, a closed connection is read to the client's close: input that
/// nobody reads makes the kernel reset the connection, and the last reply is lost on its way.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 64 * 1024);

/// How long a handshake may take. Origin: two round trips and a slow device's arithmetic.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// A control connection.
pub(super) struct Control {
    stream: ControlStream,
    lines: LineReader,
    out: Vec<u8>,
    /// How much at its end must be alone in its segment.
    alone: u32,
    lost: bool,
    /// The client has ended its direction.
    ended: bool,
    /// And the machine was told so.
    told: bool,
    /// Whether something has been read.
    begun: bool,
}

impl Control {
    pub(super) fn new(stream: ControlStream) -> Self {
        let lines = LineReader::new(MAX_COMMAND);
        let out = Vec::new();
        Self { stream, lines, out, alone: 0, lost: false, ended: false, told: false, begun: false }
    }

    /// The next line, or the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        loop {
            if let Some(input) = self.next() {
                return Poll::Ready(input);
            }
            if self.told {
                return Poll::Pending;
            }
            ready!(self.poll_more(cx));
        }
    }

    /// What has come already: the next line, or behind them the end.
    fn next(&mut self) -> Option<Input> {
        if let Some(line) = self.lines.next_line() {
            return Some(line.map_or_else(Input::BadLine, |line| Input::Line(line.into())));
        }
        spare::keep_buffer(self.lines.release());
        (self.ended && !std::mem::replace(&mut self.told, true)).then_some(Input::Eof)
    }

    /// All that has come so far, the end included.
    pub(super) async fn read_now(&mut self) -> VecDeque<Input> {
        while !self.ended && !self.told && self.stream.has_news() {
            // Of a TLS record there may be only a part.
            if timeout(AT_ONCE, poll_fn(|cx| self.poll_more(cx))).await.is_err() {
                break;
            }
        }
        std::iter::from_fn(|| self.next()).collect()
    }

    /// A way to see news while nobody reads; none where that cannot be had, or lines wait already.
    pub(super) fn outlook(&mut self) -> Option<Outlook> {
        self.stream.outlook().ok().filter(|_| self.lines.is_empty() && !self.ended)
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (lines, begun) = (&mut self.lines, &mut self.begun);
        let read = self.stream.poll_read(cx, |bytes| {
            // The binary form of a PROXY header would look like a QUIT; here it is like the other.
            let is_header = !*begun && bytes.starts_with(&proxy::SIGNATURE);
            *begun = true;
            lines.lend(spare::buffer);
            lines.push(if is_header { b"PROXY\r\n" } else { bytes });
        });
        self.ended = !matches!(ready!(read), Ok(1..));
        Poll::Ready(())
    }

    /// Waits until the client has closed its end, while its lines are not read.
    pub(super) async fn closed(&self) {
        self.stream.closed().await;
    }

    /// How long a round trip takes; none if the system does not tell.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.stream.round_trip()
    }

    /// Begins TLS. What was read in clear and not handled would be a command that nobody protected:
    /// it ends the connection.
    pub(super) async fn secure(&mut self, config: Arc<ServerConfig>) -> Result<(), TlsError> {
        self.flush().await;
        if !self.lines.is_empty() || self.ended {
            return Err(TlsError::new(Reason::ClearBehindAuth));
        }
        let handshake = |tcp| accept::control(tcp, config, HANDSHAKE);
        self.stream.secure(handshake).await.inspect_err(|_| self.lost = true)
    }

    /// Whether it is under TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// The certificate that the client has shown, if any.
    pub(super) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.stream.peer_certificate()
    }

    /// Ends TLS, after CCC.
    pub(super) async fn lay_bare(&mut self) {
        self.flush().await;
        let bared = timeout(HANDSHAKE, self.stream.lay_bare()).await;
        self.lost |= !matches!(bared, Ok(Ok(())));
    }

    /// Queues a reply. One that must be alone in its segment is the last before a flush: helpers in the
    /// network look at the beginning of a segment only.
    pub(super) fn queue(&mut self, reply: &Reply, alone: bool) {
        if self.out.capacity() == 0 {
            self.out = spare::buffer();
        }
        let before = self.out.len();
        reply.encode(&mut self.out);
        if alone {
            self.alone = u32::try_from(self.out.len() - before).unwrap_or_default();
        }
    }

    /// Gives the client another TLS ticket, with the next reply.
    pub(super) fn give_ticket(&mut self, tls: &SessionTls) {
        self.stream.give_ticket(tls);
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) {
        let (out, alone) = (std::mem::take(&mut self.out), std::mem::take(&mut self.alone));
        let cut = out.len().saturating_sub(usize::try_from(alone).unwrap_or_default());
        let (before, alone) = out.split_at_checked(cut).unwrap_or((&out, b""));
        for part in [before, alone] {
            if !part.is_empty() && !self.lost {
                self.lost = self.stream.write_within(part, PATIENCE).await.is_err();
            }
        }
        spare::keep_buffer(out);
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
            let mut bytes = Vec::new();
            while most > 0 && matches!(self.stream.read(&mut bytes).await, Ok(1..)) {
                most = most.saturating_sub(bytes.len());
                bytes.clear();
            }
        };
        // The time running out is as good an end as any.
        let _: Result<(), _> = timeout(patience, drained).await;
    }
}
