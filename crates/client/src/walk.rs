//! Trees: every file below a directory, downloaded or uploaded one after another.
//!
//! It follows no link to a directory, deletes nothing, and lets no remote name leave the local
//! directory (basic-ftp CVE-2026-27699, lftp CVE-2018-10916).

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use twoport_proto::list::{Entry, Kind, Precision};
use twoport_proto::path::FtpPath;
use twoport_proto::text::escape;

use crate::data::blocking;
use crate::error::{Class, Error};
use crate::get::GetOptions;
use crate::ops::join;
use crate::put::PutOptions;
use crate::report::{Outcome, Report};
use crate::session::Session;

/// How deep a tree may be. Origin: a path of 4096 bytes holds no more directories that have names
/// of some length; a server that links a directory into itself has no end.
const MAX_DEPTH: usize = 128;

/// One file of a tree.
#[derive(Debug)]
pub struct TreeFile {
    /// The remote path.
    pub remote: FtpPath,
    /// The local path.
    pub local: PathBuf,
    /// What became of it.
    pub result: Result<Report, Error>,
}

/// What became of a tree.
#[derive(Debug, Default)]
pub struct TreeReport {
    /// Each file that was tried.
    pub files: Vec<TreeFile>,
    /// What was left out, and why: names, links, devices.
    pub skipped: Vec<(String, &'static str)>,
}

impl TreeReport {
    /// 0 if every file is there; else that of the first file that is not.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let codes = self.files.iter().map(|file| match &file.result {
            Ok(report) => report.outcome.exit_code(),
            Err(error) => error.class().exit_code(),
        });
        let unconfirmed = Class::Unconfirmed.exit_code();
        let mut worst = 0;
        for code in codes.filter(|code| *code != 0) {
            if code != unconfirmed {
                return code;
            }
            worst = code;
        }
        worst
    }

    /// The bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| file.result.as_ref().ok()).map(|r| r.bytes).sum()
    }

    /// Whether every file was confirmed and nothing left out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let confirmed = |file: &TreeFile| {
            file.result.as_ref().is_ok_and(|report| report.outcome == Outcome::Confirmed)
        };
        self.skipped.is_empty() && self.files.iter().all(confirmed)
    }

    fn skip(&mut self, path: &FtpPath, why: &'static str) {
        self.skipped.push((escape(&path.0), why));
    }
}

impl Session {
    /// Downloads what is below a remote directory into a local one, which is made. A file that
    /// fails does not stop the others.
    ///
    /// # Errors
    /// The directory itself cannot be listed, or the session is lost.
    pub async fn get_tree(
        &mut self,
        remote: &FtpPath,
        local: &Path,
        options: &GetOptions,
    ) -> Result<TreeReport, Error> {
        let mut report = TreeReport::default();
        let mut left = vec![(remote.clone(), local.to_owned(), 0)];
        while let Some((directory, local, depth)) = left.pop() {
            let path = Some(&directory).filter(|path| !path.0.is_empty());
            let listing = match self.list(path).await {
                Ok(listing) => listing,
                Err(error) if depth == 0 || !error.leaves_session() => return Err(error),
                Err(error) => {
                    let (remote, result) = (directory, Err(error));
                    report.files.push(TreeFile { remote, local, result });
                    continue;
                }
            };
            make_local(&local).await?;
            for line in &listing.raw {
                report
                    .skipped
                    .push((escape(line), "the line of the listing is in no known format"));
            }
            for entry in &listing.entries {
                let remote = join(&directory, &entry.name);
                if let Some(why) = refuse(entry) {
                    report.skip(&remote, why);
                    continue;
                }
                let local = local.join(OsStr::from_bytes(&entry.name));
                match &entry.kind {
                    Kind::Directory if depth >= MAX_DEPTH => {
                        report.skip(&remote, "the tree is too deep: a directory may hold itself");
                    }
                    Kind::Directory => left.push((remote, local, depth + 1)),
                    _ => {
                        let options = known(entry, options);
                        let result = self.get(&remote, &local, &options).await;
                        stop_if_lost(&mut report, TreeFile { remote, local, result })?;
                    }
                }
            }
        }
        Ok(report)
    }

