//! The data connection's set-up: the ladder EPSV → PASV → EPRT → PORT, each step's failure kept.
//!
//! It moves no data, and it does not send the transfer verb: [`Transfer`](super::Transfer) does.
//! Listening and dialling are effects. It is never the first to speak on a connection, since a login
//! comes before it: Linux's FTP helper inspects no first line.

mod address;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use self::address::candidates;
use crate::addr::Family;
use crate::code::{Class, Code};
use crate::command::{Command, Epsv};
use crate::reason::Reason;
use crate::reply::Reply;
use crate::time::Time;

/// A dial that is unanswered for so long is news. Origin: three round trips allow for one lost
/// packet, and a system repeats a lost SYN after a second.
const DIAL_MIN: Duration = Duration::from_secs(1);

/// A set-up command that is unanswered for so long will not be answered. Origin: it costs a server
/// no work; twice the time of a dial allows for a busy one.
const REPLY_MIN: Duration = Duration::from_secs(2);

/// Which modes may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The whole ladder.
    #[default]
    Auto,
    /// EPSV only.
    Epsv,
    /// PASV only.
    Pasv,
    /// EPRT only.
    Eprt,
    /// PORT only.
    Port,
}

/// A step of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Extended passive (RFC 2428 §3), to the address of the control connection.
    Epsv,
    /// Passive (RFC 959 §4.1.2), to the address of the control connection, then to the announced
    /// one where that is allowed.
    Pasv,
    /// Extended active (RFC 2428 §2).
    Eprt,
    /// Active (RFC 959 §4.1.2).
    Port,
}

impl Step {
    /// The verb.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epsv => "EPSV",
            Self::Pasv => "PASV",
            Self::Eprt => "EPRT",
            Self::Port => "PORT",
        }
    }
}

/// Why a step led nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// Why.
    pub reason: Reason,
    /// The address that was dialled, or not dialled on purpose.
    pub address: Option<SocketAddr>,
    /// The reply that said no.
    pub reply: Option<Reply>,
}

/// What is told to the machine.
#[derive(Debug)]
pub enum Input {
    /// The reply to the command.
    Reply(Reply),
    /// The conversation is over: why.
    Lost(Reason),
    /// The dial succeeded.
    Connected,
    /// The dial failed: [`Reason::DataRefused`], [`Reason::DataDialTimeout`] or
    /// [`Reason::DataUnreachable`].
    DialFailed(Reason),
    /// A listener is up at this address.
    Listening(SocketAddr),
    /// There can be no listener.
    ListenFailed,
    /// A new control connection is logged in.
    Reconnected,
    /// After `Ready`: the transfer found that no byte passes this way.
    Unusable(Reason),
    /// The deadline is reached.
    Timer,
}

/// What the machine wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this and bring the reply.
    Command(Command),
    /// Connect, but give up after `patience` if one is given, else after the driver's own.
    Dial {
        /// Where to.
        to: SocketAddr,
        /// How long.
        patience: Option<Duration>,
    },
    /// Listen on the local address of the control connection.
    Listen,
    /// The control connection is useless: close it, and log in on a new one.
    Reconnect,
    /// Set up: send the transfer verb. The machine is done unless `Unusable` comes.
    Ready(Step),
    /// No step is left. The machine is done.
    Failed(Vec<Failure>),
}

/// The machine.
#[derive(Debug)]
pub struct Open {
    mode: Mode,
    peer: SocketAddr,
    round_trip: Duration,
    left: VecDeque<Step>,
    state: State,
    failures: Vec<Failure>,
    deadline: Option<Time>,
    effects: VecDeque<Effect>,
}

#[derive(Debug)]
enum State {
    ExpectReply(Step),
    Dialling(Step, SocketAddr, VecDeque<SocketAddr>),
    Listening(Step),
    Reconnecting,
    Ready(Step),
    Over,
}

