//! Carries out the jobs of a session on its storage.
//!
//! It decides nothing: what an outcome means for the client is the session's matter. It blocks.

mod hash;

use twoport_proto::ascii;
use twoport_proto::glob::{self, Glob};
use twoport_proto::list::{facts, unix};
use twoport_proto::path::VirtualPath;
use twoport_proto::reason::Reason;
use twoport_proto::server::{Job, ListTarget, Outcome, Upload};
use twoport_proto::time::Timestamp;

use crate::listing::Rows;
use crate::storage::{self, Kind, Medium, Source, StorageError};
use crate::transfer::{Opened, Reading, Writing};
use crate::world::{World, reason};

/// What became of a job, and what it opened.
pub type Answer = (Outcome, Option<Opened>);

/// Runs a job that needs the account's files. Logging in and listening are the driver's own.
#[must_use]
pub fn run(world: &World, job: Job) -> Answer {
    match job {
        Job::OpenRead { path, offset, length, ascii } => {
            answer(open_read(world, &path, offset, length, ascii))
        }
        Job::OpenWrite { path, how, ascii, size } => {
            answer(open_write(world, path, how, (ascii, size)))
        }
        Job::OpenList(target) => answer(open_list(world, &target)),
        job => (simple(world, job).unwrap_or_else(Outcome::Failed), None),
    }
}

/// Runs a job where nothing may be waited for; `None` if it has to be, and where something is wrong,
/// which is better found out and named in peace.
#[must_use]
pub fn at_once(world: &World, job: &Job) -> Option<Answer> {
    let stat = |path, wanted| world.storage.stat_at_once(path).filter(|stat| stat.kind == wanted);
    let (outcome, opened) = match job {
        Job::ChangeDirectory(path) => {
            stat(path, Kind::Directory)?;
            return Some((Outcome::Done, None));
        }
        Job::Size { path, ascii: false } => {
            let size = stat(path, Kind::File)?.size;
            return Some((Outcome::Number(size), None));
        }
        Job::Modified(path) => return Some((modified(&stat(path, Kind::File)?), None)),
        Job::OpenRead { path, offset, length, ascii } => {
            let source = world.storage.open_read_at_once(path, *offset)?;
            reading(source, *offset, *length, *ascii)
        }
        Job::OpenWrite { path, how, ascii, size } => {
            let (medium, begin) = world.storage.prepare_upload_at_once(path, *how)?;
            let (outcome, mut writing) =
                writing(world, path.clone(), *how, (*ascii, *size), medium);
            writing.prepared = Some(begin);
            (outcome, Opened::Write(writing))
        }
        _ => return None,
    };
    Some((outcome, Some(opened)))
}

type Result<T> = core::result::Result<T, Reason>;

fn answer(opened: Result<(Outcome, Opened)>) -> Answer {
    match opened {
        Ok((outcome, opened)) => (outcome, Some(opened)),
        Err(reason) => (Outcome::Failed(reason), None),
    }
}

fn done(result: storage::Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Done).map_err(|error| reason(&error))
}

