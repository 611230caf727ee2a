//! A storage in memory, for tests: the same behaviour as the disk, and a clock that is set by hand.
//!
//! It has no links, no owners and no rights, and forgets all with its last clone. Parts of cut
//! uploads are kept until they are resumed or forgotten, whatever the clock says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use twoport_proto::path::VirtualPath;
use twoport_proto::time::Timestamp;

use super::error::{During as _, Operation, Reason, Result, StorageError};
use super::{Identity, Kind, Listed, Listing, Sink, Source, Stat, Storage, Stored, Upload, unique};

/// A tree of files in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<Tree>>);

#[derive(Debug)]
struct Tree {
    nodes: BTreeMap<VirtualPath, Node>,
    kept: BTreeMap<VirtualPath, Vec<u8>>,
    now: Timestamp,
    capacity: u64,
    next_inode: u64,
    draws: u8,
}

#[derive(Clone, Debug)]
struct Node {
    /// The content of a file; `None` for a directory.
    content: Option<Arc<Vec<u8>>>,
    modified: Timestamp,
    mode: u32,
    inode: u64,
}

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

impl Tree {
    fn put(&mut self, path: VirtualPath, content: Option<Vec<u8>>, mode: u32) {
        let inode = self.next_inode;
        self.next_inode += 1;
        let node = Node { content: content.map(Arc::new), modified: self.now, mode, inode };
        self.nodes.insert(path, node);
    }

    /// What a path leads to. A file on the way is not a directory, as the kernel sees it.
    fn find(&self, path: &VirtualPath) -> Result<&Node, Reason> {
        match self.nodes.get(path) {
            Some(node) => Ok(node),
            None => {
                self.directory(&path.parent())?;
                Err(Reason::NotFound)
            }
        }
    }

    fn directory(&self, path: &VirtualPath) -> Result<&Node, Reason> {
        let node = self.find(path)?;
        if node.content.is_some() { Err(Reason::NotADirectory) } else { Ok(node) }
    }

    /// What has the name, in a directory that must be there.
    fn look(&self, path: &VirtualPath) -> Result<Option<&Node>, Reason> {
        match self.find(path) {
            Ok(node) => Ok(Some(node)),
            Err(Reason::NotFound) => self.directory(&path.parent()).map(|_| None),
            Err(reason) => Err(reason),
        }
    }

    fn used(&self) -> u64 {
        let files = self.nodes.values().filter_map(|node| node.content.as_deref());
        files.chain(self.kept.values()).map(|content| content.len() as u64).sum()
    }

    fn children<'a>(
        &'a self,
        directory: &'a VirtualPath,
    ) -> impl Iterator<Item = (&'a VirtualPath, &'a Node)> {
        let inside = |path: &VirtualPath| !path.is_root() && path.parent() == *directory;
        self.nodes.iter().filter(move |(path, _)| inside(path))
    }
}

impl Node {
    fn stat(&self) -> Stat {
        let file = self.content.as_ref();
        Stat {
            kind: if file.is_some() { Kind::File } else { Kind::Directory },
            size: file.map_or(0, |content| content.len() as u64),
            modified: self.modified,
            mode: self.mode,
            uid: 0,
            gid: 0,
            links: 1,
            identity: Identity { device: 0, inode: self.inode },
            target: None,
        }
    }

    fn file(&self) -> Result<&Arc<Vec<u8>>, Reason> {
        self.content.as_ref().ok_or(Reason::IsADirectory)
    }
}

/// What an upload does at its end, and the bytes it begins with.
struct Plan {
    content: Vec<u8>,
    at: usize,
    overwrite: bool,
    in_place: bool,
}

impl Tree {
    fn plan(&self, path: &VirtualPath, how: Upload) -> Result<Plan, Reason> {
        if path.is_root() {
            return Err(Reason::IsADirectory);
        }
        let old = self.look(path)?.map(Node::file).transpose()?;
        let new = |overwrite| Plan { content: Vec::new(), at: 0, overwrite, in_place: false };
        match (how, old) {
            (Upload::Unique | Upload::Replace { overwrite: false }, Some(_)) => Err(Reason::Exists),
            (Upload::Unique | Upload::Replace { overwrite: false }, None) => Ok(new(false)),
            (Upload::Replace { overwrite: true } | Upload::Resume { offset: 0 }, _) => {
                Ok(new(true))
            }
            (Upload::Resume { offset }, old) => match (self.kept.get(path), old) {
                (Some(kept), _) => go_on(kept, offset, false),
                (None, Some(old)) => go_on(old, offset, true),
                (None, None) => Err(Reason::NotFound),
            },
            (Upload::Append, Some(old)) => go_on(old, old.len() as u64, true),
            (Upload::Append, None) => match self.kept.get(path) {
                Some(kept) => go_on(kept, kept.len() as u64, false),
                None => Ok(new(true)),
            },
        }
    }
}

