//! Hosts behind a gateway open their own ports by PCP and NAT-PMP: others' programs and twoport's own,
//! from inside a NAT, under TLS that nobody between can read.
//!
//! It needs root; without it, or without natpmpc, the tests are skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod boxed;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use twoport_lab::foreign::boxes;
use twoport_lab::foreign::clients::served;
use twoport_lab::foreign::nodes::{PATIENCE, Served, connect, network, wait_for};
use twoport_net::mapping::{Protocol, Router};
use twoport_networks::{Family, Network, Node, Process};
use twoport_proto::pcp::{self, Answer, Wish};

/// How long is knocked at a closed door.
const KNOCK: Duration = Duration::from_millis(500);

const SERVER: &[&str] =
    &["--seat", "server", "--wan", "wan", "--server", "10.0.0.10:21", "--pcp", "lan"];
const CLIENT: &[&str] = &["--seat", "client", "--lan", "lan", "--pcp", "lan"];

struct Stage {
    network: Network,
    gateway: Process,
    _work: TempDir,
}

impl Stage {
    fn set(name: &str, node: &str, seat: &[&str]) -> Option<Self> {
        let network = network(name)?;
        let work = TempDir::new().unwrap();
        let gateway = boxed::start(&network, node, seat, &work);
        Some(Self { network, gateway, _work: work })
    }

    fn node(&self, name: &str) -> &Node {
        self.network.node(name).unwrap()
    }

    fn dialled(&self) -> IpAddr {
        self.network.topology.dialled(Family::V4)
    }

    fn rules(&self, node: &str) -> String {
        boxed::rules(self.node(node))
    }

    /// Whether what is said at an outer address is heard inside.
    fn reaches(&self, from: &str, to: SocketAddr, listener: &TcpListener) -> bool {
        let Ok(mut stream) = connect(self.node(from), to, KNOCK) else { return false };
        stream.write_all(b"x").unwrap();
        drop(stream);
        let (mut inside, _) = listener.accept().unwrap();
        let mut got = String::new();
        inside.read_to_string(&mut got).is_ok() && got == "x"
    }
}

/// Listens inside a node.
fn listener(node: &Node, address: &str) -> TcpListener {
    node.inside(|| TcpListener::bind(address)).unwrap().unwrap()
}

/// A runtime whose sockets are opened inside a node.
fn asks<T: Send>(node: &Node, work: impl Future<Output = T> + Send) -> T {
    node.inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work)
    })
    .unwrap()
}

#[test]
fn a_host_maps_renews_and_releases_by_pcp_and_nothing_is_left_after_a_kill() {
    let Some(stage) = Stage::set("nat/nat", "server-box", SERVER) else { return };
    let own: IpAddr = "10.0.0.10".parse().unwrap();
    let inside = listener(stage.node("server"), "10.0.0.10:50000");
    let minutes = Duration::from_secs(120);
    asks(stage.node("server"), async {
        let router = Router::discover(own, PATIENCE).await.unwrap();
        assert_eq!(router.protocol(), Protocol::Pcp);
        assert_eq!(router.external_address().await.unwrap(), stage.dialled());
        let mut mapping = router.map(50_000, Some(40_001), minutes).await.unwrap();
        assert_eq!(mapping.external(), (stage.dialled(), 40_001).into());
        for _ in 0..2 {
            assert!(stage.reaches("client", mapping.external(), &inside), "any number of times");
            assert!(stage.reaches("public", mapping.external(), &inside), "from anywhere");
            mapping.renew().await.unwrap();
        }
        // Another program on the same host has another name for it, and a service has no way out.
        assert!(router.map(50_000, None, minutes).await.is_err());
        assert!(router.map(22, None, minutes).await.is_err());
        let outer = mapping.external();
        mapping.release().await;
        assert!(!stage.reaches("client", outer, &inside));
        let left = router.map(50_000, None, minutes).await.unwrap();
        assert!(stage.reaches("client", left.external(), &inside));
        boxed::signal(&stage.gateway, Signal::KILL);
        assert!(wait_for(|| !stage.rules("server-box").contains("twoport-gateway")));
        assert!(!stage.reaches("client", left.external(), &inside));
        std::mem::forget(left);
    });
}

