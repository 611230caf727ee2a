//! Opening what lies beneath one directory, with the kernel's word that nothing else is reached.
//!
//! A path is resolved by `openat2` in one call: `..`, links and renames during the walk cannot lead
//! out of the root. It needs Linux 5.6; there is no weaker way to fall back to.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use crate::directory::Directory;
use crate::entries::Entries;
use crate::file::{Metadata, metadata};
use crate::{Errno, Result};

/// How often a resolution that lost a race with a rename is tried anew, as openat2(2) advises for
/// `EAGAIN`. Origin: 32, from filepath-securejoin, which container runtimes use for the same call.
const ATTEMPTS: usize = 32;

/// Which symbolic links a resolution may follow. A magic link of `/proc` is never followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// None at all: a link anywhere in the path is `ELOOP`.
    Never,
    /// Relative ones that stay beneath the root: one that leaves it, and every absolute one, is `EXDEV`.
    Beneath,
    /// All: the root no longer confines. Only for an administrator who vouches for the links.
    Anywhere,
}

/// What an opened file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be read.
    Read,
    /// To be written at its cursor.
    Write,
    /// To be read and written.
    Update,
    /// To be written at its end, wherever that is at the moment of each write.
    Append,
}

impl Purpose {
    /// The flags of a file that is opened without ever waiting (a FIFO, a modem line) and without
    /// becoming anyone's controlling terminal.
    pub(crate) fn flags(self) -> OFlags {
        let purpose = match self {
            Self::Read => OFlags::RDONLY,
            Self::Write => OFlags::WRONLY,
            Self::Update => OFlags::RDWR,
            Self::Append => OFlags::WRONLY.union(OFlags::APPEND),
        };
        purpose | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
    }
}

/// A directory that confines every path opened through it.
#[derive(Debug)]
pub struct Root(OwnedFd);

/// Something that exists, held but not opened: its data cannot be read, its metadata can.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl Root {
    /// The directory at `path`, which is the administrator's: its links are followed.
    ///
    /// # Errors
    /// It is not there or not a directory; `ENOSYS` on a kernel without `openat2`.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = Self(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
        root.directory(b"", Follow::Beneath)?;
        Ok(root)
    }

    /// Whatever `below` names.
    ///
    /// # Errors
    /// `EXDEV` where the path leaves the root, `ELOOP` where a link may not be followed, `EAGAIN`
    /// where renames got in the way each time, and all that open(2) lists.
    pub fn handle(&self, below: &[u8], follow: Follow) -> Result<Handle> {
        Ok(Handle(self.resolve(below, OFlags::PATH | OFlags::CLOEXEC, follow)?))
    }

    /// The directory `below` names, held to act on names in it.
    ///
    /// # Errors
    /// As [`Root::handle`], and `ENOTDIR`.
    pub fn directory(&self, below: &[u8], follow: Follow) -> Result<Directory> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Directory::from(self.resolve(below, flags, follow)?))
    }

    /// The names in the directory `below` names.
    ///
    /// # Errors
    /// As [`Root::directory`], and `EACCES` where it may not be read.
    pub fn entries(&self, below: &[u8], follow: Follow) -> Result<Entries> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Entries::new(self.resolve(below, flags, follow)?))
    }

    /// The existing file `below` names, opened without waiting. It may turn out to be anything:
    /// the caller looks at its metadata before it trusts it.
    ///
    /// # Errors
    /// As [`Root::handle`], `EISDIR` for writing to a directory, `ENXIO` for a socket.
    pub fn file(&self, below: &[u8], purpose: Purpose, follow: Follow) -> Result<File> {
        Ok(File::from(self.resolve(below, purpose.flags(), follow)?))
    }

    /// As [`Root::handle`], if nothing has to be waited for: no disk, no network.
    ///
    /// # Errors
    /// As [`Root::handle`]; `EAGAIN` where it would have to wait.
    pub fn handle_at_once(&self, below: &[u8], follow: Follow) -> Result<Handle> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Ok(Handle(self.resolve_with(below, flags, follow, ResolveFlags::CACHED)?))
    }

    /// As [`Root::directory`], if nothing has to be waited for: no disk, no network.
    ///
    /// # Errors
    /// As [`Root::directory`]; `EAGAIN` where it would have to wait.
    pub fn directory_at_once(&self, below: &[u8], follow: Follow) -> Result<Directory> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::CACHED;
        Ok(Directory::from(self.resolve_with(below, flags, follow, resolve)?))
    }

    /// As [`Root::file`], if nothing has to be waited for: no disk, no network.
    ///
    /// # Errors
    /// As [`Root::file`]; `EAGAIN` where it would have to wait.
    pub fn file_at_once(&self, below: &[u8], purpose: Purpose, follow: Follow) -> Result<File> {
        let resolve = ResolveFlags::CACHED;
        Ok(File::from(self.resolve_with(below, purpose.flags(), follow, resolve)?))
    }

    fn resolve(&self, below: &[u8], flags: OFlags, follow: Follow) -> Result<OwnedFd> {
        let mut last = Errno::AGAIN;
        for _ in 0..ATTEMPTS {
            match self.resolve_with(below, flags, follow, ResolveFlags::empty()) {
                Err(error @ (Errno::AGAIN | Errno::INTR)) => last = error,
                opened => return opened,
            }
        }
        Err(last)
    }

    fn resolve_with(
        &self,
        below: &[u8],
        flags: OFlags,
        follow: Follow,
        more: ResolveFlags,
    ) -> Result<OwnedFd> {
        let path = if below.is_empty() { b"." } else { below };
        let resolve = ResolveFlags::NO_MAGICLINKS
            | match follow {
                Follow::Never => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
                Follow::Beneath => ResolveFlags::BENEATH,
                Follow::Anywhere => ResolveFlags::empty(),
            };
        rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve | more)
    }
}

