//! Uploads on a disk: what the host sees of them, and what they leave.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use super::*;
use crate::storage::disk::{Links, Temporaries};
use crate::storage::{Coming, Kind, Reason};

const HOUR: Duration = Duration::from_secs(3600);
const LIVE: &str = ".twoport-0123456789abcdef0123456789abcdef.live.part";

fn age(file: &Path, by: Duration) {
    let open = std::fs::File::open(file).unwrap();
    open.set_modified(SystemTime::now() - by).unwrap();
}

#[test]
fn an_unnamed_upload_leaves_no_name_and_a_named_one_a_hidden_one() {
    let (directory, disk) = disk(Options::default());
    let sink = begin(&disk, "/a", REPLACE, b"half");
    assert!(host_names(directory.path()).is_empty());
    drop(sink);
    let named = Options { temporaries: Temporaries::Named, ..Options::default() };
    let disk = disk.with_options(named);
    let sink = begin(&disk, "/a", REPLACE, b"half");
    let hidden = host_names(directory.path());
    assert!(hidden[0].starts_with(".twoport-") && hidden[0].ends_with(".live.part"));
    assert_eq!(std::fs::metadata(directory.path().join(&hidden[0])).unwrap().mode() & 0o777, 0o600);
    assert!(names(&disk, "/").is_empty());
    drop(sink);
    assert!(host_names(directory.path()).is_empty());
}

/// What is at hand gets its hidden name at once: it shows nobody more than the file that it replaces.
#[test]
fn what_replaces_a_file_at_once_is_hidden_and_keeps_its_mode() {
    let (directory, disk) = disk(Options::default());
    let file = directory.path().join("a");
    store(&disk, "/a", b"a");
    let modes =
        |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().mode() & 0o7777;
    for (mode, hidden_mode) in [(0o644, 0o644), (0o664, 0o644), (0o640, 0o600), (0o4755, 0o755)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let Some((_, begin)) = disk.prepare_upload_at_once(&path("/a"), REPLACE) else {
            panic!("the names were not in memory");
        };
        let mut sink = begin(Coming::AtOnce).unwrap();
        sink.write(b"new").unwrap();
        let hidden = host_names(directory.path()).into_iter().find(|name| name != "a").unwrap();
        assert_eq!(modes(&hidden), hidden_mode, "{mode:o}");
        assert_eq!(names(&disk, "/"), ["a"]);
        sink.commit().unwrap();
        assert_eq!(modes("a"), mode & 0o777);
        assert_eq!(host_names(directory.path()), ["a"]);
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
    }
}

#[test]
fn modes_and_owners() {
    let (directory, disk) = disk(Options::default());
    let file = directory.path().join("a");
    store(&disk, "/a", b"a");
    disk.make_directory(&path("/d")).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(std::fs::metadata(directory.path().join("d")).unwrap().mode() & 0o7777, 0o755);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4751)).unwrap();
    let inode = std::fs::metadata(&file).unwrap().ino();
    store(&disk, "/a", b"b");
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o751);
    assert_ne!(metadata.ino(), inode);
    if is_root("modes_and_owners") {
        std::os::unix::fs::chown(&file, Some(1234), Some(5678)).unwrap();
        store(&disk, "/a", b"c");
        let metadata = std::fs::metadata(&file).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 5678));
        assert_eq!(metadata.mode() & 0o7777, 0o751);
    }
    let options = Options { file_mode: 0o660, directory_mode: 0o2777, ..Options::default() };
    let disk = disk.with_options(options);
    store(&disk, "/n", b"n");
    disk.make_directory(&path("/s")).unwrap();
    assert_eq!(std::fs::metadata(directory.path().join("n")).unwrap().mode() & 0o7777, 0o660);
    assert_eq!(std::fs::metadata(directory.path().join("s")).unwrap().mode() & 0o7777, 0o2777);
    disk.set_mode(&path("/s"), 0o700).unwrap();
    assert_eq!(std::fs::metadata(directory.path().join("s")).unwrap().mode() & 0o7777, 0o2700);
}

