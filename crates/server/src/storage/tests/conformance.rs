//! One suite for every storage.

use twoport_proto::path::VirtualPath;
use twoport_proto::time::Timestamp;

use super::*;
use crate::storage::disk::Temporaries;
use crate::storage::{Kind, Memory, Reason};

type Case = fn(&dyn Storage);

const SUITE: &[(&str, Case)] = &[
    ("an empty tree", an_empty_tree),
    ("store and read", store_and_read),
    ("offsets", offsets),
    ("append", append),
    ("resume in place", resume_in_place),
    ("overwriting forbidden", overwriting_forbidden),
    ("checks touch nothing", checks_touch_nothing),
    ("abandoned and dropped", abandoned_and_dropped),
    ("two at once", two_at_once),
    ("exclusive at the end", exclusive_at_the_end),
    ("kept for resume", kept_for_resume),
    ("kept beside an old file", kept_beside_an_old_file),
    ("kept is forgotten", kept_is_forgotten),
    ("directories", directories),
    ("delete", delete),
    ("rename", rename),
    ("rename directories", rename_directories),
    ("dates and modes", dates_and_modes),
    ("the root stays", the_root_stays),
    ("files are not directories", files_are_not_directories),
    ("unique names", unique_names),
    ("odd names", odd_names),
];

#[test]
fn the_disk_conforms() {
    for temporaries in [Temporaries::Unnamed, Temporaries::Named] {
        for (name, case) in SUITE {
            eprintln!("{temporaries:?}: {name}");
            let (directory, disk) = disk(Options { temporaries, ..Options::default() });
            case(&disk);
            let left = host_names(directory.path());
            assert!(!left.iter().any(|name| name.contains(".live.")), "{name}: {left:?}");
        }
    }
}

#[test]
fn the_memory_conforms() {
    for (name, case) in SUITE {
        eprintln!("{name}");
        case(&Memory::new());
    }
}

fn an_empty_tree(storage: &dyn Storage) {
    assert_eq!(storage.stat(&path("/")).unwrap().kind, Kind::Directory);
    assert_eq!(storage.stat_itself(&path("/")).unwrap().kind, Kind::Directory);
    assert!(names(storage, "/").is_empty());
    refused!(storage.stat(&path("/a")), Reason::NotFound);
    refused!(storage.stat_itself(&path("/a")), Reason::NotFound);
    refused!(storage.size(&path("/a")), Reason::NotFound);
    refused!(storage.size(&path("/a/b")), Reason::NotFound);
    refused!(storage.open_read(&path("/a"), 0), Reason::NotFound);
    refused!(storage.list(&path("/a")), Reason::NotFound);
    assert!(storage.space_left(&path("/")).unwrap() > 0);
    assert!(storage.space_left(&path("/new")).unwrap() > 0);
}

fn store_and_read(storage: &dyn Storage) {
    for content in [&b""[..], b"hello\r\n", &[0xff; 70_000]] {
        store(storage, "/a", content);
        assert_eq!(fetch(storage, "/a"), content);
        let stat = storage.stat(&path("/a")).unwrap();
        assert_eq!((stat.kind, stat.size), (Kind::File, content.len() as u64));
        assert_eq!(storage.size(&path("/a")).unwrap(), stat.size);
    }
    assert_eq!(names(storage, "/"), ["a"]);
    refused!(storage.check_upload(&path("/no/a"), REPLACE), Reason::NotFound);
    refused!(storage.begin_upload(&path("/no/a"), REPLACE), Reason::NotFound);
}

fn offsets(storage: &dyn Storage) {
    store(storage, "/a", b"0123456789");
    assert_eq!(read_from(storage, &path("/a"), 3).unwrap(), b"3456789");
    assert_eq!(storage.open_read(&path("/a"), 3).unwrap().size(), 10);
    assert_eq!(read_from(storage, &path("/a"), 10).unwrap(), b"");
    refused!(storage.open_read(&path("/a"), 11), Reason::BeyondEnd { offset: 11, size: 10 });
    refused!(storage.open_read(&path("/a"), u64::MAX), Reason::BeyondEnd { .. });
}

