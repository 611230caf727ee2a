//! What one open file is and what is done to it: metadata, flushing, mode, owner, lock, space left.
//!
//! Reading and writing are left to `std::fs::File`.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, FlockOperation, Gid, Mode, Statx, StatxFlags, Uid};

use crate::{Errno, Result};

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A FIFO, a socket, a device: nothing a transfer may touch.
    Other,
}

/// A moment as the kernel counts it: seconds since 1970 in UTC, and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since 1970; negative before.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanoseconds: u32,
}

/// What the kernel knows of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub size: u64,
    /// When its content last changed.
    pub modified: Moment,
    /// Permission bits, with set-id and sticky bits, without the kind.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// How many names it has.
    pub links: u64,
    /// The device it lies on.
    pub device: u64,
    /// Its number on that device.
    pub inode: u64,
}

impl Kind {
    pub(crate) const fn of(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Self::Other,
        }
    }
}

impl From<Statx> for Metadata {
    fn from(statx: Statx) -> Self {
        let mode = u32::from(statx.stx_mode);
        Self {
            kind: Kind::of(FileType::from_raw_mode(mode)),
            size: statx.stx_size,
            modified: Moment {
                seconds: statx.stx_mtime.tv_sec,
                nanoseconds: statx.stx_mtime.tv_nsec,
            },
            mode: mode & 0o7777,
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            links: u64::from(statx.stx_nlink),
            device: rustix::fs::makedev(statx.stx_dev_major, statx.stx_dev_minor),
            inode: statx.stx_ino,
        }
    }
}

/// What is behind an open descriptor.
///
/// # Errors
/// Those of statx(2).
pub fn metadata(open: impl AsFd) -> Result<Metadata> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    Ok(rustix::fs::statx(open, c"", flags, StatxFlags::BASIC_STATS)?.into())
}

/// Whether what is open lies in memory, on a tmpfs: nothing done to it waits.
#[must_use]
pub fn is_in_memory(open: impl AsFd) -> bool {
    /// `f_type` of tmpfs (statfs(2)).
    const TMPFS: u64 = 0x0102_1994;
    rustix::fs::fstatfs(open).is_ok_and(|system| u64::try_from(system.f_type) == Ok(TMPFS))
}

/// Waits until the file's data and metadata are on the disk.
///
/// # Errors
/// `ENOSPC` and `EDQUOT` where space was promised late, `EIO` where the disk failed.
pub fn flush(file: &File) -> Result<()> {
    rustix::fs::fsync(file)
}

/// Cuts the file, or extends it with zeros, to `size` bytes.
///
/// # Errors
/// Those of ftruncate(2).
pub fn truncate(file: &File, size: u64) -> Result<()> {
    rustix::fs::ftruncate(file, size)
}

/// Sets the permission bits.
///
/// # Errors
/// `EPERM` where the file is someone else's.
pub fn set_mode(file: &File, mode: u32) -> Result<()> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
}

/// Gives the file to another owner and group.
///
/// # Errors
/// `EPERM` for anyone but the superuser (and a group the caller is in).
pub fn set_owner(file: &File, uid: u32, gid: u32) -> Result<()> {
    rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

/// Sets the group alone.
///
/// # Errors
/// `EPERM` for a group the caller is not in.
pub fn set_group(file: &File, gid: u32) -> Result<()> {
    rustix::fs::fchown(file, None, Some(Gid::from_raw(gid)))
}

/// Takes the file's lock, which lasts until it is closed, by a killed process too. `false` where
/// somebody holds it.
///
/// # Errors
/// Where the file system has no locks.
pub fn try_lock(file: &File) -> Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

/// How many bytes an ordinary user may still write to the file system that holds it.
///
/// # Errors
/// Those of fstatvfs(3).
pub fn space_left(open: impl AsFd) -> Result<u64> {
    let system = rustix::fs::fstatvfs(open)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}