#[test]
fn a_reader_sees_the_old_file_to_its_end() {
    let (_directory, disk) = disk(Options::default());
    store(&disk, "/a", b"old old old");
    let mut source = disk.open_read(&path("/a"), 0).unwrap();
    let mut buffer = [0; 4];
    source.read(&mut buffer).unwrap();
    store(&disk, "/a", b"new");
    let mut rest = [0; 20];
    assert_eq!(source.read(&mut rest).unwrap(), 7);
    assert_eq!(&rest[..7], b"old old");
    assert_eq!(fetch(&disk, "/a"), b"new");
}

#[test]
fn the_directory_of_an_upload_may_move_or_go() {
    for temporaries in [Temporaries::Unnamed, Temporaries::Named] {
        let (_directory, disk) = disk(Options { temporaries, ..Options::default() });
        disk.make_directory(&path("/d")).unwrap();
        let sink = begin(&disk, "/d/a", REPLACE, b"moved along");
        disk.rename(&path("/d"), &path("/e"), false).unwrap();
        sink.commit().unwrap();
        assert_eq!(fetch(&disk, "/e/a"), b"moved along");
        disk.delete(&path("/e/a")).unwrap();

        let sink = begin(&disk, "/e/a", REPLACE, b"gone");
        match disk.remove_directory(&path("/e")) {
            Ok(()) => refused!(sink.commit(), Reason::NotFound),
            Err(error) => {
                assert!(matches!(error.reason, Reason::Busy), "{error}");
                sink.commit().unwrap();
            }
        }
    }
}

#[test]
fn hidden_names_are_not_there() {
    let (directory, disk) = disk(Options::default());
    let kept = ".twoport-ann-0123456789abcdef0123456789abcdef.kept.part";
    for name in [LIVE, kept, ".TWOPORT-x.PART", ".twoport-x.part"] {
        std::fs::write(directory.path().join(name), b"hidden").unwrap();
        let hidden = path(name);
        refused!(disk.stat(&hidden), Reason::NotFound);
        refused!(disk.stat_itself(&hidden), Reason::NotFound);
        refused!(disk.size(&hidden), Reason::NotFound);
        refused!(disk.open_read(&hidden, 0), Reason::NotFound);
        refused!(disk.delete(&hidden), Reason::NotFound);
        refused!(disk.remove_directory(&hidden), Reason::NotFound);
        refused!(disk.list(&hidden), Reason::NotFound);
        refused!(disk.rename(&hidden, &path("/x"), true), Reason::NotFound);
        refused!(disk.set_mode(&hidden, 0), Reason::NotFound);
        refused!(disk.space_left(&hidden), Reason::NotFound);
        refused!(disk.unique_name(&hidden, b""), Reason::NotFound);
        refused!(disk.set_modified(&hidden, Default::default()), Reason::NotFound);
        for how in [REPLACE, Upload::Append, Upload::Unique, Upload::Resume { offset: 2 }] {
            refused!(disk.check_upload(&hidden, how), Reason::PermissionDenied);
        }
        refused!(disk.make_directory(&hidden), Reason::PermissionDenied);
        refused!(disk.stat(&hidden.join(b"x").unwrap()), Reason::NotFound);
        refused!(disk.check_upload(&hidden.join(b"x").unwrap(), REPLACE), Reason::NotFound);
    }
    store(&disk, "/a", b"a");
    refused!(disk.rename(&path("/a"), &path(kept), true), Reason::PermissionDenied);
    assert_eq!(names(&disk, "/"), ["a"]);
}

#[test]
fn names_that_would_break_a_line_are_left_out() {
    let (directory, disk) = disk(Options::default());
    for name in ["a\nb", "a\rb", "ok"] {
        std::fs::write(directory.path().join(name), b"").unwrap();
    }
    assert_eq!(names(&disk, "/"), ["ok"]);
}

