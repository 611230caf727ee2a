//! The own address as the server sees it, read from its reply to STAT: what a NAT makes of it.
//!
//! RFC 959 §4.1.3 leaves the words of the reply free; those of servers in use are known. A number
//! that cannot be the client's is passed over.

use core::net::{IpAddr, SocketAddr};

use super::address::is_plausible;
use crate::reply::Reply;

/// The own end of the control connection, seen from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The address; none if the server does not tell.
    pub address: Option<IpAddr>,
    /// The port, which few servers tell.
    pub port: Option<u16>,
}

impl Seen {
    /// Reads a reply to STAT. vsftpd says `Connected to 192.0.2.7`, ProFTPD and twoport `Connected
    /// from 192.0.2.7`; pyftpdlib says `Connected to: 10.0.0.10:21` and means itself.
    #[must_use]
    pub fn read(reply: &Reply, local: SocketAddr, peer: SocketAddr) -> Self {
        let said = |word: &[u8]| {
            let lines = reply.lines().filter(|line| holds(line, b"connected"));
            let mut ends = lines.filter(|line| holds(line, word)).flat_map(ends);
            ends.find(|(address, port)| {
                let own = *address == local.ip().to_canonical();
                let others = *address == peer.ip().to_canonical() || *port == Some(peer.port());
                !others && (own || is_plausible(*address, peer.ip().to_canonical()))
            })
        };
        let found = said(b" from").or_else(|| said(b" to"));
        Self { address: found.map(|(address, _)| address), port: found.and_then(|(_, port)| port) }
    }
}

fn holds(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

/// What reads as an address, with its port where one stands behind it.
fn ends(line: &[u8]) -> impl Iterator<Item = (IpAddr, Option<u16>)> {
    let words = line.split(|b| b" ()<>,;'\"".contains(b));
    words.filter_map(|word| {
        let word = core::str::from_utf8(word).ok()?.trim_end_matches(['.', ':']);
        let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
        match (word.parse::<SocketAddr>(), bare.parse::<IpAddr>()) {
            (Ok(end), _) => Some((end.ip().to_canonical(), Some(end.port()))),
            (_, Ok(address)) => Some((address.to_canonical(), None)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    fn read(lines: &[&str], local: &str, peer: &str) -> (Option<IpAddr>, Option<u16>) {
        let lines = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        let reply = Reply::heard(Code::STATUS, lines);
        let seen = Seen::read(&reply, local.parse().unwrap(), peer.parse().unwrap());
        (seen.address, seen.port)
    }

    #[test]
    fn the_words_of_servers_in_use() {
        let seen = Some("218.2.135.1".parse().unwrap());
        for (lines, port) in [
            (&["FTP server status:", "     Connected to 218.2.135.1", "vsFTPd 3.0.5"][..], None),
            (&["     Connected to ::ffff:218.2.135.1"], None),
            (&["Status of 'ftp'", " Connected from gw (218.2.135.1)", " Logged in"], None),
            (&[" Connected from 218.2.135.1:40000", " Connected to 10.0.0.10"], Some(40000)),
            (&[" Connected to 10.0.0.10", " Connected from 218.2.135.1."], None),
        ] {
            assert_eq!(read(lines, "192.168.0.107:40000", "203.0.113.10:21"), (seen, port));
        }
        let v6 = [" Connected from [2600::7]:40000"];
        let seen = Some("2600::7".parse().unwrap());
        assert_eq!(read(&v6, "[2600::7]:40000", "[2600::1]:21"), (seen, Some(40000)));
    }

    #[test]
    fn what_cannot_be_the_client_is_passed_over() {
        for line in [
            " Connected to: 10.0.0.10:21",
            " Connected to 203.0.113.10",
            " Connected from 172.17.0.1",
            " Connected from 2600::7",
            " Connected from 0.0.0.0",
            " Version 1.3.8.0",
            " Connected from nowhere",
            "",
        ] {
            assert_eq!(read(&[line], "192.168.0.107:40000", "203.0.113.10:21"), (None, None));
        }
        let own = Some("192.168.0.107".parse().unwrap());
        let line = [" Connected to 192.168.0.107"];
        assert_eq!(read(&line, "192.168.0.107:4", "203.0.113.10:21"), (own, None));
    }
}
