//! The moving of bytes on a task of its own, while the session watches the control connection.
//!
//! It judges nothing: how it ended is told to the machine.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use twoport_net::data::listen::accept_from;
use twoport_net::data::ports::Lease;
use twoport_net::pump::{self, Progress, PumpError, Sink};
use twoport_net::stream::Stream;
use twoport_net::tls::connect::Guard;
use twoport_proto::client::transfer;
use twoport_proto::reason::Reason;

use crate::trace::{Observer, Trace};

/// Ready when the transfer is to end at once: what came by then still reaches its sink.
pub(crate) type Cancel = oneshot::Receiver<()>;

async fn cancelled(cancel: Cancel) {
    let _either_way_it_is_over = cancel.await;
}

/// One direction of moving bytes, until the end.
pub(crate) trait Pump: Send + 'static {
    /// What is left when all went well.
    type Back: Send + 'static;

    fn run(
        self,
        socket: Stream,
        stall: Duration,
        progress: Progress,
        cancel: Cancel,
    ) -> impl Future<Output = Moved<Self::Back>> + Send;
}

/// What a pump gives back: also where TLS's own end is missing, since all data may be there.
pub(crate) type Moved<B> = (Option<B>, Result<(), PumpError<io::Error>>);

/// A download into a sink.
pub(crate) struct Receive<S>(pub(crate) S);

impl<S: Sink<Error = io::Error>> Pump for Receive<S> {
    type Back = S;

    async fn run(
        self,
        socket: Stream,
        stall: Duration,
        progress: Progress,
        cancel: Cancel,
    ) -> Moved<S> {
        let cancel = cancelled(cancel);
        let (sink, end) = pump::receive(socket, self.0, stall, &progress, cancel).await;
        let whole = matches!(&end, Ok(_) | Err(PumpError::Data(Reason::TlsTruncated, _)));
        (Some(sink).filter(|_| whole), end.map(|_| ()))
    }
}

/// An upload from a source.
pub(crate) struct Transmit<S>(pub(crate) S);

impl<S: pump::Source<Error = io::Error>> Pump for Transmit<S> {
    type Back = S;

    async fn run(
        self,
        socket: Stream,
        stall: Duration,
        progress: Progress,
        cancel: Cancel,
    ) -> Moved<S> {
        tokio::select! {
            sent = pump::send(socket, self.0, stall, &progress) => match sent {
                Ok(source) => (Some(source), Ok(())),
                Err(error) => (None, Err(error)),
            },
            () = cancelled(cancel) => (None, Err(PumpError::Data(Reason::DataReset, None))),
        }
    }
}

/// A data connection that is set up.
pub(super) enum Channel {
    Connected(TcpStream),
    Listening(Lease),
    /// The server's connection through a hole, awaited since before the verb.
    Punched(JoinSet<Result<TcpStream, Reason>>),
}

/// The TLS of a data connection.
pub(super) struct Shield {
    pub(super) guard: Guard,
    pub(super) patience: Duration,
    pub(super) observer: Option<Observer>,
}

/// The connection itself: accepted in active mode, then under TLS where it is protected.
async fn up(
    channel: Channel,
    peer: std::net::SocketAddr,
    accept: Duration,
    shield: Option<Shield>,
    resumed: oneshot::Sender<bool>,
) -> Result<Stream, PumpError<io::Error>> {
    let socket = match channel {
        Channel::Connected(socket) => socket,
        Channel::Listening(lease) => accept_from(&lease, peer.ip(), accept)
            .await
            .map_err(|_| PumpError::Data(Reason::ActiveNotConnected, None))?,
        Channel::Punched(mut arriving) => {
            let arrived = arriving.join_next().await.and_then(Result::ok);
            let arrived = arrived.unwrap_or(Err(Reason::ActiveNotConnected));
            arrived.map_err(|reason| PumpError::Data(reason, None))?
        }
    };
    let Some(Shield { guard, patience, observer }) = shield else { return Ok(socket.into()) };
    let secured = guard.connect(socket, patience).await;
    let stream = secured.map_err(|error| PumpError::Data(error.reason, error.source))?;
    if let Some(facts) = stream.facts() {
        // Nobody listens where the transfer is over already.
        let _over = resumed.send(facts.resumed);
        if let Some(observer) = observer {
            observer(Trace::Secured(facts));
        }
    }
    Ok(stream)
}