#[test]
fn a_host_does_not_notice_that_another_process_has_taken_the_gateways_place() {
    let Some(stage) = Stage::set("nat/nat", "server-box", SERVER) else { return };
    let own: IpAddr = "10.0.0.10".parse().unwrap();
    let inside = listener(stage.node("server"), "10.0.0.10:50000");
    let minutes = Duration::from_secs(120);
    asks(stage.node("server"), async {
        let router = Router::discover(own, PATIENCE).await.unwrap();
        let mut mapping = router.map(50_000, Some(40_001), minutes).await.unwrap();
        let outer = mapping.external();
        let work = TempDir::new().unwrap();
        let is_over = AtomicBool::new(false);
        let second = std::thread::scope(|scope| {
            let knocking = scope.spawn(|| {
                let mut knocks = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let stream = connect(stage.node("client"), outer, PATIENCE);
                    drop((stream.unwrap(), inside.accept().unwrap()));
                    knocks += 1;
                }
                knocks
            });
            let replacing = [SERVER, &["--replace"]].concat();
            let second = boxed::start(&stage.network, "server-box", &replacing, &work);
            // Until the first one is gone: it has no session.
            let tables = || stage.rules("server-box").matches("table inet twoport-gateway").count();
            assert!(wait_for(|| tables() == 1));
            is_over.store(true, Ordering::Relaxed);
            assert!(knocking.join().unwrap() > 20);
            second
        });
        assert!(stage.reaches("client", outer, &inside));
        // It is still the host's alone, by its name, and ends when that says so.
        mapping.renew().await.unwrap();
        assert_eq!(mapping.external(), outer);
        assert!(router.map(50_000, None, minutes).await.is_err());
        mapping.release().await;
        assert!(!stage.reaches("client", outer, &inside));
        boxed::signal(&second, Signal::TERM);
        assert!(wait_for(|| !stage.rules("server-box").contains("twoport")));
    });
}

#[test]
fn others_programs_are_answered_in_nat_pmp() {
    let Some((program, libraries)) = boxes::natpmpc() else { return };
    let Some(stage) = Stage::set("nat/nat", "client-box", CLIENT) else { return };
    let inside = listener(stage.node("client"), "192.168.0.107:4100");
    let mut natpmpc = Command::new(program);
    natpmpc.env("LD_LIBRARY_PATH", libraries).args(["-g", "192.168.0.1", "-a", "4101", "4100"]);
    let done = stage.node("client").output(natpmpc.args(["tcp", "600"])).unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{said}");
    assert!(said.contains("Mapped public port 4101 protocol TCP to local port 4100"), "{said}");
    assert!(said.contains("time 600"), "{said}");
    let outer = said.split("Public IP address : ").nth(1).unwrap().split_whitespace().next();
    let outer = SocketAddr::new(outer.unwrap().parse().unwrap(), 4101);
    assert!(stage.reaches("server", outer, &inside));
    // Nobody outside is answered.
    let asked = asks(stage.node("public"), async {
        let own: IpAddr = stage.node("public").address(Family::V4).unwrap();
        let router = SocketAddr::new(outer.ip(), pcp::PORT);
        Router::discover_at(own, router, Duration::from_secs(2)).await
    });
    assert!(asked.is_err());
}