fn append(storage: &dyn Storage) {
    upload(storage, "/a", Upload::Append, b"one");
    upload(storage, "/a", Upload::Append, b"two");
    assert_eq!(fetch(storage, "/a"), b"onetwo");
    // In place: a cut leaves what was written.
    cut(storage, "/a", Upload::Append, b"three");
    assert_eq!(fetch(storage, "/a"), b"onetwothree");
}

fn resume_in_place(storage: &dyn Storage) {
    store(storage, "/a", b"0123456789");
    upload(storage, "/a", Upload::Resume { offset: 8 }, b"ABCD");
    assert_eq!(fetch(storage, "/a"), b"01234567ABCD");
    upload(storage, "/a", Upload::Resume { offset: 2 }, b"xy");
    assert_eq!(fetch(storage, "/a"), b"01xy4567ABCD");
    upload(storage, "/a", Upload::Resume { offset: 12 }, b"");
    assert_eq!(fetch(storage, "/a"), b"01xy4567ABCD");
    let beyond = Upload::Resume { offset: 13 };
    refused!(storage.check_upload(&path("/a"), beyond), Reason::BeyondEnd { offset: 13, size: 12 });
    refused!(storage.begin_upload(&path("/a"), beyond), Reason::BeyondEnd { .. });
    refused!(storage.check_upload(&path("/b"), beyond), Reason::NotFound);
    upload(storage, "/a", Upload::Resume { offset: 0 }, b"new");
    assert_eq!(fetch(storage, "/a"), b"new");
}

fn overwriting_forbidden(storage: &dyn Storage) {
    let gently = Upload::Replace { overwrite: false };
    upload(storage, "/a", gently, b"first");
    refused!(storage.check_upload(&path("/a"), gently), Reason::Exists);
    refused!(storage.begin_upload(&path("/a"), gently), Reason::Exists);
    refused!(storage.begin_upload(&path("/a"), Upload::Unique), Reason::Exists);
    assert_eq!(fetch(storage, "/a"), b"first");
}

fn checks_touch_nothing(storage: &dyn Storage) {
    store(storage, "/old", b"old");
    let before = storage.stat(&path("/old")).unwrap();
    for how in [REPLACE, Upload::Append, Upload::Resume { offset: 2 }] {
        storage.check_upload(&path("/old"), how).unwrap();
    }
    for how in [REPLACE, Upload::Append, Upload::Unique] {
        storage.check_upload(&path("/new"), how).unwrap();
    }
    assert_eq!(storage.stat(&path("/old")).unwrap(), before);
    assert_eq!(names(storage, "/"), ["old"]);
    assert_eq!(fetch(storage, "/old"), b"old");
}

fn abandoned_and_dropped(storage: &dyn Storage) {
    store(storage, "/old", b"old");
    for name in ["/old", "/new"] {
        drop(begin(storage, name, REPLACE, b"half a fi"));
        assert_eq!(begin(storage, name, REPLACE, b"half a fi").abandon(false).unwrap(), 0);
        let during = begin(storage, name, REPLACE, b"half a fi");
        assert_eq!(names(storage, "/"), ["old"]);
        assert_eq!(fetch(storage, "/old"), b"old");
        drop(during);
    }
    refused!(storage.size(&path("/new")), Reason::NotFound);
}

fn two_at_once(storage: &dyn Storage) {
    for name in ["/new", "/new"] {
        let mut first = storage.begin_upload(&path(name), REPLACE).unwrap();
        let mut second = storage.begin_upload(&path(name), REPLACE).unwrap();
        for _ in 0..50 {
            first.write(b"first").unwrap();
            second.write(b"2nd").unwrap();
        }
        second.commit().unwrap();
        assert_eq!(fetch(storage, name), b"2nd".repeat(50));
        first.commit().unwrap();
        assert_eq!(fetch(storage, name), b"first".repeat(50));
    }
    assert_eq!(names(storage, "/"), ["new"]);
}

