//! A listing on its way out: the entries of a directory as lines, read and formatted as they go.
//!
//! It opens no connection, and knows of each entry only what its storage shows.

mod ahead;

use std::borrow::Cow;

use twoport_net::pump;
use twoport_proto::glob::Glob;
use twoport_proto::list::{facts, names, unix};
use twoport_proto::path::VirtualPath;
use twoport_proto::reason::Reason;
use twoport_proto::server::{Form, ListTarget};
use twoport_proto::time::Timestamp;

use self::ahead::Ahead;
use crate::storage::{Entries, Listing, Stat};
use crate::world::{World, reason};

/// The lines of a listing.
pub struct Rows {
    lines: Lines,
    parts: Option<Ahead>,
    part: Entries,
    /// How much of the part was looked at.
    at: usize,
    limit: u32,
    glob: Option<Glob>,
    seen: u32,
    cut: bool,
}

impl Rows {
    /// The entries of a directory, or those whose name fits a pattern.
    pub(crate) fn directory(
        world: &World,
        path: &VirtualPath,
        target: &ListTarget,
        glob: Option<Glob>,
    ) -> Result<Self, Reason> {
        let listing = world.storage.list(path).map_err(|error| reason(&error))?;
        let prefix = if glob.is_some() { target.prefix.clone() } else { Vec::new() };
        Ok(Self::new(world, listing, target.form, prefix, glob))
    }

    /// A single file. NLST names it as the client did.
    pub(crate) fn single(
        world: &World,
        path: &VirtualPath,
        stat: Stat,
        target: &ListTarget,
    ) -> Self {
        let mut entries = Entries::default();
        entries.push(path.name().unwrap_or(b"/"), stat);
        Self::new(world, entries.into_listing(), target.form, target.prefix.clone(), None)
    }

    fn new(
        world: &World,
        listing: Listing,
        form: Form,
        prefix: Vec<u8>,
        glob: Option<Glob>,
    ) -> Self {
        Self {
            lines: Lines {
                world: world.clone(),
                form,
                prefix,
                owner: LastName::default(),
                group: LastName::default(),
            },
            parts: Some(Ahead::new(listing)),
            part: Entries::default(),
            at: 0,
            limit: world.listing_limit,
            glob,
            seen: 0,
            cut: false,
        }
    }

    /// Whether the listing ended at its limit.
    #[must_use]
    pub fn cut(&self) -> Option<Reason> {
        self.cut.then_some(Reason::ListingLimit)
    }

    /// Goes on to the next part where this one is at its end; `false` at the end of all.
    fn has_next(&mut self) -> Result<bool, Reason> {
        while self.at >= self.part.len() {
            let Some(part) = self.parts.as_mut().and_then(Iterator::next) else {
                self.parts = None;
                return Ok(false);
            };
            self.part = part.map_err(|error| reason(&error))?;
            self.at = 0;
        }
        Ok(true)
    }
}

impl pump::Source for Rows {
    type Error = Reason;

    fn fill(&mut self, chunk: &mut Vec<u8>) -> Result<(), Reason> {
        const LINE: usize = 512;
        let today = (self.lines.world.today)();
        while chunk.len() + LINE < pump::CHUNK && self.has_next()? {
            if self.seen >= self.limit {
                self.cut = true;
                (self.parts, self.part) = (None, Entries::default());
                break;
            }
            let Some((name, stat)) = self.part.get(self.at) else { break };
            (self.at, self.seen) = (self.at + 1, self.seen + 1);
            if self.glob.as_ref().is_none_or(|glob| glob.matches(name)) {
                self.lines.write(chunk, name, stat, today);
            }
        }
        Ok(())
    }
}

/// How entries become lines.
struct Lines {
    world: World,
    form: Form,
    prefix: Vec<u8>,
    owner: LastName,
    group: LastName,
}

/// The name for the number that was seen last: most entries of a directory have the same owner.
#[derive(Default)]
struct LastName {
    number: Option<u32>,
    name: Vec<u8>,
}

impl LastName {
    fn of<'a>(&mut self, number: u32, find: impl FnOnce(u32) -> Cow<'a, [u8]>) -> Cow<'_, [u8]> {
        if self.number != Some(number) {
            self.name.clear();
            self.name.extend_from_slice(&find(number));
            self.number = Some(number);
        }
        Cow::Borrowed(&self.name)
    }
}

impl Lines {
    fn write(&mut self, out: &mut Vec<u8>, name: &[u8], stat: &Stat, today: Timestamp) {
        let owner = self.owner.of(stat.uid, |uid| self.world.owners.user(uid));
        let group = self.group.of(stat.gid, |gid| self.world.owners.group(gid));
        let entry = self.world.entry_of(name, stat, owner, group);
        match self.form {
            Form::Unix => unix::write(out, &entry, today),
            Form::Facts(selected) => facts::write(out, &entry, selected),
            Form::Names if self.prefix.is_empty() => names::write(out, name),
            Form::Names => names::write(out, &[&self.prefix[..], name].concat()),
        };
    }
}
