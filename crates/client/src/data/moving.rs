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
use twoport_proto::client::transfer;
use twoport_proto::reason::Reason;

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
        socket: TcpStream,
        stall: Duration,
        progress: Progress,
        cancel: Cancel,
    ) -> impl Future<Output = Result<Self::Back, PumpError<io::Error>>> + Send;
}

/// A download into a sink.
pub(crate) struct Receive<S>(pub(crate) S);

impl<S: Sink<Error = io::Error>> Pump for Receive<S> {
    type Back = S;

    async fn run(
        self,
        socket: TcpStream,
        stall: Duration,
        progress: Progress,
        cancel: Cancel,
    ) -> Result<S, PumpError<io::Error>> {
        let (sink, end) = pump::receive(socket.into(), self.0, stall, &progress, cancelled(cancel)).await;
        end.map(|_| sink)
    }
}

/// An upload from a source.
pub(crate) struct Transmit<S>(pub(crate) S);

impl<S: pump::Source<Error = io::Error>> Pump for Transmit<S> {
    type Back = S;

    async fn run(
        self,
        socket: TcpStream,
        stall: Duration,
        progress: Progress,
        cancel: Cancel,
    ) -> Result<S, PumpError<io::Error>> {
        tokio::select! {
            sent = pump::send(socket.into(), self.0, stall, &progress) => sent,
            () = cancelled(cancel) => Err(PumpError::Data(Reason::DataReset, None)),
        }
    }
}

/// A data connection that is set up.
pub(super) enum Channel {
    Connected(TcpStream),
    Listening(Lease),
}

/// The data of one transfer, on a task of their own: the control connection is watched meanwhile.
/// Dropped, it ends the task.
pub(super) struct Moving<B> {
    channel: Option<Channel>,
    tasks: JoinSet<Result<B, PumpError<io::Error>>>,
    /// There while the task runs.
    cancel: Option<oneshot::Sender<()>>,
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
            tasks: JoinSet::new(),
            cancel: None,
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
        let open = pump.clone();
        let (cancel, mut cancelled) = oneshot::channel();
        self.cancel = Some(cancel);
        self.tasks.spawn(async move {
            let socket = match channel {
                Channel::Connected(socket) => socket,
                Channel::Listening(lease) => {
                    let nobody = PumpError::Data(Reason::ActiveNotConnected, None);
                    tokio::select! {
                        socket = accept_from(&lease, peer.ip(), accept) => socket.ok(),
                        _ = &mut cancelled => None,
                    }
                    .ok_or(nobody)?
                }
            };
            let pump = blocking(open).await.map_err(PumpError::Storage)?;
            pump.run(socket, stall, progress, cancelled).await
        });
    }

    pub(super) async fn end(&mut self) -> transfer::Input {
        let joined = self.tasks.join_next().await;
        self.cancel = None;
        let bytes = self.bytes();
        match joined {
            Some(Ok(Ok(back))) => {
                self.back = Some(back);
                transfer::Input::DataEnded { bytes }
            }
            Some(Ok(Err(PumpError::Data(reason, _)))) => {
                transfer::Input::DataFailed { reason, bytes }
            }
            Some(Ok(Err(PumpError::Storage(error)))) => self.failed(error),
            Some(Err(error)) => self.failed(io::Error::other(error)),
            None => transfer::Input::DataFailed { reason: Reason::DataReset, bytes },
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