#[test]
fn a_server_behind_the_gateway_serves_under_tls_that_passes() {
    let Some(stage) = Stage::set("nat/nat", "server-box", SERVER) else { return };
    let state = TempDir::new().unwrap();
    let state = state.path().display().to_string();
    let arguments = ["--open-firewall", "pcp", "--passive-ports", "50000-50003"];
    let more = ["--state-directory", &state, "--tls", "required"];
    let served = Served::start(stage.node("server"), &[&arguments[..], &more].concat());
    assert!(wait_for(|| served.log().contains("ports are mapped")), "{}", served.log());
    let work = TempDir::new().unwrap();
    let (up, down) = (work.path().join("up"), work.path().join("down"));
    let content: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&up, &content).unwrap();
    for mode in ["epsv", "pasv"] {
        let url = format!("ftp://{}/a-{mode}", stage.dialled());
        let program = served::program().unwrap();
        let run = |arguments: &[&str]| {
            let mut command = Command::new(&program);
            command.env("HOME", work.path()).args(arguments);
            command.args(["--tls", "required", "--no-verify", "--mode", mode]);
            let done = stage.node("client").output(&mut command).unwrap();
            let said = String::from_utf8(done.stderr).unwrap();
            assert!(done.status.success(), "{mode}: {said} {}", served.log());
        };
        run(&["put", up.to_str().unwrap(), &url]);
        run(&["get", &url, down.to_str().unwrap()]);
        assert!(std::fs::read(&down).unwrap() == content);
        std::fs::remove_file(&down).unwrap();
    }
}

#[test]
fn a_server_of_ipv6_behind_the_gateways_firewall_serves_under_tls_that_passes() {
    let Some(stage) = Stage::set("nat/nat", "server-box", SERVER) else { return };
    let state = TempDir::new().unwrap();
    let state = state.path().display().to_string();
    let arguments = ["--open-firewall", "pcp", "--passive-ports", "50000-50003"];
    let more = ["--listen", "[::]:2121", "--state-directory", &state, "--tls", "required"];
    let served = Served::start(stage.node("server"), &[&arguments[..], &more].concat());
    assert!(
        wait_for(|| served.log().contains("the router lets in ports of IPv6")),
        "{}",
        served.log()
    );
    let work = TempDir::new().unwrap();
    let (up, down) = (work.path().join("up"), work.path().join("down"));
    let content: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&up, &content).unwrap();
    let own = stage.node("server").address(Family::V6).unwrap();
    let url = format!("ftp://[{own}]:2121/a");
    let run = |words: [&str; 3]| {
        let mut command = Command::new(served::program().unwrap());
        command.env("HOME", work.path()).args(words);
        command.args(["--tls", "required", "--no-verify", "--mode", "epsv"]);
        let done = stage.node("client").output(&mut command).unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{said} {}", served.log());
    };
    run(["put", up.to_str().unwrap(), &url]);
    run(["get", &url, down.to_str().unwrap()]);
    assert!(std::fs::read(&down).unwrap() == content);
}

/// A socket of a node with a port of its own choice, that connects.
fn connects_by(node: &Node, own: &str, to: SocketAddr) -> Option<TcpStream> {
    let own: SocketAddr = own.parse().unwrap();
    node.inside(|| {
        let socket = Socket::new(Domain::for_address(own), Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&own.into()).unwrap();
        socket.connect_timeout(&to.into(), KNOCK * 2).ok().map(|()| socket.into())
    })
    .unwrap()
}

#[test]
fn hosts_of_ipv6_have_their_own_port_let_in_from_all_or_from_one() {
    let Some(stage) = Stage::set("nat/nat", "server-box", SERVER) else { return };
    let own = stage.node("server").address(Family::V6).unwrap();
    let door = SocketAddr::new(own, 50_000);
    let inside = listener(stage.node("server"), &door.to_string());
    let client = stage.node("client").address(Family::V6).unwrap();
    let minutes = Duration::from_secs(120);
    assert!(!stage.reaches("client", door, &inside), "the firewall is closed");
    asks(stage.node("server"), async {
        let router = Router::discover(own, PATIENCE).await.unwrap();
        assert_eq!(router.protocol(), Protocol::Pcp);
        let mut all = router.map(50_000, Some(40_001), minutes).await.unwrap();
        assert_eq!(all.external(), door, "nothing is translated");
        for from in ["client", "public"] {
            // The first packets of a new network wait for its neighbours.
            assert!(wait_for(|| stage.reaches(from, door, &inside)), "{from}");
        }
        all.renew().await.unwrap();
        assert!(stage.reaches("client", door, &inside));
        all.release().await;
        assert!(!stage.reaches("client", door, &inside));
        let one = router.map_from(Some(client), 50_000, None, minutes).await.unwrap();
        for _ in 0..2 {
            assert!(stage.reaches("client", one.external(), &inside));
            assert!(!stage.reaches("public", one.external(), &inside), "of one client only");
        }
        one.release().await;
        assert!(!stage.reaches("client", door, &inside));
        assert!(router.map(22, None, minutes).await.is_err());
    });
}

