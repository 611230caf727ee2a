//! Jobs: what a session needs done by its storage, its accounts or the network, and what comes back.
//!
//! The driver runs a job wherever it likes and answers with an outcome under the same ticket.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::addr::Family;
use crate::command::{HashAlgorithm, Password};
use crate::list::facts::FactSet;
use crate::path::VirtualPath;
use crate::reason::Reason;
use crate::time::Timestamp;
use crate::verb::Permissions;

/// Names a job, and the file or directory it opened until the transfer under the same ticket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u32);

/// How an upload treats what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// STOR: a new file, or, where `overwrite` says the account may, in place of the old one.
    Replace {
        /// Whether an existing file may be replaced.
        overwrite: bool,
    },
    /// REST and STOR: on from this offset; from 0 it is `Replace` with `overwrite`.
    Resume {
        /// Where the first byte goes.
        offset: u64,
    },
    /// APPE: behind the end, or a new file.
    Append,
    /// STOU: a new file beside, with a name of the storage's choice.
    Unique,
}

/// How a listing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As `ls -l` (LIST).
    Unix,
    /// Names alone (NLST).
    Names,
    /// Facts of RFC 3659 (MLSD).
    Facts(FactSet),
}

/// What a listing shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTarget {
    /// The path as it stands, tried first; options of `ls` are part of the name here.
    pub literal: Option<VirtualPath>,
    /// The path without options. Its last name may be a pattern.
    pub path: VirtualPath,
    /// What NLST writes before the name of a file, or of those that a pattern matched: the
    /// directory as the client gave it, so that the name can be used as it is (RFC 1123 §4.1.2.7).
    pub prefix: Vec<u8>,
    /// How it is written.
    pub form: Form,
    /// Whether a path to a file is listed too (LIST, NLST) or refused (MLSD).
    pub files: bool,
}

/// What an account gives its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it may do.
    pub permissions: Permissions,
    /// Whether its data must be under TLS.
    pub data_tls: bool,
}

impl Grant {
    /// Permissions, and nothing more to say about data than the server's policy.
    #[must_use]
    pub const fn of(permissions: Permissions) -> Self {
        Self { permissions, data_tls: false }
    }
}

/// A piece of work for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// What does this name need to log in? Answered with [`Outcome::Done`] where it is the
    /// password, known or not; with [`Outcome::LoggedIn`] where the certificate of the control
    /// connection is enough; with [`Reason::CertificateOfAnother`] where there is one that is not
    /// this name's, so that the password decides; and else with why the name is refused.
    Identify {
        /// The name given to USER.
        user: Vec<u8>,
        /// Whether the control connection is under TLS now: else its certificate counts for
        /// nothing, and neither may a password come that belongs to TLS.
        secured: bool,
    },
    /// May this user log in? Answered with [`Outcome::LoggedIn`]. The driver's storage is that of
    /// the account from then on.
    LogIn {
        /// The name given to USER.
        user: Vec<u8>,
        /// The password given to PASS.
        password: Password,
    },
    /// Listen for a passive data connection. Answered with [`Outcome::Listening`]; whoever else
    /// than the control peer connects is closed and reported as a stranger.
    Listen(Family),
    /// Is it a directory that may be entered?
    ChangeDirectory(VirtualPath),
    /// The size of a plain file; with `ascii` that of its converted text.
    Size {
        /// The file.
        path: VirtualPath,
        /// Whether TYPE A is in force.
        ascii: bool,
    },
    /// The date of a plain file.
    Modified(VirtualPath),
    /// Set the date.
    SetModified(VirtualPath, Timestamp),
    /// Set the mode, 0 to 0o777.
    SetMode(VirtualPath, u32),
    /// Make a directory.
    MakeDirectory(VirtualPath),
    /// Remove an empty directory.
    RemoveDirectory(VirtualPath),
    /// Delete a file.
    Delete(VirtualPath),
    /// Is there something to rename?
    CheckRename(VirtualPath),
    /// Rename.
    Rename {
        /// What is there.
        from: VirtualPath,
        /// What it shall be called.
        to: VirtualPath,
        /// Whether a file of that name may be replaced.
        overwrite: bool,
    },
    /// The facts of one path as a line without CRLF.
    Facts(VirtualPath, FactSet),
    /// A listing for the control connection (STAT with a path).
    Status(VirtualPath),
    /// The hash of a plain file, or of the bytes from `first` up to but without `behind`.
    Hash {
        /// The file.
        path: VirtualPath,
        /// The algorithm.
        algorithm: HashAlgorithm,
        /// The first byte, and the one behind the last.
        range: Option<(u64, u64)>,
    },
    /// How many bytes can be stored there.
    SpaceLeft(VirtualPath),
    /// Join files into one and delete the parts.
    Combine {
        /// The file that grows.
        target: VirtualPath,
        /// What is appended, in this order.
        parts: Vec<VirtualPath>,
    },
    /// Open a plain file for RETR.
    OpenRead {
        /// The file.
        path: VirtualPath,
        /// Where to begin.
        offset: u64,
        /// How many bytes at most.
        length: Option<u64>,
        /// Whether text is converted.
        ascii: bool,
    },
    /// See whether an upload could begin, touching nothing: the target is opened when data flow.
    OpenWrite {
        /// The file, or for STOU the name it is to resemble.
        path: VirtualPath,
        /// How.
        how: Upload,
        /// Whether text is converted.
        ascii: bool,
        /// How many bytes are to come, if the client has announced it: with so many it is whole.
        size: Option<u64>,
    },
    /// Open a listing for LIST, NLST or MLSD.
    OpenList(ListTarget),
}

/// What became of a job or a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is not, and why.
    Failed(Reason),
    /// The user may log in, and do this.
    LoggedIn(Grant),
    /// The data port listens; this is the address to announce.
    Listening(SocketAddr),
    /// A size, or a space.
    Number(u64),
    /// A date.
    Date(Timestamp),
    /// Lines for the control connection, without CRLF.
    Lines(Vec<Vec<u8>>),
    /// A hash, and the range of bytes it covers, both ends included.
    Digest {
        /// The hash in hexadecimal.
        hex: Vec<u8>,
        /// The first byte.
        first: u64,
        /// The byte behind the last.
        behind: u64,
    },
    /// A file or listing is open under the ticket: its size if it is known, the name if it was
    /// chosen by the storage.
    Opened {
        /// The bytes that will flow, if that is known.
        size: Option<u64>,
        /// The path that STOU got.
        name: Option<VirtualPath>,
    },
    /// All bytes have moved: those of an upload are safe on the disk under their name.
    Moved {
        /// The bytes on the wire.
        bytes: u64,
        /// A listing that was cut at its limit says so here.
        cut: Option<Reason>,
    },
    /// The transfer ended early; nothing of an upload stands under its name.
    Broken {
        /// Why.
        reason: Reason,
        /// The bytes on the wire till then.
        bytes: u64,
    },
}
