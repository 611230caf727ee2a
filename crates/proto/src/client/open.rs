//! The data connection's set-up: the ladder EPSV → PASV → punched EPRT and PORT → EPRT → PORT →
//! a port that the router maps, each step's failure kept.
//!
//! It moves no data, and it does not send the transfer verb: [`Transfer`](super::Transfer) does.
//! Listening, punching, mapping and dialling are effects. It is never the first to speak on a connection, since
//! a login comes before it: Linux's FTP helper inspects no first line.

mod address;
mod ladder;
mod seen;
mod terms;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use self::address::{candidates, is_hidden_from};
use self::ladder::{begin_with, ladder, prune};
pub use self::seen::Seen;
pub use self::terms::{Effect, Failure, Input, Mode, Network, Step};
use crate::code::{Class, Code};
use crate::command::{Command, Epsv};
use crate::reason::Reason;
use crate::reply::Reply;
use crate::time::Time;

/// A dial that is unanswered for so long is news. Origin: three round trips allow for one lost
/// packet; a system repeats a lost SYN after a second, and the answer to that takes its time.
const DIAL_MIN: Duration = Duration::from_millis(1200);

/// A set-up command that is unanswered for so long will not be answered. Origin: it costs a server
/// no work, and TCP has repeated it twice by then.
const REPLY_MIN: Duration = Duration::from_millis(1500);

/// The same when a reply was missing before: the server may let its clients take turns. Origin: with
/// two replies that were eaten there is a verdict after 6 s still.
const REPLY_AGAIN: Duration = Duration::from_secs(3);

/// The machine.
#[derive(Debug)]
pub struct Open {
    network: Network,
    left: VecDeque<Step>,
    state: State,
    failures: Vec<Failure>,
    deadline: Option<Time>,
    effects: VecDeque<Effect>,
}

#[derive(Debug)]
enum State {
    /// The reply to STAT, which tells what is to be announced.
    ExpectStat(Step),
    ExpectReply(Step),
    Dialling(Step),
    Listening(Step),
    Reconnecting,
    Ready(Step),
    Over,
}

