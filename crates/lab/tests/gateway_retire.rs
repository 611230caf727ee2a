//! A gateway's seat on a router that a reload takes away, and what two gateways of one router leave to
//! each other.
//!
//! It needs root; without it the tests are skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod boxed;
#[expect(dead_code, reason = "how many doors are open is another test's matter")]
mod by_hand;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use rustix::process::Signal;
use tempfile::TempDir;
use twoport_lab::foreign::nodes::{PATIENCE, connect, network, wait_for};
use twoport_networks::{Family, Network};

use self::by_hand::{End, door_in};

/// A session with a user, at both ends, and whom the server sees.
fn session(network: &Network, listener: &TcpListener) -> (End, End, SocketAddr) {
    let to = SocketAddr::new(network.topology.dialled(Family::V4), 21);
    let mut client = End::new(connect(network.node("client").unwrap(), to, PATIENCE).unwrap());
    let (arrived, from) = listener.accept().unwrap();
    let mut server = End::new(arrived);
    client.logs_in(&mut server);
    (client, server, from)
}

/// A download in active mode, whose data come through the gateway's pinhole.
fn download(network: &Network, client: &mut End, server: &mut End) {
    let listen = || TcpListener::bind("192.168.0.107:0");
    let inside = network.node("client").unwrap().inside(listen).unwrap().unwrap();
    let port = inside.local_addr().unwrap().port();
    client.says(&format!("PORT 192,168,0,107,{},{}", port / 256, port % 256));
    let door = door_in(&server.hears("PORT 218,2,135,1,"));
    server.says("200 ok");
    client.hears("200");
    client.says("RETR a");
    server.hears("RETR a");
    let mut data = connect(network.node("server").unwrap(), door, PATIENCE).unwrap();
    data.write_all(b"bytes").unwrap();
    drop(data);
    let mut got = String::new();
    inside.accept().unwrap().0.read_to_string(&mut got).unwrap();
    assert_eq!(got, "bytes");
    server.says("226 done");
    client.hears("226");
}

#[test]
fn a_seat_that_a_reload_takes_away_takes_nobody_more_and_keeps_its_sessions() {
    let Some(network) = network("nat/routed") else { return };
    let (node, work) = (network.node("client-box").unwrap(), TempDir::new().unwrap());
    let file = work.path().join("gateway.toml");
    let other = "[[seat]]\nserver = [\"127.0.0.1:9\"]\nlisten = [\"127.0.0.1:2121\"]\n";
    let seat =
        |ports: &str| format!("{other}[[seat]]\nseat = \"client\"\nlan = \"lan\"\n{ports}\n");
    std::fs::write(&file, seat("")).unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let gateway = boxed::start(&network, "client-box", &config, &work);
    let log = || std::fs::read_to_string(work.path().join("log")).unwrap();
    let listen = || TcpListener::bind("0.0.0.0:21");
    let listener = network.server().unwrap().inside(listen).unwrap().unwrap();
    let (mut client, mut server, _) = session(&network, &listener);
    download(&network, &mut client, &mut server);
    let redirects = || boxed::rules(node).matches("redirect to").count();
    assert_eq!(redirects(), 1);
    std::fs::write(&file, other).unwrap();
    boxed::signal(&gateway, Signal::HUP);
    assert!(wait_for(|| log().contains("the configuration was read again")), "{}", log());
    assert_eq!(redirects(), 0, "{}", boxed::rules(node));
    // A new client is nobody's but the server's.
    let sessions = || log().matches("session=").count();
    let before = sessions();
    let (mut fresh, mut direct, _) = session(&network, &listener);
    fresh.says("PORT 192,168,0,107,200,10");
    direct.hears("PORT 192,168,0,107,200,10");
    assert_eq!(sessions(), before, "{}", log());
    download(&network, &mut client, &mut server);
    assert!(boxed::rules(node).contains("table inet twoport-gateway"));
    // Its place is free for another that takes more, while it still has its session.
    std::fs::write(&file, seat("port = [\"21\", \"2121\"]")).unwrap();
    boxed::signal(&gateway, Signal::HUP);
    assert!(wait_for(|| redirects() == 2), "{}", log());
    let (mut taken, mut again, _) = session(&network, &listener);
    download(&network, &mut taken, &mut again);
    download(&network, &mut client, &mut server);
    drop((client, server));
    assert!(wait_for(|| boxed::rules(node).matches("table inet twoport-gateway").count() == 1));
    drop((taken, again));
    boxed::signal(&gateway, Signal::TERM);
    assert!(wait_for(|| !boxed::rules(node).contains("twoport")));
}

