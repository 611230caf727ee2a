//! Uploads that are held back: the client's data are taken and scanned, and only when they were found
//! clean does the server hear of them.
//!
//! It holds no data and knows no scanner: the driver takes, asks and delivers. What is said to the
//! server at the end is said anew (PASV or PORT, REST, the verb), since servers do not keep a port
//! open, nor an offset in mind, for as long as an upload takes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::commands::{aimed_at, argument, is_verb};
use super::effect::{Decision, Effect, Leg, Note, Subject, Verdict};
use super::hole::{Doors, Hole, HoleId, LIFETIME, Side};
use super::lines::Block;
use super::policy::Policy;
use super::{Current, Halt, Own, Pending, Relay};
use crate::code::{Class, Code};
use crate::command::Command;
use crate::reason::Reason;
use crate::reply::Reply;
use crate::server::refusal;
use crate::text::Escaped;
use crate::time::Time;
use crate::verb::{Row, Verb};

/// How often a server hears NOOP while an upload is held back. Origin: half of the shortest time after
/// which a common server ends a silent session (IIS: 120 s).
const NOOP_EVERY: Duration = Duration::from_secs(60);

/// What the client has said that an upload needs later.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// USER's argument.
    pub(super) user: Vec<u8>,
    /// REST, if the server took it and no transfer has come since.
    pub(super) rest: Option<Vec<u8>>,
    /// Whether the server has last announced a port by 229.
    pub(super) is_extended: bool,
}

/// An upload between its verb and its final reply.
#[derive(Debug)]
pub(super) struct Upload {
    verb: &'static str,
    line: Vec<u8>,
    name: Vec<u8>,
    rest: Option<Vec<u8>>,
    /// The pinhole of the client's data.
    taken_by: HoleId,
    /// What the server's side of it was.
    server: Side,
    stage: Stage,
    /// The relay's own commands that have no reply yet.
    steps: VecDeque<Step>,
    /// When the server hears NOOP next, or must have answered.
    due: Time,
    /// What the server said of the name that it has chosen for STOU.
    chosen: Vec<u8>,
    /// What it said to nothing that it was asked.
    stray: Vec<u8>,
}

/// How far it is.
#[derive(Debug)]
enum Stage {
    /// Data come, or are scanned.
    Held,
    /// The server is asked for a data connection.
    Asking,
    /// It has heard the verb. The end needs both: the data out to the last byte, and its final reply.
    Sent { by: HoleId, delivered: Option<Result<(), Reason>>, last: Option<Block> },
}

/// A command of the relay's own, for an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Noop,
    Passive,
    Active,
    Rest,
    Store,
    /// The client's ABOR, once the server knows what there is to abort.
    Abort,
}

impl Upload {
    pub(super) fn deadline(&self) -> Option<Time> {
        matches!(self.stage, Stage::Held | Stage::Asking).then_some(self.due)
    }
}

impl Policy {
    /// Why a command does not pass where uploads are scanned: content that is sent in another form than
    /// it will have in the file, or a file that is put together of parts, hides what is in it.
    pub(super) fn unscannable(&self, row: &Row, command: Option<&Command>) -> Option<Reason> {
        let scan = self.scan?;
        match (row.verb, command) {
            // What can be read here of these is S, F, and A, I or L 8.
            (Verb::Mode | Verb::Stru | Verb::Type, None) => Some(Reason::FormNotScanned),
            (Verb::Appe | Verb::Comb, _) if !scan.pass_parts => Some(Reason::UploadInParts),
            _ => None,
        }
    }
}

impl Relay {
    /// REST: remembered once the server has taken it.
    pub(super) fn restart(&mut self, line: Vec<u8>, command: Option<&Command>) {
        self.said.rest = None;
        match command {
            Some(Command::Rest(0)) => self.pass(line, Pending::Plain),
            _ => self.pass(line.clone(), Pending::Rest(line)),
        }
    }

