//! Where the clients of a forward proxy may go.
//!
//! It looks nothing up, and says nothing about what they do there.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
use twoport_proto::glob::Glob;

use crate::seat::IMPLICIT;

/// The ports of FTP: of control connections in clear, and under TLS from the first byte.
const PORTS: [u16; 2] = [21, IMPLICIT];

/// One row of what is allowed.
#[derive(Clone, Debug)]
pub struct Allow {
    /// Which servers.
    pub who: Who,
    /// Their control ports; those of FTP if none are named.
    pub ports: Option<RangeInclusive<u16>>,
}

/// Servers.
#[derive(Clone, Debug)]
pub enum Who {
    /// All in a network.
    Network(IpNet),
    /// All that are called by such a name, wherever on the net it leads; not those of this host.
    Name(Glob),
}

/// Whether a client may connect to an address that it has called by a name. Without rows everybody
/// may reach the ports of FTP anywhere but on this host and its links.
pub(crate) fn may(rows: &[Allow], name: &str, address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let fits = |row: &Allow| {
        let has_port = match &row.ports {
            Some(ports) => ports.contains(&address.port()),
            None => PORTS.contains(&address.port()),
        };
        has_port
            && match &row.who {
                Who::Network(network) => network.contains(&ip),
                Who::Name(name_like) => {
                    name_like.matches(name.to_ascii_lowercase().as_bytes()) && is_far(ip)
                }
            }
    };
    match rows {
        [] => PORTS.contains(&address.port()) && is_far(ip),
        rows => rows.iter().any(fits),
    }
}

/// Whether an address is none of the own host, of a link, or of many.
const fn is_far(ip: IpAddr) -> bool {
    let is_near = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !is_near && !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_reach(rows: &[Allow], name: &str, address: &str) -> bool {
        may(rows, name, address.parse().unwrap())
    }

    #[test]
    fn without_rows_it_is_ftp_and_no_way_into_the_host() {
        for (address, yes) in [
            ("192.0.2.1:21", true),
            ("10.0.0.1:990", true),
            ("192.0.2.1:22", false),
            ("127.0.0.1:21", false),
            ("[::1]:21", false),
            ("[::ffff:127.0.0.1]:21", false),
            ("0.0.0.0:21", false),
            ("0.1.2.3:21", false),
            ("169.254.169.254:21", false),
            ("[fe80::1]:21", false),
            ("224.0.0.1:21", false),
            ("[2001:db8::1]:21", true),
        ] {
            assert_eq!(may_reach(&[], "x", address), yes, "{address}");
        }
    }

    #[test]
    fn rows_name_networks_names_and_ports() {
        let network =
            Allow { who: Who::Network("127.0.0.0/8".parse().unwrap()), ports: Some(2121..=2122) };
        let name = Allow { who: Who::Name(Glob::new(b"*.example.com")), ports: None };
        let rows = [network, name];
        assert!(may_reach(&rows, "localhost", "127.0.0.1:2121"));
        assert!(!may_reach(&rows, "localhost", "127.0.0.1:21"));
        assert!(may_reach(&rows, "FTP.example.com", "192.0.2.1:21"));
        assert!(!may_reach(&rows, "ftp.example.com", "127.0.0.1:21"), "a name that leads home");
        assert!(!may_reach(&rows, "ftp.example.org", "192.0.2.1:21"));
    }
}
