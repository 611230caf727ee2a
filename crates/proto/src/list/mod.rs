//! Directory listings: one entry, as the server writes it on a line and as the client reads it.
//!
//! It reads no directory, sorts nothing and follows no link. A line it cannot read is `None`, and a
//! client shows such a line as it came.
//!
//! Formats: [`facts`] (MLSD, MLST), [`unix`] (LIST as `ls -l`), [`names`] (NLST). Other systems' LIST
//! lines become sibling modules and one more branch of [`parse_line`].

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::time::Timestamp;

mod date;
mod fact_set;
pub mod facts;
pub mod names;
mod perm;
#[cfg(test)]
mod tests;
pub mod unix;

pub use perm::Perm;

/// One file, directory or link of a listing.
///
/// Both sides use it. The server fills it with borrowed names, so that writing a hundred thousand
/// lines allocates nothing per line; the client reads it borrowed from the line, and keeps it with
/// [`Entry::into_owned`]. `None` means that the format did not say, or that the server will not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name below its directory; for MLST the whole path. Bytes as on the wire.
    pub name: Cow<'a, [u8]>,
    /// What it is.
    pub kind: Kind<'a>,
    /// The size in bytes. For a directory it means nothing that two systems agree on.
    pub size: Option<u64>,
    /// When the content last changed. UTC where a format says so, else the server's zone unknown.
    pub modified: Option<Timestamp>,
    /// How exactly `modified` is known. The writers do not look at it.
    pub precision: Precision,
    /// The permission bits, `0o7777` at most: no file type.
    pub mode: Option<u32>,
    /// How many names (hard links) it has.
    pub links: Option<u64>,
    /// The owner's name.
    pub owner: Option<Cow<'a, [u8]>>,
    /// The group's name.
    pub group: Option<Cow<'a, [u8]>>,
    /// The owner's number.
    pub uid: Option<u32>,
    /// The group's number.
    pub gid: Option<u32>,
    /// Device and inode: two entries with the same pair are one file.
    pub unique: Option<(u64, u64)>,
    /// What this user may do with it.
    pub perm: Option<Perm>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// The listed directory itself: `.`, or `type=cdir` under any name.
    Current,
    /// The directory above the listed one: `..`, or `type=pdir` under any name.
    Parent,
    /// A symbolic link, to a file or a directory alike.
    Link {
        /// Where it points, as stored in it; `None` where the format does not say.
        target: Option<Cow<'a, [u8]>>,
    },
    /// Nothing to transfer.
    Other(Special),
}

/// The kinds of a Unix file system that hold no data to transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A block device.
    Block,
    /// A character device.
    Character,
    /// Anything else, or the listing does not say what it is.
    Unknown,
}

/// How exactly a date is known, from the coarsest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// The day: `Nov 22  2026`. The time of day is midnight.
    Day,
    /// The minute: `Nov 22 13:40`. The second is zero.
    Minute,
    /// The second, or better.
    #[default]
    Second,
}

impl<'a> Entry<'a> {
    /// An entry of which nothing more is known.
    #[must_use]
    pub const fn new(name: &'a [u8], kind: Kind<'a>) -> Self {
        Self {
            name: Cow::Borrowed(name),
            kind,
            size: None,
            modified: None,
            precision: Precision::Second,
            mode: None,
            links: None,
            owner: None,
            group: None,
            uid: None,
            gid: None,
            unique: None,
            perm: None,
        }
    }

    /// Whether the name is one name, so that a client can put it after its own directory without
    /// leaving it: no `/`, no NUL, CR or LF, and not `.` or `..` (`CVE-2026-27699`, lftp#452).
    ///
    /// What a local file system forbids beyond that (`\`, `:`, `CON` on Windows) is the caller's to
    /// know. [`Kind::Current`] and [`Kind::Parent`] are not to be descended into whatever their name.
    #[must_use]
    pub fn is_safe_name(&self) -> bool {
        let name: &[u8] = &self.name;
        let splits = |&byte: &u8| matches!(byte, b'/' | 0 | b'\r' | b'\n');
        !name.is_empty() && name != b"." && name != b".." && !name.iter().any(splits)
    }

