//! The server's session: one control connection from its greeting to its end, decided without I/O.
//!
//! It moves no file and opens no socket. The driver's whole duty is: **one input, then drain
//! [`Session::poll`] to empty, then wait** for the next input or for [`Session::deadline`].
//!
//! ```text
//!  bytes ─ line ─▶ Session::handle(now, Input) ─▶ gates of the verb's row ─▶ state + handler
//!                        ▲                                                        │
//!    Done, Data, Timer ──┘          driver: while let Some(effect) = poll() ◀─────┘
//! ```
//!
//! Lines that come while a job is under way wait in order. While a transfer runs, ABOR, STAT, NOOP
//! and the log-in verbs are answered at once and all others wait for its final reply.

mod effect;
mod files;
mod inform;
mod job;
mod login;
mod policy;
pub(crate) mod refusal;
mod secure;
mod settings;
mod transfer;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::net::SocketAddr;

pub use self::effect::{Decision, Effect, Note};
use self::files::Pending;
pub use self::job::{Form, Grant, Job, ListTarget, Outcome, Ticket, Upload};
use self::login::{ExpectPass, LoggedIn};
pub use self::policy::{Policy, Requirement};
pub use self::refusal::code;
use self::secure::Security;
use self::settings::Settings;
use self::transfer::Transfer;
use crate::code::Code;
use crate::command::{Command, ParseError};
use crate::data::Channel;
use crate::line::{FIRST_TELNET_COMMAND, LineError};
use crate::path::VirtualPath;
use crate::reason::Reason;
use crate::reply::{Reply, Text};
use crate::short::Short;
use crate::time::Time;
use crate::verb::{Row, Verb};

/// How many lines may wait before the driver stops reading. Origin: more than any client pipelines.
const QUEUE: usize = 64;

/// A line as it waits for its turn, most of them short.
pub type Line = Short<119>;

/// What the driver tells a session.
#[derive(Clone, Debug)]
pub enum Input {
    /// A line came on the control connection.
    Line(Line),
    /// A line came that cannot be a command.
    BadLine(LineError),
    /// The client closed the control connection, or the network did.
    Eof,
    /// Something happened to the data connection.
    Data(DataEvent),
    /// The handshake on the control connection is over, well or not.
    Tls(Result<(), Reason>),
    /// What became of a job or a transfer.
    Done(Ticket, Outcome),
    /// The bytes a running transfer has moved so far: told before a line that may ask for it.
    Progress(u64),
    /// The deadline has come.
    Timer,
    /// The server stops: let a running transfer finish, then close.
    Shutdown,
    /// The server's patience has ended: close now.
    Terminate,
}

/// What happened to the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataEvent {
    /// The client connected to the passive port.
    Arrived,
    /// Somebody else connected to the passive port and was closed, and why it was not the client.
    Stranger(SocketAddr, Reason),
    /// The client's data port answered.
    Dialled,
    /// The client's data port could not be reached.
    DialFailed(Reason),
    /// The data connection is under TLS, and proven to be the client's as far as that is asked for.
    Secured,
    /// It is not, and was closed. A passive port goes on waiting.
    SecureFailed(Reason),
    /// The offer is void: its connection can no longer be told from others.
    Lost(Reason),
}

/// One control connection. See the [module](self) for how to drive it.
#[derive(Debug)]
pub struct Session {
    core: Core,
    state: State,
    queue: VecDeque<Result<Line, LineError>>,
    eof: bool,
}

/// The memory that a session works with between an input and the last of its effects. It goes from
/// one session to the next: see [`Session::lend`].
#[derive(Debug, Default)]
pub struct Room {
    pending: Vec<(Ticket, Pending)>,
    effects: VecDeque<Effect>,
    queue: VecDeque<Result<Line, LineError>>,
}

