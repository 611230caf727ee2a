//! How far an address means the same host: to everybody, in one network, on one link, in one host.
//!
//! It does not know which networks this host is in.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody.
    Public,
    /// A private network (RFC 1918, RFC 4193), or a carrier's (RFC 6598): another one may use it too.
    Private,
    /// One link.
    Link,
    /// This host.
    Loopback,
    /// Not an address of a host.
    Nowhere,
}

impl Scope {
    /// That of an address; an IPv4 address in IPv6's clothes is one of IPv4.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => v6(address),
        }
    }

    /// Whether it is an address that means nothing, or another host, beyond the own network.
    #[must_use]
    pub const fn is_inner(self) -> bool {
        !matches!(self, Self::Public)
    }
}

const fn v4(address: Ipv4Addr) -> Scope {
    match address.octets() {
        [127, ..] => Scope::Loopback,
        [169, 254, ..] => Scope::Link,
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Scope::Private,
        [0 | 224..=255, ..] => Scope::Nowhere,
        _ => Scope::Public,
    }
}

const fn v6(address: Ipv6Addr) -> Scope {
    match () {
        () if address.is_loopback() => Scope::Loopback,
        () if address.is_unicast_link_local() => Scope::Link,
        () if address.is_unique_local() => Scope::Private,
        () if address.is_unspecified() || address.is_multicast() => Scope::Nowhere,
        () => Scope::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_scope() {
        for (address, scope) in [
            ("203.0.113.7", Scope::Public),
            ("100.128.0.1", Scope::Public),
            ("2001:db8::1", Scope::Public),
            ("192.168.0.1", Scope::Private),
            ("::ffff:10.0.0.1", Scope::Private),
            ("172.31.0.1", Scope::Private),
            ("100.64.0.1", Scope::Private),
            ("fd00::1", Scope::Private),
            ("169.254.169.254", Scope::Link),
            ("fe80::1", Scope::Link),
            ("127.0.0.1", Scope::Loopback),
            ("::1", Scope::Loopback),
            ("0.0.0.0", Scope::Nowhere),
            ("ff02::1", Scope::Nowhere),
        ] {
            assert_eq!(Scope::of(address.parse().unwrap()), scope, "{address}");
        }
    }
}
