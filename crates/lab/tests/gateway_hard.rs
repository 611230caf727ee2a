//! The hard cases of the gateway that need packets: who comes through a hole, when, and how often; what
//! a kernel's helper drops, and what outlives the gateway.
//!
//! What is decided by lines alone is tested beside the relay machine: `relay/tests/{hard,hostile}.rs` in
//! `twoport-proto`, H and X below; G is this file, S `gateway_seats.rs`. It needs root; without it the
//! tests are skipped aloud.
//!
//! | | function | test |
//! |---|---|---|
//! | 1 | PORT in two segments, split within a number | H `a_port_split_within_a_number_is_one_port` |
//! | 2 | PORT a byte a segment | S `active_mode_is_let_in_once_and_from_the_server_only` |
//! | 3 | 227 in pieces of nine bytes | S `passive_mode_is_let_in_through_the_servers_box` |
//! | 4 | PORT and the transfer in one segment | G `a_server_that_connects_as_soon_as_it_may_finds_the_hole_open` |
//! | 5 | PASV and the transfer in one segment | H `set_up_and_transfer_in_one_segment_are_in_step` |
//! | 6 | lines that end in LF alone | H `lines_may_end_in_lf_alone_and_verbs_in_any_case` |
//! | 7 | lower case | the same |
//! | 8 | 227 in a reply of many lines | H `servers_word_227_as_they_like`, S |
//! | 9 | 227 without parentheses | the same |
//! | 10 | 227 with 0.0.0.0 or a private address | H `a_server_that_does_not_know_its_address_is_found_at_its_own` |
//! | 11 | any delimiter of EPRT and 229 | H `any_delimiter_of_eprt_and_of_229_is_read` |
//! | 12 | EPSV with a family | H `epsv_with_a_family_is_epsv_and_with_nonsense_it_keeps_step` |
//! | 13 | EPSV ALL | H `epsv_all_passes_where_the_server_is_asked_for_nothing_else` |
//! | 14 | ten transfers in a row | H `ten_transfers_in_a_row_have_ten_holes` |
//! | 15 | twenty sessions at once | G `twenty_sessions_at_once_have_a_hole_each` |
//! | 16 | another control port | G `replies_and_commands_in_pieces_open_holes_at_another_port_too` |
//! | 17 | lines that change their length | every test of PORT here |
//! | 18 | ABOR with Telnet's Synch | H `abor_with_and_without_synch_keeps_replies_in_step` |
//! | 19 | IPv6 | H `extended_verbs_name_families_of_either_kind` |
//! | 20 | a banner of many lines, with codes in it | H `a_banner_that_names_other_codes_is_one_reply` |
//!
//! | | security | test |
//! |---|---|---|
//! | 1 | a port of services by PORT and EPRT | X `ports_of_services_are_not_aimed_at_in_either_direction` |
//! | 2 | the same by 227 and 229 | the same |
//! | 3 | a hole after a refusal | X `a_refusal_closes_what_was_prepared_or_open` |
//! | 4 | a hole after the end of the session | S `a_hole_closes_with_what_it_was_for` |
//! | 5 | slipstreaming with a server that greets | X `every_http_verb_ends_the_session_at_once` |
//! | 6 | slipstreaming without a greeting | X `nothing_opens_for_who_has_not_been_greeted_or_has_no_user` |
//! | 7 | 227 that nobody asked for | X `announcements_that_nobody_asked_for_open_nothing_and_break_nothing` |
//! | 8 | a third host at the door | G `the_first_of_two_passive_ports_is_closed_and_the_second_is_open_once` |
//! | 9 | a second connection | the same |
//! | 10 | another host's address | X `no_address_but_the_clients_own_is_aimed_at` |
//! | 11 | before the log-in | X `nothing_opens_for_who_has_not_been_greeted_or_has_no_user` |
//! | 12 | a hole that nobody uses | G `a_hole_that_nobody_uses_closes_after_thirty_seconds` |
//! | 13 | what is left after SIGKILL | G `a_gateway_that_is_killed_leaves_nothing` |
//!
//! The other tests of those files are cases that the list did not have.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod boxed;
mod by_hand;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use twoport_lab::foreign::nodes::{PATIENCE, connect, network, wait_for};
use twoport_net::clock;
use twoport_networks::{Family, Network, Node, Process};

use self::by_hand::{End, door_in, open_doors};

/// How long is knocked at a closed door.
const KNOCK: Duration = Duration::from_millis(500);

const CLIENT: &[&str] = &["--seat", "client", "--lan", "lan"];
const SERVER: &[&str] = &["--seat", "server", "--wan", "wan", "--server", "10.0.0.10:21"];

