//! The memory that sessions work with between a command and its reply, kept for the next one: a
//! session at work borrows it, an idle one holds none.
//!
//! It is memory alone, without anything in it. Each thread of the runtime keeps its own, so that
//! nobody waits for it; what is borrowed on one may be given back on another.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::thread::LocalKey;

use twoport_proto::server::{Input, Room};

/// How much of each kind a thread keeps. Origin: a session gives back what it has before it waits, and
/// only what waits for a slow client at the same time is more than one's.
const KEPT: usize = 8;

/// How much room a new buffer has. Origin: all replies of one line and most of several.
const BUFFER: usize = 1024;

/// What grew beyond that goes back to the system. Origin: as much as is read at a time.
const LARGEST: usize = 4096;

/// What a session at work needs beside its buffers.
#[derive(Default)]
pub(super) struct Bench {
    /// What its machine works with.
    pub(super) room: Room,
    /// For the inputs that wait for the machine.
    pub(super) inputs: VecDeque<Input>,
}

type Shelf<T> = RefCell<Vec<T>>;

thread_local! {
    static BUFFERS: Shelf<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static BENCHES: Shelf<Bench> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer.
pub(super) fn buffer() -> Vec<u8> {
    taken(&BUFFERS).unwrap_or_else(|| Vec::with_capacity(BUFFER))
}

/// Keeps a buffer that is not needed any more.
pub(super) fn keep_buffer(mut buffer: Vec<u8>) {
    if (1..=LARGEST).contains(&buffer.capacity()) {
        buffer.clear();
        kept(&BUFFERS, buffer);
    }
}

/// What a session works with, empty.
pub(super) fn bench() -> Bench {
    taken(&BENCHES).unwrap_or_default()
}

/// Keeps what a session does not need any more.
pub(super) fn keep_bench(bench: Bench) {
    kept(&BENCHES, bench);
}

fn taken<T>(shelf: &'static LocalKey<Shelf<T>>) -> Option<T> {
    shelf.with_borrow_mut(Vec::pop)
}

fn kept<T>(shelf: &'static LocalKey<Shelf<T>>, thing: T) {
    shelf.with_borrow_mut(|shelf| {
        if shelf.len() < KEPT {
            shelf.push(thing);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_lent_again_and_no_more_is_kept_than_is_needed() {
        let mut borrowed = buffer();
        borrowed.extend_from_slice(b"220 ");
        let memory = borrowed.as_ptr();
        keep_buffer(borrowed);
        let again = buffer();
        assert_eq!((again.as_ptr(), again.len()), (memory, 0));
        keep_buffer(Vec::new());
        keep_buffer(Vec::with_capacity(LARGEST + 1));
        assert!(BUFFERS.with_borrow(Vec::is_empty));
        for _ in 0..2 * KEPT {
            keep_buffer(Vec::with_capacity(BUFFER));
        }
        assert_eq!(BUFFERS.with_borrow(Vec::len), KEPT);
    }
}
