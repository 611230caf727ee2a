//! The player: a session file is performed on a stage, line by line, and compared.
//!
//! What a line makes happen is the stage's matter: a machine, or real sockets.

pub mod client;
pub mod codec;
pub mod conversation;
pub mod corpus;
pub mod files;
pub(crate) mod ledger;
pub mod machine;
pub mod manual;
pub mod relay;
pub mod sockets;

use std::fmt;

use crate::script::{Captures, Event, Far, Line, Says, Script, Setup, Text, Wire};

/// What goes wrong on a stage, in words. The player adds file and line.
pub type Step<T = ()> = Result<T, String>;

/// Where a session is performed: the server and all that surrounds it.
pub trait Stage {
    /// The client sends bytes on the control connection.
    ///
    /// # Errors
    /// They cannot be sent.
    fn say(&mut self, bytes: &[u8]) -> Step;

    /// The client has logged in: some hosts keep the files in a directory of their own.
    ///
    /// # Errors
    /// It cannot be entered.
    fn logged_in(&mut self) -> Step {
        Ok(())
    }

    /// The next line from the server, without CRLF.
    ///
    /// # Errors
    /// None comes.
    fn line(&mut self) -> Step<Vec<u8>>;

    /// The last line of either peer as it was seen beyond a gateway, if there is one that changes
    /// addresses.
    fn beyond(&self) -> Option<&[u8]> {
        None
    }

    /// The client sends bytes on the data connection.
    ///
    /// # Errors
    /// There is none, or it was closed.
    fn upload(&mut self, bytes: &[u8]) -> Step;

    /// The next bytes of the data connection: `length` of them, or fewer at its end.
    ///
    /// # Errors
    /// There is no data connection.
    fn download(&mut self, length: usize) -> Step<Vec<u8>>;

    /// Something happens off the wire.
    ///
    /// # Errors
    /// It cannot, or what is claimed is not so.
    fn event(&mut self, event: &Event, captures: &Captures) -> Step;

    /// A decision was noted that begins with these words.
    ///
    /// # Errors
    /// It was not.
    fn note(&mut self, words: &str) -> Step;

    /// The conversation is over: nothing is left unread.
    ///
    /// # Errors
    /// What is left.
    fn finish(&mut self) -> Step;
}

/// A line that was not as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What the line says.
    pub says: String,
    /// What was found instead.
    pub found: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}\n  wanted  {}\n  found   {}", self.file, self.line, self.says, self.found)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// At a line of a script.
    #[must_use]
    pub fn at(script: &Script, line: &Line, found: impl Into<String>) -> Self {
        let says = line.to_string();
        Self { file: script.file.clone(), line: line.number, says, found: found.into() }
    }
}

/// Performs a script.
///
/// # Errors
/// The first line that is not as the file has it.
pub fn play(script: &Script, stage: &mut dyn Stage) -> Result<(), Failure> {
    let (captures, said) = (Captures::new(), Vec::new());
    let mut player = Player { script, stage, captures, said, skip: false };
    for line in &script.lines {
        player.line(&line.says).map_err(|found| Failure::at(script, line, found))?;
    }
    let end = Line { number: script.lines.len(), says: Says::Blank, comment: None };
    let finished = player.send().and_then(|()| player.stage.finish());
    finished.map_err(|found| Failure { says: "the end".into(), ..Failure::at(script, &end, found) })
}

struct Player<'a> {
    script: &'a Script,
    stage: &'a mut dyn Stage,
    captures: Captures,
    /// What the client says before it next listens: commands behind each other go out together.
    said: Vec<u8>,
    /// Whether lines of a reply may be passed over.
    skip: bool,
}

