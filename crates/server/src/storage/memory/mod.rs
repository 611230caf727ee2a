//! A storage in memory, for tests: the same behaviour as the disk, and a clock that is set by hand.
//!
//! It has no links, no owners, no rights and no hidden names, and forgets all with its last clone.
//! Parts of cut uploads are kept until they are resumed or forgotten, whatever the clock says.

mod transfer;
mod tree;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use twoport_proto::path::VirtualPath;
use twoport_proto::time::Timestamp;

use self::transfer::{MemorySink, MemorySource};
use self::tree::{Node, Tree};
use super::error::{During as _, Operation, Reason, Result, StorageError};
use super::{Entries, Listing, Medium, Sink, Source, Stat, Storage, Upload, unique};

/// A tree of files in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<Tree>>);

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty tree with room for ever, in 1970.
    #[must_use]
    pub fn new() -> Self {
        let mut tree = Tree {
            nodes: BTreeMap::new(),
            kept: BTreeMap::new(),
            now: Timestamp::default(),
            capacity: u64::MAX,
            next_inode: 1,
            draws: 0,
        };
        tree.put(VirtualPath::root(), None, 0o755);
        Self(Arc::new(Mutex::new(tree)))
    }

    /// Sets what time it is for files written from now on.
    pub fn set_clock(&self, now: Timestamp) {
        self.tree().now = now;
    }

    /// Sets how many bytes all files and all uploads may have together.
    pub fn set_capacity(&self, bytes: u64) {
        self.tree().capacity = bytes;
    }

    /// Puts a file there, with the directories on the way.
    pub fn put(&self, path: &VirtualPath, content: &[u8]) {
        let mut tree = self.tree();
        let mut directory = path.parent();
        let mut missing = Vec::new();
        while !tree.nodes.contains_key(&directory) {
            missing.push(directory.clone());
            directory = directory.parent();
        }
        for directory in missing {
            tree.put(directory, None, 0o755);
        }
        tree.put(path.clone(), Some(content.to_vec()), 0o644);
    }

    /// The content of a file.
    #[must_use]
    pub fn get(&self, path: &VirtualPath) -> Option<Vec<u8>> {
        let tree = self.tree();
        tree.nodes.get(path)?.content.as_deref().cloned()
    }

    /// The tree, also after a test's thread panicked with it.
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Memory {
    fn stat(&self, path: &VirtualPath) -> Result<Stat> {
        self.tree().find(path).map(Node::stat).during(Operation::Stat)
    }

    fn stat_itself(&self, path: &VirtualPath) -> Result<Stat> {
        self.stat(path)
    }

    fn size(&self, path: &VirtualPath) -> Result<u64> {
        let tree = self.tree();
        let size = match tree.find(path) {
            Err(Reason::NotFound) => {
                tree.kept.get(path).map(|kept| kept.len() as u64).ok_or(Reason::NotFound)
            }
            found => found.and_then(Node::file).map(|content| content.len() as u64),
        };
        size.during(Operation::Stat)
    }

    fn open_read(&self, path: &VirtualPath, offset: u64) -> Result<Box<dyn Source>> {
        let tree = self.tree();
        let content = tree.find(path).and_then(Node::file).during(Operation::OpenRead)?;
        let size = content.len() as u64;
        match usize::try_from(offset) {
            Ok(at) if offset <= size => {
                Ok(Box::new(MemorySource { content: Arc::clone(content), at }))
            }
            _ => Err(StorageError::new(Operation::OpenRead, Reason::BeyondEnd { offset, size })),
        }
    }

    fn check_upload(&self, path: &VirtualPath, how: Upload) -> Result<Medium> {
        self.tree().plan(path, how).map(|_| Medium::Memory).during(Operation::BeginUpload)
    }

    fn begin_upload(&self, path: &VirtualPath, how: Upload) -> Result<Box<dyn Sink>> {
        let mut tree = self.tree();
        let plan = tree.plan(path, how).during(Operation::BeginUpload)?;
        if !plan.in_place {
            tree.kept.remove(path);
        }
        let (memory, path) = (self.clone(), path.clone());
        Ok(Box::new(MemorySink { memory, path, plan, spent: false }))
    }

    fn list(&self, directory: &VirtualPath) -> Result<Listing> {
        let tree = self.tree();
        tree.directory(directory).during(Operation::List)?;
        let mut entries = Entries::default();
        for (path, node) in tree.children(directory) {
            entries.push(path.name().unwrap_or_default(), node.stat());
        }
        Ok(entries.into_listing())
    }

    fn make_directory(&self, path: &VirtualPath) -> Result<()> {
        let mut tree = self.tree();
        match tree.look(path) {
            Ok(None) => {
                tree.put(path.clone(), None, 0o755);
                Ok(())
            }
            Ok(Some(_)) => Err(Reason::Exists),
            Err(reason) => Err(reason),
        }
        .during(Operation::MakeDirectory)
    }

    fn remove_directory(&self, path: &VirtualPath) -> Result<()> {
        let mut tree = self.tree();
        let removable = match tree.directory(path) {
            Err(reason) => Err(reason),
            Ok(_) if path.is_root() => Err(Reason::RootDirectory),
            Ok(_) if tree.children(path).next().is_some() => Err(Reason::NotEmpty),
            Ok(_) => Ok(()),
        };
        removable.during(Operation::RemoveDirectory)?;
        tree.nodes.remove(path);
        tree.kept.retain(|kept, _| !kept.is_within(path));
        Ok(())
    }

    fn delete(&self, path: &VirtualPath) -> Result<()> {
        let mut tree = self.tree();
        if path.is_root() {
            return Err(StorageError::new(Operation::Delete, Reason::RootDirectory));
        }
        let found = tree.find(path).and_then(Node::file).map(drop);
        let was_kept = tree.kept.contains_key(path);
        match found {
            Err(Reason::NotFound) if was_kept => Ok(()),
            found => found,
        }
        .during(Operation::Delete)?;
        tree.nodes.remove(path);
        tree.kept.remove(path);
        Ok(())
    }

    fn rename(&self, from: &VirtualPath, to: &VirtualPath, overwrite: bool) -> Result<()> {
        self.tree().rename(from, to, overwrite).during(Operation::Rename)
    }

    fn set_modified(&self, path: &VirtualPath, modified: Timestamp) -> Result<()> {
        let mut tree = self.tree();
        tree.find(path).during(Operation::SetModified)?;
        if let Some(node) = tree.nodes.get_mut(path) {
            node.modified = modified;
        }
        Ok(())
    }

    fn set_mode(&self, path: &VirtualPath, mode: u32) -> Result<()> {
        if path.is_root() {
            return Err(StorageError::new(Operation::SetMode, Reason::RootDirectory));
        }
        let mut tree = self.tree();
        tree.find(path).during(Operation::SetMode)?;
        if let Some(node) = tree.nodes.get_mut(path) {
            node.mode = mode & 0o777;
        }
        Ok(())
    }

    fn space_left(&self, path: &VirtualPath) -> Result<u64> {
        let tree = self.tree();
        tree.look(path).during(Operation::SpaceLeft)?;
        Ok(tree.capacity.saturating_sub(tree.used()))
    }

    fn unique_name(&self, directory: &VirtualPath, hint: &[u8]) -> Result<VirtualPath> {
        let mut tree = self.tree();
        tree.directory(directory).during(Operation::UniqueName)?;
        loop {
            let name = unique::name(hint, [tree.draws; 16]);
            tree.draws = tree.draws.wrapping_add(1);
            let drawn = directory.join(&name).map_err(|_| Reason::NameTooLong);
            let drawn = drawn.during(Operation::UniqueName)?;
            if !tree.nodes.contains_key(&drawn) {
                return Ok(drawn);
            }
        }
    }
}
