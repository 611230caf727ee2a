//! A local user who swaps names while the server resolves them: whichever comes first, nothing
//! outside is read or changed.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::hostile::{Trap, try_everything};
use super::*;

/// How often everything is tried while the names are swapped.
const ROUNDS: usize = 60;

/// Ends the swapping, also where the work panicked.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Swaps two names without a pause while `work` runs.
fn while_swapping(one: &Path, other: &Path, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
                std::thread::yield_now();
            }
        });
        let _done = Done(&done);
        work();
    });
}

fn try_while_swapping(trap: &Trap, one: &str, other: &str, paths: &[&str]) {
    let disk = Disk::open(&trap.root(), Options { durable: false, ..Options::default() }).unwrap();
    while_swapping(&trap.root().join(one), &trap.root().join(other), || {
        for _ in 0..ROUNDS {
            for name in paths {
                for read in try_everything(&disk, &path(name)) {
                    assert!(!read.starts_with(b"what nobody"), "{name} was read");
                }
                let _ = disk.delete(&path(name));
                let _ = disk.remove_directory(&path(name));
            }
        }
    });
    trap.assert_untouched(one);
}

#[test]
fn a_directory_and_a_link_trade_places() {
    let trap = Trap::new();
    std::fs::create_dir(trap.root().join("d")).unwrap();
    symlink("../outside", trap.root().join("x")).unwrap();
    try_while_swapping(&trap, "d", "x", &["/d/secret", "/d/new", "/d/dir/secret"]);
}

#[test]
fn a_file_and_a_link_trade_places() {
    let trap = Trap::new();
    std::fs::write(trap.root().join("f"), b"f").unwrap();
    symlink(trap.tree.path().join("outside/secret"), trap.root().join("x")).unwrap();
    let disk = Disk::open(&trap.root(), Options { durable: false, ..Options::default() }).unwrap();
    let f = path("/f");
    while_swapping(&trap.root().join("f"), &trap.root().join("x"), || {
        for round in 0..ROUNDS * 20 {
            if let Ok(read) = read_from(&disk, &f, 0) {
                assert!(!read.starts_with(b"what nobody"), "the secret was read");
            }
            let how = [REPLACE, Upload::Append, Upload::Resume { offset: 1 }][round % 3];
            if let Ok(mut sink) = disk.begin_upload(&f, how) {
                let _ = sink.write(b"intruder");
                let _ = sink.commit();
            }
            let _ = disk.set_mode(&f, 0o777);
            let _ = disk.set_modified(&f, Default::default());
        }
    });
    trap.assert_untouched("f");
}

#[test]
fn a_directory_moves_up_while_a_link_climbs_out_of_it() {
    let trap = Trap::new();
    for name in ["a", "a/b", "a/b/c", "c"] {
        std::fs::create_dir(trap.root().join(name)).unwrap();
    }
    // Below a/b the link stays inside; below c it would leave the root.
    for name in ["a/b/c/up", "c/up"] {
        symlink("../../outside", trap.root().join(name)).unwrap();
    }
    try_while_swapping(&trap, "a/b/c", "c", &["/a/b/c/up/secret", "/c/up/secret", "/c/up/new"]);
}
