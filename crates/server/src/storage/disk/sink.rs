//! An upload being received: in a temporary that becomes the file in one step, or in place.
//!
//! What to do was decided in `plan.rs`; this carries it out.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};

use twoport_sys::Errno;
use twoport_sys::beneath::Purpose;
use twoport_sys::directory::{Directory, Existing, Name};
use twoport_sys::file::{self, Kind, Metadata};

use super::place::Place;
use super::plan::{Plan, is_ours, medium, must_be_file};
use super::{Disk, Temporaries, hidden};
use crate::storage::error::{During as _, Operation, Reason, Result, StorageError};
use crate::storage::{Medium, Sink, Stored};

/// A file that is not yet the target.
struct Temporary {
    disk: Disk,
    place: Place,
    file: File,
    /// Its mode and its owner, as they were made.
    own: Metadata,
    /// What is done to it waits for no disk.
    in_memory: bool,
    /// Its hidden name, while it has one.
    name: Option<Name>,
    overwrite: bool,
    /// It ran out of room and was emptied.
    spent: bool,
    /// All of it is on the disk.
    flushed: bool,
}

/// A file, what it is, and its hidden name if it has one.
type Made = (File, Metadata, Option<Name>);

/// Read and write for the owner: nobody else sees an upload before it is whole.
const OWNER_ONLY: u32 = 0o600;

/// The target itself.
struct InPlace {
    file: File,
    /// It was opened to be appended to, where the kernel splices nothing.
    appends: bool,
    durable: bool,
}

impl Disk {
    pub(super) fn sink(&self, plan: Plan) -> Result<Box<dyn Sink>, Reason> {
        match plan {
            Plan::Fresh { place, overwrite } => {
                let medium = medium(&place.directory);
                self.fresh(place, overwrite, medium, None)
            }
            Plan::Continue { place, kept, offset } => self.go_on(place, &kept, offset),
            Plan::InPlace { place, purpose, offset } => self.in_place(&place, purpose, offset),
        }
    }

    /// A temporary from the start, in a directory on this medium; where a mode is given, under a hidden
    /// name, for a moment too short for a sweep to see.
    pub(super) fn fresh(
        &self,
        place: Place,
        overwrite: bool,
        medium: Medium,
        named: Option<u32>,
    ) -> Result<Box<dyn Sink>, Reason> {
        self.forget_kept(&place)?;
        let (file, own, name) = match named {
            Some(mode) => named_temporary(&place.directory, mode)?,
            None => self.temporary(&place.directory)?,
        };
        Ok(Box::new(self.part(place, file, own, (name, medium), overwrite)))
    }