    /// STOR, STOU or APPE: the client hears 150 from the gateway, and the server nothing.
    pub(super) fn upload(&mut self, row: &'static Row, line: Vec<u8>, text: &[u8]) {
        // REST and PORT may have no answer yet, and another transfer has the data connection.
        if !self.pending.is_empty() {
            self.held = Some(line);
            return;
        }
        let rest = self.said.rest.take();
        let name = argument(text).to_vec();
        let passes_parts = self.policy.scan.is_some_and(|scan| scan.pass_parts);
        let no = if self.policy.client_tls && !self.private.client {
            Some(Reason::DataProtectionRequired)
        } else if name.is_empty() && row.verb != Verb::Stou {
            Some(Reason::ArgumentMissing)
        } else if rest.is_some() && !passes_parts {
            Some(Reason::UploadInParts)
        } else {
            None
        };
        let current = self.current.filter(|current| current.is_agreed);
        let current = match (no, current) {
            (None, Some(current)) => current,
            (no, _) => {
                let reason = no.unwrap_or(Reason::DataSetupMissing);
                self.close_hole(Some(reason));
                return self.refuse(row.name, reason);
            }
        };
        self.commit(current);
        let reply = Reply::line(Code::OPENING_DATA, "Send it; it is scanned before it is stored.");
        self.write_reply(&reply);
        let subject = Subject { verb: row.name, name: name.clone(), user: self.said.user.clone() };
        self.effects.push_back(Effect::Take(current.id, subject));
        self.pending.push_back(Pending::Upload);
        self.upload = Some(Upload {
            verb: row.name,
            line,
            name,
            rest,
            taken_by: current.id,
            server: current.hole.server,
            stage: Stage::Held,
            steps: VecDeque::new(),
            due: self.now.after(NOOP_EVERY),
            chosen: Vec::new(),
            stray: Vec::new(),
        });
    }

    /// While an upload is held the client's commands wait for its end, but for ABOR.
    pub(super) fn next_during_upload(&mut self) -> Option<Result<Vec<u8>, Reason>> {
        match self.client.next_line()? {
            Ok(line) if !is_verb(&line, b"ABOR") => {
                self.held = Some(line);
                None
            }
            other => Some(other),
        }
    }

    /// The scanner, or what came before it, has an answer.
    pub(super) fn scanned(&mut self, id: HoleId, verdict: Verdict<'_>) {
        let Some(upload) = &self.upload else { return };
        if !matches!(upload.stage, Stage::Held) || upload.taken_by != id {
            return;
        }
        let (verb, name) = (upload.verb, upload.name.clone());
        let passes_unscanned = self.policy.scan.is_some_and(|scan| scan.pass_unscanned);
        match verdict {
            Verdict::Clean => {
                self.note(Note::good(Decision::Scan, verb).about(name));
                self.ask_server();
            }
            Verdict::Unscanned(reason) if passes_unscanned => {
                self.note(Note::why(Decision::Scan, verb, reason).about(name));
                self.ask_server();
            }
            Verdict::Infected(found) => {
                let reason = Reason::UploadInfected;
                let object = [&name[..], b": ", found].concat();
                self.note(Note::why(Decision::Refuse, verb, reason).about(object));
                let text = alloc::format!("{}: {}.", reason.describe(), Escaped(found));
                self.end_upload(&encode(&Reply::line(refusal::code(reason), text)));
            }
            Verdict::Unscanned(reason) | Verdict::Broken(reason) => self.fail_upload(reason),
        }
    }

    /// The server is asked for a data connection, in the mode that the client's had on its leg.
    fn ask_server(&mut self) {
        let Some(upload) = &mut self.upload else { return };
        upload.stage = Stage::Asking;
        upload.due = self.now.after(LIFETIME);
        if let Side::Listens(_) = upload.server {
            let line: &[u8] = if self.said.is_extended { b"EPSV\r\n" } else { b"PASV\r\n" };
            return self.step(line.to_vec(), Step::Passive);
        }
        let current = self.prepare(Hole { client: Side::Kept, server: Side::Dials });
        self.halt = Some(Halt::Deliver(current));
    }

    fn step(&mut self, line: Vec<u8>, step: Step) {
        if let Some(upload) = &mut self.upload {
            upload.steps.push_back(step);
            self.write(Leg::Server, line);
        }
    }

