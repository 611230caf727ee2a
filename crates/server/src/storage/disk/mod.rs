//! The storage on a disk: everything beneath one directory, and nothing outside it.
//!
//! It knows no accounts' rights: what the server's user may do, it does. The kernel resolves every
//! path (`twoport_sys::beneath`), and what changes the tree acts on one name in a held directory.
//! No path is checked first and used later.
//!
//! A file that is replaced keeps its mode, and its owner where the server may give files away. It
//! becomes a new file nevertheless: other hard links to the old one, its access list and its
//! extended attributes stay with the old content.

mod change;
mod hidden;
mod leftovers;
mod listing;
mod place;
mod plan;
mod sink;
mod source;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use twoport_proto::path::VirtualPath;
use twoport_proto::time::Timestamp;
use twoport_sys::Errno;
use twoport_sys::beneath::Root;
use twoport_sys::directory::{Directory, Name};
use twoport_sys::file::{self, Kind as FileKind, Metadata, Moment};

use self::place::{Place, below, place, target, visible};
use self::plan::{Ready, must_be_file};
use self::sink::hidden_mode;
use super::error::{During as _, Operation, Reason, Result};
use super::{Begin, Coming, Identity, Kind, Listing, Medium, Sink, Source, Stat, Storage, Upload};

pub use self::leftovers::{Sweep, Swept};
pub use self::place::Links;

/// How a disk is used. Immutable once it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What is done about symbolic links.
    pub links: Links,
    /// Whether an upload, a rename and a new directory are on the disk before they are answered.
    /// Origin of the default, yes: a 226 after which a power cut loses the file is a lie.
    pub durable: bool,
    /// The permission bits of new files, whatever the process's umask is. Origin of the default,
    /// 0644: 0666 less the umask 022 that Linux distributions log in with, and proftpd's default.
    pub file_mode: u32,
    /// The permission bits of new directories. Origin of the default, 0755: as above.
    pub directory_mode: u32,
    /// How long the part of a cut upload is kept for resume; zero keeps none. Origin of the
    /// default, a day: who was cut off in the evening comes back in the morning, and a nightly job
    /// comes back the next night; longer, and forgotten parts fill the disk.
    pub keep: Duration,
    /// Whose cut uploads are kept and continued here.
    pub account: Vec<u8>,
    /// How uploads are stored until they are whole.
    pub temporaries: Temporaries,
}

/// How uploads are stored until they are whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporaries {
    /// Without a name where the file system can do that, so that a killed server leaves nothing.
    #[default]
    Unnamed,
    /// Under a hidden name in the directory of the target.
    Named,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            links: Links::Refuse,
            durable: true,
            file_mode: 0o644,
            directory_mode: 0o755,
            keep: Duration::from_secs(24 * 60 * 60),
            account: Vec::new(),
            temporaries: Temporaries::Unnamed,
        }
    }
}

/// A directory of the host as a storage. Cheap to clone; clones share the open root.
#[derive(Clone, Debug)]
pub struct Disk {
    shared: Arc<Shared>,
    options: Arc<Options>,
}

#[derive(Debug)]
struct Shared {
    root: Root,
    /// Whether unnamed files can be given a name, by device.
    unnamed: Mutex<HashMap<u64, bool>>,
    /// Whether files lie in memory, by device, where nothing but a moment's waiting depends on it.
    in_memory: Mutex<HashMap<u64, bool>>,
}

