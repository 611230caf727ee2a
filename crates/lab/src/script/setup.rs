//! `@` lines: the accounts, files and rules that a conversation finds.
//!
//! They are words in a row, read one item after the other; what they mean is the player's matter.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use twoport_proto::client::open::Mode;
use twoport_proto::command::Command;
use twoport_proto::data::ActivePrivate;
use twoport_proto::reason::Reason;
use twoport_proto::server::Requirement;
use twoport_proto::time::Timestamp;
use twoport_proto::verb::Permission;

use super::guard::{Guard, guards};
use super::text::{Style, Text};
use super::words::Words;

/// One thing that is so before the conversation begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setup {
    /// `user NAME pass PASS`: an account that may do everything, on these terms.
    User {
        /// The name.
        name: Vec<u8>,
        /// The password.
        password: Vec<u8>,
        /// `tls=required ...`: what else is so.
        terms: Vec<Term>,
    },
    /// `anonymous`: the account `anonymous`, with any password, that may list and read.
    Anonymous,
    /// `perm list,read` or `perm none`: all that the accounts may do.
    Permissions(Vec<Permission>),
    /// `file PATH "CONTENT"`.
    File(Vec<u8>, Text),
    /// `dir PATH`.
    Directory(Vec<u8>),
    /// `link PATH TARGET`: a symbolic link.
    Link(Vec<u8>, Vec<u8>),
    /// `modified YYYYMMDDHHMMSS`: when the files before it in the file were changed.
    Modified(Timestamp),
    /// `policy idle=300s ...`: a rule of the session.
    Policy(Vec<Rule>),
    /// `peer ADDR`: where the client is; 192.0.2.7 unless said.
    Peer(IpAddr),
    /// `local ADDR`: where the server is; 192.0.2.1 unless said.
    Local(IpAddr),
    /// `room N`: how many bytes the storage holds, with the files that are there.
    Room(u64),
    /// `fault VERB REASON`: the job of this verb fails, for the reason of this name.
    Fault(Vec<u8>, Reason),
    /// `portable`: also true of other servers.
    Portable,
    /// `client MODE "RETR PATH"`: what twoport's client is asked to do in this conversation.
    Client(Errand),
    /// `foreign`: the server is another one, which does what ours never would.
    Foreign,
    /// `gateway read-only=on ...`: a gateway is between the two, and answers, too.
    Gateway(Vec<Guard>),
}

/// What is so of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// `tls=required`: it logs in under TLS only.
    Tls,
    /// `data-tls=required`: its data are under TLS only.
    DataTls,
    /// `certificate=NAME`: the certificate of this name logs it in.
    Certificate(String),
    /// `enabled=no`: it cannot log in.
    Disabled,
}

/// What a client is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// How it may set up the data connection.
    pub mode: Mode,
    /// The transfer.
    pub command: Command,
    /// `restart=4`: where the transfer begins.
    pub restart: u64,
    /// `size=7`: how long the file is known to be.
    pub size: Option<u64>,
}

/// The modes by name.
const MODES: [(Mode, &str); 5] = [
    (Mode::Auto, "auto"),
    (Mode::Epsv, "epsv"),
    (Mode::Pasv, "pasv"),
    (Mode::Eprt, "eprt"),
    (Mode::Port, "port"),
];

/// A rule of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `idle=300s`.
    Idle(Duration),
    /// `login=60s`.
    Login(Duration),
    /// `session=1h`.
    Session(Duration),
    /// `data=30s`.
    Data(Duration),
    /// `delay=500ms`: of the reply to the first wrong password.
    Delay(Duration),
    /// `attempts=3`: wrong passwords.
    Attempts(u32),
    /// `unknown=10`: unknown commands in a row.
    Unknown(u32),
    /// `listing=1000`: entries of a listing.
    Listing(u32),
    /// `ascii-size=100000`: bytes that are read to find a size in TYPE A.
    AsciiSize(u64),
    /// `active=off`.
    Active(bool),
    /// `foreign=on`: PORT may name others.
    Foreign(bool),
    /// `active-private=use-peer`: a private address in PORT stands for the client's own.
    ActivePrivate(ActivePrivate),
    /// `tls=optional`: whether there is TLS, or must be.
    Tls(Requirement),
    /// `data-tls=required`: the same for data connections.
    DataTls(Requirement),
    /// `clear-commands=on`: CCC is allowed.
    ClearCommands(bool),
}