    /// The same entry with names of its own, to outlive the line it was read from.
    #[must_use]
    pub fn into_owned(self) -> Entry<'static> {
        Entry {
            name: owned(self.name),
            kind: self.kind.into_owned(),
            owner: self.owner.map(owned),
            group: self.group.map(owned),
            size: self.size,
            modified: self.modified,
            precision: self.precision,
            mode: self.mode,
            links: self.links,
            uid: self.uid,
            gid: self.gid,
            unique: self.unique,
            perm: self.perm,
        }
    }

    /// Keeps an owner as a number where it is one, else as a name.
    fn set_owner(&mut self, text: &'a [u8]) {
        match id(text) {
            Some(uid) => self.uid = Some(uid),
            None if text.is_empty() => {}
            None => self.owner = Some(Cow::Borrowed(text)),
        }
    }

    /// Keeps a group as a number where it is one, else as a name.
    fn set_group(&mut self, text: &'a [u8]) {
        match id(text) {
            Some(gid) => self.gid = Some(gid),
            None if text.is_empty() => {}
            None => self.group = Some(Cow::Borrowed(text)),
        }
    }
}

impl Kind<'_> {
    /// Whether it is a directory, the listed one and its parent included; a link is not.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        matches!(self, Self::Directory | Self::Current | Self::Parent)
    }

    fn into_owned(self) -> Kind<'static> {
        match self {
            Self::File => Kind::File,
            Self::Directory => Kind::Directory,
            Self::Current => Kind::Current,
            Self::Parent => Kind::Parent,
            Self::Link { target } => Kind::Link { target: target.map(owned) },
            Self::Other(special) => Kind::Other(special),
        }
    }
}

/// Reads one line of a listing, in whichever known format it is: `now` gives the year that `ls`
/// leaves out. `None` for a line that is no entry (`total 12`, an empty one) or cannot be read.
#[must_use]
pub fn parse_line(line: &[u8], now: Timestamp) -> Option<Entry<'_>> {
    if facts::begins_with_fact(line) { facts::parse(line) } else { unix::parse(line, now) }
}

fn owned(bytes: Cow<'_, [u8]>) -> Cow<'static, [u8]> {
    Cow::Owned(bytes.into_owned())
}

fn id(text: &[u8]) -> Option<u32> {
    crate::time::decimal(text).and_then(|number| u32::try_from(number).ok())
}

/// The line without its end: CRLF, or a bare LF or CR of a careless server.
fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether a name can stand on a line: the others are left out of listings, as RFC 3659 §2.2 allows.
fn fits_on_a_line(name: &[u8]) -> bool {
    // Looking at all of it is faster than stopping at the first that does not fit.
    let fits = |fits, &byte: &u8| fits & !matches!(byte, b'\r' | b'\n' | 0);
    !name.is_empty() && name.iter().fold(true, fits)
}

/// Whether an owner or group can stand in a column, or in the value of a fact.
fn fits_in_a_column(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| byte > b' ' && byte != b';' && byte != 0x7f)
}

/// The digits of a number in a buffer of their own: formatting by `write!` is half the time of a
/// listing.
struct Digits {
    buffer: [u8; 22],
    start: usize,
}

impl Digits {
    /// In base 8, 10 or 16, lower case.
    fn new<const BASE: u64>(mut value: u64) -> Self {
        let mut digits = Self { buffer: [b'0'; 22], start: 22 };
        for slot in digits.buffer.iter_mut().rev() {
            let digit = u8::try_from(value % BASE).unwrap_or(0);
            *slot = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
            digits.start -= 1;
            value /= BASE;
            if value == 0 {
                break;
            }
        }
        digits
    }

    fn decimal(value: impl Into<u64>) -> Self {
        Self::new::<10>(value.into())
    }

    fn as_bytes(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Appends the digits after as many `pad` as bring them to `width`.
    fn right(mut self, out: &mut Vec<u8>, width: usize, pad: u8) {
        let start = self.start.min(self.buffer.len().saturating_sub(width));
        let space = self.buffer.get_mut(start..self.start).unwrap_or_default();
        space.iter_mut().for_each(|byte| *byte = pad);
        self.start = start;
        out.extend_from_slice(self.as_bytes());
    }
}

/// A number below a hundred.
const fn two_digits(number: u8) -> [u8; 2] {
    [b'0' + number / 10, b'0' + number % 10]
}
