//! What stands between client and server: load balancers and routers of others, started for a test and ended
//! with it.
//!
//! It installs nothing: `tests/peers/install` does. What is not there is said aloud and skipped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::servers::launch::{find_in, libraries_in};

/// A running box. It is killed when dropped, and its files are removed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    work: TempDir,
}

impl Running {
    /// Its directory, with its configuration and its `log`.
    #[must_use]
    pub fn work(&self) -> &Path {
        self.work.path()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _reaped = (self.child.kill(), self.child.wait());
    }
}

/// `HAProxy` with these sections below its usual time-outs, or a word about why the test is skipped.
///
/// # Errors
/// It is there and does not start.
pub fn haproxy(sections: &str) -> io::Result<Option<Running>> {
    let Ok(program) = find_in("haproxy", "haproxy") else {
        eprintln!("skipped: haproxy is not installed; run tests/peers/install");
        return Ok(None);
    };
    let work = TempDir::new()?;
    let file = work.path().join("haproxy.cfg");
    let text = format!(
        "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n{sections}"
    );
    fs::write(&file, text)?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(&file).env("LD_LIBRARY_PATH", libraries_in("haproxy"));
    let log = fs::File::create(work.path().join("log"))?;
    let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    Ok(Some(Running { child, work }))
}

/// The program `natpmpc`, a client of NAT-PMP, and where its libraries are; or a word about why the test
/// is skipped.
#[must_use]
pub fn natpmpc() -> Option<(PathBuf, String)> {
    let Ok(program) = find_in("natpmpc", "natpmpc") else {
        eprintln!("skipped: natpmpc is not installed; run tests/peers/install");
        return None;
    };
    Some((program, libraries_in("natpmpc")))
}

/// The program `miniupnpd`, the router of many homes, and where its libraries are; or a word about
/// why the test is skipped.
#[must_use]
pub fn miniupnpd() -> Option<(PathBuf, String)> {
    let Ok(program) = find_in("miniupnpd", "miniupnpd") else {
        eprintln!("skipped: miniupnpd is not installed; run tests/peers/install");
        return None;
    };
    Some((program, libraries_in("miniupnpd")))
}
