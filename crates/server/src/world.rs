//! What a logged-in session can reach: its account's files and rights, and how they are shown.
//!
//! It blocks, and is used from threads that may wait.

use std::borrow::Cow;
use std::sync::Arc;

use twoport_proto::list::{Entry, Kind as ListKind, Perm, Special};
use twoport_proto::reason::Reason;
use twoport_proto::time::Timestamp;
use twoport_proto::verb::{Permission, Permissions};

use crate::storage::owners::Owners;
use crate::storage::{self, Kind, Stat, Storage, StorageError};

/// An account's files, and the rules for showing them.
#[derive(Clone)]
pub struct World {
    /// The files.
    pub storage: Arc<dyn Storage>,
    /// What the account may do.
    pub permissions: Permissions,
    /// The names of owners and groups.
    pub owners: Arc<Owners>,
    /// How many entries a listing may have.
    pub listing_limit: u32,
    /// The biggest file that is read to find its size in TYPE A, in bytes.
    pub ascii_size_limit: u64,
    /// Whether the end of an upload in clear is waited with until a killed client would have closed
    /// its control connection, too. Not where uploads are not made durable either.
    pub careful: bool,
    /// The date of today, for the year in listings.
    pub today: fn() -> Timestamp,
}

impl World {
    /// A stat as a line of a listing shows it.
    #[must_use]
    pub fn entry<'a>(&'a self, name: &'a [u8], stat: &'a Stat) -> Entry<'a> {
        let (owner, group) = (self.owners.user(stat.uid), self.owners.group(stat.gid));
        self.entry_of(name, stat, owner, group)
    }

    /// The same where the names of its owner and group are known already.
    #[must_use]
    pub fn entry_of<'a>(
        &self,
        name: &'a [u8],
        stat: &'a Stat,
        owner: Cow<'a, [u8]>,
        group: Cow<'a, [u8]>,
    ) -> Entry<'a> {
        let kind = match stat.kind {
            Kind::File => ListKind::File,
            Kind::Directory => ListKind::Directory,
            Kind::Link => ListKind::Link { target: stat.target.as_deref().map(Into::into) },
            Kind::Other => ListKind::Other(Special::Unknown),
        };
        Entry {
            size: Some(stat.size),
            modified: Some(stat.modified),
            mode: Some(stat.mode),
            links: Some(stat.links),
            owner: Some(owner),
            group: Some(group),
            uid: Some(stat.uid),
            gid: Some(stat.gid),
            unique: Some((stat.identity.device, stat.identity.inode)),
            perm: Some(perm(self.permissions)),
            ..Entry::new(name, kind)
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("permissions", &self.permissions).finish_non_exhaustive()
    }
}

/// The letters of the `perm` fact (RFC 3659 §7.5.5) for what an account may do.
fn perm(permissions: Permissions) -> Perm {
    let letters = [
        (Permission::List, Perm::ENTER | Perm::LIST),
        (Permission::Read, Perm::RETRIEVE),
        (Permission::Write, Perm::APPEND | Perm::CREATE),
        (Permission::Overwrite, Perm::STORE),
        (Permission::Delete, Perm::DELETE | Perm::PURGE),
        (Permission::Rename, Perm::RENAME),
        (Permission::MakeDirectory, Perm::MAKE),
    ];
    let granted = letters.iter().filter(|(permission, _)| permissions.has(*permission));
    granted.fold(Perm::NONE, |sum, (_, letters)| sum | *letters)
}

/// The reason of a reply for what the storage said. Errors that are not the client's doing go to
/// the log as the system gave them.
pub fn reason(error: &StorageError) -> Reason {
    use storage::Reason as S;
    match &error.reason {
        S::NotFound => Reason::NotFound,
        S::NotADirectory => Reason::NotADirectory,
        S::IsADirectory => Reason::IsADirectory,
        S::Exists => Reason::Exists,
        S::NotEmpty => Reason::NotEmpty,
        S::PermissionDenied | S::ReadOnly => Reason::StorageDenied,
        S::OutsideRoot => Reason::OutsideRoot,
        S::NoSpace => Reason::NoSpace,
        S::QuotaExceeded | S::TooLarge => Reason::QuotaExceeded,
        S::NameTooLong => Reason::NameTooLong,
        S::NotARegularFile => Reason::NotAPlainFile,
        S::BeyondEnd { .. } => Reason::BeyondEnd,
        S::RootDirectory => Reason::RootNotRemovable,
        S::IntoItself => Reason::IntoItself,
        S::Busy => Reason::Busy,
        S::NotSupported => Reason::NotSupported,
        S::CrossDevice => Reason::CrossDevice,
        S::Io(_) => {
            tracing::error!(target: "twoport::storage", %error, "the storage failed");
            Reason::LocalError
        }
    }
}
