//! Directory listings: fetched by MLSD or LIST, read where they can be, kept raw where not.
//!
//! It sorts nothing and follows no link.

use std::io::Write as _;

use serde_json::{Value, json};

use twoport_net::clock;
use twoport_net::pump::Progress;
use twoport_proto::client::open::Mode;
use twoport_proto::client::transfer::{Direction, Verdict};
use twoport_proto::code::{Class as ReplyClass, Code};
use twoport_proto::command::{self, Command, Representation};
use twoport_proto::list::{Entry, Kind, Precision, parse_line};
use twoport_proto::path::FtpPath;
use twoport_proto::reason::Reason;
use twoport_proto::reply::Reply;
use twoport_proto::text::{Escaped, escape};
use twoport_proto::time::{Civil, Timestamp};

use crate::data::{Job, Moved, Receive};
use crate::error::{Class, Error};
use crate::local::Memory;
use crate::session::Session;

/// Where a listing comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// MLSD (RFC 3659 §7): exact.
    Mlsd,
    /// LIST: for people; dates may lack their zone and their seconds.
    List,
    /// STAT over the control connection (RFC 959 §4.1.3): what LIST would say.
    Stat,
    /// MLST over the control connection (RFC 3659 §7): a single file.
    Mlst,
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// How it was asked for.
    pub source: Source,
    /// The entries but the directory itself and the one above it, in the server's order.
    pub entries: Vec<Entry<'static>>,
    /// The lines that are in no known format, as they came.
    pub raw: Vec<Vec<u8>>,
    /// Why it came over the control connection, where no mode gave a data connection.
    pub without_data: Option<String>,
}

impl Session {
    /// Lists a directory, or the log-in directory. A path that is a file is listed as one entry by
    /// most servers.
    ///
    /// # Errors
    /// The server refused, or the transfer failed. An empty directory is no error, in whichever way
    /// the server says it.
    pub async fn list(&mut self, path: Option<&FtpPath>) -> Result<Listing, Error> {
        match self.list_by_data(path).await {
            // Who asked for one mode wants to know of that mode.
            Err(error) if error.class() == Class::NoData && self.config.mode == Mode::Auto => {
                self.list_by_control(path, error).await
            }
            listed => listed,
        }
    }

    /// The last resort: replies that carry a listing themselves. A server that has none leaves the
    /// error as it was.
    async fn list_by_control(
        &mut self,
        path: Option<&FtpPath>,
        error: Error,
    ) -> Result<Listing, Error> {
        let here = || FtpPath::from(&b"."[..]);
        let place = path.map_or_else(here, harmless);
        let read = |source, reply: Reply| {
            let inner = reply.lines().len().saturating_sub(2);
            let lines: Vec<&[u8]> = reply.lines().skip(1).take(inner).collect();
            let mut listing = parse(source, &lines.join(&b'\n'));
            // A reply's own prose is no entry that could not be read.
            listing.raw.clear();
            listing.without_data = Some(error.to_string());
            let found = reply.code.class() == ReplyClass::Completion && inner > 0;
            found.then_some(listing)
        };
        let reply = self.command(&Command::Stat(Some(place.clone()))).await?;
        if let Some(listing) = read(Source::Stat, reply) {
            return Ok(listing);
        }
        let reply = self.command(&Command::Mlst(Some(place))).await?;
        match read(Source::Mlst, reply).filter(|listing| !listing.entries.is_empty()) {
            Some(listing) => Ok(listing),
            None => Err(error),
        }
    }

    async fn list_by_data(&mut self, path: Option<&FtpPath>) -> Result<Listing, Error> {
        if self.knows.mlsd {
            let moved = self.fetch(Command::Mlsd(path.cloned())).await?;
            let refusal = moved.outcome.reply.as_ref().map(|reply| reply.code);
            self.knows.mlsd &=
                !matches!(refusal, Some(Code::UNKNOWN_COMMAND | Code::NOT_IMPLEMENTED));
            // Refused for a path that is a file, or by a server that lists MLST and lacks MLSD.
            if !matches!(moved.outcome.verdict, Verdict::Refused(Reason::ControlRefused)) {
                return self.read(Source::Mlsd, path, moved).await;
            }
        }
        let literal = path.map(harmless);
        let list = command::Listing { literal, ..command::Listing::default() };
        // RFC 959 §4.1.3: text, and some systems convert names and line ends only in TYPE A.
        self.set_type(Representation::Ascii).await?;
        let moved = self.fetch(Command::List(list)).await?;
        self.read(Source::List, path, moved).await
    }

