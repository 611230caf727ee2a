//! The gateway on a router, between a client and a server that are both spoken by hand: what it lets
//! in, what it does not, and what is left of it when it is killed.
//!
//! It needs root; without it the tests are skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod boxed;
mod by_hand;

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use twoport_lab::foreign::clients::served;
use twoport_lab::foreign::nodes::{PATIENCE, connect, network, wait_for};
use twoport_networks::{Family, Network, Node, Process};

use self::by_hand::{End, door_in, open_doors};

/// How long is knocked at a closed door.
const KNOCK: Duration = Duration::from_millis(500);

/// The outer address of the client's box, and what the server is dialled by.
const OUTSIDE: &str = "218.2.135.1";

struct Stage {
    network: Network,
    gateway: Process,
    listener: TcpListener,
    _work: TempDir,
}

impl End {
    /// Each piece in a packet of its own.
    fn in_pieces(&mut self, line: &str, length: usize) {
        for piece in line.as_bytes().chunks(length) {
            self.raw(piece);
            std::thread::park_timeout(Duration::from_millis(3));
        }
    }
}

impl Stage {
    /// A gateway in a box of a network, and a port 21 on the server.
    fn set(name: &str, seat: &[&str], node: &str) -> Option<Self> {
        let network = network(name)?;
        let work = TempDir::new().unwrap();
        let gateway = boxed::start(&network, node, seat, &work);
        let listener =
            network.server().unwrap().inside(|| TcpListener::bind("0.0.0.0:21")).unwrap().unwrap();
        Some(Self { network, gateway, listener, _work: work })
    }

    fn node(&self, name: &str) -> &Node {
        self.network.node(name).unwrap()
    }

    fn dialled(&self) -> IpAddr {
        self.network.topology.dialled(Family::V4)
    }

    /// A session before the greeting: the client's end, the server's end.
    fn meet(&self) -> (End, End) {
        let to = SocketAddr::new(self.dialled(), 21);
        let client = connect(self.node("client"), to, PATIENCE).unwrap();
        (End::new(client), End::new(self.listener.accept().unwrap().0))
    }

    /// A session with a user.
    fn session(&self) -> (End, End) {
        let (mut client, mut server) = self.meet();
        client.logs_in(&mut server);
        (client, server)
    }

    fn rules(&self, node: &str) -> String {
        boxed::rules(self.node(node))
    }

    /// How many doors are open.
    fn open(&self, node: &str) -> usize {
        open_doors(&self.rules(node))
    }

    fn status(&self) -> String {
        let mut command = Command::new(served::program().unwrap());
        let told = self.node("client-box").output(command.args(["gateway", "status", "--json"]));
        String::from_utf8(told.unwrap().stdout).unwrap()
    }

    fn signal(&self, signal: Signal) {
        boxed::signal(&self.gateway, signal);
    }
}

const CLIENT: &[&str] = &["--seat", "client", "--lan", "lan"];

#[test]
fn active_mode_is_let_in_once_and_from_the_server_only() {
    let Some(stage) = Stage::set("nat/routed", CLIENT, "client-box") else { return };
    let (mut client, mut server) = stage.session();
    let inside = stage.node("client").inside(|| TcpListener::bind("192.168.0.107:4097")).unwrap();
    let inside = inside.unwrap();

    // A byte at a time; the address is the box's, and nothing is open before the server agrees.
    client.in_pieces("PORT 192,168,0,107,16,1\r\n", 1);
    let door = door_in(&server.hears("PORT 218,2,135,1,"));
    assert_eq!(door.ip().to_string(), OUTSIDE);
    assert_eq!(stage.open("client-box"), 0);
    server.says("200 ok");
    client.hears("200");
    client.says("RETR a");
    server.hears("RETR a");
    assert_eq!(stage.open("client-box"), 1);
    let status = stage.status();
    assert!(status.contains("\"pinholes\":1") && status.contains("192.168.0.107"), "{status}");
    // A third host, then the server, then the server again.
    assert!(connect(stage.node("public"), door, KNOCK).is_err());
    let mut data = connect(stage.node("server"), door, PATIENCE).unwrap();
    data.write_all(b"bytes").unwrap();
    drop(data);
    let mut got = String::new();
    inside.accept().unwrap().0.read_to_string(&mut got).unwrap();
    assert_eq!(got, "bytes");
    assert_eq!(stage.open("client-box"), 0);
    assert!(connect(stage.node("server"), door, KNOCK).is_err());
    server.says("226 done");
    client.hears("226");

    // Pipelined, another delimiter, LF alone.
    client.raw(b"EPRT !1!192.168.0.107!4097!\nRETR b\r\n");
    let line = server.hears("EPRT ");
    let door = line.split('|').nth(3).unwrap().parse::<u16>().unwrap();
    server.says("200 ok");
    client.hears("200");
    server.hears("RETR b");
    let door = SocketAddr::new(OUTSIDE.parse().unwrap(), door);
    let data = connect(stage.node("server"), door, PATIENCE).unwrap();
    drop((data, inside.accept().unwrap()));
    server.says("226 done");
    client.hears("226");
}