    /// Uploads what is below a local directory into a remote one; directories that are missing are
    /// made. A file that fails does not stop the others.
    ///
    /// # Errors
    /// The local directory cannot be read, or the session is lost.
    pub async fn put_tree(
        &mut self,
        local: &Path,
        remote: &FtpPath,
        options: &PutOptions,
    ) -> Result<TreeReport, Error> {
        let mut report = TreeReport::default();
        let options = PutOptions { make_directories: false, ..options.clone() };
        self.make_directories(remote).await?;
        let mut left = vec![(local.to_owned(), remote.clone())];
        while let Some((local, directory)) = left.pop() {
            let subject = local.display().to_string();
            let read = blocking(move || read_directory(&local)).await;
            for (path, kind) in read.map_err(|error| Error::local(subject, error))? {
                let name = path.file_name().unwrap_or_default().as_bytes();
                let remote = join(&directory, name);
                match kind {
                    _ if name.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) => {
                        report.skip(&remote, "the name holds a line end: FTP cannot carry it");
                    }
                    Local::Directory => {
                        self.make_directories_below(&directory, &remote).await?;
                        left.push((path, remote));
                    }
                    Local::File => {
                        let result = self.put(&path, &remote, &options).await;
                        stop_if_lost(&mut report, TreeFile { remote, local: path, result })?;
                    }
                    Local::Other => report.skip(&remote, "neither a file nor a directory"),
                }
            }
        }
        Ok(report)
    }

    /// One directory in one that is there.
    async fn make_directories_below(
        &mut self,
        above: &FtpPath,
        path: &FtpPath,
    ) -> Result<(), Error> {
        debug_assert!(path.0.starts_with(&above.0), "it is below");
        match self.make_directory(path).await {
            // It exists, or the first file in it will tell what is wrong.
            Err(error) if error.class() == Class::Refused => Ok(()),
            made => made,
        }
    }
}

fn stop_if_lost(report: &mut TreeReport, file: TreeFile) -> Result<(), Error> {
    match file.result {
        Err(error) if !error.leaves_session() => Err(error),
        _ => {
            report.files.push(file);
            Ok(())
        }
    }
}

/// Why an entry of a server's listing gets no local file.
fn refuse(entry: &Entry<'_>) -> Option<&'static str> {
    if !entry.is_safe_name() || entry.name.iter().any(u8::is_ascii_control) {
        return Some("the name would leave the directory, or holds a control byte");
    }
    match entry.kind {
        Kind::File | Kind::Directory => None,
        Kind::Link { .. } => Some("a link: what it points to is not known to be below"),
        Kind::Current | Kind::Parent | Kind::Other(_) => Some("neither a file nor a directory"),
    }
}

/// MLSD tells length and date exactly, which saves two commands a file; LIST does not.
fn known(entry: &Entry<'_>, options: &GetOptions) -> GetOptions {
    let exact = entry.precision == Precision::Second && entry.size.is_some();
    let known = exact.then_some((entry.size, entry.modified)).filter(|_| entry.modified.is_some());
    GetOptions { known, ..options.clone() }
}

async fn make_local(local: &Path) -> Result<(), Error> {
    let path = local.to_owned();
    let made = blocking(move || fs::create_dir_all(&path)).await;
    made.map_err(|error| Error::local(local.display().to_string(), error))
}

enum Local {
    File,
    Directory,
    Other,
}

/// The entries by name. A link to a file is sent as the file; one to a directory is not followed.
fn read_directory(path: &Path) -> io::Result<Vec<(PathBuf, Local)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let is_file = kind.is_file()
            || kind.is_symlink() && fs::metadata(entry.path()).is_ok_and(|target| target.is_file());
        let kind = match () {
            () if is_file => Local::File,
            () if kind.is_dir() => Local::Directory,
            () => Local::Other,
        };
        found.push((entry.path(), kind));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_get_no_local_file() {
        for name in ["..", ".", "", "a/b", "/etc/passwd", "../x", "a\nb", "a\x1b[2J", "a\x7f"] {
            assert!(refuse(&Entry::new(name.as_bytes(), Kind::File)).is_some(), "{name:?}");
        }
        assert_eq!(refuse(&Entry::new(b"...", Kind::File)), None);
        assert_eq!(refuse(&Entry::new(b"\xe4 -rf", Kind::Directory)), None);
        assert!(refuse(&Entry::new(b"a", Kind::Link { target: None })).is_some());
    }
}
