//! Pipes of a MiB through which the kernel moves pages between files and sockets, kept for the next
//! transfer.
//!
//! It moves nothing itself.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::io::Result;
use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice,
};

/// How much a pipe shall hold. Origin: measured, CPU seconds per GiB halve from 64 KiB to a MiB; and
/// it is what Linux allows everybody (`/proc/sys/fs/pipe-max-size`).
const SIZE: usize = 1 << 20;

/// How many pipes are kept. Origin: as many as threads take turns.
const KEPT: usize = super::turn::THREADS;

static NOWHERE: OnceLock<File> = OnceLock::new();
static POOL: Mutex<Vec<Pipe>> = Mutex::new(Vec::new());

/// A pipe.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) out: OwnedFd,
    pub(super) into: OwnedFd,
    /// How much it holds: less than wished where the system allows no more.
    pub(super) size: usize,
}

impl Pipe {
    /// An empty pipe.
    pub(super) fn take() -> Result<Self> {
        if let Some(kept) = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(kept);
        }
        let (out, into) = pipe_with(PipeFlags::CLOEXEC)?;
        let size = match fcntl_setpipe_size(&into, SIZE) {
            Ok(size) => size,
            // Above the share of pipes that a user may have (`pipe-user-pages-soft`).
            Err(_) => fcntl_getpipe_size(&into)?,
        };
        Ok(Self { out, into, size })
    }

    /// Empties it of what nobody takes any more; `false` where that cannot be done.
    pub(super) fn discard(&self, mut held: usize) -> bool {
        let nowhere = match NOWHERE.get() {
            Some(nowhere) => nowhere,
            None => match File::options().write(true).open("/dev/null") {
                Ok(opened) => NOWHERE.get_or_init(|| opened),
                Err(_) => return false,
            },
        };
        while held > 0 {
            match splice(&self.out, None, nowhere, None, held, SpliceFlags::NONBLOCK) {
                Ok(gone @ 1..) => held = held.saturating_sub(gone),
                Ok(0) | Err(_) => return false,
            }
        }
        true
    }

    /// Keeps it for the next one. It must be empty.
    pub(super) fn give_back(self) {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < KEPT {
            pool.push(self);
        }
    }
}
