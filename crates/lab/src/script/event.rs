//! `!` lines: what happens off the control connection.
//!
//! A phrase each; what makes it happen is the player's matter.

use std::fmt;
use std::time::Duration;

use twoport_proto::reason::Reason;

use super::setup::{duration, duration_text, reason};
use super::text::{Style, Text};

/// Something that happens off the wire of the control connection, or is checked there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `ann logs in`: the greeting, USER, PASS and their replies, with the password set up.
    LogsIn(String),
    /// `client connects {port}`: to the passive port.
    ClientConnects(Text),
    /// `stranger connects {port}`: somebody from another address does.
    StrangerConnects(Text),
    /// `server connects`: the client's data port answers.
    ServerConnects,
    /// `connect refused`: the client's data port does not.
    ConnectRefused,
    /// `connect unreachable`: there is no way to the client's data port.
    ConnectUnreachable,
    /// `client closes data`: the end of an upload.
    ClientClosesData,
    /// `data reset`: the client breaks the data connection.
    DataReset,
    /// `data closed by server`: the end of a download, or of all else.
    DataClosedByServer,
    /// `transfer fails REASON`: the storage or the network breaks the transfer.
    TransferFails(Reason),
    /// `client closes control`.
    ClientClosesControl,
    /// `control closed by server`: behind the last reply.
    ControlClosedByServer,
    /// `wait 300s`.
    Wait(Duration),
    /// `silence`: no reply waits to be read.
    Silence,
    /// `tls begins`: the handshake that the server waits for is done.
    TlsBegins,
    /// `tls begins with NAME`: the same, and the client has shown the certificate of this name.
    TlsBeginsWith(String),
    /// `tls fails REASON`: it is not.
    TlsFails(Reason),
    /// `server stops`: an administrator asks it to, and transfers may finish.
    ServerStops,
    /// `server ends`: its patience with them is over.
    ServerEnds,
    /// `stored PATH "CONTENT"`: a file has this content now.
    Stored(Text, Text),
    /// `absent PATH`: there is no such file now.
    Absent(Text),
}

/// The events that have no argument, with their phrases.
const PHRASES: [(Event, &str); 12] = [
    (Event::TlsBegins, "tls begins"),
    (Event::ServerConnects, "server connects"),
    (Event::ConnectRefused, "connect refused"),
    (Event::ConnectUnreachable, "connect unreachable"),
    (Event::ClientClosesData, "client closes data"),
    (Event::DataReset, "data reset"),
    (Event::DataClosedByServer, "data closed by server"),
    (Event::ClientClosesControl, "client closes control"),
    (Event::ControlClosedByServer, "control closed by server"),
    (Event::Silence, "silence"),
    (Event::ServerStops, "server stops"),
    (Event::ServerEnds, "server ends"),
];

impl Event {
    /// Reads what is behind the `!`.
    ///
    /// # Errors
    /// A phrase that nobody knows, or an argument that is none.
    pub fn parse(source: &str) -> Result<Self, String> {
        let source = source.trim();
        if let Some((event, _)) = PHRASES.iter().find(|(_, phrase)| *phrase == source) {
            return Ok(event.clone());
        }
        let sent = |text| Text::parse(text, Style::Sent);
        if let Some(port) = source.strip_prefix("client connects ") {
            sent(port).map(Self::ClientConnects)
        } else if let Some(port) = source.strip_prefix("stranger connects ") {
            sent(port).map(Self::StrangerConnects)
        } else if let Some(name) = source.strip_suffix(" logs in") {
            Ok(Self::LogsIn(name.into()))
        } else if let Some(id) = source.strip_prefix("transfer fails ") {
            reason(id).map(Self::TransferFails)
        } else if let Some(id) = source.strip_prefix("tls fails ") {
            reason(id).map(Self::TlsFails)
        } else if let Some(name) = source.strip_prefix("tls begins with ") {
            Ok(Self::TlsBeginsWith(name.into()))
        } else if let Some(time) = source.strip_prefix("wait ") {
            duration(time).map(Self::Wait)
        } else if let Some(path) = source.strip_prefix("absent ") {
            sent(path).map(Self::Absent)
        } else if let Some(file) = source.strip_prefix("stored ") {
            stored(file)
        } else {
            Err(format!("{source:?} is no event"))
        }
    }
}

fn stored(file: &str) -> Result<Event, String> {
    let (path, content) = file.split_once(' ').unwrap_or((file, ""));
    let content = match content.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(quoted) => Text::parse(quoted, Style::Quoted)?,
        None if content.starts_with("repeat(") => Text::parse(content, Style::Sent)?,
        None => return Err("stored PATH is followed by the content between quotes".into()),
    };
    Ok(Event::Stored(Text::parse(path, Style::Sent)?, content))
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogsIn(name) => write!(f, "{name} logs in"),
            Self::ClientConnects(port) => write!(f, "client connects {port}"),
            Self::StrangerConnects(port) => write!(f, "stranger connects {port}"),
            Self::TransferFails(reason) => write!(f, "transfer fails {reason}"),
            Self::TlsFails(reason) => write!(f, "tls fails {reason}"),
            Self::TlsBeginsWith(name) => write!(f, "tls begins with {name}"),
            Self::Wait(time) => write!(f, "wait {}", duration_text(*time)),
            Self::Absent(path) => write!(f, "absent {path}"),
            Self::Stored(path, content) => match content.to_string() {
                text if text.starts_with("repeat(") => write!(f, "stored {path} {text}"),
                text => write!(f, "stored {path} \"{text}\""),
            },
            event => {
                let phrase = PHRASES.iter().find(|(known, _)| known == event);
                f.write_str(phrase.map_or("", |(_, phrase)| phrase))
            }
        }
    }
}