/// Reads what is behind the `@`.
///
/// # Errors
/// The word that is not understood, or what is missing behind it.
pub fn parse(source: &str) -> Result<Vec<Setup>, String> {
    let mut words = Words::new(source);
    let mut items = Vec::new();
    while let Some(word) = words.next()? {
        items.push(item(&word, &mut words)?);
    }
    Ok(items)
}

fn item(word: &str, words: &mut Words<'_>) -> Result<Setup, String> {
    Ok(match word {
        "user" => {
            let name = words.bytes("the name of the user")?;
            match words.next()?.as_deref() {
                Some("pass") => {}
                _ => return Err("user NAME is followed by: pass PASS".into()),
            }
            let password = words.bytes("the password")?;
            Setup::User { name, password, terms: terms(words)? }
        }
        "anonymous" => Setup::Anonymous,
        "perm" => Setup::Permissions(permissions(&words.word("the permissions")?)?),
        "file" => Setup::File(words.bytes("the path of the file")?, words.content()?),
        "dir" => Setup::Directory(words.bytes("the path of the directory")?),
        "link" => Setup::Link(words.bytes("the path")?, words.bytes("the target of the link")?),
        "modified" => {
            let date = words.word("a date")?;
            let parsed = Timestamp::parse(date.as_bytes());
            Setup::Modified(parsed.ok_or_else(|| format!("{date:?} is not YYYYMMDDHHMMSS"))?)
        }
        "policy" => Setup::Policy(rules(words)?),
        "peer" => Setup::Peer(address(&words.word("the client's address")?)?),
        "local" => Setup::Local(address(&words.word("the server's address")?)?),
        "room" => Setup::Room(number(&words.word("a number of bytes")?)?),
        "fault" => {
            Setup::Fault(words.bytes("a verb")?, reason(&words.word("the name of a reason")?)?)
        }
        "portable" => Setup::Portable,
        "client" => Setup::Client(errand(words)?),
        "foreign" => Setup::Foreign,
        "gateway" => Setup::Gateway(guards(words)?),
        other => return Err(format!("{other:?} sets nothing up")),
    })
}

fn errand(words: &mut Words<'_>) -> Result<Errand, String> {
    let word = words.word("the mode")?;
    let mode = MODES.iter().find(|(_, name)| *name == word).map(|(mode, _)| *mode);
    let mode = mode.ok_or_else(|| format!("{word:?} is no mode"))?;
    let line = words.bytes("the command of the transfer")?;
    let (_, command) = Command::parse(&line).map_err(|error| error.reason.describe())?;
    let mut errand = Errand { mode, command, restart: 0, size: None };
    while let Some((key, value)) = words.assignment()? {
        match key.as_str() {
            "restart" => errand.restart = number(&value)?,
            "size" => errand.size = Some(number(&value)?),
            other => return Err(format!("a client's errand has no {other:?}")),
        }
    }
    Ok(errand)
}

fn terms(words: &mut Words<'_>) -> Result<Vec<Term>, String> {
    let mut terms = Vec::new();
    while let Some((key, value)) = words.assignment()? {
        terms.push(match (key.as_str(), value.as_str()) {
            ("tls", "required") => Term::Tls,
            ("data-tls", "required") => Term::DataTls,
            ("certificate", name) => Term::Certificate(name.into()),
            ("enabled", "no") => Term::Disabled,
            (key, value) => return Err(format!("no account has {key}={value}")),
        });
    }
    Ok(terms)
}

fn permissions(word: &str) -> Result<Vec<Permission>, String> {
    if word == "none" {
        return Ok(Vec::new());
    }
    let named = |name: &str| {
        let found = Permission::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(permission, _)| *permission).ok_or_else(|| format!("no permission {name:?}"))
    };
    word.split(',').map(named).collect()
}