impl Open {
    /// Begins to set up.
    #[must_use]
    pub fn new(now: Time, mode: Mode, network: Network) -> Self {
        let mut left = ladder(mode, &network);
        begin_with(&mut left, network.worked);
        let mut open = Self {
            network,
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
            (State::ExpectStat(step), Input::Reply(reply)) => self.seen_in(now, step, reply),
            (State::ExpectReply(step), Input::Reply(reply)) => self.reply(now, step, reply),
            (State::ExpectStat(step) | State::ExpectReply(step), Input::Lost(reason)) => {
                self.lost(step, reason, None);
            }
            (State::ExpectStat(step) | State::ExpectReply(step), Input::Timer)
                if self.is_due(now) =>
            {
                self.lost(step, Reason::ReplyMissing, None);
            }
            (State::Dialling(step), Input::Connected) => self.ready(step),
            (State::Dialling(step), Input::DialFailed(tried)) => {
                for (to, reason) in tried {
                    self.note(step, as_client(reason), Some(to), None);
                }
                self.next_step(now);
            }
            (State::Listening(step), Input::Listening(local)) => self.announce(now, step, local),
            (State::Listening(step), Input::ListenFailed(reason)) => {
                self.failed(step, reason, None);
                self.next_step(now);
            }
            (State::Reconnecting, Input::Reconnected) => self.next_step(now),
            (State::Ready(step), Input::Unusable { reason, reply }) => {
                self.unusable(now, step, reason, reply);
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
            _ if !self.network.can_listen => {
                self.failed(step, Reason::ProxyPassiveOnly, None);
                self.next_step(now);
            }
            Step::PunchEprt | Step::PunchPort => self.punch(now, step),
            Step::Eprt | Step::Port => {
                self.state = State::Listening(step);
                self.effects.push_back(Effect::Listen);
            }
            Step::MapEprt | Step::MapPort => {
                self.state = State::Listening(step);
                self.effects.push_back(Effect::Map);
            }
        }
    }

    fn ask(&mut self, now: Time, step: Step, command: Command) {
        self.send(now, State::ExpectReply(step), command);
    }

    fn send(&mut self, now: Time, state: State, command: Command) {
        let was_silent = self.failures.iter().any(|f| f.reason == Reason::ReplyMissing);
        let least = if was_silent { REPLY_AGAIN } else { REPLY_MIN };
        let patience = self.network.round_trip.saturating_mul(4).max(least);
        self.deadline = (!self.left.is_empty()).then(|| now.after(patience));
        self.state = state;
        self.effects.push_back(Effect::Command(command));
    }

    /// A hole in a NAT is of use only if the server is told the address outside of it.
    fn punch(&mut self, now: Time, step: Step) {
        if self.network.external.is_none() && self.network.seen.is_none() {
            return self.send(now, State::ExpectStat(step), Command::Stat(None));
        }
        let problem = match self.outside() {
            None => Some(Reason::ExternalAddressUnknown),
            Some(_) if self.changes_ports() => Some(Reason::NatChangesPorts),
            Some(_) => None,
        };
        match problem {
            Some(reason) => {
                self.failed(step, reason, None);
                self.next_step(now);
            }
            None => {
                self.state = State::Listening(step);
                self.effects.push_back(Effect::Punch);
            }
        }
    }

    fn seen_in(&mut self, now: Time, step: Step, reply: Reply) {
        self.deadline = None;
        if reply.code == Code::SERVICE_CLOSING {
            return self.lost(step, Reason::ControlClosing, Some(reply));
        }
        self.network.seen = Some(Seen::read(&reply, self.network.local, self.network.peer));
        self.punch(now, step);
    }

    /// The address at which the server would reach us: told, seen, or the own one where that means
    /// something to the server.
    fn outside(&self) -> Option<IpAddr> {
        let own = self.network.local.ip();
        let seen = self.network.seen.and_then(|seen| seen.address);
        let own = (!is_hidden_from(own, self.network.peer.ip())).then_some(own);
        self.network.external.or(seen).or(own)
    }

    /// Whether the control connection's own port became another on the way: the data port would,
    /// too, and nobody could tell which.
    fn changes_ports(&self) -> bool {
        let port = self.network.seen.and_then(|seen| seen.port);
        port.is_some_and(|port| port != self.network.local.port())
    }

    /// What an active step announces: a plain one the own address, since an FTP helper on the way
    /// opens for that and for no other; a mapped one what the router says.
    fn announced(&self, step: Step) -> Option<IpAddr> {
        match step {
            _ if step.is_mapped() => None,
            _ if step.is_punched() => self.outside(),
            _ => Some(self.network.external.unwrap_or_else(|| self.network.local.ip())),
        }
    }

    fn announce(&mut self, now: Time, step: Step, local: SocketAddr) {
        let address = self.announced(step).unwrap_or_else(|| local.ip()).to_canonical();
        let end = SocketAddr::new(address, local.port());
        match (step.says_port(), end) {
            (true, SocketAddr::V4(end)) => self.ask(now, step, Command::Port(end)),
            (true, SocketAddr::V6(_)) => {
                self.note(step, Reason::PortNeedsIpv4, Some(end), None);
                self.next_step(now);
            }
            (false, _) => self.ask(now, step, Command::Eprt(end)),
        }
    }

    fn reply(&mut self, now: Time, step: Step, reply: Reply) {
        self.deadline = None;
        if reply.code == Code::SERVICE_CLOSING {
            return self.lost(step, Reason::ControlClosing, Some(reply));
        }
        match reply.code.class() {
            Class::TransientNegative | Class::PermanentNegative => {
                let reason = self.refusal(step, reply.code);
                self.failed(step, reason, Some(reply));
                self.next_step(now);
            }
            Class::Completion if step.is_passive() => match candidates(&reply, self.network.peer) {
                Some(found) => {
                    let refused = found.refused.map(|address| Failure {
                        step,
                        reason: Reason::DataAddressForeign,
                        address: Some(address),
                        reply: None,
                    });
                    self.failures.extend(refused);
                    self.dial(step, found.dial);
                }
                None => self.malformed(now, step, reply),
            },
            Class::Completion => self.ready(step),
            Class::Preliminary | Class::Intermediate => self.malformed(now, step, reply),
        }
    }

    /// Servers say 500 or 501 for an address that is not the one they see (RFC 2577 §3).
    fn refusal(&self, step: Step, code: Code) -> Reason {
        let unknown = matches!(code, Code::NOT_IMPLEMENTED | Code::NETWORK_PROTOCOL);
        let announced = self.announced(step).filter(|_| !step.is_passive() && !unknown);
        match announced {
            Some(address) if is_hidden_from(address, self.network.peer.ip()) => {
                Reason::ActiveAddressRefused
            }
            _ => Reason::ControlRefused,
        }
    }

    fn malformed(&mut self, now: Time, step: Step, reply: Reply) {
        self.failed(step, Reason::ReplyMalformed, Some(reply));
        self.next_step(now);
    }

    fn dial(&mut self, step: Step, to: Vec<SocketAddr>) {
        let patience = self.network.round_trip.saturating_mul(3).max(DIAL_MIN);
        let patience = (!self.left.is_empty()).then_some(patience);
        self.state = State::Dialling(step);
        self.effects.push_back(Effect::Dial { to, patience });
    }

    fn ready(&mut self, step: Step) {
        self.state = State::Ready(step);
        self.effects.push_back(Effect::Ready(step));
    }

    fn unusable(&mut self, now: Time, step: Step, reason: Reason, reply: Option<Reply>) {
        let reason = match reason {
            Reason::ControlRefused | Reason::ActiveNotConnected if step.is_punched() => {
                Reason::PunchNotMet
            }
            Reason::ControlRefused if !step.is_passive() => Reason::ActiveNotConnected,
            other => other,
        };
        let answered = reply.is_some();
        self.failed(step, reason, reply);
        if answered || self.left.is_empty() {
            self.next_step(now);
        } else {
            self.reconnect();
        }
    }

    fn is_due(&self, now: Time) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// The control connection is gone or out of step. Whether a box ate the command or the reply,
    /// nothing that is said on it later can be trusted: the next step needs a new one.
    fn lost(&mut self, step: Step, reason: Reason, reply: Option<Reply>) {
        self.deadline = None;
        if step.is_punched() && self.network.seen.is_none() {
            self.network.seen = Some(Seen { address: None, port: None });
        }
        self.note(step, reason, None, reply);
        if self.left.is_empty() {
            self.effects.push_back(Effect::Failed(core::mem::take(&mut self.failures)));
        } else {
            self.reconnect();
        }
    }

    fn reconnect(&mut self) {
        self.state = State::Reconnecting;
        self.effects.push_back(Effect::Reconnect);
    }

    /// A step that failed, with those that would fail as it did.
    fn failed(&mut self, step: Step, reason: Reason, reply: Option<Reply>) {
        let same_address = self.announced(step) == self.announced(Step::Eprt);
        self.note(step, reason, None, reply);
        prune(&mut self.left, step, reason, same_address);
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

    /// The own end as the server sees it, if it was asked.
    #[must_use]
    pub const fn seen(&self) -> Option<Seen> {
        self.network.seen
    }
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
