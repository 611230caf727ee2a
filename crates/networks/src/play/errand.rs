//! What a client is sent to do: one operation, in one mode, under one protection.
//!
//! How each client is told is in `clients`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::{Mode, Operation, Programs, Protection};

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Errand<'a> {
    /// Where programs are.
    pub programs: &'a Programs,
    /// The control port to dial.
    pub to: SocketAddr,
    /// Under what protection.
    pub protection: Protection,
    /// By which mode.
    pub mode: Mode,
    /// What to do.
    pub operation: Operation,
    /// The file to write to, or to read.
    pub local: &'a Path,
    /// Its path on the server, from the log-in directory; of a listing, the directory.
    pub remote: &'a str,
    /// The authority that signed the server's certificate.
    pub authority: &'a Path,
    /// Who logs in, with what.
    pub login: (&'a str, &'a str),
    /// How long a reply or a connection may take.
    pub patience: Duration,
}

impl Errand<'_> {
    /// The URL, without user and password.
    #[must_use]
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/{}", self.to, self.remote)
    }

    /// The host as a URL has it.
    #[must_use]
    pub fn host(&self) -> String {
        match self.to.ip() {
            IpAddr::V4(host) => host.to_string(),
            IpAddr::V6(host) => format!("[{host}]"),
        }
    }
}
