//! Paths and links made to leave the root, each with every operation: nothing outside is read or
//! changed, and nothing waits.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;

use twoport_proto::time::Timestamp;

use super::*;
use crate::storage::disk::Links;
use crate::storage::{Kind, Reason};

const SECRET: &[u8] = b"what nobody outside may read";

/// A root at `tree/root`, with the secret beside it in `tree/outside`.
pub(super) struct Trap {
    pub(super) tree: TempDir,
    before: Vec<String>,
}

impl Trap {
    pub(super) fn new() -> Self {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        for name in ["root", "root/sub", "root/sub/deep", "outside", "outside/dir"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        std::fs::write(at("outside/secret"), SECRET).unwrap();
        std::fs::write(at("outside/dir/secret"), SECRET).unwrap();
        std::fs::write(at("root/sub/inside"), b"inside").unwrap();
        let before = described(&at("outside"));
        Self { tree, before }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.tree.path().join("root")
    }

    pub(super) fn assert_untouched(&self, what: &str) {
        assert_eq!(described(&self.tree.path().join("outside")), self.before, "{what}");
        let around: Vec<String> = host_names(self.tree.path());
        assert_eq!(around, ["outside", "root"], "{what}");
    }
}

/// Everything about the files in a directory but when they were read.
fn described(directory: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for name in host_names(directory) {
        let path = directory.join(&name);
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let (mode, inode, date) = (metadata.mode(), metadata.ino(), metadata.mtime_nsec());
        lines.push(format!("{name} {mode:o} {inode} {} {date}", metadata.mtime()));
        if metadata.is_dir() {
            lines.extend(described(&path));
        } else {
            lines.push(format!("{:?}", std::fs::read(&path).unwrap()));
        }
    }
    lines
}

/// Links to what the host itself lives on. They are only looked through, never written through: a
/// build whose confinement is broken, tested as root, must not be able to damage the machine.
const HOST: &[&str] = &[
    "/",
    "//",
    "/.",
    "/..",
    "/etc",
    "/etc/passwd",
    "//etc//passwd",
    "/../etc/passwd",
    "/proc/self/root",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd",
    "/proc/self/environ",
    "/proc/self/fd",
    "/proc/self/fd/2",
    "/proc/self/exe",
    "/proc/1/root",
    "/proc/self/ns/net",
    "/proc/thread-self/root",
    "/dev/zero",
    "/dev/null",
    "/dev/tty",
    "/dev/fd/2",
    "../../../../../../../../../../../../../../../../../../../../etc/passwd",
    "../../../../../../../../../../../../../../../../../../../../proc/self/root",
];

/// What a link `depth` directories below the root may say to get out of it, and never out of the
/// temporary tree around it. `{out}` stands for the absolute path of what is outside.
fn targets(depth: usize) -> Vec<String> {
    let up = "../".repeat(depth + 1);
    let inside = ["self", "nowhere", "nowhere/at/all", "sub/inside/..", "./self", "\x01\x1b", " "];
    let mut targets = inside.map(str::to_owned).to_vec();
    for tail in [
        "",
        ".",
        "outside",
        "outside/",
        "outside/secret",
        "outside/dir",
        "outside/new",
        "outside/dir/../secret",
        "root/../outside/secret",
    ] {
        targets.push(format!("{up}{tail}"));
        targets.push(format!("./{up}{tail}"));
        targets.push(format!("sub/../{up}{tail}"));
        targets.push(format!("{}{tail}", up.replace('/', "//")));
    }
    for tail in ["", "/", "/secret", "/dir", "/dir/secret", "/new", "/dir/new", "/../outside/new"] {
        targets.push(format!("{{out}}{tail}"));
    }
    targets
}

/// Asks everything about a path that changes nothing; what was read is given back.
fn look(disk: &Disk, path: &VirtualPath) -> Vec<Vec<u8>> {
    let mut read = Vec::new();
    let _ = (disk.stat(path), disk.stat_itself(path), disk.size(path), disk.space_left(path));
    read.extend(read_from(disk, path, 0));
    read.extend(disk.open_read_at_once(path, 0).map(|source| drained(source).unwrap()));
    if let Ok(listing) = disk.list(path) {
        for part in listing.take(10).filter_map(|part| part.ok()?().ok()) {
            read.extend(part.iter().map(|(name, _)| name.to_vec()));
        }
    }
    for how in UPLOADS {
        let _ = (disk.check_upload(path, how), disk.prepare_upload_at_once(path, how));
    }
    read
}

const UPLOADS: [Upload; 4] =
    [REPLACE, Upload::Resume { offset: 3 }, Upload::Append, Upload::Unique];

/// Tries everything with a path whose every way out stays in a temporary tree; what was read is
/// given back.
pub(super) fn try_everything(disk: &Disk, path: &VirtualPath) -> Vec<Vec<u8>> {
    let read = look(disk, path);
    for how in UPLOADS {
        if let Ok(mut sink) = disk.begin_upload(path, how) {
            let _ = sink.write(b"intruder");
            let _ = sink.abandon(true);
        }
        if let Ok(mut sink) = disk.begin_upload(path, how) {
            let _ = sink.write(b"intruder");
            let _ = sink.commit();
        }
    }
    let _ = disk.set_modified(path, Timestamp::from_seconds(1));
    let _ = disk.set_mode(path, 0o777);
    let _ = disk.make_directory(path);
    let _ = disk.unique_name(path, b"hint").and_then(|name| disk.make_directory(&name));
    let target = VirtualPath::root().join(b"moved").unwrap();
    if disk.rename(path, &target, true).is_ok() {
        let _ = disk.rename(&target, path, true);
    }
    read
}

fn try_link(place: &str, text: &str, links: Links) {
    let trap = Trap::new();
    let link = trap.root().join(place);
    let disk =
        Disk::open(&trap.root(), Options { links, durable: false, ..Options::default() }).unwrap();
    let outside = trap.tree.path().join("outside");
    let text = text.replace("{out}", outside.to_str().unwrap());
    let what = format!("{links:?} {place} -> {text}");
    for tail in ["", "/secret", "/new", "/dir/secret", "/dir/new", "/outside/secret", "/root/new"] {
        let _ = std::fs::remove_file(&link);
        let _ = std::fs::remove_dir_all(&link);
        symlink(&text, &link).unwrap();
        let through = path(&format!("/{place}{tail}"));
        for read in try_everything(&disk, &through) {
            assert!(read != SECRET && read != b"secret", "{what}: {through}");
        }
        // Removing goes last: it takes the link, never what it leads to.
        let _ = disk.remove_directory(&through);
        let _ = disk.delete(&through);
        trap.assert_untouched(&what);
    }
}

#[test]
fn no_link_leads_out() {
    let mut tried = 0;
    for (place, depth) in [("link", 0), ("sub/link", 1), ("sub/deep/link", 2)] {
        for text in targets(depth) {
            for links in [Links::Refuse, Links::Hide] {
                try_link(place, &text, links);
                tried += 1;
            }
        }
    }
    assert!(tried >= 200, "{tried}");
}

#[test]
fn no_link_leads_to_the_host() {
    for links in [Links::Refuse, Links::Hide] {
        let trap = Trap::new();
        let disk = Disk::open(&trap.root(), Options { links, ..Options::default() }).unwrap();
        for (number, text) in HOST.iter().enumerate() {
            for (chain, text) in [("", (*text).to_owned()), ("c", number.to_string())] {
                let name = format!("{chain}{number}");
                symlink(text, trap.root().join(&name)).unwrap();
                for below in ["", "/etc", "/etc/passwd", "/passwd", "/self/environ"] {
                    let through = path(&format!("/{name}{below}"));
                    assert_eq!(
                        look(&disk, &through),
                        [[0; 0]; 0],
                        "{text:?}{below}",
                        text = HOST[number]
                    );
                    refused!(
                        disk.check_upload(&through, REPLACE),
                        Reason::OutsideRoot
                            | Reason::NotFound
                            | Reason::NotADirectory
                            | Reason::NotARegularFile
                    );
                }
            }
        }
        trap.assert_untouched("links to the host");
    }
}

#[test]
fn no_absolute_link_leads_to_the_secret() {
    for tail in ["", "/secret", "/dir", "/new"] {
        let trap = Trap::new();
        let outside = trap.tree.path().join(format!("outside{tail}"));
        let disk = Disk::open(&trap.root(), Options::default()).unwrap();
        for (name, text) in [("a", outside.clone()), ("b", PathBuf::from("a"))] {
            let link = trap.root().join(name);
            symlink(&text, &link).unwrap();
            for below in ["", "/secret", "/new"] {
                let through = path(&format!("/{name}{below}"));
                for read in try_everything(&disk, &through) {
                    assert_ne!(read, SECRET);
                }
                trap.assert_untouched(name);
                if std::fs::symlink_metadata(&link).is_err() {
                    symlink(&text, &link).unwrap();
                }
            }
        }
    }
}

#[test]
fn refusals_say_why() {
    let trap = Trap::new();
    let disk = Disk::open(&trap.root(), Options::default()).unwrap();
    let link = |name: &str, text: &str| symlink(text, trap.root().join(name)).unwrap();
    link("up", "../outside");
    link("absolute", "/etc");
    link("loop", "pool");
    link("pool", "loop");
    link("dangling", "sub/new");
    link("out", "up/secret");
    for name in ["up", "up/secret", "absolute", "absolute/passwd", "out"] {
        refused!(disk.stat(&path(name)), Reason::OutsideRoot);
        refused!(disk.open_read(&path(name), 0), Reason::OutsideRoot);
        refused!(disk.check_upload(&path(name), REPLACE), Reason::OutsideRoot);
    }
    for name in ["loop", "dangling"] {
        refused!(disk.stat(&path(name)), Reason::NotFound);
        refused!(disk.check_upload(&path(name), REPLACE), Reason::NotFound);
        refused!(disk.check_upload(&path(name), Upload::Append), Reason::NotFound);
    }
    assert!(!trap.root().join("sub/new").exists());
    for name in ["up", "loop", "dangling"] {
        disk.delete(&path(name)).unwrap();
    }
    trap.assert_untouched("refusals");
}

#[test]
fn dotted_paths_stay_below() {
    let trap = Trap::new();
    let disk = Disk::open(&trap.root(), Options::default()).unwrap();
    let dots = ["..", "../", "/..", "./..", "...", ".. ", "..\\", "%2e%2e", "..;", "\u{ff0e}."];
    for first in dots {
        for second in ["", "/..", "/outside/secret", "/../outside/secret", "/../outside/new"] {
            for start in ["/", "/sub", "/sub/deep", "/no/such"] {
                let argument = format!("{first}{second}");
                let Ok(path) = path(start).join(argument.as_bytes()) else { continue };
                // Looked at only: with both the normaliser and the kernel's confinement broken,
                // this many `..` would reach above the temporary tree.
                for read in look(&disk, &path) {
                    assert_ne!(read, SECRET);
                }
                trap.assert_untouched(&argument);
            }
        }
    }
}

#[test]
fn what_is_not_a_file_is_shown_and_never_opened() {
    let (directory, disk) = disk(Options::default());
    let at = std::fs::File::open(directory.path()).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(&at, c"fifo", fifo, mode, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    let mut odd = vec!["fifo", "socket"];
    if is_root("devices") {
        let zero = rustix::fs::makedev(1, 5);
        let device = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(&at, c"zero", device, mode, zero).unwrap();
        odd.push("zero");
    }
    assert_eq!(names(&disk, "/"), odd);
    for name in odd {
        let it = path(name);
        assert_eq!(disk.stat(&it).unwrap().kind, Kind::Other);
        refused!(disk.open_read(&it, 0), Reason::NotARegularFile);
        refused!(disk.size(&it), Reason::NotARegularFile);
        refused!(disk.set_mode(&it, 0o600), Reason::NotARegularFile);
        for how in [REPLACE, Upload::Append, Upload::Resume { offset: 1 }] {
            refused!(disk.check_upload(&it, how), Reason::NotARegularFile);
            refused!(disk.begin_upload(&it, how), Reason::NotARegularFile);
        }
        disk.delete(&it).unwrap();
    }
}
