//! What two threads find comes in order and whole, whatever becomes of one of them.
//!
//! How much time it saves is measured by `./bench`.

use super::*;
use crate::storage::{Identity, Kind, Part, Stat};
use std::sync::Barrier;
use std::thread::{self, ThreadId};
use twoport_net::clock;
use twoport_proto::time::Timestamp;

const STAT: Stat = Stat {
    kind: Kind::File,
    size: 0,
    modified: Timestamp::from_seconds(0),
    mode: 0o644,
    uid: 0,
    gid: 0,
    links: 1,
    identity: Identity { device: 0, inode: 0 },
    target: None,
};

fn part(number: usize) -> Result<Entries> {
    let mut entries = Entries::default();
    entries.push(number.to_string().as_bytes(), STAT);
    Ok(entries)
}

/// A listing of so many parts, each looked at by `look`.
fn listing(
    parts: usize,
    look: impl Fn(usize) -> Result<Entries> + Send + Sync + 'static,
) -> Listing {
    let look = Arc::new(look);
    Box::new((0..parts).map(move |number| {
        let look = Arc::clone(&look);
        Ok(Box::new(move || look(number)) as Part)
    }))
}

fn number(part: &Entries) -> usize {
    let (name, _) = part.get(0).unwrap();
    std::str::from_utf8(name).unwrap().parse().unwrap()
}

fn broken() -> StorageError {
    StorageError::new(Operation::List, Reason::PermissionDenied)
}

#[expect(clippy::disallowed_methods, reason = "it is no thread of the runtime that waits")]
fn pause() {
    thread::sleep(Duration::from_millis(1));
}

/// Runs where a listing is read: on a thread of a runtime that may block.
fn on_a_thread(work: impl FnOnce() + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(runtime.spawn_blocking(work)).unwrap();
}

#[test]
fn two_threads_look_at_a_big_directory_in_its_order() {
    on_a_thread(|| {
        let barrier = Barrier::new(2);
        let parts = listing(50, move |number| {
            // From here on nobody goes on alone.
            if number >= 10 {
                barrier.wait();
            }
            part(number)
        });
        let numbers: Vec<usize> = Ahead::new(parts).map(|part| number(&part.unwrap())).collect();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    });
}

#[test]
fn where_no_thread_is_free_one_looks_at_all() {
    let here = thread::current().id();
    let parts = listing(50, move |number| {
        assert_eq!(thread::current().id(), here);
        part(number)
    });
    let numbers: Vec<usize> = Ahead::new(parts).map(|part| number(&part.unwrap())).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}

#[test]
fn an_error_ends_it_behind_what_was_before_it() {
    on_a_thread(|| {
        let parts = listing(50, |number| if number == 20 { Err(broken()) } else { part(number) });
        let mut ahead = Ahead::new(parts);
        for expected in 0..20 {
            assert_eq!(number(&ahead.next().unwrap().unwrap()), expected);
        }
        assert!(ahead.next().unwrap().is_err());
        assert!(ahead.next().is_none());
    });
}

#[test]
fn what_another_thread_lost_is_an_error() {
    on_a_thread(|| {
        let (here, barrier) = (thread::current().id(), Barrier::new(2));
        let lose = move |number: usize| {
            if number == 10 || number == 11 {
                barrier.wait();
                assert_eq!(thread::current().id(), here, "the other thread's share is lost");
            }
            part(number)
        };
        let mut ahead = Ahead::new(listing(50, lose));
        let whole = ahead.by_ref().take_while(|part| part.is_ok()).count();
        assert!(whole == 10 || whole == 11, "{whole} parts");
        assert!(ahead.next().is_none());
    });
}

#[test]
fn a_thread_whose_findings_nobody_takes_leaves_and_comes_back() {
    on_a_thread(|| {
        let threads = Arc::new(Mutex::new(Vec::<ThreadId>::new()));
        let seen = Arc::clone(&threads);
        let parts = listing(200, move |number| {
            lock(&seen).push(thread::current().id());
            pause();
            part(number)
        });
        let mut ahead = Ahead::new(parts);
        let take = |ahead: &mut Ahead, parts: std::ops::Range<usize>| {
            for expected in parts {
                assert_eq!(number(&ahead.next().unwrap().unwrap()), expected);
            }
        };
        let others = || {
            let here = thread::current().id();
            lock(&threads).iter().filter(|thread| **thread != here).count()
        };
        take(&mut ahead, 0..20);
        let began = clock::now();
        while lock(&ahead.shared.parts).is_helped {
            assert!(clock::now().since(began) < Duration::from_secs(20), "it stays");
            pause();
        }
        assert!(lock(&ahead.shared.parts).found.len() <= MOST);
        let before = others();
        assert!(before > 0, "nobody helped");
        take(&mut ahead, 20..200);
        assert!(others() > before, "nobody came back");
        assert!(ahead.next().is_none());
    });
}

#[test]
fn who_is_not_wanted_any_more_reads_no_further() {
    on_a_thread(|| {
        let count = Arc::new(Mutex::new(0));
        let seen = Arc::clone(&count);
        let parts = listing(10_000, move |number| {
            *lock(&seen) += 1;
            part(number)
        });
        let mut ahead = Ahead::new(parts);
        assert_eq!(ahead.by_ref().take(10).count(), 10);
        let shared = Arc::downgrade(&ahead.shared);
        drop(ahead);
        let began = clock::now();
        while shared.strong_count() > 0 {
            assert!(clock::now().since(began) < Duration::from_secs(20), "it goes on");
            pause();
        }
        assert!(*lock(&count) <= 10 + MOST + 1, "{} parts", *lock(&count));
    });
}
