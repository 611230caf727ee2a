//! The entries of a directory, one system call each, as they are asked for.
//!
//! Nothing is sorted and nothing collected: a directory of a million files costs a buffer.

use twoport_proto::path::VirtualPath;
use twoport_sys::Errno;
use twoport_sys::directory::{Entries, Entry};
use twoport_sys::file::Kind;

use super::Disk;
use super::hidden::is_hidden;
use super::place::{Links, below, visible};
use crate::storage::error::{Operation, Reason, Result, StorageError};
use crate::storage::{Listed, Listing, Stat};

struct DiskListing {
    entries: Entries,
    links: Links,
    /// How many directories lie between the root and this one: how many `..` a shown link may have.
    depth: usize,
    ended: bool,
}

impl Disk {
    pub(super) fn listing(&self, directory: &VirtualPath) -> Result<Listing, Reason> {
        visible(directory)?;
        let links = self.options().links;
        let entries = self.root().entries(below(directory), links.follow());
        let entries = entries.map_err(Reason::of_resolving)?;
        let depth = directory.names().count();
        Ok(Box::new(DiskListing { entries, links, depth, ended: false }))
    }
}

impl DiskListing {
    /// The entry as peers see it; `None` where they do not, or where it is gone already.
    fn describe(&self, entry: Entry) -> core::result::Result<Option<Listed>, Errno> {
        let name = entry.name.as_bytes();
        if is_hidden(name) || name.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Ok(None);
        }
        let metadata = match self.entries.lookup(&entry.name) {
            Err(Errno::NOENT) => return Ok(None),
            found => found?,
        };
        let mut stat = Stat::from(metadata);
        if metadata.kind == Kind::Link {
            if self.links == Links::Hide {
                return Ok(None);
            }
            let text = self.entries.link_target(&entry.name).ok();
            stat.target = text.filter(|text| stays_inside(text, self.depth));
        }
        Ok(Some(Listed { name: entry.name.into_bytes(), stat }))
    }
}

impl Iterator for DiskListing {
    type Item = Result<Listed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let described = match self.entries.next() {
                None => break,
                Some(entry) => entry.and_then(|entry| self.describe(entry)),
            };
            match described {
                Ok(None) => {}
                Ok(Some(listed)) => return Some(Ok(listed)),
                Err(error) => {
                    self.ended = true;
                    return Some(Err(StorageError::new(Operation::List, error.into())));
                }
            }
        }
        self.ended = true;
        None
    }
}

/// Whether a link's text, read from `depth` directories below the root, names nothing above it,
/// and no control byte that would break a line.
fn stays_inside(text: &[u8], depth: usize) -> bool {
    let mut depth = Some(depth);
    for name in text.split(|&byte| byte == b'/') {
        depth = match name {
            b"" | b"." => depth,
            b".." => depth.and_then(|depth| depth.checked_sub(1)),
            _ => depth.map(|depth| depth + 1),
        };
        if depth.is_none() {
            return false;
        }
    }
    text.first() != Some(&b'/') && !text.iter().any(|byte| matches!(byte, b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_that_stay_are_shown() {
        for (text, depth, shown) in [
            ("a", 0, true),
            ("../a", 1, true),
            ("../a", 0, false),
            ("a/../../b", 0, false),
            ("a/../b", 0, true),
            ("/a", 3, false),
            ("a\nb", 0, false),
        ] {
            assert_eq!(stays_inside(text.as_bytes(), depth), shown, "{text} at {depth}");
        }
    }
}
