//! The LIST of Unix, as `ls -l` prints it: what every client reads and no standard defines.
//!
//! The writer gives dates in UTC and shows links unfollowed. The reader knows no other system's
//! LIST: DOS, VMS and NetWare lines are `None` here.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::date::{self, DAY, month_name, word};
use super::{
    Digits, Entry, Kind, Special, fits_in_a_column, fits_on_a_line, two_digits, without_end,
};
use crate::time::{Timestamp, decimal};

/// How old a file may be and still be shown with the time of day. Origin: the half year of POSIX
/// `ls`, as the 180 days that `ProFTPD` and pyftpdlib count.
const RECENT: i64 = 180 * DAY;

/// What is written where the owner or the group is neither known by name nor by number.
const NO_OWNER: &[u8] = b"owner";
const NO_GROUP: &[u8] = b"group";

/// Appends `-rw-r--r--   1 owner    group        1234 Nov 22 13:40 name` and CRLF to `out`.
///
/// What `entry` leaves open gets a harmless value: 0644, or 0755 for a directory and 0777 for a
/// link; one name; size 0; 1970. A name with a CR, LF or NUL cannot stand on a line: it is left out,
/// and the answer is `false`.
pub fn write(out: &mut Vec<u8>, entry: &Entry<'_>, now: Timestamp) -> bool {
    if !fits_on_a_line(&entry.name) {
        return false;
    }
    // One growth per line at most: the columns before the name are 55 bytes where nothing overflows.
    out.reserve(entry.name.len() + 96);
    write_mode(out, &entry.kind, entry.mode);
    out.push(b' ');
    Digits::decimal(entry.links.unwrap_or(1)).right(out, 3, b' ');
    out.push(b' ');
    write_column(out, entry.owner.as_deref(), entry.uid, NO_OWNER);
    out.push(b' ');
    write_column(out, entry.group.as_deref(), entry.gid, NO_GROUP);
    out.push(b' ');
    Digits::decimal(entry.size.unwrap_or(0)).right(out, 8, b' ');
    out.push(b' ');
    write_date(out, entry.modified.unwrap_or_default(), now);
    out.push(b' ');
    out.extend_from_slice(&entry.name);
    if let Kind::Link { target: Some(target) } = &entry.kind
        && fits_on_a_line(target)
    {
        out.extend_from_slice(b" -> ");
        out.extend_from_slice(target);
    }
    out.extend_from_slice(b"\r\n");
    true
}

fn write_mode(out: &mut Vec<u8>, kind: &Kind<'_>, mode: Option<u32>) {
    let (letter, usual) = match kind {
        Kind::File => (b'-', 0o644),
        Kind::Directory | Kind::Current | Kind::Parent => (b'd', 0o755),
        Kind::Link { .. } => (b'l', 0o777),
        Kind::Other(Special::Pipe) => (b'p', 0o644),
        Kind::Other(Special::Socket) => (b's', 0o644),
        Kind::Other(Special::Block) => (b'b', 0o644),
        Kind::Other(Special::Character) => (b'c', 0o644),
        Kind::Other(Special::Unknown) => (b'-', 0o644),
    };
    let mode = mode.unwrap_or(usual);
    let flag = |bit: u32, letter: u8| if mode & bit == 0 { b'-' } else { letter };
    // Execution shares its column with set-uid, set-gid and sticky: upper case where it is off.
    let shared = |bit: u32, special: u32, letter: u8| match (mode & special, mode & bit) {
        (0, 0) => b'-',
        (0, _) => b'x',
        (_, 0) => letter.to_ascii_uppercase(),
        (_, _) => letter,
    };
    out.extend_from_slice(&[
        letter,
        flag(0o400, b'r'),
        flag(0o200, b'w'),
        shared(0o100, 0o4000, b's'),
        flag(0o040, b'r'),
        flag(0o020, b'w'),
        shared(0o010, 0o2000, b's'),
        flag(0o004, b'r'),
        flag(0o002, b'w'),
        shared(0o001, 0o1000, b't'),
    ]);
}

/// A name or else a number, left-aligned in eight columns. A name with a blank would shift the
/// columns behind it.
fn write_column(out: &mut Vec<u8>, name: Option<&[u8]>, id: Option<u32>, neither: &[u8]) {
    let start = out.len();
    match (name.filter(|name| fits_in_a_column(name)), id) {
        (Some(name), _) => out.extend_from_slice(name),
        (None, Some(id)) => out.extend_from_slice(Digits::decimal(id).as_bytes()),
        (None, None) => out.extend_from_slice(neither),
    }
    out.resize(out.len().max(start + 8), b' ');
}

/// `Nov 22 13:40`, or `Nov 22  2025` where that would be ambiguous: older than half a year, or in a
/// future that readers do not count with.
fn write_date(out: &mut Vec<u8>, modified: Timestamp, now: Timestamp) {
    let civil = modified.civil();
    let age = now.seconds.saturating_sub(modified.seconds);
    let [a, b, c] = *month_name(civil.month);
    let [tens, ones] = two_digits(civil.day);
    let tens = if tens == b'0' { b' ' } else { tens };
    out.extend_from_slice(&[a, b, c, b' ', tens, ones, b' ']);
    if (-DAY..=RECENT).contains(&age) {
        let ([a, b], [c, d]) = (two_digits(civil.hour), two_digits(civil.minute));
        out.extend_from_slice(&[a, b, b':', c, d]);
    } else {
        Digits::decimal(u64::try_from(civil.year).unwrap_or(0)).right(out, 5, b' ');
    }
}

