//! AUTH, PBSZ and PROT where the gateway ends TLS.
//!
//! It holds no keys and checks no certificate: the driver does the handshakes.

use alloc::vec::Vec;

use super::effect::{Decision, Effect, Leg, Note};
use super::policy::{Auth, Upstream};
use super::{Halt, Legs, Own, Pending, Progress, Relay};
use crate::code::{Class, Code};
use crate::command::{Command, Mechanism, Protection};
use crate::reason::Reason;
use crate::reply::Reply;

impl Relay {
    /// AUTH, no reply being outstanding unless it passes.
    pub(super) fn auth(&mut self, line: Vec<u8>, command: Option<&Command>) {
        let is_read = self.policy.scan.is_some();
        match self.policy.auth {
            Auth::Pass | Auth::Refuse if is_read => {
                return self.refuse("AUTH", Reason::TlsNotScanned);
            }
            Auth::Pass => {
                // What comes behind it may be a handshake already: no lines.
                self.client_waits = true;
                return self.pass(line, Pending::Auth);
            }
            Auth::Refuse => return self.refuse("AUTH", Reason::TlsUnavailable),
            Auth::Terminate => {}
        }
        match command {
            Some(Command::Auth(Mechanism::Tls)) if self.tls.client => {
                self.refuse("AUTH", Reason::TlsAlready);
            }
            Some(Command::Auth(Mechanism::Tls)) if !self.client.is_empty() => {
                self.end(Reason::ClearBehindAuth);
            }
            Some(Command::Auth(Mechanism::Tls)) => {
                if self.tls.server || self.policy.upstream == Upstream::Off {
                    self.begin_client();
                } else {
                    self.client_waits = true;
                    self.ask_tls();
                }
            }
            Some(Command::Auth(Mechanism::Ssl)) => self.refuse("AUTH", Reason::SslRefused),
            _ => self.refuse("AUTH", Reason::MechanismUnknown),
        }
    }

    /// Asks the server for TLS, for the relay itself.
    pub(super) fn ask_tls(&mut self) {
        self.pass(b"AUTH TLS\r\n".to_vec(), Pending::Own(Own::Auth));
    }

    /// The client's turn: it hears 234, and its handshake begins.
    fn begin_client(&mut self) {
        let mut bytes = Vec::new();
        Reply::line(Code::AUTH_ACCEPTED, "Begin TLS.").encode(&mut bytes);
        self.write(Leg::Client, bytes);
        self.halt = Some(Halt::Secure(Leg::Client));
        self.effects.push_back(Effect::Secure(Leg::Client));
    }

    /// The server's reply to a command of the relay's own.
    pub(super) fn own_answer(&mut self, own: Own, code: Code) {
        match own {
            Own::Auth if code == Code::AUTH_ACCEPTED && !self.server.is_empty() => {
                self.end(Reason::ClearBehindAuth);
            }
            Own::Auth if code == Code::AUTH_ACCEPTED => {
                self.halt = Some(Halt::Secure(Leg::Server));
                self.effects.push_back(Effect::Secure(Leg::Server));
            }
            Own::Auth => self.without_server(),
            // The client was answered by the gateway; a server without HOST has one host.
            Own::Host if self.expects_tls() => self.ask_passing(),
            Own::Host | Own::Forgotten => {}
            Own::Noop => self.awake(code),
            Own::Passing => self.passing_answered(code),
            Own::Pbsz => self.pass(b"PROT P\r\n".to_vec(), Pending::Own(Own::Prot)),
            Own::Prot => {
                let server = code.class() == Class::Completion;
                self.protect(Legs { server, ..self.private });
                self.go_on();
            }
        }
    }

    /// The server has no TLS: it depends on the policy whether that is the end.
    fn without_server(&mut self) {
        let is_needed = matches!(self.policy.upstream, Upstream::Required | Upstream::Always);
        if is_needed {
            return self.end(Reason::TlsUnavailable);
        }
        self.note(Note::why(Decision::Ignore, "AUTH", Reason::TlsUnavailable));
        if self.introduction.is_some() {
            return self.go_on();
        }
        self.client_waits = false;
        self.begin_client();
    }

    /// A handshake is over.
    pub(super) fn secured(&mut self, leg: Leg, result: Result<(), Reason>) {
        match self.halt.take() {
            Some(Halt::Secure(asked)) if asked == leg => {}
            other => {
                self.halt = other;
                return;
            }
        }
        if let Err(reason) = result {
            return self.end(reason);
        }
        let subject = match leg {
            Leg::Client => "client",
            Leg::Server => "server",
        };
        self.note(Note::good(Decision::Secure, subject));
        match leg {
            Leg::Client => {
                self.tls.client = true;
                // What was said in clear does not count any more (RFC 4217 §4).
                self.progress = self.progress.min(Progress::ExpectUser);
                self.client_waits = false;
            }
            Leg::Server => {
                self.tls.server = true;
                self.is_way_known = false;
                let is_asked = self.private.client || self.policy.upstream == Upstream::Always;
                match self.greeting {
                    Some(_) if self.introduction.is_some() && !is_asked => self.go_on(),
                    // The client may know nothing of TLS: the relay asks for private data itself.
                    Some(_) => self.pass(b"PBSZ 0\r\n".to_vec(), Pending::Own(Own::Pbsz)),
                    None => self.begin_client(),
                }
            }
        }
    }

    /// The server's leg is ready: the client hears the greeting.
    pub(super) fn go_on(&mut self) {
        self.client_waits = false;
        let introduction = self.introduction.take();
        let is_awaited = introduction.as_ref().is_none_or(|said| said.awaits_greeting);
        if let Some(greeting) = self.greeting.take().filter(|_| is_awaited) {
            self.write(Leg::Client, greeting.bytes);
        }
        if let Some(host) = introduction.and_then(|said| said.host) {
            self.pass(host, Pending::Own(Own::Host));
        }
    }

    /// PBSZ and PROT: they pass where both legs are under TLS, else each leg has its own.
    pub(super) fn protection(&mut self, line: Vec<u8>, command: Option<&Command>) {
        if !self.tls.client {
            return self.refuse("PROT", Reason::TlsFirst);
        }
        let pending = match command {
            Some(Command::Prot(Protection::Private)) => Pending::Prot(true),
            Some(Command::Prot(Protection::Clear)) => Pending::Prot(false),
            _ => Pending::Plain,
        };
        if self.tls.server && self.policy.upstream != Upstream::Always {
            return self.pass(line, pending);
        }
        match pending {
            Pending::Prot(client) => {
                self.protect(Legs { client, ..self.private });
                self.reply(&Reply::line(Code::OK, "Protection set."));
            }
            _ if matches!(command, Some(Command::Pbsz(_))) => {
                self.reply(&Reply::line(Code::OK, "PBSZ=0"));
            }
            _ => self.refuse("PROT", Reason::ProtectionUnsupported),
        }
    }

    pub(super) fn protect(&mut self, private: Legs) {
        if self.private != private {
            self.private = private;
            self.effects.push_back(Effect::Protect(private));
        }
    }
}
