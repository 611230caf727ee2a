//! A process in a node, which ends with the value that stands for it.
//!
//! What it is told and what it says is the caller's business.

use std::io;
use std::process::{Child, ChildStdin, ExitStatus, Output};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A running process. Dropped, it is killed.
#[derive(Debug)]
pub struct Process(Option<Child>);

impl Process {
    pub(crate) const fn new(child: Child) -> Self {
        Self(Some(child))
    }

    /// Its number on this machine.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.0.as_ref().map(Child::id)
    }

    /// The child as the standard library sees it.
    #[must_use]
    pub const fn child(&mut self) -> Option<&mut Child> {
        self.0.as_mut()
    }

    /// Its standard input, where it is a pipe that nobody took yet.
    pub fn take_input(&mut self) -> Option<ChildStdin> {
        self.0.as_mut()?.stdin.take()
    }

    /// Waits for its end, and gives what it said into pipes.
    ///
    /// # Errors
    /// What the system says.
    pub fn output(mut self) -> io::Result<Output> {
        self.0.take().ok_or(io::ErrorKind::NotFound)?.wait_with_output()
    }

    /// Waits for its end, however long that takes.
    ///
    /// # Errors
    /// What the system says.
    pub fn ended(mut self) -> io::Result<ExitStatus> {
        self.0.take().ok_or(io::ErrorKind::NotFound)?.wait()
    }

    /// Waits for its end for some time; `None` when it is still running.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait(&mut self, time: Duration) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.0 else { return Ok(None) };
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let file = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        let limit = Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&limit))?;
        child.try_wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Errors say that it has ended, or was waited for.
            let _ended = child.kill();
            let _waited = child.wait();
        }
    }
}
