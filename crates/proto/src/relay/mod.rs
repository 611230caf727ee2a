//! The gateway's machine: a control connection passes through it verbatim, but for the four verbs of
//! data connections, their replies, AUTH, and uploads where those are scanned first.
//!
//! It opens nothing itself: it asks its driver for pinholes, as transactions, and says when each may
//! open and must close. It uses neither the server's machine nor the client's.

mod answers;
mod commands;
mod detour;
mod early;
mod effect;
mod hole;
mod lines;
mod lobby;
mod nat64;
mod passing;
mod policy;
mod route;
mod rules;
mod scan;
mod secure;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

use self::detour::Found;
use self::early::Aimed;
use self::lines::{Block, Blocks, Lines, Piece};
use self::scan::{Said, Upload};
use crate::addr::Family;
use crate::code::Code;
use crate::reason::Reason;
use crate::reply::Reply;
use crate::server::refusal;
use crate::time::Time;

pub use self::effect::{Decision, Effect, Input, Leg, Note, Subject, Verdict, Way};
pub use self::hole::{Doors, Hole, HoleId, LIFETIME, Side};
pub use self::lobby::{Desk, Heard, Introduction, Lobby, Opening, Task, Wish};
pub use self::passing::farewell;
pub use self::policy::{Auth, Mode, Policy, Scan, Upstream};
pub use self::route::{By, Called, Route, Routes, destination};
pub use self::rules::Names;

/// Who is at the two ends, as the gateway sees them.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The client's address on its control connection.
    pub client: SocketAddr,
    /// The server's address on its control connection.
    pub server: SocketAddr,
}

impl Ends {
    /// What is told to a peer is in the family of its own leg (RFC 6384 where they differ).
    const fn family(&self, leg: Leg) -> Family {
        match leg {
            Leg::Client => Family::of(self.client.ip()),
            Leg::Server => Family::of(self.server.ip()),
        }
    }
}

/// Which legs are under TLS, and whose data connections are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Legs {
    /// The client's.
    pub client: bool,
    /// The server's.
    pub server: bool,
}

/// A relay for one control connection.
///
/// Give it one [`Input`], then drain [`poll`](Self::poll), then wait for the next one or for
/// [`deadline`](Self::deadline). It is done after [`Effect::End`].
#[derive(Debug)]
pub struct Relay {
    policy: Policy,
    ends: Ends,
    /// Which legs are under TLS.
    tls: Legs,
    /// Whose data connections are under TLS.
    private: Legs,
    client: Lines,
    server: Lines,
    replies: Blocks,
    /// The commands that have no final reply yet.
    pending: VecDeque<Pending>,
    /// A line of the client that waits until no reply is outstanding.
    held: Option<Vec<u8>>,
    /// What the client has said before there was a server, until that has greeted.
    introduction: Option<Introduction>,
    /// The greeting, held until the server's leg is under TLS.
    greeting: Option<Block>,
    /// What must happen before any other line of either leg is read.
    halt: Option<Halt>,
    /// Whether the client's lines wait for a reply to a command of the relay's own.
    client_waits: bool,
    /// Whether a reply was read since the last input from outside.
    has_replied: bool,
    progress: Progress,
    unknown: u32,
    /// What the client has said that an upload needs later.
    said: Said,
    upload: Option<Upload>,
    /// ALGS DISABLE64 (RFC 6384 §11).
    is_left_alone: bool,
    current: Option<Current>,
    holes: u64,
    /// Whether it was found out in this session that the server can be reached where it listens.
    is_way_known: bool,
    /// PORT or EPRT, until it is answered or the server is taken for one that connects before.
    aimed: Option<Aimed>,
    dials_early: bool,
    eof: Legs,
    is_opaque: bool,
    has_ended: bool,
    now: Time,
    effects: VecDeque<Effect>,
}

/// How far the login has come: no pinhole is opened before a user name was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    ExpectGreeting,
    ExpectUser,
    Known,
}

/// The pinhole that is there.
#[derive(Clone, Copy, Debug)]
struct Current {
    id: HoleId,
    hole: Hole,
    /// Whether the server took PORT or EPRT; a passive one needs nobody's consent.
    is_agreed: bool,
    /// Until when it is open; not yet, or not any more, if there is no time.
    until: Option<Time>,
}