fn simple(world: &World, job: Job) -> Result<Outcome> {
    let storage = &world.storage;
    match job {
        Job::ChangeDirectory(path) => match stat(world, &path)?.kind {
            Kind::Directory => Ok(Outcome::Done),
            _ => Err(Reason::NotADirectory),
        },
        Job::Size { path, ascii } => size(world, &path, ascii).map(Outcome::Number),
        Job::Modified(path) => match stat(world, &path)? {
            stat if stat.kind == Kind::File => Ok(modified(&stat)),
            _ => Err(Reason::NotRetrievable),
        },
        Job::SetModified(path, date) => done(storage.set_modified(&path, date)),
        Job::SetMode(path, mode) => done(storage.set_mode(&path, mode)),
        Job::MakeDirectory(path) => done(storage.make_directory(&path)),
        Job::RemoveDirectory(path) => done(storage.remove_directory(&path)),
        Job::Delete(path) => done(storage.delete(&path)),
        Job::CheckRename(path) if path.is_root() => Err(Reason::RootNotRenamable),
        Job::CheckRename(path) => done(storage.stat_itself(&path).map(drop)),
        Job::Rename { from, to, overwrite } => done(storage.rename(&from, &to, overwrite)),
        Job::Facts(path, selected) => {
            let stat = stat(world, &path)?;
            let mut line = Vec::new();
            facts::write_mlst(&mut line, &world.entry(path.as_bytes(), &stat), selected);
            // The reply itself puts the blank before the line.
            Ok(Outcome::Lines(vec![line.strip_prefix(b" ").unwrap_or(&line).to_vec()]))
        }
        Job::Status(path) => status(world, &path),
        Job::Hash { path, algorithm, range } => hash::run(world, &path, algorithm, range),
        Job::SpaceLeft(path) => {
            storage.space_left(&path).map(Outcome::Number).map_err(|error| reason(&error))
        }
        Job::Combine { target, parts } => combine(world, &target, &parts),
        Job::Identify { .. }
        | Job::LogIn { .. }
        | Job::Listen(_)
        | Job::OpenRead { .. }
        | Job::OpenWrite { .. }
        | Job::OpenList(_) => Err(Reason::LocalError),
    }
}

/// Some clients cannot read a fraction of a second.
fn modified(stat: &storage::Stat) -> Outcome {
    Outcome::Date(Timestamp { nanoseconds: 0, ..stat.modified })
}

fn stat(world: &World, path: &VirtualPath) -> Result<storage::Stat> {
    world.storage.stat(path).map_err(|error| reason(&error))
}

/// In TYPE A the size is that of the converted text, for which the file must be read.
fn size(world: &World, path: &VirtualPath, is_ascii: bool) -> Result<u64> {
    if !is_ascii {
        return match world.storage.size(path) {
            Ok(size) => Ok(size),
            Err(StorageError { reason: storage::Reason::IsADirectory, .. }) => {
                Err(Reason::NotRetrievable)
            }
            Err(error) => Err(reason(&error)),
        };
    }
    let mut source = open(world, path, 0)?;
    if source.size() > world.ascii_size_limit {
        return Err(Reason::AsciiSizeTooBig);
    }
    let mut encoder = ascii::Encoder::new();
    let mut total = 0;
    read_all(&mut *source, u64::MAX, |chunk| total += encoder.encoded_len(chunk))?;
    Ok(total)
}

/// Opens a plain file; for SIZE, HASH and RETR alike.
fn open(world: &World, path: &VirtualPath, offset: u64) -> Result<Box<dyn Source>> {
    world.storage.open_read(path, offset).map_err(|error| reason(&error))
}

/// Reads up to `length` bytes, a piece at a time.
fn read_all(source: &mut dyn Source, length: u64, mut take: impl FnMut(&[u8])) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut left = length;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        let read = source.read(piece).map_err(|error| reason(&error))?;
        if read == 0 {
            break;
        }
        take(piece.get(..read).unwrap_or_default());
        left -= read as u64;
    }
    Ok(())
}

/// STAT of a directory lists it, of anything else shows the one line.
fn status(world: &World, path: &VirtualPath) -> Result<Outcome> {
    let found = stat(world, path)?;
    let mut text = Vec::new();
    let now = (world.today)();
    if found.kind == Kind::Directory {
        let mut left = world.listing_limit as usize;
        for part in world.storage.list(path).map_err(|error| reason(&error))? {
            let part = part.and_then(|part| part()).map_err(|error| reason(&error))?;
            for (name, stat) in part.iter().take(left) {
                unix::write(&mut text, &world.entry(name, stat), now);
            }
            left = left.saturating_sub(part.len());
            if left == 0 {
                break;
            }
        }
    } else {
        unix::write(&mut text, &world.entry(path.name().unwrap_or(b"/"), &found), now);
    }
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec());
    Ok(Outcome::Lines(lines.collect()))
}

