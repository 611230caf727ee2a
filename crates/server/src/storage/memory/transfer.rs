//! Files of a storage in memory being read and received.
//!
//! A reader holds the content as it was; a sink holds its own until it is committed.

use std::sync::Arc;

use twoport_proto::path::VirtualPath;

use super::Memory;
use super::tree::Plan;
use crate::storage::error::{During as _, Operation, Reason, Result, StorageError};
use crate::storage::{Sink, Source, Stored};

pub(super) struct MemorySource {
    pub(super) content: Arc<Vec<u8>>,
    pub(super) at: usize,
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

pub(super) struct MemorySink {
    pub(super) memory: Memory,
    pub(super) path: VirtualPath,
    pub(super) plan: Plan,
    pub(super) spent: bool,
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
        Ok(Stored { replaced: old.is_some() })
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