impl Disk {
    /// The directory at `path`, which the administrator names: links in it are followed.
    ///
    /// # Errors
    /// It is not there, not a directory, or the kernel is older than Linux 5.6.
    pub fn open(path: &Path, options: Options) -> io::Result<Self> {
        let shared = Shared {
            root: Root::open(path)?,
            unnamed: Mutex::default(),
            in_memory: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), options: Arc::new(options) })
    }

    /// The same directory for another account, or with other options.
    #[must_use]
    pub fn with_options(&self, options: Options) -> Self {
        Self { shared: Arc::clone(&self.shared), options: Arc::new(options) }
    }

    /// How the disk is used.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    fn root(&self) -> &Root {
        &self.shared.root
    }

    fn place(&self, path: &VirtualPath) -> Result<Place, Reason> {
        place(self.root(), path, self.options.links)
    }

    /// What a name of its own is, where peers may know.
    fn shown(&self, place: &Place) -> Result<Metadata, Reason> {
        match place.look()? {
            Some(metadata) if self.hides(metadata.kind) => Err(Reason::NotFound),
            Some(metadata) => Ok(metadata),
            None => Err(Reason::NotFound),
        }
    }

    fn hides(&self, kind: FileKind) -> bool {
        kind == FileKind::Link && self.options.links == Links::Hide
    }

    fn metadata(&self, path: &VirtualPath) -> Result<Metadata, Reason> {
        visible(path)?;
        let follow = self.options.links.follow();
        let handle = self.root().handle(below(path), follow).map_err(Reason::of_resolving)?;
        Ok(handle.metadata()?)
    }

    /// The same where the kernel has all that it takes in memory.
    fn metadata_at_once(&self, path: &VirtualPath) -> Option<Metadata> {
        visible(path).ok()?;
        let follow = self.options.links.follow();
        self.root().handle_at_once(below(path), follow).ok()?.metadata().ok()
    }

    /// Waits until the names in the directory are on the disk, if that is wanted.
    fn flush(&self, directory: &Directory) -> Result<(), Reason> {
        if !self.options.durable {
            return Ok(());
        }
        match directory.flush() {
            // A directory that may be changed but not read cannot be flushed by itself.
            Err(Errno::ACCESS) => Ok(()),
            flushed => Ok(flushed?),
        }
    }

    /// Forgets what is kept for the name: it was replaced, deleted or begun anew.
    fn forget_kept(&self, place: &Place) -> Result<bool, Reason> {
        let kept = hidden::kept(&self.options.account, &place.name)?;
        // There is mostly none, and to look takes no lock of the directory.
        let found = place.directory.lookup(&kept);
        match found.and_then(|_| place.directory.remove(&kept)) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn length(&self, path: &VirtualPath) -> Result<u64, Reason> {
        match self.metadata(path) {
            Ok(metadata) => must_be_file(metadata.kind).map(|()| metadata.size),
            Err(Reason::NotFound) => {
                visible(path)?;
                let target = target(self.root(), path, self.options.links)?;
                let kept = self.kept(&target.place, None)?;
                kept.filter(|_| target.old.is_none()).map(|(_, size)| size).ok_or(Reason::NotFound)
            }
            Err(reason) => Err(reason),
        }
    }

    fn room(&self, path: &VirtualPath) -> Result<u64, Reason> {
        visible(path)?;
        let follow = self.options.links.follow();
        match self.root().handle(below(path), follow) {
            Ok(handle) => Ok(file::space_left(&handle)?),
            Err(Errno::NOENT) => Ok(file::space_left(&self.place(path)?.directory)?),
            Err(error) => Err(Reason::of_resolving(error)),
        }
    }

    fn draw_name(&self, directory: &VirtualPath, hint: &[u8]) -> Result<VirtualPath, Reason> {
        visible(directory)?;
        let follow = self.options.links.follow();
        let held = self.root().directory(below(directory), follow).map_err(Reason::of_resolving)?;
        for _ in 0..DRAWS {
            let name = super::unique::name(hint, twoport_sys::random()?);
            let drawn = directory.join(&name).map_err(|_| Reason::NameTooLong)?;
            let taken = held.lookup(&Name::new(name)?);
            if matches!(taken, Err(Errno::NOENT)) {
                return Ok(drawn);
            }
            taken?;
        }
        Err(Reason::Busy)
    }

    /// Locks what is known of devices; a thread that panicked with it left nothing half done.
    fn unnamed(&self) -> std::sync::MutexGuard<'_, HashMap<u64, bool>> {
        self.shared.unnamed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a free name is drawn. Forty random bits meet a taken name once in a long life.
const DRAWS: usize = 8;

impl Storage for Disk {
    fn stat(&self, path: &VirtualPath) -> Result<Stat> {
        self.metadata(path).map(Stat::from).during(Operation::Stat)
    }

    fn stat_at_once(&self, path: &VirtualPath) -> Option<Stat> {
        self.metadata_at_once(path).map(Stat::from)
    }

    fn stat_itself(&self, path: &VirtualPath) -> Result<Stat> {
        if path.is_root() {
            return self.stat(path);
        }
        let shown = visible(path).and_then(|()| self.shown(&self.place(path)?));
        shown.map(Stat::from).during(Operation::Stat)
    }

    fn size(&self, path: &VirtualPath) -> Result<u64> {
        self.length(path).during(Operation::Stat)
    }

    fn open_read(&self, path: &VirtualPath, offset: u64) -> Result<Box<dyn Source>> {
        self.source(path, offset).during(Operation::OpenRead)
    }

    fn open_read_at_once(&self, path: &VirtualPath, offset: u64) -> Option<Box<dyn Source>> {
        self.source_at_once(path, offset)
    }

    fn check_upload(&self, path: &VirtualPath, how: Upload) -> Result<Medium> {
        let plan = self.plan(path, how).and_then(|plan| plan.ask().map(|()| plan));
        plan.map(|plan| plan.medium()).during(Operation::BeginUpload)
    }

    fn prepare_upload_at_once(&self, path: &VirtualPath, how: Upload) -> Option<(Medium, Begin)> {
        if how != (Upload::Replace { overwrite: true }) {
            return None;
        }
        let Ready { place, medium, old } = self.place_at_once(path)?;
        let disk = self.clone();
        let begin = move |coming| {
            // To replace a file takes a name, which this one has for a moment only.
            let named = old.filter(|_| coming == Coming::AtOnce).map(hidden_mode);
            disk.fresh(place, true, medium, named).during(Operation::BeginUpload)
        };
        Some((medium, Box::new(begin)))
    }

    fn begin_upload(&self, path: &VirtualPath, how: Upload) -> Result<Box<dyn Sink>> {
        self.plan(path, how).and_then(|plan| self.sink(plan)).during(Operation::BeginUpload)
    }

    fn list(&self, directory: &VirtualPath) -> Result<Listing> {
        self.listing(directory).during(Operation::List)
    }

    fn make_directory(&self, path: &VirtualPath) -> Result<()> {
        self.new_directory(path).during(Operation::MakeDirectory)
    }

    fn remove_directory(&self, path: &VirtualPath) -> Result<()> {
        self.remove_empty(path).during(Operation::RemoveDirectory)
    }

    fn delete(&self, path: &VirtualPath) -> Result<()> {
        self.remove_file(path).during(Operation::Delete)
    }

    fn rename(&self, from: &VirtualPath, to: &VirtualPath, overwrite: bool) -> Result<()> {
        self.move_name(from, to, overwrite).during(Operation::Rename)
    }

    fn set_modified(&self, path: &VirtualPath, modified: Timestamp) -> Result<()> {
        self.date(path, modified).during(Operation::SetModified)
    }

    fn set_mode(&self, path: &VirtualPath, mode: u32) -> Result<()> {
        self.permit(path, mode).during(Operation::SetMode)
    }

    fn space_left(&self, path: &VirtualPath) -> Result<u64> {
        self.room(path).during(Operation::SpaceLeft)
    }

    fn unique_name(&self, directory: &VirtualPath, hint: &[u8]) -> Result<VirtualPath> {
        self.draw_name(directory, hint).during(Operation::UniqueName)
    }
}

impl From<Metadata> for Stat {
    fn from(metadata: Metadata) -> Self {
        let Moment { seconds, nanoseconds } = metadata.modified;
        Self {
            kind: match metadata.kind {
                FileKind::File => Kind::File,
                FileKind::Directory => Kind::Directory,
                FileKind::Link => Kind::Link,
                FileKind::Other => Kind::Other,
            },
            size: metadata.size,
            modified: Timestamp { seconds, nanoseconds },
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            links: metadata.links,
            identity: Identity { device: metadata.device, inode: metadata.inode },
            target: None,
        }
    }
}
