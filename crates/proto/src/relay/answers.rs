//! The server's replies: 227 and 229 are rewritten, the answers to PORT and EPRT open or close a
//! pinhole, the rest passes as it came.
//!
//! An announcement that nobody asked for opens nothing.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::detour::Found;
use super::effect::{Decision, Leg, Note};
use super::hole::Doors;
use super::lines::Block;
use super::policy::{Auth, Upstream};
use super::{Asked, Current, Own, Pending, Progress, Relay};
use crate::addr;
use crate::code::{Class, Code};
use crate::data::LOWEST_PORT;
use crate::reason::Reason;
use crate::reply::Reply;
use crate::server::refusal;

impl Relay {
    /// One whole reply.
    pub(super) fn answer(&mut self, block: Block) {
        if self.upload.is_some() {
            return self.answer_to_upload(block);
        }
        if block.code.class() == Class::Preliminary {
            return self.write(Leg::Client, block.bytes);
        }
        let pending = self.take_pending(block.code);
        let is_asked = matches!(
            pending,
            Some(Pending::Passive(_) | Pending::Own(Own::Forgotten) | Pending::Detour(..))
        );
        if is_announcement(block.code) && !is_asked {
            let note = Note::why(Decision::Ignore, "227", Reason::ReplyMalformed);
            self.note(note.about(block.text()));
            if let Some(Pending::Active(..)) = pending {
                self.close_hole(Some(Reason::ReplyMalformed));
            }
            self.write(Leg::Client, block.bytes);
        } else if let Some(pending @ (Pending::Active(..) | Pending::Detour(..))) = pending {
            self.port_answered(pending, block);
        } else if let Some(pending) = pending {
            self.answer_to(pending, block);
        } else {
            self.write(Leg::Client, block.bytes);
        }
        self.flush();
    }

    /// The command that a final reply of this code answers. Servers answer some commands before
    /// the end of a running transfer, and count differently around ABOR: where the code tells, it
    /// decides.
    fn take_pending(&mut self, code: Code) -> Option<Pending> {
        let is_passive = |pending: &Pending| {
            matches!(pending, Pending::Passive(_) | Pending::Own(Own::Forgotten))
        };
        if is_announcement(code)
            && let Some(at) = self.pending.iter().position(is_passive)
        {
            // What it overtook is not answered any more, but for the relay's own words.
            for passed in self.pending.drain(..at).collect::<Vec<_>>() {
                if let Pending::Local(bytes) = passed {
                    self.write(Leg::Client, bytes);
                }
            }
            return self.pending.pop_front();
        }
        let runs = matches!(self.pending.front(), Some(Pending::Transfer));
        let ends = code.is_negative() || matches!(code, Code::TRANSFER_COMPLETE | Code::FILE_OK);
        if runs && !ends && self.pending.len() > 1 {
            self.pending.remove(1)
        } else {
            self.pending.pop_front()
        }
    }

    pub(super) fn answer_to(&mut self, pending: Pending, block: Block) {
        let is_good = block.code.class() == Class::Completion;
        match pending {
            Pending::Greeting => return self.greeted(block),
            Pending::User if !block.code.is_negative() => self.progress = Progress::Known,
            Pending::Features if self.policy.reads_all() => return self.features(&block),
            Pending::Transfer => {
                let reason = block.code.is_negative().then_some(Reason::ControlRefused);
                self.close_hole(reason);
            }
            Pending::Passive(asked) if is_good => return self.passive_answer(asked, block),
            Pending::Passive(Asked::Active(_)) => return self.no_door(Reason::ControlRefused),
            Pending::Active(asked, door) => return self.active_answer(asked, door, block),
            Pending::Rest(line) if block.code.class() == Class::Intermediate => {
                self.said.rest = Some(line);
            }
            Pending::Detour(found, door) => return self.detour_answer(found, door, &block),
            Pending::Rein if is_good => {
                self.close_hole(None);
                self.progress = Progress::ExpectUser;
            }
            Pending::Auth if matches!(block.code, Code::AUTH_ACCEPTED) => {
                return self.turn_opaque(block.bytes);
            }
            Pending::Adat if block.code == Code::SECURED => {
                return self.turn_opaque(block.bytes);
            }
            Pending::Auth | Pending::Adat => self.client_waits = false,
            Pending::Prot(is_private) if is_good => {
                self.protect(super::Legs { client: is_private, server: is_private });
            }
            Pending::Own(own) => return self.own_answer(own, block.code),
            _ => {}
        }
        self.write(Leg::Client, block.bytes);
    }

