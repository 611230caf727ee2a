//! The names in a directory: read a buffer at a time, and looked at on whichever thread has them.
//!
//! It sorts nothing, follows no link, and holds no more of a directory than a buffer.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, RawDir};

use crate::directory::{Name, lookup};
use crate::file::{Kind, Metadata};
use crate::{Errno, Result};

/// How much is read at a time: some hundreds of names. Origin: measured, reading a directory of
/// 100,000 costs no less with more.
const BUFFER: usize = 16 * 1024;

/// A directory being read, a buffer of names at a time. After an error it ends.
#[derive(Debug)]
pub struct Entries {
    open: Arc<OwnedFd>,
    buffer: Vec<u8>,
    ended: bool,
}

/// Names that were read at a time, without `.` and `..`.
#[derive(Debug)]
pub struct Names {
    open: Arc<OwnedFd>,
    /// Each with the NUL that ends it.
    text: Vec<u8>,
    /// Where each ends, and what it is, where the file system says so without being asked.
    ends: Vec<(usize, Option<Kind>)>,
}

/// One name read from a directory.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    open: &'a OwnedFd,
    name: &'a CStr,
    /// What it is, where the file system says so without being asked.
    pub kind: Option<Kind>,
}

impl Entries {
    pub(crate) fn new(open: OwnedFd) -> Self {
        Self { open: Arc::new(open), buffer: Vec::new(), ended: false }
    }

    fn read(&mut self) -> Result<Names> {
        let mut names = Names { open: Arc::clone(&self.open), text: Vec::new(), ends: Vec::new() };
        self.buffer.reserve(BUFFER);
        let mut directory = RawDir::new(self.open.as_fd(), self.buffer.spare_capacity_mut());
        while let Some(entry) = directory.next() {
            match entry {
                Ok(entry) => names.push(entry.file_name(), entry.file_type()),
                Err(Errno::INTR) => continue,
                // The directory was removed: it holds nothing any more.
                Err(Errno::NOENT) => break,
                Err(error) => return Err(error),
            }
            // Not into the next buffer, unless this one held nothing but `.` and `..`.
            if directory.is_buffer_empty() && !names.ends.is_empty() {
                break;
            }
        }
        Ok(names)
    }
}

impl Iterator for Entries {
    type Item = Result<Names>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let names = self.read();
        self.ended = names.as_ref().map_or(true, |names| names.ends.is_empty());
        names.map(|names| (!names.ends.is_empty()).then_some(names)).transpose()
    }
}

impl Names {
    fn push(&mut self, name: &CStr, of_type: FileType) {
        if matches!(name.to_bytes(), b"." | b"..") {
            return;
        }
        if self.text.is_empty() {
            self.text.reserve(BUFFER);
        }
        self.text.extend_from_slice(name.to_bytes_with_nul());
        let known = of_type != FileType::Unknown;
        self.ends.push((self.text.len(), known.then(|| Kind::of(of_type))));
    }

    /// The names, in the order they were read.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut start = 0;
        self.ends.iter().filter_map(move |&(end, kind)| {
            let name = self.text.get(std::mem::replace(&mut start, end)..end)?;
            let name = CStr::from_bytes_with_nul(name).ok()?;
            Some(Entry { open: &self.open, name, kind })
        })
    }
}

impl<'a> Entry<'a> {
    /// The bytes of the name.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.name.to_bytes()
    }

    /// The name, to act upon.
    ///
    /// # Errors
    /// `EINVAL` where a file system gives what is no name.
    pub fn to_name(&self) -> Result<Name> {
        Name::new(self.name())
    }

    /// What it is; a link is not followed.
    ///
    /// # Errors
    /// `ENOENT` where it was removed meanwhile.
    pub fn lookup(&self) -> Result<Metadata> {
        lookup(self.open, self.name)
    }

    /// The text of a symbolic link.
    ///
    /// # Errors
    /// `EINVAL` where it is no link.
    pub fn link_target(&self) -> Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(self.open, self.name, Vec::new())?.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::{Follow, Root};

    #[test]
    fn every_name_comes_once_however_many_buffers_they_fill() {
        let directory = tempfile::tempdir().unwrap();
        let expected: Vec<String> = (0..1500).map(|number| format!("file-{number:04}")).collect();
        for name in &expected {
            std::fs::write(directory.path().join(name), b"x").unwrap();
        }
        let root = Root::open(directory.path()).unwrap();
        let parts: Vec<Names> =
            root.entries(b"", Follow::Never).unwrap().map(|names| names.unwrap()).collect();
        assert!(parts.len() > 2, "{} buffers", parts.len());
        let mut read: Vec<String> = parts
            .iter()
            .flat_map(Names::iter)
            .inspect(|entry| assert_eq!(entry.lookup().unwrap().size, 1))
            .map(|entry| String::from_utf8(entry.name().to_vec()).unwrap())
            .collect();
        read.sort();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_directory_that_is_gone_holds_nothing() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("d")).unwrap();
        let root = Root::open(directory.path()).unwrap();
        let mut entries = root.entries(b"d", Follow::Never).unwrap();
        std::fs::remove_dir(directory.path().join("d")).unwrap();
        assert!(entries.next().is_none());
        assert!(entries.next().is_none());
    }
}
