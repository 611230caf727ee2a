//! TLS on the control connection and the protection of data: AUTH, PBSZ, PROT, CCC (RFC 4217).
//!
//! The handshakes are the driver's; whose certificate it was, too.

use super::login::LoggedIn;
use super::policy::Requirement;
use super::{Core, Decision, Effect, Note, Session, Settings, State};
use crate::code::Code;
use crate::command::{Command, Mechanism, Protection};
use crate::data::Channel;
use crate::reason::Reason;
use alloc::vec::Vec;

/// How a session is protected.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Security {
    /// Whether the control connection is under TLS now.
    pub(super) control: bool,
    /// Whether it ever was: data stay protected after CCC.
    pub(super) proven: bool,
    /// Whether PBSZ came.
    pub(super) sized: bool,
    /// What PROT chose.
    pub(super) data: Protection,
}

impl Security {
    /// That of a connection on which TLS came first (implicit TLS). Data are private from the
    /// start, as clients of that mode expect.
    pub(super) const IMPLICIT: Self =
        Self { control: true, proven: true, sized: true, data: Protection::Private };
}

impl Session {
    /// AUTH in a session that is not protected yet. Nothing that came in clear behind it is obeyed.
    pub(super) fn auth(&mut self, mechanism: Mechanism) {
        let reason = match mechanism {
            _ if self.core.policy.tls == Requirement::Off => Reason::TlsUnavailable,
            Mechanism::Ssl => Reason::SslRefused,
            Mechanism::Tls if self.core.security.control => Reason::TlsAlready,
            Mechanism::Tls if !self.queue.is_empty() => {
                return self.close(Reason::ClearBehindAuth);
            }
            Mechanism::Tls => {
                self.core.line(Code::AUTH_ACCEPTED, "AUTH TLS successful.");
                self.core.effects.push_back(Effect::StartTls);
                self.state = State::Securing;
                return;
            }
        };
        self.core.refuse("AUTH", reason);
    }

    /// The handshake on the control connection is over. The login begins anew.
    pub(super) fn handle_tls(&mut self, end: Result<(), Reason>) {
        if !matches!(self.state, State::Securing) {
            return;
        }
        match end {
            // They came before the handshake was over, so in clear.
            Ok(()) if !self.queue.is_empty() => self.close(Reason::ClearBehindAuth),
            Ok(()) => {
                let core = &mut self.core;
                core.security = Security { control: true, proven: true, ..Security::default() };
                core.settings = Settings::default();
                core.channel = Channel::Idle;
                core.idle_since = core.now;
                core.login_by = Some(core.now.after(core.policy.login_timeout));
                self.state = State::ExpectUser;
            }
            // The bytes on the wire are nobody's reply any more: a word would only confuse.
            Err(reason) => {
                self.core.note(Note::why(Decision::Close, "session", reason));
                self.core.drop_transfer(reason);
                self.end();
            }
        }
    }
}

impl Core {
    /// Handles the verbs of this file but AUTH; hands others back.
    pub(super) fn secure(&mut self, command: Command, user: Option<&LoggedIn>) -> Option<Command> {
        match command {
            Command::Pbsz(_) if !self.security.proven => self.refuse("PBSZ", Reason::TlsFirst),
            Command::Pbsz(_) => {
                self.security.sized = true;
                self.line(Code::OK, "PBSZ=0");
            }
            Command::Prot(level) => self.prot(level, user),
            Command::Ccc => self.ccc(),
            other => return Some(other),
        }
        None
    }

    fn prot(&mut self, level: Protection, user: Option<&LoggedIn>) {
        if !self.security.proven {
            self.refuse("PROT", Reason::TlsFirst);
        } else if !self.security.sized {
            self.refuse("PROT", Reason::PbszFirst);
        } else if level == Protection::Clear && self.needs_privacy(user) {
            self.note(Note::why(Decision::Refuse, "PROT", Reason::DataProtectionRequired));
            self.line(Code::POLICY, Reason::DataProtectionRequired.describe());
        } else {
            self.security.data = level;
            self.line(
                Code::OK,
                match level {
                    Protection::Clear => "Data connections are in clear.",
                    Protection::Private => "Data connections are private.",
                },
            );
        }
    }

    /// The reply still goes out under TLS; then both ends close it, and the connection stays.
    fn ccc(&mut self) {
        if !self.security.control {
            self.refuse("CCC", Reason::TlsFirst);
        } else if !self.policy.clear_commands {
            self.refuse("CCC", Reason::ClearRefused);
        } else {
            self.security.control = false;
            self.line(Code::OK, "The control connection is in clear from now on.");
            self.effects.push_back(Effect::StopTls);
        }
    }

    /// Whether data connections are under TLS.
    pub(super) const fn is_private(&self) -> bool {
        matches!(self.security.data, Protection::Private)
    }

    /// Why this user may not move data as the session is protected now, if so.
    pub(super) fn data_refusal(&self, user: &LoggedIn) -> Option<Reason> {
        let refuses = self.needs_privacy(Some(user)) && !self.is_private();
        refuses.then_some(Reason::DataProtectionRequired)
    }

    fn needs_privacy(&self, user: Option<&LoggedIn>) -> bool {
        self.policy.data_tls == Requirement::Required
            || user.is_some_and(|user| user.grant.data_tls)
    }

    /// The lines of FEAT.
    pub(super) fn features_of_tls(&self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        if self.policy.tls != Requirement::Off {
            lines.extend([b"AUTH TLS".to_vec(), b"PBSZ".to_vec(), b"PROT".to_vec()]);
            if self.policy.clear_commands {
                lines.push(b"CCC".to_vec());
            }
        }
        lines
    }
}