/// What the client asked for, and so what it is answered.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Pasv,
    Epsv,
    /// PORT or EPRT: the client listens here.
    Active(SocketAddr),
}

/// A command without its final reply.
#[derive(Debug)]
enum Pending {
    Greeting,
    Plain,
    User,
    Rein,
    Features,
    Transfer,
    /// PASV or EPSV to the server.
    Passive(Asked),
    /// PORT or EPRT to the server, whose pinhole opens if it is accepted, and the client's door.
    Active(Asked, Option<SocketAddr>),
    /// REST, with its line.
    Rest(Vec<u8>),
    /// An upload that is held back: no reply of the server is one to this.
    Upload,
    /// PORT or EPRT in the place of an announcement that leads nowhere, and the client's door.
    Detour(Found, SocketAddr),
    /// AUTH that passes, and what of other mechanisms follows it (RFC 2228 §3).
    Auth,
    Adat,
    /// PROT that passes: whether data become private.
    Prot(bool),
    /// A command of the relay's own: its reply goes nowhere.
    Own(Own),
    /// A reply of the relay's own, in its turn.
    Local(Vec<u8>),
}

/// A command that the relay sends for itself.
#[derive(Clone, Copy, Debug)]
enum Own {
    Auth,
    Host,
    Pbsz,
    Prot,
    /// For an upload that is over.
    Forgotten,
    /// AUTH for a client that was told to begin already.
    Passing,
    Noop,
}

/// What the driver was asked for and has not answered.
#[derive(Debug)]
enum Halt {
    /// Doors for a pinhole; then PORT or EPRT goes to the server: the client's own line if it
    /// says the same.
    Aim(Current, Asked, Vec<u8>),
    /// Doors for a pinhole; then the client hears of it.
    Announce(Current, Found),
    /// Whether anybody gets to where the server listens.
    Probe(Found),
    /// Doors for both; then the server is asked to connect.
    Detour(Current, Found),
    /// A door for the server, if it dials; then it hears of the upload that is held.
    Deliver(Current),
    /// TLS on a leg.
    Secure(Leg),
}

impl Relay {
    /// A relay between two connections that are up. `tls` says which of them are under TLS from
    /// the start (implicit TLS).
    #[must_use]
    pub fn new(ends: Ends, tls: Legs, policy: Policy) -> Self {
        let client_waits = policy.upstream == Upstream::Always && !tls.server;
        Self {
            policy,
            ends,
            tls,
            private: tls,
            client: Lines::of_client(),
            server: Lines::of_server(),
            replies: Blocks::default(),
            pending: VecDeque::from([Pending::Greeting]),
            held: None,
            introduction: None,
            greeting: None,
            halt: None,
            client_waits,
            has_replied: false,
            progress: Progress::ExpectGreeting,
            unknown: 0,
            said: Said::default(),
            upload: None,
            is_left_alone: false,
            current: None,
            holes: 0,
            is_way_known: false,
            aimed: None,
            dials_early: false,
            eof: Legs::default(),
            is_opaque: false,
            has_ended: false,
            now: Time::ZERO,
            effects: VecDeque::new(),
        }
    }

    /// A relay for a client that was in a [`Lobby`]: it has been greeted, and what it has said is said
    /// to the server once that greets, too. `server_tls`: the server's leg is under TLS from the start.
    #[must_use]
    pub fn introduced(
        ends: Ends,
        introduction: Introduction,
        server_tls: bool,
        policy: Policy,
    ) -> Self {
        let tls = Legs { client: introduction.tls, server: server_tls };
        let mut relay = Self::new(ends, tls, policy);
        relay.private.client = introduction.private;
        relay.effects.push_back(Effect::Protect(relay.private));
        relay.client_waits = true;
        relay.client.push(&introduction.lines);
        if introduction.is_unread() {
            relay.pending.clear();
            relay.turn_opaque(Vec::new());
        } else {
            relay.introduction = Some(introduction);
        }
        relay
    }