struct Stage {
    network: Network,
    gateway: Process,
    listener: TcpListener,
    work: TempDir,
}

impl Stage {
    /// A gateway in a box of a network, and a control port on the server.
    fn set(name: &str, node: &str, seat: &[&str], port: u16) -> Option<Self> {
        let network = network(name)?;
        let work = TempDir::new().unwrap();
        let gateway = boxed::start(&network, node, seat, &work);
        let listen = || TcpListener::bind(("0.0.0.0", port));
        let listener = network.server().unwrap().inside(listen).unwrap().unwrap();
        Some(Self { network, gateway, listener, work })
    }

    fn node(&self, name: &str) -> &Node {
        self.network.node(name).unwrap()
    }

    fn at(&self, port: u16) -> SocketAddr {
        (self.network.topology.dialled(Family::V4), port).into()
    }

    /// A session with a user: the client's end, the server's end.
    fn session(&self) -> (End, End) {
        let control = self.listener.local_addr().unwrap().port();
        let client = connect(self.node("client"), self.at(control), PATIENCE).unwrap();
        let (mut client, mut server) =
            (End::new(client), End::new(self.listener.accept().unwrap().0));
        client.logs_in(&mut server);
        (client, server)
    }

    /// Where the client may listen.
    fn inside(&self) -> TcpListener {
        let client = self.node("client");
        let address = client.address(Family::V4).unwrap();
        client.inside(|| TcpListener::bind((address, 0))).unwrap().unwrap()
    }

    /// Where the server may listen.
    fn behind(&self) -> TcpListener {
        self.node("server").inside(|| TcpListener::bind("10.0.0.10:0")).unwrap().unwrap()
    }

    fn rules(&self, node: &str) -> String {
        boxed::rules(self.node(node))
    }

    /// How many doors are open.
    fn open(&self, node: &str) -> usize {
        open_doors(&self.rules(node))
    }

    fn signal(&self, signal: Signal) {
        boxed::signal(&self.gateway, signal);
    }
}

impl End {
    /// A command that the server hears as it is, and its reply.
    #[track_caller]
    fn asks(&mut self, server: &mut Self, command: &str, reply: &str) {
        self.says(command);
        server.hears(command);
        server.says(reply);
        self.hears(reply);
    }

    /// PORT, accepted: the door that the server is told.
    #[track_caller]
    fn listens(&mut self, server: &mut Self, inside: &TcpListener) -> SocketAddr {
        self.says(&format!("PORT {}", comma(inside.local_addr().unwrap())));
        let door = door_in(&server.hears("PORT "));
        server.says("200 ok");
        self.hears("200");
        door
    }

    /// PASV, answered: the door that the client is told.
    #[track_caller]
    fn dials(&mut self, server: &mut Self, behind: &TcpListener) -> SocketAddr {
        self.says("PASV");
        server.hears("PASV");
        server.says(&format!("227 Entering ({}).", comma(behind.local_addr().unwrap())));
        door_in(&self.hears("227"))
    }
}

fn comma(address: SocketAddr) -> String {
    let [high, low] = address.port().to_be_bytes();
    format!("{},{high},{low}", address.ip().to_string().replace('.', ","))
}

/// What goes in at one end comes out at the other.
#[track_caller]
fn carries(mut from: TcpStream, mut to: TcpStream) {
    from.write_all(b"bytes").unwrap();
    from.shutdown(Shutdown::Write).unwrap();
    to.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = String::new();
    to.read_to_string(&mut got).unwrap();
    assert_eq!(got, "bytes");
}

#[test]
fn a_server_that_connects_as_soon_as_it_may_finds_the_hole_open() {
    let Some(stage) = Stage::set("nat/routed", "client-box", CLIENT, 21) else { return };
    let (mut client, mut server) = stage.session();
    let inside = stage.inside();
    for _ in 0..50 {
        // Pipelined, and the server connects before it says 150: no SYN may come too early.
        let port = comma(inside.local_addr().unwrap());
        client.raw(format!("PORT {port}\r\nRETR a\r\n").as_bytes());
        let door = door_in(&server.hears("PORT "));
        server.says("200 ok");
        server.hears("RETR a");
        let data = connect(stage.node("server"), door, KNOCK).unwrap();
        carries(data, inside.accept().unwrap().0);
        server.says("150 here");
        server.says("226 done");
        for code in ["200", "150", "226"] {
            client.hears(code);
        }
    }
    assert_eq!(stage.open("client-box"), 0);
}