fn go_on(content: &[u8], offset: u64, in_place: bool) -> Result<Plan, Reason> {
    let size = content.len() as u64;
    let at = usize::try_from(offset).ok().filter(|&at| at <= content.len());
    let at = at.ok_or(Reason::BeyondEnd { offset, size })?;
    let content = if in_place { content } else { content.get(..at).unwrap_or_default() };
    Ok(Plan { content: content.to_vec(), at, overwrite: true, in_place })
}

struct MemorySource {
    content: Arc<Vec<u8>>,
    at: usize,
}

impl Source for MemorySource {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let rest = self.content.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.at += count;
        Ok(count)
    }

    fn size(&self) -> u64 {
        self.content.len() as u64
    }
}

struct MemorySink {
    memory: Memory,
    path: VirtualPath,
    plan: Plan,
    spent: bool,
}

impl MemorySink {
    fn publish(&self) -> Result<Stored, Reason> {
        if self.spent {
            return Err(Reason::NoSpace);
        }
        let mut tree = self.memory.tree();
        let old = tree.look(&self.path)?.map(|node| node.file().map(|_| node.mode)).transpose()?;
        if old.is_some() && !self.plan.overwrite {
            return Err(Reason::Exists);
        }
        if !self.plan.in_place {
            tree.put(self.path.clone(), Some(self.plan.content.clone()), old.unwrap_or(0o644));
            tree.kept.remove(&self.path);
        }
        Ok(Stored { size: self.plan.content.len() as u64, replaced: old.is_some() })
    }
}

impl Sink for MemorySink {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut tree = self.memory.tree();
        let room = tree.capacity.saturating_sub(tree.used());
        let size = self.plan.content.len().saturating_add(bytes.len()) as u64;
        if self.spent || size > room {
            self.spent = true;
            self.plan.content.clear();
            return Err(StorageError::new(Operation::Write, Reason::NoSpace));
        }
        let end = self.plan.at.saturating_add(bytes.len()).min(self.plan.content.len());
        self.plan.content.splice(self.plan.at..end, bytes.iter().copied());
        self.plan.at += bytes.len();
        let now = tree.now;
        if let (true, Some(node)) = (self.plan.in_place, tree.nodes.get_mut(&self.path)) {
            node.content = Some(Arc::new(self.plan.content.clone()));
            node.modified = now;
        }
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<Stored> {
        self.publish().during(Operation::Commit)
    }

    fn abandon(self: Box<Self>, keep: bool) -> Result<u64> {
        let kept = self.plan.content.len().saturating_sub(1);
        if !keep || self.spent || self.plan.in_place || kept == 0 {
            return Ok(0);
        }
        let content = self.plan.content.get(..kept).unwrap_or_default().to_vec();
        self.memory.tree().kept.insert(self.path.clone(), content);
        Ok(kept as u64)
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

    fn check_upload(&self, path: &VirtualPath, how: Upload) -> Result<()> {
        self.tree().plan(path, how).map(drop).during(Operation::BeginUpload)
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
        let children = tree.children(directory).filter_map(|(path, node)| {
            Some(Ok(Listed { name: path.name()?.to_vec(), stat: node.stat() }))
        });
        Ok(Box::new(children.collect::<Vec<_>>().into_iter()))
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

impl Tree {
    fn rename(
        &mut self,
        from: &VirtualPath,
        to: &VirtualPath,
        overwrite: bool,
    ) -> Result<(), Reason> {
        if from.is_root() || to.is_root() {
            return Err(Reason::RootDirectory);
        }
        // The disk holds both directories before it looks at the names in them.
        self.directory(&from.parent())?;
        self.directory(&to.parent())?;
        let is_file = self.find(from)?.content.is_some();
        if from == to {
            return Ok(());
        }
        if !is_file && to.is_within(from) {
            return Err(Reason::IntoItself);
        }
        let replaceable = |there: &Node| overwrite && is_file && there.content.is_some();
        if self.look(to)?.is_some_and(|there| !replaceable(there)) {
            return Err(Reason::Exists);
        }
        let moved: Vec<VirtualPath> =
            self.nodes.keys().filter(|path| path.is_within(from)).cloned().collect();
        for old in moved {
            let tail = old.as_bytes().get(from.as_bytes().len()..).unwrap_or_default();
            let name = [to.as_bytes(), tail].concat();
            let new = VirtualPath::root().join(&name).map_err(|_| Reason::NameTooLong)?;
            if let Some(node) = self.nodes.remove(&old) {
                self.nodes.insert(new, node);
            }
        }
        self.kept.remove(to);
        Ok(())
    }
}