fn exclusive_at_the_end(storage: &dyn Storage) {
    for how in [Upload::Unique, Upload::Replace { overwrite: false }] {
        let late = begin(storage, "/a", how, b"late");
        store(storage, "/a", b"early");
        refused!(late.commit(), Reason::Exists);
        assert_eq!(fetch(storage, "/a"), b"early");
        storage.delete(&path("/a")).unwrap();
    }
}

fn kept_for_resume(storage: &dyn Storage) {
    for how in [Upload::Resume { offset: 9 }, Upload::Append] {
        assert_eq!(cut(storage, "/a", REPLACE, b"0123456789"), 9);
        assert!(names(storage, "/").is_empty());
        refused!(storage.stat(&path("/a")), Reason::NotFound);
        refused!(storage.open_read(&path("/a"), 0), Reason::NotFound);
        assert_eq!(storage.size(&path("/a")).unwrap(), 9);
        assert_eq!(cut(storage, "/a", how, b"9abc"), 12);
        assert_eq!(storage.size(&path("/a")).unwrap(), 12);
        upload(storage, "/a", Upload::Resume { offset: 11 }, b"bcdef");
        assert_eq!(fetch(storage, "/a"), b"0123456789abcdef");
        storage.delete(&path("/a")).unwrap();
        refused!(storage.size(&path("/a")), Reason::NotFound);
    }
    cut(storage, "/a", REPLACE, b"0123456789");
    let beyond = Upload::Resume { offset: 10 };
    refused!(storage.begin_upload(&path("/a"), beyond), Reason::BeyondEnd { offset: 10, size: 9 });
    // Only one can continue it.
    let part = begin(storage, "/a", Upload::Resume { offset: 4 }, b"");
    refused!(storage.begin_upload(&path("/a"), Upload::Resume { offset: 4 }), Reason::NotFound);
    refused!(storage.size(&path("/a")), Reason::NotFound);
    part.commit().unwrap();
    assert_eq!(fetch(storage, "/a"), b"0123");
    // The last byte is given up, so one byte or none leaves nothing.
    assert_eq!(cut(storage, "/b", REPLACE, b"x"), 0);
    assert_eq!(cut(storage, "/b", REPLACE, b""), 0);
    refused!(storage.size(&path("/b")), Reason::NotFound);
}

fn kept_beside_an_old_file(storage: &dyn Storage) {
    store(storage, "/a", b"old content, long");
    assert_eq!(cut(storage, "/a", REPLACE, b"new cont"), 7);
    assert_eq!(storage.size(&path("/a")).unwrap(), 17);
    assert_eq!(fetch(storage, "/a"), b"old content, long");
    // Continuing the old file would mix the two.
    let old_size = Upload::Resume { offset: 17 };
    refused!(storage.check_upload(&path("/a"), old_size), Reason::BeyondEnd { size: 7, .. });
    upload(storage, "/a", Upload::Resume { offset: 7 }, b"tent");
    assert_eq!(fetch(storage, "/a"), b"new content");
    upload(storage, "/a", old_size_of("new content"), b"!");
    assert_eq!(fetch(storage, "/a"), b"new content!");
}

fn old_size_of(content: &str) -> Upload {
    Upload::Resume { offset: content.len() as u64 }
}

fn kept_is_forgotten(storage: &dyn Storage) {
    cut(storage, "/a", REPLACE, b"0123456789");
    storage.delete(&path("/a")).unwrap();
    refused!(storage.size(&path("/a")), Reason::NotFound);
    refused!(storage.delete(&path("/a")), Reason::NotFound);

    cut(storage, "/a", REPLACE, b"0123456789");
    drop(begin(storage, "/a", REPLACE, b"another"));
    refused!(storage.size(&path("/a")), Reason::NotFound);

    store(storage, "/b", b"b");
    cut(storage, "/a", REPLACE, b"0123456789");
    storage.rename(&path("/b"), &path("/a"), false).unwrap();
    assert_eq!(storage.size(&path("/a")).unwrap(), 1);
    refused!(
        storage.begin_upload(&path("/a"), Upload::Resume { offset: 5 }),
        Reason::BeyondEnd { size: 1, .. }
    );
}

