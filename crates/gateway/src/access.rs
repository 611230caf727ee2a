//! Which clients may come through a gateway, and to which servers.
//!
//! It reads addresses, no commands: what a client may do is decided by the relay.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// The rules. One that denies is stronger; where some allow, all others are denied.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Who may go where.
    pub allowed: Vec<AccessRule>,
    /// Who may not.
    pub denied: Vec<AccessRule>,
}

/// Clients, and servers by the address that the client dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    clients: IpNet,
    servers: Option<IpNet>,
}

/// `NETWORK` or `NETWORK@NETWORK`.
impl FromStr for AccessRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = |text: &str| {
            let one = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse().or_else(|_| one()).map_err(|_| format!("{text:?} is no network"))
        };
        let (clients, servers) = match text.split_once('@') {
            Some((clients, servers)) => (clients, Some(network(servers)?)),
            None => (text, None),
        };
        Ok(Self { clients: network(clients)?, servers })
    }
}

impl AccessRule {
    fn fits(&self, client: IpAddr, server: IpAddr) -> bool {
        let has = |network: &IpNet, address: IpAddr| network.contains(&address.to_canonical());
        has(&self.clients, client) && self.servers.is_none_or(|servers| has(&servers, server))
    }
}

impl Access {
    /// Whether a client may go to the server that it has dialled.
    pub(crate) fn permits(&self, client: IpAddr, server: IpAddr) -> bool {
        let any = |rules: &[AccessRule]| rules.iter().any(|rule| rule.fits(client, server));
        !any(&self.denied) && (self.allowed.is_empty() || any(&self.allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_denied_is_denied_and_who_is_not_allowed_too() {
        let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let may = |access: &Access, client: &str, server: &str| {
            access.permits(client.parse().unwrap(), server.parse().unwrap())
        };
        assert!(may(&Access::default(), "192.0.2.1", "203.0.113.1"));
        let access = Access {
            allowed: rules(&["192.0.2.0/24", "2001:db8::/32@2001:db8:1::9"]),
            denied: rules(&["192.0.2.9", "192.0.2.0/24@203.0.113.0/28"]),
        };
        for (client, server, yes) in [
            ("192.0.2.1", "203.0.113.99", true),
            ("::ffff:192.0.2.1", "203.0.113.99", true),
            ("192.0.2.1", "203.0.113.1", false),
            ("192.0.2.9", "203.0.113.99", false),
            ("198.51.100.1", "203.0.113.99", false),
            ("2001:db8::1", "2001:db8:1::9", true),
            ("2001:db8::1", "2001:db8:1::8", false),
        ] {
            assert_eq!(may(&access, client, server), yes, "{client} {server}");
        }
        for wrong in ["", "x", "192.0.2.0/33", "192.0.2.1@", "@192.0.2.1"] {
            assert!(wrong.parse::<AccessRule>().is_err(), "{wrong}");
        }
    }
}
