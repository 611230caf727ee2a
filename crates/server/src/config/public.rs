//! What is announced to which client: addresses by the client's network, ports by number, and who
//! is asked for the outer address.
//!
//! How names and the outer address are found out is the business of `outside`.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use twoport_net::reflect::Reflector;

use super::networks;
use super::ports::Ports;
use super::value::{Form, Misread, Optional, Toml, Value, Wrong};

/// What is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The address that the client dialled, or, for clients beyond a NAT, the outer one.
    Auto,
    /// An address.
    Address(IpAddr),
    /// The address of a name.
    Name(String),
}

/// Rules, of which the first that fits the client counts; after the last comes `auto`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicAddress(pub Vec<Rule>);

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The clients; all of them if none is named.
    pub clients: Option<IpNet>,
    /// What is announced to them.
    pub announced: Announced,
}

impl PublicAddress {
    /// What is announced to a client.
    #[must_use]
    pub fn of(&self, client: IpAddr) -> &Announced {
        let client = client.to_canonical();
        let fits = |rule: &&Rule| rule.clients.is_none_or(|network| network.contains(&client));
        self.0.iter().find(fits).map_or(&Announced::Auto, |rule| &rule.announced)
    }

    /// The address for everybody who is in no network of a rule, if it is one.
    #[must_use]
    pub fn general(&self) -> Option<IpAddr> {
        match self.0.iter().find(|rule| rule.clients.is_none())?.announced {
            Announced::Address(address) => Some(address),
            Announced::Auto | Announced::Name(_) => None,
        }
    }

    /// Whether the outer address is needed for some client.
    #[must_use]
    pub fn has_auto(&self) -> bool {
        let last = self.0.iter().find(|rule| rule.clients.is_none());
        last.is_none() || self.0.iter().any(|rule| rule.announced == Announced::Auto)
    }

    /// The addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().filter_map(|rule| match rule.announced {
            Announced::Address(address) => Some(address),
            Announced::Auto | Announced::Name(_) => None,
        })
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|rule| match &rule.announced {
            Announced::Name(name) => Some(name.as_str()),
            Announced::Auto | Announced::Address(_) => None,
        })
    }
}

impl Value for PublicAddress {
    const FORM: Form = Form {
        placeholder: "ADDR|NAME|auto",
        noun: "an address to announce",
        describe: "an IP address such as \"203.0.113.7\", a name, or \"auto\"; or for some clients \
                   \"10.0.0.0/8=10.0.0.10\"",
        toml: Toml::TextOrList,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(|part| rule(part.trim())).collect::<Result<_, _>>().map(Self)
    }
}

fn rule(text: &str) -> Result<Rule, Misread> {
    let (clients, announced) = match text.split_once('=') {
        None => (None, text),
        Some((clients, announced)) => {
            let network = networks::network(clients.trim()).ok_or(Misread::Form)?;
            (Some(network), announced.trim())
        }
    };
    let announced = match announced.parse::<IpAddr>() {
        Ok(_) => Announced::Address(IpAddr::read(announced, Path::new(""))?),
        Err(_) if announced == "auto" => Announced::Auto,
        Err(_) if is_name(announced) => Announced::Name(announced.to_owned()),
        Err(_) => return Err(Misread::Form),
    };
    Ok(Rule { clients, announced })
}

/// Letters, digits, dots and hyphens; what has no letter is a mistyped address.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    text.len() <= 253
        && text.bytes().all(fits)
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !text.starts_with(['.', '-'])
}

/// Ranges of ports that outside have other numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicPorts(pub Vec<(Ports, Ports)>);

impl PublicPorts {
    /// The number that a port has outside.
    #[must_use]
    pub fn of(&self, port: u16) -> u16 {
        let moved = self.0.iter().find(|(inside, _)| inside.range().contains(&port));
        moved.map_or(port, |(inside, outside)| outside.low + (port - inside.low))
    }
}

impl fmt::Display for PublicPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> = self.0.iter().map(|(inside, out)| format!("{inside}={out}")).collect();
        f.write_str(&pairs.join(","))
    }
}

