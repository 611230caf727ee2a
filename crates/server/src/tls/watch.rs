//! Watches the files that TLS is made of, so that renewed certificates are shown without a signal or
//! a restart.
//!
//! It reads no certificate. It looks at the files from time to time: no event tells of a change on
//! NFS, or where a container's volume is swapped by a symbolic link further up the path.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use twoport_proto::time::Time;

/// How often the files are looked at. Origin: a person who has replaced one sees the line in the log
/// before doubting, and a handful of stat(2) every two seconds is nothing.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);

/// How long certificate and key may fail to fit before it is told. Origin: certbot replaces both
/// within a moment, a person or a deployment's two steps within seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Files, and which content each of them had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<(PathBuf, Option<FileStamp>)>);

/// However a file is replaced, something of this differs: links are followed, and the change time
/// moves even where the modification time is set back to what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Looks at the files. Blocks.
    pub(crate) fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamp = |path: &PathBuf| {
            let facts = fs::metadata(path).ok()?;
            Some(FileStamp {
                file: (facts.dev(), facts.ino()),
                size: facts.len(),
                modified: (facts.mtime(), facts.mtime_nsec()),
                changed: (facts.ctime(), facts.ctime_nsec()),
            })
        };
        Self(files.into_iter().map(|path| (path.clone(), stamp(&path))).collect())
    }

    /// Looks at the same files again. Blocks.
    pub(crate) fn again(&self) -> Self {
        Self::of(self.0.iter().map(|(path, _)| path.clone()))
    }
}

/// What to do after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Rest,
    /// Load the files. If they do not fit, `tell` says whether that is worth a word now.
    Load {
        /// Whether there was time enough to replace all of them.
        tell: bool,
    },
}

/// What was seen of the files since they were loaded.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    seen: Stamp,
    since: Time,
    refused: Option<Stamp>,
}

impl Watch {
    /// Takes the result of a look at the files, of which `loaded` is in use. A change is believed
    /// only when a second look finds the same: what is still being written is left in peace.
    pub(crate) fn look(&mut self, now: Time, loaded: &Stamp, found: Stamp) -> Step {
        if found == *loaded {
            self.refused = None;
            self.seen = found;
            return Step::Rest;
        }
        if self.seen != found {
            self.seen = found;
            self.since = now;
            return Step::Rest;
        }
        if self.refused.as_ref() == Some(&self.seen) {
            return Step::Rest;
        }
        Step::Load { tell: now.since(self.since) >= PATIENCE }
    }

    /// What was seen last is of no use: no second word about it.
    pub(crate) fn refuse(&mut self) {
        self.refused = Some(self.seen.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Time {
        Time(Duration::from_secs(seconds))
    }

    #[test]
    fn each_way_of_replacing_a_file_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("one"), "1").unwrap();
        fs::write(path("two"), "2").unwrap();
        std::os::unix::fs::symlink(path("one"), path("link")).unwrap();
        let mut last = Stamp::of([path("link"), path("missing")]);
        assert_eq!(last, last.again());
        let mut differs = |what: &str| {
            let now = last.again();
            assert_ne!(now, last, "{what}");
            last = now;
        };
        std::os::unix::fs::symlink(path("two"), path("new")).unwrap();
        fs::rename(path("new"), path("link")).unwrap();
        differs("the link points elsewhere");
        fs::write(path("fresh"), "2").unwrap();
        fs::rename(path("fresh"), path("two")).unwrap();
        differs("another file of the same size");
        fs::write(path("missing"), "3").unwrap();
        differs("a file that was not there");
        fs::remove_file(path("link")).unwrap();
        differs("a file that is gone");
    }

    fn stamp(size: u64) -> Stamp {
        let file = FileStamp { file: (1, 1), size, modified: (0, 0), changed: (0, 0) };
        Stamp(vec![(PathBuf::from("certificate"), Some(file))])
    }

    #[test]
    fn a_change_is_believed_when_it_rests() {
        let (mut watch, old) = (Watch::default(), stamp(1));
        assert_eq!(watch.look(at(0), &old, old.clone()), Step::Rest);
        assert_eq!(watch.look(at(2), &old, stamp(2)), Step::Rest, "it may be half written");
        assert_eq!(watch.look(at(4), &old, stamp(3)), Step::Rest, "it was");
        assert_eq!(watch.look(at(6), &old, stamp(3)), Step::Load { tell: false });
        assert_eq!(watch.look(at(8), &stamp(3), stamp(3)), Step::Rest, "loaded");
    }

    #[test]
    fn what_does_not_fit_is_told_once_for_each_change() {
        let (mut watch, old) = (Watch::default(), stamp(1));
        watch.look(at(0), &old, stamp(2));
        for seconds in [2, 4, 6, 8] {
            assert_eq!(watch.look(at(seconds), &old, stamp(2)), Step::Load { tell: false });
        }
        assert_eq!(watch.look(at(10), &old, stamp(2)), Step::Load { tell: true });
        watch.refuse();
        assert_eq!(watch.look(at(12), &old, stamp(2)), Step::Rest);
        assert_eq!(watch.look(at(14), &old, stamp(3)), Step::Rest);
        assert_eq!(watch.look(at(16), &old, stamp(3)), Step::Load { tell: false }, "anew");
        assert_eq!(watch.look(at(18), &old, old.clone()), Step::Rest, "the old one is back");
        watch.look(at(20), &old, stamp(2));
        assert_eq!(watch.look(at(30), &old, stamp(2)), Step::Load { tell: true });
    }
}
