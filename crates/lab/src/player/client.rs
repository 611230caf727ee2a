//! The client's machines in a session: its lines are what they must send, the server's are read to
//! them, and what they make of it is what `N:` lines name.
//!
//! Played are the files that say what the client is asked to do (`@ client`).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use twoport_proto::client::conversation::{self, Conversation};
use twoport_proto::client::login::{self, Credentials, Login};
use twoport_proto::client::open::{self, Open};
use twoport_proto::client::transfer::{self, Direction, Plan, Transfer, Verdict};
use twoport_proto::command::{Command, Password};
use twoport_proto::reason::Reason;
use twoport_proto::time::Time;

use super::{Failure, Step, machine, show};
use crate::script::{Captures, Errand, Event, Line, Says, Script, Setup, Wire};

/// The round trip of the control connection.
const ROUND_TRIP: Duration = Duration::from_millis(20);

/// How long the client waits for a reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// The port at which the client listens in active mode: what the files announce as 195,101.
const LISTENING: u16 = 50021;

/// Plays a script with the client's machines.
///
/// # Errors
/// The first line that they do not send, or the first decision that is another.
pub fn client(script: &Script, errand: &Errand) -> Result<(), Failure> {
    let mut player = Client::new(script, errand);
    for line in &script.lines {
        player.line(&line.says).map_err(|found| Failure::at(script, line, found))?;
    }
    let end = Line { number: script.lines.len(), says: Says::Blank, comment: None };
    match player.sent.pop_front() {
        Some(line) => Err(Failure::at(script, &end, format!("one line more: {}", show(&line)))),
        None => Ok(()),
    }
}

/// Which machine is at work above the conversation.
enum Work {
    Login(Login),
    Open(Open),
    Transfer(Transfer),
    Over,
}

struct Client<'a> {
    errand: &'a Errand,
    peer: SocketAddr,
    own: IpAddr,
    now: Time,
    conversation: Conversation,
    work: Work,
    sent: VecDeque<Vec<u8>>,
    notes: VecDeque<String>,
    /// Where it connects to, and when it gives up.
    dialling: Option<(SocketAddr, Option<Time>)>,
    /// The bytes moved.
    bytes: u64,
    /// A reply that has not come whole.
    heard: Vec<u8>,
    /// The port of the server, where a file leaves it open.
    captures: Captures,
}