/// Reads a line of `ls -l`. `now` gives the year that recent dates leave out.
///
/// The columns between the mode and the date are few and ambiguous: some servers leave out the links
/// or the group, and names of groups have blanks. The date is the landmark: it is the first thing
/// after a size that reads as one, and everything else is counted from there.
#[must_use]
pub fn parse(line: &[u8], now: Timestamp) -> Option<Entry<'_>> {
    let (mode_word, rest) = word(without_end(line))?;
    let (kind, mode) = parse_mode(mode_word)?;
    let mut entry = Entry::new(b"", kind);
    entry.mode = Some(mode);
    let mut scanned = rest;
    let (found, columns) = loop {
        let (size, after) = word(scanned)?;
        if let Some(size) = parse_size(size)
            && let Some(found) = date::parse(after, now)
        {
            entry.size = size;
            break (found, rest.get(..rest.len().checked_sub(scanned.len())?)?);
        }
        scanned = after;
    };
    entry.modified = Some(found.modified);
    entry.precision = found.precision;
    set_columns(&mut entry, columns);
    // One blank ends the date. Any more are the name's.
    set_name(&mut entry, found.rest.split_first()?.1)?;
    Some(entry)
}

fn parse_mode(word: &[u8]) -> Option<(Kind<'static>, u32)> {
    let (&letter, rest) = word.split_first()?;
    let kind = match letter {
        b'-' => Kind::File,
        b'd' => Kind::Directory,
        b'l' => Kind::Link { target: None },
        b'p' => Kind::Other(Special::Pipe),
        b's' => Kind::Other(Special::Socket),
        b'b' => Kind::Other(Special::Block),
        b'c' => Kind::Other(Special::Character),
        // Doors, whiteouts and what else Unixes have invented.
        b'C' | b'D' | b'M' | b'n' | b'P' | b'w' | b'?' => Kind::Other(Special::Unknown),
        _ => return None,
    };
    let (letters, mark) = rest.split_at_checked(9)?;
    // A mark says that there is more: an access control list, a security label, attributes.
    if !matches!(mark, [] | [b'+' | b'.' | b'@']) {
        return None;
    }
    let (classes, _) = letters.as_chunks::<3>();
    let bits = [(0o100, 0o4000), (0o010, 0o2000), (0o001, 0o1000)];
    let mode = classes.iter().zip(bits).try_fold(0, |mode, (letters, (run, special))| {
        Some(mode | parse_class(*letters, run, special)?)
    })?;
    Some((kind, mode))
}

/// The letters of the owner, the group or the others. In the third place `l` and `L` are set-gid
/// without execution (mandatory locking on System V).
fn parse_class([r, w, x]: [u8; 3], run: u32, special: u32) -> Option<u32> {
    let read = match r {
        b'-' => 0,
        b'r' => run << 2,
        _ => return None,
    };
    let write = match w {
        b'-' => 0,
        b'w' => run << 1,
        _ => return None,
    };
    let run = match x {
        b'-' => 0,
        b'x' => run,
        b's' | b't' => run | special,
        b'S' | b'T' | b'l' | b'L' => special,
        _ => return None,
    };
    Some(read | write | run)
}

/// The column before the date. The inner `None` is a size that is none: `-1`, the `8,0` of a device,
/// the rounded `33.5K` of `ls -h`.
fn parse_size(word: &[u8]) -> Option<Option<u64>> {
    if let Some(size) = decimal(word) {
        return Some(Some(size));
    }
    let rounded = matches!(word.last(), Some(b'k' | b'K' | b'M' | b'G' | b'T'));
    let body = if rounded { word.split_last()?.1 } else { word };
    let numeric = body.first().is_some_and(|&byte| byte.is_ascii_digit() || byte == b'-')
        && body.last().is_some_and(u8::is_ascii_digit)
        && body.iter().skip(1).all(|&byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','));
    numeric.then_some(None)
}

/// Links, owner and group, of which each may be missing.
fn set_columns<'a>(entry: &mut Entry<'a>, columns: &'a [u8]) {
    let mut columns = columns.trim_ascii();
    if matches!(entry.kind, Kind::Other(Special::Block | Special::Character)) {
        // What stood before the date was the minor number; the major one is left here: `8,`.
        entry.size = None;
        let blank = columns.iter().rposition(|&byte| byte == b' ').map_or(0, |blank| blank + 1);
        if let Some((before, last)) = columns.split_at_checked(blank)
            && last.last() == Some(&b',')
        {
            columns = before.trim_ascii();
        }
    }
    if let Some((first, rest)) = word(columns)
        && let Some(links) = decimal(first)
    {
        entry.links = Some(links);
        columns = rest;
    }
    if let Some((owner, group)) = word(columns) {
        entry.set_owner(owner);
        entry.set_group(group.trim_ascii());
    }
}

fn set_name<'a>(entry: &mut Entry<'a>, text: &'a [u8]) -> Option<()> {
    let mut name = text;
    match &mut entry.kind {
        Kind::Link { target } => {
            const ARROW: &[u8] = b" -> ";
            // Where a name holds an arrow itself, nobody can tell: the first one counts.
            if let Some(arrow) = text.windows(ARROW.len()).position(|window| window == ARROW) {
                name = text.get(..arrow)?;
                *target = Some(Cow::Borrowed(text.get(arrow + ARROW.len()..)?));
            }
        }
        kind @ Kind::Directory => {
            // `ls -p` marks directories.
            name = text.strip_suffix(b"/").unwrap_or(text);
            match name {
                b"." => *kind = Kind::Current,
                b".." => *kind = Kind::Parent,
                _ => {}
            }
        }
        _ => {}
    }
    entry.name = Cow::Borrowed(name);
    (!name.is_empty()).then_some(())
}