    /// A reply while an upload is held: it is one to the relay's own words.
    pub(super) fn answer_to_upload(&mut self, block: Block) {
        let Some(upload) = &mut self.upload else { return };
        if block.code.class() == Class::Preliminary {
            // The client has heard its 150.
            if upload.steps.front() == Some(&Step::Store) && upload.verb == Verb::Stou.name() {
                upload.chosen = block.text();
            }
            return;
        }
        // Of a data connection that it has waited for in vain (pyftpdlib), or a farewell: it counts if
        // nothing follows.
        let is_stray =
            matches!(block.code.number(), 225 | 226 | 421 | 426) || upload.steps.is_empty();
        if is_stray && !matches!(upload.steps.front(), Some(Step::Store | Step::Abort)) {
            upload.stray = block.bytes;
            return;
        }
        let step = upload.steps.pop_front();
        let is_good = block.code.class() == Class::Completion;
        match step {
            Some(Step::Abort) => self.end_upload(&block.bytes),
            None | Some(Step::Noop) => {}
            Some(Step::Passive) if is_good => self.listens(&block),
            Some(Step::Active) if is_good => self.go_on_upload(),
            Some(Step::Passive | Step::Active) => self.no_way(Reason::ControlRefused),
            Some(Step::Rest) if !block.code.is_negative() => self.go_on_upload(),
            Some(Step::Rest) => self.refused_by_server(&block),
            Some(Step::Store) => self.stored(block),
        }
    }

    /// The server's 227 or 229.
    fn listens(&mut self, block: &Block) {
        match self.announced(block) {
            None => self.no_way(Reason::ReplyMalformed),
            Some(announced) if self.is_privileged(announced) => self.no_way(Reason::PrivilegedPort),
            Some(announced) => {
                let at = SocketAddr::new(self.ends.server.ip(), announced.port());
                let current = self.prepare(Hole { client: Side::Kept, server: Side::Listens(at) });
                self.halt = Some(Halt::Deliver(current));
            }
        }
    }

    /// The driver is ready for the server's data connection.
    pub(super) fn deliver(&mut self, current: Current, doors: Result<Doors, Reason>) {
        let doors = match doors {
            Ok(doors) => doors,
            Err(reason) => return self.fail_upload(reason),
        };
        self.current = Some(current);
        match (current.hole.server, doors.server) {
            (Side::Dials, Some(door)) => {
                self.step(aimed_at(door, false).into_bytes(), Step::Active)
            }
            (Side::Dials, None) => self.fail_upload(Reason::DataListenFailed),
            _ => self.go_on_upload(),
        }
    }

    /// REST if there was one, and then the verb.
    fn go_on_upload(&mut self) {
        let Some(upload) = &mut self.upload else { return };
        if let Some(rest) = upload.rest.take() {
            return self.step(rest, Step::Rest);
        }
        let Some(current) = self.current else {
            return self.fail_upload(Reason::DataNotConnected);
        };
        upload.stage = Stage::Sent { by: current.id, delivered: None, last: None };
        let line = upload.line.clone();
        self.commit(current);
        self.step(line, Step::Store);
        self.effects.push_back(Effect::Dial(current.id));
    }

    /// The final reply to the verb. A good one counts only if the data were out by then, too.
    fn stored(&mut self, block: Block) {
        let Some(upload) = &mut self.upload else { return };
        let Stage::Sent { delivered, last, .. } = &mut upload.stage else { return };
        if block.code.is_negative() {
            return self.refused_by_server(&block);
        }
        match *delivered {
            Some(Ok(())) => self.store_ends(&block),
            Some(Err(reason)) => self.fail_upload(reason),
            None => *last = Some(block),
        }
    }

    /// The data are out, or cannot get out.
    pub(super) fn delivered(&mut self, id: HoleId, result: Result<(), Reason>) {
        let Some(upload) = &mut self.upload else { return };
        let Stage::Sent { by, delivered, last } = &mut upload.stage else { return };
        if *by != id || delivered.is_some() {
            return;
        }
        *delivered = Some(result);
        match (last.take(), result) {
            (Some(block), Ok(())) => self.store_ends(&block),
            (Some(_), Err(reason)) => self.fail_upload(reason),
            // The server says what it makes of it.
            (None, _) => {}
        }
    }

    /// The server's own words are the client's final reply; with the name that it chose for STOU, which
    /// the client would have read in 150 (RFC 1123 §4.1.2.9).
    fn store_ends(&mut self, block: &Block) {
        let chosen = self.upload.as_ref().map(|upload| upload.chosen.clone()).unwrap_or_default();
        if chosen.is_empty() || !block.is_single {
            return self.end_upload(&block.bytes);
        }
        let first = alloc::format!("{}-", block.code);
        let lines = [first.as_bytes(), chosen.trim_ascii(), b"\r\n", &block.bytes];
        self.end_upload(&lines.concat());
    }

