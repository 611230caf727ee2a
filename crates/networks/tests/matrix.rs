//! A part of the matrix: with vsftpd and an ordinary client the networks must behave as measured, cell
//! by cell, or they are not the networks that they are named for.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use twoport_networks::play::clients::Client;
use twoport_networks::play::servers::Server;
use twoport_networks::play::{
    Cell, Gateways, Mode, Operation, Order, Outcome, Programs, Protection, play,
};
use twoport_networks::side::{End, Side};
use twoport_networks::{Family, Topology, missing};

const ACTIVE_AND_PASSIVE: [Mode; 4] = [Mode::Epsv, Mode::Pasv, Mode::Eprt, Mode::Port];

/// Each of the eight server sides once, each of the five client sides at least once: what works on one
/// side does not depend on the other.
fn each_side() -> Vec<Topology> {
    let clients: Vec<_> = Side::of(End::Client).filter(|side| side.base).collect();
    let servers = Side::of(End::Server).filter(|side| side.base);
    servers
        .zip(clients.iter().cycle())
        .map(|(server, client)| Topology { client, server })
        .collect()
}

/// Debug programs are beside the tests.
fn programs() -> Programs {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let twoport =
        std::env::var_os("TWOPORT").map_or_else(|| target.join("debug/twoport"), PathBuf::from);
    let mut programs = Programs::new(twoport);
    programs.peers.get_or_insert_with(|| target.join("peers"));
    programs.clients.get_or_insert_with(|| target.join("clients"));
    programs
}

/// Plays, or says what is missing.
fn played(order: &Order) -> Option<Vec<Cell>> {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return None;
    }
    match play(order, &|_| ()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: {} and {}: {error}", order.server.name, order.client.name);
            None
        }
        other => Some(other.unwrap()),
    }
}

fn order(server: &str, client: &str, family: Family) -> Order {
    Order {
        gateways: Gateways::default(),
        programs: programs(),
        topologies: each_side(),
        server: Server::named(server).unwrap(),
        client: Client::named(client).unwrap(),
        families: vec![family],
        protections: vec![Protection::Plain, Protection::Explicit],
        modes: ACTIVE_AND_PASSIVE.to_vec(),
        operations: Operation::ALL.to_vec(),
        jobs: 4,
        patience: Duration::from_secs(6),
    }
}

/// The two tables: what enters at the client's side in active mode, and at the server's in passive.
fn works(cell: &Cell) -> bool {
    let helper_reads =
        |name: &str| name.ends_with("-helper") && cell.protection == Protection::Plain;
    match cell.mode {
        Mode::Eprt | Mode::Port | Mode::Punch => {
            let side = cell.topology.client.name;
            side == "routed" || helper_reads(side)
        }
        Mode::Epsv | Mode::Pasv | Mode::Auto => match cell.topology.server.name {
            "routed" | "firewall-range" | "nat-range-address" => true,
            // IPv6 has no NAT, and no address to announce wrongly.
            "nat-range" => cell.mode == Mode::Epsv,
            other => helper_reads(other),
        },
    }
}

fn as_measured(cells: &[Cell]) {
    let wrong: Vec<String> = cells
        .iter()
        .filter(|cell| matches!(cell.outcome, Outcome::Works(_)) != works(cell))
        .map(|cell| twoport_networks::show::json(cell).to_string())
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cells.len(), wrong.join("\n"));
}

/// 960 cells fold into these 192: 8 networks, 4 modes, plain and TLS, 3 operations.
#[test]
fn vsftpd_with_an_ordinary_client_works_where_it_was_measured_to() {
    let Some(cells) = played(&order("vsftpd", "ftplib", Family::V4)) else { return };
    assert_eq!(cells.len(), 192);
    as_measured(&cells);
}

fn all_work(order: &Order) {
    let Some(cells) = played(order) else { return };
    let wrong: Vec<String> = cells
        .iter()
        .filter(|cell| !matches!(cell.outcome, Outcome::Works(_) | Outcome::Lacks(_)))
        .map(|cell| twoport_networks::show::json(cell).to_string())
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cells.len(), wrong.join("\n"));
    assert!(cells.iter().any(|cell| matches!(cell.outcome, Outcome::Works(_))));
}

/// Whatever the boxes on both sides do, and without help from them.
#[test]
fn twoport_finds_its_way_everywhere() {
    let protections = Protection::ALL.to_vec();
    all_work(&Order {
        modes: vec![Mode::Auto],
        protections,
        ..order("twoport", "twoport", Family::V4)
    });
}

#[test]
fn twoport_finds_its_way_to_vsftpd() {
    all_work(&Order { modes: vec![Mode::Auto], ..order("vsftpd", "twoport", Family::V4) });
}

#[test]
fn curl_and_lftp_reach_twoport_in_passive_mode() {
    for client in ["curl", "lftp"] {
        let modes = vec![Mode::Epsv, Mode::Pasv];
        all_work(&Order { modes, ..order("twoport", client, Family::V4) });
    }
}

#[test]
fn punched_active_mode_needs_no_help() {
    for server in ["vsftpd", "twoport"] {
        let (modes, operations) = (vec![Mode::Punch], vec![Operation::Retr]);
        all_work(&Order { modes, operations, ..order(server, "twoport", Family::V4) });
    }
}

/// Two servers share an address: each client stays with one of them.
#[test]
fn a_balancer_before_two_servers_keeps_a_client_with_one() {
    let topologies = vec![Topology::named("nat/balancer-two").unwrap()];
    for server in ["vsftpd", "twoport"] {
        let (topologies, modes) = (topologies.clone(), vec![Mode::Epsv, Mode::Pasv]);
        all_work(&Order { topologies, modes, ..order(server, "twoport", Family::V4) });
    }
}

/// The real miniupnpd, on the client's router for active mode, on the server's for passive mode.
#[test]
fn routers_map_ports_for_both_ends() {
    let named = |name| vec![Topology::named(name).unwrap()];
    let twoport = || order("twoport", "twoport", Family::V4);
    all_work(&Order { topologies: named("nat-upnp/routed"), ..twoport() });
    let (topologies, modes) = (named("nat/nat-upnp"), vec![Mode::Auto]);
    all_work(&Order { topologies, modes, ..twoport() });
}