#[test]
fn a_hole_closes_with_what_it_was_for() {
    let Some(stage) = Stage::set("nat/routed", CLIENT, "client-box") else { return };
    let (mut client, mut server) = stage.session();
    let aim = |client: &mut End, server: &mut End| {
        client.says("PORT 192,168,0,107,16,2");
        let door = door_in(&server.hears("PORT "));
        server.says("200 ok");
        client.hears("200");
        client.says("RETR a");
        server.hears("RETR a");
        door
    };
    let closed = |door: SocketAddr, why: &str| {
        assert!(wait_for(|| stage.open("client-box") == 0), "{why}");
        assert!(connect(stage.node("server"), door, KNOCK).is_err(), "{why}");
    };
    // The server refuses PORT itself.
    client.says("PORT 192,168,0,107,16,2");
    let door = door_in(&server.hears("PORT "));
    server.says("500 no");
    client.hears("500");
    closed(door, "PORT refused");
    // The server refuses the transfer.
    let door = aim(&mut client, &mut server);
    server.says("550 no");
    client.hears("550");
    closed(door, "RETR refused");
    // The client gives up.
    let door = aim(&mut client, &mut server);
    client.says("ABOR");
    server.hears("ABOR");
    closed(door, "ABOR");
    server.says("426 aborted");
    server.says("226 aborted");
    client.hears("426");
    client.hears("226");
    // The next one replaces it.
    let first = aim(&mut client, &mut server);
    client.says("PASV");
    server.hears("PASV");
    closed(first, "PASV");
    server.says("425 no");
    client.hears("425");
    server.says("227 Entering Passive Mode (203,0,113,138,200,1).");
    client.hears("227");
    // The end of the session.
    let door = aim(&mut client, &mut server);
    let rules = stage.rules("client-box");
    assert!(rules.contains("timeout 30s"), "{rules}");
    drop(client);
    closed(door, "the client is gone");
    drop(server);
}