    fn refused_by_server(&mut self, block: &Block) {
        self.close_hole(Some(Reason::ControlRefused));
        self.end_upload(&block.bytes);
    }

    /// The upload does not get to the server, and the client hears why.
    fn fail_upload(&mut self, reason: Reason) {
        self.give_up(refusal::code(reason), reason);
    }

    /// The server has no data connection for it.
    fn no_way(&mut self, reason: Reason) {
        self.give_up(Code::NO_DATA_CONNECTION, reason);
    }

    fn give_up(&mut self, code: Code, reason: Reason) {
        let Some(upload) = &self.upload else { return };
        let note = Note::why(Decision::Refuse, upload.verb, reason).about(upload.name.clone());
        self.note(note);
        self.end_upload(&encode(&Reply::why(code, reason)));
    }

    /// Its final reply; what the server still answers to the relay's own words goes nowhere.
    fn end_upload(&mut self, reply: &[u8]) {
        let Some(upload) = self.upload.take() else { return };
        self.close_hole(None);
        self.effects.push_back(Effect::Discard);
        if let Some(Pending::Upload) = self.pending.front() {
            self.pending.pop_front();
        }
        self.write(Leg::Client, reply.to_vec());
        self.flush();
        for step in upload.steps.into_iter().rev() {
            self.pending.push_front(match step {
                Step::Abort => Pending::Plain,
                _ => Pending::Own(Own::Forgotten),
            });
        }
    }

    /// ABOR. A server that has heard of the upload hears of this, too, and has both replies.
    pub(super) fn abort_upload(&mut self, line: Vec<u8>) {
        let Some(upload) = &mut self.upload else { return };
        let verb = upload.verb;
        if let Stage::Sent { delivered, .. } = &mut upload.stage {
            delivered.get_or_insert(Err(Reason::Aborted));
            self.close_hole(Some(Reason::Aborted));
            self.effects.push_back(Effect::Discard);
            return self.step(line, Step::Abort);
        }
        self.note(Note::why(Decision::Refuse, verb, Reason::Aborted));
        let reason = Reason::Aborted;
        self.end_upload(&encode(&Reply::why(refusal::code(reason), reason)));
        self.write_reply(&Reply::line(Code::TRANSFER_COMPLETE, "ABOR command successful."));
    }

    /// The client has closed its control connection. One that dies closes the other connection as if
    /// all were sent: unless QUIT was the last word, nobody knows that it was, and it is dropped.
    pub(super) fn lose_client(&mut self) {
        let is_quitting = self.held.as_ref().is_some_and(|line| is_verb(line, b"QUIT"));
        if self.upload.is_some() && !is_quitting {
            self.held = None;
            self.client.take();
            self.fail_upload(Reason::ControlLost);
        }
    }

    /// The server has closed its control connection, and with it the upload ends.
    pub(super) fn lose_server(&mut self) {
        let Some(upload) = &mut self.upload else { return };
        let stray = core::mem::take(&mut upload.stray);
        self.end_upload(&stray);
    }

    /// A pinhole has closed since its time was over.
    pub(super) fn nobody_came(&mut self) {
        let Some(upload) = &mut self.upload else { return };
        match &mut upload.stage {
            Stage::Held | Stage::Asking => self.fail_upload(Reason::DataNotConnected),
            Stage::Sent { delivered, last, .. } => {
                let reason = Reason::DataNotConnected;
                delivered.get_or_insert(Err(reason));
                if last.is_some() {
                    self.fail_upload(reason);
                }
            }
        }
    }

    /// A server that hears nothing for long ends the session: it hears NOOP. One that says nothing of a
    /// data connection has none.
    pub(super) fn keep_server(&mut self) {
        let now = self.now;
        let Some(upload) = &mut self.upload else { return };
        if upload.deadline().is_none_or(|due| due > now) {
            return;
        }
        if matches!(upload.stage, Stage::Asking) {
            return self.no_way(Reason::ReplyMissing);
        }
        upload.due = now.after(NOOP_EVERY);
        if upload.steps.is_empty() {
            self.step(b"NOOP\r\n".to_vec(), Step::Noop);
        }
    }

    fn write_reply(&mut self, reply: &Reply) {
        self.write(Leg::Client, encode(reply));
    }
}

fn encode(reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    bytes
}
