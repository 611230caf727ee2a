//! Acting on one name in a directory that is held open: make, remove, rename, link, date.
//!
//! No function here takes a path or follows a link: where the directory went and what its parents
//! are called meanwhile cannot matter.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{
    Access, AtFlags, CWD, Mode, OFlags, RenameFlags, StatxFlags, Timespec, Timestamps,
};
use rustix::path::Arg;

use crate::beneath::Purpose;
use crate::entries::Entries;
use crate::file::{Kind, Metadata, Moment, metadata};
use crate::{Errno, Result};

/// One name in a directory: no slash, not empty, neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Vec<u8>);

impl Name {
    /// The bytes as a name.
    ///
    /// # Errors
    /// `EINVAL` where they could mean more than one entry of one directory.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = bytes.into();
        let plain = !matches!(bytes.as_slice(), b"" | b"." | b"..")
            && !bytes.iter().any(|byte| matches!(byte, b'/' | 0));
        if plain { Ok(Self(bytes)) } else { Err(Errno::INVAL) }
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What becomes of a name that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced, in one step.
    Replaced,
    /// It stays, and the call is `EEXIST`.
    Kept,
}

/// A directory held open.
#[derive(Debug)]
pub struct Directory(OwnedFd);

impl From<OwnedFd> for Directory {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Directory {
    /// What the directory itself is.
    ///
    /// # Errors
    /// Those of statx(2).
    pub fn metadata(&self) -> Result<Metadata> {
        metadata(&self.0)
    }

    /// What the name is; a link is not followed.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`.
    pub fn lookup(&self, name: &Name) -> Result<Metadata> {
        lookup(&self.0, name.as_bytes())
    }

