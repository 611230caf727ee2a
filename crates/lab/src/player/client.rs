//! The client's machines in a session: its lines are what they must send, the server's are read to
//! them, and what they make of it is what `N: client` lines name.
//!
//! Played are the files that say what the client is asked to do (`@ client`).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use twoport_proto::client::conversation;
use twoport_proto::client::login::Credentials;
use twoport_proto::client::open;
use twoport_proto::client::transfer;
use twoport_proto::command::Password;
use twoport_proto::reason::Reason;
use twoport_proto::time::Time;

use super::{Failure, Step, machine, show};
use crate::client_end::{ClientEnd, Wish};
use crate::script::{Captures, Errand, Event, Line, Says, Script, Setup, Wire};

/// The round trip of the control connection.
const ROUND_TRIP: Duration = Duration::from_millis(20);

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

struct Client {
    end: ClientEnd,
    server: SocketAddr,
    now: Time,
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

impl Client {
    fn new(script: &Script, errand: &Errand) -> Self {
        let (mut local, mut peer) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 7]));
        let mut credentials = Credentials::default();
        for item in script.setup() {
            match item {
                Setup::Local(address) => local = *address,
                Setup::Peer(address) => peer = *address,
                Setup::User { name, password, .. } => {
                    credentials.user.clone_from(name);
                    credentials.password = Password(password.clone());
                }
                _ => {}
            }
        }
        let server = SocketAddr::new(local, 21);
        Self {
            end: ClientEnd::new(errand.clone(), credentials, server, peer, ROUND_TRIP),
            server,
            now: Time::ZERO,
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
            self.control(conversation::Input::Bytes(&bytes));
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
                if to != SocketAddr::new(self.server.ip(), port) {
                    return Err(format!("the client connects to {to}"));
                }
                self.end.open(self.now, open::Input::Connected);
            }
            Event::ConnectRefused => self.dial_failed(Reason::DataRefused)?,
            Event::ConnectUnreachable => self.dial_failed(Reason::DataUnreachable)?,
            Event::DataClosedByServer | Event::ClientClosesData => {
                let bytes = self.bytes;
                self.end.transfer(self.now, transfer::Input::DataEnded { bytes });
            }
            Event::DataReset => self.data_failed(Reason::DataReset),
            Event::TransferFails(reason) => self.data_failed(*reason),
            Event::ControlClosedByServer => self.control(conversation::Input::Eof),
            Event::Wait(time) => self.wait(*time),
            Event::Silence => {
                if let Some(line) = self.sent.front() {
                    return Err(show(line));
                }
            }
            Event::ServerConnects => {}
            other => return Err(format!("a client's session has no: {other}")),
        }
        self.wishes();
        Ok(())
    }

    /// The login to a server that offers nothing beyond RFC 959.
    fn log_in(&mut self) -> Step {
        for (reply, verb) in
            [("220", "USER "), ("331", "PASS "), ("230", "FEAT\r\n"), ("502", "TYPE I\r\n")]
        {
            self.control(conversation::Input::Bytes(format!("{reply} .\r\n").as_bytes()));
            match self.sent.pop_front() {
                Some(line) if line.starts_with(verb.as_bytes()) => {}
                other => return Err(format!("{:?} in place of {verb}", other.map(|l| show(&l)))),
            }
        }
        self.control(conversation::Input::Bytes(b"200 .\r\n"));
        Ok(())
    }

    fn control(&mut self, input: conversation::Input<'_>) {
        self.end.control(self.now, input);
        self.wishes();
    }

    fn dial_failed(&mut self, reason: Reason) -> Step {
        let (to, _) = self.dialling.take().ok_or("the client connects nowhere")?;
        self.end.dial_failed(self.now, to, reason);
        Ok(())
    }

    fn data_failed(&mut self, reason: Reason) {
        let bytes = self.bytes;
        self.end.transfer(self.now, transfer::Input::DataFailed { reason, bytes });
    }

    /// Time passes, and whoever wants to be woken is.
    fn wait(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(next) = self.deadline().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.end.wake(self.now, self.bytes);
            self.wishes();
            let given_up = self.dialling.take_if(|(_, until)| until.is_some_and(|u| u <= self.now));
            if let Some((to, _)) = given_up {
                self.end.dial_failed(self.now, to, Reason::DataDialTimeout);
                self.wishes();
            }
            // Who asks for the same time again has had it.
            if self.deadline() == Some(next) {
                break;
            }
        }
        self.now = end;
    }

    fn deadline(&self) -> Option<Time> {
        let dial = self.dialling.and_then(|(_, until)| until);
        [dial, self.end.deadline()].into_iter().flatten().min()
    }

    fn wishes(&mut self) {
        while let Some(wish) = self.end.poll() {
            match wish {
                Wish::Send(bytes) => self.sent.push_back(bytes),
                Wish::Dial(to, until) => self.dialling = Some((to, until)),
                Wish::Note(words) => self.notes.push_back(words),
                Wish::Stop => self.notes.push_back("stop".into()),
                Wish::Reconnect | Wish::Start | Wish::Done(_) => {}
            }
        }
    }
}
