//! The gateway's machine as a stage: the server's machine behind it, and every pinhole watched.
//!
//! It carries no data and judges no reply: a connection that no pinhole allows fails the session.

use std::collections::VecDeque;
use std::net::SocketAddr;

use twoport_proto::data::ActivePrivate;
use twoport_proto::relay::{
    Doors, Effect, Ends, Hole, HoleId, Input, Leg, Legs, Policy, Relay, Side, Way,
};

use super::ledger::Ledger;
use super::machine::{Feed, Machine, port_in};
use super::{Failure, Stage, Step, play, show};
use crate::script::{Captures, Event, Script, guard};

/// Which addresses a peer hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// The same as inside, as behind a firewall: every line passes as it came.
    Same,
    /// Other ports, as behind a NAT: what `=>` says.
    Other,
}

/// How far the ports of the other side lie.
const SHIFT: u16 = 1000;

/// Plays a script with the relay's machine between client and server.
///
/// # Errors
/// The first line that is not as the file has it.
pub fn relayed(script: &Script, feed: Feed, outside: Outside) -> Result<(), Failure> {
    let ledger = Ledger::new(script).map_err(|what| Failure {
        file: script.file.clone(),
        line: 1,
        says: "the setup".into(),
        found: what,
    })?;
    let policy = &ledger.policy;
    if policy.foreign_data || policy.active_private == ActivePrivate::UsePeer {
        // Nobody's data pass a gateway on their way to a third party.
        return Ok(());
    }
    let rules = guard::policy(script.gateway().unwrap_or_default());
    play(script, &mut Relayed::new(ledger, rules, feed, outside))
}

struct Relayed {
    server: Machine,
    relay: Relay,
    feed: Feed,
    outside: Outside,
    prepared: Vec<(HoleId, Hole)>,
    /// The ones that let somebody through.
    open: Vec<(HoleId, Hole)>,
    /// What the server said, and what of it the client heard: line by line.
    said: VecDeque<Vec<u8>>,
    heard: VecDeque<Vec<u8>>,
    /// A line that the client has heard the beginning of.
    partial: Vec<u8>,
    /// The last line that the client heard or the server was told.
    last_passed: Option<Vec<u8>>,
    notes: Vec<String>,
    has_ended: bool,
}

impl Relayed {
    fn new(ledger: Ledger, rules: Policy, feed: Feed, outside: Outside) -> Self {
        let ends = Ends {
            client: SocketAddr::new(ledger.peer, 40_000),
            server: SocketAddr::new(ledger.local, 21),
        };
        let mut stage = Self {
            server: Machine::new(ledger, Feed::Whole),
            relay: Relay::new(ends, Legs::default(), rules),
            feed,
            outside,
            prepared: Vec::new(),
            open: Vec::new(),
            said: VecDeque::new(),
            heard: VecDeque::new(),
            partial: Vec::new(),
            last_passed: None,
            notes: Vec::new(),
            has_ended: false,
        };
        stage.pull();
        stage
    }

