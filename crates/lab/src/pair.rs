//! The client's machines and the server's talk to each other, and time goes by at no cost: each step
//! jumps to whatever happens next.
//!
//! There are no sockets, and between the two only the network that a test describes. The model is
//! quinn's `Pair`.

mod flight;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use twoport_proto::client::conversation;
use twoport_proto::client::login::Credentials;
use twoport_proto::client::transfer::{self, Outcome};
use twoport_proto::command::{Command, Password};
use twoport_proto::reason::Reason;
use twoport_proto::time::Time;

use self::flight::Flight;
use crate::client_end::{ClientEnd, Wish};
use crate::player::ledger::{self, Ledger};
use crate::player::machine::{Feed, Machine};
use crate::script::{Script, Setup};

/// What the network does to those who connect to a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Port {
    /// They get through.
    #[default]
    Open,
    /// They are refused.
    Refused,
    /// They hear nothing.
    Silent,
}

/// What lies between client and server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network {
    /// How long a byte of the control connection is under way.
    pub latency: Duration,
    /// How long one of the data connection is.
    pub data_latency: Duration,
    /// The server's passive ports, seen from the client.
    pub passive: Port,
    /// The client's ports, seen from the server.
    pub active: Port,
    /// After how many bytes the data connection breaks.
    pub cut: Option<u64>,
    /// Whether the control connection dies silently once data have moved.
    pub forgets_control: bool,
}

/// What became of an errand.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// The outcome of the transfer, if it came to one.
    pub outcome: Option<Outcome>,
    /// The client's decisions, in the words of a session file.
    pub client: Vec<String>,
    /// The server's.
    pub server: Vec<String>,
    /// What the client received.
    pub received: Vec<u8>,
    /// How long it took.
    pub elapsed: Duration,
}

/// A server, and a client that runs errands on it, one after the other.
pub struct Pair {
    network: Network,
    server: Machine,
    client: ClientEnd,
    credentials: Credentials,
    now: Time,
    flights: BTreeMap<(Time, u64), Flight>,
    departed: u64,
    /// Which control connection is the present one: what flies on an older one is lost.
    connection: u32,
    dialling: Option<(SocketAddr, Option<Time>)>,
    data: Data,
    upload: Option<Vec<u8>>,
    /// Whether the control connection is dead.
    deaf: bool,
    played: Played,
}

/// How far the data connection is.
#[derive(Default)]
struct Data {
    /// Whether the server's dial is under way.
    dialled: bool,
    /// Whether it is up at the client's end.
    connected: bool,
    /// Whether the client's transfer has begun.
    wanted: bool,
    /// The bytes that have left, either way.
    sent: u64,
    /// Whether its end has left.
    ended: bool,
}