/// Where the log-in stands. What may come next follows from the type of the state.
#[derive(Debug)]
enum State {
    ExpectUser,
    /// A job looks at the name given to USER; lines wait. Until it is accepted the old state counts.
    Identifying(Box<Self>, ExpectPass),
    ExpectPass(ExpectPass),
    /// A job looks at the password; lines wait.
    CheckingPassword(ExpectPass),
    /// The password was wrong; the reply waits, longer each time.
    Refusing {
        until: Time,
        last: bool,
    },
    /// AUTH was accepted: nothing is read until the handshake is over.
    Securing,
    Ready(LoggedIn),
    /// RNFR was accepted; anything but RNTO forgets it.
    ExpectRnto(LoggedIn, Box<VirtualPath>),
    Closing,
}

/// What all states share.
#[derive(Debug)]
struct Core {
    policy: Arc<Policy>,
    local: SocketAddr,
    peer: SocketAddr,
    now: Time,
    effects: VecDeque<Effect>,
    next_ticket: u32,
    security: Security,
    /// By which name the client knows the server, as far as it has said so (HOST, RFC 7151).
    host: Option<Vec<u8>>,
    settings: Settings,
    channel: Channel,
    /// What the session waits for, one at most: in memory that an idle one gives back.
    pending: Vec<(Ticket, Pending)>,
    transfer: Option<Box<Transfer>>,
    progress: u64,
    /// The port that active connections come from, where it is always the same.
    dials_from: Option<u16>,
    failed_logins: u32,
    unknown: u32,
    login_by: Option<Time>,
    session_by: Option<Time>,
    idle_since: Time,
    stopping: bool,
}

impl Session {
    /// A session on a connection from `peer` that was accepted at `local`. The greeting is the
    /// first effect.
    #[must_use]
    pub fn new(policy: Arc<Policy>, local: SocketAddr, peer: SocketAddr, now: Time) -> Self {
        let greeting = Reply::line(Code::READY, policy.greeting.clone());
        let core = Core {
            login_by: Some(now.after(policy.login_timeout)),
            session_by: policy.session_timeout.map(|timeout| now.after(timeout)),
            policy,
            local,
            peer,
            now,
            effects: VecDeque::from([Effect::Reply(greeting)]),
            next_ticket: 1,
            security: Security::default(),
            host: None,
            settings: Settings::default(),
            channel: Channel::Idle,
            pending: Vec::new(),
            transfer: None,
            progress: 0,
            dials_from: None,
            failed_logins: 0,
            unknown: 0,
            idle_since: now,
            stopping: false,
        };
        Self { core, state: State::ExpectUser, queue: VecDeque::new(), eof: false }
    }

    /// Says in FEAT which port active connections come from: a client behind NAT can then open its
    /// own side for them, with a SYN to that port.
    #[must_use]
    pub fn dialling_from(mut self, port: Option<u16>) -> Self {
        self.core.dials_from = if self.core.policy.active { port } else { None };
        self
    }

    /// The same on a connection that is under TLS already (implicit TLS).
    #[must_use]
    pub fn implicit(policy: Arc<Policy>, local: SocketAddr, peer: SocketAddr, now: Time) -> Self {
        let mut session = Self::new(policy, local, peer, now);
        session.core.security = Security::IMPLICIT;
        session
    }

