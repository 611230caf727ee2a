//! Where the files are: a trait shaped by what FTP asks, the disk behind it, and a storage in
//! memory for tests.
//!
//! It knows no session, no account's rights and no reply codes, and it blocks: the driver calls it
//! from threads that may wait.
//!
//! # Uploads
//!
//! A file never shows up half. An upload goes to a temporary, is flushed to the disk, takes the
//! place of the old file in one step, and [`Sink::commit`] returns only then. Until that the old
//! file is whole and readable. Uploads to the same name at the same time do not mix: each has its
//! own temporary, and the last to commit stays.
//!
//! What goes on with an existing file works in place, as every client expects: [`Upload::Append`],
//! and [`Upload::Resume`] of a file that is already there. In place means that a cut leaves what
//! was written so far, that bytes behind the last one written stay (vsftpd and proftpd do the same,
//! pure-ftpd cuts the file at the offset), and that an offset behind the end is refused
//! (proftpd's 554; vsftpd would leave a hole, pure-ftpd would silently go back to the end).
//!
//! # What remains of a cut upload
//!
//! When an upload to a temporary is cut and the driver says so ([`Sink::abandon`]), what was
//! received is kept for resume, out of sight:
//!
//! - Nobody can list, read, rename or delete it: it has no name that a path could reach.
//! - While no file has the name, [`Storage::size`], which answers SIZE, gives the length of the
//!   part kept. That is what `put -c`, `curl -C -` and the like ask before they resume.
//! - [`Upload::Resume`] from an offset within the part continues it, and so does
//!   [`Upload::Append`] while no file has the name. Both end in the same single step.
//! - **The last byte received is given up**, so that the part is never as long as the whole: a
//!   client that compares lengths cannot take an upload that was never completed for a done one.
//! - Where the cut upload was to replace a file, that file is what SIZE tells. Resume then still
//!   means the part: continuing the old file would join the head of one to the tail of the other.
//!   An offset behind the part is [`Reason::BeyondEnd`], and clients begin anew. A file that was
//!   changed after the cut makes the part out of date.
//! - It belongs to the account that sent it. Other accounts neither see nor continue it.
//! - A new upload to the name from the start, [`Storage::delete`] of the name, and time remove it.
//!
//! A sink that is dropped, an upload that ran out of space, and a killed process keep nothing: what
//! remains is known to be good only where it was kept on purpose. After `TYPE A` the driver must
//! not keep: offsets in translated text mean nothing (RFC 3659 §5.1 has REST for image only).

mod error;
pub mod owners;
mod unique;

pub mod disk;
pub mod memory;
#[cfg(test)]
mod tests;

use std::fs::File;

use twoport_proto::path::VirtualPath;
pub use twoport_proto::server::Upload;
use twoport_proto::time::Timestamp;

pub use disk::Disk;
pub use error::{Operation, Reason, Result, StorageError};
pub use memory::Memory;

/// What uploads are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A disk, which may have to be waited for.
    Disk,
    /// Memory: nothing waits.
    Memory,
}

/// Begins an upload that was checked, in place of [`Storage::begin_upload`], with what was found then.
/// Dropped, it leaves nothing.
pub type Begin = Box<dyn FnOnce(Coming) -> Result<Box<dyn Sink>> + Send>;

/// How the bytes of an upload come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coming {
    /// For as long as the peer likes.
    Slowly,
    /// All at once: they are there.
    AtOnce,
}

/// A tree of files as FTP sees it. Every call may block and none holds a lock between calls.
///
/// Paths are below the storage's root. Unless a method says otherwise, a link in the path is
/// followed as the storage's policy allows.
pub trait Storage: Send + Sync {
    /// What the path leads to.
    fn stat(&self, path: &VirtualPath) -> Result<Stat>;

    /// As [`Storage::stat`], on a thread that must not wait. `None` says nothing: ask there.
    fn stat_at_once(&self, path: &VirtualPath) -> Option<Stat> {
        let _may_have_to_wait = path;
        None
    }

    /// What the name itself is: a link is not followed. What RNFR asks before it answers 350.
    fn stat_itself(&self, path: &VirtualPath) -> Result<Stat>;

    /// How long the file is, and where there is none, how much of a cut upload to that name is
    /// kept: the answer to SIZE, and to nothing else.
    fn size(&self, path: &VirtualPath) -> Result<u64>;

    /// A regular file, to be read from `offset` on. An offset at the end reads nothing; behind it
    /// is [`Reason::BeyondEnd`].
    fn open_read(&self, path: &VirtualPath, offset: u64) -> Result<Box<dyn Source>>;

    /// As [`Storage::open_read`], on a thread that must not wait. `None` says nothing: ask there.
    fn open_read_at_once(&self, path: &VirtualPath, offset: u64) -> Option<Box<dyn Source>> {
        let _may_have_to_wait = (path, offset);
        None
    }

    /// Whether [`Storage::begin_upload`] would be let do its work now, and on what. Touches nothing:
    /// it is for the time before the data connection is up.
    fn check_upload(&self, path: &VirtualPath, how: Upload) -> Result<Medium>;

    /// As [`Storage::check_upload`], on a thread that must not wait, and what was found for the
    /// upload to begin with. `None` says nothing: ask there.
    fn prepare_upload_at_once(&self, path: &VirtualPath, how: Upload) -> Option<(Medium, Begin)> {
        let _may_have_to_wait = (path, how);
        None
    }

    /// A place for the bytes to come. Checks everything anew.
    fn begin_upload(&self, path: &VirtualPath, how: Upload) -> Result<Box<dyn Sink>>;

