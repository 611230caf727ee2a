//! A full disk, and two disks: small file systems mounted for the test. Needs root.

use std::process::Command;

use super::*;
use crate::storage::Reason;
use crate::storage::disk::Temporaries;

/// A tmpfs of one megabyte, unmounted when it goes.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "twoport-test"])
            .arg(at)
            .status();
        assert!(mounted.unwrap().success());
        Self(at)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Writes until the disk is full, and gives the sink back.
fn fill(disk: &Disk, name: &str, how: Upload) -> Box<dyn Sink> {
    let mut sink = disk.begin_upload(&path(name), how).unwrap();
    let block = vec![7; 64 * 1024];
    for _ in 0..64 {
        if let Err(error) = sink.write(&block) {
            assert!(matches!(error.reason, Reason::NoSpace), "{error}");
            return sink;
        }
    }
    panic!("four megabytes fit in one");
}

#[test]
fn a_full_disk_gives_its_room_back_at_once() {
    if !is_root("a_full_disk_gives_its_room_back_at_once") {
        return;
    }
    for temporaries in [Temporaries::Unnamed, Temporaries::Named] {
        let directory = tempfile::tempdir().unwrap();
        let _small = Small::mount(directory.path());
        let options = Options { temporaries, ..Options::default() };
        let disk = Disk::open(directory.path(), options).unwrap();
        store(&disk, "/a", &[1; 300_000]);
        let before = disk.space_left(&path("/")).unwrap();
        for keep in [true, false] {
            let mut sink = fill(&disk, "/a", REPLACE);
            assert_eq!(disk.space_left(&path("/")).unwrap(), before);
            assert_eq!(host_names(directory.path()), ["a"]);
            refused!(sink.write(b"more"), Reason::NoSpace);
            assert_eq!(sink.abandon(keep).unwrap(), 0);
        }
        refused!(fill(&disk, "/b", REPLACE).commit(), Reason::NoSpace);
        assert_eq!(host_names(directory.path()), ["a"]);
        assert_eq!(fetch(&disk, "/a"), [1; 300_000]);
        // A part that was kept and then hits the end of the disk is gone too.
        cut(&disk, "/c", REPLACE, &[2; 1000]);
        drop(fill(&disk, "/c", Upload::Resume { offset: 500 }));
        assert_eq!(disk.space_left(&path("/")).unwrap(), before);
    }
}

#[test]
fn a_read_only_disk_says_so() {
    if !is_root("a_read_only_disk_says_so") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let _small = Small::mount(directory.path());
    let disk = Disk::open(directory.path(), Options::default()).unwrap();
    store(&disk, "/a", b"a");
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(directory.path()).status();
    assert!(remounted.unwrap().success());
    for how in [REPLACE, Upload::Append, Upload::Resume { offset: 1 }] {
        refused!(disk.check_upload(&path("/a"), how), Reason::ReadOnly);
    }
    refused!(disk.check_upload(&path("/b"), REPLACE), Reason::ReadOnly);
    refused!(disk.make_directory(&path("/d")), Reason::ReadOnly);
    refused!(disk.delete(&path("/a")), Reason::ReadOnly);
    refused!(disk.rename(&path("/a"), &path("/b"), true), Reason::ReadOnly);
    refused!(disk.set_mode(&path("/a"), 0o600), Reason::ReadOnly);
    refused!(disk.set_modified(&path("/a"), Default::default()), Reason::ReadOnly);
    assert_eq!(fetch(&disk, "/a"), b"a");
}

#[test]
fn a_rename_between_file_systems_says_so() {
    if !is_root("a_rename_between_file_systems_says_so") {
        return;
    }
    let (directory, disk) = disk(Options::default());
    disk.make_directory(&path("/other")).unwrap();
    let mount = directory.path().join("other");
    let _small = Small::mount(&mount);
    store(&disk, "/a", b"a");
    store(&disk, "/other/b", b"b");
    for overwrite in [true, false] {
        refused!(disk.rename(&path("/a"), &path("/other/a"), overwrite), Reason::CrossDevice);
    }
    refused!(disk.remove_directory(&path("/other")), Reason::Busy);
    assert_eq!(fetch(&disk, "/a"), b"a");
    assert_eq!(fetch(&disk, "/other/b"), b"b");
}
