//! The server's machine on a stage without sockets: jobs run at once on a storage in memory, time
//! passes when the file says so.
//!
//! It decides nothing about the protocol: it is the driver, in a world where all can be seen.

mod data;
mod stage;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use twoport_proto::line::{LineReader, MAX_COMMAND};
use twoport_proto::reason::Reason;
use twoport_proto::server::{DataEvent, Effect, Input, Job, Outcome, Session, Ticket};
use twoport_proto::time::{Time, Timestamp};
use twoport_proto::verb::Permissions;
use twoport_server::job;
use twoport_server::storage::owners::Owners;
use twoport_server::transfer::Opened;
use twoport_server::world::World;

use self::data::{Connection, Moving};
use super::ledger::{self, Ledger};
use super::{Failure, Step, play, show};
use crate::script::{Captures, Script, Text};

/// How the client's bytes reach the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// As they are said, and each job is answered before the next line.
    Whole,
    /// One at a time, with Telnet's NOP before each line; jobs are answered when all are in.
    Bytewise,
}

/// The port of the client's control connection.
const CLIENT_PORT: u16 = 40000;
/// The first passive port.
const PASSIVE_PORT: u16 = 50021;

/// Plays a script on the server's machine.
///
/// # Errors
/// The first line that is not as the file has it.
pub fn server(script: &Script, feed: Feed) -> Result<(), Failure> {
    let ledger = Ledger::new(script).map_err(|what| Failure {
        file: script.file.clone(),
        line: 1,
        says: "the setup".into(),
        found: what,
    })?;
    play(script, &mut Machine::new(ledger, feed))
}

/// The driver's part, in a world without sockets.
pub(crate) struct Machine {
    session: Session,
    feed: Feed,
    pub(crate) ledger: Ledger,
    world: World,
    pub(crate) now: Time,
    reader: LineReader,
    /// What the session will be told next.
    answers: VecDeque<Input>,
    pub(crate) replies: VecDeque<Vec<u8>>,
    pub(crate) notes: Vec<String>,
    notes_read: usize,
    opened: HashMap<Ticket, Opened>,
    next_port: u16,
    listening: Option<SocketAddr>,
    pub(crate) dialling: Option<SocketAddr>,
    pub(crate) data: Option<Connection>,
    moving: Option<(Ticket, Moving)>,
    /// The connection on which the session wants TLS.
    securing: Option<Securing>,
    /// The certificate that the client has shown on the control connection.
    certificate: Option<String>,
    pub(crate) closed: bool,
}

/// Where TLS shall begin.
#[derive(Clone, Copy, Debug)]
enum Securing {
    Control,
    Data,
}

impl Machine {
    pub(crate) fn new(ledger: Ledger, feed: Feed) -> Self {
        let local = SocketAddr::new(ledger.local, 21);
        let peer = SocketAddr::new(ledger.peer, CLIENT_PORT);
        let session = Session::new(Arc::new(ledger.policy.clone()), local, peer, Time::ZERO);
        let world = World {
            storage: Arc::clone(&ledger.storage),
            permissions: Permissions::NONE,
            owners: Arc::new(Owners::default()),
            listing_limit: ledger.listing_limit,
            ascii_size_limit: ledger.ascii_size_limit,
            careful: true,
            today,
        };
        let mut machine = Self {
            session,
            feed,
            ledger,
            world,
            now: Time::ZERO,
            reader: LineReader::new(MAX_COMMAND),
            answers: VecDeque::new(),
            replies: VecDeque::new(),
            notes: Vec::new(),
            notes_read: 0,
            opened: HashMap::new(),
            next_port: PASSIVE_PORT,
            listening: None,
            dialling: None,
            data: None,
            moving: None,
            securing: None,
            certificate: None,
            closed: false,
        };
        machine.drain();
        machine
    }