    /// Takes one input. Drain [`poll`](Self::poll) afterwards.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.core.now = now;
        match input {
            Input::Line(line) => self.queue.push_back(Ok(without_synch(line))),
            Input::BadLine(error) => self.queue.push_back(Err(error)),
            Input::Eof => self.handle_eof(),
            Input::Data(event) => self.core.handle_data(event),
            Input::Tls(end) => self.handle_tls(end),
            Input::Done(ticket, outcome) => self.handle_done(ticket, outcome),
            Input::Progress(bytes) => self.core.progress = bytes,
            Input::Timer => self.handle_timer(),
            Input::Shutdown => self.core.stopping = true,
            Input::Terminate => self.close(Reason::ShuttingDown),
        }
        self.advance();
    }

    /// The next effect to carry out, or `None` when it is time to wait.
    pub fn poll(&mut self) -> Option<Effect> {
        self.core.effects.pop_front()
    }

    /// The memory that a session works with, while nothing waits in it: an idle one needs none.
    pub fn release(&mut self) -> Room {
        let (effects, queue) = (&mut self.core.effects, &mut self.queue);
        let pending = &mut self.core.pending;
        Room {
            pending: if pending.is_empty() { mem::take(pending) } else { Vec::new() },
            effects: if effects.is_empty() { mem::take(effects) } else { VecDeque::new() },
            queue: if queue.is_empty() { mem::take(queue) } else { VecDeque::new() },
        }
    }

    /// Memory for the inputs to come, where it has none. Not lent, it makes its own.
    pub fn lend(&mut self, room: Room) {
        if self.core.effects.capacity() == 0 {
            self.core.effects = room.effects;
        }
        if self.queue.capacity() == 0 {
            self.queue = room.queue;
        }
        if self.core.pending.capacity() == 0 {
            self.core.pending = room.pending;
        }
    }

    /// When to come back with [`Input::Timer`] if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let refusing = match self.state {
            State::Closing => return None,
            State::Refusing { until, .. } => Some(until),
            _ => None,
        };
        let transfer = self.core.transfer.as_deref().and_then(Transfer::deadline);
        [refusing, transfer, self.idle_until(), self.core.login_by, self.core.session_by]
            .into_iter()
            .flatten()
            .min()
    }

    /// By which name the client knows the server, if it has said so by HOST: whose certificate is to
    /// be shown to a client that does not say it in the handshake (RFC 7151).
    #[must_use]
    pub fn host(&self) -> Option<&[u8]> {
        self.core.host.as_deref()
    }

    /// Whether further lines are welcome; `false` lets the client's pipeline fill up.
    #[must_use]
    pub fn wants_lines(&self) -> bool {
        self.queue.len() < QUEUE
    }

    /// Whether data connections are under TLS.
    #[must_use]
    pub const fn is_private(&self) -> bool {
        self.core.is_private()
    }

    /// Whether a transfer has been asked for and has not ended.
    #[must_use]
    pub const fn is_transferring(&self) -> bool {
        self.core.transfer.is_some()
    }

    /// Carries out what waits, as far as it may go now.
    fn advance(&mut self) {
        while let Some(line) = self.next_line() {
            self.core.idle_since = self.core.now;
            match line {
                Ok(line) => self.handle_line(&line),
                Err(error) => self.core.refuse_line(error),
            }
            if self.core.unknown >= self.core.policy.unknown_limit {
                self.close(Reason::TooManyUnknown);
            }
        }
        let is_idle = self.core.pending.is_empty()
            && self.core.transfer.is_none()
            && !matches!(self.state, State::Closing | State::Refusing { .. } | State::Securing);
        if is_idle && self.core.stopping {
            self.close(Reason::ShuttingDown);
        } else if is_idle && self.eof {
            self.end();
        }
    }

    /// The line whose turn it is, if one may be handled now.
    fn next_line(&mut self) -> Option<Result<Line, LineError>> {
        // The replies to ABOR come before those to what is behind it.
        let ending = self.core.transfer.as_deref().is_some_and(Transfer::is_cancelling);
        let waits = !self.core.pending.is_empty()
            || ending
            || matches!(self.state, State::Closing | State::Refusing { .. } | State::Securing);
        if waits {
            return None;
        }
        // Who has logged out may begin anew, but QUIT waits all the same (RFC 959 §4.1.1).
        let quits =
            || self.queue.front().is_some_and(|line| line.as_ref().is_ok_and(|l| is_quit(l)));
        if self.core.transfer.is_none() || (self.user().is_none() && !quits()) {
            return if self.core.stopping { None } else { self.queue.pop_front() };
        }
        if self.queue.front().is_some_and(is_answered_during_transfer) {
            return self.queue.pop_front();
        }
        let abort = self.queue.iter().position(is_abort)?;
        self.queue.remove(abort)
    }

    fn handle_line(&mut self, line: &[u8]) {
        match Command::parse(line) {
            Ok((row, command)) => {
                self.core.unknown = 0;
                match (self.gate(row), argument(line)) {
                    (None, _) => self.dispatch(row, command),
                    (Some(Reason::PermissionDenied), Some(path)) => {
                        self.core.refuse_path(row.name, path, Reason::PermissionDenied);
                    }
                    (Some(reason), _) => self.core.refuse(row.name, reason),
                }
            }
            Err(error) => self.handle_parse_error(error),
        }
    }

    /// What the verb's row says against the command, whatever its argument. A transfer outlives
    /// REIN and USER (RFC 959 §4.1.1), and so can be aborted after them.
    fn gate(&self, row: &Row) -> Option<Reason> {
        let outlives = row.verb == Verb::Abor && self.core.transfer.is_some();
        match (self.user(), row.permission) {
            (None, _) if row.login && !outlives => Some(Reason::LoginRequired),
            (Some(user), Some(needed)) if !user.grant.permissions.has(needed) => {
                Some(Reason::PermissionDenied)
            }
            _ => None,
        }
    }

    const fn user(&self) -> Option<&LoggedIn> {
        match &self.state {
            State::Ready(user) | State::ExpectRnto(user, _) => Some(user),
            _ => None,
        }
    }

    fn handle_parse_error(&mut self, error: ParseError) {
        let Some(row) = error.row else {
            if matches!(error.reason, Reason::HttpOnControl | Reason::ProxyUntrusted) {
                return self.close(error.reason);
            }
            self.core.unknown += 1;
            return self.core.refuse("unknown", error.reason);
        };
        self.core.unknown = 0;
        // Before the login a setting is taken if it is understood, and not discussed if it is not.
        let chmod = matches!(error.reason, Reason::ChmodMalformed | Reason::ChmodPathMissing);
        let undiscussed = row.login || chmod || matches!(row.verb, Verb::Type | Verb::Opts);
        let reason =
            if undiscussed && self.user().is_none() { Reason::LoginRequired } else { error.reason };
        match reason {
            Reason::NetworkProtocol | Reason::NetworkProtocolUnknown => {
                self.core.refuse_protocol(row.name, reason);
            }
            reason => self.core.refuse(row.name, reason),
        }
    }

    const fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Closing)
    }

    fn dispatch(&mut self, row: &'static Row, command: Command) {
        if let Command::Auth(mechanism) = command {
            return self.auth(mechanism);
        }
        let state = self.take_state();
        let core = &mut self.core;
        core.doze(&command);
        self.state = match (command, state) {
            (Command::User(name), state) => core.user(name, state),
            (Command::Pass(password), State::ExpectPass(state)) => core.pass(state, password),
            (Command::Pass(_), state) => core.unexpected_pass(state),
            (Command::Rein, _) => core.rein(),
            (Command::Quit, _) => core.quit(),
            (Command::Abor, state) => {
                core.abort();
                state
            }
            (command, State::Ready(user)) => core.logged_in(row, command, user, None),
            (command, State::ExpectRnto(user, from)) => {
                core.logged_in(row, command, user, Some(*from))
            }
            (command, state) => {
                core.inform(command, None);
                state
            }
        };
    }

    fn handle_done(&mut self, ticket: Ticket, outcome: Outcome) {
        if self.core.transfer.as_ref().is_some_and(|transfer| transfer.ticket == ticket) {
            self.core.transfer_done(outcome);
            self.core.idle_since = self.core.now;
            return;
        }
        let Some((_, pending)) = self.core.pending.pop_if(|(waiting, _)| *waiting == ticket) else {
            return;
        };
        self.core.idle_since = self.core.now;
        let state = self.take_state();
        self.state = match (state, pending) {
            (State::Identifying(former, named), Pending::Identify) => {
                self.core.identified(*former, named, outcome)
            }
            (State::CheckingPassword(state), Pending::LogIn) => self.core.checked(state, outcome),
            (State::Ready(user), pending) => self.core.job_done(user, pending, outcome),
            (state, _) => state,
        };
    }

    fn handle_eof(&mut self) {
        self.eof = true;
        let quits = self.queue.iter().any(|line| line.as_ref().is_ok_and(|line| is_quit(line)));
        if !quits {
            self.core.break_transfer(Reason::ControlLost);
        }
    }

    fn handle_timer(&mut self) {
        let now = self.core.now;
        let due = |time: Option<Time>| time.is_some_and(|time| time <= now);
        if let State::Refusing { until, last } = self.state
            && until <= now
        {
            self.state = self.core.refuse_login(last);
        } else if due(self.core.login_by) {
            self.close(Reason::LoginDeadline);
        } else if due(self.core.session_by) {
            self.close(Reason::SessionDeadline);
        } else if due(self.idle_until()) {
            self.close(Reason::ControlTimeout);
        }
        self.core.transfer_timer();
    }

    /// A session idles while it neither works nor transfers.
    fn idle_until(&self) -> Option<Time> {
        let busy = !self.core.pending.is_empty() || self.core.transfer.is_some();
        (!busy).then(|| self.core.idle_since.after(self.core.policy.idle_timeout))
    }

    /// Says why with a 421, and ends.
    fn close(&mut self, reason: Reason) {
        if matches!(self.state, State::Closing) {
            return;
        }
        self.core.drop_transfer(reason);
        self.core.note(Note::why(Decision::Close, "session", reason));
        self.core.reply(Reply::why(Code::SERVICE_CLOSING, reason));
        self.end();
    }

    fn end(&mut self) {
        self.state = State::Closing;
        self.queue.clear();
        self.core.effects.push_back(Effect::Close);
    }
}