impl Open {
    /// Begins to set up. `peer` is the other end of the control connection; `worked` is the step
    /// that worked last, which then is tried first.
    #[must_use]
    pub fn new(
        now: Time,
        mode: Mode,
        peer: SocketAddr,
        round_trip: Duration,
        worked: Option<Step>,
    ) -> Self {
        let mut left = ladder(mode, Family::of(peer.ip()));
        if let Some(index) = left.iter().position(|step| Some(*step) == worked) {
            left.rotate_left(index);
            // What failed before what worked comes last, but the active modes stay behind.
            left.make_contiguous().get_mut(1..).unwrap_or_default().sort_by_key(|step| *step as u8);
        }
        let mut open = Self {
            mode,
            peer,
            round_trip,
            left,
            state: State::Over,
            failures: Vec::new(),
            deadline: None,
            effects: VecDeque::new(),
        };
        open.next_step(now);
        open
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Time, input: Input) {
        match (core::mem::replace(&mut self.state, State::Over), input) {
            (State::ExpectReply(step), Input::Reply(reply)) => self.reply(now, step, reply),
            (State::ExpectReply(step), Input::Lost(reason)) => self.lost(step, reason, None),
            (State::ExpectReply(step), Input::Timer) => self.timer(now, step),
            (State::Dialling(step, ..), Input::Connected) => self.ready(step),
            (State::Dialling(step, to, more), Input::DialFailed(reason)) => {
                self.note(step, as_client(reason), Some(to), None);
                self.dial(now, step, more);
            }
            (State::Listening(step), Input::Listening(local)) => self.announce(now, step, local),
            (State::Listening(step), Input::ListenFailed) => {
                self.note(step, Reason::DataListenFailed, None, None);
                self.next_step(now);
            }
            (State::Reconnecting, Input::Reconnected) => self.next_step(now),
            (State::Ready(step), Input::Unusable(reason)) => {
                self.note(step, reason, None, None);
                if reason == Reason::ActiveNotConnected {
                    // The other active mode names the same address on the same way.
                    self.left.retain(|step| matches!(step, Step::Epsv | Step::Pasv));
                }
                self.next_step(now);
            }
            // An input that belongs to an earlier state: nothing to decide.
            (state, _) => self.state = state,
        }
    }

    /// The next effect.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to be woken.
    #[must_use]
    pub const fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    fn next_step(&mut self, now: Time) {
        let Some(step) = self.left.pop_front() else {
            self.state = State::Over;
            self.effects.push_back(Effect::Failed(core::mem::take(&mut self.failures)));
            return;
        };
        match step {
            Step::Epsv => self.ask(now, step, Command::Epsv(Epsv::Default)),
            Step::Pasv => self.ask(now, step, Command::Pasv),
            Step::Eprt | Step::Port => {
                self.state = State::Listening(step);
                self.effects.push_back(Effect::Listen);
            }
        }
    }

    fn ask(&mut self, now: Time, step: Step, command: Command) {
        let patience = self.round_trip.saturating_mul(4).max(REPLY_MIN);
        self.deadline = (!self.left.is_empty()).then(|| now.after(patience));
        self.state = State::ExpectReply(step);
        self.effects.push_back(Effect::Command(command));
    }

    fn announce(&mut self, now: Time, step: Step, local: SocketAddr) {
        let canonical = SocketAddr::new(local.ip().to_canonical(), local.port());
        match (step, canonical) {
            (Step::Port, SocketAddr::V4(local)) => self.ask(now, step, Command::Port(local)),
            (Step::Port, SocketAddr::V6(_)) => {
                self.note(step, Reason::PortNeedsIpv4, Some(canonical), None);
                self.next_step(now);
            }
            _ => self.ask(now, step, Command::Eprt(canonical)),
        }
    }

