//! Lists of networks in a setting, such as `10.0.0.0/8`; one address is a network of its own.
//!
//! What is allowed to whom is decided where the setting is used.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::value::{Form, Misread, Toml, Value};

/// A list of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<IpNet>);

impl Networks {
    /// Whether one of them has the address. An IPv4 address in IPv6's clothes is one of IPv4.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// One network, or one address.
#[must_use]
pub(super) fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

impl Value for Networks {
    const FORM: Form = Form {
        placeholder: "CIDR",
        noun: "a network",
        describe: "networks or addresses such as \"10.1.2.0/24\" or \"2001:db8::5\"",
        toml: Toml::TextOrList,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let networks = text.split(',').map(|part| network(part.trim()));
        networks.collect::<Option<_>>().map(Self).ok_or(Misread::Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses() {
        let networks = Networks::read("10.1.0.0/16, 2001:db8::5", Path::new("")).unwrap();
        for (address, inside) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("2001:db8::5", true),
            ("2001:db8::6", false),
        ] {
            assert_eq!(networks.contain(address.parse().unwrap()), inside, "{address}");
        }
        for bad in ["10.1.0.0/33", "lb.example.com", "10.1.0.0/16,"] {
            assert!(Networks::read(bad, Path::new("")).is_err(), "{bad}");
        }
    }
}
