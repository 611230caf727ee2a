//! What is wrong or doubtful about settings taken together.
//!
//! A contradiction forbids to start, a warning does not. No file but the kernel's port range is read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use twoport_net::data::ports::HELPER_PORTS;
use twoport_proto::server::Requirement;

use super::account::AccountEntry;
use super::ports::Ports;
use super::problem::{Place, Problem};
use super::public::{Announced, PublicPorts};
use super::value::Wrong;
use super::words::{Anonymous, ClientCertificates, ForeignData, OpenFirewall, TlsPolicy};
use super::{Config, is_anonymous, settings};
use crate::outside::POOL;
use crate::tls::{is_on, requirement};

type Places = BTreeMap<&'static str, Place>;

/// Settings that cannot both be meant.
pub(super) fn contradictions(config: &Config, places: &Places) -> Vec<Problem> {
    let mut problems = accounts(&config.account, config.accounts.anonymous);
    let limits = &config.limits;
    if limits.login_delay.is_some_and(|first| first > limits.login_delay_max) {
        let what = "the first delay is longer than the longest";
        let wrong = Wrong::new(what, "lower login-delay, or raise login-delay-max");
        problems.push(Problem::new(places.get("login-delay").cloned(), "login-delay", wrong));
    }
    let tls = &config.tls;
    if tls.certificate.len() != tls.key.len() {
        let what = "there are not as many keys as certificates";
        let wrong = Wrong::new(what, "give each certificate its key, in the same order");
        problems.push(Problem::new(places.get("key").cloned(), "key", wrong));
    }
    if !tls.acme.is_empty() && !is_on(config) {
        let remedy = "leave tls out, or set it to \"optional\" or \"required\"";
        let wrong = Wrong::new("nobody would see the certificate", remedy);
        problems.push(Problem::new(places.get("acme").cloned(), "acme", wrong));
    }
    if config.doors().iter().any(|(_, of_door)| std::ptr::eq(*of_door, tls)) {
        problems.extend(of_tls(tls, |key| places.get(key).cloned()));
    }
    for listener in &config.listener {
        problems.extend(of_tls(&listener.tls, |key| Some(listener.place(key))));
    }
    problems.extend(same_address(config, places));
    if config.data.open_firewall == OpenFirewall::Nft
        && config.data.foreign_data == ForeignData::Allow
    {
        let what =
            "nobody knows beforehand whom to open the port for where foreign-data is \"allow\"";
        let wrong = Wrong::new(what, "set one of them to its default");
        let place = places.get("open-firewall").cloned();
        problems.push(Problem::new(place, "open-firewall", wrong));
    }
    problems
}

/// What contradicts itself in `[tls]`, or at a listener.
fn of_tls(tls: &settings::Tls, place: impl Fn(&'static str) -> Option<Place>) -> Vec<Problem> {
    let problem = |key: &'static str, what: &str, remedy: &str| {
        Problem::new(place(key), key, Wrong::new(what, remedy))
    };
    let mut problems = Vec::new();
    let needs_authority = matches!(
        tls.client_certificates,
        ClientCertificates::Request | ClientCertificates::Require
    );
    if needs_authority && tls.client_ca.is_none() {
        let what = "no authority is named that could have signed client certificates";
        problems.push(problem("client-certificates", what, "name a file with client-ca"));
    }
    let remedy = "set tls to \"optional\" or \"required\"";
    if tls.data_tls == TlsPolicy::Required && requirement(tls) == Requirement::Off {
        let what = "data cannot be under TLS where the control connection cannot";
        problems.push(problem("data-tls", what, remedy));
    }
    if !tls.implicit_tls.is_empty() && requirement(tls) == Requirement::Off {
        problems.push(problem("implicit-tls", "there is no TLS with tls = \"off\"", remedy));
    }
    problems
}

/// Addresses at which two listeners would be. Port 0 is another one each time.
fn same_address(config: &Config, places: &Places) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    let mut look = |listen: &[SocketAddr], tls: &settings::Tls, place: Option<Place>| {
        let all = listen.iter().chain(&tls.implicit_tls).filter(|address| address.port() != 0);
        for address in all {
            if !seen.insert(*address) {
                let what = format!("{address} is there twice");
                let wrong = Wrong::new(what, "remove one of them");
                problems.push(Problem::new(place.clone(), "listen", wrong));
            }
        }
    };
    let listen = config.server.listen.as_deref().unwrap_or_default();
    look(listen, &config.tls, places.get("listen").or_else(|| places.get("implicit-tls")).cloned());
    for listener in &config.listener {
        look(&listener.listen, &listener.tls, Some(listener.place("listen")));
    }
    problems
}

