//! What changes the tree apart from uploads: directories, removal, renames, dates and modes.
//!
//! The last name of a path is never followed here, but by dates and modes, which are for what a
//! link leads to.

use twoport_proto::path::VirtualPath;
use twoport_proto::time::Timestamp;
use twoport_sys::Errno;
use twoport_sys::beneath::Purpose;
use twoport_sys::directory::Existing;
use twoport_sys::file::{self, Kind, Metadata, Moment};

use super::place::{Place, below, may_be_made, target, visible};
use super::{Disk, leftovers};
use crate::storage::error::{Reason, Result};

impl Disk {
    pub(super) fn new_directory(&self, path: &VirtualPath) -> Result<(), Reason> {
        if path.is_root() {
            return Err(Reason::Exists);
        }
        may_be_made(path)?;
        let Place { directory, name } = self.place(path)?;
        directory.create_directory(&name, self.options.directory_mode)?;
        // The umask may have taken bits away; set-group-ID of the parent stays as inherited.
        let made = directory.open_directory(&name)?;
        let mode = file::metadata(&made)?.mode;
        let wanted = mode & 0o7000 | self.options.directory_mode;
        if mode != wanted {
            file::set_mode(&made, wanted)?;
        }
        self.flush(&directory)
    }

    pub(super) fn remove_empty(&self, path: &VirtualPath) -> Result<(), Reason> {
        visible(path)?;
        let Place { directory, name } = self.place(path)?;
        match directory.remove_directory(&name) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                leftovers::clear(&directory.subdirectory(&name)?)?;
                Ok(directory.remove_directory(&name)?)
            }
            removed => Ok(removed?),
        }
    }

    pub(super) fn remove_file(&self, path: &VirtualPath) -> Result<(), Reason> {
        visible(path)?;
        let place = self.place(path)?;
        match self.shown(&place) {
            Err(Reason::NotFound) if self.forget_kept(&place)? => Ok(()),
            Err(reason) => Err(reason),
            Ok(metadata) if metadata.kind == Kind::Directory => Err(Reason::IsADirectory),
            Ok(_) => {
                place.directory.remove(&place.name)?;
                self.forget_kept(&place).map(drop)
            }
        }
    }

    pub(super) fn move_name(
        &self,
        from: &VirtualPath,
        to: &VirtualPath,
        over: bool,
    ) -> Result<(), Reason> {
        visible(from)?;
        may_be_made(to)?;
        let (source, goal) = (self.place(from)?, self.place(to)?);
        let moved = self.shown(&source)?;
        if from == to {
            return Ok(());
        }
        let is_directory = moved.kind == Kind::Directory;
        if is_directory && to.is_within(from) {
            return Err(Reason::IntoItself);
        }
        let only_a_file = |there: Metadata| {
            over && !is_directory && there.kind != Kind::Directory && !self.hides(there.kind)
        };
        if goal.look()?.is_some_and(|there| !only_a_file(there)) {
            return Err(Reason::Exists);
        }
        let existing = if over && !is_directory { Existing::Replaced } else { Existing::Kept };
        match source.directory.rename(&source.name, &goal.directory, &goal.name, existing) {
            // What the kernel says of a directory that links led into itself.
            Err(Errno::INVAL) => return Err(Reason::IntoItself),
            Err(Errno::ISDIR | Errno::NOTEMPTY) => return Err(Reason::Exists),
            renamed => renamed?,
        }
        self.forget_kept(&goal)?;
        self.flush(&goal.directory)?;
        self.flush(&source.directory)
    }

    pub(super) fn date(&self, path: &VirtualPath, modified: Timestamp) -> Result<(), Reason> {
        visible(path)?;
        let moment = Moment { seconds: modified.seconds, nanoseconds: modified.nanoseconds };
        if path.is_root() {
            let root = self.root().directory(b"", self.options.links.follow())?;
            return Ok(root.set_own_modified(moment)?);
        }
        let target = target(self.root(), path, self.options.links)?;
        match target.old {
            Some(old) if !self.hides(old.kind) => {
                Ok(target.place.directory.set_modified(&target.place.name, moment)?)
            }
            _ => Err(Reason::NotFound),
        }
    }

    /// Opens the file or directory to set its mode: by name, a link put in its place meanwhile
    /// would be followed.
    pub(super) fn permit(&self, path: &VirtualPath, mode: u32) -> Result<(), Reason> {
        if path.is_root() {
            return Err(Reason::RootDirectory);
        }
        if self.metadata(path)?.kind == Kind::Other {
            return Err(Reason::NotARegularFile);
        }
        let follow = self.options.links.follow();
        let open = match self.root().file(below(path), Purpose::Read, follow) {
            Err(Errno::ACCESS) => self.root().file(below(path), Purpose::Write, follow),
            opened => opened,
        };
        let open = open.map_err(Reason::of_resolving)?;
        let now = file::metadata(&open)?;
        let kept_bits = match now.kind {
            Kind::Directory => now.mode & 0o7000,
            Kind::File => 0,
            Kind::Link | Kind::Other => return Err(Reason::NotARegularFile),
        };
        Ok(file::set_mode(&open, kept_bits | mode & 0o777)?)
    }
}
