//! Files and directories with as few system calls as they can be had for.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, StatxFlags};
use rustix::io::Errno;

use crate::Floor;
use crate::dialogue::Form;

/// What is read at a time. What is shorter is known to be whole.
pub const CHUNK: usize = 64 << 10;

impl Floor {
    /// Where a name of the protocol lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name.trim_start_matches('/'))
    }
}

/// A file being sent.
pub struct Reading {
    file: File,
    /// Whether the last chunk was not full.
    is_over: bool,
}

impl Reading {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, is_over: false })
    }

    /// The next bytes in place of those before; none at the end.
    pub fn next(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        chunk.clear();
        if !self.is_over {
            rustix::io::read(&self.file, spare_capacity(chunk))?;
            self.is_over = chunk.len() < CHUNK;
        }
        Ok(())
    }

    /// Whether that was the last of it.
    pub fn is_over(&self) -> bool {
        self.is_over
    }
}

/// A file being received.
pub struct Writing {
    file: File,
    /// The target, where the file has no name yet.
    target: Option<PathBuf>,
}

impl Writing {
    pub fn open(path: PathBuf, whole: bool) -> io::Result<Self> {
        if !whole {
            return Ok(Self { file: File::create(path)?, target: None });
        }
        let directory = path.parent().unwrap_or(Path::new("/"));
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(directory, flags, Mode::from_raw_mode(0o644))?.into();
        Ok(Self { file, target: Some(path) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Makes what was received the file.
    pub fn commit(self) -> io::Result<()> {
        let Some(target) = self.target else { return Ok(()) };
        let link =
            |name: &Path| rustix::fs::linkat(&self.file, c"", CWD, name, AtFlags::EMPTY_PATH);
        match link(&target) {
            Err(Errno::EXIST) => {
                // One target is stored to by one session here.
                let aside = target.with_extension("part");
                link(&aside)?;
                std::fs::rename(aside, target)
            }
            linked => Ok(linked?),
        }
    }
}

/// All lines of a listing, from one pass over the directory with one call for each entry.
pub fn list(path: &Path, form: Form) -> io::Result<String> {
    let directory = OpenOptions::new().read(true).open(path)?;
    let mut buffer = [MaybeUninit::uninit(); CHUNK];
    let mut names = RawDir::new(&directory, &mut buffer);
    let mut out = String::with_capacity(CHUNK);
    let mut date = (i64::MIN, String::new());
    while let Some(entry) = names.next() {
        let entry = entry?;
        let name = entry.file_name();
        let (Ok(text), false) = (name.to_str(), matches!(name.to_bytes(), b"." | b"..")) else {
            continue;
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let Ok(stat) = rustix::fs::statx(&directory, name, flags, StatxFlags::BASIC_STATS) else {
            continue;
        };
        if date.0 != stat.stx_mtime.tv_sec {
            date = (stat.stx_mtime.tv_sec, dated(stat.stx_mtime.tv_sec, form));
        }
        let (mode, size, date) = (u32::from(stat.stx_mode), stat.stx_size, &date.1);
        let is_directory = FileType::from_raw_mode(mode) == FileType::Directory;
        let written = match form {
            Form::Facts => {
                let kind = if is_directory { "dir" } else { "file" };
                write!(out, "type={kind};size={size};modify={date}; {text}\r\n")
            }
            Form::Unix => {
                let (kind, links) = (if is_directory { 'd' } else { '-' }, stat.stx_nlink);
                let mode = letters(mode);
                let mode = std::str::from_utf8(&mode).unwrap_or_default();
                let (user, group) = (stat.stx_uid, stat.stx_gid);
                write!(
                    out,
                    "{kind}{mode} {links:3} {user:<8} {group:<8} {size:8} {date} {text}\r\n"
                )
            }
        };
        written.map_err(io::Error::other)?;
    }
    Ok(out)
}

fn letters(mode: u32) -> [u8; 9] {
    std::array::from_fn(
        |place| if mode >> (8 - place) & 1 == 1 { b"rwxrwxrwx"[place] } else { b'-' },
    )
}

/// The date in UTC: the calendar's eras of 400 years begin on 1 March, so that the leap day is the last.
fn dated(seconds: i64, form: Form) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, rest) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let (month, day) = ((shifted + 2) % 12, day - (153 * shifted + 2) / 5 + 1);
    let year = year + era * 400 + i64::from(month < 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    match form {
        Form::Facts => format!("{year:04}{:02}{day:02}{hour:02}{minute:02}{second:02}", month + 1),
        Form::Unix => format!("{} {day:2} {hour:02}:{minute:02}", MONTHS[month as usize]),
    }
}