#[test]
fn a_door_of_one_process_is_not_given_out_by_the_next() {
    let Some(network) = network("nat/routed") else { return };
    let seat = ["--seat", "client", "--lan", "lan"];
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let _old = boxed::start(&network, "client-box", &seat, &first);
    let listen = || TcpListener::bind("0.0.0.0:21");
    let listener = network.server().unwrap().inside(listen).unwrap().unwrap();
    let door = |(client, server): &mut (End, End), port: u8| {
        client.says(&format!("PORT 192,168,0,107,16,{port}"));
        let door = door_in(&server.hears("PORT 218,2,135,1,"));
        server.says("200 ok");
        client.hears("200");
        door
    };
    let meet = || {
        let (client, server, _) = session(&network, &listener);
        (client, server)
    };
    let (mut one, mut other) = (meet(), meet());
    let before = door(&mut one, 2);
    assert_eq!(before.port(), 16 * 256 + 2);
    let replacing = [&seat[..], &["--replace"]].concat();
    let _new = boxed::start(&network, "client-box", &replacing, &second);
    let mut fresh = meet();
    // What was given out before the other one came, and after.
    assert_ne!(door(&mut fresh, 2), before);
    let after = door(&mut other, 3);
    assert_eq!(after.port(), 16 * 256 + 3);
    assert_ne!(door(&mut fresh, 3), after);
    // What is not in use any more is anybody's.
    drop(one);
    assert!(wait_for(|| door(&mut fresh, 2) == before));
}

#[test]
fn the_anchor_stays_for_the_other_gateway_and_goes_with_the_last() {
    let Some(network) = network("routed/routed") else { return };
    let node = network.node("client-box").unwrap();
    let (first, second, third) =
        (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let client =
        boxed::start(&network, "client-box", &["--seat", "client", "--lan", "lan"], &first);
    let wan = ["--seat", "server", "--wan", "wan"];
    let server = boxed::start(&network, "client-box", &wan, &second);
    let count = |what: &str| boxed::rules(node).matches(what).count();
    assert_eq!((count("table inet twoport-gateway"), count("twoport-anchor")), (2, 1));
    // Its one rule does not multiply.
    assert_eq!(count("ct state "), 1, "{}", boxed::rules(node));
    boxed::signal(&client, Signal::TERM);
    assert!(wait_for(|| count("table inet twoport-gateway") == 1));
    assert!(client.ended().unwrap().success());
    assert_eq!(count("twoport-anchor"), 1, "{}", boxed::rules(node));
    boxed::signal(&server, Signal::TERM);
    assert!(wait_for(|| boxed::rules(node).trim().is_empty()), "{}", boxed::rules(node));
    // The same of two seats of one process.
    let file = third.path().join("gateway.toml");
    let seats =
        "[[seat]]\nseat = \"client\"\nlan = \"lan\"\n[[seat]]\nseat = \"server\"\nwan = \"wan\"\n";
    std::fs::write(&file, seats).unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let both = boxed::start(&network, "client-box", &config, &third);
    std::fs::write(&file, seats.split_at(seats.rfind("[[").unwrap()).0).unwrap();
    boxed::signal(&both, Signal::HUP);
    assert!(wait_for(|| count("table inet twoport-gateway") == 1));
    assert_eq!(count("twoport-anchor"), 1, "{}", boxed::rules(node));
    boxed::signal(&both, Signal::TERM);
    assert!(wait_for(|| boxed::rules(node).trim().is_empty()), "{}", boxed::rules(node));
}
