//! TLS that passes, before there is a server: the choice by HOST, or by the name in the client's hello.
//!
//! It answers no handshake: what it has read goes to the server as it came.

use alloc::string::String;
use alloc::vec::Vec;

use super::super::effect::{Decision, Note};
use super::super::route::{Called, Early};
use super::{Desk, Lobby, Passing, Task, Wish};
use crate::code::Code;
use crate::command::Mechanism;
use crate::hello::First;
use crate::reason::Reason;
use crate::relay::farewell;
use crate::reply::Reply;

impl Lobby {
    /// AUTH: what comes after it cannot be read, but for the first words. A row by HOST that stands
    /// before all by the name in the handshake chooses at once, and the server itself answers; else
    /// the gateway has to, since the client says that name only then.
    pub(super) fn auth_passes(&mut self, line: &[u8], mechanism: &Mechanism) {
        let early = match &self.desk {
            Desk::Routes(routes) => routes.before_handshake(self.host_name.as_deref()),
            Desk::Forward { .. } => Early::Nobody,
        };
        match (early, mechanism) {
            (Early::Group(group), _) => {
                let group = String::from(group);
                self.choose(Wish::Group(group), line.to_vec());
            }
            (Early::Nobody, _) => self.refuse("AUTH", Reason::TlsUnavailable),
            (Early::ByName, Mechanism::Ssl) => self.refuse("AUTH", Reason::SslRefused),
            (Early::ByName, Mechanism::Tls) if !self.client.is_empty() => {
                self.close(Reason::ClearBehindAuth);
            }
            (Early::ByName, Mechanism::Tls) => {
                self.reply(&Reply::line(Code::AUTH_ACCEPTED, "Begin TLS."));
                self.hello = Some((Passing::AfterAuth, Vec::new()));
            }
        }
    }

    /// The first words of TLS, so far.
    pub(super) fn hear_hello(&mut self, bytes: &[u8]) {
        let Some((_, said)) = &mut self.hello else { return };
        said.extend_from_slice(bytes);
        match First::read(said) {
            First::Partial => {}
            First::Other => self.close(Reason::HelloUnreadable),
            First::Hello(hello) => self.named(hello.server_name),
        }
    }

    fn named(&mut self, name: Option<Vec<u8>>) {
        let names = Called { host: self.host_name.as_deref(), sni: name.as_deref(), user: None };
        let group = match &self.desk {
            Desk::Routes(routes) => routes.find(names).map(String::from),
            Desk::Forward { .. } => None,
        };
        let name = name.unwrap_or_default();
        let Some(group) = group else {
            self.note(Note::why(Decision::Refuse, "TLS", Reason::RouteUnknown).about(name));
            return self.close(Reason::RouteUnknown);
        };
        self.note(Note::good(Decision::Pass, "TLS").about(name));
        let (passing, said) = self.hello.take().unwrap_or_default();
        self.said.passing = Some(passing);
        self.choose(Wish::Group(group), said);
    }

    /// The last words to the client, as it can read them now.
    #[must_use]
    pub fn farewell(&self, reason: Reason) -> Vec<u8> {
        match &self.hello {
            // Who says something else hears it in clear.
            Some((Passing::AfterAuth, said)) if said.first().is_some_and(|byte| *byte != TLS) => {
                farewell(reason, false)
            }
            hello => farewell(reason, hello.is_some()),
        }
    }

    pub(super) fn close(&mut self, reason: Reason) {
        self.note(Note::why(Decision::Close, "session", reason));
        let words = self.farewell(reason);
        self.tasks.push_back(Task::Write(words));
        self.end();
    }
}

/// What a record of a handshake begins with (RFC 8446 §5.1).
const TLS: u8 = 22;
