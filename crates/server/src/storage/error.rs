//! Why the storage did not do what it was asked: one reason per thing a user can act upon.
//!
//! It holds no path of the host and no text of the peer: the driver knows which path it asked for,
//! and the map from reason to reply code is the protocol's.

use std::{fmt, io};

use twoport_sys::Errno;

/// What the storage gives, or why not.
pub type Result<T, E = StorageError> = core::result::Result<T, E>;

/// What was asked of the storage, and why it was not done.
#[derive(Debug)]
pub struct StorageError {
    /// What was being done.
    pub operation: Operation,
    /// Why it failed.
    pub reason: Reason,
}

/// The operations of a storage, as they stand in a message: "cannot {operation}: {reason}".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `Storage::stat`, `Storage::stat_itself` and `Storage::size`.
    Stat,
    /// `Storage::open_read`.
    OpenRead,
    /// `Source::read`.
    Read,
    /// `Storage::check_upload` and `Storage::begin_upload`.
    BeginUpload,
    /// `Sink::write`.
    Write,
    /// `Sink::commit`.
    Commit,
    /// `Sink::abandon`.
    Keep,
    /// `Storage::list` and the entries it gives.
    List,
    /// `Storage::make_directory`.
    MakeDirectory,
    /// `Storage::remove_directory`.
    RemoveDirectory,
    /// `Storage::delete`.
    Delete,
    /// `Storage::rename`.
    Rename,
    /// `Storage::set_modified`.
    SetModified,
    /// `Storage::set_mode`.
    SetMode,
    /// `Storage::space_left`.
    SpaceLeft,
    /// `Storage::unique_name`.
    UniqueName,
    /// Removing the leftovers of cut uploads.
    Sweep,
}

/// Why a storage refused or failed.
#[derive(Debug)]
pub enum Reason {
    /// Nothing has that name, or a link of that name leads nowhere.
    NotFound,
    /// A name in the middle of the path, or the one to be listed, is not a directory.
    NotADirectory,
    /// It is a directory, and the operation is for files.
    IsADirectory,
    /// The name is taken.
    Exists,
    /// The directory to be removed holds something.
    NotEmpty,
    /// The file system does not let the server's user do it.
    PermissionDenied,
    /// A symbolic link on the way leads out of the root, or is absolute.
    OutsideRoot,
    /// The file system is mounted read-only.
    ReadOnly,
    /// The disk is full.
    NoSpace,
    /// The owner's quota on the disk is used up.
    QuotaExceeded,
    /// The file would be larger than the file system allows.
    TooLarge,
    /// The name, or the path, is longer than the file system allows.
    NameTooLong,
    /// A FIFO, a socket or a device: there is nothing to transfer.
    NotARegularFile,
    /// The transfer would start behind the end.
    BeyondEnd {
        /// Where it was to start.
        offset: u64,
        /// How much there is.
        size: u64,
    },
    /// The root can be neither removed nor renamed nor replaced.
    RootDirectory,
    /// A directory cannot be moved into itself.
    IntoItself,
    /// Someone else is at it, or moves the directories on the way: later it may work.
    Busy,
    /// The file system, or this storage, cannot do that.
    NotSupported,
    /// The two names lie on different file systems.
    CrossDevice,
    /// Anything else, as the system tells it.
    Io(io::Error),
}

impl StorageError {
    /// An error of `operation`.
    #[must_use]
    pub const fn new(operation: Operation, reason: Reason) -> Self {
        Self { operation, reason }
    }
}

/// Puts the operation to a reason: `resolve(path).during(Operation::Stat)`.
pub(crate) trait During<T> {
    /// The result, with what was being done.
    fn during(self, operation: Operation) -> Result<T>;
}

impl<T, R: Into<Reason>> During<T> for core::result::Result<T, R> {
    fn during(self, operation: Operation) -> Result<T> {
        self.map_err(|reason| StorageError::new(operation, reason.into()))
    }
}

/// An error of a call on names in held directories. `Reason::of_resolving` is for paths.
impl From<Errno> for Reason {
    fn from(errno: Errno) -> Self {
        match errno {
            // A chain of links without end leads nowhere, as a dangling one does; and where links
            // are hidden, one that is met is not there.
            Errno::NOENT | Errno::LOOP => Self::NotFound,
            Errno::NOTDIR => Self::NotADirectory,
            Errno::ISDIR => Self::IsADirectory,
            Errno::EXIST => Self::Exists,
            Errno::NOTEMPTY => Self::NotEmpty,
            Errno::ACCESS | Errno::PERM => Self::PermissionDenied,
            Errno::ROFS => Self::ReadOnly,
            Errno::NOSPC => Self::NoSpace,
            Errno::DQUOT => Self::QuotaExceeded,
            Errno::FBIG => Self::TooLarge,
            Errno::NAMETOOLONG => Self::NameTooLong,
            Errno::NXIO => Self::NotARegularFile,
            Errno::BUSY | Errno::TXTBSY | Errno::AGAIN => Self::Busy,
            Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK | Errno::ILSEQ => Self::NotSupported,
            Errno::XDEV => Self::CrossDevice,
            other => Self::Io(other.into()),
        }
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            None => Self::Io(error),
        }
    }
}

impl Reason {
    /// An error of resolving a path beneath the root, where `EXDEV` means that it leads out.
    pub(crate) fn of_resolving(errno: Errno) -> Self {
        if errno == Errno::XDEV { Self::OutsideRoot } else { errno.into() }
    }

    /// Whether there was no room, for whatever reason.
    #[must_use]
    pub const fn is_out_of_room(&self) -> bool {
        matches!(self, Self::NoSpace | Self::QuotaExceeded | Self::TooLarge)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stat => "look it up",
            Self::OpenRead => "open the file",
            Self::Read => "read the file",
            Self::BeginUpload => "begin the upload",
            Self::Write => "write the upload",
            Self::Commit => "complete the upload",
            Self::Keep => "keep the received part",
            Self::List => "list the directory",
            Self::MakeDirectory => "make the directory",
            Self::RemoveDirectory => "remove the directory",
            Self::Delete => "delete the file",
            Self::Rename => "rename it",
            Self::SetModified => "set its date",
            Self::SetMode => "set its mode",
            Self::SpaceLeft => "tell the space left",
            Self::UniqueName => "find a free name",
            Self::Sweep => "remove leftovers of cut uploads",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "nothing has that name",
            Self::NotADirectory => "not a directory",
            Self::IsADirectory => "it is a directory",
            Self::Exists => "the name is taken",
            Self::NotEmpty => "the directory is not empty",
            Self::PermissionDenied => "the server may not do that here",
            Self::OutsideRoot => "a link on the way leads out of the root, or is absolute",
            Self::ReadOnly => "the file system is read-only",
            Self::NoSpace => "no space left on the disk",
            Self::QuotaExceeded => "the disk quota is used up",
            Self::TooLarge => "too large for the file system",
            Self::NameTooLong => "the name is too long for the file system",
            Self::NotARegularFile => "not a regular file",
            Self::BeyondEnd { offset, size } => {
                return write!(f, "offset {offset} is behind the end at {size}");
            }
            Self::RootDirectory => "the root directory stays",
            Self::IntoItself => "a directory cannot move into itself",
            Self::Busy => "in use, try again later",
            Self::NotSupported => "the file system cannot do that",
            Self::CrossDevice => "source and target are on different file systems",
            // An error of the system's own is a number and its text: it names no path.
            Self::Io(error) => return write!(f, "{error}"),
        })
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.operation, self.reason)
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Io(error) => Some(error),
            _ => None,
        }
    }
}
