//! The server that closes its own passive ports by nftables and opens one for each data connection.
//!
//! It needs root; without it the tests are skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use twoport_lab::foreign::nodes::{Client, PATIENCE, Served, connect, network, wait_for};
use twoport_networks::{Family, Network, Node};

const RANGE: &[&str] = &["--passive-ports", "50000-50099", "--open-firewall", "nft"];

/// How long is knocked at a closed port.
const KNOCK: Duration = Duration::from_millis(700);

fn rules(node: &Node) -> String {
    let listed = node.output(Command::new("nft").args(["list", "ruleset"])).unwrap();
    String::from_utf8(listed.stdout).unwrap()
}

/// The pairs that are open, as `nft` shows them.
fn openings(node: &Node) -> Vec<String> {
    let rules = rules(node);
    let sets = rules.split("elements = {").skip(1).filter_map(|rest| rest.split('}').next());
    let pairs = sets.flat_map(|set| set.split(','));
    pairs.map(|pair| pair.split(" timeout").next().unwrap_or_default().trim().to_owned()).collect()
}

fn is_dropped(node: &Node, to: SocketAddr) -> bool {
    connect(node, to, KNOCK).is_err_and(|error| error.kind() == ErrorKind::TimedOut)
}

fn transfers(network: &Network, family: Family) {
    let (client_node, server_node) = (network.client().unwrap(), network.server().unwrap());
    let served = Served::start(server_node, RANGE);
    let server: IpAddr = server_node.address(family).unwrap();
    let own = client_node.address(family).unwrap();
    let mut client = Client::log_in(client_node, server);
    assert_eq!(openings(server_node), Vec::<String>::new());
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    for round in 0..3 {
        let port = client.epsv();
        assert_eq!(openings(server_node), [format!("{own} . {port}")]);
        // Nobody else gets in, and the client at no other port.
        assert!(is_dropped(network.node("public").unwrap(), (server, port).into()));
        let other = if port == 50_000 { 50_001 } else { 50_000 };
        assert!(is_dropped(client_node, (server, other).into()));
        let mut data = connect(client_node, (server, port).into(), PATIENCE).unwrap();
        assert!(wait_for(|| openings(server_node).is_empty()), "{}", rules(server_node));
        // The connection goes on behind the closed door.
        client.asks(&format!("STOR {round}"), "150");
        data.write_all(&content).unwrap();
        drop(data);
        client.says("226");
        assert!(std::fs::read(served.file(&round.to_string())).unwrap() == content);
        assert_eq!(openings(server_node), Vec::<String>::new());
    }
    // What is not used is closed: by the next command for data, by the session's end.
    client.epsv();
    assert_eq!(openings(server_node).len(), 1);
    client.asks("EPSV", "229");
    assert_eq!(openings(server_node).len(), 1);
    client.asks("QUIT", "221");
    assert!(wait_for(|| openings(server_node).is_empty()));
}

#[test]
fn one_opening_during_the_set_up_and_none_after_it() {
    let Some(network) = network("routed/routed") else { return };
    transfers(&network, Family::V4);
    transfers(&network, Family::V6);
}

#[test]
fn nothing_is_left_of_a_server_that_was_killed_and_other_tables_are_not_touched() {
    let Some(network) = network("routed/routed") else { return };
    let (client_node, server_node) = (network.client().unwrap(), network.server().unwrap());
    let own =
        "add table inet mine; add chain inet mine input { type filter hook input priority 0; }";
    let made = server_node.output(Command::new("nft").arg(own)).unwrap();
    assert!(made.status.success());
    let before = rules(server_node);
    for _ in 0..2 {
        let served = Served::start(server_node, RANGE);
        let server = server_node.address(Family::V4).unwrap();
        let mut client = Client::log_in(client_node, server);
        let port = client.epsv();
        assert_eq!(openings(server_node).len(), 1);
        // The table is the server's alone.
        let table = rules(server_node);
        let name = table.split("table inet ").find(|rest| rest.starts_with("twoport-")).unwrap();
        let name = name.split(' ').next().unwrap();
        let meddling = ["delete", "table", "inet", name];
        let deleted = server_node.output(Command::new("nft").args(meddling)).unwrap();
        assert!(!deleted.status.success());
        served.kill();
        assert!(wait_for(|| rules(server_node) == before), "{}", rules(server_node));
        let mut nothing = Vec::new();
        let _reset = client.0.read_to_end(&mut nothing);
        let refused = connect(client_node, (server, port).into(), PATIENCE);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}

#[test]
fn many_at_once_each_have_their_own_opening() {
    let Some(network) = network("routed/routed") else { return };
    let (client_node, server_node) = (network.client().unwrap(), network.server().unwrap());
    let served = Served::start(server_node, RANGE);
    std::fs::write(served.file("a"), b"hello").unwrap();
    let server = server_node.address(Family::V4).unwrap();
    let mut clients: Vec<_> = (0..20).map(|_| Client::log_in(client_node, server)).collect();
    let ports: Vec<u16> = clients.iter_mut().map(Client::epsv).collect();
    assert_eq!(openings(server_node).len(), 20);
    for (client, port) in clients.iter_mut().zip(ports) {
        let mut data = connect(client_node, (server, port).into(), PATIENCE).unwrap();
        client.asks("RETR a", "150");
        let mut got = Vec::new();
        data.read_to_end(&mut got).unwrap();
        client.says("226");
        assert_eq!(got, b"hello");
    }
    assert_eq!(openings(server_node), Vec::<String>::new());
}
