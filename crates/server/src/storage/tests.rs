//! What every storage must do, run on the disk and on the one in memory.

use twoport_proto::path::VirtualPath;

use super::disk::Options;
use super::{Disk, Memory, Storage, Upload};

fn path(text: &str) -> VirtualPath {
    VirtualPath::root().join(text.as_bytes()).unwrap()
}

fn store(storage: &dyn Storage, name: &str, content: &[u8]) {
    let mut sink = storage.begin_upload(&path(name), Upload::Replace { overwrite: true }).unwrap();
    sink.write(content).unwrap();
    sink.commit().unwrap();
}

fn fetch(storage: &dyn Storage, name: &str) -> Vec<u8> {
    let mut source = storage.open_read(&path(name), 0).unwrap();
    let (mut content, mut buffer) = (Vec::new(), [0; 7]);
    loop {
        match source.read(&mut buffer).unwrap() {
            0 => return content,
            count => content.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn what_is_stored_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path(), Options::default()).unwrap();
    for storage in [&disk as &dyn Storage, &Memory::new()] {
        store(storage, "/a", b"first content");
        assert_eq!(fetch(storage, "/a"), b"first content");
        store(storage, "/a", b"second");
        assert_eq!(fetch(storage, "/a"), b"second");
        assert_eq!(storage.list(&path("/")).unwrap().count(), 1);
    }
}