    /// The text of a symbolic link.
    ///
    /// # Errors
    /// `EINVAL` where it is no link.
    pub fn link_target(&self, name: &Name) -> Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.0, name.as_bytes(), Vec::new())?.into_bytes())
    }

    /// Opens what is there under the name; a link is `ELOOP`.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(&self, name: &Name, purpose: Purpose) -> Result<File> {
        let flags = purpose.flags() | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(&self.0, name.as_bytes(), flags, Mode::empty())?.into())
    }

    /// Opens a directory in this one, to set its mode; a link is refused.
    ///
    /// # Errors
    /// `ENOTDIR`, `EACCES`.
    pub fn open_directory(&self, name: &Name) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name.as_bytes(), flags, Mode::empty())?.into())
    }

    /// Holds a directory in this one; a link is refused.
    ///
    /// # Errors
    /// `ENOTDIR`, for a link too.
    pub fn subdirectory(&self, name: &Name) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(&self.0, name.as_bytes(), flags, Mode::empty())?))
    }

    /// A new, empty file under the name, with `mode` less the process's umask.
    ///
    /// # Errors
    /// `EEXIST` where the name is taken, by a dangling link too.
    pub fn create(&self, name: &Name, mode: u32) -> Result<File> {
        let flags = Purpose::Update.flags() | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(&self.0, name.as_bytes(), flags, Mode::from_raw_mode(mode))?.into())
    }

    /// A new, empty file without a name, with `mode` less the process's umask: it vanishes with the
    /// process, unless [`Directory::link_unnamed`] names it.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on file systems that have no such files (NFS, most of FUSE, FAT).
    pub fn create_unnamed(&self, mode: u32) -> Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.0, c".", flags, Mode::from_raw_mode(mode)) {
            // What a kernel or file system that ignores the flag sees is a directory to be written.
            Err(Errno::ISDIR | Errno::INVAL) => Err(Errno::OPNOTSUPP),
            opened => Ok(opened?.into()),
        }
    }

    /// Names a file made by [`Directory::create_unnamed`] on the same file system.
    ///
    /// # Errors
    /// `EEXIST` where the name is taken; `ENOENT` where neither the kernel (before 6.10) nor a
    /// mounted `/proc` lets an ordinary user do it, or the directory is gone.
    pub fn link_unnamed(&self, file: &File, name: &Name) -> Result<()> {
        match rustix::fs::linkat(file, c"", &self.0, name.as_bytes(), AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT | Errno::PERM | Errno::INVAL) => {}
            linked => return linked,
        }
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::linkat(CWD, path, &self.0, name.as_bytes(), AtFlags::SYMLINK_FOLLOW)
    }

    /// A new directory, with `mode` less the process's umask.
    ///
    /// # Errors
    /// Those of mkdir(2).
    pub fn create_directory(&self, name: &Name, mode: u32) -> Result<()> {
        rustix::fs::mkdirat(&self.0, name.as_bytes(), Mode::from_raw_mode(mode))
    }

    /// Removes a name that is not a directory.
    ///
    /// # Errors
    /// `EISDIR`, and those of unlink(2).
    pub fn remove(&self, name: &Name) -> Result<()> {
        rustix::fs::unlinkat(&self.0, name.as_bytes(), AtFlags::empty())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `ENOTEMPTY`, `ENOTDIR`, and those of rmdir(2).
    pub fn remove_directory(&self, name: &Name) -> Result<()> {
        rustix::fs::unlinkat(&self.0, name.as_bytes(), AtFlags::REMOVEDIR)
    }

    /// Moves a name into `to`, in one step.
    ///
    /// # Errors
    /// Those of rename(2); `EXDEV` between file systems.
    pub fn rename(&self, name: &Name, to: &Self, new: &Name, existing: Existing) -> Result<()> {
        if existing == Existing::Replaced {
            return rustix::fs::renameat(&self.0, name.as_bytes(), &to.0, new.as_bytes());
        }
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.0, name.as_bytes(), &to.0, new.as_bytes(), flags) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                self.rename_by_link(name, to, new)
            }
            renamed => renamed,
        }
    }

    /// What a file system without `RENAME_NOREPLACE` (NFS, some of FUSE) can do: a second name is
    /// as exclusive. What takes no second name (directories, FAT) is left with a look before the
    /// step, and a gap between the two in which another's new file would be replaced.
    fn rename_by_link(&self, name: &Name, to: &Self, new: &Name) -> Result<()> {
        if self.lookup(name)?.kind == Kind::File {
            match rustix::fs::linkat(
                &self.0,
                name.as_bytes(),
                &to.0,
                new.as_bytes(),
                AtFlags::empty(),
            ) {
                Ok(()) => return self.remove(name),
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {}
                Err(error) => return Err(error),
            }
        }
        match to.lookup(new) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => {
                rustix::fs::renameat(&self.0, name.as_bytes(), &to.0, new.as_bytes())
            }
            Err(error) => Err(error),
        }
    }

    /// Sets when the name's content last changed, and leaves when it was last read.
    ///
    /// # Errors
    /// `EPERM` where the file is someone else's.
    pub fn set_modified(&self, name: &Name, modified: Moment) -> Result<()> {
        set_modified(&self.0, name.as_bytes(), modified)
    }

    /// Sets when the directory's own content last changed.
    ///
    /// # Errors
    /// As [`Directory::set_modified`].
    pub fn set_own_modified(&self, modified: Moment) -> Result<()> {
        set_modified(&self.0, b".", modified)
    }

    /// Whether the process may write to the file of that name; a link is not followed.
    ///
    /// # Errors
    /// `EACCES`, `EROFS`, `EPERM` for an immutable file.
    pub fn may_write(&self, name: &Name) -> Result<()> {
        let flags = AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::accessat(&self.0, name.as_bytes(), Access::WRITE_OK, flags)
    }

    /// Whether the process may make and remove names in the directory.
    ///
    /// # Errors
    /// `EACCES`, `EROFS`.
    pub fn may_change(&self) -> Result<()> {
        let access = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(&self.0, c".", access, AtFlags::EACCESS)
    }

    /// Waits until the names in the directory are on the disk.
    ///
    /// # Errors
    /// `EACCES` where the directory may not be read, `EIO`.
    pub fn flush(&self) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = rustix::fs::openat(&self.0, c".", flags, Mode::empty())?;
        match rustix::fs::fsync(open) {
            // How file systems say that their directories need no flush (fsync(2)).
            Err(Errno::INVAL | Errno::ROFS) => Ok(()),
            flushed => flushed,
        }
    }

    /// The names in the directory, from the start.
    ///
    /// # Errors
    /// `EACCES` where the directory may not be read.
    pub fn entries(&self) -> Result<Entries> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Entries::new(rustix::fs::openat(&self.0, c".", flags, Mode::empty())?))
    }
}