impl Pair {
    /// A server with what an `@` line of a session file sets up, behind a network.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn new(setup: &str, network: Network) -> Result<Self, String> {
        let script = parse(setup)?;
        let ledger = Ledger::new(&script)?;
        let mut credentials = Credentials::default();
        for item in script.setup() {
            if let Setup::User { name, password, .. } = item {
                credentials.user.clone_from(name);
                credentials.password = Password(password.clone());
            }
        }
        let errand = parse("client auto NLST")?.errand().cloned().ok_or("no errand")?;
        let server = SocketAddr::new(ledger.local, 21);
        let client =
            ClientEnd::new(errand, credentials.clone(), server, ledger.peer, Duration::ZERO);
        Ok(Self {
            network,
            server: Machine::new(ledger, Feed::Whole),
            client,
            credentials,
            now: Time::ZERO,
            flights: BTreeMap::new(),
            departed: 0,
            connection: 0,
            dialling: None,
            data: Data::default(),
            upload: None,
            deaf: false,
            played: Played::default(),
        })
    }

    /// Changes what lies between them.
    pub const fn set_network(&mut self, network: Network) {
        self.network = network;
    }

    /// What a file on the server holds.
    ///
    /// # Errors
    /// The storage's.
    pub fn stored(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        self.server.ledger.content(&ledger::path(path.as_bytes())?)
    }

    /// A client connects, logs in and runs an errand, as an `@ client` item names it. An upload
    /// sends `content` from the offset on at which it begins.
    ///
    /// # Errors
    /// An errand that cannot be read, or a conversation that never ends.
    pub fn run(&mut self, errand: &str, content: &[u8]) -> Result<Played, String> {
        let errand = parse(&format!("client {errand}"))?.errand().cloned().ok_or("no errand")?;
        let is_upload =
            matches!(errand.command, Command::Stor(_) | Command::Appe(_) | Command::Stou(_));
        let offset = usize::try_from(errand.restart).map_err(|error| error.to_string())?;
        self.upload = is_upload.then(|| content.get(offset..).unwrap_or_default().to_vec());
        let round_trip = self.network.latency * 2;
        let (server, own) =
            (SocketAddr::new(self.server.ledger.local, 21), self.server.ledger.peer);
        self.client = ClientEnd::new(errand, self.credentials.clone(), server, own, round_trip);
        self.connect();
        let (began, noted) = (self.now, self.server.notes.len());
        self.played = Played::default();
        const STEPS: usize = 10_000;
        for _ in 0..STEPS {
            self.settle()?;
            if self.client.is_over() && self.flights.is_empty() {
                let mut played = std::mem::take(&mut self.played);
                played.server = self.server.notes.get(noted..).unwrap_or_default().to_vec();
                played.elapsed = self.now.since(began);
                return Ok(played);
            }
            self.step()?;
        }
        Err(format!("no end after {STEPS} steps: {:?}", self.played))
    }

    /// A new control connection; nothing of the old one arrives any more.
    fn connect(&mut self) {
        self.connection += 1;
        self.deaf = false;
        self.dialling = None;
        self.data = Data::default();
        self.flights.clear();
        self.server.reconnect();
    }

    fn fly(&mut self, time: Duration, flight: Flight) {
        self.flights.insert((self.now.after(time), self.departed), flight);
        self.departed += 1;
    }

    /// Time jumps to whatever happens next, and it happens.
    fn step(&mut self) -> Result<(), String> {
        let landing = self.flights.keys().next().map(|(time, _)| *time);
        let given_up = self.dialling.and_then(|(_, until)| until);
        let client = if self.client.is_over() { None } else { self.client.deadline() };
        let next = [landing, given_up, client, self.server.deadline()].into_iter().flatten().min();
        let next = next.ok_or("nothing happens any more")?;
        self.now = next.max(self.now);
        self.server.wait(self.now.since(self.server.now))?;
        let due = |time: Option<Time>| time.is_some_and(|time| time <= self.now);
        if due(landing) {
            match self.flights.pop_first() {
                Some((_, flight)) => self.land(flight),
                None => Ok(()),
            }
        } else if due(given_up) {
            if let Some((to, _)) = self.dialling.take() {
                self.client.dial_failed(self.now, to, Reason::DataDialTimeout);
            }
            Ok(())
        } else {
            if due(client) {
                self.client.wake(self.now, self.moved());
            }
            Ok(())
        }
    }

    /// The bytes that have moved, as the client counts them.
    fn moved(&self) -> u64 {
        if self.upload.is_some() { self.data.sent } else { self.played.received.len() as u64 }
    }

    /// What both ends want is set on its way.
    fn settle(&mut self) -> Result<(), String> {
        while let Some(wish) = self.client.poll() {
            self.wish(wish);
            self.send()?;
        }
        self.answer();
        self.send()?;
        self.receive()?;
        Ok(())
    }

    fn wish(&mut self, wish: Wish) {
        let latency = self.network.latency;
        match wish {
            Wish::Send(bytes) => self.fly(latency, Flight::Command(self.connection, bytes)),
            Wish::Dial(to, until) => {
                self.dialling = Some((to, until));
                match self.network.passive {
                    Port::Open => self.fly(latency, Flight::ToServer(to.port())),
                    Port::Refused => self.fly(latency * 2, Flight::Refused),
                    Port::Silent => {}
                }
            }
            Wish::Reconnect => self.connect(),
            Wish::Start => self.data.wanted = true,
            Wish::Stop => self.data.connected = false,
            Wish::Note(words) => self.played.client.push(words),
            Wish::Done(outcome) => self.played.outcome = Some(outcome),
        }
    }

    /// What the server has said, and where it connects to.
    fn answer(&mut self) {
        let latency = self.network.latency;
        let lines = std::mem::take(&mut self.server.replies);
        if !lines.is_empty() && !self.deaf {
            let bytes = lines.iter().flat_map(|line| [line, &b"\r\n"[..]].concat()).collect();
            self.fly(latency, Flight::Reply(self.connection, bytes));
        }
        let dials = self.server.dialling.is_some();
        if dials && !self.data.dialled {
            match self.network.active {
                Port::Open => self.fly(latency, Flight::ToClient),
                Port::Refused => self.fly(latency * 2, Flight::ServerRefused),
                Port::Silent => {}
            }
        }
        self.data.dialled = dials;
    }

    /// The bytes of an upload leave as soon as they may.
    fn send(&mut self) -> Result<(), String> {
        let ready = self.data.connected && self.data.wanted && !self.data.ended;
        let Some(content) = self.upload.as_ref().filter(|_| ready) else { return Ok(()) };
        let cut = self.network.cut.and_then(|cut| content.get(..usize::try_from(cut).ok()?));
        let (piece, is_cut) = (cut.unwrap_or(content).to_vec(), cut.is_some());
        let bytes = piece.len() as u64;
        self.data.sent = bytes;
        self.data.ended = true;
        let time = self.network.data_latency;
        self.fly(time, Flight::Upload(piece));
        if is_cut {
            self.fly(time, Flight::UploadBroken);
            let (reason, now) = (Reason::DataReset, self.now);
            self.client.transfer(now, transfer::Input::DataFailed { reason, bytes });
        } else {
            self.fly(time, Flight::UploadEnd);
            self.client.transfer(self.now, transfer::Input::DataEnded { bytes });
        }
        Ok(())
    }

    /// The bytes of a download leave at once, and the server believes that they arrive.
    fn receive(&mut self) -> Result<(), String> {
        let time = self.network.data_latency;
        let Some(data) = &mut self.server.data else { return Ok(()) };
        let mut bytes: VecDeque<u8> = std::mem::take(&mut data.down);
        let left = self.network.cut.map(|cut| cut.saturating_sub(self.data.sent));
        let is_cut =
            left.is_some_and(|left| left <= bytes.len() as u64) && self.server.is_sending();
        if let Some(left) = left.and_then(|left| usize::try_from(left).ok()) {
            bytes.truncate(left);
        }
        if !bytes.is_empty() {
            self.data.sent += bytes.len() as u64;
            self.fly(time, Flight::Download(bytes.into()));
        }
        if is_cut {
            self.data.ended = true;
            self.fly(time, Flight::DownloadBroken);
            self.server.fail(Reason::DataReset)?;
        }
        if self.server.is_sending() {
            self.server.finish_download();
        }
        let closed = self.server.data.as_ref().is_some_and(|data| data.closed);
        if closed && !self.data.ended && self.upload.is_none() {
            self.data.ended = true;
            self.fly(time, Flight::DownloadEnd);
        }
        if closed && self.network.forgets_control {
            self.deaf = true;
        }
        self.answer();
        Ok(())
    }

    fn control(&mut self, input: conversation::Input<'_>) {
        self.client.control(self.now, input);
    }
}

/// An `@` line by itself.
fn parse(setup: &str) -> Result<Script, String> {
    Script::parse("pair", &format!("# A pair.\n@ {setup}\n")).map_err(|error| error.to_string())
}