/// Accounts that share a name, or have one that visitors use.
pub(super) fn accounts(accounts: &[AccountEntry], anonymous: Anonymous) -> Vec<Problem> {
    let mut problems = twice(accounts);
    if anonymous != Anonymous::Off {
        problems.extend(accounts.iter().filter(|a| is_anonymous(&a.name)).map(reserved));
    }
    problems
}

fn reserved(account: &AccountEntry) -> Problem {
    let what = format!("{:?} is a name of visitors without an account", account.name);
    let wrong = Wrong::new(what, "choose another name, or set anonymous = \"off\"");
    Problem::new(Some(account.place.clone()), "account", wrong)
}

fn twice(accounts: &[AccountEntry]) -> Vec<Problem> {
    let is_second = |(index, account): &(usize, &AccountEntry)| {
        accounts.iter().take(*index).any(|earlier| earlier.name == account.name)
    };
    let second = |(_, account): (usize, &AccountEntry)| {
        let what = format!("account {:?} is there twice", account.name);
        let wrong = Wrong::new(what, "remove one of them");
        Problem::new(Some(account.place.clone()), "account", wrong)
    };
    accounts.iter().enumerate().filter(is_second).map(second).collect()
}

/// What accounts ask for and no listener gives.
pub(super) fn unanswered(config: &Config, accounts: &[AccountEntry]) -> Vec<Problem> {
    let doors = config.doors();
    let logs_in = doors.iter().any(|(_, tls)| {
        tls.client_certificates == ClientCertificates::Login && requirement(tls) != Requirement::Off
    });
    let has_tls = is_on(config);
    let of_account = |account: &AccountEntry| {
        let name = &account.name;
        let tls = ((account.tls || account.data_tls) && !has_tls).then(|| {
            let what = format!("account {name:?} requires TLS, and no listener has it");
            ("tls", Wrong::new(what, "set tls to \"optional\" or \"required\" in [tls]"))
        });
        let certificate = (!account.certificates.is_empty() && !logs_in).then(|| {
            let what = format!("no listener lets account {name:?} log in by certificate");
            let remedy = "set client-certificates = \"login\" in [tls]";
            ("certificate", Wrong::new(what, remedy))
        });
        let problem = |(key, wrong)| Problem::new(Some(account.place.clone()), key, wrong);
        [tls, certificate].into_iter().flatten().map(problem).collect::<Vec<_>>()
    };
    accounts.iter().flat_map(of_account).collect()
}

/// What may not be what was meant.
pub(super) fn warnings(config: &Config, places: &Places) -> Vec<Problem> {
    let warn = |key: &'static str, wrong| Problem::new(places.get(key).cloned(), key, wrong);
    let ports = match config.data.open_firewall {
        OpenFirewall::Pcp => config.data.passive_ports.pool(POOL),
        OpenFirewall::Off | OpenFirewall::Nft => config.data.passive_ports,
    };
    let of_ports = [
        too_few(ports, config.limits.max_sessions),
        overlap(ports, ephemeral_ports()),
        helpers(ports),
    ];
    let mut warnings: Vec<_> =
        of_ports.into_iter().flatten().map(|wrong| warn("passive-ports", wrong)).collect();
    let data = &config.data;
    for (key, rules) in
        [("public-address", &data.public_address), ("public-address-tls", &data.public_address_tls)]
    {
        let general = rules.0.iter().filter(|rule| rule.clients.is_none());
        let addresses = general.filter_map(|rule| match rule.announced {
            Announced::Address(address) => unreachable_from_outside(address),
            Announced::Auto | Announced::Name(_) => None,
        });
        warnings.extend(addresses.map(|wrong| warn(key, wrong)));
    }
    warnings.extend(moved(&data.public_ports, ports).map(|wrong| warn("public-ports", wrong)));
    if config.server.trusted_proxies.0.iter().any(|network| network.prefix_len() == 0) {
        let what = "everybody can pretend to be any client";
        let remedy = "name the addresses of the load balancers";
        warnings.push(warn("trusted-proxies", Wrong::new(what, remedy)));
    }
    warnings.extend(unanswered(config, &config.account));
    if config.accounts.anonymous == Anonymous::Write {
        let what = "anybody can fill the disk";
        let remedy = "serve a file system of its own, or set it to \"read\"";
        warnings.push(warn("anonymous", Wrong::new(what, remedy)));
    }
    warnings
}