impl<'a> Client<'a> {
    fn new(script: &Script, errand: &'a Errand) -> Self {
        let (mut local, mut peer) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 7]));
        let mut credentials = Credentials::default();
        for item in script.setup() {
            match item {
                Setup::Local(address) => local = *address,
                Setup::Peer(address) => peer = *address,
                Setup::User { name, password } => {
                    credentials.user.clone_from(name);
                    credentials.password = Password(password.clone());
                }
                _ => {}
            }
        }
        let patience = conversation::Patience { greeting: PATIENCE, reply: PATIENCE };
        Self {
            errand,
            peer: SocketAddr::new(local, 21),
            own: peer,
            now: Time::ZERO,
            conversation: Conversation::new(Time::ZERO, ROUND_TRIP, patience),
            work: Work::Login(Login::new(credentials)),
            sent: VecDeque::new(),
            notes: VecDeque::new(),
            dialling: None,
            bytes: 0,
            heard: Vec::new(),
            captures: Captures::from([("port".into(), b"50021".to_vec())]),
        }
    }

    fn line(&mut self, says: &Says) -> Step {
        match says {
            Says::Client(text, _) => {
                let wanted = [&text.fill(&self.captures)?[..], b"\r\n"].concat();
                match self.sent.pop_front() {
                    Some(line) if line == wanted => Ok(()),
                    Some(line) => Err(show(&line)),
                    None => Err("the client is silent".into()),
                }
            }
            Says::Server(wire) => self.hear(wire),
            Says::Download(text) | Says::Upload(text) => {
                self.bytes += text.fill(&self.captures)?.len() as u64;
                Ok(())
            }
            Says::Event(event) => self.event(event),
            // What the server decides is not the client's to know.
            Says::Note(words) => words.strip_prefix("client ").map_or(Ok(()), |w| self.note(w)),
            Says::Blank | Says::Prose(_) | Says::Setup(_) | Says::Beyond(_) => Ok(()),
        }
    }

    fn note(&mut self, words: &str) -> Step {
        let at = self.notes.iter().position(|note| note.starts_with(words));
        let at = at.ok_or_else(|| format!("{:?}", self.notes))?;
        drop(self.notes.drain(..=at));
        Ok(())
    }

    fn hear(&mut self, wire: &Wire) -> Step {
        let (start, text) = match wire {
            Wire::First(code, text) => (format!("{code}-"), text),
            Wire::Last(code, text) => (format!("{code} "), text),
            Wire::Body(text) => (" ".into(), text),
            Wire::Bodies => return Err("a line that is read to a client is written out".into()),
        };
        self.heard.extend([start.as_bytes(), &text.fill(&self.captures)?, b"\r\n"].concat());
        if matches!(wire, Wire::Last(..)) {
            let bytes = std::mem::take(&mut self.heard);
            self.read(&bytes);
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Step {
        match event {
            Event::LogsIn(_) => self.log_in()?,
            Event::ClientConnects(port) => {
                let port = machine::port_in(&port.fill(&self.captures)?)?;
                let dialled = self.dialling.take();
                let (to, _) = dialled.ok_or("the client connects nowhere")?;
                if to != SocketAddr::new(self.peer.ip(), port) {
                    return Err(format!("the client connects to {to}"));
                }
                self.open(open::Input::Connected);
            }
            Event::ConnectRefused => self.dial_failed(Reason::DataRefused)?,
            Event::ConnectUnreachable => self.dial_failed(Reason::DataUnreachable)?,
            Event::DataClosedByServer | Event::ClientClosesData => {
                self.transfer(transfer::Input::DataEnded { bytes: self.bytes });
            }
            Event::DataReset => {
                let (reason, bytes) = (Reason::DataReset, self.bytes);
                self.transfer(transfer::Input::DataFailed { reason, bytes });
            }
            Event::TransferFails(reason) => {
                let (reason, bytes) = (*reason, self.bytes);
                self.transfer(transfer::Input::DataFailed { reason, bytes });
            }
            Event::ControlClosedByServer => {
                self.conversation.handle(self.now, conversation::Input::Eof);
                self.drain();
            }
            Event::Wait(time) => self.wait(*time),
            Event::Silence => {
                if let Some(line) = self.sent.front() {
                    return Err(show(line));
                }
            }
            Event::ServerConnects => {}
            other => return Err(format!("a client's session has no: {other}")),
        }
        Ok(())
    }

    /// The login to a server that offers nothing beyond RFC 959.
    fn log_in(&mut self) -> Step {
        for (reply, verb) in
            [("220", "USER "), ("331", "PASS "), ("230", "FEAT\r\n"), ("502", "TYPE I\r\n")]
        {
            self.read(format!("{reply} .\r\n").as_bytes());
            match self.sent.pop_front() {
                Some(line) if line.starts_with(verb.as_bytes()) => {}
                other => return Err(format!("{:?} in place of {verb}", other.map(|l| show(&l)))),
            }
        }
        self.read(b"200 .\r\n");
        Ok(())
    }

    fn read(&mut self, bytes: &[u8]) {
        self.conversation.handle(self.now, conversation::Input::Bytes(bytes));
        self.drain();
    }

    fn dial_failed(&mut self, reason: Reason) -> Step {
        self.dialling.take().ok_or("the client connects nowhere")?;
        self.open(open::Input::DialFailed(reason));
        Ok(())
    }

    fn open(&mut self, input: open::Input) {
        if let Work::Open(open) = &mut self.work {
            open.handle(self.now, input);
        }
        self.drain();
    }

    fn transfer(&mut self, input: transfer::Input) {
        if let Work::Transfer(transfer) = &mut self.work {
            transfer.handle(self.now, input);
        }
        self.drain();
    }

    /// Time passes, and whoever wants to be woken is.
    fn wait(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(next) = self.deadline().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.wake();
            // Who asks for the same time again has had it.
            if self.deadline() == Some(next) {
                break;
            }
        }
        self.now = end;
    }

    fn deadline(&self) -> Option<Time> {
        let work = match &self.work {
            Work::Open(open) => open.deadline(),
            Work::Transfer(transfer) => transfer.deadline(),
            Work::Login(_) | Work::Over => None,
        };
        let dial = self.dialling.and_then(|(_, until)| until);
        [work, dial, self.conversation.deadline()].into_iter().flatten().min()
    }

    fn wake(&mut self) {
        self.conversation.handle(self.now, conversation::Input::Timer);
        self.drain();
        let bytes = self.bytes;
        match &mut self.work {
            Work::Open(open) => open.handle(self.now, open::Input::Timer),
            Work::Transfer(transfer) => {
                transfer.handle(self.now, transfer::Input::Timer { bytes });
            }
            Work::Login(_) | Work::Over => {}
        }
        self.drain();
        if self.dialling.is_some_and(|(_, until)| until.is_some_and(|until| until <= self.now)) {
            self.dialling = None;
            self.open(open::Input::DialFailed(Reason::DataDialTimeout));
        }
    }

    /// Effects of the conversation, then of the machine above it, until none is left.
    fn drain(&mut self) {
        loop {
            if let Some(effect) = self.conversation.poll() {
                self.said(effect);
            } else if !self.work() {
                return;
            }
        }
    }

    fn said(&mut self, effect: conversation::Effect) {
        use conversation::Effect;
        match effect {
            Effect::Send(bytes) => self.sent.push_back(bytes),
            Effect::Stray(reply) => self.notes.push_back(format!("stray {}", reply.code)),
            Effect::Reply(reply) => match &mut self.work {
                Work::Login(login) => login.handle(self.now, login::Input::Reply(reply)),
                Work::Open(open) => open.handle(self.now, open::Input::Reply(reply)),
                Work::Transfer(transfer) => {
                    transfer.handle(self.now, transfer::Input::Reply(reply));
                }
                Work::Over => {}
            },
            Effect::Lost(reason) => match &mut self.work {
                Work::Login(login) => login.handle(self.now, login::Input::Lost(reason)),
                Work::Open(open) => open.handle(self.now, open::Input::Lost(reason)),
                Work::Transfer(transfer) => {
                    transfer.handle(self.now, transfer::Input::Lost(reason));
                }
                Work::Over => {}
            },
        }
    }

    /// The next effect of the machine at work; whether there was one.
    fn work(&mut self) -> bool {
        match &mut self.work {
            Work::Login(login) => {
                let effect = login.poll();
                effect.map(|effect| self.logged_in(effect)).is_some()
            }
            Work::Open(open) => {
                let effect = open.poll();
                effect.map(|effect| self.opened(effect)).is_some()
            }
            Work::Transfer(transfer) => {
                let effect = transfer.poll();
                effect.map(|effect| self.transferred(effect)).is_some()
            }
            Work::Over => false,
        }
    }

    fn command(&mut self, command: &Command) {
        self.conversation.handle(self.now, conversation::Input::Command(command));
    }

    fn logged_in(&mut self, effect: login::Effect) {
        match effect {
            login::Effect::Command(command) => self.command(&command),
            login::Effect::Done(_) => {
                let mode = self.errand.mode;
                self.work = Work::Open(Open::new(self.now, mode, self.peer, ROUND_TRIP, None));
            }
            login::Effect::Failed(reason, _) => {
                self.notes.push_back(format!("login reason={reason}"));
                self.work = Work::Over;
            }
        }
    }

    fn opened(&mut self, effect: open::Effect) {
        match effect {
            open::Effect::Command(command) => self.command(&command),
            open::Effect::Dial { to, patience } => {
                self.dialling = Some((to, patience.map(|patience| self.now.after(patience))));
            }
            open::Effect::Listen => {
                let at = SocketAddr::new(self.own, LISTENING);
                self.open(open::Input::Listening(at));
            }
            open::Effect::Reconnect => self.notes.push_back("reconnect".into()),
            open::Effect::Ready(step) => {
                if let Work::Open(open) = &self.work {
                    let failures = open.failures().iter().map(tried).collect::<Vec<_>>();
                    self.notes.extend(failures);
                }
                self.notes.push_back(format!("ready {}", step.name()));
                self.work = Work::Transfer(Transfer::new(self.now, plan(self.errand)));
            }
            open::Effect::Failed(failures) => {
                self.notes.extend(failures.iter().map(tried));
                self.notes.push_back("failed".into());
                self.work = Work::Over;
            }
        }
    }

    fn transferred(&mut self, effect: transfer::Effect) {
        match effect {
            transfer::Effect::Command(command) => self.command(&command),
            transfer::Effect::Start => {}
            transfer::Effect::Stop => self.notes.push_back("stop".into()),
            transfer::Effect::Done(outcome) => {
                let verdict = match outcome.verdict {
                    Verdict::Confirmed => "confirmed".into(),
                    Verdict::Unconfirmed(reason) => format!("unconfirmed reason={reason}"),
                    Verdict::Truncated(reason) => format!("truncated reason={reason}"),
                    Verdict::Refused(reason) => format!("refused reason={reason}"),
                };
                self.notes.push_back(format!("{verdict} bytes={}", outcome.bytes));
                self.work = Work::Over;
            }
        }
    }
}

/// A step of the ladder that led nowhere.
fn tried(failure: &open::Failure) -> String {
    format!("tried {} reason={}", failure.step.name(), failure.reason)
}

fn plan(errand: &Errand) -> Plan {
    let direction = match errand.command {
        Command::Retr(_) => Direction::Download,
        Command::Stor(_) | Command::Appe(_) | Command::Stou(_) => Direction::Upload,
        _ => Direction::Listing,
    };
    let patience =
        transfer::Patience { reply: PATIENCE, confirm: PATIENCE, round_trip: ROUND_TRIP };
    let (command, restart, size) = (errand.command.clone(), errand.restart, errand.size);
    Plan { command, direction, restart, size, patience }
}
