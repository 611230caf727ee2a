//! A server that finds out by itself that nothing but its control port can be reached.
//!
//! It needs root; without it the tests are skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::Read as _;
use std::time::Duration;

use twoport_lab::foreign::nodes::{Client, PATIENCE, Served, connect, network};
use twoport_networks::{Family, Network};

/// How long is knocked at a closed port: longer than the server takes a client for undecided.
const KNOCK: Duration = Duration::from_millis(1200);

fn retrieves(network: &Network, client: &mut Client, port: u16) {
    let server = network.topology.dialled(Family::V4);
    let mut data = connect(network.client().unwrap(), (server, port).into(), PATIENCE).unwrap();
    client.asks("RETR a", "150");
    let mut got = Vec::new();
    data.read_to_end(&mut got).unwrap();
    client.says("226");
    assert_eq!(got, b"hello");
}

#[test]
fn a_client_that_dials_in_vain_is_given_the_control_port_the_next_time() {
    let Some(network) = network("routed/firewall") else { return };
    let served = Served::start(network.server().unwrap(), &[]);
    std::fs::write(served.file("a"), b"hello").unwrap();
    let server = network.topology.dialled(Family::V4);
    let mut client = Client::log_in(network.client().unwrap(), server);
    let port = client.epsv();
    assert_ne!(port, 21);
    connect(network.client().unwrap(), (server, port).into(), KNOCK).unwrap_err();
    assert_eq!(client.pasv().port(), 21);
    retrieves(&network, &mut client, 21);
    // Every other client of the network profits, from its first command.
    let mut other = Client::log_in(network.client().unwrap(), server);
    assert_eq!(other.epsv(), 21);
    assert!(served.log().contains("passive ports are not reached"), "{}", served.log());
}

#[test]
fn behind_a_nat_that_forwards_no_range_it_is_the_control_port_from_the_beginning() {
    let Some(network) = network("nat/nat") else { return };
    let served = Served::start(network.server().unwrap(), &[]);
    std::fs::write(served.file("a"), b"hello").unwrap();
    let server = network.topology.dialled(Family::V4);
    let mut client = Client::log_in(network.client().unwrap(), server);
    assert_eq!(client.epsv(), 21);
    retrieves(&network, &mut client, 21);
}

#[test]
fn where_ports_are_reached_a_client_that_does_not_come_changes_nothing() {
    let Some(network) = network("nat/nat-range") else { return };
    let served = Served::start(network.server().unwrap(), &["--passive-ports", "50000-50099"]);
    std::fs::write(served.file("a"), b"hello").unwrap();
    let server = network.topology.dialled(Family::V4);
    let mut client = Client::log_in(network.client().unwrap(), server);
    let port = client.epsv();
    retrieves(&network, &mut client, port);
    client.epsv();
    // Nobody dials, for as long.
    let (_kept, nothing) = std::sync::mpsc::channel::<()>();
    nothing.recv_timeout(KNOCK).unwrap_err();
    assert_ne!(client.epsv(), 21);
}