fn directories(storage: &dyn Storage) {
    storage.make_directory(&path("/d")).unwrap();
    refused!(storage.make_directory(&path("/d")), Reason::Exists);
    refused!(storage.make_directory(&path("/no/d")), Reason::NotFound);
    storage.make_directory(&path("/d/e")).unwrap();
    store(storage, "/d/f", b"f");
    assert_eq!(names(storage, "/"), ["d"]);
    assert_eq!(names(storage, "/d"), ["e", "f"]);
    refused!(storage.remove_directory(&path("/d")), Reason::NotEmpty);
    refused!(storage.remove_directory(&path("/no")), Reason::NotFound);
    storage.remove_directory(&path("/d/e")).unwrap();
    storage.delete(&path("/d/f")).unwrap();
    cut(storage, "/d/g", REPLACE, b"kept for later");
    storage.remove_directory(&path("/d")).unwrap();
    storage.make_directory(&path("/d")).unwrap();
    refused!(storage.size(&path("/d/g")), Reason::NotFound);
}

fn delete(storage: &dyn Storage) {
    store(storage, "/a", b"a");
    storage.make_directory(&path("/d")).unwrap();
    storage.delete(&path("/a")).unwrap();
    refused!(storage.delete(&path("/a")), Reason::NotFound);
    refused!(storage.delete(&path("/d")), Reason::IsADirectory);
    refused!(storage.delete(&path("/no/a")), Reason::NotFound);
}

fn rename(storage: &dyn Storage) {
    store(storage, "/a", b"a");
    store(storage, "/b", b"b");
    storage.make_directory(&path("/d")).unwrap();
    refused!(storage.rename(&path("/no"), &path("/x"), true), Reason::NotFound);
    refused!(storage.rename(&path("/a"), &path("/no/x"), true), Reason::NotFound);
    refused!(storage.rename(&path("/a"), &path("/b"), false), Reason::Exists);
    refused!(storage.rename(&path("/a"), &path("/d"), true), Reason::Exists);
    storage.rename(&path("/a"), &path("/a"), false).unwrap();
    storage.rename(&path("/a"), &path("/b"), true).unwrap();
    storage.rename(&path("/b"), &path("/d/c"), false).unwrap();
    assert_eq!(fetch(storage, "/d/c"), b"a");
    assert_eq!(names(storage, "/"), ["d"]);
}

fn rename_directories(storage: &dyn Storage) {
    for name in ["/d", "/d/e", "/empty"] {
        storage.make_directory(&path(name)).unwrap();
    }
    store(storage, "/d/e/f", b"f");
    store(storage, "/file", b"file");
    refused!(storage.rename(&path("/d"), &path("/d/e/x"), true), Reason::IntoItself);
    refused!(storage.rename(&path("/d"), &path("/file"), true), Reason::Exists);
    refused!(storage.rename(&path("/d"), &path("/empty"), true), Reason::Exists);
    refused!(storage.rename(&path("/d/e"), &path("/d"), true), Reason::Exists);
    storage.rename(&path("/d"), &path("/moved"), false).unwrap();
    assert_eq!(fetch(storage, "/moved/e/f"), b"f");
    refused!(storage.stat(&path("/d/e")), Reason::NotFound);
}

fn dates_and_modes(storage: &dyn Storage) {
    store(storage, "/a", b"a");
    storage.make_directory(&path("/d")).unwrap();
    let date = Timestamp { seconds: 951_782_400, nanoseconds: 123_000_000 };
    for name in ["/a", "/d", "/"] {
        storage.set_modified(&path(name), date).unwrap();
        assert_eq!(storage.stat(&path(name)).unwrap().modified, date);
    }
    storage.set_mode(&path("/a"), 0o4640).unwrap();
    assert_eq!(storage.stat(&path("/a")).unwrap().mode, 0o640);
    storage.set_mode(&path("/d"), 0o700).unwrap();
    assert_eq!(storage.stat(&path("/d")).unwrap().mode, 0o700);
    refused!(storage.set_modified(&path("/no"), date), Reason::NotFound);
    refused!(storage.set_mode(&path("/no"), 0o600), Reason::NotFound);
    // A new upload keeps the mode, and its date is new.
    store(storage, "/a", b"b");
    let stat = storage.stat(&path("/a")).unwrap();
    assert_eq!(stat.mode, 0o640);
    assert_ne!(stat.modified, date);
}

