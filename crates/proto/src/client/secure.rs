//! The protection of the control connection: TLS before the greeting, AUTH TLS behind it, or none.
//!
//! It sends no password and does no handshake: the [`Login`](super::Login) begins when it is done.

use alloc::collections::VecDeque;

use crate::code::{Class, Code};
use crate::command::{Command, Mechanism};
use crate::reason::Reason;
use crate::reply::Reply;
use crate::time::Time;

/// Whether TLS is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Never.
    Off,
    /// Where the server has it: AUTH TLS is tried, and a server that refuses it is used in clear.
    #[default]
    Auto,
    /// Always: else there is no login.
    Required,
}

/// What is told to the machine.
#[derive(Debug)]
pub enum Input {
    /// A reply: the greeting, then the one to AUTH.
    Reply(Reply),
    /// The conversation is over.
    Lost(Reason),
    /// The handshake succeeded.
    Secured,
    /// The handshake failed: why.
    Failed(Reason),
}

/// What the machine wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this and bring the reply.
    Command(Command),
    /// Do the handshake. What came in clear behind the last reply may never be taken for a reply.
    StartTls,
    /// Log in. The machine is done.
    Done(Start),
    /// There will be no login: why, and the reply that said so. The machine is done.
    Failed(Reason, Option<Reply>),
}

/// What a login begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// The greeting, which it has to judge.
    Greeted(Reply),
    /// The same, where TLS was up before it: implicit TLS.
    Implicit(Reply),
    /// The state after a handshake: what was said in clear counts for nothing (RFC 4217 §4).
    Anew,
}

/// The machine.
#[derive(Debug)]
pub struct Secure {
    policy: Policy,
    state: State,
    effects: VecDeque<Effect>,
}

#[derive(Debug)]
enum State {
    /// Implicit TLS, before anything is said.
    Handshaking,
    /// The greeting, and whether TLS is up already.
    ExpectGreeting {
        secured: bool,
    },
    ExpectAuth(Reply),
    HandshakingBehindAuth,
    Over,
}

impl Secure {
    /// On a connection that begins in clear.
    #[must_use]
    pub const fn explicit(policy: Policy) -> Self {
        let state = State::ExpectGreeting { secured: false };
        Self { policy, state, effects: VecDeque::new() }
    }

    /// On a connection that is under TLS from its first byte (port 990).
    #[must_use]
    pub fn implicit() -> Self {
        let effects = VecDeque::from([Effect::StartTls]);
        Self { policy: Policy::Required, state: State::Handshaking, effects }
    }

    /// Takes one input.
    pub fn handle(&mut self, _now: Time, input: Input) {
        match (core::mem::replace(&mut self.state, State::Over), input) {
            (State::Over, _) => {}
            (_, Input::Lost(reason) | Input::Failed(reason)) => self.fail(reason, None),
            (State::Handshaking, Input::Secured) => {
                self.state = State::ExpectGreeting { secured: true };
            }
            (State::HandshakingBehindAuth, Input::Secured) => {
                self.effects.push_back(Effect::Done(Start::Anew));
            }
            (State::ExpectGreeting { secured }, Input::Reply(reply)) => {
                self.greeting(secured, reply);
            }
            (State::ExpectAuth(greeting), Input::Reply(reply)) => self.auth(greeting, reply),
            // An input that belongs to no state: nothing to decide.
            (state, _) => self.state = state,
        }
    }

    /// The next effect.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Its deadlines are those of the conversation and of the handshake.
    #[must_use]
    pub const fn deadline(&self) -> Option<Time> {
        None
    }

    /// A 230 in clear that needs no login does not do for who wants TLS (curl 986): AUTH is sent
    /// all the same. A refusal is the login's to explain.
    fn greeting(&mut self, secured: bool, reply: Reply) {
        let welcome = reply.code.class() == Class::Completion;
        if secured {
            self.effects.push_back(Effect::Done(Start::Implicit(reply)));
        } else if !welcome || self.policy == Policy::Off {
            self.effects.push_back(Effect::Done(Start::Greeted(reply)));
        } else {
            self.state = State::ExpectAuth(reply);
            self.effects.push_back(Effect::Command(Command::Auth(Mechanism::Tls)));
        }
    }

    /// RFC 4217 §4 has 234; 334 is what RFC 2228 §5.3 has for mechanisms with more to say, and some
    /// servers send it for TLS.
    fn auth(&mut self, greeting: Reply, reply: Reply) {
        match reply.code.number() {
            234 | 334 => {
                self.state = State::HandshakingBehindAuth;
                self.effects.push_back(Effect::StartTls);
            }
            _ if reply.code == Code::SERVICE_CLOSING => {
                self.fail(Reason::ControlClosing, Some(reply));
            }
            _ if self.policy == Policy::Auto => {
                self.effects.push_back(Effect::Done(Start::Greeted(greeting)));
            }
            _ => self.fail(Reason::TlsRefused, Some(reply)),
        }
    }

    fn fail(&mut self, reason: Reason, reply: Option<Reply>) {
        self.effects.push_back(Effect::Failed(reason, reply));
    }
}

#[cfg(test)]
mod tests;