    fn greeted(&mut self, block: Block) {
        if block.code.class() == Class::Completion {
            self.progress = self.progress.max(Progress::ExpectUser);
        }
        if self.introduction.is_some() {
            return self.met(block);
        }
        if self.client_waits && self.policy.upstream == Upstream::Always {
            self.greeting = Some(block);
            return self.ask_tls();
        }
        self.write(Leg::Client, block.bytes);
    }

    /// The server has greeted, where the client was greeted by the gateway: what it has said meanwhile
    /// is said now, under TLS where that is the policy.
    fn met(&mut self, block: Block) {
        if block.code.class() != Class::Completion {
            if self.expects_tls() {
                return self.end(Reason::ServerBusy);
            }
            self.write(Leg::Client, block.bytes);
            return self.stop();
        }
        if self.expects_tls() {
            return self.meet_passing();
        }
        let is_wanted = match self.policy.upstream {
            Upstream::Always => true,
            Upstream::Offered | Upstream::Required => self.tls.client,
            Upstream::Off => false,
        };
        self.greeting = Some(block);
        if is_wanted && !self.tls.server { self.ask_tls() } else { self.go_on() }
    }

    /// The server listens: a door for the client, or for the relay itself.
    fn passive_answer(&mut self, asked: Asked, block: Block) {
        let text = block.text();
        self.said.is_extended = block.code == Code::EXTENDED_PASSIVE;
        let Some(announced) = self.announced(&block) else {
            let note = Note::why(Decision::Ignore, "227", Reason::ReplyMalformed);
            self.note(note.about(text));
            return match asked {
                Asked::Active(_) => self.no_door(Reason::ReplyMalformed),
                Asked::Pasv | Asked::Epsv => self.write(Leg::Client, block.bytes),
            };
        };
        if self.is_privileged(announced) {
            return self.no_door(Reason::PrivilegedPort);
        }
        // Whatever it says, the data are where the server is: a server behind a NAT of its own
        // announces an address that nobody reaches, and a hostile one that of somebody else.
        let target = SocketAddr::new(self.ends.server.ip(), announced.port());
        if announced.ip().to_canonical() != target.ip().to_canonical() {
            let note = Note::why(Decision::Rewrite, "227", Reason::DataAddressForeign);
            self.note(note.about(text));
        }
        self.found(Found { asked, block, announced, target });
    }

    /// The address in 227 or 229.
    pub(super) fn announced(&self, block: &Block) -> Option<SocketAddr> {
        let text = block.text();
        match block.code {
            Code::PASSIVE => addr::find_227(&text).map(|found| SocketAddr::from(found.value)),
            Code::EXTENDED_PASSIVE => addr::find_229(&text).map(|found| {
                let address = found.value.address.unwrap_or_else(|| self.ends.server.ip());
                SocketAddr::new(address, found.value.port)
            }),
            _ => None,
        }
    }

    /// Whether an announced port is one of the system's services.
    pub(super) const fn is_privileged(&self, announced: SocketAddr) -> bool {
        announced.port() < LOWEST_PORT && announced.port() != self.ends.server.port()
    }

    /// The driver has a door for the client: 227 or 229 names it, and it is open.
    pub(super) fn announce(
        &mut self,
        current: Current,
        found: &Found,
        doors: Result<Doors, Reason>,
    ) {
        let &Found { asked, ref block, announced, .. } = found;
        let doors = match doors {
            Ok(doors) => doors,
            Err(reason) => return self.no_door(reason),
        };
        let reply = match (asked, doors.client) {
            (Asked::Active(_), _) => Reply::line(Code::OK, "Active mode ready."),
            (_, Some(door)) => match announcement(asked, door) {
                Some(reply) => reply,
                None => return self.no_door(Reason::PassiveNeedsIpv4),
            },
            (_, None) => return self.no_door(Reason::DataListenFailed),
        };
        let is_same = doors.client == Some(announced) && !self.is_translated();
        let bytes = if is_same && block.is_single { block.bytes.clone() } else { encode(&reply) };
        if !is_same && let Some(door) = doors.client {
            let said = [&block.text()[..], alloc::format!(" -> {door}").as_bytes()].concat();
            self.note(Note::good(Decision::Rewrite, "227").about(said));
        }
        self.commit(current);
        self.write(Leg::Client, bytes);
    }

