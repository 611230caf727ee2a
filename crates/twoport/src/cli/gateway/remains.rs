//! `twoport gateway tidy`: a process beside a gateway on a router, which takes away what the kernel keeps
//! when the gateway is killed.
//!
//! People do not call it, and it does nothing while the gateway runs.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use twoport_net::nft::{clear_away, is_clear};

use super::super::exit::Exit;
use super::super::{Failure, Outcome};

/// The process that waits.
#[derive(Debug)]
pub(super) struct Heir(Option<Child>);

impl Heir {
    /// Begins to wait for the end of this process.
    pub(super) fn wait(is_router: bool) -> Self {
        if !is_router {
            return Self(None);
        }
        // In a process group of its own, which a signal to the gateway's does not reach; this very
        // program, whatever its name leads to by now.
        let started = Command::new("/proc/self/exe")
            .args(["gateway", "tidy"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        if let Err(error) = &started {
            tracing::warn!(target: "twoport", %error, "after SIGKILL expected connections may be let in for a minute");
        }
        Self(started.ok())
    }

    /// It need not wait any more, unless something is left to it.
    pub(super) fn dismiss(self) {
        if let Some(mut child) = self.0.filter(|_| is_clear().unwrap_or(true)) {
            // It may have been ended by somebody else.
            let _gone = child.kill().and_then(|()| child.wait());
        }
    }
}

/// Waits for the end of standard input, which is that of the gateway.
pub(super) fn run() -> Outcome {
    let mut heard = Vec::new();
    // However it ends, it is the end.
    let _end = std::io::stdin().read_to_end(&mut heard);
    clear_away().map_err(|error| Failure::here(format!("nftables: {error}")))?;
    Ok(Exit::Done)
}