#[test]
fn links_inside_are_followed_and_written_through() {
    let (directory, disk) = disk(Options::default());
    disk.make_directory(&path("/d")).unwrap();
    disk.make_directory(&path("/e")).unwrap();
    store(&disk, "/d/real", b"real");
    symlink("../d/real", directory.path().join("e/link")).unwrap();
    symlink("../e/link", directory.path().join("d/chain")).unwrap();
    symlink("d", directory.path().join("dir")).unwrap();
    for name in ["/e/link", "/d/chain", "/dir/real", "/dir/chain"] {
        assert_eq!(fetch(&disk, name), b"real");
        store(&disk, name, b"through");
        assert_eq!(fetch(&disk, "/d/real"), b"through");
        upload(&disk, name, Upload::Append, b"!");
        assert_eq!(fetch(&disk, name), b"through!");
        store(&disk, "/d/real", b"real");
        disk.set_mode(&path(name), 0o600).unwrap();
        disk.set_modified(&path(name), Default::default()).unwrap();
        assert_eq!(disk.stat(&path("/d/real")).unwrap().modified, Default::default());
    }
    let itself = disk.stat_itself(&path("/e/link")).unwrap();
    assert_eq!(itself.kind, Kind::Link);
    let listed = listed(disk.list(&path("/e")).unwrap());
    assert_eq!(listed[0].1.target.as_deref(), Some(&b"../d/real"[..]));
    disk.delete(&path("/e/link")).unwrap();
    assert_eq!(fetch(&disk, "/d/real"), b"real");
    refused!(disk.remove_directory(&path("/dir")), Reason::NotADirectory);
    disk.rename(&path("/dir"), &path("/dir2"), false).unwrap();
    assert_eq!(names(&disk, "/dir2"), ["chain", "real"]);
}

#[test]
fn hidden_links_are_not_there() {
    let (directory, disk) = disk(Options { links: Links::Hide, ..Options::default() });
    store(&disk, "/real", b"real");
    symlink("real", directory.path().join("link")).unwrap();
    assert_eq!(names(&disk, "/"), ["real"]);
    let link = path("/link");
    refused!(disk.stat(&link), Reason::NotFound);
    refused!(disk.stat_itself(&link), Reason::NotFound);
    refused!(disk.open_read(&link, 0), Reason::NotFound);
    refused!(disk.delete(&link), Reason::NotFound);
    refused!(disk.set_modified(&link, Default::default()), Reason::NotFound);
    refused!(disk.rename(&link, &path("/x"), true), Reason::NotFound);
    refused!(disk.rename(&path("/real"), &link, true), Reason::Exists);
    for how in [REPLACE, Upload::Append, Upload::Resume { offset: 1 }] {
        refused!(disk.begin_upload(&link, how), Reason::NotARegularFile);
    }
}

#[test]
fn links_out_are_followed_only_where_that_is_wanted() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("f"), b"outside").unwrap();
    let (directory, disk) = disk(Options { links: Links::Follow, ..Options::default() });
    symlink(outside.path(), directory.path().join("out")).unwrap();
    symlink(outside.path().join("f"), directory.path().join("file")).unwrap();
    symlink(outside.path().join("new"), directory.path().join("dangling")).unwrap();
    assert_eq!(fetch(&disk, "/out/f"), b"outside");
    store(&disk, "/out/f", b"1");
    store(&disk, "/file", b"2");
    store(&disk, "/out/g", b"3");
    refused!(disk.begin_upload(&path("/dangling"), REPLACE), Reason::NotFound);
    assert_eq!(host_names(outside.path()), ["f", "g"]);
    assert_eq!(fetch(&disk, "/out/f"), b"2");
    let listed = listed(disk.list(&path("/")).unwrap());
    assert!(listed.iter().all(|(_, stat)| stat.target.is_none()), "a path of the host");
    let refusing = disk.with_options(Options::default());
    refused!(refusing.open_read(&path("/out/f"), 0), Reason::OutsideRoot);
    refused!(refusing.check_upload(&path("/file"), REPLACE), Reason::OutsideRoot);
}

