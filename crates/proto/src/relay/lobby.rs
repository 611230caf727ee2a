//! A client before it has a server: the gateway greets it, and learns by HOST, the TLS handshake or
//! USER for which it is meant.
//!
//! It connects to nobody. Once the choice is made, [`Lobby::introduce`] gives what a
//! [`Relay`](super::Relay) says to the server in the client's place, and the lobby is over.

mod hello;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use super::effect::{Decision, Note};
use super::lines::{self, Lines};
use super::policy::{Auth, Policy};
use super::route::{Called, Routes, destination};
use crate::code::Code;
use crate::command::{Command, Mechanism, Password, Protection};
use crate::reason::Reason;
use crate::reply::Reply;
use crate::server::refusal;

/// How many wrong passwords end a session. Origin: the server's own limit.
const ATTEMPTS: u32 = 3;

/// How a client says for which server it is meant.
#[derive(Clone, Debug)]
pub enum Desk {
    /// By names for which there are rows.
    Routes(Routes),
    /// As it likes: `USER name@host`, or OPEN or SITE with a host, before USER.
    Forward {
        /// Whether it has to log in to the gateway before.
        needs_login: bool,
    },
}

/// For whom a client is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// One of the servers of a group.
    Group(String),
    /// This server.
    Server {
        /// Its name or address.
        host: String,
        /// Its control port.
        port: u16,
    },
}

/// What a lobby is told.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// Bytes came.
    Bytes(&'a [u8]),
    /// The client closed.
    Eof,
    /// The answer to [`Task::Secure`]: the name that the client asked for in the handshake.
    Secured(Result<Option<&'a [u8]>, Reason>),
    /// The answer to [`Task::Check`].
    Checked(bool),
}

/// What a lobby wants done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Write it to the client.
    Write(Vec<u8>),
    /// Begin TLS, and answer with [`Heard::Secured`].
    Secure,
    /// Is this name and password one that may use the gateway? Answer with [`Heard::Checked`].
    Check(Vec<u8>, Password),
    /// Connect to it, and introduce the client. The lobby is over.
    Choose(Wish),
    /// Put it into log and metrics.
    Note(Note),
    /// Close once all is written.
    End,
}

/// How a client comes.
#[derive(Clone, Debug)]
pub enum Opening {
    /// In clear.
    Clear,
    /// Under TLS that ends here, with the name that it asked for in the handshake.
    Secured(Option<Vec<u8>>),
    /// With TLS that passes, from the first byte on.
    Unread,
}

/// TLS that passes, of which the first words have been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Passing {
    /// From the first byte on.
    #[default]
    AtOnce,
    /// After AUTH, which the gateway has accepted.
    AfterAuth,
}

/// What was said before there was a server.
#[derive(Debug, Default)]
pub struct Introduction {
    /// Whether the client's leg is under TLS.
    pub(super) tls: bool,
    /// Whether its data are.
    pub(super) private: bool,
    /// The line of HOST, which was answered already.
    pub(super) host: Option<Vec<u8>>,
    /// Whether the client still waits for the server's greeting.
    pub(super) awaits_greeting: bool,
    /// Lines that wait for the server; the client's hello, and what came behind it, if that passes.
    pub(super) lines: Vec<u8>,
    /// Whether that is so.
    pub(super) passing: Option<Passing>,
}

impl Introduction {
    /// Whether TLS passes of which the client has said the first words.
    #[must_use]
    pub const fn passes(&self) -> bool {
        self.passing.is_some()
    }

    /// Whether TLS passes that begins with the connection.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.passing == Some(Passing::AtOnce)
    }
}

/// The machine. Give it one [`Heard`], then drain [`poll`](Self::poll), then wait.
#[derive(Debug)]
pub struct Lobby {
    desk: Desk,
    policy: Policy,
    client: Lines,
    said: Introduction,
    sni: Option<Vec<u8>>,
    host_name: Option<Vec<u8>>,
    /// The name for the gateway itself, whose password is awaited.
    user: Option<Vec<u8>>,
    is_known: bool,
    attempts: u32,
    unknown: u32,
    /// Where TLS passes, its first words so far.
    hello: Option<(Passing, Vec<u8>)>,
    /// An answer of the driver is awaited.
    is_waiting: bool,
    is_over: bool,
    tasks: VecDeque<Task>,
}