impl Handle {
    /// What it is.
    ///
    /// # Errors
    /// Those of statx(2) on a held file: a network file system that went away.
    pub fn metadata(&self) -> Result<Metadata> {
        metadata(&self.0)
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_above_is_reached() {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        std::fs::create_dir(at("root")).unwrap();
        std::fs::create_dir(at("root/d")).unwrap();
        std::fs::write(at("secret"), b"").unwrap();
        std::fs::write(at("root/f"), b"").unwrap();
        symlink("../secret", at("root/up")).unwrap();
        symlink(at("root/f"), at("root/absolute")).unwrap();
        symlink("../f", at("root/d/inside")).unwrap();
        symlink("loop", at("root/loop")).unwrap();
        let root = Root::open(&at("root")).unwrap();
        for path in ["..", "../secret", "d/../../secret", "up", "absolute", "/etc/passwd", "/"] {
            let refused = root.handle(path.as_bytes(), Follow::Beneath).err();
            assert_eq!(refused, Some(Errno::XDEV), "{path}");
            let refused = root.file(path.as_bytes(), Purpose::Read, Follow::Never).err();
            assert!(matches!(refused, Some(Errno::XDEV | Errno::LOOP)), "{path}: {refused:?}");
        }
        root.handle(b"d/inside", Follow::Beneath).unwrap();
        assert_eq!(root.handle(b"d/inside", Follow::Never).err(), Some(Errno::LOOP));
        assert_eq!(root.handle(b"loop", Follow::Beneath).err(), Some(Errno::LOOP));
        root.handle(b"up", Follow::Anywhere).unwrap();
        root.handle(b"absolute", Follow::Anywhere).unwrap();
    }

    #[test]
    fn what_is_known_is_opened_at_once_and_confined_like_the_rest() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("root")).unwrap();
        std::fs::write(tree.path().join("secret"), b"").unwrap();
        std::fs::write(tree.path().join("root/f"), b"").unwrap();
        let root = Root::open(&tree.path().join("root")).unwrap();
        root.handle_at_once(b"f", Follow::Beneath).unwrap();
        root.directory_at_once(b"", Follow::Beneath).unwrap();
        let refused = root.directory_at_once(b"..", Follow::Beneath).err();
        assert!(matches!(refused, Some(Errno::XDEV | Errno::AGAIN)), "{refused:?}");
        root.file_at_once(b"f", Purpose::Read, Follow::Beneath).unwrap();
        let refused = root.file_at_once(b"../secret", Purpose::Read, Follow::Beneath).err();
        assert!(matches!(refused, Some(Errno::XDEV | Errno::AGAIN)), "{refused:?}");
        let missing = root.file_at_once(b"none", Purpose::Read, Follow::Beneath).err();
        assert!(matches!(missing, Some(Errno::NOENT | Errno::AGAIN)), "{missing:?}");
    }

    #[test]
    fn magic_links_are_never_followed() {
        let root = Root::open(Path::new("/proc")).unwrap();
        for path in ["self/root", "self/cwd", "self/exe", "self/root/etc/passwd"] {
            for follow in [Follow::Never, Follow::Beneath, Follow::Anywhere] {
                let refused = root.handle(path.as_bytes(), follow).err();
                assert!(matches!(refused, Some(Errno::LOOP | Errno::XDEV)), "{path}: {refused:?}");
            }
        }
    }

    #[test]
    fn a_fifo_does_not_wait() {
        let directory = tempfile::tempdir().unwrap();
        let at = File::open(directory.path()).unwrap();
        rustix::fs::mknodat(&at, c"fifo", rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let root = Root::open(directory.path()).unwrap();
        let fifo = root.file(b"fifo", Purpose::Read, Follow::Beneath).unwrap();
        assert_eq!(metadata(&fifo).unwrap().kind, crate::file::Kind::Other);
        drop(fifo);
        let refused = root.file(b"fifo", Purpose::Write, Follow::Beneath).err();
        assert_eq!(refused, Some(Errno::NXIO));
    }
}