/// As pyftpdlib does: the client hears of it only with the verb. Behind a firewall its first packet is
/// lost, and where there is none it is refused.
#[test]
fn a_server_that_connects_before_it_answers_port_waits_in_the_gateway() {
    for (network, refuses) in
        [("nat/routed", false), ("firewall/routed", false), ("nat/routed", true)]
    {
        let Some(stage) = Stage::set(network, "client-box", CLIENT, 21) else { return };
        if refuses {
            let mut flush = Command::new("nft");
            stage
                .node("client-box")
                .output(flush.args(["flush", "chain", "inet", "box", "input"]))
                .unwrap();
        }
        let (mut client, mut server) = stage.session();
        let inside = stage.inside();
        inside.set_nonblocking(true).unwrap();
        for round in 0..3 {
            client.says(&format!("PORT {}", comma(inside.local_addr().unwrap())));
            let mut door = door_in(&server.hears("PORT "));
            let mut data = connect(stage.node("server"), door, PATIENCE);
            assert_eq!(data.is_err(), refuses && round == 0, "{network}: {data:?}");
            if data.is_err() {
                server.says("425 Can't connect to specified address.");
                door = door_in(&server.hears("PORT "));
                data = connect(stage.node("server"), door, PATIENCE);
            }
            let data = data.unwrap();
            assert!(inside.accept().is_err(), "{network}: the client has asked for nothing");
            server.says("200 connected");
            client.hears("200");
            client.says("RETR a");
            server.hears("RETR a");
            let mut came = None;
            assert!(wait_for(|| {
                came = came.take().or_else(|| inside.accept().ok());
                came.is_some()
            }));
            let came = came.unwrap().0;
            came.set_nonblocking(false).unwrap();
            carries(data, came);
            server.says("226 done");
            client.hears("226");
            assert!(connect(stage.node("server"), door, KNOCK).is_err(), "{network}: twice");
        }
    }
}

#[test]
fn the_first_of_two_passive_ports_is_closed_and_the_second_is_open_once() {
    let Some(stage) = Stage::set("routed/nat", "server-box", SERVER, 21) else { return };
    let (mut client, mut server) = stage.session();
    let (one, two) = (stage.behind(), stage.behind());
    let first = client.dials(&mut server, &one);
    let second = client.dials(&mut server, &two);
    assert_eq!(stage.open("server-box"), 1);
    assert!(connect(stage.node("client"), first, KNOCK).is_err());
    assert!(connect(stage.node("public"), second, KNOCK).is_err(), "a third host");
    // An upload whose sender closes its half and waits; data before the 150.
    let data = connect(stage.node("client"), second, PATIENCE).unwrap();
    let arrived = two.accept().unwrap().0;
    carries(data.try_clone().unwrap(), arrived.try_clone().unwrap());
    client.says("STOR a");
    server.hears("STOR a");
    carries(arrived, data);
    assert!(connect(stage.node("client"), second, KNOCK).is_err(), "a second time");
    server.says("226 done");
    client.hears("226");
}

#[test]
fn replies_and_commands_in_pieces_open_holes_at_another_port_too() {
    let seat = [CLIENT, &["--port", "2121"]].concat();
    let Some(stage) = Stage::set("nat/routed", "client-box", &seat, 2121) else { return };
    let (mut client, mut server) = stage.session();
    let inside = stage.inside();
    let line = format!("PORT {}\r\nLIST\r\n", comma(inside.local_addr().unwrap()));
    for piece in line.as_bytes().chunks(7) {
        client.raw(piece);
        std::thread::park_timeout(Duration::from_millis(3));
    }
    let door = door_in(&server.hears("PORT 218,2,135,1,"));
    for piece in ["20", "0-ok\r", "\n200", " ok\r\n"] {
        server.raw(piece.as_bytes());
        std::thread::park_timeout(Duration::from_millis(3));
    }
    server.hears("LIST");
    let data = connect(stage.node("server"), door, PATIENCE).unwrap();
    carries(data, inside.accept().unwrap().0);
}

#[test]
fn twenty_sessions_at_once_have_a_hole_each() {
    let Some(stage) = Stage::set("routed/nat", "server-box", SERVER, 21) else { return };
    let mut sessions: Vec<_> = (0..20).map(|_| (stage.session(), stage.behind())).collect();
    let doors: Vec<SocketAddr> = sessions
        .iter_mut()
        .map(|((client, server), behind)| client.dials(server, behind))
        .collect();
    assert_eq!(stage.open("server-box"), 20);
    for (door, (_, behind)) in doors.into_iter().zip(&sessions) {
        let data = connect(stage.node("client"), door, PATIENCE).unwrap();
        carries(data, behind.accept().unwrap().0);
    }
    assert_eq!(stage.open("server-box"), 0);
}

