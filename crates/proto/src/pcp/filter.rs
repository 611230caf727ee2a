//! Who may come through a mapped port: the option FILTER (RFC 6887 §13.3).
//!
//! It opens nothing, and keeps no list.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{FILTER, wide};

/// Those who may: a network, and one port of theirs or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    network: IpAddr,
    prefix: u8,
    port: u16,
}

/// What the option says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nobody is left out any more.
    Clear,
    /// These, too.
    Add(Filter),
}

impl Filter {
    /// A network, of which what is beyond the prefix does not count, and a port; 0 is any. None if the
    /// prefix is longer than an address.
    #[must_use]
    pub fn new(network: IpAddr, prefix: u8, port: u16) -> Option<Self> {
        let network = match network {
            IpAddr::V4(v4) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or_default();
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) if prefix <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or_default();
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
            _ => return None,
        };
        Some(Self { network, prefix, port })
    }

    /// One host, with any port.
    #[must_use]
    pub const fn host(host: IpAddr) -> Self {
        let prefix = if host.is_ipv4() { 32 } else { 128 };
        Self { network: host, prefix, port: 0 }
    }

    /// Everybody of a family.
    #[must_use]
    pub const fn anybody(family: IpAddr) -> Self {
        let network = match family {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self { network, prefix: 0, port: 0 }
    }

    /// The same with one port only.
    #[must_use]
    pub const fn at(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The first address of the network.
    #[must_use]
    pub const fn network(&self) -> IpAddr {
        self.network
    }

    /// How many bits of an address are those of the network.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The bits of an address that are those of the network.
    #[must_use]
    pub fn mask(&self) -> IpAddr {
        let ones = match self.network {
            IpAddr::V4(_) => Ipv4Addr::BROADCAST.into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(u128::MAX).into(),
        };
        Self::new(ones, self.prefix, 0).map_or(ones, |masked| masked.network)
    }

    /// The last address of the network.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        match (self.network, self.mask()) {
            (IpAddr::V4(low), IpAddr::V4(mask)) => (low | !mask).into(),
            (IpAddr::V6(low), IpAddr::V6(mask)) => (low | !mask).into(),
            (low, _) => low,
        }
    }

    /// Their port; 0 is any.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it lets in whomever the other lets in.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let part = Self::new(other.network, self.prefix, self.port);
        self.prefix <= other.prefix
            && part == Some(*self)
            && (self.port == 0 || self.port == other.port)
    }
}

/// The content of the option, for a host of this family. A prefix of no bits means all.
pub(super) fn read(content: &[u8], family: IpAddr) -> Option<Change> {
    let content: [u8; 20] = content.try_into().ok()?;
    let [_, prefix, high, low, ref address @ ..] = content;
    if prefix == 0 {
        return Some(Change::Clear);
    }
    let network = IpAddr::from(*address).to_canonical();
    let prefix = match network {
        IpAddr::V4(_) => prefix.checked_sub(96)?,
        IpAddr::V6(_) => prefix,
    };
    let is_family = network.is_ipv4() == family.is_ipv4();
    let filter = Filter::new(network, prefix, u16::from_be_bytes([high, low]))?;
    is_family.then_some(Change::Add(filter))
}

/// The whole option.
pub(super) fn option(filter: &Filter) -> Vec<u8> {
    let beyond = if filter.network.is_ipv4() { 96 } else { 0 };
    let [high, low] = filter.port.to_be_bytes();
    let head = [FILTER, 0, 0, 20, 0, filter.prefix + beyond, high, low];
    [&head[..], &wide(filter.network).octets()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    fn filter(network: &str, prefix: u8, port: u16) -> Filter {
        Filter::new(network.parse().unwrap(), prefix, port).unwrap()
    }

    #[test]
    fn networks_are_masked_and_compared() {
        let ten = filter("10.1.2.3", 8, 0);
        assert_eq!(ten.network().to_string(), "10.0.0.0");
        assert_eq!(
            (ten.mask().to_string(), ten.last().to_string()),
            ("255.0.0.0".into(), "10.255.255.255".into())
        );
        assert!(ten.covers(&filter("10.9.0.0", 16, 20)) && ten.covers(&ten));
        assert!(!ten.covers(&filter("10.0.0.0", 7, 0)) && !ten.covers(&filter("11.0.0.0", 16, 0)));
        assert!(!ten.at(20).covers(&ten) && ten.at(20).covers(&filter("10.0.0.1", 32, 20)));
        let all = Filter::anybody("::1".parse().unwrap());
        assert!(all.covers(&filter("2001:db8::1", 128, 9)) && !all.covers(&ten));
        assert_eq!(all.last().to_string(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        assert_eq!(filter("2001:db8::1", 128, 0), Filter::host("2001:db8::1".parse().unwrap()));
        assert!(Filter::new("10.0.0.1".parse().unwrap(), 33, 0).is_none());
    }

    #[test]
    fn the_option_is_read_as_it_was_written() {
        let v4 = "192.0.2.7".parse().unwrap();
        for network in [filter("10.0.0.0", 8, 20), filter("2001:db8::", 32, 0)] {
            let content = &option(&network)[4..];
            assert_eq!(read(content, network.network()), Some(Change::Add(network)));
        }
        let mut content = option(&Filter::host(v4)).split_off(4);
        assert_eq!(read(&content, "::1".parse().unwrap()), None, "of another family");
        assert_eq!(read(&content[1..], v4), None);
        content[1] = 95;
        assert_eq!(read(&content, v4), None);
        content[1] = 0;
        assert_eq!(read(&content, v4), Some(Change::Clear));
    }
}