    fn reply(&mut self, now: Time, step: Step, reply: Reply) {
        self.deadline = None;
        if reply.code == Code::SERVICE_CLOSING {
            return self.lost(step, Reason::ControlClosing, Some(reply));
        }
        match (reply.code.class(), step) {
            (Class::TransientNegative | Class::PermanentNegative, _) => {
                self.note(step, Reason::ControlRefused, None, Some(reply));
                self.next_step(now);
            }
            (Class::Completion, Step::Eprt | Step::Port) => self.ready(step),
            (Class::Completion, Step::Epsv | Step::Pasv) => match candidates(&reply, self.peer) {
                Some(found) => {
                    let refused = found.refused.map(|address| Failure {
                        step,
                        reason: Reason::DataAddressForeign,
                        address: Some(address),
                        reply: None,
                    });
                    self.failures.extend(refused);
                    self.dial(now, step, found.dial);
                }
                None => self.malformed(now, step, reply),
            },
            (Class::Preliminary | Class::Intermediate, _) => self.malformed(now, step, reply),
        }
    }

    fn malformed(&mut self, now: Time, step: Step, reply: Reply) {
        self.note(step, Reason::ReplyMalformed, None, Some(reply));
        self.next_step(now);
    }

    fn dial(&mut self, now: Time, step: Step, mut more: VecDeque<SocketAddr>) {
        let Some(to) = more.pop_front() else { return self.next_step(now) };
        let is_last = more.is_empty() && self.left.is_empty();
        let patience = (!is_last).then(|| self.round_trip.saturating_mul(3).max(DIAL_MIN));
        self.state = State::Dialling(step, to, more);
        self.effects.push_back(Effect::Dial { to, patience });
    }

    fn ready(&mut self, step: Step) {
        self.state = State::Ready(step);
        self.effects.push_back(Effect::Ready(step));
    }

    fn timer(&mut self, now: Time, step: Step) {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.lost(step, Reason::ReplyMissing, None);
        } else {
            self.state = State::ExpectReply(step);
        }
    }

    /// The control connection is gone or out of step. Whether a box ate the command or the reply,
    /// nothing that is said on it later can be trusted: the next step needs a new one.
    fn lost(&mut self, step: Step, reason: Reason, reply: Option<Reply>) {
        self.deadline = None;
        self.note(step, reason, None, reply);
        if self.left.is_empty() {
            self.effects.push_back(Effect::Failed(core::mem::take(&mut self.failures)));
        } else {
            self.state = State::Reconnecting;
            self.effects.push_back(Effect::Reconnect);
        }
    }

    fn note(
        &mut self,
        step: Step,
        reason: Reason,
        address: Option<SocketAddr>,
        reply: Option<Reply>,
    ) {
        self.failures.push(Failure { step, reason, address, reply });
    }

    /// What failed so far, or before the step that worked.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Whether this is the ladder, so that a transfer without data may climb on: after `Unusable`
    /// comes the next step, or `Failed` with all the reasons.
    #[must_use]
    pub fn can_climb(&self) -> bool {
        self.mode == Mode::Auto
    }
}

/// The steps of a mode. PORT carries no IPv6 address. PASV does not either, but servers answer it
/// there with a port that works on the address of the control connection.
fn ladder(mode: Mode, family: Family) -> VecDeque<Step> {
    let steps: &[Step] = match (mode, family) {
        (Mode::Auto, Family::V4) => &[Step::Epsv, Step::Pasv, Step::Eprt, Step::Port],
        (Mode::Auto, Family::V6) => &[Step::Epsv, Step::Pasv, Step::Eprt],
        (Mode::Epsv, _) => &[Step::Epsv],
        (Mode::Pasv, _) => &[Step::Pasv],
        (Mode::Eprt, _) => &[Step::Eprt],
        (Mode::Port, _) => &[Step::Port],
    };
    steps.iter().copied().collect()
}

/// The dialler's reasons speak of the other end's port; here that is the server's.
const fn as_client(reason: Reason) -> Reason {
    match reason {
        Reason::DataRefused => Reason::PassiveRefused,
        Reason::DataDialTimeout => Reason::PassiveSilent,
        Reason::DataUnreachable => Reason::PassiveUnreachable,
        other => other,
    }
}

#[cfg(test)]
mod tests;
