//! Servers that connect when they hear PORT, and answer it only then (pyftpdlib): they are let in as far
//! as the gateway.
//!
//! Nothing of theirs gets any further before the transfer verb: that is the pinhole's matter, as ever.

use alloc::vec::Vec;
use core::time::Duration;

use super::effect::{Decision, Effect, Note};
use super::lines::Block;
use super::{Pending, Relay};
use crate::code::Code;
use crate::reason::Reason;
use crate::time::Time;

/// How long a server may take to answer PORT until it is taken for one of them. Origin: who only
/// remembers an address answers within a round trip; the first packet that nobody has answered is sent
/// again after a second.
const PROMPT: Duration = Duration::from_millis(500);

/// A PORT or EPRT that is not answered yet.
#[derive(Debug)]
pub(super) struct Aimed {
    line: Vec<u8>,
    until: Time,
}

impl Relay {
    /// PORT or EPRT goes to the server.
    pub(super) fn tell_port(&mut self, line: Vec<u8>, pending: Pending) {
        if self.dials_early {
            self.admit();
        } else {
            self.aimed = Some(Aimed { line: line.clone(), until: self.now.after(PROMPT) });
        }
        self.pass(line, pending);
    }

    /// It is answered. 425 is no reply to PORT (RFC 959 §5.4) but that of a server which has tried to
    /// connect: it is let in and told again, once, if nothing else waits for its reply.
    pub(super) fn port_answered(&mut self, pending: Pending, block: Block) {
        match self.aimed.take() {
            Some(Aimed { line, .. })
                if block.code == Code::NO_DATA_CONNECTION && self.pending.is_empty() =>
            {
                self.note(Note::why(Decision::Rewrite, "PORT", Reason::DataRefused));
                self.admit();
                self.pass(line, pending);
            }
            _ => self.answer_to(pending, block),
        }
    }

    /// When a server that has not answered is taken for one that waits to be let in.
    pub(super) fn early_deadline(&self) -> Option<Time> {
        self.aimed.as_ref().map(|aimed| aimed.until)
    }

    /// It is.
    pub(super) fn wait_no_more(&mut self) {
        if self.early_deadline().is_some_and(|until| until <= self.now) {
            self.aimed = None;
            self.admit();
        }
    }

    fn admit(&mut self) {
        self.dials_early = true;
        if let Some(current) = self.current {
            self.effects.push_back(Effect::Admit(current.id, current.hole));
        }
    }
}
