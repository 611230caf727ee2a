//! Namespaces of networks and of processes that have no name: they live as long as somebody holds
//! them, so that nothing of them is left when the holder dies, however it dies.
//!
//! It sets nothing up in them, and needs root.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// A network of its own: interfaces, routes, firewall, ports. It ends when the last process and the
/// last descriptor in it are gone.
#[derive(Debug)]
pub struct Network(OwnedFd);

impl Network {
    /// A new one, in which there is nothing but a loopback that is down.
    ///
    /// # Errors
    /// What the system says: without root, `PermissionDenied`.
    pub fn new() -> io::Result<Self> {
        aside(|| {
            leave(UnshareFlags::NEWNET)?;
            Ok(Self(File::open("/proc/thread-self/ns/net")?.into()))
        })
    }

    /// Runs `work` on a thread inside. Sockets opened there, and processes started there, stay
    /// inside; everything else is as outside.
    ///
    /// # Errors
    /// What the system says of the entry; a panic in `work` is an error, too.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        aside(|| {
            move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        })
    }
}

impl AsFd for Network {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Processes that live no longer than their holder: all of them are killed by the kernel when it is
/// dropped, or when the process that holds it dies, even by SIGKILL.
#[derive(Debug)]
pub struct Processes {
    space: OwnedFd,
    /// The first process of the namespace. It reads from a pipe whose other end is held here only
    /// and closed by the kernel with the holder; with its first process a namespace ends.
    first: Option<Child>,
}

impl Processes {
    /// None yet.
    ///
    /// # Errors
    /// What the system says: without root, `PermissionDenied`.
    pub fn new() -> io::Result<Self> {
        let first = aside(|| {
            leave(UnshareFlags::NEWPID)?;
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
        })?;
        let space = File::open(format!("/proc/{}/ns/pid", first.id()))?.into();
        Ok(Self { space, first: Some(first) })
    }

    /// Starts a process among them, inside a network.
    ///
    /// # Errors
    /// What the system says.
    pub fn spawn(&self, network: &Network, command: &mut Command) -> io::Result<Child> {
        network.inside(|| {
            let kind = Some(LinkNameSpaceType::ProcessID);
            move_into_link_name_space(self.space.as_fd(), kind)?;
            command.spawn()
        })?
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let Some(mut first) = self.first.take() else { return };
        // An error means that it has ended already.
        let _ended = first.kill();
        // It lingers until those who started the others have waited for them: not to be waited for
        // here, where that may come later.
        thread::spawn(move || first.wait());
    }
}

/// Takes this thread, or the processes that it will start, out of a namespace and into a new one.
fn leave(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: only CLONE_FILES can part a thread from the descriptors of the others, and the two
    // callers pass CLONE_NEWNET or CLONE_NEWPID.
    unsafe { unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Runs `work` on a thread of its own, which ends with it: a thread that has changed its namespace
/// must not do anything else afterwards.
fn aside<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let panicked = || io::Error::other("the thread inside the namespace panicked");
        scope.spawn(work).join().unwrap_or_else(|_| Err(panicked()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_network_has_ports_of_its_own_and_processes_end_with_their_holder() {
        let network = match Network::new() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                println!("skipped: namespaces need root");
                return;
            }
            other => other.unwrap(),
        };
        let bound = network.inside(|| TcpListener::bind("0.0.0.0:21")).unwrap().unwrap();
        let again = network.inside(|| TcpListener::bind("0.0.0.0:21")).unwrap();
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let other = Network::new().unwrap();
        other.inside(|| TcpListener::bind("0.0.0.0:21")).unwrap().unwrap();
        drop(bound);

        let processes = Processes::new().unwrap();
        let mut child = processes.spawn(&network, Command::new("sleep").arg("1000")).unwrap();
        drop(processes);
        assert!(!child.wait().unwrap().success());
    }
}