#[test]
fn a_filter_lets_one_peer_through_a_nat_again_and_again() {
    let Some(stage) = Stage::set("nat/nat", "server-box", SERVER) else { return };
    let own: IpAddr = "10.0.0.10".parse().unwrap();
    let inside = listener(stage.node("server"), "10.0.0.10:50000");
    // As the servers' box sees those behind the clients' NAT.
    let client: IpAddr = "218.2.135.1".parse().unwrap();
    asks(stage.node("server"), async {
        let router = Router::discover(own, PATIENCE).await.unwrap();
        let minutes = Duration::from_secs(120);
        let mut one = router.map_from(Some(client), 50_000, Some(40_001), minutes).await.unwrap();
        for _ in 0..2 {
            assert!(stage.reaches("client", one.external(), &inside));
            assert!(!stage.reaches("public", one.external(), &inside));
            one.renew().await.unwrap();
        }
        let outer = one.external();
        one.release().await;
        assert!(!stage.reaches("client", outer, &inside));
    });
}

#[test]
fn the_way_to_a_peer_leaves_by_the_port_that_was_given_and_leads_back() {
    let Some(stage) = Stage::set("nat/routed", "client-box", CLIENT) else { return };
    let (client, server) = (stage.node("client"), stage.node("server"));
    let own: IpAddr = "192.168.0.107".parse().unwrap();
    let peer = SocketAddr::new(stage.dialled(), 5000);
    let outside = listener(server, &peer.to_string());
    let wish = Wish { client: own, internal: 4100, external: 4103, lifetime: 600, nonce: [7; 12] };
    let ask = |request: Vec<u8>| {
        asks(client, async {
            let socket = tokio::net::UdpSocket::bind((own, 0)).await.unwrap();
            socket.send_to(&request, ("192.168.0.1", pcp::PORT)).await.unwrap();
            let mut space = [0; 1100];
            let received = tokio::time::timeout(PATIENCE, socket.recv(&mut space)).await;
            pcp::parse(&space[..received.unwrap().unwrap()]).unwrap()
        })
    };
    let Answer::Mapped { external, address, .. } = ask(pcp::peer(&wish, peer)) else { panic!() };
    let outer = SocketAddr::new(address.unwrap(), external);
    assert_eq!(outer, "218.2.135.1:4103".parse().unwrap());
    // Out: by that port, where the NAT would have kept its own.
    let out = connects_by(client, "192.168.0.107:4100", peer).unwrap();
    let (met, from) = outside.accept().unwrap();
    assert_eq!(from, outer);
    drop((out, met));
    let other = connects_by(client, "192.168.0.107:4101", peer).unwrap();
    assert_eq!(outside.accept().unwrap().1.port(), 4101, "the host's own NAT");
    drop((other, outside));
    // Back: from this port of this peer, and from nowhere else.
    let inside = listener(client, "192.168.0.107:4100");
    assert!(connects_by(server, &format!("{}:5001", peer.ip()), outer).is_none());
    assert!(!stage.reaches("public", outer, &inside));
    let back = connects_by(server, &peer.to_string(), outer);
    assert!(back.is_some(), "{}", stage.rules("client-box"));
    assert_eq!(inside.accept().unwrap().1, peer);
    // It is known by its name, and ended by that.
    let stranger = Wish { nonce: [8; 12], ..wish };
    assert_eq!(ask(pcp::peer(&stranger, peer)), Answer::Refused(2));
    let end = Wish { lifetime: 0, ..wish };
    assert!(matches!(ask(pcp::peer(&end, peer)), Answer::Mapped { lifetime: 0, .. }));
    drop((back, inside));
    let again = listener(client, "192.168.0.107:4100");
    assert!(connects_by(server, &format!("{}:5002", peer.ip()), outer).is_none());
    drop(again);
}
