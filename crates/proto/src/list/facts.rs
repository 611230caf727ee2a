//! The machine-readable lines of MLSD and MLST: `type=file;size=1234; name` (RFC 3659 §7).
//!
//! It does not compute what a user may do, nor look up owners: it writes what an entry holds and a
//! session has selected, and reads what it understands.

use alloc::borrow::Cow;
use alloc::vec::Vec;

pub use super::fact_set::FactSet;
use super::{
    Digits, Entry, Kind, Perm, Special, fits_in_a_column, fits_on_a_line, two_digits, without_end,
};
use crate::time::Timestamp;

/// Appends an MLSD line to `out`: the selected facts that `entry` has, a blank, the name, CRLF.
///
/// A name with a CR, LF or NUL cannot stand on a line: it is left out, and the answer is `false`.
pub fn write(out: &mut Vec<u8>, entry: &Entry<'_>, selected: FactSet) -> bool {
    let written = write_entry(out, entry, selected);
    if written {
        out.extend_from_slice(b"\r\n");
    }
    written
}

/// Appends the middle line of MLST's 250 reply, without its CRLF: a blank, and then as for MLSD. The
/// name of `entry` should be its whole path (RFC 3659 §7.3.2). `false` as for [`write()`].
pub fn write_mlst(out: &mut Vec<u8>, entry: &Entry<'_>, selected: FactSet) -> bool {
    let start = out.len();
    out.push(b' ');
    let written = write_entry(out, entry, selected);
    if !written {
        out.truncate(start);
    }
    written
}

fn write_entry(out: &mut Vec<u8>, entry: &Entry<'_>, selected: FactSet) -> bool {
    if !fits_on_a_line(&entry.name) {
        return false;
    }
    // One growth per line at most: the default facts of a file are about 60 bytes, all of them 160.
    out.reserve(entry.name.len() + 160);
    write_portable(out, entry, selected);
    write_unix(out, entry, selected);
    out.push(b' ');
    out.extend_from_slice(&entry.name);
    true
}

fn write_portable(out: &mut Vec<u8>, entry: &Entry<'_>, selected: FactSet) {
    if selected.contains(FactSet::TYPE) {
        out.extend_from_slice(type_value(&entry.kind));
        out.push(b';');
    }
    if selected.contains(FactSet::PERM)
        && let Some(perm) = entry.perm
    {
        out.extend_from_slice(b"perm=");
        perm.on(&entry.kind).write(out);
        out.push(b';');
    }
    // The size fact is for everything but directories (RFC 3659 §7.5.7).
    if selected.contains(FactSet::SIZE)
        && !entry.kind.is_directory()
        && let Some(size) = entry.size
    {
        out.extend_from_slice(b"size=");
        out.extend_from_slice(Digits::decimal(size).as_bytes());
        out.push(b';');
    }
    if selected.contains(FactSet::MODIFY)
        && let Some(modified) = entry.modified
    {
        write_modify(out, modified);
    }
}

fn write_unix(out: &mut Vec<u8>, entry: &Entry<'_>, selected: FactSet) {
    let number = |out: &mut Vec<u8>, name: &[u8], digits: &Digits| {
        out.extend_from_slice(name);
        out.extend_from_slice(digits.as_bytes());
        out.push(b';');
    };
    if selected.contains(FactSet::UNIQUE)
        && let Some((device, inode)) = entry.unique
    {
        out.extend_from_slice(b"unique=");
        out.extend_from_slice(Digits::new::<16>(device).as_bytes());
        number(out, b"g", &Digits::new::<16>(inode));
    }
    if selected.contains(FactSet::MODE)
        && let Some(mode) = entry.mode
    {
        number(out, b"unix.mode=0", &Digits::new::<8>(mode.into()));
    }
    if selected.contains(FactSet::UID)
        && let Some(uid) = entry.uid
    {
        number(out, b"unix.uid=", &Digits::decimal(uid));
    }
    if selected.contains(FactSet::GID)
        && let Some(gid) = entry.gid
    {
        number(out, b"unix.gid=", &Digits::decimal(gid));
    }
    for (fact, prefix, value) in [
        (FactSet::OWNER, &b"unix.owner="[..], &entry.owner),
        (FactSet::GROUP, b"unix.group=", &entry.group),
    ] {
        if selected.contains(fact)
            && let Some(value) = value.as_deref().filter(|value| fits_in_a_column(value))
        {
            out.extend_from_slice(prefix);
            out.extend_from_slice(value);
            out.push(b';');
        }
    }
}

