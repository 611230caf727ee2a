//! What can be reached in each network, with bare sockets: control port, passive range, and the
//! client from the server. No FTP is spoken here.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use twoport_networks::play::Programs;
use twoport_networks::side::{End, Hosts, Side};
use twoport_networks::{Family, Network, Node, Topology, missing};

/// A SYN and its repetition after a second, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(3);

fn may_run() -> bool {
    match missing() {
        Some(why) => println!("skipped: {why}"),
        None => return true,
    }
    false
}

/// The network, unless a program of its box is not installed.
fn built(topology: Topology) -> Option<Network> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let mut programs = Programs::new(PathBuf::from("twoport"));
    programs.peers.get_or_insert_with(|| target.join("peers"));
    match Network::build_with(topology, &programs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("skipped: {topology}: {error}; run tests/peers/install");
            None
        }
        other => Some(other.unwrap()),
    }
}

fn dials(from: &Node, address: IpAddr, port: u16) -> io::Result<TcpStream> {
    from.inside(|| TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE))?
}

fn listen(on: &Node, family: Family, port: u16) -> TcpListener {
    let address = on.address(family).unwrap();
    on.inside(|| TcpListener::bind((address, port))).unwrap().unwrap()
}

/// What enters on the server's side: control, and the passive range.
fn server_side(side: &'static Side, family: Family) {
    let client = Side::named(End::Client, "nat").unwrap();
    let Some(network) = built(Topology { client, server: side }) else { return };
    let (server, client) = (network.server().unwrap(), network.client().unwrap());
    let to = network.topology.dialled(family);
    let (first, last) = side.passive.ports;
    for port in [side.control, first, last] {
        let listener = listen(server, family, port);
        let open = side.name == "routed"
            || port == side.control
            || side.name.contains("range") && port <= last
            || matches!(side.name, "nat-hairpin" | "nat-idle")
            || side.name == "nat-one-port" && port == first;
        let reached = dials(client, to, port);
        assert_eq!(reached.is_ok(), open, "{} port {port}: {reached:?}", network.topology);
        if reached.is_ok() {
            listener.accept().unwrap();
        }
        if first == last && port == first {
            break;
        }
    }
}

#[test]
fn the_servers_side_lets_in_what_it_says_over_ipv4() {
    if may_run() {
        // A balancer takes connections itself, whatever is behind it.
        let direct = Side::of(End::Server).filter(|side| !side.name.starts_with("balancer"));
        each(direct, |side| server_side(side, Family::V4));
    }
}

#[test]
fn the_servers_side_lets_in_what_it_says_over_ipv6() {
    if may_run() {
        each(Side::of(End::Server).filter(|side| side.base), |side| {
            // Over IPv6 there is no NAT: what is forwarded is open.
            server_side(side, Family::V6);
        });
    }
}

/// Whether the server's connection to what it sees of the client enters: only through a router.
#[test]
fn the_clients_side_keeps_out_what_it_says() {
    if !may_run() {
        return;
    }
    let sides = Side::of(End::Client).filter(|side| side.name != "inside");
    each(sides, |side| {
        let server = Side::named(End::Server, "routed").unwrap();
        let Some(network) = built(Topology { client: side, server }) else { return };
        let (server, client) = (network.server().unwrap(), network.client().unwrap());
        for family in [Family::V4, Family::V6].into_iter().filter(|f| network.topology.has(*f)) {
            let control = listen(server, network.topology.reaches(family), 21);
            dials(client, network.topology.dialled(family), 21).unwrap();
            let (_, seen) = control.accept().unwrap();
            let is_translated = Some(seen.ip()) != client.address(family);
            let has_nat = match side.hosts {
                Hosts::Public => false,
                Hosts::Private => family == Family::V4,
                Hosts::Ipv6 => true,
            };
            assert_eq!(is_translated, has_nat, "{}", network.topology);
            let _port = listen(client, family, 40000);
            let reached = dials(server, seen.ip(), 40000);
            assert_eq!(reached.is_ok(), side.name == "routed", "{}: {reached:?}", network.topology);
        }
    });
}

/// Runs several at a time: they wait for what does not come.
fn each(sides: impl Iterator<Item = &'static Side>, check: impl Fn(&'static Side) + Sync) {
    thread::scope(|scope| {
        let check = &check;
        let running: Vec<_> = sides.map(|side| scope.spawn(move || check(side))).collect();
        for one in running {
            one.join().unwrap();
        }
    });
}