impl Value for PublicPorts {
    const FORM: Form = Form {
        placeholder: "LO-HI=LO-HI",
        noun: "a pair of ranges",
        describe: "the ports here and outside, such as \"50000-50100=40000-40100\"",
        toml: Toml::TextOrList,
        words: &[],
    };

    fn read(text: &str, base: &Path) -> Result<Self, Misread> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let pair = |part: &str| {
            let (inside, outside) = part.split_once('=').ok_or(Misread::Form)?;
            let (inside, outside) = (Ports::read(inside, base)?, Ports::read(outside, base)?);
            if inside.high - inside.low != outside.high - outside.low {
                let what = format!("{part:?}: the ranges have not the same length");
                return Err(Misread::Wrong(Wrong::new(what, "give each port one of its own")));
            }
            Ok((inside, outside))
        };
        text.split(',').map(|part| pair(part.trim())).collect::<Result<_, _>>().map(Self)
    }
}

impl Value for Reflector {
    const FORM: Form = Form {
        placeholder: "URL|off",
        noun: "a reflector",
        describe: "\"stun://HOST:PORT\" or \"ftp://HOST:PORT\"",
        toml: Toml::Text,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        Self::parse(text).ok_or(Misread::Form)
    }
}

impl Optional for Reflector {
    const ABSENT: &'static str = "off";
    const OPTIONAL_FORM: Form =
        Form { describe: "\"stun://HOST:PORT\", \"ftp://HOST:PORT\" or \"off\"", ..Self::FORM };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Value>(text: &str) -> Option<T> {
        T::read(text, Path::new("")).ok()
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules: PublicAddress =
            read("10.0.0.0/8=10.0.0.10, 192.0.2.0/24=auto, ftp.example.com").unwrap();
        let of = |client: &str| rules.of(client.parse().unwrap()).clone();
        assert_eq!(of("10.1.2.3"), Announced::Address("10.0.0.10".parse().unwrap()));
        assert_eq!(of("::ffff:10.1.2.3"), of("10.1.2.3"));
        assert_eq!(of("192.0.2.7"), Announced::Auto);
        assert_eq!(of("198.51.100.7"), Announced::Name("ftp.example.com".into()));
        assert!(rules.has_auto() && rules.general().is_none());
        let one: PublicAddress = read("203.0.113.7").unwrap();
        assert!(!one.has_auto() && one.general() == Some("203.0.113.7".parse().unwrap()));
        let partial: PublicAddress = read("10.0.0.0/8=10.0.0.10").unwrap();
        assert!(partial.has_auto());
        for bad in ["0.0.0.0", "203.0.113", "10.0.0.0/8=", "x=203.0.113.7", "a b", "a,", "-a"] {
            assert_eq!(read::<PublicAddress>(bad), None, "{bad}");
        }
    }

    #[test]
    fn ports_are_moved_with_their_range() {
        let ports: PublicPorts = read("50000-50100=40000-40100,51000-51000=42000-42000").unwrap();
        assert_eq!(
            (ports.of(50_001), ports.of(51_000), ports.of(52_000)),
            (40_001, 42_000, 52_000)
        );
        for bad in ["50000-50100", "50000-50100=40000-40099", "50000=40000"] {
            assert_eq!(read::<PublicPorts>(bad), None, "{bad}");
        }
    }

    #[test]
    fn reflectors_have_a_way_and_a_place() {
        let address = |text: &str| read::<Reflector>(text).map(|found| found.address);
        assert_eq!(address("stun://stun.example.com").as_deref(), Some("stun.example.com:3478"));
        assert_eq!(address("ftp://192.0.2.7:2121/").as_deref(), Some("192.0.2.7:2121"));
        assert_eq!(address("stun://[2001:db8::1]").as_deref(), Some("[2001:db8::1]:3478"));
        assert_eq!(address("stun://[2001:db8::1]:99").as_deref(), Some("[2001:db8::1]:99"));
        for bad in ["stun.example.com", "http://a", "stun://", "stun://a@b"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
