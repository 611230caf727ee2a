//! The addresses of every network here: those of the textbook case, and what stands in for the rest
//! of the Internet.
//!
//! Which host has which of them is said in `plan`. IPv4 prefixes are 30 bits long between routers,
//! IPv6 prefixes 64 everywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The family of addresses that a client dials with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The digit that `ip` and people know it by.
    #[must_use]
    pub const fn digit(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V6 => 6,
        }
    }
}

/// A network that hosts are in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lan {
    /// The router's address, and the length of the prefix.
    pub(crate) router: (Ipv4Addr, u8),
    /// The host that matters in it.
    pub(crate) host: Ipv4Addr,
    /// The prefix as routes name it.
    pub(crate) prefix: &'static str,
}

/// The textbook client's.
pub(crate) const CLIENT_PRIVATE: Lan = Lan {
    router: (Ipv4Addr::new(192, 168, 0, 1), 24),
    host: Ipv4Addr::new(192, 168, 0, 107),
    prefix: "192.168.0.0/24",
};

/// A client without NAT: its addresses are the provider's own.
pub(crate) const CLIENT_PUBLIC: Lan = Lan {
    router: (Ipv4Addr::new(218, 2, 135, 129), 25),
    host: Ipv4Addr::new(218, 2, 135, 235),
    prefix: "218.2.135.128/25",
};

/// The textbook server's.
pub(crate) const SERVER_PRIVATE: Lan = Lan {
    router: (Ipv4Addr::new(10, 0, 0, 1), 24),
    host: Ipv4Addr::new(10, 0, 0, 10),
    prefix: "10.0.0.0/24",
};

/// A server without NAT.
pub(crate) const SERVER_PUBLIC: Lan = Lan {
    router: (Ipv4Addr::new(203, 0, 113, 129), 25),
    host: Ipv4Addr::new(203, 0, 113, 138),
    prefix: "203.0.113.128/25",
};

/// The client-side box as the public network sees it, and its router there.
pub(crate) const CLIENT_OUTSIDE: Ipv4Addr = Ipv4Addr::new(218, 2, 135, 1);
pub(crate) const CLIENT_UPSTREAM: Ipv4Addr = Ipv4Addr::new(218, 2, 135, 2);

/// The client-side box behind a carrier's NAT, and that NAT (RFC 6598 §7).
pub(crate) const SHARED_OUTSIDE: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 2);
pub(crate) const SHARED_UPSTREAM: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);

/// The server-side box as the public network sees it, and its router there.
pub(crate) const SERVER_OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub(crate) const SERVER_UPSTREAM: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

/// A host of the public network itself, for reflectors and strangers.
pub const PUBLIC: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(198, 51, 100, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// The second subnet of each side is the LAN, the first leads to the public network, the third from a
/// box to its carrier.
const fn v6(side: u16, net: u16, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, side, net, 0, 0, 0, host)
}

pub(crate) const CLIENT_LAN6: (Ipv6Addr, Ipv6Addr) = (v6(0xc, 1, 1), v6(0xc, 1, 0x107));
pub(crate) const CLIENT_OUTSIDE6: (Ipv6Addr, Ipv6Addr) = (v6(0xc, 0, 1), v6(0xc, 0, 2));
pub(crate) const CARRIER6: (Ipv6Addr, Ipv6Addr) = (v6(0xc, 2, 1), v6(0xc, 2, 2));
pub(crate) const SERVER_LAN6: (Ipv6Addr, Ipv6Addr) = (v6(5, 1, 1), v6(5, 1, 0x10));
pub(crate) const SERVER_OUTSIDE6: (Ipv6Addr, Ipv6Addr) = (v6(5, 0, 0x10), v6(5, 0, 9));
pub(crate) const CLIENT_PREFIX6: &str = "2001:db8:c::/48";
pub(crate) const SERVER_PREFIX6: &str = "2001:db8:5::/48";

/// The server-side box where a router maps ports: miniupnpd does so for no address that is reserved for
/// documentation, as the textbook's is.
pub(crate) const SERVER_MAPPED: Ipv4Addr = Ipv4Addr::new(218, 2, 136, 10);
pub(crate) const SERVER_MAPPED_UPSTREAM: Ipv4Addr = Ipv4Addr::new(218, 2, 136, 9);

/// The prefix of NAT64: the network's own (RFC 6052 §2.2), since the well-known one is not for addresses
/// that are reserved for documentation (§3.1), and tayga drops them.
pub(crate) const NAT64: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, 0);

/// An IPv4 address as an IPv6-only client dials it.
pub(crate) fn through_nat64(address: Ipv4Addr) -> IpAddr {
    let [a, b, c, d] = address.octets();
    let low = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let [one, two, three, ..] = NAT64.segments();
    Ipv6Addr::new(one, two, three, 0, 0, 0, low.0, low.1).into()
}