/// What one name in a directory is; a link is not followed.
pub(crate) fn lookup(directory: impl AsFd, name: impl Arg) -> Result<Metadata> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    Ok(rustix::fs::statx(directory, name, flags, StatxFlags::BASIC_STATS)?.into())
}

fn set_modified(directory: &OwnedFd, name: &[u8], modified: Moment) -> Result<()> {
    // utimensat(2): leaves the date as it is.
    let unchanged = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    let modified = Timespec { tv_sec: modified.seconds, tv_nsec: i64::from(modified.nanoseconds) };
    let times = Timestamps { last_access: unchanged, last_modification: modified };
    rustix::fs::utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::{Follow, Root};
    use std::io::Write as _;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn held() -> (tempfile::TempDir, Directory) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        let held = root.directory(b"", Follow::Beneath).unwrap();
        (directory, held)
    }

    #[test]
    fn a_name_is_one_component() {
        for bad in ["", ".", "..", "a/b", "/", "a\0b"] {
            assert_eq!(Name::new(bad), Err(Errno::INVAL), "{bad:?}");
        }
        assert_eq!(name("...").as_bytes(), b"...");
    }

    #[test]
    fn an_unnamed_file_gets_a_name_once() {
        let (directory, held) = held();
        let mut file = match held.create_unnamed(0o600) {
            Err(Errno::OPNOTSUPP) => return eprintln!("skipped: no unnamed files here"),
            created => created.unwrap(),
        };
        file.write_all(b"content").unwrap();
        assert!(held.entries().unwrap().next().is_none());
        held.create(&name("taken"), 0o600).unwrap();
        assert_eq!(held.link_unnamed(&file, &name("taken")), Err(Errno::EXIST));
        held.link_unnamed(&file, &name("a")).unwrap();
        assert_eq!(std::fs::read(directory.path().join("a")).unwrap(), b"content");
        assert_eq!(held.lookup(&name("a")).unwrap().mode, 0o600);
    }

    #[test]
    fn a_name_that_is_taken_stays_either_way() {
        let (_directory, held) = held();
        held.create(&name("a"), 0o600).unwrap();
        held.create(&name("b"), 0o600).unwrap();
        held.create_directory(&name("d"), 0o700).unwrap();
        let exists = Err(Errno::EXIST);
        assert_eq!(held.rename(&name("a"), &held, &name("b"), Existing::Kept), exists);
        assert_eq!(held.rename_by_link(&name("a"), &held, &name("b")), exists);
        assert_eq!(held.rename_by_link(&name("d"), &held, &name("b")), exists);
        held.rename_by_link(&name("a"), &held, &name("c")).unwrap();
        held.rename_by_link(&name("d"), &held, &name("e")).unwrap();
        held.rename(&name("c"), &held, &name("b"), Existing::Replaced).unwrap();
        let left = held.entries().unwrap().next().unwrap().unwrap();
        let mut left: Vec<_> = left.iter().map(|entry| entry.name()).collect();
        left.sort();
        assert_eq!(left, [b"b", b"e"]);
    }

    #[test]
    fn links_are_seen_and_not_followed() {
        let (directory, held) = held();
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(secret.path(), directory.path().join("l")).unwrap();
        let before = std::fs::metadata(secret.path()).unwrap().modified().unwrap();
        let link = name("l");
        assert_eq!(held.lookup(&link).unwrap().kind, Kind::Link);
        assert_eq!(held.open(&link, Purpose::Read).err(), Some(Errno::LOOP));
        assert_eq!(held.open(&link, Purpose::Append).err(), Some(Errno::LOOP));
        assert_eq!(held.create(&link, 0o600).err(), Some(Errno::EXIST));
        assert!(held.subdirectory(&link).is_err() && held.open_directory(&link).is_err());
        held.set_modified(&link, Moment { seconds: 1, nanoseconds: 0 }).unwrap();
        held.remove(&link).unwrap();
        assert_eq!(std::fs::metadata(secret.path()).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn a_lock_is_held_until_the_file_is_closed() {
        let (_directory, held) = held();
        let first = held.create(&name("a"), 0o600).unwrap();
        let second = held.open(&name("a"), Purpose::Read).unwrap();
        assert_eq!(crate::file::try_lock(&first), Ok(true));
        assert_eq!(crate::file::try_lock(&second), Ok(false));
        drop(first);
        assert_eq!(crate::file::try_lock(&second), Ok(true));
    }
}