/// A neighbour reaches the public address only where the NAT turns such connections round.
#[test]
fn a_client_inside_needs_hairpin() {
    if !may_run() {
        return;
    }
    for (name, works) in [("inside/nat-range-address", false), ("inside/nat-hairpin", true)] {
        let network = Network::build(Topology::named(name).unwrap()).unwrap();
        let _control = listen(network.server().unwrap(), Family::V4, 21);
        let reached = dials(network.client().unwrap(), "203.0.113.10".parse().unwrap(), 21);
        assert_eq!(reached.is_ok(), works, "{name}: {reached:?}");
    }
}

/// A router that maps ports says the address that the public network sees (NAT-PMP, RFC 6886 §3.2).
#[test]
fn routers_that_map_ports_tell_their_address() {
    if !may_run() {
        return;
    }
    let cases = [
        ("nat-upnp/routed", "client", "192.168.0.1:5351", [218, 2, 135, 1]),
        ("routed/nat-upnp", "server", "10.0.0.1:5351", [218, 2, 136, 10]),
    ];
    for (name, node, router, outside) in cases {
        let Some(network) = built(Topology::named(name).unwrap()) else { continue };
        let asked = network.node(node).unwrap().inside(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.send_to(&[0, 0], router)?;
            let mut answer = [0; 12];
            socket.recv(&mut answer)?;
            Ok::<_, io::Error>(answer)
        });
        let answer = asked.unwrap().unwrap();
        assert_eq!((&answer[..4], &answer[8..]), (&[0, 128, 0, 0][..], &outside[..]), "{name}");
    }
}

/// A connection is made and carries little things; full packets vanish, both ways.
#[test]
fn full_packets_vanish_in_a_black_hole() {
    if !may_run() {
        return;
    }
    for (name, whole) in [("nat/routed", true), ("nat-blackhole/routed", false)] {
        let network = Network::build(Topology::named(name).unwrap()).unwrap();
        let control = listen(network.server().unwrap(), Family::V4, 21);
        let to = network.topology.dialled(Family::V4);
        let mut client = dials(network.client().unwrap(), to, 21).unwrap();
        let (mut server, _) = control.accept().unwrap();
        let mut little = [0; 12];
        server.write_all(b"220 little\r\n").unwrap();
        client.read_exact(&mut little).unwrap();
        client.write_all(b"USER little\r").unwrap();
        server.read_exact(&mut little).unwrap();
        for (mut from, mut into) in [(&server, &client), (&client, &server)] {
            into.set_read_timeout(Some(PATIENCE)).unwrap();
            from.write_all(&[7; 50_000]).unwrap();
            let arrived = into.read_exact(&mut [0; 50_000]);
            assert_eq!(arrived.is_ok(), whole, "{name}: {arrived:?}");
        }
    }
}

/// The load balancer passes on what it takes, and says who the client is where it is told to.
#[test]
fn balancers_pass_connections_on() {
    if !may_run() {
        return;
    }
    for (name, header) in [("nat/balancer", false), ("nat/balancer-proxy", true)] {
        let Some(network) = built(Topology::named(name).unwrap()) else { continue };
        for port in [21, 50007] {
            let listener = listen(network.server().unwrap(), Family::V4, port);
            let to = network.topology.dialled(Family::V4);
            let mut client = dials(network.client().unwrap(), to, port).unwrap();
            client.write_all(b"QUIT\r\n").unwrap();
            let (mut server, from) = listener.accept().unwrap();
            assert_eq!(from.ip(), IpAddr::from([10, 0, 0, 1]));
            let mut first = [0; 4];
            server.read_exact(&mut first).unwrap();
            // Version 2 of the PROXY protocol begins so (haproxy's proxy-protocol.txt §2.2).
            assert_eq!(&first, if header { b"\r\n\r\n" } else { b"QUIT" }, "{name}");
        }
    }
}

/// Two of the same name stand side by side, nothing of them has a name on the machine, and their
/// processes end with them.
#[test]
fn nothing_is_left_behind() {
    if !may_run() {
        return;
    }
    let build = || Network::build(Topology::named("nat-carrier/nat").unwrap()).unwrap();
    let interfaces = || std::fs::read_to_string("/proc/net/dev").unwrap().lines().count();
    let before = interfaces();
    let (one, other) = (build(), build());
    let node = one.node("carrier").unwrap().clone();
    let mut left = node.spawn(Command::new("sleep").arg("1000")).unwrap();
    assert_eq!(interfaces(), before);
    drop((one, other, node));
    let ended = left.wait(Duration::from_secs(20)).unwrap();
    assert!(ended.is_some_and(|status| !status.success()), "{ended:?}");
}
