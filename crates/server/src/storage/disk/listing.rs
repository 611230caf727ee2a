//! The entries of a directory, one system call each, looked at on whichever thread has their part.
//!
//! Nothing is sorted and nothing collected: a directory of a million files costs a buffer a part.

use twoport_proto::path::VirtualPath;
use twoport_sys::Errno;
use twoport_sys::entries::{Entry, Names};
use twoport_sys::file::Kind;

use super::Disk;
use super::hidden::is_hidden;
use super::place::{Links, below, visible};
use crate::storage::error::{During as _, Operation, Reason, StorageError};
use crate::storage::{Entries, Listing, Part, Stat};

/// How the entries of a directory are shown.
#[derive(Clone, Copy)]
struct Shown {
    links: Links,
    /// How many directories lie between the root and this one: how many `..` a shown link may have.
    depth: usize,
}

impl Disk {
    pub(super) fn listing(&self, directory: &VirtualPath) -> Result<Listing, Reason> {
        visible(directory)?;
        let links = self.options().links;
        let entries = self.root().entries(below(directory), links.follow());
        let entries = entries.map_err(Reason::of_resolving)?;
        let shown = Shown { links, depth: directory.names().count() };
        Ok(Box::new(entries.map(move |names| match names {
            Ok(names) => Ok(Box::new(move || shown.look(&names)) as Part),
            Err(error) => Err(StorageError::new(Operation::List, error.into())),
        })))
    }
}

impl Shown {
    fn look(self, names: &Names) -> crate::storage::Result<Entries> {
        let mut entries = Entries::default();
        for entry in names.iter() {
            if let Some(stat) = self.describe(&entry).during(Operation::List)? {
                entries.push(entry.name(), stat);
            }
        }
        Ok(entries)
    }

    /// The entry as peers see it; `None` where they do not, or where it is gone already.
    fn describe(self, entry: &Entry<'_>) -> Result<Option<Stat>, Errno> {
        let name = entry.name();
        if is_hidden(name) || name.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Ok(None);
        }
        let metadata = match entry.lookup() {
            Err(Errno::NOENT) => return Ok(None),
            found => found?,
        };
        let mut stat = Stat::from(metadata);
        if metadata.kind == Kind::Link {
            if self.links == Links::Hide {
                return Ok(None);
            }
            let text = entry.link_target().ok();
            stat.target = text.filter(|text| stays_inside(text, self.depth));
        }
        Ok(Some(stat))
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
