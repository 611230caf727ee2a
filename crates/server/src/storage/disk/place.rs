//! From a path to a held directory and one name in it: everything that changes the tree goes
//! through here, so that a directory renamed meanwhile cannot redirect it.
//!
//! It opens no file and changes nothing.

use twoport_proto::path::VirtualPath;
use twoport_sys::Errno;
use twoport_sys::beneath::{Follow, Root};
use twoport_sys::directory::{Directory, Name};
use twoport_sys::file::{Kind, Metadata};

use super::hidden::is_hidden;
use crate::storage::error::Reason;

/// How many links in a row may stand for one name. Origin: `MAXSYMLINKS` of Linux.
const MAX_LINKS: usize = 40;

/// What is done about symbolic links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// Relative links that stay below the root are followed; all others are refused. The default:
    /// nothing an uploader or a careless administrator links to can open the host.
    ///
    /// An absolute link is refused even if it points below the root: what it says is a path of the
    /// host, and reading it as one below the root (as `RESOLVE_IN_ROOT` does) would lead to a file
    /// nobody meant. Such a link works once it is made relative.
    #[default]
    Refuse,
    /// All links are followed, out of the root too. For trees whose links all are the
    /// administrator's.
    Follow,
    /// Links are neither shown nor followed, as if they were not there.
    Hide,
}

impl Links {
    pub(super) const fn follow(self) -> Follow {
        match self {
            Self::Refuse => Follow::Beneath,
            Self::Follow => Follow::Anywhere,
            Self::Hide => Follow::Never,
        }
    }
}

/// A name in a held directory. The name itself was not followed if it is a link.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) directory: Directory,
    pub(super) name: Name,
}

impl Place {
    /// What has the name now, if anything.
    pub(super) fn look(&self) -> Result<Option<Metadata>, Reason> {
        match self.directory.lookup(&self.name) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where upload data would end up: links at the last name followed.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) old: Option<Metadata>,
}

/// The path as the kernel takes it, below the root: without its leading slash.
pub(super) fn below(path: &VirtualPath) -> &[u8] {
    path.as_bytes().strip_prefix(b"/").unwrap_or_default()
}

/// Refuses a path that names what is hidden: to peers it is not there.
pub(super) fn visible(path: &VirtualPath) -> Result<(), Reason> {
    if path.names().any(is_hidden) { Err(Reason::NotFound) } else { Ok(()) }
}

/// As [`visible`], for a path that is to be made: there it is a name nobody may take.
pub(super) fn may_be_made(path: &VirtualPath) -> Result<(), Reason> {
    visible(&path.parent())?;
    if path.name().is_some_and(is_hidden) { Err(Reason::PermissionDenied) } else { Ok(()) }
}

/// The directory that holds the path's last name, and that name.
pub(super) fn place(root: &Root, path: &VirtualPath, links: Links) -> Result<Place, Reason> {
    let name = Name::new(path.name().ok_or(Reason::RootDirectory)?)?;
    let parent = path.parent();
    let directory = root.directory(below(&parent), links.follow()).map_err(Reason::of_resolving)?;
    Ok(Place { directory, name })
}

/// Where an upload to the path belongs: a link stands for what it leads to, which must be there (a
/// link to nothing must not make a file in a place its maker chose). Where links are hidden, a link
/// is given as it is, for the caller to refuse.
pub(super) fn target(root: &Root, path: &VirtualPath, links: Links) -> Result<Target, Reason> {
    let mut place = place(root, path, links)?;
    let mut base = below(&path.parent()).to_vec();
    for followed in 0..MAX_LINKS {
        match place.look()? {
            None if followed > 0 => return Err(Reason::NotFound),
            Some(metadata) if metadata.kind == Kind::Link && links != Links::Hide => {
                let text = place.directory.link_target(&place.name)?;
                place = step(root, &mut base, &text, links)?;
            }
            old => return Ok(Target { place, old }),
        }
    }
    Err(Reason::NotFound)
}

/// Goes where a link's text says, seen from the directory `base`, and makes that the new base. The
/// kernel resolves the whole anew from the root, so `..` cannot leave it.
fn step(root: &Root, base: &mut Vec<u8>, text: &[u8], links: Links) -> Result<Place, Reason> {
    let (directory, name) = match text.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (text.get(..=slash), text.get(slash + 1..)),
        None => (Some(&b""[..]), Some(text)),
    };
    let (directory, name) = (directory.unwrap_or_default(), name.unwrap_or_default());
    if directory.first() == Some(&b'/') {
        // Only `Links::Follow` lets the kernel take an absolute path.
        base.clear();
    } else if !base.is_empty() {
        base.push(b'/');
    }
    base.extend_from_slice(directory);
    let held = root.directory(base, links.follow()).map_err(Reason::of_resolving)?;
    // A text that ends in `/`, `.` or `..` can only mean a directory.
    let name = Name::new(name).map_err(|_| Reason::IsADirectory)?;
    Ok(Place { directory: held, name })
}