#[test]
fn nobody_opens_what_is_not_his() {
    let Some(stage) = Stage::set("nat/routed", CLIENT, "client-box") else { return };
    // Before the greeting and before a user nothing is opened, whatever is said.
    let (mut client, mut server) = stage.meet();
    client.says("PORT 192,168,0,107,16,3");
    server.hears("PORT 192,168,0,107,16,3");
    server.says("220 ready");
    server.says("200 ok");
    client.hears("220");
    client.hears("200");
    assert_eq!(stage.open("client-box"), 0);
    // Ports of services, and other hosts of the network.
    let (mut client, mut server) = stage.session();
    for (line, code) in [
        ("PORT 192,168,0,107,0,22", "501"),
        ("EPRT |1|192.168.0.107|22|", "501"),
        ("PORT 192,168,0,1,16,3", "501"),
        ("EPRT |1|192.168.0.99|4100|", "501"),
    ] {
        client.says(line);
        client.hears(code);
        assert_eq!(stage.open("client-box"), 0, "{line}");
    }
    // A page of the web that says PORT in its body (NAT slipstreaming): the session ends at the verb.
    client.raw(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nPORT 192,168,0,107,16,3\r\n");
    client.hears("421");
    assert_eq!(client.0.read_line(&mut String::new()).unwrap_or_default(), 0);
    let mut heard = String::new();
    let _cut_or_ended = server.0.read_to_string(&mut heard);
    assert_eq!(heard, "");
    assert_eq!(stage.open("client-box"), 0);
    // An announcement that nobody asked for.
    let (mut client, mut server) = stage.session();
    server.says("227 Entering Passive Mode (203,0,113,138,200,2).");
    client.hears("227");
    client.says("NOOP");
    server.hears("NOOP");
    assert_eq!(stage.open("client-box"), 0);
}

#[test]
fn passive_mode_is_let_in_through_the_servers_box() {
    passive_through_the_servers_box("routed/nat");
}

/// Its box has what is inside masqueraded towards the server: the gateway, too, were it not hidden first.
#[test]
fn passive_mode_is_let_in_through_a_box_that_hosts_inside_use_too() {
    passive_through_the_servers_box("routed/nat-hairpin");
}

fn passive_through_the_servers_box(name: &str) {
    let seat = ["--seat", "server", "--wan", "wan", "--server", "10.0.0.10:21"];
    let Some(stage) = Stage::set(name, &seat, "server-box") else { return };
    let (mut client, mut server) = stage.session();
    // The server sees the client itself.
    let seen = server.0.get_ref().peer_addr().unwrap().ip();
    assert_eq!(Some(seen), stage.node("client").address(Family::V4));
    let inside =
        stage.node("server").inside(|| TcpListener::bind("10.0.0.10:51001")).unwrap().unwrap();
    for reply in [
        "227 Entering Passive Mode (10,0,0,10,199,57).\r\n",
        "227 10,0,0,10,199,57\r\n",
        "227-Entering\r\n227 Passive Mode (10,0,0,10,199,57)\r\n",
        "229 Extended (|||51001|)\r\n",
    ] {
        let is_extended = reply.starts_with("229");
        let command = if is_extended { "EPSV" } else { "PASV" };
        client.says(command);
        server.hears(command);
        server.in_pieces(reply, 9);
        let line = client.hears("22");
        let door = if is_extended {
            SocketAddr::new(stage.dialled(), line.split('|').nth(3).unwrap().parse().unwrap())
        } else {
            door_in(&line)
        };
        assert_eq!(door.ip(), stage.dialled());
        assert_eq!(stage.open("server-box"), 1);
        assert!(connect(stage.node("public"), door, KNOCK).is_err(), "a third host");
        let mut data = connect(stage.node("client"), door, PATIENCE).unwrap();
        let (mut arrived, from) = inside.accept().unwrap();
        assert_eq!(from.ip(), seen);
        arrived.write_all(b"bytes").unwrap();
        drop(arrived);
        let mut got = String::new();
        data.read_to_string(&mut got).unwrap();
        assert_eq!(got, "bytes");
        assert!(connect(stage.node("client"), door, KNOCK).is_err(), "a second time");
        client.says("RETR a");
        server.hears("RETR a");
        assert_eq!(stage.open("server-box"), 0, "used doors stay closed");
        server.says("150 so");
        server.says("226 done");
        client.hears("150");
        client.hears("226");
    }
    // A door of a service.
    client.says("PASV");
    server.hears("PASV");
    server.says("227 Entering Passive Mode (10,0,0,10,0,22).");
    client.hears("425");
    assert_eq!(stage.open("server-box"), 0);
}

#[test]
fn killed_it_leaves_running_transfers_and_nothing_else() {
    let Some(stage) = Stage::set("nat/routed", CLIENT, "client-box") else { return };
    let (mut client, mut server) = stage.session();
    let inside =
        stage.node("client").inside(|| TcpListener::bind("192.168.0.107:4098")).unwrap().unwrap();
    client.says("PORT 192,168,0,107,16,2");
    let door = door_in(&server.hears("PORT "));
    server.says("200 ok");
    client.hears("200");
    client.says("RETR a");
    server.hears("RETR a");
    let mut data = connect(stage.node("server"), door, PATIENCE).unwrap();
    let (mut arrived, _) = inside.accept().unwrap();
    data.write_all(&[1; 10_000]).unwrap();
    let mut first = [0; 10_000];
    arrived.read_exact(&mut first).unwrap();
    // Another hole is open meanwhile.
    let (mut other, mut its) = stage.session();
    other.says("PORT 192,168,0,107,16,9");
    let open = door_in(&its.hears("PORT "));
    its.says("200 ok");
    other.hears("200");
    other.says("RETR b");
    its.hears("RETR b");
    stage.signal(Signal::KILL);
    assert!(wait_for(|| !stage.rules("client-box").contains("twoport")));
    assert!(connect(stage.node("server"), open, KNOCK).is_err(), "the hole is gone");
    arrived.set_read_timeout(Some(PATIENCE)).unwrap();
    data.set_write_timeout(Some(PATIENCE)).unwrap();
    let sending = std::thread::spawn(move || data.write_all(&vec![2; 3_000_000]));
    let mut rest = Vec::new();
    arrived.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), 3_000_000);
    sending.join().unwrap().unwrap();
}

