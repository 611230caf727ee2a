//! Log in and out: USER, PASS, REIN, QUIT (RFC 959 §4.1.1).
//!
//! Whether a password is right is a job of the driver; how often and how fast one may try is here.

use super::policy::Requirement;
use super::{Core, Decision, Effect, Grant, Job, Note, Outcome, Pending, Settings, State};
use crate::code::Code;
use crate::command::Password;
use crate::data::Channel;
use crate::path::VirtualPath;
use crate::reason::Reason;
use crate::reply::Reply;
use crate::text::Escaped;
use alloc::vec::Vec;

/// USER was given, PASS is wanted.
#[derive(Debug)]
pub(super) struct ExpectPass {
    user: Vec<u8>,
}

/// Somebody is logged in.
#[derive(Debug)]
pub(super) struct LoggedIn {
    pub(super) user: Vec<u8>,
    pub(super) grant: Grant,
    pub(super) directory: VirtualPath,
}

impl Core {
    /// A name is always asked for its password, known or not (RFC 2577 §6). A second USER begins a
    /// new login and flushes the old one.
    pub(super) fn user(&mut self, user: Vec<u8>, state: State) -> State {
        if self.policy.tls == Requirement::Required && !self.security.control {
            self.refuse("USER", Reason::TlsRequired);
            return state;
        }
        let text = match state {
            State::Ready(_) | State::ExpectRnto(..) => {
                self.log_out();
                "Previous account information was flushed, send password."
            }
            _ => "User name okay, need password.",
        };
        self.line(Code::NEED_PASSWORD, text);
        State::ExpectPass(ExpectPass { user })
    }

    pub(super) fn pass(&mut self, state: ExpectPass, password: Password) -> State {
        let user = state.user.clone();
        self.run(Job::LogIn { user, password }, Pending::LogIn);
        State::CheckingPassword(state)
    }

    pub(super) fn unexpected_pass(&mut self, state: State) -> State {
        let reason = match state {
            State::Ready(_) | State::ExpectRnto(..) => Reason::AlreadyLoggedIn,
            _ => Reason::UserFirst,
        };
        self.refuse("PASS", reason);
        state
    }

    /// The password was looked at.
    pub(super) fn checked(&mut self, state: ExpectPass, outcome: Outcome) -> State {
        match outcome {
            // The password was right, so it can be told what else is wrong.
            Outcome::LoggedIn(Grant { tls: true, .. }) if !self.security.control => {
                self.refuse("PASS", Reason::TlsRequired);
                State::ExpectUser
            }
            Outcome::LoggedIn(grant) => {
                self.failed_logins = 0;
                self.login_by = None;
                self.note(Note::good(Decision::LogIn, "session").about(&state.user[..]));
                self.line(Code::LOGGED_IN, "Login successful.");
                let directory = VirtualPath::root();
                State::Ready(LoggedIn { user: state.user, grant, directory })
            }
            other => {
                let reason = match other {
                    Outcome::Failed(reason) => reason,
                    _ => Reason::LoginFailed,
                };
                self.note(Note::why(Decision::Refuse, "PASS", reason).about(&state.user[..]));
                self.failed_logins += 1;
                let doublings = (self.failed_logins - 1).min(6);
                let delay = self.policy.login_delay.saturating_mul(1 << doublings);
                let delay = delay.min(self.policy.login_delay_max);
                let last = self.failed_logins >= self.policy.login_attempts;
                State::Refusing { until: self.now.after(delay), last }
            }
        }
    }

    /// The delay of a wrong password is over. The last one says in the same reply that it was.
    pub(super) fn refuse_login(&mut self, last: bool) -> State {
        if !last {
            self.reply(Reply::why(Code::NOT_LOGGED_IN, Reason::LoginFailed));
            return State::ExpectUser;
        }
        let reason = Reason::TooManyAttempts;
        self.drop_transfer(reason);
        self.note(Note::why(Decision::Close, "session", reason));
        self.reply(Reply::why(Code::NOT_LOGGED_IN, reason));
        self.effects.push_back(Effect::Close);
        State::Closing
    }

    /// Back to the beginning; a transfer in progress goes on to its end.
    pub(super) fn rein(&mut self) -> State {
        self.log_out();
        self.line(Code::READY, "Ready for new user.");
        State::ExpectUser
    }

    pub(super) fn quit(&mut self) -> State {
        self.line(Code::CLOSING, "Goodbye.");
        self.effects.push_back(Effect::Close);
        State::Closing
    }

    fn log_out(&mut self) {
        self.settings = Settings::default();
        self.login_by = Some(self.now.after(self.policy.login_timeout));
        if self.transfer.is_none() {
            self.channel = Channel::Idle;
            self.effects.push_back(Effect::Unlisten);
        }
    }

    /// Who is there, for STAT.
    pub(super) fn who(user: Option<&LoggedIn>) -> Vec<u8> {
        match user {
            Some(user) => alloc::format!("Logged in as {}", Escaped(&user.user)).into_bytes(),
            None => b"Not logged in".to_vec(),
        }
    }
}