fn rules(words: &mut Words<'_>) -> Result<Vec<Rule>, String> {
    let mut rules = Vec::new();
    while let Some((key, value)) = words.assignment()? {
        let value = value.as_str();
        rules.push(match key.as_str() {
            "idle" => Rule::Idle(duration(value)?),
            "login" => Rule::Login(duration(value)?),
            "session" => Rule::Session(duration(value)?),
            "data" => Rule::Data(duration(value)?),
            "delay" => Rule::Delay(duration(value)?),
            "attempts" => Rule::Attempts(number(value)?),
            "unknown" => Rule::Unknown(number(value)?),
            "listing" => Rule::Listing(number(value)?),
            "ascii-size" => Rule::AsciiSize(number(value)?),
            "active" => Rule::Active(switch(value)?),
            "foreign" => Rule::Foreign(switch(value)?),
            "active-private" => Rule::ActivePrivate(match value {
                "refuse" => ActivePrivate::Refuse,
                "use-peer" => ActivePrivate::UsePeer,
                other => return Err(format!("{other:?} is neither refuse nor use-peer")),
            }),
            "tls" => Rule::Tls(requirement(value)?),
            "data-tls" => Rule::DataTls(requirement(value)?),
            "clear-commands" => Rule::ClearCommands(switch(value)?),
            other => return Err(format!("no rule {other:?}")),
        });
    }
    match rules.is_empty() {
        true => Err("policy needs rules such as idle=300s".into()),
        false => Ok(rules),
    }
}

fn switch(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("{other:?} is neither on nor off")),
    }
}

const REQUIREMENTS: [(Requirement, &str); 3] = [
    (Requirement::Off, "off"),
    (Requirement::Optional, "optional"),
    (Requirement::Required, "required"),
];

fn requirement(word: &str) -> Result<Requirement, String> {
    let found = REQUIREMENTS.iter().find(|(_, known)| *known == word);
    found.map(|(it, _)| *it).ok_or_else(|| format!("{word:?} is not off, optional or required"))
}

fn requirement_word(requirement: Requirement) -> &'static str {
    let found = REQUIREMENTS.iter().find(|(known, _)| *known == requirement);
    found.map_or("", |(_, word)| word)
}

pub(super) fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?} is not a number"))
}

fn address(word: &str) -> Result<IpAddr, String> {
    word.parse().map_err(|_| format!("{word:?} is not an IP address"))
}

/// A reason by its name in logs.
///
/// # Errors
/// There is none of that name.
pub fn reason(id: &str) -> Result<Reason, String> {
    let found = Reason::ALL.iter().find(|reason| reason.id() == id);
    found.copied().ok_or_else(|| format!("no reason is called {id:?}"))
}

/// Reads `500ms`, `30s`, `5m` or `1h`.
///
/// # Errors
/// Anything else.
pub fn duration(word: &str) -> Result<Duration, String> {
    let split = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (digits, unit) = word.split_at_checked(split).unwrap_or((word, ""));
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("{word:?} is not a time such as 500ms, 30s, 5m or 1h")),
    };
    number::<u64>(digits).map(|count| Duration::from_millis(count * milliseconds))
}

/// Writes a time in the largest unit that it is whole in.
#[must_use]
pub fn duration_text(time: Duration) -> String {
    let milliseconds = time.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let unit =
        units.iter().find(|(size, _)| milliseconds > 0 && milliseconds.is_multiple_of(*size));
    match unit {
        // 300s and 60s are what the policy's own words are.
        Some((60_000, _)) if milliseconds <= 300_000 => format!("{}s", milliseconds / 1000),
        Some((size, unit)) => format!("{}{unit}", milliseconds / size),
        None => "0s".into(),
    }
}