    /// A relay of what cannot be read from the first byte on.
    #[must_use]
    pub fn unread(ends: Ends, policy: Policy) -> Self {
        let mut relay = Self::new(ends, Legs::default(), policy);
        relay.pending.clear();
        relay.is_opaque = true;
        relay
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Time, input: Input<'_>) {
        self.now = now;
        if self.has_ended {
            return;
        }
        // What the driver answers at once is no input from outside: it goes on where it was.
        self.has_replied &= matches!(input, Input::Prepared(..) | Input::Secured(..));
        match input {
            Input::Bytes(leg, bytes) if self.is_opaque => self.write(leg.other(), bytes.to_vec()),
            Input::Bytes(Leg::Client, bytes) => self.client.push(bytes),
            Input::Bytes(Leg::Server, bytes) => self.server.push(bytes),
            Input::Eof(Leg::Client) => self.eof.client = true,
            Input::Eof(Leg::Server) => self.eof.server = true,
            Input::Prepared(id, doors) => self.prepared(id, doors),
            Input::Probed(at, way) => self.probed(at, way),
            Input::Secured(leg, result) => self.secured(leg, result),
            Input::Used(id) => {
                self.current.take_if(|current| current.id == id);
            }
            Input::Scanned(id, verdict) => self.scanned(id, verdict),
            Input::Delivered(id, result) => self.delivered(id, result),
            Input::Timer => self.expire(),
        }
        self.run();
    }

