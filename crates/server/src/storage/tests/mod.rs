//! What every storage must do, run on the disk and on the one in memory; and what only a disk can
//! get wrong.

mod conformance;
mod full;
mod hostile;
mod kept;
mod racing;
mod uploads;

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use tempfile::TempDir;
use twoport_proto::path::VirtualPath;
use twoport_proto::text::escape;

use super::disk::Options;
use super::{Disk, Entries, Listing, Result, Sink, Source, Stat, Storage, Upload};

/// Fails unless the result is an error for that reason.
macro_rules! refused {
    ($result:expr, $reason:pat) => {
        match $result {
            Ok(_) => panic!("{} was done", stringify!($result)),
            Err(error) => assert!(
                matches!(error.reason, $reason),
                "{}: {:?} instead of {}",
                stringify!($result),
                error.reason,
                stringify!($reason)
            ),
        }
    };
}
pub(super) use refused;

const REPLACE: Upload = Upload::Replace { overwrite: true };

fn path(text: &str) -> VirtualPath {
    VirtualPath::root().join(text.as_bytes()).unwrap()
}

fn disk(options: Options) -> (TempDir, Disk) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path(), options).unwrap();
    (directory, disk)
}

fn begin(storage: &dyn Storage, name: &str, how: Upload, content: &[u8]) -> Box<dyn Sink> {
    storage.check_upload(&path(name), how).unwrap();
    let mut sink = storage.begin_upload(&path(name), how).unwrap();
    for piece in content.chunks(5) {
        sink.write(piece).unwrap();
    }
    sink
}

fn upload(storage: &dyn Storage, name: &str, how: Upload, content: &[u8]) {
    begin(storage, name, how, content).commit().unwrap();
}

fn store(storage: &dyn Storage, name: &str, content: &[u8]) {
    upload(storage, name, REPLACE, content);
}

fn cut(storage: &dyn Storage, name: &str, how: Upload, content: &[u8]) -> u64 {
    begin(storage, name, how, content).abandon(true).unwrap()
}

fn read_from(storage: &dyn Storage, path: &VirtualPath, offset: u64) -> Result<Vec<u8>> {
    drained(storage.open_read(path, offset)?)
}

fn drained(mut source: Box<dyn Source>) -> Result<Vec<u8>> {
    let (mut content, mut buffer) = (Vec::new(), [0; 4096]);
    while content.len() < 1 << 20 {
        match source.read(&mut buffer)? {
            0 => break,
            count => content.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(content)
}

fn fetch(storage: &dyn Storage, name: &str) -> Vec<u8> {
    read_from(storage, &path(name), 0).unwrap()
}

fn names(storage: &dyn Storage, directory: &str) -> Vec<String> {
    let listed = listed(storage.list(&path(directory)).unwrap());
    let mut names: Vec<String> =
        listed.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect();
    names.sort();
    names
}

fn listed(listing: Listing) -> Vec<(Vec<u8>, Stat)> {
    let parts: Vec<Entries> = listing.map(|part| part.unwrap()().unwrap()).collect();
    let entries = parts.iter().flat_map(Entries::iter);
    entries.map(|(name, stat)| (name.to_vec(), stat.clone())).collect()
}

/// All names in a directory of the host, hidden ones too.
fn host_names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| escape(entry.unwrap().file_name().as_bytes())).collect();
    names.sort();
    names
}

fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("{test}: skipped: needs root");
    }
    root
}
