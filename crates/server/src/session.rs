//! The driver of a session: carries a control connection's bytes to its machine, and out into the
//! world what the machine decides.
//!
//! It decides nothing about the protocol. Each turn of [`Driver::run`] gives the machine one input
//! and drains its effects.

mod channel;
mod connection;
mod control;
pub(crate) mod source;
mod spare;
mod way;
mod work;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::watch;

use twoport_net::clock;
use twoport_net::control::ControlStream;
use twoport_net::data::desk::Desk;
use twoport_net::pump::blocking;
use twoport_net::timer::Timer;
use twoport_net::tls::TlsError;
use twoport_net::tls::accept::Reuse;
use twoport_net::tls::tickets::{Identity, SessionTls};
use twoport_proto::code::Code;
use twoport_proto::data::door::Guard;
use twoport_proto::reason::Reason;
use twoport_proto::server::{
    DataEvent, Decision, Effect, Grant, Input, Job, Note, Outcome, Policy, Session, Ticket,
};

use self::channel::Channel;
use self::connection::Connection;
use self::control::Control;
use self::spare::Bench;
use self::work::{Finished, Moving, Phase, Slot};
use crate::accounts::certificate::Shown;
use crate::config::listener::Door;
use crate::job;
use crate::limits::Place;
use crate::log::{self, SESSIONS, Transferred, Who};
use crate::serving::Serving;
use crate::transfer::Opened;
use crate::world::World;

/// How far the server is on its way to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It serves.
    #[default]
    No,
    /// Transfers may finish.
    Gracefully,
    /// All is closed.
    Now,
}

/// A session under way.
pub(crate) struct Driver {
    session: Session,
    control: Control,
    channel: Channel,
    serving: Arc<Serving>,
    place: Place,
    who: Who,
    world: Option<World>,
    /// The job that the session waits for.
    job: Slot,
    /// The transfer, from the opening of its file to its end.
    transfer: Slot,
    moving: Moving,
    inputs: VecDeque<Input>,
    timer: Timer,
    stop: watch::Receiver<Stop>,
    /// What TLS brings, once it is needed.
    tls: Option<Box<Private>>,
    /// How the client came in.
    door: Door,
    /// The offer that waits its turn at a shared port.
    turn: Option<Ticket>,
    open: bool,
}

/// What TLS brings into a session.
struct Private {
    /// Its tickets are of this session's own.
    own: SessionTls,
    /// What is asked of data connections.
    reuse: Reuse,
    /// The session's name in the tickets.
    identity: Identity,
    /// The client's certificate, where it can log in.
    certificate: Option<Shown>,
}

/// A connection just accepted, and where.
pub(crate) struct At {
    pub(crate) stream: ControlStream,
    /// How the client came in, and the rules there.
    pub(crate) door: Door,
    pub(crate) policy: Arc<Policy>,
    /// Where data connections to the same port are told from log-ins.
    pub(crate) desk: Arc<Desk>,
}

impl Driver {
    /// A session on a connection just accepted.
    pub(crate) fn new(
        At { stream, door, policy, desk }: At,
        number: u64,
        serving: Arc<Serving>,
        place: Place,
        stop: watch::Receiver<Stop>,
    ) -> Self {
        let (local, peer) = (stream.local(), stream.peer());
        let begin = if door.implicit { Session::implicit } else { Session::new };
        let channel = Channel::new(number, &stream, &serving, desk);
        let session = begin(policy, local, peer, clock::now());
        let who = Who { session: number, peer: peer.ip(), user: None, anonymous: false };
        Self {
            session: session.dialling_from(channel.dials_from()),
            channel,
            control: Control::new(stream),
            serving,
            place,
            who,
            world: None,
            job: Slot::default(),
            transfer: Slot::default(),
            moving: Moving::default(),
            // What is lent begins with the greeting.
            inputs: VecDeque::with_capacity(1),
            timer: Timer::default(),
            stop,
            tls: None,
            door,
            turn: None,
            open: true,
        }
    }

    /// Runs the session to its end. What happens once in a session is boxed, here and below: the
    /// task of an idle one has no room for it.
    pub(crate) async fn run(mut self: Box<Self>) {
        if self.door.implicit
            && let Err(reason) = Box::pin(self.begin_tls()).await
        {
            return log::note(&self.who, &Note::why(Decision::Close, "session", reason));
        }
        self.drain().await;
        while self.open {
            if self.give_next() {
                self.drain().await;
            } else {
                self.idle();
                self.wait().await;
            }
        }
        Box::pin(self.end()).await;
    }

