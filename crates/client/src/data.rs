//! Data connections and transfers: the machines `Open` and `Transfer` on sockets.
//!
//! What the bytes are and what becomes of them is the caller's matter: it hands in a [`Pump`].

mod moving;
mod way;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use twoport_net::clock;
use twoport_net::data::dial::{self, From};
use twoport_net::pump::Progress;
use twoport_proto::client::open::{self, Failure, Mode, Step};
use twoport_proto::client::transfer::{self, Direction, Outcome, Patience, Plan, Verdict};
use twoport_proto::client::{Open, Transfer};
use twoport_proto::code::Code;
use twoport_proto::command::Command;
use twoport_proto::reason::Reason;

use self::moving::{Channel, Moving, Shield};
pub(crate) use self::moving::{Pump, Receive, Transmit, blocking};
pub(crate) use self::way::Way;
use crate::error::{Class, Error, is_tls};
use crate::session::Session;
use crate::trace::Trace;
use crate::wire::Event;

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

impl Session {
    /// Sets up a data connection and transfers. `pump` is called when the data connection is up,
    /// on a thread that may block, again for each step of the ladder: nothing is opened before.
    pub(crate) async fn transfer<P: Pump>(
        &mut self,
        job: &Job,
        pump: impl Fn() -> io::Result<P> + Clone + Send + 'static,
    ) -> Result<Moved<P::Back>, Error> {
        self.is_dirty |= self.wire.is_over();
        self.revive().await?;
        self.renew_sessions().await?;
        let mut open = Open::new(clock::now(), self.config.mode, self.network());
        loop {
            let (step, channel) = self.set_up(&mut open).await?;
            let moved = self.run(job, step, channel, &pump).await;
            self.unmap().await;
            if !is_unusable(&moved.outcome) {
                self.worked = Some(step);
                self.remember(self.worked).await;
                return Ok(moved);
            }
            self.worked = None;
            let (reason, reply) = (reason_of(moved.outcome.verdict), moved.outcome.reply);
            self.is_dirty = reply.is_none();
            // The data port is there, but no byte passes: a firewall that answers for it.
            open.handle(clock::now(), open::Input::Unusable { reason, reply });
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
                Some(open::Effect::Dial { to, patience }) => match self.dial(to, patience).await {
                    Ok(socket) => {
                        channel = Some(Channel::Connected(socket));
                        open::Input::Connected
                    }
                    Err(failures) => open::Input::DialFailed(failures),
                },
                Some(open::Effect::Listen) => {
                    let address = self.wire.control.local().ip();
                    match self.ports.lease(address) {
                        Ok(lease) => {
                            let local = (address, lease.port()).into();
                            channel = Some(Channel::Listening(lease));
                            open::Input::Listening(local)
                        }
                        Err(_) => open::Input::ListenFailed(Reason::DataListenFailed),
                    }
                }
                Some(open::Effect::Punch) => match self.prepare_hole().await {
                    Ok(local) => open::Input::Listening(local),
                    Err(reason) => open::Input::ListenFailed(reason),
                },
                Some(open::Effect::Map) => match self.map().await {
                    Ok((external, mapped)) => {
                        channel = Some(mapped);
                        open::Input::Listening(external)
                    }
                    Err(reason) => open::Input::ListenFailed(reason),
                },
                Some(open::Effect::Reconnect) => {
                    self.reconnect().await?;
                    open::Input::Reconnected
                }
                Some(open::Effect::Ready(step)) => {
                    self.wire.trace(Trace::Ready(step));
                    if step.is_punched() {
                        channel = self.open_hole();
                    }
                    let subject = || Error::why("data connection", Reason::AllModesFailed, None);
                    return channel.map(|channel| (step, channel)).ok_or_else(subject);
                }
                Some(open::Effect::Failed(failures)) => {
                    self.unmap().await;
                    self.remember(None).await;
                    return Err(no_data(failures));
                }
                None => match self.wire.next(open.deadline()).await {
                    Event::Reply(reply) => open::Input::Reply(reply),
                    Event::Lost(reason) => open::Input::Lost(reason),
                    Event::Due => open::Input::Timer,
                },
            };
            let before = open.failures().len();
            open.handle(clock::now(), input);
            self.way.seen = open.seen();
            if open.failures().len() > before {
                self.look_around();
                self.trace_last_failure(open);
            }
        }
    }

    async fn dial(
        &self,
        to: Vec<SocketAddr>,
        patience: Option<Duration>,
    ) -> Result<TcpStream, Vec<(SocketAddr, Reason)>> {
        let from = From { address: self.wire.control.local().ip(), port: None };
        let patience = patience.unwrap_or(self.config.dial_timeout);
        if let Some(proxy) = &self.config.proxy {
            return self.dial_through(proxy, to, patience).await;
        }
        let dialled = dial::dial_first(to, from, patience).await;
        dialled.map_err(|failed| failed.into_iter().map(|(to, e)| (to, e.reason)).collect())
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
        let accept = self.accept_patience();
        let mut moving =
            Moving::new(channel, job.progress.clone(), self.config.stall_timeout, accept);
        moving.shield = self.shield();
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
            if let Some(resumed) = moving.resumed() {
                transfer.handle(clock::now(), transfer::Input::Secured { resumed });
            }
            transfer.handle(clock::now(), input);
        }
    }

    /// The TLS of a data connection: the control connection's, so that it resumes its sessions.
    fn shield(&self) -> Option<Shield> {
        let guard = self.guard.clone().filter(|_| self.welcome.protected)?;
        let (patience, observer) = (self.config.connect_timeout, self.config.observer.clone());
        Some(Shield { guard, patience, observer })
    }

    /// On the ladder the verdict is wanted soon: a server that reaches us does it at its first or
    /// second SYN, which is a second later.
    pub(super) fn accept_patience(&self) -> Duration {
        const LADDER: Duration = Duration::from_secs(2);
        let trips = self.wire.conversation.round_trip().saturating_mul(3);
        match self.config.mode {
            Mode::Auto => trips.max(LADDER).min(self.config.accept_timeout),
            _ => self.config.accept_timeout,
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
            protected: self.welcome.protected,
            patience,
        }
    }
}

