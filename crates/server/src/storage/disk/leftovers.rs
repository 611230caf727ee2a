//! Removing what uploads left behind: parts kept too long, and temporaries of killed processes.
//!
//! It removes regular files of our own naming and nothing else. It follows no links, so parts left
//! in directories that [`Links::Follow`](super::Links::Follow) leads to are not found.

use std::time::Duration;

use twoport_sys::Errno;
use twoport_sys::beneath::{Follow, Purpose};
use twoport_sys::directory::{Directory, Name};
use twoport_sys::entries::Entries;
use twoport_sys::file::{Kind, try_lock};

use super::Disk;
use super::hidden::Leftover;
use super::plan::is_older;
use crate::storage::error::Reason;

/// A walk through the tree that removes old leftovers, as many entries at a time as the caller
/// has time for. What it cannot read it passes over.
#[derive(Debug)]
pub struct Sweep {
    disk: Disk,
    older_than: Duration,
    pending: Vec<Vec<u8>>,
    current: Option<Open>,
}

/// What a step of a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many entries were looked at.
    pub entries: usize,
    /// How many leftovers were removed.
    pub removed: usize,
    /// How many bytes they held.
    pub bytes: u64,
    /// Whether the walk is at its end.
    pub finished: bool,
}

#[derive(Debug)]
struct Open {
    path: Vec<u8>,
    directory: Directory,
    entries: Entries,
    /// What was read of them, and is still to be looked at.
    found: std::vec::IntoIter<Found>,
}

/// A name, and what it is, where the file system says so without being asked.
type Found = (Name, Option<Kind>);

impl Disk {
    /// Begins a walk that removes leftovers last written more than `older_than` ago. Made for the
    /// start of the server and for once in a while. `older_than` below `Options::keep` takes
    /// parts that clients may still resume.
    #[must_use]
    pub fn sweep(&self, older_than: Duration) -> Sweep {
        Sweep { disk: self.clone(), older_than, pending: vec![Vec::new()], current: None }
    }
}

impl Sweep {
    /// Walks on over at most `entries` entries.
    pub fn step(&mut self, entries: usize) -> Swept {
        let mut swept = Swept::default();
        while swept.entries < entries {
            let Some(open) = self.current.as_mut() else {
                match self.pending.pop() {
                    Some(path) => self.current = self.enter(path),
                    None => {
                        swept.finished = true;
                        break;
                    }
                }
                continue;
            };
            match open.next() {
                Some(found) => {
                    swept.entries += 1;
                    self.pending.extend(open.look(&found, self.older_than, &mut swept));
                }
                None => self.current = None,
            }
        }
        swept
    }

    fn enter(&self, path: Vec<u8>) -> Option<Open> {
        let directory = self.disk.root().directory(&path, Follow::Never).ok()?;
        let entries = directory.entries().ok()?;
        Some(Open { path, directory, entries, found: Vec::new().into_iter() })
    }
}

impl Open {
    fn next(&mut self) -> Option<Found> {
        loop {
            if let Some(found) = self.found.next() {
                return Some(found);
            }
            let names = self.entries.next()?.ok()?;
            let found = names.iter().filter_map(|entry| Some((entry.to_name().ok()?, entry.kind)));
            self.found = found.collect::<Vec<_>>().into_iter();
        }
    }

    /// Removes an old leftover; gives the path of a directory that is to be walked too.
    fn look(&self, found: &Found, older_than: Duration, swept: &mut Swept) -> Option<Vec<u8>> {
        let (name, kind) = found;
        if let Some(leftover) = Leftover::of(name.as_bytes()) {
            if let Some(bytes) = remove_old(&self.directory, name, leftover, older_than) {
                swept.removed += 1;
                swept.bytes += bytes;
            }
            return None;
        }
        let kind = match kind {
            Some(kind) => *kind,
            None => self.directory.lookup(name).ok()?.kind,
        };
        (kind == Kind::Directory).then(|| {
            let mut path = self.path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_bytes());
            path
        })
    }
}

fn remove_old(
    directory: &Directory,
    name: &Name,
    leftover: Leftover,
    older_than: Duration,
) -> Option<u64> {
    let metadata = directory.lookup(name).ok()?;
    let old = metadata.kind == Kind::File && is_older(metadata.modified, older_than);
    if !old || (leftover == Leftover::Live && is_alive(directory, name)) {
        return None;
    }
    directory.remove(name).ok().map(|()| metadata.size)
}

/// Whether an upload is still being written to the temporary: its writer holds its lock. Where
/// that cannot be told, it is.
fn is_alive(directory: &Directory, name: &Name) -> bool {
    let Ok(file) = directory.open(name, Purpose::Read) else {
        return true;
    };
    !try_lock(&file).unwrap_or(false)
}

/// Empties a directory that holds nothing but leftovers, whoever's they are: to peers it is empty.
/// Where it holds anything else, nothing is touched.
pub(super) fn clear(directory: &Directory) -> Result<(), Reason> {
    let mut names = Vec::new();
    for read in directory.entries()? {
        for entry in read?.iter() {
            match Leftover::of(entry.name()) {
                Some(leftover) => names.push((entry.to_name()?, leftover)),
                None => return Err(Reason::NotEmpty),
            }
        }
    }
    if names.iter().any(|(name, left)| *left == Leftover::Live && is_alive(directory, name)) {
        return Err(Reason::Busy);
    }
    for (name, _) in names {
        match directory.remove(&name) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => return Err(Reason::NotEmpty),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
