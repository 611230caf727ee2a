//! The client's lines: four verbs and AUTH are understood, the rest passes as it came.
//!
//! What the server answers is read in [`answers`](super::answers).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::effect::{Decision, Effect, Leg, Note};
use super::hole::{Doors, Hole, Side};
use super::policy::Mode;
use super::scan::Said;
use super::{Asked, Auth, Current, Halt, Pending, Progress, Relay, lines};
use crate::addr::{self, AddressError, Family};
use crate::command::{Command, Epsv, ParseError};
use crate::data::{self, ActivePrivate};
use crate::reason::Reason;
use crate::verb::{Row, Verb};

impl Relay {
    /// One line of the client, with its end.
    pub(super) fn command(&mut self, line: Vec<u8>) {
        let Some(text) = lines::read_strictly(&line) else {
            return self.refuse("line", Reason::NulInLine);
        };
        let (row, command) = match Command::parse(&text) {
            Ok((row, command)) => (Some(row), Some(command)),
            Err(ParseError { reason: Reason::HttpOnControl, .. }) => {
                return self.end(Reason::HttpOnControl);
            }
            Err(error) => (error.row, None),
        };
        let judged = self.policy.judge(row, command.as_ref(), &text);
        let Some(row) = row else { return self.unknown(line, judged) };
        self.unknown = 0;
        if let Some(reason) = judged {
            return self.refuse(row.name, reason);
        }
        match row.verb {
            Verb::Auth if self.policy.auth != Auth::Pass && !self.pending.is_empty() => {
                self.held = Some(line);
            }
            Verb::Auth => self.auth(line, command.as_ref()),
            Verb::Ccc if self.policy.auth == Auth::Terminate => {
                self.refuse("CCC", Reason::ClearRefused);
            }
            Verb::Pbsz | Verb::Prot if self.policy.auth == Auth::Terminate => {
                self.protection(line, command.as_ref());
            }
            Verb::User if self.policy.client_tls && !self.tls.client => {
                self.refuse("USER", Reason::TlsRequired);
            }
            Verb::User => {
                self.said.user = argument(&text).to_vec();
                self.pass(line, Pending::User);
            }
            // The server would go on in clear (RFC 4217 §11), the gateway's other leg not.
            Verb::Rein if self.tls.client || self.tls.server => {
                self.refuse("REIN", Reason::ClearRefused);
            }
            Verb::Rein => {
                self.said = Said::default();
                self.pass(line, Pending::Rein);
            }
            Verb::Port | Verb::Eprt | Verb::Pasv | Verb::Epsv if self.may_be_known_soon() => {
                self.held = Some(line);
            }
            Verb::Algs if self.is_nat64() => self.algs(command.as_ref()),
            Verb::Feat => self.pass(line, Pending::Features),
            Verb::Port | Verb::Eprt => self.active(row, line, &text),
            Verb::Pasv | Verb::Epsv => self.passive(row, line, command.as_ref()),
            Verb::Stor | Verb::Stou | Verb::Appe if self.policy.scan.is_some() => {
                self.upload(row, line, &text);
            }
            Verb::Rest if self.policy.scan.is_some() => self.restart(line, command.as_ref()),
            Verb::Abor if self.upload.is_some() => self.abort_upload(line),
            Verb::Abor => {
                self.close_hole(Some(Reason::Aborted));
                self.pass(line, Pending::Plain);
            }
            _ => self.other(row, line, command.as_ref()),
        }
    }

    /// Whether USER has no answer yet, on which a pinhole depends.
    fn may_be_known_soon(&self) -> bool {
        let is_user = |pending: &Pending| matches!(pending, Pending::User);
        self.progress < Progress::Known && self.pending.iter().any(is_user)
    }

