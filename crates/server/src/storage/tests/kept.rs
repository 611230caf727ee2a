//! Parts kept on a disk: whose they are, how long, and what may not pass for one.

use std::time::{Duration, SystemTime};

use super::*;
use crate::storage::Reason;
use crate::storage::disk::Temporaries;

const RESUME: Upload = Upload::Resume { offset: 5 };

fn only_file(directory: &TempDir) -> std::path::PathBuf {
    let names = host_names(directory.path());
    assert_eq!(names.len(), 1, "{names:?}");
    directory.path().join(&names[0])
}

fn of(account: &str) -> Options {
    Options { account: account.as_bytes().to_vec(), ..Options::default() }
}

#[test]
fn they_belong_to_an_account() {
    let (directory, ann) = disk(of("ann"));
    let bob = ann.with_options(of("bob"));
    cut(&ann, "/a", REPLACE, b"anns secret");
    // A clock that ticks in milliseconds would give both files one date.
    let part = std::fs::File::open(only_file(&directory)).unwrap();
    part.set_modified(SystemTime::now() - Duration::from_secs(1)).unwrap();
    refused!(bob.size(&path("/a")), Reason::NotFound);
    refused!(bob.begin_upload(&path("/a"), RESUME), Reason::NotFound);
    upload(&bob, "/a", Upload::Append, b"bobs");
    assert_eq!(fetch(&bob, "/a"), b"bobs");
    // Bob's file is newer than what Ann sent: her part is out of date.
    assert_eq!(ann.size(&path("/a")).unwrap(), 4);
    refused!(ann.begin_upload(&path("/a"), RESUME), Reason::BeyondEnd { offset: 5, size: 4 });
}

#[test]
fn they_end_with_their_time() {
    let (directory, disk) = disk(Options { keep: Duration::from_secs(60), ..of("ann") });
    cut(&disk, "/a", REPLACE, b"0123456789");
    assert_eq!(disk.size(&path("/a")).unwrap(), 9);
    let part = std::fs::File::open(only_file(&directory)).unwrap();
    part.set_modified(SystemTime::now() - Duration::from_secs(61)).unwrap();
    refused!(disk.size(&path("/a")), Reason::NotFound);
    refused!(disk.begin_upload(&path("/a"), RESUME), Reason::NotFound);
    let never = disk.with_options(Options { keep: Duration::ZERO, ..of("ann") });
    assert_eq!(cut(&never, "/b", REPLACE, b"0123456789"), 0);
}

#[test]
fn a_second_name_of_another_file_is_not_one() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    std::fs::write(&victim, b"precious content").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path(), of("ann")).unwrap();
    cut(&disk, "/a", REPLACE, b"0123456789");
    let part = only_file(&directory);
    std::fs::remove_file(&part).unwrap();
    std::fs::hard_link(&victim, &part).unwrap();
    refused!(disk.begin_upload(&path("/a"), RESUME), Reason::NotFound);
    std::fs::remove_file(&part).unwrap();
    std::os::unix::fs::symlink(&victim, &part).unwrap();
    refused!(disk.begin_upload(&path("/a"), RESUME), Reason::NotFound);
    refused!(disk.size(&path("/a")), Reason::NotFound);
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious content");
}

#[test]
fn the_latest_cut_is_the_one_kept() {
    for temporaries in [Temporaries::Unnamed, Temporaries::Named] {
        let (directory, disk) = disk(Options { temporaries, ..of("ann") });
        let first = begin(&disk, "/a", REPLACE, b"first, longer");
        let second = begin(&disk, "/a", REPLACE, b"second");
        assert_eq!(first.abandon(true).unwrap(), 12);
        assert_eq!(second.abandon(true).unwrap(), 5);
        assert_eq!(disk.size(&path("/a")).unwrap(), 5);
        only_file(&directory);
        upload(&disk, "/a", RESUME, b"d");
        assert_eq!(fetch(&disk, "/a"), b"second");
        assert_eq!(host_names(directory.path()), ["a"]);
    }
}