    /// The entries of a directory, in no order, read as they are asked for. `.`, `..`, what is kept
    /// of cut uploads, and names that no path can hold (with CR or LF) are left out.
    fn list(&self, directory: &VirtualPath) -> Result<Listing>;

    /// A new directory in an existing one.
    fn make_directory(&self, path: &VirtualPath) -> Result<()>;

    /// Removes a directory that holds nothing, or nothing but what is kept of cut uploads.
    fn remove_directory(&self, path: &VirtualPath) -> Result<()>;

    /// Removes a file, or a link and not what it leads to. Where there is only a kept part of an
    /// upload, that.
    fn delete(&self, path: &VirtualPath) -> Result<()>;

    /// Moves a name, in one step. `overwrite` lets it replace a file, never a directory.
    fn rename(&self, from: &VirtualPath, to: &VirtualPath, overwrite: bool) -> Result<()>;

    /// Sets when the file or directory last changed.
    fn set_modified(&self, path: &VirtualPath, modified: Timestamp) -> Result<()>;

    /// Sets who may read, write and execute: the lower nine bits. A directory keeps its set-id and
    /// sticky bits, a file loses them.
    fn set_mode(&self, path: &VirtualPath, mode: u32) -> Result<()>;

    /// How many bytes an upload to the path could still write.
    fn space_left(&self, path: &VirtualPath) -> Result<u64>;

    /// A free name in the directory for STOU, made of `hint` and of letters nobody else draws.
    fn unique_name(&self, directory: &VirtualPath, hint: &[u8]) -> Result<VirtualPath>;
}

/// A file being read. One owner, one cursor.
pub trait Source: Send {
    /// The next bytes, at most a buffer full; 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;

    /// Appends the next bytes, at most so many; 0 at the end.
    fn append(&mut self, out: &mut Vec<u8>, most: usize) -> Result<usize> {
        let start = out.len();
        out.resize(start + most, 0);
        let read = self.read(out.get_mut(start..).unwrap_or_default());
        out.truncate(start + read.as_ref().map_or(0, |read| *read));
        read
    }

    /// The length of the whole file when it was opened, wherever reading began.
    fn size(&self) -> u64;

    /// Whether it is known to lie in memory, where reading waits for nothing.
    fn is_in_memory(&self) -> bool {
        false
    }

    /// The open file with its cursor where reading stands, if there is one: for zero-copy.
    fn as_file(&self) -> Option<&File> {
        None
    }
}

/// A file being received. It ends by [`Sink::commit`] or [`Sink::abandon`]; dropped, it ends as if
/// abandoned with nothing kept.
pub trait Sink: Send {
    /// Takes all the bytes. After an error only [`Sink::abandon`] makes sense; one for want of
    /// room has already given the room back.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes what was received so far durable, without making it the file: what takes time in
    /// [`Sink::commit`], ahead of it.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes what was received the file, durably. After an error the file is the old one, whole,
    /// or (where only the last flush failed) the new one, whole.
    fn commit(self: Box<Self>) -> Result<Stored>;

    /// Gives up. With `keep`, what was received remains for resume, durably; the answer is how
    /// much, which may be nothing. An upload in place has nothing to give up: what was written
    /// is in the file.
    fn abandon(self: Box<Self>, keep: bool) -> Result<u64>;

    /// The open file with its cursor where writing stands, if there is one: for zero-copy, until
    /// [`Sink::flush`].
    fn as_file(&self) -> Option<&File> {
        None
    }
}

/// What an upload came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whether there was a file of that name before.
    pub replaced: bool,
}

/// The entries of a directory in parts, as they are read, one after the other. After an error it
/// ends.
pub type Listing = Box<dyn Iterator<Item = Result<Part>> + Send>;

/// Some entries whose names were read: called on any thread, at any time, it looks at each.
pub type Part = Box<dyn FnOnce() -> Result<Entries> + Send>;

/// Entries of a directory, in its order.
#[derive(Debug, Default)]
pub struct Entries {
    /// One behind the other.
    names: Vec<u8>,
    /// Where each name ends, and what it is.
    stats: Vec<(usize, Stat)>,
}

impl Entries {
    /// Adds one. The name is never one with a slash, CR, LF or NUL; a link is described as a link.
    pub fn push(&mut self, name: &[u8], stat: Stat) {
        self.names.extend_from_slice(name);
        self.stats.push((self.names.len(), stat));
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.stats.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.stats.is_empty()
    }

    /// The name of the entry at this place, and what it is.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<(&[u8], &Stat)> {
        let before = at.checked_sub(1).and_then(|before| self.stats.get(before));
        let (end, stat) = self.stats.get(at)?;
        Some((self.names.get(before.map_or(0, |(end, _)| *end)..*end)?, stat))
    }

    /// A listing of nothing but these.
    #[must_use]
    pub fn into_listing(self) -> Listing {
        Box::new(std::iter::once(Ok(Box::new(|| Ok(self)) as Part)))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Stat)> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; only in listings and from [`Storage::stat_itself`].
    Link,
    /// A FIFO, a socket, a device: shown, never transferred.
    Other,
}

/// What is known of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub size: u64,
    /// When its content last changed.
    pub modified: Timestamp,
    /// Permission bits, with set-id and sticky bits, without the kind.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// How many names it has.
    pub links: u64,
    /// What tells it from all other files (RFC 3659 §7.5.2, `unique`).
    pub identity: Identity,
    /// The text of a link, in a listing, where it is relative and stays below the root: anything
    /// else would show a peer the host's paths.
    pub target: Option<Vec<u8>>,
}

/// A file's number, and the device it lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device.
    pub device: u64,
    /// The number on that device.
    pub inode: u64,
}