    /// A word that is no verb: it may be an extension that only the server knows, or not FTP at all.
    fn unknown(&mut self, line: Vec<u8>, judged: Option<Reason>) {
        self.unknown += 1;
        if self.unknown > self.policy.unknown_limit {
            return self.end(Reason::TooManyUnknown);
        }
        match judged {
            Some(reason) => self.refuse("line", reason),
            // Another mechanism than TLS: what follows its end cannot be read either.
            None if self.policy.auth == Auth::Pass && is_verb(&line, b"ADAT ") => {
                self.client_waits = true;
                self.pass(line, Pending::Adat);
            }
            None => self.pass(line, Pending::Plain),
        }
    }

    fn other(&mut self, row: &'static Row, line: Vec<u8>, command: Option<&Command>) {
        if !command.is_some_and(Command::moves_data) {
            return self.pass(line, Pending::Plain);
        }
        if self.policy.client_tls && !self.private.client {
            return self.refuse(row.name, Reason::DataProtectionRequired);
        }
        // The server would connect before its own consent was read here: first that, then this.
        if self
            .pending
            .iter()
            .any(|pending| matches!(pending, Pending::Active(..) | Pending::Detour(..)))
        {
            self.held = Some(line);
            return;
        }
        // Nothing dials before a transfer verb (RFC 2577 §3): an active pinhole opens here at the
        // earliest, and a passive one stays open for as long again.
        if let Some(current) = self.current.filter(|current| current.is_agreed) {
            self.commit(current);
        }
        self.pass(line, Pending::Transfer);
        self.said.rest = None;
        if let Some(Current { id, hole, .. }) = self.current
            && (hole.is_dialled() || self.policy.scan.is_some())
        {
            self.effects.push_back(Effect::Dial(id));
        }
    }

    /// The line goes to the server as it came.
    pub(super) fn pass(&mut self, line: Vec<u8>, pending: Pending) {
        self.write(Leg::Server, line);
        self.pending.push_back(pending);
    }

    /// PORT or EPRT: checked, then aimed at a door of the gateway.
    fn active(&mut self, row: &'static Row, line: Vec<u8>, text: &[u8]) {
        self.close_hole(None);
        if self.progress < Progress::Known {
            self.note(Note::why(Decision::Ignore, row.name, Reason::LoginRequired));
            return self.pass(line, Pending::Plain);
        }
        let argument = argument(text);
        let target = match row.verb {
            Verb::Port => addr::parse_port(argument).map(SocketAddr::from),
            _ => addr::parse_eprt(argument),
        };
        let target = match target {
            Ok(target) => target,
            // A server that reads addresses less strictly would connect to one that nobody checked.
            Err(AddressError::UnknownProtocol) => {
                return self.refuse(row.name, Reason::NetworkProtocol);
            }
            Err(AddressError::Malformed) => {
                let is_missing = argument.is_empty();
                let reason = match row.verb {
                    _ if is_missing => Reason::ArgumentMissing,
                    Verb::Port => Reason::PortMalformed,
                    _ => Reason::EprtMalformed,
                };
                return self.refuse(row.name, reason);
            }
        };
        if Family::of(target.ip()) != self.ends.family(Leg::Client) {
            let reason = match row.verb {
                Verb::Port => Reason::PortNeedsIpv4,
                _ => Reason::NetworkProtocol,
            };
            return self.refuse(row.name, reason);
        }
        let peer = self.ends.client.ip();
        let target = match data::check_target(target, peer, false, ActivePrivate::Refuse) {
            Ok(target) => target,
            Err(reason) => return self.refuse(row.name, reason),
        };
        let asked = Asked::Active(target);
        if self.policy.mode == Mode::Passive {
            return self.ask_passive(asked);
        }
        if self.is_translated() && !self.translates() {
            self.note(Note::good(Decision::Ignore, row.name));
            return self.pass(line, Pending::Plain);
        }
        let hole = Hole { client: Side::Listens(target), server: Side::Dials };
        let current = self.prepare(hole);
        self.halt = Some(Halt::Aim(current, asked, line));
    }