    /// The next effect.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to be woken.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let hole = self.current.and_then(|current| current.until);
        let upload = self.upload.as_ref().and_then(Upload::deadline);
        [hole, upload, self.early_deadline()].into_iter().flatten().min()
    }

    /// Whether a command has no final reply yet: a transfer may be running.
    #[must_use]
    pub fn awaits_reply(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether this leg may be read on: a client that says more than is done waits.
    #[must_use]
    pub const fn takes(&self, leg: Leg) -> bool {
        match leg {
            Leg::Client => self.is_opaque || self.eof.client || !self.client.is_full(),
            Leg::Server => true,
        }
    }

    /// Whether everything passes unread.
    #[must_use]
    pub const fn is_opaque(&self) -> bool {
        self.is_opaque
    }

    /// Reads what can be read: a reply first, since a command may answer one; and behind each what
    /// has waited for it, so that it makes no difference how the server's lines are cut.
    fn run(&mut self) {
        while self.halt.is_none() && !self.has_ended && !self.is_opaque {
            if self.has_replied
                && let Some(line) = self.client_next()
            {
                self.client_line(line);
            } else if let Some(line) = self.server.next_line() {
                self.server_line(line);
                self.has_replied = true;
            } else if let Some(line) = self.client_next() {
                self.client_line(line);
            } else {
                break;
            }
        }
        if self.halt.is_none() && !self.has_ended {
            self.finish();
        }
    }

    /// The client's next line, unless it has to wait.
    fn client_next(&mut self) -> Option<Result<Vec<u8>, Reason>> {
        if self.client_waits {
            return None;
        }
        match self.held.take_if(|_| self.pending.is_empty()) {
            Some(held) => Some(Ok(held)),
            None if self.held.is_some() => None,
            None if self.upload.is_some() => self.next_during_upload(),
            None => self.client.next_line(),
        }
    }

    /// A peer has closed: what it left without the end of a line passes, and the other is told.
    fn finish(&mut self) {
        if self.eof.client {
            self.lose_client();
        }
        if self.eof.client && self.upload.is_none() && !self.client_waits && self.held.is_none() {
            self.eof.client = false;
            let rest = self.client.take();
            // Nobody has judged it.
            if self.policy.scan.is_none() {
                self.write(Leg::Server, rest);
            }
            self.close_hole(None);
            self.effects.push_back(Effect::Shutdown(Leg::Server));
        }
        if self.eof.server && self.expects_tls() {
            return self.end(Reason::ServerBusy);
        }
        if self.eof.server {
            self.lose_server();
            let rest = [self.replies.take(), self.server.take()].concat();
            self.write(Leg::Client, rest);
            self.stop();
        }
    }

    fn server_line(&mut self, line: Result<Vec<u8>, Reason>) {
        let line = line.map(|line| self.heard(Leg::Server, line));
        match line.map(|line| self.replies.line(line)) {
            Ok(Piece::Whole(block)) => self.answer(block),
            Ok(Piece::Part) => {}
            Ok(Piece::Noise(line)) => self.write(Leg::Client, line),
            // Where it has to be read or held as a whole there is no end to it.
            Ok(Piece::Long(code, bytes)) if answers::is_plain(code, self.pending.front()) => {
                self.write(Leg::Client, bytes);
            }
            Ok(Piece::Long(..)) => self.end(Reason::ReplyTooLong),
            Err(reason) => self.end(reason),
        }
    }

    fn client_line(&mut self, line: Result<Vec<u8>, Reason>) {
        match line {
            Ok(line) => {
                let line = self.heard(Leg::Client, line);
                self.command(line);
            }
            Err(reason) => self.refuse("line", reason),
        }
    }

    /// The driver has doors for a pinhole, or has none.
    fn prepared(&mut self, id: HoleId, doors: Result<Doors, Reason>) {
        match self.halt.take() {
            Some(Halt::Aim(current, asked, line)) if current.id == id => {
                self.aim(current, asked, line, doors);
            }
            Some(Halt::Announce(current, found)) if current.id == id => {
                self.announce(current, &found, doors);
            }
            Some(Halt::Detour(current, found)) if current.id == id => {
                self.detour(current, found, doors);
            }
            Some(Halt::Deliver(current)) if current.id == id => self.deliver(current, doors),
            other => self.halt = other,
        }
    }

    /// A new pinhole, in the place of the last one.
    fn prepare(&mut self, hole: Hole) -> Current {
        self.close_hole(None);
        self.holes += 1;
        let id = HoleId(self.holes);
        self.effects.push_back(Effect::Prepare(id, hole));
        Current { id, hole, is_agreed: false, until: None }
    }

    fn commit(&mut self, current: Current) {
        let until = Some(self.now.after(LIFETIME));
        self.current = Some(Current { is_agreed: true, until, ..current });
        self.effects.push_back(Effect::Commit(current.id));
    }

    fn close_hole(&mut self, reason: Option<Reason>) {
        self.aimed = None;
        if let Some(current) = self.current.take() {
            self.effects.push_back(Effect::Close(current.id, reason));
        }
    }

    fn expire(&mut self) {
        let until = self.current.and_then(|current| current.until);
        if until.is_some_and(|until| until <= self.now) {
            self.close_hole(Some(Reason::DataNotConnected));
            self.nobody_came();
        }
        self.wait_no_more();
        self.keep_server();
    }

    fn write(&mut self, leg: Leg, bytes: Vec<u8>) {
        let is_heard = leg == Leg::Server || !self.expects_tls();
        if !bytes.is_empty() && is_heard {
            self.effects.push_back(Effect::Write(leg, bytes));
        }
    }

    /// A refusal of the relay's own, when its turn comes.
    fn refuse(&mut self, verb: &'static str, reason: Reason) {
        self.note(Note::why(Decision::Refuse, verb, reason));
        let reply = match refusal::code(reason) {
            // RFC 2428 §2: with the family that can be used.
            code @ Code::NETWORK_PROTOCOL => {
                let number = self.ends.family(Leg::Client).number();
                Reply::line(code, alloc::format!("{}, use ({number}).", reason.describe()))
            }
            code => Reply::why(code, reason),
        };
        self.reply(&reply);
    }

    fn reply(&mut self, reply: &Reply) {
        self.keep_awake();
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        self.pending.push_back(Pending::Local(bytes));
        self.flush();
    }

    /// Sends the relay's own replies whose turn it is.
    fn flush(&mut self) {
        while let Some(Pending::Local(_)) = self.pending.front()
            && !self.has_ended
        {
            if let Some(Pending::Local(bytes)) = self.pending.pop_front() {
                self.write(Leg::Client, bytes);
            }
        }
    }

    fn note(&mut self, note: Note) {
        self.effects.push_back(Effect::Note(note));
    }

    /// Nothing sensible can follow: both ends are closed, and the client hears why.
    fn end(&mut self, reason: Reason) {
        self.note(Note::why(Decision::Close, "session", reason));
        let words = self.farewell(reason);
        self.effects.push_back(Effect::Write(Leg::Client, words));
        self.stop();
    }

    fn stop(&mut self) {
        self.close_hole(None);
        if self.upload.take().is_some() {
            self.effects.push_back(Effect::Discard);
        }
        self.effects.push_back(Effect::End);
        self.has_ended = true;
    }
}

#[cfg(test)]
mod tests;
