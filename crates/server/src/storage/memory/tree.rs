//! The names and files of a storage in memory, and what is decided by looking at them.
//!
//! It has no lock of its own: who holds the tree holds it alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use twoport_proto::path::VirtualPath;
use twoport_proto::time::Timestamp;

use crate::storage::error::{Reason, Result};
use crate::storage::{Identity, Kind, Stat, Upload};

#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<VirtualPath, Node>,
    pub(super) kept: BTreeMap<VirtualPath, Vec<u8>>,
    pub(super) now: Timestamp,
    pub(super) capacity: u64,
    pub(super) next_inode: u64,
    pub(super) draws: u8,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The content of a file; `None` for a directory.
    pub(super) content: Option<Arc<Vec<u8>>>,
    pub(super) modified: Timestamp,
    pub(super) mode: u32,
    pub(super) inode: u64,
}

impl Tree {
    pub(super) fn put(&mut self, path: VirtualPath, content: Option<Vec<u8>>, mode: u32) {
        let inode = self.next_inode;
        self.next_inode += 1;
        let node = Node { content: content.map(Arc::new), modified: self.now, mode, inode };
        self.nodes.insert(path, node);
    }

    /// What a path leads to. A file on the way is not a directory, as the kernel sees it.
    pub(super) fn find(&self, path: &VirtualPath) -> Result<&Node, Reason> {
        match self.nodes.get(path) {
            Some(node) => Ok(node),
            None => {
                self.directory(&path.parent())?;
                Err(Reason::NotFound)
            }
        }
    }

    pub(super) fn directory(&self, path: &VirtualPath) -> Result<&Node, Reason> {
        let node = self.find(path)?;
        if node.content.is_some() { Err(Reason::NotADirectory) } else { Ok(node) }
    }

    /// What has the name, in a directory that must be there.
    pub(super) fn look(&self, path: &VirtualPath) -> Result<Option<&Node>, Reason> {
        match self.find(path) {
            Ok(node) => Ok(Some(node)),
            Err(Reason::NotFound) => self.directory(&path.parent()).map(|_| None),
            Err(reason) => Err(reason),
        }
    }

    pub(super) fn used(&self) -> u64 {
        let files = self.nodes.values().filter_map(|node| node.content.as_deref());
        files.chain(self.kept.values()).map(|content| content.len() as u64).sum()
    }

    pub(super) fn children<'a>(
        &'a self,
        directory: &'a VirtualPath,
    ) -> impl Iterator<Item = (&'a VirtualPath, &'a Node)> {
        let inside = |path: &VirtualPath| !path.is_root() && path.parent() == *directory;
        self.nodes.iter().filter(move |(path, _)| inside(path))
    }
}

impl Node {
    pub(super) fn stat(&self) -> Stat {
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

    pub(super) fn file(&self) -> Result<&Arc<Vec<u8>>, Reason> {
        self.content.as_ref().ok_or(Reason::IsADirectory)
    }
}

/// What an upload does at its end, and the bytes it begins with.
pub(super) struct Plan {
    pub(super) content: Vec<u8>,
    pub(super) at: usize,
    pub(super) overwrite: bool,
    pub(super) in_place: bool,
}

impl Tree {
    pub(super) fn plan(&self, path: &VirtualPath, how: Upload) -> Result<Plan, Reason> {
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

impl Tree {
    pub(super) fn rename(
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