/// Appends the parts to the target, one after the other, and deletes them when all are in.
fn combine(world: &World, target: &VirtualPath, parts: &[VirtualPath]) -> Result<Outcome> {
    let storage = &world.storage;
    if parts.contains(target) {
        return Err(Reason::CannotCombine);
    }
    for part in parts {
        if stat(world, part)?.kind != Kind::File {
            return Err(Reason::CannotCombine);
        }
    }
    let mut sink = storage.begin_upload(target, Upload::Append).map_err(|e| reason(&e))?;
    for part in parts {
        let mut source = open(world, part, 0)?;
        let mut written = Ok(());
        read_all(&mut *source, u64::MAX, |chunk| {
            if written.is_ok() {
                written = sink.write(chunk);
            }
        })?;
        written.map_err(|error| reason(&error))?;
    }
    sink.commit().map_err(|error| reason(&error))?;
    for part in parts {
        storage.delete(part).map_err(|error| reason(&error))?;
    }
    Ok(Outcome::Done)
}

fn open_read(
    world: &World,
    path: &VirtualPath,
    offset: u64,
    length: Option<u64>,
    ascii: bool,
) -> Result<(Outcome, Opened)> {
    Ok(reading(open(world, path, offset)?, offset, length, ascii))
}

fn reading(
    source: Box<dyn Source>,
    offset: u64,
    length: Option<u64>,
    ascii: bool,
) -> (Outcome, Opened) {
    let left = source.size().saturating_sub(offset);
    let size = length.map_or(left, |length| length.min(left));
    // What grows is sent as long as it was. (What the kernel makes up while it is read says 0.)
    let wanted = if source.size() > 0 { Some(size) } else { length };
    let reading = Reading::new(source, wanted, ascii);
    let outcome = Outcome::Opened { size: (!ascii).then_some(size), name: None };
    (outcome, Opened::Read(reading))
}

/// Whether text is converted, and how many bytes were announced.
type Content = (bool, Option<u64>);

fn open_write(
    world: &World,
    path: VirtualPath,
    how: Upload,
    content: Content,
) -> Result<(Outcome, Opened)> {
    let failed = |error: StorageError| reason(&error);
    let path = if how == Upload::Unique {
        let hint = path.name().unwrap_or(b"ftp");
        world.storage.unique_name(&path.parent(), hint).map_err(failed)?
    } else {
        path
    };
    let medium = world.storage.check_upload(&path, how).map_err(failed)?;
    let (outcome, writing) = writing(world, path, how, content, medium);
    Ok((outcome, Opened::Write(writing)))
}

fn writing(
    world: &World,
    path: VirtualPath,
    how: Upload,
    (ascii, size): Content,
    medium: Medium,
) -> (Outcome, Writing) {
    let name = (how == Upload::Unique).then(|| path.clone());
    let storage = std::sync::Arc::clone(&world.storage);
    (
        Outcome::Opened { size: None, name },
        Writing { storage, path, how, ascii, size, medium, prepared: None, careful: world.careful },
    )
}

/// The name as it stands, with its options; then without; then as a pattern.
fn open_list(world: &World, target: &ListTarget) -> Result<(Outcome, Opened)> {
    let outcome = Outcome::Opened { size: None, name: None };
    let literal = target.literal.as_ref().and_then(|path| Some((path, stat(world, path).ok()?)));
    let (path, found) = match literal {
        Some((path, found)) => (path, found),
        None => match stat(world, &target.path) {
            Ok(found) => (&target.path, found),
            Err(Reason::NotFound) if is_pattern(&target.path) && target.files => {
                let directory = target.path.parent();
                let glob = target.path.name().map(Glob::new);
                let rows = Rows::directory(world, &directory, target, glob)?;
                return Ok((outcome, Opened::List(Box::new(rows))));
            }
            Err(reason) => return Err(reason),
        },
    };
    let rows = match found.kind {
        Kind::Directory => Rows::directory(world, path, target, None)?,
        _ if target.files => Rows::single(world, path, found, target),
        _ => return Err(Reason::NotADirectory),
    };
    Ok((outcome, Opened::List(Box::new(rows))))
}

fn is_pattern(path: &VirtualPath) -> bool {
    path.name().is_some_and(glob::is_pattern)
}