    async fn end(mut self: Box<Self>) {
        if self.moving.phase != Phase::Droppable
            && let Finished::Received { receiving, .. } = self.transfer.finished().await
        {
            blocking(move || receiving.keep()).await;
        }
        self.channel.close();
        self.control.close().await;
    }

    async fn begin_tls(&mut self) -> Result<(), Reason> {
        let tls = self.serving.tls.as_ref().and_then(|tls| tls.at(&self.door));
        let (Some(tls), Some(binder)) = (tls, &self.serving.binder) else {
            return Err(Reason::TlsUnavailable);
        };
        let identity = Identity::random().map_err(|_| Reason::LocalError)?;
        let own = binder.bind(identity, &tls.for_host(self.session.host()));
        let (reuse, logs_in) = (tls.reuse, tls.logs_in);
        let begun = self.control.secure(Arc::clone(&own.control)).await;
        let shown = self.control.certificate().filter(|_| logs_in);
        let certificate = shown.map(|certificate| Shown::read(certificate));
        self.tls = Some(Box::new(Private { own, reuse, identity, certificate }));
        begun.map_err(|error| self.tls_failed(&error))
    }

    /// What TLS said goes to the log; the client sees its alert.
    fn tls_failed(&self, error: &TlsError) -> Reason {
        if let Some(source) = &error.source {
            let (session, peer) = (self.who.session, self.who.peer);
            tracing::info!(target: SESSIONS, session, %peer, error = %source, "TLS failed");
        }
        error.reason
    }

    /// Gives back the memory that is needed at work only.
    fn idle(&mut self) {
        if self.inputs.capacity() > 0 {
            let (room, inputs) = (self.session.release(), std::mem::take(&mut self.inputs));
            spare::keep_bench(Bench { room, inputs });
        }
    }

    /// Takes it for the time of the work.
    fn lend(&mut self) {
        if self.inputs.capacity() == 0 {
            let Bench { room, mut inputs } = spare::bench();
            // So that there is something to be given back.
            inputs.reserve(1);
            self.session.lend(room);
            self.inputs = inputs;
        }
    }

    /// Whether there was one.
    fn give_next(&mut self) -> bool {
        let next = self.inputs.pop_front();
        next.map(|input| self.give(input)).is_some()
    }

    fn queue(&mut self, input: Input) {
        self.lend();
        self.inputs.push_back(input);
    }

    fn give(&mut self, input: Input) {
        let now = clock::now();
        if matches!(input, Input::Line(_)) && self.session.is_transferring() {
            self.session.handle(now, Input::Progress(self.moving.progress.bytes()));
        }
        self.session.handle(now, input);
    }

    /// Waits for whatever happens first, and queues what the machine is to hear of it: inputs are large,
    /// and no future holds one.
    async fn wait(&mut self) {
        while self.inputs.is_empty() {
            if self.moving.received.is_some() {
                Box::pin(self.commit_received()).await;
                if !self.inputs.is_empty() {
                    return;
                }
            }
            let deadline = self.session.deadline();
            let due = deadline.into_iter().chain(self.channel.kept_until()).min();
            let wants_lines = self.session.wants_lines();
            tokio::select! {
                // In no order: who floods one of them holds up none of the others.
                finished = self.transfer.finished() => {
                    if let Some(input) = self.transfer_finished(finished) {
                        self.queue(input);
                    }
                }
                finished = self.job.finished() => {
                    if let Some(input) = self.job_finished(finished) {
                        self.queue(input);
                    }
                }
                event = self.channel.accept() => self.queue(Input::Data(event)),
                stop = stopping(&mut self.stop) => self.queue(match stop {
                    Stop::Now => Input::Terminate,
                    Stop::No | Stop::Gracefully => Input::Shutdown,
                }),
                () = poll_fn(|cx| self.timer.poll_reached(due, cx)) => {
                    let now = clock::now();
                    self.channel.give_back(now);
                    if deadline.is_some_and(|deadline| deadline <= now) {
                        self.queue(Input::Timer);
                    }
                }
                heard = heard(&mut self.control, wants_lines), if wants_lines || self.turn.is_some() => {
                    if let Some(input) = heard {
                        self.queue(input);
                    } else {
                        self.job = Slot::default();
                        if let Some(ticket) = self.turn.take() {
                            self.queue(Input::Done(ticket, Outcome::Failed(Reason::ControlLost)));
                        }
                    }
                }
            }
        }
    }

