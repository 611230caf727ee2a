//! A network's name: a client side and a server side, such as `nat/firewall-range`.
//!
//! It says which there are and what the client dials; `plan` says what that means in hosts and links.

use std::fmt;
use std::net::IpAddr;

use crate::address::{self, Family};
use crate::side::{End, Extra, Hosts, SIDES, Side};

/// A pair of sides.
#[derive(Clone, Copy, Debug)]
pub struct Topology {
    /// The client's.
    pub client: &'static Side,
    /// The server's.
    pub server: &'static Side,
}

impl Topology {
    /// The network of a name, or `None` if there is no such side.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (client, server) = name.split_once('/')?;
        Some(Self {
            client: Side::named(End::Client, client)?,
            server: Side::named(End::Server, server)?,
        })
    }

    /// The 40 networks of the base matrix: five client sides and eight server sides.
    #[must_use]
    pub fn base() -> Vec<Self> {
        Self::pairs(|client, server| client.base && server.base)
    }

    /// The base matrix, and each rarer side against the plainest of the other end. (Any other pair can
    /// be named, too.)
    #[must_use]
    pub fn all() -> Vec<Self> {
        Self::pairs(|client, server| {
            if client.extra == Extra::Inside {
                return matches!(server.name, "nat-range-address" | "nat-hairpin");
            }
            let plain = |side: &Side| side.name == "routed" || side.name == "nat";
            match (client.base, server.base) {
                (true, true) => true,
                (true, false) => plain(client),
                (false, true) => plain(server),
                (false, false) => client.name == server.name,
            }
        })
    }

    fn pairs(wanted: impl Fn(&Side, &Side) -> bool) -> Vec<Self> {
        let of = |end| SIDES.iter().filter(move |side: &&Side| side.end == end);
        let pair = |client| of(End::Server).map(move |server| Self { client, server });
        let all = of(End::Client).flat_map(pair);
        all.filter(|pair| wanted(pair.client, pair.server)).collect()
    }

    /// Whether anything is between the client and the public network.
    #[must_use]
    pub fn has_client_box(&self) -> bool {
        self.client.extra != Extra::Inside
    }

    /// The address that the client dials.
    #[must_use]
    pub fn dialled(&self, family: Family) -> IpAddr {
        let v4 = match self.server.hosts {
            Hosts::Private if self.server.extra == Extra::Mapper => address::SERVER_MAPPED,
            Hosts::Private => address::SERVER_OUTSIDE,
            Hosts::Public | Hosts::Ipv6 => address::SERVER_PUBLIC.host,
        };
        match (family, self.client.hosts) {
            (Family::V6, Hosts::Ipv6) => address::through_nat64(v4),
            (Family::V6, Hosts::Public | Hosts::Private) => address::SERVER_LAN6.1.into(),
            (Family::V4, _) => v4.into(),
        }
    }

    /// The family that arrives at the server when the client dials by one.
    #[must_use]
    pub fn reaches(&self, family: Family) -> Family {
        if self.client.hosts == Hosts::Ipv6 { Family::V4 } else { family }
    }

    /// Whether there is a client of this family in it.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.client.hosts != Hosts::Ipv6,
            Family::V6 => {
                let is_balanced = matches!(
                    self.server.extra,
                    Extra::Balancer | Extra::ProxyBalancer | Extra::TwoBackends
                );
                self.client.hosts == Hosts::Ipv6
                    || self.client.extra != Extra::Inside && !is_balanced
            }
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.client.name, self.server.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_base_matrix_has_40_networks_and_every_name_is_found_again() {
        assert_eq!(Topology::base().len(), 40);
        let names: Vec<String> = Topology::all().iter().map(ToString::to_string).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for name in names {
            assert_eq!(Topology::named(&name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn every_side_is_in_some_network_and_says_what_it_is() {
        let all = Topology::all();
        for side in SIDES {
            let is_used = |pair: &Topology| {
                std::ptr::eq(pair.client, side) || std::ptr::eq(pair.server, side)
            };
            assert!(all.iter().any(is_used), "{}", side.name);
            assert!(!side.about.is_empty() && !side.about.ends_with('.'), "{}", side.name);
        }
    }
}