fn the_root_stays(storage: &dyn Storage) {
    let root = VirtualPath::root();
    refused!(storage.delete(&root), Reason::RootDirectory);
    refused!(storage.remove_directory(&root), Reason::RootDirectory);
    refused!(storage.rename(&root, &path("/x"), true), Reason::RootDirectory);
    refused!(storage.set_mode(&root, 0), Reason::RootDirectory);
    store(storage, "/a", b"a");
    refused!(storage.rename(&path("/a"), &root, true), Reason::RootDirectory);
    refused!(storage.make_directory(&root), Reason::Exists);
    refused!(storage.check_upload(&root, REPLACE), Reason::IsADirectory);
    refused!(storage.open_read(&root, 0), Reason::IsADirectory);
    refused!(storage.size(&root), Reason::IsADirectory);
}

fn files_are_not_directories(storage: &dyn Storage) {
    store(storage, "/f", b"f");
    storage.make_directory(&path("/d")).unwrap();
    refused!(storage.stat(&path("/f/x")), Reason::NotADirectory);
    refused!(storage.list(&path("/f")), Reason::NotADirectory);
    refused!(storage.open_read(&path("/f/x"), 0), Reason::NotADirectory);
    refused!(storage.check_upload(&path("/f/x"), REPLACE), Reason::NotADirectory);
    refused!(storage.make_directory(&path("/f/x")), Reason::NotADirectory);
    refused!(storage.remove_directory(&path("/f")), Reason::NotADirectory);
    refused!(storage.delete(&path("/f/x")), Reason::NotADirectory);
    refused!(storage.rename(&path("/f"), &path("/f/x"), true), Reason::NotADirectory);
    refused!(storage.unique_name(&path("/f"), b"x"), Reason::NotADirectory);
    refused!(storage.open_read(&path("/d"), 0), Reason::IsADirectory);
    for how in [REPLACE, Upload::Append, Upload::Resume { offset: 1 }, Upload::Unique] {
        refused!(storage.check_upload(&path("/d"), how), Reason::IsADirectory | Reason::Exists);
    }
}

fn unique_names(storage: &dyn Storage) {
    storage.make_directory(&path("/d")).unwrap();
    let mut seen = std::collections::HashSet::new();
    for hint in ["scan.pdf", "scan.pdf", "", "../../etc/passwd"] {
        let drawn = storage.unique_name(&path("/d"), hint.as_bytes()).unwrap();
        assert_eq!(drawn.parent(), path("/d"));
        assert!(seen.insert(drawn.clone()), "{drawn} twice");
        let sink = storage.begin_upload(&drawn, Upload::Unique).unwrap();
        assert!(!sink.commit().unwrap().replaced);
    }
    assert_eq!(names(storage, "/d").len(), 4);
    refused!(storage.unique_name(&path("/no"), b""), Reason::NotFound);
}

fn odd_names(storage: &dyn Storage) {
    let odd: [&[u8]; 8] =
        [b" lead", b"trail ", b"-la", b"*", b"\\..\\x", b"\xff\xfe", b"\x1b[2J", &[b'n'; 255]];
    for name in odd {
        let path = VirtualPath::root().join(name).unwrap();
        storage.begin_upload(&path, REPLACE).unwrap().commit().unwrap();
        assert_eq!(storage.stat(&path).unwrap().kind, Kind::File);
    }
    let listed = listed(storage.list(&path("/")).unwrap());
    let mut listed: Vec<Vec<u8>> = listed.into_iter().map(|(name, _)| name).collect();
    let mut odd = odd.map(<[u8]>::to_vec).to_vec();
    listed.sort();
    odd.sort();
    assert_eq!(listed, odd);
}
