//! A file on the disk being read.
//!
//! It reads no ahead and maps no memory: a file that is cut short while it is sent simply ends.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use twoport_proto::path::VirtualPath;
use twoport_sys::beneath::Purpose;
use twoport_sys::file::metadata;

use super::Disk;
use super::place::below;
use super::plan::must_be_file;
use crate::storage::Source;
use crate::storage::error::{During as _, Operation, Reason, Result};

struct DiskSource {
    file: File,
    size: u64,
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
        let mut file = opened.map_err(Reason::of_resolving)?;
        let now = metadata(&file)?;
        must_be_file(now.kind)?;
        if offset > now.size {
            return Err(Reason::BeyondEnd { offset, size: now.size });
        }
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(DiskSource { file, size: now.size }))
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

    fn size(&self) -> u64 {
        self.size
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.file)
    }
}