impl Core {
    fn reply(&mut self, reply: Reply) {
        self.effects.push_back(Effect::Reply(reply));
    }

    fn line(&mut self, code: Code, text: impl Into<Text>) {
        self.reply(Reply::line(code, text));
    }

    fn note(&mut self, note: Note) {
        self.effects.push_back(Effect::Note(note));
    }

    /// Refuses a command with the reply code that belongs to the reason.
    fn refuse(&mut self, verb: &'static str, reason: Reason) {
        self.note(Note::why(Decision::Refuse, verb, reason));
        self.reply(Reply::why(code(reason), reason));
    }

    /// Refuses a command on a path, which the reply names.
    fn refuse_path(&mut self, verb: &'static str, path: &[u8], reason: Reason) {
        self.note(Note::why(Decision::Refuse, verb, reason).about(path));
        self.reply(Reply::about(code(reason), path, reason));
    }

    fn refuse_line(&mut self, error: LineError) {
        let reason = match error {
            LineError::Nul => Reason::NulInLine,
            LineError::TooLong => Reason::LineTooLong,
        };
        self.refuse("line", reason);
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket = self.next_ticket.wrapping_add(1);
        ticket
    }

    /// Runs a job on which the session waits.
    fn run(&mut self, job: Job, pending: Pending) {
        let ticket = self.ticket();
        self.pending.clear();
        self.pending.push((ticket, pending));
        self.effects.push_back(Effect::Run(ticket, job));
    }
}