/// The data of one transfer, on a task of their own: the control connection is watched meanwhile.
/// Dropped, it ends the task.
pub(super) struct Moving<B> {
    channel: Option<Channel>,
    /// What it is put under before a byte moves.
    pub(super) shield: Option<Shield>,
    tasks: JoinSet<Moved<B>>,
    /// There while the task runs.
    cancel: Option<oneshot::Sender<()>>,
    /// Whether the handshake resumed a session, once it is done.
    resumed: Option<oneshot::Receiver<bool>>,
    progress: Progress,
    /// The progress may count earlier transfers too.
    before: u64,
    stall: Duration,
    accept: Duration,
    /// What the pump gave back.
    pub(super) back: Option<B>,
    /// The local error that ended it.
    pub(super) local: Option<io::Error>,
}

impl<B: Send + 'static> Moving<B> {
    pub(super) fn new(
        channel: Channel,
        progress: Progress,
        stall: Duration,
        accept: Duration,
    ) -> Self {
        Self {
            channel: Some(channel),
            shield: None,
            tasks: JoinSet::new(),
            cancel: None,
            resumed: None,
            before: progress.bytes(),
            progress,
            stall,
            accept,
            back: None,
            local: None,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.progress.bytes().saturating_sub(self.before)
    }

    /// Whether the handshake resumed a session: told once, when it is done.
    pub(super) fn resumed(&mut self) -> Option<bool> {
        let resumed = self.resumed.as_mut()?.try_recv().ok()?;
        self.resumed = None;
        Some(resumed)
    }

    pub(super) const fn is_running(&self) -> bool {
        self.cancel.is_some()
    }

    pub(super) fn start<P: Pump<Back = B>>(
        &mut self,
        peer: std::net::SocketAddr,
        pump: &(impl Fn() -> io::Result<P> + Clone + Send + 'static),
    ) {
        let Some(channel) = self.channel.take() else { return };
        let (stall, accept, progress) = (self.stall, self.accept, self.progress.clone());
        let (open, shield) = (pump.clone(), self.shield.take());
        let (cancel, mut cancelled) = oneshot::channel();
        self.cancel = Some(cancel);
        let (tell, resumed) = oneshot::channel();
        self.resumed = Some(resumed);
        self.tasks.spawn(async move {
            let ready = tokio::select! {
                up = up(channel, peer, accept, shield, tell) => up,
                _ = &mut cancelled => Err(PumpError::Data(Reason::DataReset, None)),
            };
            // What is being opened is waited for, so that the caller can remove it.
            let ready = match ready {
                Ok(socket) => blocking(open).await.map_err(PumpError::Storage).map(|p| (socket, p)),
                Err(error) => Err(error),
            };
            match ready {
                Ok((socket, pump)) => pump.run(socket, stall, progress, cancelled).await,
                Err(error) => (None, Err(error)),
            }
        });
    }

    pub(super) async fn end(&mut self) -> transfer::Input {
        let joined = self.tasks.join_next().await;
        self.cancel = None;
        let bytes = self.bytes();
        let end = match joined {
            Some(Ok((back, end))) => {
                self.back = back;
                end
            }
            Some(Err(error)) => Err(PumpError::Storage(io::Error::other(error))),
            None => Err(PumpError::Data(Reason::DataReset, None)),
        };
        match end {
            Ok(()) => transfer::Input::DataEnded { bytes },
            Err(PumpError::Data(reason, _)) => transfer::Input::DataFailed { reason, bytes },
            Err(PumpError::Storage(error)) => self.failed(error),
        }
    }

    /// Ends the task; what came is still written.
    pub(super) async fn stop(&mut self) {
        if self.cancel.take().is_some() {
            let _judged_already = self.end().await;
        }
    }

    fn failed(&mut self, error: io::Error) -> transfer::Input {
        self.local = Some(error);
        transfer::Input::DataFailed { reason: Reason::LocalError, bytes: self.bytes() }
    }
}

/// Runs what may block on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|join| Err(io::Error::other(join)))
}