    /// Carries out all that the machine wants done.
    async fn drain(&mut self) {
        while let Some(then) = self.next_effect() {
            match then {
                Then::Next => {}
                Then::Flush => self.control.flush().await,
                Then::Start(ticket) => {
                    if !self.moving.may_be_short() {
                        self.control.flush().await;
                    }
                    if !poll_fn(|cx| Poll::Ready(self.start(ticket, cx))).await {
                        self.control.flush().await;
                    }
                }
                Then::StartTls => {
                    let end = Box::pin(self.begin_tls()).await;
                    self.inputs.push_back(Input::Tls(end));
                }
                Then::StopTls => Box::pin(self.control.lay_bare()).await,
            }
        }
        self.control.flush().await;
        if self.control.is_lost() {
            self.inputs.push_back(Input::Eof);
        }
    }

    fn next_effect(&mut self) -> Option<Then> {
        let effect = self.session.poll()?;
        Some(self.carry_out(effect))
    }

    fn carry_out(&mut self, effect: Effect) -> Then {
        match effect {
            Effect::Reply(reply) => {
                let is_alone = matches!(reply.code, Code::PASSIVE | Code::EXTENDED_PASSIVE);
                self.control.queue(&reply, is_alone);
                return if is_alone { Then::Flush } else { Then::Next };
            }
            Effect::Run(ticket, job) => self.run_job(ticket, job),
            Effect::StartTls => return Then::StartTls,
            Effect::StopTls => return Then::StopTls,
            Effect::Secure => {
                if let Some(Private { own, reuse, .. }) = self.tls.as_deref() {
                    let receives = self.moving.is_upload();
                    let config = if receives { &own.receiving } else { &own.sending };
                    self.transfer = self.channel.secure(Arc::clone(config), *reuse);
                }
            }
            Effect::Dial(target) => self.transfer = self.channel.dial(target),
            Effect::Transfer(ticket) => return Then::Start(ticket),
            Effect::Cancel(ticket) => self.cancel(ticket),
            Effect::Unlisten => self.channel.close(),
            Effect::Doze => self.channel.doze(),
            Effect::Note(note) => self.note(&note),
            Effect::Close => self.open = false,
        }
        Then::Next
    }

    fn run_job(&mut self, ticket: Ticket, job: Job) {
        match (job, &self.world) {
            (Job::Identify { user, secured }, _) => self.identify(ticket, &user, secured),
            (Job::LogIn { user, password }, _) => {
                match work::recalled(ticket, &self.serving, &user, &password) {
                    Some(finished) => {
                        let input = self.job_finished(finished);
                        self.inputs.extend(input);
                    }
                    None => {
                        let serving = Arc::clone(&self.serving);
                        self.job = work::log_in(ticket, serving, user, password);
                    }
                }
            }
            (Job::Listen(_), _) => {
                let (guard, tls) = (self.guard(), self.control.is_tls());
                let round_trip = || self.control.round_trip();
                match self.channel.listen(ticket, &self.serving, guard, round_trip, tls) {
                    Ok(outcome) => self.inputs.push_back(Input::Done(ticket, outcome)),
                    Err(turn) => {
                        self.job = turn;
                        self.turn = Some(ticket);
                    }
                }
            }
            (job, Some(world)) => {
                let opens =
                    matches!(job, Job::OpenRead { .. } | Job::OpenWrite { .. } | Job::OpenList(_));
                if opens {
                    let uploads = matches!(job, Job::OpenWrite { .. });
                    self.channel.verb(self.guard(), uploads);
                    self.inputs.extend(self.channel.accept_at_once().map(Input::Data));
                }
                if let Some((outcome, opened)) = job::at_once(world, &job) {
                    let input = self.finished(opens, Finished::Job { ticket, outcome, opened });
                    return self.inputs.extend(input);
                }
                let world = world.clone();
                let slot = Slot::blocking(move || {
                    let (outcome, opened) = job::run(&world, job);
                    Finished::Job { ticket, outcome, opened }
                });
                *if opens { &mut self.transfer } else { &mut self.job } = slot;
            }
            (_, None) => {
                let outcome = Outcome::Failed(Reason::LoginRequired);
                self.inputs.push_back(Input::Done(ticket, outcome));
            }
        }
    }

    fn certificate(&self) -> Option<&Shown> {
        self.tls.as_ref()?.certificate.as_ref()
    }

    /// How the session's data connections can be known.
    fn guard(&self) -> Guard<Identity> {
        let tls = self.tls.as_ref().filter(|_| self.session.is_private());
        let identity = tls.map(|tls| tls.identity);
        identity.map_or(Guard::Clear, Guard::Private)
    }