fn too_few(ports: Ports, max_sessions: u32) -> Option<Wrong> {
    let count = ports.usable_count();
    (u32::try_from(count).unwrap_or(u32::MAX) < max_sessions).then(|| {
        let what = format!("{count} ports for up to {max_sessions} sessions");
        let remedy = "sessions share them; clients in clear behind one address take turns, and the last \
                      of a long row get 425: widen the range, or let clients use TLS";
        Wrong::new(what, remedy)
    })
}

fn overlap(ports: Ports, ephemeral: Option<Ports>) -> Option<Wrong> {
    let other = ephemeral.filter(|other| other.low <= ports.high && ports.low <= other.high)?;
    let what = format!(
        "{ports} overlaps the ports that the system takes for outgoing connections ({other})"
    );
    Some(Wrong::new(what, "choose ports outside of them, or change net.ipv4.ip_local_port_range"))
}

fn ephemeral_ports() -> Option<Ports> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let (low, high) = text.trim().split_once(char::is_whitespace)?;
    Some(Ports { low: low.parse().ok()?, high: high.trim().parse().ok()? })
}

fn helpers(ports: Ports) -> Option<Wrong> {
    let inside = HELPER_PORTS.iter().filter(|port| (ports.low..=ports.high).contains(port));
    let list: Vec<_> = inside.map(u16::to_string).collect();
    (!list.is_empty()).then(|| {
        let what = format!("middleboxes take {} for other protocols", list.join(", "));
        Wrong::new(what, "these ports are skipped: nothing to do, unless the range is small")
    })
}

/// Passive ports that have no number outside, and numbers that middleboxes take for other protocols.
fn moved(moved: &PublicPorts, ports: Ports) -> Option<Wrong> {
    if moved.0.is_empty() {
        return None;
    }
    let missing = ports
        .usable()
        .filter(|port| !moved.0.iter().any(|(inside, _)| inside.range().contains(port)));
    let missing = missing.count();
    if missing > 0 {
        let what = format!("{missing} of the passive ports have no number outside");
        return Some(Wrong::new(what, "narrow passive-ports to what the router forwards"));
    }
    let helper = ports.usable().map(|port| moved.of(port)).find(|port| HELPER_PORTS.contains(port));
    let helper = helper?;
    let what = format!("middleboxes take {helper} for another protocol, and rewrite it");
    Some(Wrong::new(what, "let the router forward other ports"))
}

fn unreachable_from_outside(address: IpAddr) -> Option<Wrong> {
    let remedy = "write the address that clients on the Internet reach, or \"auto\" without NAT";
    match address {
        IpAddr::V6(address) => Some(Wrong::new(
            format!("{address} is never announced: only PASV carries an address, and it is IPv4"),
            "write an IPv4 address, or leave it out",
        )),
        IpAddr::V4(v4) => {
            let shared = v4.octets().first() == Some(&100)
                && v4.octets().get(1).is_some_and(|second| second & 0xc0 == 64);
            let inside = v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared;
            inside.then(|| Wrong::new(format!("{v4} cannot be reached from the Internet"), remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_compared_with_the_systems() {
        let system = Some(Ports { low: 32_768, high: 60_999 });
        assert!(overlap(Ports { low: 60_999, high: 61_000 }, system).is_some());
        assert!(overlap(Ports { low: 61_000, high: 65_535 }, system).is_none());
        assert!(overlap(Ports { low: 50_000, high: 50_010 }, None).is_none());
    }

    #[test]
    fn addresses_of_inner_networks_are_doubtful() {
        for inner in ["10.0.0.1", "192.168.1.1", "172.16.0.1", "127.0.0.1", "100.64.0.1", "::1"] {
            assert!(unreachable_from_outside(inner.parse().unwrap()).is_some(), "{inner}");
        }
        for outer in ["203.0.113.7", "100.128.0.1"] {
            assert!(unreachable_from_outside(outer.parse().unwrap()).is_none(), "{outer}");
        }
    }
}
