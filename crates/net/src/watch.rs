//! Sockets that the runtime watches for what comes, and for nothing else: one that is new can always be
//! written to, and who only reads need not be woken for that.
//!
//! It reads and accepts nothing.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets the runtime watch a socket.
#[expect(
    deprecated,
    reason = "what comes in its place is unsafe, for types that may give out another descriptor later; \
              one that is AsFd keeps its own"
)]
pub(crate) fn for_reading<T: AsFd + AsRawFd>(socket: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}
