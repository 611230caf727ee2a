//! A big directory looked at by two threads at once: the one that lists it, and another beside it
//! where one is free.
//!
//! It knows no format and no peer. A directory of a few parts is looked at by one thread.
//!
//! Both do the same: read the next names under a lock, then look at them without it, which is most
//! of the work. What they found waits in the order of the names. The thread that lists sends in
//! between, and waits only where the next part is in the other's work and there is no room for more.
//! Where nobody takes what was found, because the peer is slow, the other thread leaves, and comes
//! back when it is wanted again.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use twoport_net::pump;

use crate::storage::{Entries, Listing, Operation, Reason, Result, StorageError};

/// How many parts at most are found or looked at, and not taken. Origin: the formatting and sending
/// of a chunk takes as long as looking at some; a part is some 70 kB.
const MOST: usize = 6;

/// How many parts one thread looks at before there is another. Origin: a part takes it half a
/// millisecond, and a thread begins in some ten microseconds.
const ALONE: usize = 2;

/// How long the other thread waits for room. Origin: as a turn of the pump does for its peer.
const PATIENCE: Duration = Duration::from_millis(20);

/// The parts of a listing in their order, looked at.
pub(super) struct Ahead {
    shared: Arc<Shared>,
    /// How many parts this thread has looked at.
    looked: usize,
    /// All names are read.
    ended: bool,
    /// A part could not be looked at, which is the end.
    is_broken: bool,
}

struct Shared {
    /// Locked before `parts`, so that these stand in the order they were read in.
    listing: Mutex<Option<Listing>>,
    parts: Mutex<Parts>,
    changed: Condvar,
}

#[derive(Default)]
struct Parts {
    /// How many were taken: the number of the first that is not.
    taken: usize,
    /// `None` is one that is being looked at.
    found: VecDeque<Option<Result<Entries>>>,
    /// Whether another thread is at it, or about to be.
    is_helped: bool,
    /// Nobody takes any more.
    is_dropped: bool,
}

impl Ahead {
    /// Takes the parts of a listing.
    pub(super) fn new(listing: Listing) -> Self {
        let shared = Shared {
            listing: Mutex::new(Some(listing)),
            parts: Mutex::default(),
            changed: Condvar::new(),
        };
        Self { shared: Arc::new(shared), looked: 0, ended: false, is_broken: false }
    }

    /// The next part, if it was looked at. Waits where the other thread looks at it and nothing else
    /// is left to be done here.
    fn found(&self) -> Option<Result<Entries>> {
        let mut parts = lock(&self.shared.parts);
        loop {
            match parts.found.front() {
                Some(Some(_)) => break,
                Some(None) if self.ended || parts.found.len() >= MOST => {
                    let woken = self.shared.changed.wait(parts);
                    parts = woken.unwrap_or_else(PoisonError::into_inner);
                }
                _ => return None,
            }
        }
        parts.taken += 1;
        self.shared.changed.notify_all();
        parts.found.pop_front().flatten()
    }

    fn ask_for_help(&self) {
        if !std::mem::replace(&mut lock(&self.shared.parts).is_helped, true) {
            let helper = Helper(Arc::clone(&self.shared));
            pump::beside(move || helper.step());
        }
    }
}

impl Iterator for Ahead {
    type Item = Result<Entries>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.is_broken {
                return None;
            }
            if let Some(found) = self.found() {
                self.is_broken = found.is_err();
                return Some(found);
            }
            if self.ended {
                return None;
            }
            if self.looked >= ALONE {
                self.ask_for_help();
            }
            self.ended = !self.shared.look();
            self.looked += 1;
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        lock(&self.shared.parts).is_dropped = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Looks at the next part; `false` if there is none.
    fn look(&self) -> bool {
        let mut listing = lock(&self.listing);
        let Some(part) = listing.as_mut().and_then(Iterator::next) else {
            *listing = None;
            return false;
        };
        let number = {
            let mut parts = lock(&self.parts);
            parts.found.push_back(None);
            parts.taken + parts.found.len() - 1
        };
        drop(listing);
        let mut claim = Claim { shared: self, number, found: None };
        claim.found = Some(part.and_then(|part| part()));
        true
    }
}

/// A part that somebody looks at. Whatever becomes of that, who waits for it is told.
struct Claim<'a> {
    shared: &'a Shared,
    number: usize,
    found: Option<Result<Entries>>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let found = self.found.take().unwrap_or_else(|| {
            let lost = io::Error::other("the thread that looked at the entries is gone");
            Err(StorageError::new(Operation::List, Reason::Io(lost)))
        });
        let mut parts = lock(&self.shared.parts);
        let at = self.number - parts.taken;
        if let Some(place) = parts.found.get_mut(at) {
            *place = Some(found);
        }
        self.shared.changed.notify_all();
    }
}

/// The other thread's part in it.
struct Helper(Arc<Shared>);

impl Helper {
    /// Looks at a part; `false` if there is none, or nobody takes what was found.
    fn step(&self) -> bool {
        let is_full = |parts: &mut Parts| parts.found.len() >= MOST && !parts.is_dropped;
        let parts = lock(&self.0.parts);
        let waited = self.0.changed.wait_timeout_while(parts, PATIENCE, is_full);
        let (parts, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_wanted = !waited.timed_out() && !parts.is_dropped;
        drop(parts);
        is_wanted && self.0.look()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        lock(&self.0.parts).is_helped = false;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
