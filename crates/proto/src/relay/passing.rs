//! TLS that passes: the end of reading, and AUTH for a client whose first words of TLS have come before
//! there was a server.
//!
//! What came in clear behind AUTH is never handed on with them.

use alloc::vec::Vec;

use super::effect::{Decision, Effect, Leg, Note};
use super::lobby::Introduction;
use super::{Own, Pending, Relay};
use crate::code::Code;
use crate::reason::Reason;
use crate::reply::Reply;

impl Relay {
    /// Nothing can be read from here on: the server took AUTH with these words, or TLS began with the
    /// connection.
    pub(super) fn turn_opaque(&mut self, said: Vec<u8>) {
        self.close_hole(None);
        self.note(Note::good(Decision::Pass, "session"));
        self.write(Leg::Client, said);
        let (to_client, to_server) = (self.server.take(), self.client.take());
        self.write(Leg::Client, to_client);
        self.write(Leg::Server, to_server);
        self.effects.push_back(Effect::Opaque);
        self.is_opaque = true;
    }

    /// Whether the client has begun a handshake that waits for its server: in clear it hears nothing.
    pub(super) fn expects_tls(&self) -> bool {
        self.introduction.as_ref().is_some_and(Introduction::passes)
    }

    /// The server has greeted: it hears HOST, if that was said, and then AUTH.
    pub(super) fn meet_passing(&mut self) {
        match self.introduction.as_mut().and_then(|said| said.host.take()) {
            Some(host) => self.pass(host, Pending::Own(Own::Host)),
            None => self.ask_passing(),
        }
    }

    pub(super) fn ask_passing(&mut self) {
        self.pass(b"AUTH TLS\r\n".to_vec(), Pending::Own(Own::Passing));
    }

    /// What the server says to that. The client cannot be told no any more but in the words of TLS.
    pub(super) fn passing_answered(&mut self, code: Code) {
        if code != Code::AUTH_ACCEPTED {
            return self.end(Reason::TlsUnavailable);
        }
        // No server speaks first in TLS.
        if !self.server.is_empty() {
            return self.end(Reason::ClearBehindAuth);
        }
        self.introduction = None;
        self.turn_opaque(Vec::new());
    }

    /// The last words to the client, as it can read them now: none where it reads nothing in clear.
    #[must_use]
    pub fn farewell(&self, reason: Reason) -> Vec<u8> {
        if self.is_opaque { Vec::new() } else { farewell(reason, self.expects_tls()) }
    }
}

/// The last words to a client: 421, or an alert where it waits for the answer to its hello.
#[must_use]
pub fn farewell(reason: Reason, expects_tls: bool) -> Vec<u8> {
    /// RFC 8446 §6: a record of an alert, which is fatal.
    const FATAL: [u8; 6] = [21, 3, 3, 0, 2, 2];
    /// Neither the hello nor the certificate of anybody is at fault.
    const INTERNAL_ERROR: u8 = 80;
    const DECODE_ERROR: u8 = 50;
    const UNRECOGNIZED_NAME: u8 = 112;
    if expects_tls {
        let alert = match reason {
            Reason::RouteUnknown => UNRECOGNIZED_NAME,
            Reason::HelloUnreadable => DECODE_ERROR,
            _ => INTERNAL_ERROR,
        };
        return [&FATAL[..], &[alert]].concat();
    }
    let mut bytes = Vec::new();
    Reply::why(Code::SERVICE_CLOSING, reason).encode(&mut bytes);
    bytes
}
