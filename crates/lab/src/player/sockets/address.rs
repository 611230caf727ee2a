//! The addresses of the session files and those of the loopback, each in place of the other.
//!
//! Session files are written with the addresses of RFC 5737 and RFC 3849, which no host has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use twoport_proto::command::Command;

/// Where each party of a session is on the loopback.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The client as the file has it.
    written_peer: IpAddr,
    /// The server as the file has it.
    written_local: IpAddr,
    pub(super) peer: IpAddr,
    pub(super) local: IpAddr,
    pub(super) stranger: IpAddr,
}

impl Places {
    /// All of 127/8 is the loopback, so that each has an address; IPv6 has one for all.
    pub(super) fn new(written_local: IpAddr, written_peer: IpAddr) -> Self {
        let v4 = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        let [peer, local, stranger] = match written_local {
            IpAddr::V4(_) => [v4(7), v4(1), v4(9)],
            IpAddr::V6(_) => [IpAddr::V6(Ipv6Addr::LOCALHOST); 3],
        };
        Self { written_peer, written_local, peer, local, stranger }
    }

    /// A line of the server, with the addresses of the file.
    pub(super) fn written(&self, line: Vec<u8>) -> Vec<u8> {
        let line = replaced(line, &self.local.to_string(), &self.written_local.to_string());
        let line = replaced(line, &self.peer.to_string(), &self.written_peer.to_string());
        replaced(line, &commas(self.local), &commas(self.written_local))
    }

    /// The client's data port that a PORT or EPRT names, if it is the client's and may be.
    pub(super) fn own_target(&self, line: &[u8]) -> Option<SocketAddr> {
        let target = match Command::parse(line).ok()?.1 {
            Command::Port(target) => target.into(),
            Command::Eprt(target) => target,
            _ => return None,
        };
        (target.ip() == self.written_peer).then_some(target)
    }
}

/// PORT or EPRT, as it was, with another target.
pub(super) fn aimed(line: &[u8], target: SocketAddr) -> Vec<u8> {
    let command = match (target, line.first().map(u8::to_ascii_uppercase)) {
        (SocketAddr::V4(target), Some(b'P')) => Command::Port(target),
        _ => Command::Eprt(target),
    };
    let mut bytes = Vec::new();
    match command.encode(&mut bytes) {
        Ok(()) => bytes.strip_suffix(b"\r\n").unwrap_or(&bytes).to_vec(),
        Err(_) => line.to_vec(),
    }
}

/// The first half of what a 227 says.
fn commas(address: IpAddr) -> String {
    format!("({},", address.to_string().replace('.', ","))
}

fn replaced(line: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    match line.windows(from.len()).position(|window| window == from.as_bytes()) {
        Some(at) => {
            let (before, rest) = line.split_at_checked(at).unwrap_or((&line, b""));
            let behind = rest.get(from.len()..).unwrap_or_default();
            [before, to.as_bytes(), behind].concat()
        }
        None => line,
    }
}
