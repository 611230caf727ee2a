//! Tells who can reach the server, and in which mode: the server is not silently wrong.
//!
//! One line of the log per finding; it changes nothing.

use std::net::{IpAddr, SocketAddr};

use twoport_proto::scope::Scope;

use super::Known;
use crate::config::Config;
use crate::config::public::Announced;

/// The own addresses that clients may dial.
pub(super) fn own_addresses(listening: &[SocketAddr]) -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let of = |socket: &SocketAddr| match socket.ip() {
        ip if ip.is_unspecified() => {
            let same = |address: &IpAddr| address.is_ipv4() == ip.is_ipv4();
            interfaces.iter().map(if_addrs::Interface::ip).filter(same).collect()
        }
        ip => vec![ip],
    };
    let mut all: Vec<IpAddr> = listening.iter().flat_map(of).collect();
    all.retain(|address| matches!(Scope::of(*address), Scope::Public | Scope::Private));
    all.sort_unstable();
    all.dedup();
    all
}

/// The findings, each in one line.
pub(super) fn tell(config: &Config, own: &[IpAddr], known: &Known, needs_outer: bool) {
    for finding in findings(config, own, known, needs_outer) {
        let (clients, modes, announced) = (finding.clients, finding.modes, finding.announced);
        match finding.doubt {
            None => tracing::info!(target: "twoport", clients, modes, announced, "reachable"),
            Some(doubt) => {
                tracing::warn!(target: "twoport", clients, modes, announced, doubt, "perhaps not reachable");
            }
        }
    }
}

/// Who reaches the server how.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    clients: String,
    modes: &'static str,
    announced: String,
    doubt: Option<String>,
}

fn findings(config: &Config, own: &[IpAddr], known: &Known, needs_outer: bool) -> Vec<Finding> {
    let data = &config.data;
    let mut findings = Vec::new();
    let (four, six): (Vec<IpAddr>, Vec<IpAddr>) = own.iter().partition(|a| a.is_ipv4());
    let (public, private): (Vec<_>, Vec<_>) =
        four.into_iter().partition(|a| !Scope::of(*a).is_inner());
    let ports = match data.public_ports.0.is_empty() {
        true => data.passive_ports.to_string(),
        false => data.public_ports.to_string(),
    };
    let plain = |clients: &str, modes, announced: String| Finding {
        clients: clients.to_owned(),
        modes,
        announced,
        doubt: None,
    };
    if !six.is_empty() {
        findings.push(plain("of IPv6", "EPSV, EPRT", format!("{} ports {ports}", list(&six))));
    }
    if !public.is_empty() {
        let announced = format!("{} ports {ports}", list(&public));
        findings.push(plain("of IPv4", "EPSV, PASV, EPRT, PORT", announced));
    }
    if !private.is_empty() {
        let announced = format!("{} ports {}", list(&private), data.passive_ports);
        findings.push(plain("of the own networks", "EPSV, PASV, EPRT, PORT", announced));
    }
    for rule in &data.public_address.0 {
        let clients =
            rule.clients.map_or_else(|| "elsewhere".to_owned(), |network| format!("in {network}"));
        let (announced, doubt) = match &rule.announced {
            Announced::Auto => continue,
            Announced::Address(address) => (address.to_string(), None),
            Announced::Name(name) => match known.names.get(name) {
                Some(address) => (format!("{address} ({name})"), None),
                None => (name.clone(), Some(format!("{name} has no address: set public-address"))),
            },
        };
        let announced = format!("{announced} ports {ports}");
        findings.push(Finding { clients, modes: "EPSV, PASV", announced, doubt });
    }
    if needs_outer {
        findings.push(beyond_nat(known, &ports));
    }
    findings
}

fn beyond_nat(known: &Known, ports: &str) -> Finding {
    let clients = "beyond the NAT".to_owned();
    let Some((address, source)) = known.outer else {
        let doubt = "nobody tells the outer address, so PASV names the private one: set \
                     public-address, or a reflector; EPSV works where the ports are forwarded";
        let announced = format!("ports {ports}");
        return Finding { clients, modes: "EPSV", announced, doubt: Some(doubt.to_owned()) };
    };
    let announced = format!("{address} (from {source}) ports {ports}");
    let doubt = Scope::of(address).is_inner().then(|| {
        "the router's own outer address is private: another NAT follows, which must forward the \
         ports, too"
            .to_owned()
    });
    Finding { clients, modes: "EPSV, PASV", announced, doubt }
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    #[test]
    fn a_server_behind_nat_says_what_is_missing_until_the_outer_address_is_known() {
        let config = Config::default();
        let own = ["10.0.0.10".parse().unwrap()];
        let mut known = Known::default();
        let said = findings(&config, &own, &known, true);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].doubt.is_none() && said[0].announced.starts_with("10.0.0.10 "));
        assert!(said[1].doubt.as_ref().unwrap().contains("set public-address"));
        known.outer = Some(("203.0.113.10".parse().unwrap(), Source::Cloud));
        let said = findings(&config, &own, &known, true);
        assert_eq!((said[1].modes, &said[1].doubt), ("EPSV, PASV", &None));
        known.outer = Some(("100.64.0.2".parse().unwrap(), Source::Cloud));
        assert!(findings(&config, &own, &known, true)[1].doubt.is_some());
    }
}