    /// Takes the kept part: whoever renames it first has it.
    fn go_on(&self, place: Place, kept: &Name, offset: u64) -> Result<Box<dyn Sink>, Reason> {
        let live = hidden::live()?;
        match place.directory.rename(kept, &place.directory, &live, Existing::Replaced) {
            Err(Errno::NOENT) => return Err(Reason::Busy),
            renamed => renamed?,
        }
        let file = place.directory.open(&live, Purpose::Update)?;
        lock(&file);
        let own = file::metadata(&file)?;
        let medium = medium(&place.directory);
        let mut part = self.part(place, file, own, (Some(live), medium), true);
        if !is_ours(&own) {
            return Err(Reason::NotFound);
        }
        if offset > own.size {
            return Err(Reason::BeyondEnd { offset, size: own.size });
        }
        file::truncate(&part.file, offset)?;
        part.file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(part))
    }

    fn in_place(
        &self,
        place: &Place,
        purpose: Purpose,
        offset: u64,
    ) -> Result<Box<dyn Sink>, Reason> {
        let mut file = place.directory.open(&place.name, purpose)?;
        let now = file::metadata(&file)?;
        must_be_file(now.kind)?;
        if purpose != Purpose::Append && offset > now.size {
            return Err(Reason::BeyondEnd { offset, size: now.size });
        }
        file.seek(SeekFrom::Start(offset))?;
        let appends = purpose == Purpose::Append;
        Ok(Box::new(InPlace { file, appends, durable: self.options().durable }))
    }

    fn part(
        &self,
        place: Place,
        file: File,
        own: Metadata,
        (name, medium): (Option<Name>, Medium),
        overwrite: bool,
    ) -> Temporary {
        let in_memory = medium == Medium::Memory;
        let (disk, spent, flushed) = (self.clone(), false, false);
        Temporary { disk, place, file, own, in_memory, name, overwrite, spent, flushed }
    }

    fn temporary(&self, directory: &Directory) -> Result<Made, Reason> {
        if self.options().temporaries == Temporaries::Unnamed {
            let mode = self.options().file_mode;
            match directory.create_unnamed(mode) {
                Err(Errno::OPNOTSUPP) => {}
                created => {
                    let file = created?;
                    let mut own = file::metadata(&file)?;
                    if self.can_name(directory, own.device)? {
                        // Now, so that nothing has to be flushed again at the end.
                        if own.mode != mode {
                            file::set_mode(&file, mode)?;
                            own.mode = mode;
                        }
                        return Ok((file, own, None));
                    }
                }
            }
        }
        let made = named_temporary(directory, OWNER_ONLY)?;
        lock(&made.0);
        Ok(made)
    }

    /// Whether an unnamed file here can be given a name at the end: tried once for each device,
    /// before a byte is received, and not found out when gigabytes are.
    fn can_name(&self, directory: &Directory, device: u64) -> Result<bool, Reason> {
        if let Some(&known) = self.unnamed().get(&device) {
            return Ok(known);
        }
        let works = match directory.create_unnamed(self.options().file_mode) {
            Err(Errno::OPNOTSUPP) => false,
            created => {
                let name = hidden::live()?;
                match directory.link_unnamed(&created?, &name) {
                    Err(error @ (Errno::NOSPC | Errno::DQUOT)) => return Err(error.into()),
                    Err(_) => false,
                    Ok(()) => directory.remove(&name).map(|()| true)?,
                }
            }
        };
        self.unnamed().insert(device, works);
        Ok(works)
    }
}

fn named_temporary(directory: &Directory, mode: u32) -> Result<Made, Reason> {
    let name = hidden::live()?;
    let file = directory.create(&name, mode)?;
    let own = file::metadata(&file)?;
    Ok((file, own, Some(name)))
}

/// The mode of what replaces the file, under its hidden name: that of the file, where nobody can do more
/// with it for that.
pub(super) const fn hidden_mode(old: Metadata) -> u32 {
    let all_may_read = old.mode & 0o004 != 0;
    if all_may_read { old.mode & 0o755 } else { OWNER_ONLY }
}

/// Marks a file as being written, for sweeps, which see names. Where there are no locks, its date has
/// to do.
fn lock(file: &File) {
    let _locked = file::try_lock(file);
}

impl Temporary {
    fn durable(&self) -> bool {
        self.disk.options().durable && !self.in_memory
    }

    fn publish(&mut self) -> Result<Stored, Reason> {
        if self.spent {
            return Err(Reason::NoSpace);
        }
        let old = self.place.look()?;
        match old {
            Some(_) if !self.overwrite => return Err(Reason::Exists),
            Some(old) if old.kind == Kind::Directory => return Err(Reason::IsADirectory),
            _ => {}
        }
        self.flushed &= !self.dress(old)?;
        if self.durable() && !self.flushed {
            file::flush(&self.file)?;
        }
        self.put(old.is_some())?;
        self.flush_directory()?;
        Ok(Stored { replaced: old.is_some() })
    }

    /// Gives it the mode and owner it is to have, and says whether that changed it. Set-id bits are
    /// not carried over to new content.
    fn dress(&self, old: Option<Metadata>) -> Result<bool, Reason> {
        let own = self.own;
        let old = old.filter(|old| old.kind == Kind::File);
        let mode = old.map_or_else(|| self.disk.options().file_mode, |old| old.mode & 0o777);
        let is_others = old.filter(|old| (own.uid, own.gid) != (old.uid, old.gid));
        if let Some(old) = is_others
            && file::set_owner(&self.file, old.uid, old.gid).is_err()
        {
            // Only the superuser gives files away: the group may still be possible, and where it
            // is not, the file is the server's, as any new one.
            let _same_group = file::set_group(&self.file, old.gid);
        }
        // A new owner takes set-id bits away, never permissions.
        if own.mode != mode {
            file::set_mode(&self.file, mode)?;
        }
        Ok(own.mode != mode || is_others.is_some())
    }

