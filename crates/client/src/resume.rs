//! The part of a download: where it lies, and the note of what the remote file was.
//!
//! It moves no data. All of it blocks: call it on a thread that may.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use twoport_proto::text::escape;
use twoport_proto::time::Timestamp;

/// The longest name of a file. Origin: `NAME_MAX` of Linux and of the BSDs.
const MAX_NAME: usize = 255;

const PART: &str = ".twoport-part";
const NOTE: &str = ".twoport-note";

/// What the remote file was when its download began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// `HOST:PORT/PATH`, escaped.
    pub(crate) from: String,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<Timestamp>,
}

impl Note {
    pub(crate) fn new(
        host: &str,
        path: &[u8],
        size: Option<u64>,
        modified: Option<Timestamp>,
    ) -> Self {
        Self { from: format!("{host} {}", escape(path)), size, modified }
    }

    /// Whether the server said anything that a change would show in.
    const fn can_tell(&self) -> bool {
        self.size.is_some() || self.modified.is_some()
    }

    fn text(&self) -> String {
        let number = |size: u64| size.to_string();
        let size = self.size.map_or_else(|| "-".to_owned(), number);
        let modified = self.modified.map_or_else(|| "-".to_owned(), |date| date.to_string());
        format!("{}\n{size}\n{modified}\n", self.from)
    }
}

/// The files of one download.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) target: PathBuf,
    pub(crate) part: PathBuf,
    note: PathBuf,
}

impl Parts {
    /// Those of a target; `None` if it has no name.
    pub(crate) fn of(target: &Path) -> Option<Self> {
        let name = target.file_name()?;
        let beside = |end: &str| target.with_file_name(hidden(name.as_encoded_bytes(), end));
        Some(Self { target: target.to_owned(), part: beside(PART), note: beside(NOTE) })
    }

    /// The length of a part that belongs to the same remote file; `Err` holds whether there was a
    /// part that does not.
    pub(crate) fn resumable(&self, now: &Note) -> Result<u64, bool> {
        let part = fs::symlink_metadata(&self.part).map_err(|_| false)?;
        let then = fs::read_to_string(&self.note).map_err(|_| true)?;
        if part.is_file() && now.can_tell() && then == now.text() {
            Ok(part.len())
        } else {
            Err(true)
        }
    }

    /// Opens the part: anew, or to go on at `at`. What lies under its name is never followed nor
    /// overwritten, only removed: in a directory of others it may be a link.
    pub(crate) fn open(&self, note: &Note, at: u64) -> io::Result<File> {
        if at > 0 {
            let mut part = OpenOptions::new().write(true).open(&self.part)?;
            part.set_len(at)?;
            part.seek(SeekFrom::Start(at))?;
            return Ok(part);
        }
        self.remove();
        fs::write(&self.note, note.text())?;
        OpenOptions::new().write(true).create_new(true).open(&self.part)
    }

    /// Gives a complete part its name, and the date of the remote file.
    pub(crate) fn commit(&self, modified: Option<Timestamp>, durable: bool) -> io::Result<()> {
        let part = File::options().write(true).open(&self.part)?;
        if let Some(date) = modified.and_then(system_time) {
            part.set_modified(date)?;
        }
        if durable {
            part.sync_all()?;
        }
        fs::rename(&self.part, &self.target)?;
        let _may_be_gone = fs::remove_file(&self.note);
        if durable {
            let directory = self.target.parent().filter(|path| !path.as_os_str().is_empty());
            File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }

    pub(crate) fn length(&self) -> Option<u64> {
        fs::symlink_metadata(&self.part).ok().map(|part| part.len())
    }

    /// Removes part and note, whether they are there or not.
    pub(crate) fn remove(&self) {
        let _may_be_missing = (fs::remove_file(&self.part), fs::remove_file(&self.note));
    }
}

/// `.NAME.twoport-part`; a name too long for that is cut, and told apart by a hash.
fn hidden(name: &[u8], end: &str) -> OsString {
    use std::os::unix::ffi::OsStringExt as _;
    let mut hidden = [b".", name].concat();
    if hidden.len() + end.len() > MAX_NAME {
        let mark = format!("~{:016x}", fnv(name));
        hidden.truncate(MAX_NAME - end.len() - mark.len());
        hidden.extend_from_slice(mark.as_bytes());
    }
    hidden.extend_from_slice(end.as_bytes());
    OsString::from_vec(hidden)
}

/// FNV-1a: it only has to tell names of one directory apart.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn system_time(date: Timestamp) -> Option<SystemTime> {
    let fraction = Duration::from_nanos(date.nanoseconds.into());
    let seconds = Duration::from_secs(date.seconds.unsigned_abs());
    let whole = if date.seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    whole?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_part_goes_on_only_for_the_same_remote_file() {
        let dir = tempfile::tempdir().unwrap();
        let parts = Parts::of(&dir.path().join("a")).unwrap();
        assert!(parts.part.ends_with(".a.twoport-part"));
        let note = Note::new("h:21", b"a", Some(9), None);
        assert_eq!(parts.resumable(&note), Err(false));
        parts.open(&note, 0).unwrap().write_all(b"abc").unwrap();
        assert_eq!(parts.resumable(&note), Ok(3));
        assert_eq!(parts.resumable(&Note { size: Some(10), ..note.clone() }), Err(true));
        assert_eq!(parts.resumable(&Note { from: "other".to_owned(), ..note.clone() }), Err(true));
        parts.open(&note, 3).unwrap().write_all(b"def").unwrap();
        parts.commit(Some(Timestamp::from_seconds(86_400)), true).unwrap();
        assert_eq!(fs::read(&parts.target).unwrap(), b"abcdef");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let modified = fs::metadata(&parts.target).unwrap().modified().unwrap();
        assert_eq!(modified, SystemTime::UNIX_EPOCH + Duration::from_secs(86_400));
        let unknown = Note { size: None, ..note };
        parts.open(&unknown, 0).unwrap();
        assert_eq!(parts.resumable(&unknown), Err(true), "nothing would show a change");
    }

    #[test]
    fn a_link_under_the_name_of_the_part_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, b"whole").unwrap();
        let parts = Parts::of(&dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink(&victim, &parts.part).unwrap();
        let note = Note::new("h:21", b"a", Some(9), None);
        parts.open(&note, 0).unwrap().write_all(b"x").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"whole");
    }

    #[test]
    fn a_long_name_has_a_part_of_its_own() {
        let long = |last: char| format!("{}{last}", "n".repeat(254));
        let [a, b] = ['a', 'b'].map(|last| hidden(long(last).as_bytes(), PART));
        assert!(a != b && a.len() <= MAX_NAME, "{}", a.len());
    }
}