    /// Looks at a name: what it needs is known at once, and who is let in by certificate gets the
    /// files.
    fn identify(&mut self, ticket: Ticket, user: &[u8], secured: bool) {
        let accounts = &self.serving.accounts;
        let shown = self.certificate().filter(|_| secured && !accounts.is_visitor(user));
        let outcome = match shown.map(|shown| accounts.certified(user, shown)) {
            Some(Some(account)) => {
                self.job = work::enter(ticket, Arc::clone(&self.serving), account);
                return;
            }
            Some(None) => Outcome::Failed(Reason::CertificateOfAnother),
            None if !secured && accounts.needs_tls(user) => Outcome::Failed(Reason::TlsRequired),
            None => Outcome::Done,
        };
        self.inputs.push_back(Input::Done(ticket, outcome));
    }

    fn finished(&mut self, transfers: bool, finished: Finished) -> Option<Input> {
        if transfers { self.transfer_finished(finished) } else { self.job_finished(finished) }
    }

    fn job_finished(&mut self, finished: Finished) -> Option<Input> {
        match finished {
            Finished::Job { ticket, outcome, .. } => Some(Input::Done(ticket, outcome)),
            Finished::Claimed { ticket, claim } => {
                self.turn = None;
                Some(Input::Done(ticket, self.channel.claimed(claim)))
            }
            Finished::LoggedIn { ticket, account, world } => {
                let (permissions, data_tls) = (account.permissions, account.data_tls);
                let outcome = Outcome::LoggedIn(Grant { permissions, data_tls });
                self.who.user = Some(account.name.as_str().into());
                self.who.anonymous = account.anonymous;
                self.world = Some(world);
                self.place.authenticated();
                Some(Input::Done(ticket, outcome))
            }
            Finished::Dialled(_) | Finished::Received { .. } | Finished::Secured(_) => None,
        }
    }

    /// A step of a transfer is done.
    fn transfer_finished(&mut self, finished: Finished) -> Option<Input> {
        match finished {
            Finished::Job { ticket, outcome, opened } => {
                self.moving.phase = Phase::Droppable;
                if !matches!(outcome, Outcome::Opened { .. }) {
                    self.channel.verb_over();
                }
                self.moving.opened = opened.map(|opened| Box::new((ticket, opened)));
                Some(Input::Done(ticket, outcome))
            }
            Finished::Dialled(Ok(dialled)) => {
                self.channel.hold(dialled.into());
                Some(Input::Data(DataEvent::Dialled))
            }
            Finished::Secured(Ok(stream)) => {
                self.channel.hold(Connection::Known(stream));
                let receives = self.moving.is_upload();
                if let (true, Some(tls)) = (receives, &self.tls) {
                    self.control.give_ticket(&tls.own);
                }
                Some(Input::Data(DataEvent::Secured))
            }
            Finished::Secured(Err(error)) => {
                self.channel.wait_on();
                Some(Input::Data(DataEvent::SecureFailed(self.tls_failed(&error))))
            }
            Finished::Dialled(Err(reason)) => Some(Input::Data(DataEvent::DialFailed(reason))),
            Finished::Received { ticket, receiving } if self.moving.is_cancelled() => {
                self.transfer = work::keep(ticket, receiving, self.moving.progress.clone());
                None
            }
            Finished::Received { ticket, receiving } => {
                self.moving.received = Some(Box::new((ticket, receiving)));
                None
            }
            Finished::LoggedIn { .. } | Finished::Claimed { .. } => None,
        }
    }

    /// Begins to commit an upload of which all bytes are here. It counts only if the client is still
    /// there to be told: one that was killed closes both its connections, and the file may be half.
    /// So the machine hears first what has come on the control connection.
    async fn commit_received(&mut self) {
        let news = self.control.read_now().await;
        news.into_iter().for_each(|input| self.queue(input));
        if self.inputs.is_empty()
            && let Some(received) = self.moving.received.take()
        {
            let (ticket, receiving) = *received;
            self.transfer = work::commit(ticket, receiving, self.moving.progress.clone());
            self.moving.phase = Phase::Committing;
        }
    }

    /// Begins to move the bytes of what is open under the ticket, and says whether they are over in that
    /// moment: such a transfer was not announced before, and both its replies go out together.
    fn start(&mut self, ticket: Ticket, cx: &mut Context<'_>) -> bool {
        let finished = match self.begin(ticket) {
            Ok(finished) => Poll::Ready(finished),
            Err(slot) => {
                self.transfer = slot;
                pin!(self.transfer.finished()).poll(cx)
            }
        };
        let Poll::Ready(finished) = finished else { return false };
        let Some(input) = self.transfer_finished(finished) else { return false };
        if self.inputs.is_empty() {
            self.give(input);
        } else {
            self.inputs.push_back(input);
        }
        true
    }

