//! The language of `sessions/`: a conversation in a file, read and written.
//!
//! It plays nothing: see [`player`](crate::player). A file is lines, each marked by its beginning:
//!
//! ```text
//! # RFC 959 §5.4: a file is retrieved.      prose; the first line is the title
//! @ user ann pass secret   dir /pub         what is so before it begins
//! C: USER ann                               the client's line; CRLF implied, a final \ leaves it out
//! S: 331 *                                  the server's; the code is literal, * is any text
//! S: 211-*                                  a reply of many lines:
//!  EPSV                                       a line of its body, blank and all
//!  ...                                        any number of lines
//! S: 211 *                                    its end
//! S: 229 * (|||{port}|)                     {port} is captured here and stands for it later
//! ! client connects {port}                  what happens off the control connection
//! D< hello\r\n                              data to the client; nothing implied
//! D> repeat("x", 100000)                    data to the server
//! N: complete Retrieve bytes=7              a decision of the server: not on the wire
//! N: client confirmed bytes=7               and one of twoport's client
//! => 229 * (|||{outside}|)                  the line above, the server's or the client's, beyond a gateway
//! ```
//!
//! `\r \n \t \\ \" \xNN` are escapes. Behind `@`, `!`, `N:` and `=>`, two blanks and a `#` begin a comment.

pub mod event;
pub mod guard;
mod read;
pub mod setup;
pub mod text;
mod words;

use std::fmt;

use twoport_proto::code::Code;

pub use self::event::Event;
pub use self::guard::Guard;
pub use self::setup::{Errand, Rule, Setup, Term};
pub use self::text::{Captures, Text};

/// A line as it is seen on the far side of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Far {
    /// The server's, as the client sees it.
    Reply(Wire),
    /// The client's, as the server sees it.
    Command(Text),
}

/// A session file.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file, as messages name it.
    pub file: String,
    /// Its lines, from the first.
    pub lines: Vec<Line>,
}

/// A line of a session file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// What it says.
    pub says: Says,
    /// The comment behind it.
    pub comment: Option<String>,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// An empty line, to set parts of the conversation apart.
    Blank,
    /// `#`.
    Prose(String),
    /// `@`.
    Setup(Vec<Setup>),
    /// `C:`, and whether CRLF follows.
    Client(Text, bool),
    /// `S:`, or a line of a reply's body.
    Server(Wire),
    /// `D<`: data to the client.
    Download(Text),
    /// `D>`: data to the server.
    Upload(Text),
    /// `!`.
    Event(Event),
    /// `=>`.
    Beyond(Far),
    /// `N:`; the client's begin with `client`.
    Note(String),
}

/// A line of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `211-text`: the first of many lines.
    First(Code, Text),
    /// ` text`: one between the first and the last, its blank included.
    Body(Text),
    /// ` ...`: any number of such lines.
    Bodies,
    /// `211 text`: the only line, or the last.
    Last(Code, Text),
}

/// What is wrong with a session file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl Script {
    /// Reads a session file.
    ///
    /// # Errors
    /// The first line that is not understood.
    pub fn parse(file: &str, source: &str) -> Result<Self, ScriptError> {
        read::script(file, source)
    }

    /// The first line: what the file shows.
    #[must_use]
    pub fn title(&self) -> &str {
        match self.lines.first().map(|line| &line.says) {
            Some(Says::Prose(title)) => title,
            _ => "",
        }
    }

    /// All that is set up, in order.
    pub fn setup(&self) -> impl Iterator<Item = &Setup> {
        let setups = self.lines.iter().filter_map(|line| match &line.says {
            Says::Setup(items) => Some(items),
            _ => None,
        });
        setups.flatten()
    }

    /// Whether the server in it is another one than ours.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.setup().any(|item| *item == Setup::Foreign)
    }

    /// The rules of the gateway that answers in it, if one does.
    #[must_use]
    pub fn gateway(&self) -> Option<&[Guard]> {
        self.setup().find_map(|item| match item {
            Setup::Gateway(guards) => Some(guards.as_slice()),
            _ => None,
        })
    }

    /// What the client is asked to do, if it is twoport's.
    #[must_use]
    pub fn errand(&self) -> Option<&Errand> {
        self.setup().find_map(|item| match item {
            Setup::Client(errand) => Some(errand),
            _ => None,
        })
    }

    /// All that happens off the wire.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.lines.iter().filter_map(|line| match &line.says {
            Says::Event(event) => Some(event),
            _ => None,
        })
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.says {
            Says::Blank => Ok(()),
            Says::Prose(text) if text.is_empty() => f.write_str("#"),
            Says::Prose(text) => write!(f, "# {text}"),
            Says::Setup(items) => {
                let items: Vec<String> = items.iter().map(Setup::to_string).collect();
                write!(f, "@ {}", items.join("   "))
            }
            Says::Client(text, true) if *text == Text::default() => f.write_str("C:"),
            Says::Client(text, true) => write!(f, "C: {text}"),
            Says::Client(text, false) => write!(f, "C: {text}\\"),
            Says::Server(wire @ (Wire::Body(_) | Wire::Bodies)) => write!(f, "{wire}"),
            Says::Server(wire) => write!(f, "S: {wire}"),
            Says::Download(text) => write!(f, "D< {text}"),
            Says::Upload(text) => write!(f, "D> {text}"),
            Says::Event(event) => write!(f, "! {event}"),
            Says::Beyond(Far::Reply(wire)) => write!(f, "=> {wire}"),
            Says::Beyond(Far::Command(text)) => write!(f, "=> {text}"),
            Says::Note(text) => write!(f, "N: {text}"),
        }?;
        match &self.comment {
            Some(comment) => write!(f, "  # {comment}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(code, text) => write!(f, "{code}-{text}"),
            Self::Body(text) => write!(f, " {text}"),
            Self::Bodies => f.write_str(" ..."),
            Self::Last(code, text) => write!(f, "{code} {text}"),
        }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

impl std::error::Error for ScriptError {}

#[cfg(test)]
mod tests;
