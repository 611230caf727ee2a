//! The other mode where the asked one finds no way: a server that listens where nobody gets through may
//! be able to connect, and one that will not connect to listen.
//!
//! Only [`Mode::Auto`] comes here. Who may come through a pinhole is decided as ever.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::answers::{announcement, encode, is_announcement};
use super::commands::aimed_at;
use super::effect::{Decision, Effect, Leg, Note, Way};
use super::hole::{Doors, Hole, Side};
use super::lines::Block;
use super::policy::Mode;
use super::{Asked, Current, Halt, Pending, Relay};
use crate::code::{Class, Code};
use crate::reason::Reason;

/// A server's announcement, and whose wish it answers.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) asked: Asked,
    pub(super) block: Block,
    /// What it says, and where the server really is.
    pub(super) announced: SocketAddr,
    pub(super) target: SocketAddr,
}

impl Relay {
    /// The server listens: whether anybody gets there is asked first, where that may change anything.
    /// With a command behind PASV on its way already the server waits for a connection to this port.
    pub(super) fn found(&mut self, found: Found) {
        let is_asked = matches!(found.asked, Asked::Pasv | Asked::Epsv);
        let is_unsure = self.policy.mode == Mode::Auto && !self.is_way_known;
        if is_unsure && is_asked && self.pending.is_empty() {
            self.effects.push_back(Effect::Probe(found.target));
            self.halt = Some(Halt::Probe(found));
        } else {
            self.offer(found);
        }
    }

    /// A door for the client to where the server listens.
    pub(super) fn offer(&mut self, found: Found) {
        let client = match found.asked {
            Asked::Active(address) => Side::Listens(address),
            Asked::Pasv | Asked::Epsv => Side::Dials,
        };
        let current = self.prepare(Hole { client, server: Side::Listens(found.target) });
        self.halt = Some(Halt::Announce(current, found));
    }

    /// Whether a server that refuses PORT may be asked to listen: nothing has been said behind PORT
    /// that would be answered first.
    pub(super) fn may_ask_otherwise(&self) -> bool {
        self.policy.mode == Mode::Auto && self.pending.is_empty()
    }

    /// It is: it may not connect to anybody, or not to the address that the gateway has.
    pub(super) fn instead_of_port(&mut self, asked: Asked) {
        self.note(Note::why(Decision::Rewrite, "PORT", Reason::ControlRefused));
        self.ask_passive(asked);
    }

    /// The driver has tried the server's port.
    pub(super) fn probed(&mut self, target: SocketAddr, way: Way) {
        let found = match self.halt.take() {
            Some(Halt::Probe(found)) if found.target == target => found,
            other => {
                self.halt = other;
                return;
            }
        };
        match way {
            Way::Known => self.offer(found),
            Way::Found => {
                self.is_way_known = true;
                let line: &[u8] = match found.block.code {
                    Code::PASSIVE => b"PASV\r\n",
                    _ => b"EPSV\r\n",
                };
                self.pass(line.to_vec(), Pending::Passive(found.asked));
            }
            Way::Closed => {
                let current = self.prepare(Hole { client: Side::Dials, server: Side::Dials });
                self.halt = Some(Halt::Detour(current, found));
            }
        }
    }

    /// There are doors for both: the server is asked to connect.
    pub(super) fn detour(&mut self, current: Current, found: Found, doors: Result<Doors, Reason>) {
        let Ok(Doors { client: Some(client), server: Some(server) }) = doors else {
            return self.offer(found);
        };
        self.note(Note::why(Decision::Rewrite, "PASV", Reason::DataDialTimeout));
        self.current = Some(current);
        self.tell_port(aimed_at(server, false).into_bytes(), Pending::Detour(found, client));
    }

    /// The server will connect, or will not: then the client is told what it was told first.
    pub(super) fn detour_answer(&mut self, found: Found, door: SocketAddr, block: &Block) {
        if block.code.class() != Class::Completion || is_announcement(block.code) {
            self.note(Note::why(Decision::Ignore, "PORT", Reason::ControlRefused));
            return self.offer(found);
        }
        if let Some(current) = self.current {
            self.commit(current);
        }
        match announcement(found.asked, door) {
            Some(reply) => {
                let bytes: Vec<u8> = encode(&reply);
                self.write(Leg::Client, bytes);
            }
            None => self.no_door(Reason::PassiveNeedsIpv4),
        }
    }
}
