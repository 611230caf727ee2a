//! Data connections and transfers: the machines `Open` and `Transfer` on sockets.
//!
//! What the bytes are and what becomes of them is the caller's matter: it hands in a [`Pump`].

use std::io;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use twoport_net::clock;
use twoport_net::data::dial::{self, From};
use twoport_net::data::listen::accept_from;
use twoport_net::data::ports::Lease;
use twoport_net::pump::{self, Progress, PumpError, Sink};
use twoport_proto::client::open::{self, Failure, Step};
use twoport_proto::client::transfer::{self, Direction, Outcome, Patience, Plan, Verdict};
use twoport_proto::client::{Open, Transfer};
use twoport_proto::code::Code;
use twoport_proto::command::Command;
use twoport_proto::reason::Reason;

use crate::config::Config;
use crate::error::{Class, Error};
use crate::session::Session;
use crate::trace::Trace;
use crate::wire::Event;

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
        stall: std::time::Duration,
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
        stall: std::time::Duration,
        progress: Progress,
        cancel: Cancel,
    ) -> Result<S, PumpError<io::Error>> {
        let (sink, end) = pump::receive(socket, self.0, stall, &progress, cancelled(cancel)).await;
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
        stall: std::time::Duration,
        progress: Progress,
        cancel: Cancel,
    ) -> Result<S, PumpError<io::Error>> {
        tokio::select! {
            sent = pump::send(socket, self.0, stall, &progress) => sent,
            () = cancelled(cancel) => Err(PumpError::Data(Reason::DataReset, None)),
        }
    }
}

/// What is to be transferred, without the session's own part of a plan.
pub(crate) struct Job {
    pub(crate) command: Command,
    pub(crate) direction: Direction,
    pub(crate) restart: u64,
    pub(crate) size: Option<u64>,
    pub(crate) progress: Progress,
}

/// What a transfer did.
pub(crate) struct Moved<B> {
    pub(crate) outcome: Outcome,
    pub(crate) step: Step,
    /// What the pump gave back, if it came to its end.
    pub(crate) back: Option<B>,
    /// The local error that ended it.
    pub(crate) local: Option<io::Error>,
}

/// A data connection that is set up.
enum Channel {
    Connected(TcpStream),
    Listening(Lease),
}

impl Session {
    /// Sets up a data connection and transfers. `pump` is called when the data connection is up,
    /// on a thread that may block, again for each step of the ladder: nothing is opened before.
    pub(crate) async fn transfer<P: Pump>(
        &mut self,
        job: &Job,
        pump: impl Fn() -> io::Result<P> + Clone + Send + 'static,
    ) -> Result<Moved<P::Back>, Error> {
        let round_trip = self.wire.conversation.round_trip();
        let peer = self.wire.control.peer();
        let mut open = Open::new(clock::now(), self.config.mode, peer, round_trip, self.worked);
        loop {
            let (step, channel) = self.set_up(&mut open).await?;
            let moved = self.run(job, step, channel, &pump).await;
            if !is_unusable(&moved.outcome) {
                self.worked = Some(step);
                return Ok(moved);
            }
            self.worked = None;
            if !open.can_climb() {
                return Ok(moved);
            }
            // The data port is there, but no byte passes: a firewall that answers for it.
            open.handle(clock::now(), open::Input::Unusable(reason_of(moved.outcome.verdict)));
            self.trace_last_failure(&open);
        }
    }

    async fn set_up(&mut self, open: &mut Open) -> Result<(Step, Channel), Error> {
        let mut channel = None;
        loop {
            let input = match open.poll() {
                Some(open::Effect::Command(command)) => {
                    self.wire.send(&command).await;
                    continue;
                }
                Some(open::Effect::Dial { to, patience }) => {
                    let from = From { address: self.wire.control.local().ip(), port: None };
                    let patience = patience.unwrap_or(self.config.connect_timeout);
                    match dial::dial(to, from, patience).await {
                        Ok(socket) => {
                            channel = Some(Channel::Connected(socket));
                            open::Input::Connected
                        }
                        Err(error) => open::Input::DialFailed(error.reason),
                    }
                }
                Some(open::Effect::Listen) => {
                    let address = self.wire.control.local().ip();
                    match self.ports.lease(address) {
                        Ok(lease) => {
                            let local = (address, lease.port()).into();
                            channel = Some(Channel::Listening(lease));
                            open::Input::Listening(local)
                        }
                        Err(_) => open::Input::ListenFailed,
                    }
                }
                Some(open::Effect::Reconnect) => {
                    self.reconnect().await?;
                    open::Input::Reconnected
                }
                Some(open::Effect::Ready(step)) => {
                    self.wire.trace(Trace::Ready(step));
                    let subject = || Error::why("data connection", Reason::AllModesFailed, None);
                    return channel.map(|channel| (step, channel)).ok_or_else(subject);
                }
                Some(open::Effect::Failed(failures)) => return Err(no_data(failures)),
                None => match self.wire.next(open.deadline()).await {
                    Event::Reply(reply) => open::Input::Reply(reply),
                    Event::Lost(reason) => open::Input::Lost(reason),
                    Event::Due => open::Input::Timer,
                },
            };
            let before = open.failures().len();
            open.handle(clock::now(), input);
            if open.failures().len() > before {
                self.trace_last_failure(open);
            }
        }
    }