    /// The server took PORT or EPRT, or did not.
    fn active_answer(&mut self, asked: Asked, door: Option<SocketAddr>, block: Block) {
        if block.code.class() != Class::Completion {
            self.close_hole(Some(Reason::ControlRefused));
            return match asked {
                Asked::Active(_) if self.may_ask_otherwise() => self.instead_of_port(asked),
                Asked::Active(_) => self.write(Leg::Client, block.bytes),
                Asked::Pasv | Asked::Epsv => self.no_door(Reason::ControlRefused),
            };
        }
        if let Some(current) = &mut self.current {
            current.is_agreed = true;
        }
        let runs = self.pending.iter().any(|pending| matches!(pending, Pending::Transfer));
        if let Some(current) = self.current.filter(|current| runs || !current.hole.is_active()) {
            self.commit(current);
        }
        let bytes = match (asked, door) {
            (Asked::Active(_), _) => block.bytes,
            (_, Some(door)) => match announcement(asked, door) {
                Some(reply) => encode(&reply),
                None => return self.no_door(Reason::PassiveNeedsIpv4),
            },
            (_, None) => return self.no_door(Reason::DataListenFailed),
        };
        self.write(Leg::Client, bytes);
    }

    /// There is no way for data: the client hears why in the place of the server's reply.
    pub(super) fn no_door(&mut self, reason: Reason) {
        self.close_hole(Some(reason));
        self.note(Note::why(Decision::Refuse, "227", reason));
        let code = match refusal::code(reason) {
            code if code.class() == Class::TransientNegative => code,
            _ => Code::NO_DATA_CONNECTION,
        };
        self.write(Leg::Client, encode(&Reply::why(code, reason)));
    }

    /// FEAT tells what holds here, not what holds behind: AUTH is answered by the relay.
    fn features(&mut self, block: &Block) {
        const OWN: [&[u8]; 3] = [b"AUTH", b"PBSZ", b"PROT"];
        if block.is_single || block.code != Code::STATUS {
            return self.write(Leg::Client, block.bytes.clone());
        }
        let mut kept: Vec<&[u8]> = Vec::new();
        for line in block.bytes.split_inclusive(|&byte| byte == b'\n') {
            let word = line.trim_ascii_start();
            let says = |words: &[u8]| {
                word.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words))
            };
            let is_own = line.first() == Some(&b' ')
                && (OWN.iter().any(|own| says(own))
                    || (self.policy.scan.is_some() && says(b"MODE")));
            if !is_own {
                kept.push(line);
            }
        }
        if self.policy.auth == Auth::Terminate {
            kept.insert(kept.len().min(1), b" AUTH TLS\r\n PBSZ\r\n PROT\r\n");
        }
        self.write(Leg::Client, kept.concat());
    }
}

pub(super) const fn is_announcement(code: Code) -> bool {
    matches!(code, Code::PASSIVE | Code::EXTENDED_PASSIVE)
}

/// 227 in its one wording, or 229; a PASV cannot be told an address of IPv6.
pub(super) fn announcement(asked: Asked, door: SocketAddr) -> Option<Reply> {
    match (asked, door) {
        (Asked::Pasv, SocketAddr::V4(door)) => {
            Some(Reply::line(Code::PASSIVE, addr::format_227(door)))
        }
        (Asked::Pasv, SocketAddr::V6(_)) => None,
        _ => Some(Reply::line(Code::EXTENDED_PASSIVE, addr::format_229(door.port()))),
    }
}

pub(super) fn encode(reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    bytes
}

/// Whether a reply of this code passes as it comes, whatever it says.
pub(super) const fn is_plain(code: Code, answered: Option<&Pending>) -> bool {
    let is_read = matches!(
        answered,
        Some(Pending::Greeting | Pending::Own(_) | Pending::Features | Pending::Detour(..))
    );
    !is_read && !is_announcement(code)
}