/// A link is `symlink`, without its target: that is the form of the RFC's erratum 1500 and of
/// `ProFTPD`, and lftp drops the entry if it reads another. The `slink:target` of the RFC's example is
/// understood by fewer clients, breaks on targets with blanks, and tells paths outside the root.
const fn type_value(kind: &Kind<'_>) -> &'static [u8] {
    match kind {
        Kind::File => b"type=file",
        Kind::Directory => b"type=dir",
        Kind::Current => b"type=cdir",
        Kind::Parent => b"type=pdir",
        Kind::Link { .. } => b"type=OS.unix=symlink",
        Kind::Other(Special::Pipe) => b"type=OS.unix=pipe",
        Kind::Other(Special::Socket) => b"type=OS.unix=socket",
        Kind::Other(Special::Block) => b"type=OS.unix=blk",
        Kind::Other(Special::Character) => b"type=OS.unix=chr",
        Kind::Other(Special::Unknown) => b"type=OS.unix=other",
    }
}

/// Whole seconds: fractions are allowed, and clients that cannot read them are common. A date that
/// has no fourteen digits is left out.
fn write_modify(out: &mut Vec<u8>, modified: Timestamp) {
    let civil = modified.civil();
    let Some(year) = u64::try_from(civil.year).ok().filter(|&year| year <= 9999) else { return };
    out.extend_from_slice(b"modify=");
    Digits::decimal(year).right(out, 4, b'0');
    for part in [civil.month, civil.day, civil.hour, civil.minute, civil.second] {
        out.extend_from_slice(&two_digits(part));
    }
    out.push(b';');
}

/// Whether a line begins as MLSD and MLST lines do that have any facts: `key=`, perhaps after the one
/// blank of an MLST reply.
#[must_use]
pub fn begins_with_fact(line: &[u8]) -> bool {
    let line = line.strip_prefix(b" ").unwrap_or(line);
    let key = line
        .iter()
        .position(|&byte| !(byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-'));
    key.is_some_and(|end| end > 0 && line.get(end) == Some(&b'='))
}

/// Reads a line of MLSD, or of MLST with or without the blank it begins with.
///
/// Lenient: facts may come in any case and order, the last semicolon may be missing, and facts that
/// are unknown or unreadable are passed over. Without a `type` the kind is [`Special::Unknown`].
#[must_use]
pub fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let (facts, name) = split(without_end(line))?;
    let mut entry = Entry::new(name, Kind::Other(Special::Unknown));
    for fact in facts.split(|&byte| byte == b';') {
        if let Some((name, value)) = cut(fact, b'=') {
            set_fact(&mut entry, name, value);
        }
    }
    (!name.is_empty()).then_some(entry)
}

/// The facts and the name. The first blank divides them, if a semicolon stands before it.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    if !begins_with_fact(line) {
        return Some((b"", line.strip_prefix(b" ")?));
    }
    let line = line.strip_prefix(b" ").unwrap_or(line);
    let (facts, name) = cut(line, b' ')?;
    if facts.ends_with(b";") {
        return Some((facts, name));
    }
    // Either the last semicolon is missing (NcFTPd), or the blank is in a value. Only a few facts
    // have text for a value; theirs goes on to the next `; `.
    let last = facts.rsplit(|&byte| byte == b';').next().unwrap_or_default();
    let has_text =
        [&b"unix.owner"[..], b"unix.group", b"type=os.unix=slink"].iter().any(|prefix| {
            last.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        });
    match line.windows(2).position(|window| window == b"; ").filter(|_| has_text) {
        Some(end) => Some((line.get(..end)?, line.get(end + 2..)?)),
        None => Some((facts, name)),
    }
}

/// What stands before and after the first `separator`.
fn cut(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn set_fact<'a>(entry: &mut Entry<'a>, name: &[u8], value: &'a [u8]) {
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    if is(b"type") {
        entry.kind = parse_type(value);
    } else if is(b"size") || is(b"sizd") {
        entry.size = crate::time::decimal(value);
    } else if is(b"modify") {
        entry.modified = Timestamp::parse(value);
    } else if is(b"perm") {
        entry.perm = Some(Perm::parse(value));
    } else if is(b"unique") {
        entry.unique = parse_unique(value);
    } else if is(b"unix.mode") {
        entry.mode = number(value, 8).and_then(|mode| u32::try_from(mode & 0o7777).ok());
    } else if is(b"unix.owner") || is(b"unix.uid") || is(b"unix.ownername") || is(b"unix.user") {
        entry.set_owner(value);
    } else if is(b"unix.group") || is(b"unix.gid") || is(b"unix.groupname") {
        entry.set_group(value);
    }
}

fn parse_type(value: &[u8]) -> Kind<'_> {
    let is = |known: &[u8]| value.eq_ignore_ascii_case(known);
    if is(b"file") {
        return Kind::File;
    } else if is(b"dir") {
        return Kind::Directory;
    } else if is(b"cdir") {
        return Kind::Current;
    } else if is(b"pdir") {
        return Kind::Parent;
    }
    let of_unix = cut(value, b'=').filter(|(system, _)| system.eq_ignore_ascii_case(b"OS.unix"));
    let Some((_, of_unix)) = of_unix else { return Kind::Other(Special::Unknown) };
    let (name, target) = cut(of_unix, b':').unwrap_or((of_unix, b""));
    if name.eq_ignore_ascii_case(b"slink") || name.eq_ignore_ascii_case(b"symlink") {
        return Kind::Link { target: (!target.is_empty()).then_some(Cow::Borrowed(target)) };
    }
    // Devices carry numbers or `dev` behind these: `chr-13/29`, `blkdev`.
    let begins = |known: &[u8]| {
        name.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known))
    };
    Kind::Other(match () {
        () if begins(b"chr") => Special::Character,
        () if begins(b"blk") => Special::Block,
        () if begins(b"pipe") || begins(b"fifo") => Special::Pipe,
        () if begins(b"sock") => Special::Socket,
        () => Special::Unknown,
    })
}

/// Device and inode in hexadecimal, as most Unix servers write them, with a `g` or `U` between.
/// RFC 3659 §7.5.2 lets `unique` be anything; anything else is `None`.
fn parse_unique(value: &[u8]) -> Option<(u64, u64)> {
    let at = value.iter().position(|byte| matches!(byte, b'g' | b'G' | b'u' | b'U'))?;
    Some((number(value.get(..at)?, 16)?, number(value.get(at + 1..)?, 16)?))
}

fn number(text: &[u8], base: u32) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, &byte| {
        let digit = char::from(byte).to_digit(base)?;
        sum.checked_mul(base.into())?.checked_add(digit.into())
    })
}