/// Whether the data connection itself was the trouble, so that another mode may do.
fn is_unusable(outcome: &Outcome) -> bool {
    let Verdict::Refused(reason) = outcome.verdict else { return false };
    if is_tls(reason) {
        return false;
    }
    let no_data = |code: Code| code == Code::NO_DATA_CONNECTION;
    matches!(reason, Reason::ActiveNotConnected | Reason::PunchReachedServer)
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
    if let [Failure { reason: reason @ (Reason::ControlLost | Reason::ReplyMissing), .. }] =
        failures.as_slice()
    {
        return Error::why("data connection", *reason, None);
    }
    // That an address was not dialled on purpose explains less than what came of the others.
    let is_known = |failure: &&Failure| failure.reason != Reason::DataAddressForeign;
    // Nor does it say much that there is no router to ask.
    let no_router = |failure: &Failure| failure.reason == Reason::RouterSilent;
    let mut tried = failures.iter().filter(|failure| !no_router(failure));
    let told = tried.clone().rfind(is_known).or_else(|| failures.last());
    match told.filter(|told| tried.all(|failure| failure.step == told.step)) {
        Some(Failure { step, reason, address, reply }) => {
            let to = address.map(|address| format!(" to {address}")).unwrap_or_default();
            let subject = format!("data connection by {}{to}", step.name());
            let error = Error::new(Class::NoData, subject).because(*reason);
            error.answered(reply.clone()).after(failures)
        }
        None => Error::new(Class::NoData, "data connection")
            .because(Reason::AllModesFailed)
            .after(failures),
    }
}