impl Lobby {
    /// A lobby for a client whose connection is up. It is greeted at once, unless it cannot read that.
    #[must_use]
    pub fn new(desk: Desk, policy: Policy, opening: Opening) -> Self {
        let greeting = match desk {
            Desk::Routes(_) => "twoport gateway ready.",
            Desk::Forward { .. } => "twoport gateway ready: log in as USER name@host.",
        };
        let (tls, sni, hello) = match opening {
            Opening::Clear => (false, None, None),
            Opening::Secured(sni) => (true, sni, None),
            Opening::Unread => (false, None, Some((Passing::AtOnce, Vec::new()))),
        };
        let mut lobby = Self {
            desk,
            policy,
            client: Lines::of_client(),
            said: Introduction { tls, private: tls, ..Introduction::default() },
            sni,
            host_name: None,
            user: None,
            is_known: false,
            attempts: 0,
            unknown: 0,
            hello,
            is_waiting: false,
            is_over: false,
            tasks: VecDeque::new(),
        };
        if lobby.hello.is_none() {
            lobby.reply(&Reply::line(Code::READY, greeting));
        }
        lobby
    }

    /// Takes one input.
    pub fn handle(&mut self, heard: Heard<'_>) {
        match heard {
            Heard::Bytes(_) if self.is_over => return,
            Heard::Bytes(bytes) if self.hello.is_some() => return self.hear_hello(bytes),
            Heard::Bytes(bytes) => self.client.push(bytes),
            Heard::Eof => return self.end(),
            Heard::Secured(Ok(sni)) => {
                self.is_waiting = false;
                self.said.tls = true;
                self.sni = sni.map(<[u8]>::to_vec);
                self.note(Note::good(Decision::Secure, "client"));
            }
            Heard::Secured(Err(reason)) => return self.close(reason),
            Heard::Checked(is_right) => self.checked(is_right),
        }
        while !self.is_over && !self.is_waiting {
            match self.client.next_line() {
                Some(Ok(line)) => self.command(&line),
                Some(Err(reason)) => self.refuse("line", reason),
                None => break,
            }
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Task> {
        self.tasks.pop_front()
    }

    /// What the server is told, after [`Task::Choose`].
    #[must_use]
    pub fn introduce(mut self) -> Introduction {
        self.said.lines.extend(self.client.take());
        self.said
    }

    fn command(&mut self, line: &[u8]) {
        let text = lines::read(line);
        if let Desk::Forward { .. } = self.desk
            && let Some(server) = opened(&text)
        {
            return self.open(server);
        }
        let (row, command) = match Command::parse(&text) {
            Ok(parsed) => parsed,
            Err(error) if error.row.is_none() => {
                self.unknown += 1;
                return match error.reason {
                    Reason::HttpOnControl => self.close(Reason::HttpOnControl),
                    _ if self.unknown > self.policy.unknown_limit => {
                        self.close(Reason::TooManyUnknown);
                    }
                    reason => self.refuse("line", reason),
                };
            }
            Err(error) => return self.refuse("line", error.reason),
        };
        self.unknown = 0;
        match command {
            Command::Host(name) => self.host(line, name),
            Command::Auth(mechanism) => self.auth(line, &mechanism),
            Command::Pbsz(_) if self.said.tls => self.reply(&Reply::line(Code::OK, "PBSZ=0")),
            Command::Prot(protection) if self.said.tls => self.protect(&protection),
            Command::Pbsz(_) | Command::Prot(_) => self.refuse(row.name, Reason::TlsFirst),
            Command::User(_) if self.policy.client_tls && !self.said.tls => {
                self.refuse("USER", Reason::TlsRequired);
            }
            Command::User(name) => self.user(line, &name),
            Command::Pass(password) => self.pass(password),
            Command::Noop => self.reply(&Reply::line(Code::OK, "NOOP ok.")),
            Command::Quit => {
                self.reply(&Reply::line(Code::CLOSING, "Goodbye."));
                self.end();
            }
            // Whatever else there is depends on the server.
            _ => self.refuse(row.name, Reason::LoginRequired),
        }
    }

    /// HOST (RFC 7151 §3): answered here, and said to the server again.
    fn host(&mut self, line: &[u8], name: Vec<u8>) {
        let Desk::Routes(routes) = &self.desk else {
            return self.refuse("HOST", Reason::NotSupported);
        };
        if !routes.may_have(&name) {
            self.note(Note::why(Decision::Refuse, "HOST", Reason::RouteUnknown).about(name));
            return self.reply(&Reply::why(Code::BAD_PARAMETER, Reason::RouteUnknown));
        }
        self.said.host = Some(line.to_vec());
        self.host_name = Some(name);
        self.reply(&Reply::line(Code::READY, "Host accepted."));
    }

    fn auth(&mut self, line: &[u8], mechanism: &Mechanism) {
        match (self.policy.auth, mechanism) {
            (Auth::Pass | Auth::Refuse, _) if self.policy.scan.is_some() => {
                self.refuse("AUTH", Reason::TlsNotScanned);
            }
            (Auth::Pass, mechanism) => self.auth_passes(line, mechanism),
            (Auth::Refuse, _) => self.refuse("AUTH", Reason::TlsUnavailable),
            (Auth::Terminate, Mechanism::Tls) if self.said.tls => {
                self.refuse("AUTH", Reason::TlsAlready);
            }
            (Auth::Terminate, Mechanism::Tls) if !self.client.is_empty() => {
                self.close(Reason::ClearBehindAuth);
            }
            (Auth::Terminate, Mechanism::Tls) => {
                self.reply(&Reply::line(Code::AUTH_ACCEPTED, "Begin TLS."));
                self.is_waiting = true;
                self.tasks.push_back(Task::Secure);
            }
            (Auth::Terminate, Mechanism::Ssl) => self.refuse("AUTH", Reason::SslRefused),
        }
    }

    fn protect(&mut self, protection: &Protection) {
        self.said.private = matches!(protection, Protection::Private);
        self.reply(&Reply::line(Code::OK, "Protection set."));
    }

    fn user(&mut self, line: &[u8], name: &[u8]) {
        let needs_login = match &self.desk {
            Desk::Routes(routes) => {
                let names = Called {
                    host: self.host_name.as_deref(),
                    sni: self.sni.as_deref(),
                    user: Some(name),
                };
                return match routes.find(names).map(String::from) {
                    Some(group) => self.choose(Wish::Group(group), line.to_vec()),
                    None => self.refuse_login(Reason::RouteUnknown),
                };
            }
            Desk::Forward { needs_login } => *needs_login && !self.is_known,
        };
        let at = name.iter().rposition(|&byte| byte == b'@');
        let (user, server) = match at.and_then(|at| name.split_at_checked(at)) {
            Some((user, server)) => (user, destination(server.get(1..).unwrap_or_default())),
            None if needs_login => {
                self.user = Some(name.to_vec());
                return self.reply(&Reply::line(Code::NEED_PASSWORD, "Password for the gateway."));
            }
            None => (name, None),
        };
        match server {
            _ if needs_login => self.refuse_login(Reason::LoginRequired),
            Some((host, port)) => {
                let user = if user.is_empty() { b"anonymous" } else { user };
                let line = [b"USER ", user, b"\r\n"].concat();
                self.choose(Wish::Server { host, port }, line);
            }
            None => self.refuse_login(Reason::DestinationMissing),
        }
    }

    fn pass(&mut self, password: Password) {
        match self.user.take() {
            Some(user) => {
                self.is_waiting = true;
                self.tasks.push_back(Task::Check(user, password));
            }
            None => self.refuse("PASS", Reason::UserFirst),
        }
    }

    fn checked(&mut self, is_right: bool) {
        self.is_waiting = false;
        self.is_known |= is_right;
        if is_right {
            let text = "Logged in to the gateway; go on with USER name@host.";
            return self.reply(&Reply::line(Code::LOGGED_IN, text));
        }
        self.attempts += 1;
        self.refuse_login(Reason::LoginFailed);
        if self.attempts >= ATTEMPTS {
            self.close(Reason::TooManyAttempts);
        }
    }

    /// OPEN or SITE with a host: its greeting is the reply.
    fn open(&mut self, server: Option<(String, u16)>) {
        let needs_login = matches!(self.desk, Desk::Forward { needs_login: true });
        match server {
            _ if needs_login && !self.is_known => self.refuse_login(Reason::LoginRequired),
            Some((host, port)) => {
                self.said.awaits_greeting = true;
                self.choose(Wish::Server { host, port }, Vec::new());
            }
            None => self.refuse_login(Reason::DestinationMissing),
        }
    }

    fn choose(&mut self, wish: Wish, line: Vec<u8>) {
        self.said.lines = line;
        self.is_over = true;
        self.tasks.push_back(Task::Choose(wish));
    }

    fn refuse(&mut self, verb: &'static str, reason: Reason) {
        self.note(Note::why(Decision::Refuse, verb, reason));
        self.reply(&Reply::why(refusal::code(reason), reason));
    }

    fn refuse_login(&mut self, reason: Reason) {
        self.note(Note::why(Decision::Refuse, "USER", reason));
        self.reply(&Reply::why(Code::NOT_LOGGED_IN, reason));
    }

    fn reply(&mut self, reply: &Reply) {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        self.tasks.push_back(Task::Write(bytes));
    }

    fn note(&mut self, note: Note) {
        self.tasks.push_back(Task::Note(note));
    }

    fn end(&mut self) {
        self.is_over = true;
        self.tasks.push_back(Task::End);
    }
}

/// The server of `OPEN host` or `SITE host`; the inner none is one that cannot be read. What is no
/// such line is none.
#[expect(clippy::option_option, reason = "no such line, and no such host, are two answers")]
fn opened(text: &[u8]) -> Option<Option<(String, u16)>> {
    let blank = text.iter().position(|&byte| byte == b' ')?;
    let (word, host) = text.split_at_checked(blank)?;
    let is_open = word.eq_ignore_ascii_case(b"OPEN") || word.eq_ignore_ascii_case(b"SITE");
    is_open.then(|| destination(host))
}
