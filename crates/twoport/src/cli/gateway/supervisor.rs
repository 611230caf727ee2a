//! What a gateway and its supervisor say to each other: that it is ready and which process it is now
//! (`sd_notify(3)`), and that another process is to take its place (SIGUSR2).
//!
//! How that one gets the sockets is the business of [`replace`](super::replace).

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};

/// Says that this process is ready, and the one to supervise from now on.
pub(super) fn tell_ready() {
    let name = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
    if name.is_empty() {
        return;
    }
    let told = || {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(&name)?,
        };
        let text = format!("READY=1\nMAINPID={}", std::process::id());
        UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address)
    };
    if let Err(error) = told() {
        tracing::warn!(target: "twoport", %error, "the supervisor does not hear that this is ready");
    }
}

/// Starts this program as it is installed now, with the same words, to take the place of this process.
///
/// # Errors
/// It is not there, or the system has no room for it.
pub(super) fn start_successor() -> io::Result<()> {
    const REPLACE: &str = "--replace";
    let mut words = std::env::args_os();
    let program = words.next().ok_or(io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(words.filter(|word| word != REPLACE)).arg(REPLACE).stdin(Stdio::null());
    let mut successor = command.spawn()?;
    std::thread::spawn(move || {
        // This process may end before.
        if let Ok(status) = successor.wait()
            && !status.success()
        {
            tracing::error!(target: "twoport", %status, "the process that was to take this one's place has ended");
        }
    });
    Ok(())
}