/// Bytes as a word of an `@` line.
fn word(bytes: &[u8]) -> String {
    let text = Text::literal_bytes(bytes, Style::Quoted).to_string();
    if text.is_empty() || text.contains(' ') { format!("\"{text}\"") } else { text }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name, password, terms } => {
                write!(f, "user {} pass {}", word(name), word(password))?;
                terms.iter().try_for_each(|term| write!(f, " {term}"))
            }
            Self::Anonymous => f.write_str("anonymous"),
            Self::Permissions(list) => {
                let name = |wanted: &Permission| {
                    let mut all = Permission::ALL.iter();
                    all.find(|(known, _)| known == wanted).map_or("", |(_, name)| name)
                };
                let names: Vec<&str> = list.iter().map(name).collect();
                write!(f, "perm {}", if names.is_empty() { "none".into() } else { names.join(",") })
            }
            Self::File(path, content) => match content.to_string() {
                text if text.starts_with("repeat(") => write!(f, "file {} {text}", word(path)),
                text => write!(f, "file {} \"{text}\"", word(path)),
            },
            Self::Directory(path) => write!(f, "dir {}", word(path)),
            Self::Link(path, target) => write!(f, "link {} {}", word(path), word(target)),
            Self::Modified(date) => write!(f, "modified {date}"),
            Self::Policy(rules) => {
                f.write_str("policy")?;
                rules.iter().try_for_each(|rule| write!(f, " {rule}"))
            }
            Self::Peer(address) => write!(f, "peer {address}"),
            Self::Local(address) => write!(f, "local {address}"),
            Self::Room(bytes) => write!(f, "room {bytes}"),
            Self::Fault(verb, reason) => write!(f, "fault {} {reason}", word(verb)),
            Self::Portable => f.write_str("portable"),
            Self::Client(errand) => write!(f, "client {errand}"),
            Self::Foreign => f.write_str("foreign"),
            Self::Gateway(guards) => {
                f.write_str("gateway")?;
                guards.iter().try_for_each(|guard| write!(f, " {guard}"))
            }
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls => f.write_str("tls=required"),
            Self::DataTls => f.write_str("data-tls=required"),
            Self::Certificate(name) => write!(f, "certificate={name}"),
            Self::Disabled => f.write_str("enabled=no"),
        }
    }
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = MODES.iter().find(|(mode, _)| *mode == self.mode).map_or("", |(_, name)| name);
        let mut line = Vec::new();
        let encoded = self.command.encode(&mut line);
        let line = line.strip_suffix(b"\r\n").filter(|_| encoded.is_ok()).unwrap_or_default();
        write!(f, "{mode} {}", word(line))?;
        if self.restart > 0 {
            write!(f, " restart={}", self.restart)?;
        }
        match self.size {
            Some(size) => write!(f, " size={size}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let switch = |on: bool| if on { "on" } else { "off" };
        match self {
            Self::Idle(time) => write!(f, "idle={}", duration_text(*time)),
            Self::Login(time) => write!(f, "login={}", duration_text(*time)),
            Self::Session(time) => write!(f, "session={}", duration_text(*time)),
            Self::Data(time) => write!(f, "data={}", duration_text(*time)),
            Self::Delay(time) => write!(f, "delay={}", duration_text(*time)),
            Self::Attempts(count) => write!(f, "attempts={count}"),
            Self::Unknown(count) => write!(f, "unknown={count}"),
            Self::Listing(count) => write!(f, "listing={count}"),
            Self::AsciiSize(bytes) => write!(f, "ascii-size={bytes}"),
            Self::Active(on) => write!(f, "active={}", switch(*on)),
            Self::Foreign(on) => write!(f, "foreign={}", switch(*on)),
            Self::ActivePrivate(ActivePrivate::Refuse) => f.write_str("active-private=refuse"),
            Self::ActivePrivate(ActivePrivate::UsePeer) => f.write_str("active-private=use-peer"),
            Self::Tls(requirement) => write!(f, "tls={}", requirement_word(*requirement)),
            Self::DataTls(requirement) => write!(f, "data-tls={}", requirement_word(*requirement)),
            Self::ClearCommands(on) => write!(f, "clear-commands={}", switch(*on)),
        }
    }
}
