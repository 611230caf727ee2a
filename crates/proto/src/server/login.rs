//! Log in and out: USER, PASS, REIN, QUIT (RFC 959 §4.1.1).
//!
//! Whether a password is right, and whose a certificate is, are jobs of the driver; how often and how fast one may try is here.

use super::policy::Requirement;
use super::refusal::code;
use super::{Core, Decision, Effect, Grant, Job, Note, Outcome, Pending, Settings, State};
use crate::code::Code;
use crate::command::Password;
use crate::data::Channel;
use crate::path::VirtualPath;
use crate::reason::Reason;
use crate::reply::Reply;
use crate::text::Escaped;
use alloc::boxed::Box;
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
    /// Whether a certificate logged them in, and no password.
    pub(super) certified: bool,
}

impl Core {
    /// What is refused because of the name alone is refused here: no password goes over in clear
    /// that belongs to TLS.
    pub(super) fn user(&mut self, user: Vec<u8>, state: State) -> State {
        if self.policy.tls == Requirement::Required && !self.security.control {
            self.refuse("USER", Reason::TlsRequired);
            return state;
        }
        let secured = self.security.control;
        self.run(Job::Identify { user: user.clone(), secured }, Pending::Identify);
        State::Identifying(Box::new(state), ExpectPass { user })
    }

    /// The name was looked at. A second USER begins a new login and flushes the old one.
    pub(super) fn identified(
        &mut self,
        former: State,
        named: ExpectPass,
        outcome: Outcome,
    ) -> State {
        let flushes = matches!(former, State::Ready(_) | State::ExpectRnto(..));
        match outcome {
            // RFC 2228 §4: the security exchange has said who it is.
            Outcome::LoggedIn(grant) => {
                if flushes {
                    self.log_out();
                }
                let text = "User logged in, authorized by the certificate.";
                self.enter(named.user, grant, (Code::AUTHORIZED, text), true)
            }
            Outcome::Failed(reason) if reason != Reason::CertificateOfAnother => {
                self.note(Note::why(Decision::Refuse, "USER", reason).about(&named.user[..]));
                self.reply(Reply::why(code(reason), reason));
                former
            }
            // A name is always asked for its password, known or not (RFC 2577 §6).
            outcome => {
                let is_of_another = matches!(outcome, Outcome::Failed(_));
                if flushes {
                    self.log_out();
                }
                if is_of_another {
                    let reason = Reason::CertificateOfAnother;
                    self.note(Note::why(Decision::Ignore, "certificate", reason));
                    self.reply(Reply::why(code(reason), reason));
                } else if flushes {
                    let text = "Previous account information was flushed, send password.";
                    self.line(Code::NEED_PASSWORD, text);
                } else {
                    self.line(Code::NEED_PASSWORD, "User name okay, need password.");
                }
                State::ExpectPass(named)
            }
        }
    }

    pub(super) fn pass(&mut self, state: ExpectPass, password: Password) -> State {
        let user = state.user.clone();
        self.run(Job::LogIn { user, password }, Pending::LogIn);
        State::CheckingPassword(state)
    }

    pub(super) fn unexpected_pass(&mut self, state: State) -> State {
        let reason = match &state {
            // Some clients send it whatever USER said (RFC 959 §5.4 has 202 for it).
            State::Ready(user) | State::ExpectRnto(user, _) if user.certified => {
                self.line(Code::SUPERFLUOUS, "The certificate has logged you in already.");
                return state;
            }
            State::Ready(_) | State::ExpectRnto(..) => Reason::AlreadyLoggedIn,
            _ => Reason::UserFirst,
        };
        self.refuse("PASS", reason);
        state
    }

    /// The password was looked at.
    pub(super) fn checked(&mut self, state: ExpectPass, outcome: Outcome) -> State {
        match outcome {
            Outcome::LoggedIn(grant) => {
                self.enter(state.user, grant, (Code::LOGGED_IN, "Login successful."), false)
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

    fn enter(
        &mut self,
        user: Vec<u8>,
        grant: Grant,
        (code, text): (Code, &str),
        certified: bool,
    ) -> State {
        self.failed_logins = 0;
        self.login_by = None;
        self.note(Note::good(Decision::LogIn, "session").about(&user[..]));
        self.line(code, text);
        let directory = VirtualPath::root();
        State::Ready(LoggedIn { user, grant, directory, certified })
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
        self.host = None;
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