impl Player<'_> {
    fn line(&mut self, says: &Says) -> Step {
        if let Says::Client(text, ends) = says {
            self.said.extend(text.fill(&self.captures)?);
            self.said.extend_from_slice(if *ends { b"\r\n" } else { b"" });
            return Ok(());
        }
        match says {
            Says::Blank | Says::Prose(_) | Says::Setup(_) => return Ok(()),
            Says::Beyond(Far::Reply(_)) => {}
            _ => self.send()?,
        }
        match says {
            Says::Server(Wire::Bodies) => {
                self.skip = true;
                Ok(())
            }
            Says::Server(wire) => self.reply(wire),
            Says::Beyond(far) => self.beyond(far),
            Says::Upload(text) => self.stage.upload(&text.fill(&self.captures)?),
            Says::Download(text) => self.download(text),
            Says::Event(Event::LogsIn(name)) => self.log_in(name),
            Says::Event(event) => self.stage.event(event, &self.captures),
            // What the client decides is not the server's to know.
            Says::Note(words) if words.starts_with("client ") => Ok(()),
            Says::Note(words) => self.stage.note(words),
            _ => Ok(()),
        }
    }

    /// The greeting, USER and PASS with their replies.
    fn log_in(&mut self, name: &str) -> Step {
        let mut users = self.script.setup();
        let password = users.find_map(|item| match item {
            Setup::User { name: known, password, .. } if known == name.as_bytes() => Some(password),
            _ => None,
        });
        let password = password.ok_or_else(|| format!("no user {name:?} is set up"))?;
        self.code(&["220"])?;
        self.stage.say(format!("USER {name}\r\n").as_bytes())?;
        // Some servers want no password.
        if self.code(&["331", "230"])? == "331" {
            self.stage.say(&[b"PASS ", &password[..], b"\r\n"].concat())?;
            self.code(&["230"])?;
        }
        self.stage.logged_in()
    }

    /// A reply with one of these codes: which.
    fn code(&mut self, codes: &[&'static str]) -> Step<&'static str> {
        let line = self.stage.line()?;
        let found = codes.iter().find(|code| line.starts_with(code.as_bytes()));
        found.copied().ok_or_else(|| show(&line))
    }

    fn send(&mut self) -> Step {
        match std::mem::take(&mut self.said) {
            said if said.is_empty() => Ok(()),
            said => self.stage.say(&said),
        }
    }

    fn reply(&mut self, wire: &Wire) -> Step {
        loop {
            let line = self.stage.line()?;
            let fits = fits(wire, &line, &mut self.captures);
            let may_skip = self.skip && line.first() == Some(&b' ');
            if fits || !may_skip {
                self.skip = false;
                return if fits { Ok(()) } else { Err(show(&line)) };
            }
        }
    }

    fn beyond(&mut self, far: &Far) -> Step {
        let Some(line) = self.stage.beyond() else { return Ok(()) };
        let fits = match far {
            Far::Reply(wire) => fits(wire, line, &mut self.captures),
            Far::Command(text) => text.matches(line, &mut self.captures),
        };
        if fits { Ok(()) } else { Err(show(line)) }
    }

    /// A text with captures is one line of the data; any other is compared byte by byte.
    fn download(&mut self, text: &Text) -> Step {
        if let Ok(wanted) = text.fill(&self.captures) {
            let found = self.stage.download(wanted.len())?;
            return if found == wanted { Ok(()) } else { Err(difference(&wanted, &found)) };
        }
        let mut found = Vec::new();
        while !found.ends_with(b"\n") {
            match self.stage.download(1)?.as_slice() {
                [] => break,
                byte => found.extend_from_slice(byte),
            }
        }
        if text.matches(&found, &mut self.captures) { Ok(()) } else { Err(show(&found)) }
    }
}

/// Whether a line from the server is the one in the file.
fn fits(wire: &Wire, line: &[u8], captures: &mut Captures) -> bool {
    let (start, text) = match wire {
        Wire::First(code, text) => (format!("{code}-"), text),
        Wire::Last(code, text) => (format!("{code} "), text),
        Wire::Body(text) => (" ".into(), text),
        Wire::Bodies => return false,
    };
    line.strip_prefix(start.as_bytes()).is_some_and(|rest| text.matches(rest, captures))
}

/// Bytes as a session file would write them, cut where they are long.
fn show(bytes: &[u8]) -> String {
    const SHOWN: usize = 400;
    let text = Text::literal_bytes(bytes.get(..SHOWN).unwrap_or(bytes), Default::default());
    let rest = bytes.len().saturating_sub(SHOWN);
    if rest > 0 { format!("{text} and {rest} bytes more") } else { text.to_string() }
}

/// Where data differ. A short piece is shown whole.
fn difference(wanted: &[u8], found: &[u8]) -> String {
    const SHORT: usize = 400;
    if found.len() <= SHORT {
        return format!("{} ({} bytes)", show(found), found.len());
    }
    let same = wanted.iter().zip(found).take_while(|(wanted, found)| wanted == found).count();
    let rest = found.get(same..).unwrap_or_default();
    let piece = show(rest.get(..40).unwrap_or(rest));
    format!("{} bytes, the first {same} as wanted, then {piece}", found.len())
}