    /// The single step. An unnamed file can take a free name at once; to replace, it needs a name
    /// of its own for a moment.
    fn put(&mut self, taken: bool) -> Result<(), Reason> {
        let Place { directory, name } = &self.place;
        if self.name.is_none() && !(taken && self.overwrite) {
            match directory.link_unnamed(&self.file, name) {
                Err(Errno::EXIST) if self.overwrite => {}
                linked => return Ok(linked?),
            }
        }
        let live = self.named()?;
        let existing = if self.overwrite { Existing::Replaced } else { Existing::Kept };
        let Place { directory, name } = &self.place;
        directory.rename(&live, directory, name, existing)?;
        self.name = None;
        Ok(())
    }

    /// The hidden name, given to it now if it has none.
    fn named(&mut self) -> Result<Name, Reason> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let live = hidden::live()?;
        lock(&self.file);
        self.place.directory.link_unnamed(&self.file, &live)?;
        self.name = Some(live.clone());
        Ok(live)
    }

    fn flush_directory(&self) -> Result<(), Reason> {
        if !self.durable() {
            return Ok(());
        }
        match self.place.directory.flush() {
            // A drop box, which may be written and not read: the journal that takes the file's
            // metadata takes its new name along.
            Err(Errno::ACCESS) => Ok(file::flush(&self.file)?),
            flushed => Ok(flushed?),
        }
    }

    fn keep(&mut self) -> Result<u64, Reason> {
        let options = self.disk.options();
        let size = file::metadata(&self.file)?.size;
        let kept_size = size.saturating_sub(1);
        if self.spent || kept_size == 0 || options.keep.is_zero() {
            return Ok(0);
        }
        let kept = hidden::kept(&options.account, &self.place.name)?;
        file::truncate(&self.file, kept_size)?;
        if self.durable() {
            file::flush(&self.file)?;
        }
        let live = self.named()?;
        let directory = &self.place.directory;
        directory.rename(&live, directory, &kept, Existing::Replaced)?;
        self.name = None;
        self.flush_directory()?;
        Ok(kept_size)
    }

    /// Gives the room back at once, while the driver still has the sink in its hands.
    fn empty(&mut self) {
        self.spent = true;
        self.remove();
        let _emptied = file::truncate(&self.file, 0);
    }

    /// Takes its name away. Where even that fails, a sweep will find it.
    fn remove(&mut self) {
        if let Some(name) = self.name.take() {
            let _removed = self.place.directory.remove(&name);
        }
    }
}

impl Sink for Temporary {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.spent {
            return Err(StorageError::new(Operation::Write, Reason::NoSpace));
        }
        self.flushed = false;
        let written = self.file.write_all(bytes).during(Operation::Write);
        if written.as_ref().is_err_and(|error| error.reason.is_out_of_room()) {
            self.empty();
        }
        written
    }

    fn flush(&mut self) -> Result<()> {
        if self.durable() && !self.spent {
            file::flush(&self.file).during(Operation::Commit)?;
            self.flushed = true;
        }
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<Stored> {
        self.publish().during(Operation::Commit)
    }

    fn abandon(mut self: Box<Self>, keep: bool) -> Result<u64> {
        if keep { self.keep().during(Operation::Keep) } else { Ok(0) }
    }

    fn as_file(&self) -> Option<&File> {
        (!self.spent).then_some(&self.file)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Sink for InPlace {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).during(Operation::Write)
    }

    fn commit(self: Box<Self>) -> Result<Stored> {
        if self.durable {
            file::flush(&self.file).during(Operation::Commit)?;
        }
        Ok(Stored { replaced: true })
    }

    fn abandon(self: Box<Self>, _keep: bool) -> Result<u64> {
        Ok(0)
    }

    fn as_file(&self) -> Option<&File> {
        (!self.appends).then_some(&self.file)
    }
}