    /// A new control connection to the same server. What was under way on the old one is gone.
    pub(crate) fn reconnect(&mut self) {
        let local = SocketAddr::new(self.ledger.local, 21);
        let peer = SocketAddr::new(self.ledger.peer, CLIENT_PORT);
        let policy = Arc::new(self.ledger.policy.clone());
        self.session = Session::new(policy, local, peer, self.now);
        self.reader = LineReader::new(MAX_COMMAND);
        self.replies.clear();
        self.opened.clear();
        (self.listening, self.dialling, self.data, self.moving) = (None, None, None, None);
        self.certificate = None;
        self.closed = false;
        self.drain();
    }

    /// When the session wants to be woken.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.session.deadline()
    }

    /// Whether a download is under way.
    pub(crate) const fn is_sending(&self) -> bool {
        matches!(self.moving, Some((_, Moving::Download { .. })))
    }

    /// One input, then drain, then what came of it.
    fn give(&mut self, input: Input) {
        self.handle(input);
        self.answer();
    }

    fn handle(&mut self, input: Input) {
        self.session.handle(self.now, input);
        self.drain();
    }

    fn answer(&mut self) {
        while let Some(input) = self.answers.pop_front() {
            self.handle(input);
        }
    }

    fn drain(&mut self) {
        while let Some(effect) = self.session.poll() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Reply(reply) => {
                let mut bytes = Vec::new();
                reply.encode(&mut bytes);
                let lines = bytes.strip_suffix(b"\r\n").unwrap_or(&bytes).split(|b| *b == b'\n');
                let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec());
                self.replies.extend(lines);
            }
            Effect::Run(ticket, job) => {
                let outcome = self.run(ticket, job);
                self.answers.push_back(Input::Done(ticket, outcome));
            }
            Effect::StartTls => self.securing = Some(Securing::Control),
            Effect::Secure => self.securing = Some(Securing::Data),
            // What is played is what is said under TLS and without it.
            Effect::StopTls | Effect::Doze => {}
            Effect::Dial(target) => self.dialling = Some(target),
            Effect::Transfer(ticket) => self.transfer(ticket),
            Effect::Cancel(ticket) => self.cancel(ticket),
            Effect::Unlisten => self.unlisten(),
            Effect::Note(note) => self.notes.push(note.to_string()),
            Effect::Close => self.closed = true,
        }
    }

    fn run(&mut self, ticket: Ticket, job: Job) -> Outcome {
        let verb = verb(&job);
        let fault = self.ledger.faults.iter().find(|(at, _)| at == verb.as_bytes());
        if let Some((_, reason)) = fault {
            return Outcome::Failed(*reason);
        }
        match job {
            Job::Identify { user, secured } => {
                let certificate = self.certificate.as_deref().filter(|_| secured);
                let outcome = self.ledger.identify(&user, secured, certificate);
                self.granted(outcome)
            }
            Job::LogIn { user, password } => {
                let outcome = match self.ledger.log_in(&user, &password.0) {
                    Some(grant) => Outcome::LoggedIn(grant),
                    None => Outcome::Failed(Reason::LoginFailed),
                };
                self.granted(outcome)
            }
            Job::Listen(_) => {
                self.unlisten();
                let address = SocketAddr::new(self.ledger.local, self.next_port);
                self.next_port += 1;
                self.listening = Some(address);
                Outcome::Listening(address)
            }
            job => {
                let (outcome, opened) = job::run(&self.world, job);
                self.opened.extend(opened.map(|opened| (ticket, opened)));
                outcome
            }
        }
    }

    /// Who is let in sees the files with the account's permissions.
    fn granted(&mut self, outcome: Outcome) -> Outcome {
        if let Outcome::LoggedIn(grant) = &outcome {
            self.world.permissions = grant.permissions;
        }
        outcome
    }

    /// Hands over what the reader has; whoever asks for the state of a transfer is told how far it is.
    fn read_lines(&mut self) {
        while let Some(line) = self.reader.next_line() {
            let line = line.map_or_else(Input::BadLine, |line| Input::Line(line.into()));
            let moved = self.moving.as_ref().map(|(_, moving)| moving.bytes());
            if let Some(bytes) = moved {
                self.handle(Input::Progress(bytes));
            }
            self.handle(line);
            if self.feed == Feed::Whole {
                self.answer();
            }
        }
    }

    /// Time passes, and the session is woken when it asks to be.
    pub(crate) fn wait(&mut self, time: Duration) -> Step {
        let end = self.now.after(time);
        while let Some(deadline) = self.session.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline.max(self.now);
            self.give(Input::Timer);
            if self.session.deadline() == Some(deadline) {
                return Err(format!("the session asks again for the time {:?}", deadline.0));
            }
        }
        self.now = end;
        Ok(())
    }

    /// Somebody connects to the passive port.
    pub(crate) fn connect(&mut self, port: u16, is_stranger: bool) -> Step {
        if self.listening.is_none_or(|address| address.port() != port) {
            return Err(format!("nothing listens on port {port}"));
        }
        if is_stranger {
            let stranger = match self.ledger.peer {
                IpAddr::V4(_) => SocketAddr::from(([198, 51, 100, 9], 6666)),
                IpAddr::V6(_) => SocketAddr::from(([0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 9], 6666)),
            };
            self.give(Input::Data(DataEvent::Stranger(stranger, Reason::StrangerRefused)));
        } else {
            self.data = Some(Connection::default());
            self.give(Input::Data(DataEvent::Arrived));
        }
        Ok(())
    }

    pub(crate) fn dialled(&mut self, event: DataEvent) -> Step {
        let target = self.dialling.take();
        target.ok_or("the server connects nowhere")?;
        if event == DataEvent::Dialled {
            self.data = Some(Connection::default());
        }
        self.give(Input::Data(event));
        Ok(())
    }

    /// The handshake that is wanted is over, with the certificate that the client has shown.
    fn handshake(&mut self, end: Result<Option<String>, Reason>) -> Step {
        let input = match self.securing.take().ok_or("the session wants no TLS now")? {
            Securing::Control => Input::Tls(end.map(|certificate| self.certificate = certificate)),
            Securing::Data => Input::Data(match end {
                Ok(_) => DataEvent::Secured,
                Err(reason) => {
                    self.data = None;
                    DataEvent::SecureFailed(reason)
                }
            }),
        };
        self.give(input);
        Ok(())
    }

    fn stored(&self, path: &Text, captures: &Captures) -> Step<Option<Vec<u8>>> {
        self.ledger.content(&ledger::path(&path.fill(captures)?)?)
    }
}

