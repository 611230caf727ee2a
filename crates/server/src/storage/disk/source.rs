//! A file on the disk being read.
//!
//! It reads no ahead and maps no memory: a file that is cut short while it is sent simply ends.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::PoisonError;

use rustix::buffer::spare_capacity;
use twoport_proto::path::VirtualPath;
use twoport_sys::Errno;
use twoport_sys::beneath::Purpose;
use twoport_sys::file::{is_in_memory, metadata};

use super::Disk;
use super::place::below;
use super::plan::must_be_file;
use crate::storage::Source;
use crate::storage::error::{During as _, Operation, Reason, Result};

struct DiskSource {
    file: File,
    size: u64,
    in_memory: bool,
}

impl Disk {
    /// Looks before it opens (opening a FIFO wakes its writer, opening a device acts on it) and
    /// again after it (another could have taken its place).
    pub(super) fn source(
        &self,
        path: &VirtualPath,
        offset: u64,
    ) -> Result<Box<dyn Source>, Reason> {
        must_be_file(self.metadata(path)?.kind)?;
        let follow = self.options().links.follow();
        let opened = self.root().file(below(path), Purpose::Read, follow);
        self.opened_at(opened.map_err(Reason::of_resolving)?, offset)
    }

    /// The same where the kernel has all that it takes in memory; `None` where it would wait, and
    /// where something is wrong, which is better found out and named in peace.
    pub(super) fn source_at_once(
        &self,
        path: &VirtualPath,
        offset: u64,
    ) -> Option<Box<dyn Source>> {
        must_be_file(self.metadata_at_once(path)?.kind).ok()?;
        let (root, follow) = (self.root(), self.options().links.follow());
        let opened = root.file_at_once(below(path), Purpose::Read, follow).ok()?;
        self.opened_at(opened, offset).ok()
    }

    fn opened_at(&self, mut file: File, offset: u64) -> Result<Box<dyn Source>, Reason> {
        let now = metadata(&file)?;
        must_be_file(now.kind)?;
        if offset > now.size {
            return Err(Reason::BeyondEnd { offset, size: now.size });
        }
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        let known = &self.shared.in_memory;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let in_memory = *known.entry(now.device).or_insert_with(|| is_in_memory(&file));
        Ok(Box::new(DiskSource { file, size: now.size, in_memory }))
    }
}

impl Source for DiskSource {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => return read.during(Operation::Read),
            }
        }
    }

    /// Without the zeros that a buffer would be filled with before.
    fn append(&mut self, out: &mut Vec<u8>, most: usize) -> Result<usize> {
        if out.capacity() - out.len() != most {
            let start = out.len();
            out.resize(start + most, 0);
            let read = self.read(out.get_mut(start..).unwrap_or_default());
            out.truncate(start + read.as_ref().map_or(0, |read| *read));
            return read;
        }
        loop {
            match rustix::io::read(&self.file, spare_capacity(out)) {
                Err(Errno::INTR) => {}
                read => return read.map_err(std::io::Error::from).during(Operation::Read),
            }
        }
    }

    fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.file)
    }
}