    /// PASV or EPSV.
    fn passive(&mut self, row: &'static Row, line: Vec<u8>, command: Option<&Command>) {
        self.close_hole(None);
        let asked = if row.verb == Verb::Pasv { Asked::Pasv } else { Asked::Epsv };
        let is_all = matches!(command, Some(Command::Epsv(Epsv::All)));
        if is_all && (self.translates() || self.policy.mode == Mode::Active) {
            // The server is asked for something else than EPSV (RFC 6384).
            return self.refuse(row.name, Reason::EpsvAllTranslated);
        }
        if is_all {
            // The server takes nothing else from now on (RFC 2428 §4).
            self.policy.mode = Mode::AsAsked;
        }
        // What EPSV with nonsense means nobody knows; PASV with something behind it is PASV to servers.
        let is_nonsense = command.is_none() && row.verb == Verb::Epsv;
        if is_all || is_nonsense || self.progress < Progress::Known {
            return self.pass(line, Pending::Plain);
        }
        if let Some(Command::Epsv(Epsv::Protocol(number))) = command
            && self.translates()
            && *number != u64::from(self.ends.family(Leg::Client).number())
        {
            // RFC 6384 §6: the client has no other than its own.
            return self.refuse(row.name, Reason::NetworkProtocol);
        }
        if self.policy.mode == Mode::Active {
            let current = self.prepare(Hole { client: Side::Dials, server: Side::Dials });
            self.halt = Some(Halt::Aim(current, asked, line));
        } else if self.translates() {
            self.ask_passive(asked);
        } else {
            self.pass(line, Pending::Passive(asked));
        }
    }

    /// Whether the two legs are of different families (RFC 6384).
    pub(super) fn is_translated(&self) -> bool {
        self.ends.family(Leg::Client) != self.ends.family(Leg::Server)
    }

    /// Asks the server to listen, in the words of its family: an IPv4 server knows PASV for
    /// certain, EPSV perhaps.
    pub(super) fn ask_passive(&mut self, asked: Asked) {
        let line: &[u8] = match self.ends.family(Leg::Server) {
            Family::V4 => b"PASV\r\n",
            Family::V6 => b"EPSV\r\n",
        };
        self.pass(line.to_vec(), Pending::Passive(asked));
    }

    /// The driver has a door for the server: PORT or EPRT names it.
    pub(super) fn aim(
        &mut self,
        current: Current,
        asked: Asked,
        line: Vec<u8>,
        doors: Result<Doors, Reason>,
    ) {
        let door = doors.and_then(|doors| {
            let server = doors.server.ok_or(Reason::DataListenFailed)?;
            Ok((server, doors.client))
        });
        let (door, client_door) = match door {
            Ok(found) => found,
            Err(reason) => return self.refuse("PORT", reason),
        };
        if let Asked::Active(target) = asked
            && target == door
        {
            self.current = Some(current);
            return self.tell_port(line, Pending::Active(asked, None));
        }
        let aimed = aimed_at(door, is_verb(&line, b"EPRT") && !self.is_translated());
        let said = [&lines::read(&line)[..], b" -> ", aimed.trim_ascii_end().as_bytes()].concat();
        self.note(Note::good(Decision::Rewrite, "PORT").about(said));
        self.current = Some(current);
        self.tell_port(aimed.into_bytes(), Pending::Active(asked, client_door));
    }
}

/// PORT or EPRT; the latter for IPv4 only if it `is_extended`.
pub(super) fn aimed_at(door: SocketAddr, is_extended: bool) -> String {
    match door {
        SocketAddr::V4(v4) if !is_extended => {
            alloc::format!("PORT {}\r\n", addr::format_port(v4))
        }
        door => alloc::format!("EPRT {}\r\n", addr::format_eprt(door)),
    }
}

/// What stands behind the verb.
pub(super) fn argument(text: &[u8]) -> &[u8] {
    let said = text.trim_ascii_start();
    said.splitn(2, |&byte| byte == b' ').nth(1).unwrap_or_default()
}

pub(super) fn is_verb(line: &[u8], verb: &[u8]) -> bool {
    let text = lines::read(line);
    text.get(..verb.len()).is_some_and(|start| start.eq_ignore_ascii_case(verb))
}