/// A pin that is used or gone is not deleted once more: undoing that takes the kernel tens of
/// milliseconds, in which every session waits.
#[test]
fn a_transfer_through_the_kernel_costs_no_transaction_that_fails() {
    let Some(stage) = Stage::set("routed/nat", "server-box", SERVER, 21) else { return };
    let (mut client, mut server) = stage.session();
    let (behind, begun) = (stage.behind(), clock::now());
    for _ in 0..100 {
        let door = client.dials(&mut server, &behind);
        let data = connect(stage.node("client"), door, PATIENCE).unwrap();
        carries(data, behind.accept().unwrap().0);
        client.asks(&mut server, "STOR a", "226 done");
    }
    let log = std::fs::read_to_string(stage.work.path().join("log")).unwrap();
    let took = clock::now().since(begun);
    assert!(took < Duration::from_millis(1500), "{took:?} for 100 transfers: {log}");
    assert_eq!(stage.open("server-box"), 0);
}

#[test]
fn one_client_has_as_many_sessions_as_it_may_and_their_places_return() {
    let seat = [CLIENT, &["--max-sessions-per-ip", "2"]].concat();
    let Some(stage) = Stage::set("nat/routed", "client-box", &seat, 21) else { return };
    let (first, _second) = (stage.session(), stage.session());
    let third = connect(stage.node("client"), stage.at(21), PATIENCE).unwrap();
    End::new(third).hears("421");
    drop(first);
    let again = || {
        let next = connect(stage.node("client"), stage.at(21), PATIENCE).unwrap();
        stage.listener.set_nonblocking(true).unwrap();
        let got_through = wait_for_a_moment(|| stage.listener.accept().is_ok());
        drop(next);
        got_through
    };
    assert!(wait_for(again));
}

/// Whether it comes true within half a second.
fn wait_for_a_moment(mut fact: impl FnMut() -> bool) -> bool {
    (0..10).any(|_| {
        std::thread::park_timeout(KNOCK / 10);
        fact()
    })
}

#[test]
#[ignore = "waits for a hole's 30 seconds: cargo nextest run -p twoport-lab --run-ignored all gateway_hard"]
fn a_hole_that_nobody_uses_closes_after_thirty_seconds() {
    let Some(stage) = Stage::set("nat/routed", "client-box", CLIENT, 21) else { return };
    let (mut client, mut server) = stage.session();
    let inside = stage.inside();
    let door = client.listens(&mut server, &inside);
    client.says("RETR a");
    server.hears("RETR a");
    assert_eq!(stage.open("client-box"), 1);
    let later = clock::now().after(Duration::from_secs(25));
    while clock::now() < later {
        std::thread::park_timeout(KNOCK);
    }
    assert_eq!(stage.open("client-box"), 1, "it is open for 30 s");
    assert!(wait_for(|| stage.open("client-box") == 0));
    assert!(connect(stage.node("server"), door, KNOCK).is_err());
    // The session goes on.
    server.says("425 nobody there");
    client.hears("425");
    client.listens(&mut server, &inside);
}

#[test]
fn a_gateway_that_is_killed_leaves_nothing() {
    // A firewall without NAT: the expectation is what lets data in.
    let Some(stage) = Stage::set("firewall/routed", "client-box", CLIENT, 21) else { return };
    let (mut client, mut server) = stage.session();
    let listen = || TcpListener::bind("0.0.0.0:0");
    let inside = stage.node("client").inside(listen).unwrap().unwrap();
    let own = client.0.get_ref().local_addr().unwrap().ip();
    let at: SocketAddr = (own, inside.local_addr().unwrap().port()).into();
    client.says(&format!("PORT {}", comma(at)));
    let door = door_in(&server.hears("PORT "));
    server.says("200 ok");
    client.hears("200");
    client.says("RETR a");
    server.hears("RETR a");
    let expected = || {
        let listed = stage
            .node("client-box")
            .output(Command::new("cat").arg("/proc/net/nf_conntrack_expect"));
        String::from_utf8(listed.unwrap().stdout).unwrap()
    };
    if expected().is_empty() {
        println!("skipped: this kernel shows no expectations");
        return;
    }
    stage.signal(Signal::KILL);
    let is_clean = || expected().is_empty() && !stage.rules("client-box").contains("twoport");
    assert!(wait_for(is_clean), "{} {}", expected(), stage.rules("client-box"));
    assert!(connect(stage.node("server"), door, KNOCK).is_err());
    let next = TempDir::new().unwrap();
    let _gateway = boxed::start(&stage.network, "client-box", CLIENT, &next);
    drop(stage.work);
}