fn is_answered_during_transfer(line: &Result<Line, LineError>) -> bool {
    match line.as_ref().map(|line| Command::parse(line)) {
        Ok(Ok((_, Command::Stat(Some(_))))) => false,
        Ok(Ok((row, _))) => row.transfer,
        Ok(Err(_)) | Err(_) => true,
    }
}

fn is_abort(line: &Result<Line, LineError>) -> bool {
    line.as_ref().is_ok_and(|line| matches!(Command::parse(line), Ok((_, Command::Abor))))
}

/// What stands behind the verb, for the refusal of a whole command.
fn argument(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii_start();
    let blank = line.iter().position(|&b| b == b' ')?;
    line.get(blank + 1..).filter(|argument| !argument.is_empty())
}

/// Clients send ABOR's Telnet IP and Synch as urgent bytes without the IAC before them, too; no verb
/// begins with such a byte.
fn without_synch(line: Line) -> Line {
    match line.iter().take_while(|&&byte| byte >= FIRST_TELNET_COMMAND).count() {
        0 => line,
        synch => line.get(synch..).unwrap_or_default().into(),
    }
}

fn is_quit(line: &[u8]) -> bool {
    matches!(Command::parse(line), Ok((_, Command::Quit)))
}

#[cfg(test)]
mod tests;