    async fn fetch(&mut self, command: Command) -> Result<Moved<Memory>, Error> {
        let limit = self.config.listing_limit;
        let job = Job {
            command,
            direction: Direction::Listing,
            restart: 0,
            size: None,
            progress: Progress::default(),
        };
        self.transfer(&job, move || Ok(Receive(Memory { bytes: Vec::new(), limit }))).await
    }

    async fn read(
        &mut self,
        source: Source,
        path: Option<&FtpPath>,
        moved: Moved<Memory>,
    ) -> Result<Listing, Error> {
        let subject = || path.map_or_else(|| "listing".to_owned(), |path| escape(&path.0));
        if let Some(error) = moved.local {
            return Err(Error::local(subject(), error));
        }
        let bytes = moved.back.map(|memory| memory.bytes).unwrap_or_default();
        match moved.outcome.verdict {
            Verdict::Confirmed | Verdict::Unconfirmed(_) => Ok(parse(source, &bytes)),
            Verdict::Truncated(reason) => Err(Error::new(Class::Truncated, subject())
                .because(reason)
                .answered(moved.outcome.reply)),
            Verdict::Refused(reason) => {
                let code = moved.outcome.reply.as_ref().map(|reply| reply.code);
                let perhaps = matches!(code, Some(Code::FILE_BUSY | Code::UNAVAILABLE));
                let empty = match path {
                    _ if !perhaps => false,
                    None => true,
                    Some(path) => self.is_directory(path).await?,
                };
                if empty {
                    return Ok(parse(source, b""));
                }
                Err(Error::why(subject(), reason, moved.outcome.reply))
            }
        }
    }
}

/// A name that begins like an option of `ls` would be taken for one.
fn harmless(path: &FtpPath) -> FtpPath {
    if path.0.starts_with(b"-") {
        FtpPath([b"./", &path.0[..]].concat().into())
    } else {
        path.clone()
    }
}

fn parse(source: Source, bytes: &[u8]) -> Listing {
    let now = clock::today();
    let (entries, raw) = (Vec::new(), Vec::new());
    let mut listing = Listing { source, entries, raw, without_data: None };
    for line in bytes.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Lines of a reply may be set off from its own (RFC 3659 §7.2 has one blank).
        let line = match source {
            Source::Stat | Source::Mlst => line.trim_ascii_start(),
            Source::Mlsd | Source::List => line,
        };
        match parse_line(line, now) {
            Some(entry) if is_self(&entry) => {}
            Some(entry) => listing.entries.push(entry.into_owned()),
            None if line.is_empty() || line.starts_with(b"total ") => {}
            None => listing.raw.push(line.to_vec()),
        }
    }
    listing
}

fn is_self(entry: &Entry<'_>) -> bool {
    matches!(entry.kind, Kind::Current | Kind::Parent) || matches!(&*entry.name, b"." | b"..")
}

impl Listing {
    /// The names, one a line, escaped; raw lines as they came, escaped.
    #[must_use]
    pub fn names(&self) -> String {
        let names = self.entries.iter().map(|entry| &*entry.name);
        let lines = names.chain(self.raw.iter().map(Vec::as_slice));
        lines.map(|line| format!("{}\n", Escaped(line))).collect()
    }

    /// A table: kind, mode, owner, size, date in UTC as far as it is known, name.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows: Vec<[String; 5]> = self.entries.iter().map(row).collect();
        rows.extend(
            self.raw
                .iter()
                .map(|line| {
                    ["?", "", "", ""]
                        .map(str::to_owned)
                        .into_iter()
                        .chain([escape(line)])
                        .collect::<Vec<_>>()
                })
                .filter_map(|row| row.try_into().ok()),
        );
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: [usize; 4] = [0, 1, 2, 3].map(|column| width(column).unwrap_or(0));
        let mut out = Vec::new();
        for [kind, owner, size, date, name] in &rows {
            let [a, b, c, d] = widths;
            let written = writeln!(out, "{kind:a$}  {owner:b$}  {size:>c$}  {date:d$}  {name}");
            debug_assert!(written.is_ok(), "a vector takes every byte");
        }
        String::from_utf8(out).unwrap_or_default()
    }

    /// The entries as JSON. A name that is no UTF-8 is escaped, and its bytes stand beside it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let entries: Vec<Value> = self.entries.iter().map(object).collect();
        let raw: Vec<String> = self.raw.iter().map(|line| escape(line)).collect();
        let source = match self.source {
            Source::Mlsd => "mlsd",
            Source::List => "list",
            Source::Stat => "stat",
            Source::Mlst => "mlst",
        };
        let without_data = &self.without_data;
        json!({ "source": source, "entries": entries, "raw": raw, "without_data": without_data })
    }
}