#[test]
fn killed_it_leaves_a_translated_transfer_where_the_host_has_no_rules_until_that_ends() {
    leaves_a_translated_transfer_until_that_ends(Signal::KILL);
}

#[test]
fn stopped_it_leaves_a_translated_transfer_where_the_host_has_no_rules_until_that_ends() {
    leaves_a_translated_transfer_until_that_ends(Signal::TERM);
}

fn leaves_a_translated_transfer_until_that_ends(end: Signal) {
    let Some(network) = network("routed/routed") else { return };
    let node = |name: &str| network.node(name).unwrap();
    let text = |node: &Node, command: &[&str]| {
        let (program, arguments) = command.split_first().unwrap();
        let output = node.output(Command::new(program).args(arguments)).unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let address = |name: &str, interface: &str| -> IpAddr {
        let told = text(node(name), &["ip", "-4", "-o", "addr", "show", "dev", interface]);
        told.split([' ', '/']).find_map(|word| word.parse().ok()).unwrap()
    };
    let at = network.topology.dialled(Family::V4);
    let own = ["--seat", "server", "--wan", "wan", "--server", &format!("{at}:21")];
    let work = TempDir::new().unwrap();
    let gateway = boxed::start(&network, "server-box", &own, &work);
    let listen = |port: u16| node("server").inside(|| TcpListener::bind(("0.0.0.0", port)));
    let (control, behind) = (listen(21).unwrap().unwrap(), listen(0).unwrap().unwrap());
    let to = SocketAddr::new(address("server-box", "wan"), 21);
    let mut client = End::new(connect(node("client"), to, PATIENCE).unwrap());
    let mut server = End::new(control.accept().unwrap().0);
    server.says("220 ready");
    client.hears("220");
    client.says("USER ann");
    server.hears("USER");
    server.says("230 in");
    client.hears("230");
    client.says("EPSV");
    server.hears("EPSV");
    server.says(&format!("229 (|||{}|)", behind.local_addr().unwrap().port()));
    let told = client.hears("229");
    let port = told.split('|').nth(3).unwrap().parse().unwrap();
    let mut data = connect(node("client"), (to.ip(), port).into(), PATIENCE).unwrap();
    let mut arrived = behind.accept().unwrap().0;
    boxed::signal(&gateway, end);
    assert_eq!(gateway.ended().unwrap().success(), end == Signal::TERM);
    let rules = || boxed::rules(node("server-box"));
    assert!(wait_for(|| !rules().contains("twoport-gateway")));
    let sending =
        std::thread::spawn(move || data.write_all(&vec![2; 3_000_000]).map(|()| drop(data)));
    let mut got = Vec::new();
    arrived.set_read_timeout(Some(PATIENCE)).unwrap();
    arrived.read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), 3_000_000);
    sending.join().unwrap().unwrap();
    drop(arrived);
    assert!(wait_for(|| rules().trim().is_empty()), "{}", rules());
    drop((client, server));
}

#[test]
fn stopped_it_takes_everything_back() {
    let Some(stage) = Stage::set("routed/routed", CLIENT, "client-box") else { return };
    let rules = stage.rules("client-box");
    assert!(rules.contains("twoport-anchor") && rules.contains("redirect"), "{rules}");
    stage.signal(Signal::TERM);
    assert!(wait_for(|| stage.rules("client-box").trim().is_empty()));
}

#[test]
fn the_rules_that_are_printed_are_those_that_are_put_in_place() {
    let Some(stage) = Stage::set("nat/routed", CLIENT, "client-box") else { return };
    let mut command = Command::new(served::program().unwrap());
    let printed = command.arg("gateway").args(CLIENT).arg("--print-rules").output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let real = stage.rules("client-box");
    // Two ports are chosen when it starts.
    let plain = |line: &str| {
        let line = line.trim().split(" redirect to ").next().unwrap_or_default();
        line.split(" ct helper set ").next().unwrap_or_default().to_owned()
    };
    let is_rule = |line: &&str| ["nat ip", "redirect to"].iter().any(|word| line.contains(word));
    let rules: Vec<String> = printed.lines().filter(is_rule).map(plain).collect();
    assert_eq!(rules.len(), 7, "{printed}");
    for rule in rules {
        assert!(real.lines().any(|line| plain(line) == rule), "{rule} is not in {real}");
    }
}