    fn give(&mut self, leg: Leg, bytes: &[u8]) {
        let size = if self.feed == Feed::Bytewise { 1 } else { bytes.len().max(1) };
        for chunk in bytes.chunks(size) {
            self.input(Input::Bytes(leg, chunk));
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.relay.handle(self.server.now, input);
        while let Some(effect) = self.relay.poll() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Write(Leg::Server, bytes) => {
                self.last_passed = Some(bytes.strip_suffix(b"\r\n").unwrap_or(&bytes).to_vec());
                // What the machine refuses it answers itself.
                let said = self.server.say(&bytes);
                debug_assert!(said.is_ok(), "a machine hears everything");
                self.pull();
            }
            Effect::Write(Leg::Client, bytes) => {
                self.partial.extend(bytes);
                while let Some(length) = self.partial.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.partial.drain(..=length).collect();
                    let line = line.strip_suffix(b"\r\n").unwrap_or(&line);
                    self.heard.push_back(line.to_vec());
                }
            }
            Effect::Prepare(id, hole) => {
                self.prepared.push((id, hole));
                let doors =
                    Doors { client: self.door(hole.server), server: self.door(hole.client) };
                self.relay.handle(self.server.now, Input::Prepared(id, Ok(doors)));
            }
            Effect::Commit(id) => {
                let hole = self.prepared.iter().find(|(prepared, _)| *prepared == id);
                self.open.retain(|(open, _)| *open != id);
                self.open.extend(hole.copied());
            }
            Effect::Close(id, _) => self.open.retain(|(open, _)| *open != id),
            Effect::Note(note) => self.notes.push(note.to_string()),
            Effect::End => self.has_ended = true,
            Effect::Shutdown(Leg::Server) => {
                let closed = self.server.event(&Event::ClientClosesControl, &Captures::new());
                debug_assert!(closed.is_ok(), "a machine takes the end at any time");
                self.pull();
            }
            // No policy of a session file has uploads scanned.
            Effect::Take(..) | Effect::Discard => {}
            Effect::Probe(at) => self.relay.handle(self.server.now, Input::Probed(at, Way::Known)),
            Effect::Admit(..)
            | Effect::Dial(_)
            | Effect::Secure(_)
            | Effect::Protect(_)
            | Effect::Opaque
            | Effect::Shutdown(Leg::Client) => {}
        }
    }

    /// The door through which the other peer reaches the one that listens.
    fn door(&self, side: Side) -> Option<SocketAddr> {
        match (side, self.outside) {
            (Side::Dials | Side::Kept, _) => None,
            (Side::Listens(at), Outside::Same) => Some(at),
            (Side::Listens(at), Outside::Other) => {
                Some(SocketAddr::new(at.ip(), at.port().wrapping_add(SHIFT)))
            }
        }
    }

    /// Carries what the server has said to the client.
    fn pull(&mut self) {
        while let Some(line) = self.server.replies.pop_front() {
            self.said.push_back(line.clone());
            self.give(Leg::Server, &[&line[..], b"\r\n"].concat());
        }
        if self.server.closed && !self.has_ended {
            self.input(Input::Eof(Leg::Server));
        }
    }

    /// Somebody connects to the server, or the server to the client: through a pinhole that is
    /// closed behind it, or not at all.
    fn use_hole(&mut self, fits: impl Fn(&Hole) -> bool) -> Step {
        if self.relay.is_opaque() {
            return Ok(());
        }
        let at = self.open.iter().position(|(_, hole)| fits(hole));
        let (id, _) = self.open.remove(at.ok_or("the gateway has no pinhole for it")?);
        self.input(Input::Used(id));
        Ok(())
    }
}

impl Stage for Relayed {
    fn say(&mut self, bytes: &[u8]) -> Step {
        self.give(Leg::Client, bytes);
        Ok(())
    }

    fn line(&mut self) -> Step<Vec<u8>> {
        if self.heard.is_empty() && !self.has_ended {
            if let Ok(line) = self.server.line() {
                self.server.replies.push_front(line);
            }
            self.pull();
        }
        let silent = "nothing: the server, or the gateway, is silent";
        let heard = self.heard.pop_front().ok_or(silent)?;
        self.last_passed = Some(heard.clone());
        match self.outside {
            Outside::Same => Ok(heard),
            Outside::Other => self.said.pop_front().ok_or_else(|| silent.into()),
        }
    }

    fn beyond(&self) -> Option<&[u8]> {
        self.last_passed.as_deref().filter(|_| self.outside == Outside::Other)
    }

    fn upload(&mut self, bytes: &[u8]) -> Step {
        self.server.upload(bytes)
    }

    fn download(&mut self, length: usize) -> Step<Vec<u8>> {
        self.server.download(length)
    }

    fn event(&mut self, event: &Event, captures: &Captures) -> Step {
        match event {
            Event::ClientConnects(port) => {
                let port = port_in(&port.fill(captures)?)?;
                self.use_hole(|hole| {
                    hole.client == Side::Dials
                        && matches!(hole.server, Side::Listens(at) if at.port() == port)
                })?;
            }
            Event::ServerConnects => self.use_hole(|hole| hole.server == Side::Dials)?,
            Event::ClientClosesControl => {
                self.input(Input::Eof(Leg::Client));
                return Ok(());
            }
            Event::ControlClosedByServer if self.has_ended => return Ok(()),
            Event::Silence => {
                return match self.heard.front() {
                    Some(line) => Err(show(line)),
                    None => Ok(()),
                };
            }
            _ => {}
        }
        self.server.event(event, captures)?;
        self.pull();
        self.input(Input::Timer);
        Ok(())
    }

    /// What the gateway refuses the server never hears of.
    fn note(&mut self, words: &str) -> Step {
        match self.notes.iter().position(|note| note.starts_with(words)) {
            Some(at) => {
                self.notes.remove(at);
                Ok(())
            }
            None => self.server.note(words),
        }
    }

    fn finish(&mut self) -> Step {
        self.pull();
        match self.heard.front() {
            Some(line) => Err(format!("one reply more: {}", show(line))),
            None => Ok(()),
        }
    }
}