#[test]
fn leftovers_are_swept_when_old() {
    let (directory, disk) = disk(Options::default());
    disk.make_directory(&path("/d")).unwrap();
    disk.make_directory(&path("/d/e")).unwrap();
    cut(&disk, "/d/e/kept", REPLACE, b"0123456789");
    let deep = directory.path().join("d/e");
    let kept = deep.join(&host_names(&deep)[0]);
    let killed = directory.path().join(LIVE);
    std::fs::write(&killed, b"killed").unwrap();
    let other = directory.path().join(".twoport-x.part");
    std::fs::write(&other, b"someone else's").unwrap();
    age(&other, HOUR * 100);
    assert_eq!(disk.sweep(HOUR).step(1000).removed, 0);
    age(&killed, HOUR * 2);
    age(&kept, HOUR * 2);
    let mut sweep = disk.sweep(HOUR);
    let (mut removed, mut bytes, mut steps) = (0, 0, 0);
    loop {
        let swept = sweep.step(1);
        assert!(swept.entries <= 1);
        removed += swept.removed;
        bytes += swept.bytes;
        steps += 1;
        if swept.finished {
            break;
        }
    }
    assert_eq!((removed, bytes), (2, 15));
    assert!(steps < 20 && other.exists() && !kept.exists() && !killed.exists());
}

#[test]
fn a_live_upload_is_not_swept() {
    let options = Options { temporaries: Temporaries::Named, ..Options::default() };
    let (directory, disk) = disk(options);
    let sink = begin(&disk, "/a", REPLACE, b"slow");
    age(&directory.path().join(&host_names(directory.path())[0]), HOUR * 48);
    assert_eq!(disk.sweep(HOUR).step(100).removed, 0);
    sink.commit().unwrap();
    assert_eq!(fetch(&disk, "/a"), b"slow");
}

#[test]
fn a_directory_of_leftovers_is_empty() {
    let (directory, disk) = disk(Options::default());
    disk.make_directory(&path("/d")).unwrap();
    cut(&disk, "/d/a", REPLACE, b"0123456789");
    std::fs::write(directory.path().join("d").join(LIVE), b"killed").unwrap();
    std::fs::write(directory.path().join("d/file"), b"").unwrap();
    refused!(disk.remove_directory(&path("/d")), Reason::NotEmpty);
    assert_eq!(host_names(&directory.path().join("d")).len(), 3);
    disk.delete(&path("/d/file")).unwrap();
    disk.remove_directory(&path("/d")).unwrap();
    assert!(host_names(directory.path()).is_empty());
}

#[test]
fn what_is_known_at_once_is_what_is_found_out() {
    let (directory, disk) = disk(Options::default());
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("sub")).unwrap();
    store(&disk, "sub/here", b"here");
    symlink("here", at("sub/link")).unwrap();
    symlink("nowhere", at("sub/dangling")).unwrap();
    symlink("../..", at("sub/out")).unwrap();
    let hidden = format!("sub/{LIVE}");
    for name in [
        "sub/here",
        "sub/link",
        "sub/dangling",
        "sub/out",
        "sub/out/x",
        "sub",
        "none/x",
        "sub/none",
        "sub/here/x",
        &hidden,
    ] {
        let name = path(name);
        // The second time it is known.
        for _ in 0..2 {
            let checked = disk.check_upload(&name, REPLACE);
            if disk.prepare_upload_at_once(&name, REPLACE).is_some() {
                checked.unwrap();
            }
            let opened = disk.open_read(&name, 0);
            assert!(disk.open_read_at_once(&name, 0).is_none() || opened.is_ok());
        }
    }
    assert!(disk.prepare_upload_at_once(&path("sub/here"), REPLACE).is_some());
    assert!(disk.prepare_upload_at_once(&path("sub/here"), Upload::Append).is_none());
    assert!(disk.open_read_at_once(&path("sub/here"), 0).is_some());
    assert!(disk.open_read_at_once(&path("sub/here"), 5).is_none());
}
