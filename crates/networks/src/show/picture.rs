//! A network drawn in text: its hosts from the client down to the server, with addresses, and what
//! enters at each box.
//!
//! It draws what is planned; nothing is built.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::address::Family;
use crate::plan::{Host, Plan};
use crate::rules;
use crate::side::{End, Extra, Side};
use crate::topology::Topology;

/// A network, at most 80 columns wide.
#[must_use]
pub fn picture(topology: &Topology) -> String {
    let plan = Plan::of(topology);
    let mut text = format!("{topology}\n\n");
    for (index, host) in plan.hosts.iter().enumerate() {
        if index > 0 {
            text.push_str("    │\n");
        }
        draw(&mut text, host, topology);
    }
    let dialled = [Family::V4, Family::V6].into_iter().filter(|family| topology.has(*family));
    let dialled: Vec<String> = dialled.map(|family| topology.dialled(family).to_string()).collect();
    let port = topology.server.control;
    let _infallible = writeln!(text, "\nThe client dials {}, port {port}.", dialled.join(" or "));
    for (name, side) in [("client", topology.client), ("server", topology.server)] {
        if side.extra != Extra::Inside {
            let _infallible = writeln!(text, "From outside to the {name}: {}.", enters(side));
        }
    }
    text
}

/// The rules of its boxes, as nftables takes them.
#[must_use]
pub fn rules(topology: &Topology) -> String {
    let plan = Plan::of(topology);
    let boxes = plan.hosts.iter().filter(|host| !host.rules.is_empty());
    boxes.map(|host| format!("\n# {}{}\n", host.name, host.rules.concat())).collect()
}

fn draw(text: &mut String, host: &Host, topology: &Topology) {
    let about = about(host.name, topology);
    if let [(_, addresses)] = host.interfaces.as_slice() {
        let _infallible = writeln!(text, "  {:<12} {}", host.name, joined(addresses));
        return;
    }
    // Towards the client above the name, towards the server below it.
    let towards_client = |name: &str| match host.name {
        "client-box" | "carrier" => name == "lan",
        "public" => name == "clients",
        _ => name == "wan",
    };
    let line = |text: &mut String, name: &str, addresses: &[(IpAddr, u8)]| {
        let _infallible = writeln!(text, "    │ {name:<8} {}", joined(addresses));
    };
    for (name, addresses) in host.interfaces.iter().filter(|(name, _)| towards_client(name)) {
        line(text, name, addresses);
    }
    for (index, words) in wrapped(&about, 64).into_iter().enumerate() {
        let name = if index == 0 { host.name } else { "" };
        let _infallible = writeln!(text, "  {name:<12} {words}");
    }
    let below = |name: &str| name != "lo" && !towards_client(name);
    for (name, addresses) in host.interfaces.iter().filter(|(name, _)| below(name)) {
        line(text, name, addresses);
    }
}

/// What a box is.
pub(super) fn about(name: &str, topology: &Topology) -> String {
    match name {
        "client-box" => topology.client.about.to_owned(),
        "server-box" => topology.server.about.to_owned(),
        "carrier" => "the carrier's NAT".to_owned(),
        "public" => "the public network".to_owned(),
        _ => String::new(),
    }
}

/// What a side lets in from outside.
pub(super) fn enters(side: &Side) -> String {
    let has = |rule: &str| side.rules.contains(&rule);
    if !has(rules::FIREWALL) {
        return "everything".to_owned();
    }
    let mut entering = Vec::new();
    if has(rules::BALANCED) {
        entering.push("control and data, by way of the balancer".to_owned());
    }
    if has(rules::MAPPED) {
        entering.push("what is mapped".to_owned());
    }
    if has(rules::OPEN_CONTROL) {
        entering.push("control (21, 990, 2121)".to_owned());
    }
    let (first, last) = side.passive.ports;
    if has(rules::OPEN_RANGE) {
        entering.push(format!("data ({first}-{last})"));
    }
    if has(rules::OPEN_ONE) {
        entering.push(format!("data ({first})"));
    }
    if has(rules::HELPER) {
        entering.push("what the helper reads".to_owned());
    }
    if has(rules::HELPER_2121) {
        entering.push("what the helpers read".to_owned());
    }
    match (entering.is_empty(), side.end) {
        (true, End::Client) => "only answers".to_owned(),
        (true, End::Server) => "nothing".to_owned(),
        (false, _) => entering.join(", "),
    }
}

fn joined(addresses: &[(IpAddr, u8)]) -> String {
    let all: Vec<String> = addresses.iter().map(|(ip, length)| format!("{ip}/{length}")).collect();
    all.join("  ")
}

/// Words in lines of a width.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + word.chars().count() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_fits_a_terminal_and_names_what_is_dialled() {
        for topology in Topology::all() {
            let picture = picture(&topology);
            let wide = picture.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{topology}");
            assert!(picture.contains("The client dials "), "{topology}");
        }
    }
}