    fn begin(&mut self, ticket: Ticket) -> Result<Finished, Slot> {
        let stall = self.serving.stall_timeout;
        let opened = self.moving.opened.take_if(|opened| opened.0 == ticket);
        let (Some(opened), Some(connection)) = (opened, self.channel.take()) else {
            let outcome = Outcome::Broken { reason: Reason::LocalError, bytes: 0 };
            return Ok(Finished::Job { ticket, outcome, opened: None });
        };
        let (_, opened) = *opened;
        self.moving.begin(&opened, &self.who);
        let progress = self.moving.progress.clone();
        match opened {
            Opened::Read(reading) => {
                work::send_file(ticket, connection, reading, (stall, progress))
            }
            Opened::List(rows) => {
                Err(work::send_list(ticket, connection, *rows, (stall, progress)))
            }
            Opened::Write(writing) => {
                let cancelled = self.moving.cancellation();
                let receiving = writing.expect(self.control.outlook(), connection.is_tls());
                Err(work::receive(ticket, connection, receiving, (stall, progress), cancelled))
            }
        }
    }

    /// Stops what runs under the ticket. What was received is kept for resume, which takes a while;
    /// a commit under way can no longer be stopped.
    fn cancel(&mut self, ticket: Ticket) {
        let progress = self.moving.progress.clone();
        self.moving.opened = None;
        if let Some(received) = self.moving.received.take() {
            self.transfer = work::keep(ticket, received.1, progress);
        } else if self.moving.phase == Phase::Droppable {
            self.transfer = Slot::default();
            let outcome = Outcome::Broken { reason: Reason::Aborted, bytes: progress.bytes() };
            self.inputs.push_back(Input::Done(ticket, outcome));
        } else {
            self.moving.cancel();
        }
        self.channel.close();
    }

    fn note(&mut self, note: &Note) {
        if !matches!(note.decision, Decision::Complete | Decision::Break) {
            return log::note(&self.who, note);
        }
        let who = self.moving.who.take().unwrap_or_else(|| self.who.clone());
        log::note(&who, note);
        if let Some(xferlog) = &self.serving.xferlog {
            let date = clock::today();
            let took = clock::now().since(self.moving.began);
            xferlog.write(&who, Transferred { date, took, ascii: self.moving.ascii, note });
        }
        self.channel.rest(&self.serving.pool);
    }
}

/// What has to be waited for before the next effect: effects are large, and no future holds one.
enum Then {
    Next,
    Flush,
    Start(Ticket),
    StartTls,
    StopTls,
}

/// The next line; or, where no line is wanted yet, nothing as soon as the client is gone.
async fn heard(control: &mut Control, wants_lines: bool) -> Option<Input> {
    if wants_lines {
        return Some(poll_fn(|cx| control.poll_read(cx)).await);
    }
    Box::pin(control.closed()).await;
    None
}

/// Ready each time the server goes a step nearer to its end.
async fn stopping(stop: &mut watch::Receiver<Stop>) -> Stop {
    match stop.changed().await {
        Ok(()) => *stop.borrow_and_update(),
        // The server is gone without a word: a test's, or a panic's doing.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output_of<A, F>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    /// What an idle session holds is its task, and hundreds of thousands may idle.
    #[test]
    fn a_session_is_small() {
        let parts = [
            ("machine", size_of::<Session>()),
            ("control", size_of::<Control>()),
            ("channel", size_of::<Channel>()),
            ("moving", size_of::<Moving>()),
            ("who", size_of::<Who>()),
            ("driver", size_of::<Driver>()),
            ("wait", output_of::<&mut Driver, _>(Driver::wait)),
            ("heard", output_of(|control| heard(control, true))),
            ("flush", output_of::<&mut Control, _>(Control::flush)),
            ("stopping", output_of::<&mut watch::Receiver<Stop>, _>(stopping)),
            ("finished", output_of::<&mut Slot, _>(Slot::finished)),
            ("drain", output_of::<&mut Driver, _>(Driver::drain)),
            ("task", output_of(Driver::run)),
        ];
        let both = size_of::<Driver>() + output_of(Driver::run);
        assert!(both <= 1850, "{parts:?}");
    }
}