fn row(entry: &Entry<'_>) -> [String; 5] {
    let mode = entry.mode.map_or_else(String::new, |mode| format!("{mode:04o}"));
    let owner = entry.owner.as_ref().map(|name| escape(name));
    let owner = owner.or_else(|| entry.uid.map(|uid| uid.to_string())).unwrap_or_default();
    let size = entry.size.map_or_else(String::new, |size| size.to_string());
    let date = entry.modified.map_or_else(String::new, |date| show(date, entry.precision, ' '));
    let target = match &entry.kind {
        Kind::Link { target: Some(target) } => format!(" -> {}", Escaped(target)),
        _ => String::new(),
    };
    let kind = format!("{} {mode}", kind(&entry.kind)).trim_end().to_owned();
    [kind, owner, size, date, format!("{}{target}", Escaped(&entry.name))]
}

fn object(entry: &Entry<'_>) -> Value {
    let mut object = json!({ "name": escape(&entry.name), "kind": kind(&entry.kind) });
    let mut set = |key: &str, value: Value| {
        if let Value::Object(map) = &mut object {
            map.insert(key.to_owned(), value);
        }
    };
    if std::str::from_utf8(&entry.name).is_err() {
        set("name_bytes", json!(&*entry.name));
    }
    if let Some(size) = entry.size {
        set("size", json!(size));
    }
    if let Some(date) = entry.modified {
        set("modified", json!(format!("{}Z", show(date, Precision::Second, 'T'))));
        set("precision", json!(precision(entry.precision)));
    }
    if let Some(mode) = entry.mode {
        set("mode", json!(format!("{mode:04o}")));
    }
    if let Some(owner) = &entry.owner {
        set("owner", json!(escape(owner)));
    }
    if let Some(group) = &entry.group {
        set("group", json!(escape(group)));
    }
    if let Kind::Link { target: Some(target) } = &entry.kind {
        set("target", json!(escape(target)));
    }
    object
}

const fn kind(kind: &Kind<'_>) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory | Kind::Current | Kind::Parent => "directory",
        Kind::Link { .. } => "link",
        Kind::Other(_) => "other",
    }
}

const fn precision(precision: Precision) -> &'static str {
    match precision {
        Precision::Day => "day",
        Precision::Minute => "minute",
        Precision::Second => "second",
    }
}

fn show(date: Timestamp, precision: Precision, between: char) -> String {
    let Civil { year, month, day, hour, minute, second } = date.civil();
    let day = format!("{year:04}-{month:02}-{day:02}");
    match precision {
        Precision::Day => day,
        Precision::Minute => format!("{day}{between}{hour:02}:{minute:02}"),
        Precision::Second => format!("{day}{between}{hour:02}:{minute:02}:{second:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_unix_and_what_cannot_be_read() {
        let bytes = b"total 3\r\ntype=cdir;modify=20260101000000; .\r\n\
            type=file;size=7;modify=20261122134048; a b\r\n\
            -rw-r--r-- 1 ann users 5 Nov 22 13:40 c\nwhat is this\r\n\r\n";
        let listing = parse(Source::List, bytes);
        let names: Vec<_> = listing.entries.iter().map(|e| e.name.to_vec()).collect();
        assert_eq!(names, [b"a b".to_vec(), b"c".to_vec()]);
        assert_eq!(listing.raw, [b"what is this".to_vec()]);
        assert_eq!(listing.names(), "a b\nc\nwhat is this\n");
        let table = listing.table();
        assert!(table.contains("7  2026-11-22 13:40:48  a b\n"), "{table}");
        let json = listing.to_json();
        assert_eq!(json["entries"][0]["size"], 7);
        assert_eq!(json["entries"][0]["modified"], "2026-11-22T13:40:48Z");
        assert_eq!(json["entries"][1]["owner"], "ann");
    }
}
