//! Turns on threads that may block: who may have one, how long it lasts, and how it is ended.
//!
//! What is done in a turn is decided in `direct`.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use twoport_sys::socket::set_low_water;

/// How many transfers work on threads at a time. Origin: enough to keep several disks busy; for
/// what comes from memory the cores are the limit anyway.
pub(super) const THREADS: usize = 16;

/// How long a turn waits for its peer on the thread. Origin: longer than the pauses of a peer that
/// keeps up (a few ms), shorter than anybody notices who waits for the thread.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// How much one turn moves while others wait. Origin: a hundred times the cost of changing over.
const FAIR: u64 = 4 << 20;

static TURNS: Semaphore = Semaphore::const_new(THREADS);
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// The right to a thread, as long as it is held.
pub(super) struct Turn {
    _permit: Option<SemaphorePermit<'static>>,
    order: Arc<Order>,
}

/// Ends a turn when it is told to. Once it is dropped, nothing more is stored.
#[derive(Default)]
pub(super) struct Watch(Arc<Order>);

#[derive(Default)]
struct Order {
    /// What came shall be stored, but no more be taken.
    cancelled: AtomicBool,
    /// Nobody waits for the transfer any more.
    dropped: Mutex<bool>,
}

impl Watch {
    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Turn {
        let permit = match TURNS.try_acquire() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let _counted = Counted::new();
                // It is never closed.
                TURNS.acquire().await.ok()
            }
        };
        Turn { _permit: permit, order: Arc::clone(&self.0) }
    }

    /// Ends the turn under way, after what it has begun.
    pub(super) fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    /// Waits for a step that is being stored: after it the file is its owner's again, who may well
    /// measure it and go on.
    fn drop(&mut self) {
        self.cancel();
        *self.0.dropped.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

impl Turn {
    pub(super) fn is_cancelled(&self) -> bool {
        self.order.cancelled.load(Ordering::Relaxed)
    }

    /// Does a step that changes a file or counts it, a short one; not if nobody waits for it any more.
    pub(super) fn step<T>(&self, step: impl FnOnce() -> T) -> Option<T> {
        let dropped = self.order.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        (!*dropped).then(step)
    }

    /// Whether others wait and this turn had its share.
    pub(super) fn is_over(moved: u64) -> bool {
        moved >= FAIR && others_wait()
    }

    /// Waits a moment for the socket; `false` if it is not ready by then.
    pub(super) fn wait(socket: Option<BorrowedFd<'_>>, wanted: PollFlags) -> bool {
        let Some(socket) = socket else { return false };
        let patience = if others_wait() { Timespec::default() } else { PATIENCE };
        let mut sockets = [PollFd::from_borrowed_fd(socket, wanted)];
        match poll(&mut sockets, Some(&patience)) {
            Ok(ready) => ready > 0,
            Err(error) => error == Errno::INTR,
        }
    }
}

/// Does a part of a turn's work on another thread, step by step, until `step` says that it is done or
/// others wait for a thread; not at all where none is free.
pub fn beside(mut step: impl FnMut() -> bool + Send + 'static) {
    let (Ok(runtime), false) = (Handle::try_current(), others_wait()) else { return };
    let Ok(permit) = TURNS.try_acquire() else { return };
    runtime.spawn_blocking(move || {
        while step() && !others_wait() {}
        drop(permit);
    });
}

/// How much must be there before the kernel wakes the thread, once the data flow. Origin: measured,
/// it takes a quarter less CPU than waking for each segment.
const LOW_WATER: u32 = 256 * 1024;

/// How much has to come before the data count as flowing.
const FLOWING: u64 = 1 << 20;

/// How much of an upload the kernel gathers before it wakes its thread.
#[derive(Default)]
pub(super) struct Water {
    is_raised: bool,
    /// How much had come when it was last found to be too high.
    low_at: u64,
}

impl Water {
    /// Waits a moment for the socket, of which so much was read; `false` if nothing comes.
    pub(super) fn wait(&mut self, socket: Option<BorrowedFd<'_>>, received: u64) -> bool {
        if !self.is_raised && received.saturating_sub(self.low_at) >= FLOWING {
            self.is_raised = socket.is_some_and(|socket| set_low_water(socket, LOW_WATER).is_ok());
        }
        if Turn::wait(socket, PollFlags::IN) {
            return true;
        }
        // There may be less than that, which is looked for before the thread is left.
        let may_be_less = self.is_raised;
        self.lower(socket);
        self.low_at = received;
        may_be_less
    }

    /// The kernel wakes for each byte again.
    pub(super) fn lower(&mut self, socket: Option<BorrowedFd<'_>>) {
        if let Some(socket) = socket.filter(|_| self.is_raised) {
            // What could be raised can be lowered.
            let _: std::io::Result<()> = set_low_water(socket, 1);
        }
        self.is_raised = false;
    }
}

fn others_wait() -> bool {
    WAITING.load(Ordering::Relaxed) > 0
}

/// One who waits for a turn.
struct Counted;

impl Counted {
    fn new() -> Self {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}
