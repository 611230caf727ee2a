//! With gateways in the boxes of both sides every cell works: with vsftpd and an
//! ordinary client, in clear and with TLS that ends in the gateways.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use twoport_networks::play::clients::Client;
use twoport_networks::play::servers::Server;
use twoport_networks::play::{
    Gateways, Mode, Operation, Order, Outcome, Programs, Protection, play,
};
use twoport_networks::side::{End, Side};
use twoport_networks::{Family, Topology, missing};

const BOTH: Gateways = Gateways { client: true, server: true, terminate: true, auto: false };

/// Each side of the base matrix at least once.
fn each_side() -> Vec<Topology> {
    let clients: Vec<_> = Side::of(End::Client).filter(|side| side.base).collect();
    let servers = Side::of(End::Server).filter(|side| side.base);
    let pairs = servers.zip(clients.iter().cycle());
    pairs.map(|(server, client)| Topology { client, server }).collect()
}

/// Plays, and tells what does not work; nothing where it cannot be played here.
fn failures(topologies: Vec<Topology>, gateways: Gateways, family: Family) -> Vec<String> {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return Vec::new();
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let twoport =
        std::env::var_os("TWOPORT").map_or_else(|| target.join("debug/twoport"), PathBuf::from);
    let mut programs = Programs::new(twoport);
    programs.peers.get_or_insert_with(|| target.join("peers"));
    programs.clients.get_or_insert_with(|| target.join("clients"));
    let order = Order {
        gateways,
        programs,
        topologies,
        server: Server::named("vsftpd").unwrap(),
        client: Client::named("ftplib").unwrap(),
        families: vec![family],
        protections: Protection::ALL.to_vec(),
        modes: vec![Mode::Epsv, Mode::Pasv, Mode::Eprt, Mode::Port],
        operations: vec![Operation::Retr],
        jobs: 2,
        patience: Duration::from_secs(8),
    };
    let cells = match play(&order, &|_| ()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: vsftpd and ftplib: {error}");
            return Vec::new();
        }
        other => other.unwrap(),
    };
    let failed = cells.iter().filter(|cell| matches!(cell.outcome, Outcome::Fails { .. }));
    failed.map(|cell| format!("{cell:?}")).collect()
}

#[test]
fn every_network_of_the_base_matrix_works() {
    let failed = failures(each_side(), BOTH, Family::V4);
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn so_do_ipv6_and_other_ports_and_the_way_from_ipv6_to_ipv4() {
    let named = |name| Topology::named(name).unwrap();
    let failed = failures(vec![named("nat/nat"), named("nat64/nat")], BOTH, Family::V6);
    assert!(failed.is_empty(), "{failed:#?}");
    let failed = failures(vec![named("nat/nat-2121")], BOTH, Family::V4);
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn one_gateway_mends_its_own_side() {
    let at = |client, server| Gateways { client, server, ..BOTH };
    let near = Topology::named("nat/nat-range").unwrap();
    let failed = failures(vec![near], at(true, false), Family::V4);
    assert!(failed.is_empty(), "{failed:#?}");
    let far = Topology::named("routed/nat").unwrap();
    let failed = failures(vec![far], at(false, true), Family::V4);
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A server behind a firewall that opens nothing can still connect, to a gateway that can be reached.
#[test]
fn one_gateway_at_the_client_is_enough_where_it_may_change_the_mode() {
    let auto = Gateways { server: false, auto: true, ..BOTH };
    let failed = failures(each_side(), auto, Family::V4);
    assert!(failed.is_empty(), "{failed:#?}");
    let failed = failures(vec![Topology::named("nat/nat").unwrap()], auto, Family::V6);
    assert!(failed.is_empty(), "{failed:#?}");
}