/// What day it is while a session is played: 2026-01-01.
fn today() -> Timestamp {
    Timestamp::from_seconds(1_767_225_600)
}

/// A port as a reply gives it: its number, or the six numbers of PASV.
pub(super) fn port_in(text: &[u8]) -> Step<u16> {
    let wrong = || format!("no port: {}", show(text));
    if text.contains(&b',') {
        return twoport_proto::addr::parse_port(text).map(|a| a.port()).map_err(|_| wrong());
    }
    let digits = std::str::from_utf8(text).map_err(|_| wrong())?;
    digits.parse().map_err(|_| wrong())
}

/// The verb that usually asks for a job, as a `fault` names it.
fn verb(job: &Job) -> &'static str {
    use twoport_proto::server::Upload;
    match job {
        Job::Identify { .. } => "USER",
        Job::LogIn { .. } => "PASS",
        Job::Listen(_) => "PASV",
        Job::ChangeDirectory(_) => "CWD",
        Job::Size { .. } => "SIZE",
        Job::Modified(_) => "MDTM",
        Job::SetModified(..) => "MFMT",
        Job::SetMode(..) => "CHMOD",
        Job::MakeDirectory(_) => "MKD",
        Job::RemoveDirectory(_) => "RMD",
        Job::Delete(_) => "DELE",
        Job::CheckRename(_) => "RNFR",
        Job::Rename { .. } => "RNTO",
        Job::Facts(..) => "MLST",
        Job::Status(_) => "STAT",
        Job::Hash { .. } => "HASH",
        Job::SpaceLeft(_) => "AVBL",
        Job::Combine { .. } => "COMB",
        Job::OpenRead { .. } => "RETR",
        Job::OpenWrite { how: Upload::Append, .. } => "APPE",
        Job::OpenWrite { how: Upload::Unique, .. } => "STOU",
        Job::OpenWrite { .. } => "STOR",
        Job::OpenList(_) => "LIST",
    }
}
