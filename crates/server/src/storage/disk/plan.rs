//! What an upload would do: decided in one place for the check before the data connection is up
//! and for the start of the upload after it.
//!
//! It looks and changes nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use twoport_proto::path::VirtualPath;
use twoport_sys::Errno;
use twoport_sys::beneath::Purpose;
use twoport_sys::directory::{Directory, Name};
use twoport_sys::file::{Kind, Metadata, Moment, is_in_memory};

use super::place::{Place, Target, below, may_be_made, target};
use super::{Disk, hidden};
use crate::storage::error::Reason;
use crate::storage::{Medium, Upload};

/// What an upload will do.
#[derive(Debug)]
pub(super) enum Plan {
    /// Write a temporary from the start.
    Fresh {
        /// Where it goes at the end.
        place: Place,
        /// Whether a file may be there by then.
        overwrite: bool,
    },
    /// Go on with the part kept under the name, from `offset`.
    Continue {
        /// Where it goes at the end.
        place: Place,
        /// The name of the part.
        kept: Name,
        /// Where to go on; the part is at least as long.
        offset: u64,
    },
    /// Write into the file that is there.
    InPlace {
        /// Where it is.
        place: Place,
        /// At its end or at its cursor.
        purpose: Purpose,
        /// Where the cursor goes.
        offset: u64,
    },
}

/// Where an upload can begin at once.
pub(super) struct Ready {
    pub(super) place: Place,
    pub(super) medium: Medium,
    /// What it will replace.
    pub(super) old: Option<Metadata>,
}

impl Plan {
    /// What it would write to.
    pub(super) fn medium(&self) -> Medium {
        match self {
            Self::Fresh { place, .. }
            | Self::Continue { place, .. }
            | Self::InPlace { place, .. } => medium(&place.directory),
        }
    }

    /// Asks whether the kernel would let it happen, without doing anything.
    pub(super) fn ask(&self) -> Result<(), Reason> {
        match self {
            Self::Fresh { place, .. } | Self::Continue { place, .. } => {
                Ok(place.directory.may_change()?)
            }
            Self::InPlace { place, .. } => Ok(place.directory.may_write(&place.name)?),
        }
    }
}

pub(super) fn medium(directory: &Directory) -> Medium {
    if is_in_memory(directory) { Medium::Memory } else { Medium::Disk }
}

impl Disk {
    pub(super) fn plan(&self, path: &VirtualPath, how: Upload) -> Result<Plan, Reason> {
        if path.is_root() {
            return Err(Reason::IsADirectory);
        }
        may_be_made(path)?;
        let Target { place, old } = target(self.root(), path, self.options().links)?;
        if let Some(old) = old {
            must_be_file(old.kind)?;
        }
        match (how, old) {
            (Upload::Unique | Upload::Replace { overwrite: false }, Some(_)) => Err(Reason::Exists),
            (Upload::Unique | Upload::Replace { overwrite: false }, None) => {
                Ok(Plan::Fresh { place, overwrite: false })
            }
            (Upload::Replace { overwrite: true } | Upload::Resume { offset: 0 }, Some(_)) => {
                // The rename at the end would not ask whether the old file may be written.
                place.directory.may_write(&place.name)?;
                Ok(Plan::Fresh { place, overwrite: true })
            }
            (Upload::Replace { overwrite: true } | Upload::Resume { offset: 0 }, None) => {
                Ok(Plan::Fresh { place, overwrite: true })
            }
            (Upload::Resume { offset }, old) => self.resume(place, old, offset),
            (Upload::Append, Some(old)) => {
                Ok(Plan::InPlace { place, purpose: Purpose::Append, offset: old.size })
            }
            (Upload::Append, None) => Ok(match self.kept(&place, None)? {
                Some((kept, offset)) => Plan::Continue { place, kept, offset },
                None => Plan::Fresh { place, overwrite: true },
            }),
        }
    }

    /// Where a plan to replace the file, or to make it, would write, if it is good and the kernel has
    /// in memory all that it takes; `None` where it would wait, and where a link or anything wrong is
    /// there. The directory is held, whatever it is called by then.
    pub(super) fn place_at_once(&self, path: &VirtualPath) -> Option<Ready> {
        may_be_made(path).ok()?;
        let (root, follow) = (self.root(), self.options().links.follow());
        let name = Name::new(path.name()?).ok()?;
        let directory = root.directory_at_once(below(&path.parent()), follow).ok()?;
        let medium = medium(&directory);
        if medium == Medium::Disk
            && !matches!(root.handle_at_once(below(path), follow), Ok(_) | Err(Errno::NOENT))
        {
            return None;
        }
        // Known now, there or not: it is in memory.
        let old = match directory.lookup(&name) {
            Ok(old) => {
                must_be_file(old.kind).ok()?;
                directory.may_write(&name).ok()?;
                Some(old)
            }
            Err(Errno::NOENT) => None,
            Err(_) => return None,
        };
        directory.may_change().ok()?;
        Some(Ready { place: Place { directory, name }, medium, old })
    }

    fn resume(&self, place: Place, old: Option<Metadata>, offset: u64) -> Result<Plan, Reason> {
        match (self.kept(&place, old)?, old) {
            (Some((kept, size)), _) if offset <= size => Ok(Plan::Continue { place, kept, offset }),
            (Some((_, size)), _) => Err(Reason::BeyondEnd { offset, size }),
            (None, Some(old)) if offset <= old.size => {
                Ok(Plan::InPlace { place, purpose: Purpose::Write, offset })
            }
            (None, Some(old)) => Err(Reason::BeyondEnd { offset, size: old.size }),
            (None, None) => Err(Reason::NotFound),
        }
    }

    /// The part this account may continue under the name, and its length.
    pub(super) fn kept(
        &self,
        place: &Place,
        old: Option<Metadata>,
    ) -> Result<Option<(Name, u64)>, Reason> {
        let kept = hidden::kept(&self.options().account, &place.name)?;
        let metadata = match place.directory.lookup(&kept) {
            Ok(metadata) => metadata,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let out_of_date = old.is_some_and(|old| old.modified > metadata.modified)
            || is_older(metadata.modified, self.options().keep);
        let usable = is_ours(&metadata) && metadata.size > 0 && !out_of_date;
        Ok(usable.then_some((kept, metadata.size)))
    }
}

/// Only regular files are transferred: a FIFO would hang, a device would act.
pub(super) const fn must_be_file(kind: Kind) -> Result<(), Reason> {
    match kind {
        Kind::File => Ok(()),
        Kind::Directory => Err(Reason::IsADirectory),
        Kind::Link | Kind::Other => Err(Reason::NotARegularFile),
    }
}

/// Whether a part can be one we left: a local user could put a second name of someone else's file
/// in its place, and have us write there.
pub(super) fn is_ours(metadata: &Metadata) -> bool {
    metadata.kind == Kind::File && metadata.links == 1
}

/// Whether the moment lies further back than `age`. One still to come does not.
pub(super) fn is_older(moment: Moment, age: Duration) -> bool {
    let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
        return false;
    };
    let Ok(seconds) = u64::try_from(moment.seconds) else {
        return true;
    };
    let then = Duration::new(seconds, moment.nanoseconds);
    now.checked_sub(then).is_some_and(|since| since > age)
}