    fn trace_last_failure(&self, open: &Open) {
        if let Some(failure) = open.failures().last() {
            self.wire.trace(Trace::Failed(failure));
        }
    }

    async fn run<P: Pump>(
        &mut self,
        job: &Job,
        step: Step,
        channel: Channel,
        pump: &(impl Fn() -> io::Result<P> + Clone + Send + 'static),
    ) -> Moved<P::Back> {
        let mut transfer = Transfer::new(clock::now(), self.plan(job));
        let mut moving = Moving::new(channel, job.progress.clone(), &self.config);
        let peer = self.wire.control.peer();
        let mut lost = false;
        loop {
            while let Some(effect) = transfer.poll() {
                match effect {
                    transfer::Effect::Command(command) => self.wire.send(&command).await,
                    transfer::Effect::Start => moving.start(peer, pump),
                    transfer::Effect::Stop => moving.stop().await,
                    transfer::Effect::Done(outcome) => {
                        let Moving { back, local, .. } = moving;
                        return Moved { outcome, step, back, local };
                    }
                }
            }
            let deadline = transfer.deadline();
            let input = tokio::select! {
                input = moving.end(), if moving.is_running() => input,
                event = self.wire.next(deadline), if !lost => match event {
                    Event::Reply(reply) => transfer::Input::Reply(reply),
                    Event::Lost(reason) => {
                        lost = true;
                        transfer::Input::Lost(reason)
                    }
                    Event::Due => transfer::Input::Timer { bytes: moving.bytes() },
                },
            };
            transfer.handle(clock::now(), input);
        }
    }

    fn plan(&self, job: &Job) -> Plan {
        let patience = Patience {
            reply: self.config.reply_timeout,
            confirm: self.config.confirm_timeout,
            round_trip: self.wire.conversation.round_trip(),
        };
        Plan {
            command: job.command.clone(),
            direction: job.direction,
            restart: job.restart,
            size: job.size,
            patience,
        }
    }
}

/// The data of one transfer, on a task of their own: the control connection is watched meanwhile.
/// Dropped, it ends the task.
struct Moving<B> {
    channel: Option<Channel>,
    tasks: JoinSet<Result<B, PumpError<io::Error>>>,
    /// There while the task runs.
    cancel: Option<oneshot::Sender<()>>,
    progress: Progress,
    /// The progress may count earlier transfers too.
    before: u64,
    stall: std::time::Duration,
    accept: std::time::Duration,
    back: Option<B>,
    local: Option<io::Error>,
}

impl<B: Send + 'static> Moving<B> {
    fn new(channel: Channel, progress: Progress, config: &Config) -> Self {
        Self {
            channel: Some(channel),
            tasks: JoinSet::new(),
            cancel: None,
            before: progress.bytes(),
            progress,
            stall: config.stall_timeout,
            accept: config.accept_timeout,
            back: None,
            local: None,
        }
    }

    fn bytes(&self) -> u64 {
        self.progress.bytes().saturating_sub(self.before)
    }

    const fn is_running(&self) -> bool {
        self.cancel.is_some()
    }

    fn start<P: Pump<Back = B>>(
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

    async fn end(&mut self) -> transfer::Input {
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
    async fn stop(&mut self) {
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

/// Whether the data connection itself was the trouble, so that another mode may do.
fn is_unusable(outcome: &Outcome) -> bool {
    let Verdict::Refused(reason) = outcome.verdict else { return false };
    let no_data = |code: Code| code == Code::NO_DATA_CONNECTION;
    reason == Reason::ActiveNotConnected
        || outcome.reply.as_ref().is_some_and(|reply| no_data(reply.code))
}

const fn reason_of(verdict: Verdict) -> Reason {
    match verdict {
        Verdict::Confirmed => Reason::ControlRefused,
        Verdict::Unconfirmed(reason) | Verdict::Truncated(reason) | Verdict::Refused(reason) => {
            reason
        }
    }
}

fn no_data(failures: Vec<Failure>) -> Error {
    // One mode that failed says more than the sum; a lost control connection is not about data.
    match failures.as_slice() {
        [Failure { reason: reason @ (Reason::ControlLost | Reason::ReplyMissing), .. }] => {
            Error::why("data connection", *reason, None)
        }
        _ => Error::new(Class::NoData, "data connection")
            .because(Reason::AllModesFailed)
            .after(failures),
    }
}
