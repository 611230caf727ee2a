//! The server behind a NAT that lets nothing in, with a real router of homes in front: miniupnpd.
//!
//! It needs root; without it, or without miniupnpd, the tests are skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use twoport_lab::foreign::boxes;
use twoport_lab::foreign::nodes::{Client, PATIENCE, Served, connect, network, wait_for};
use twoport_net::mapping::{Protocol, Router};
use twoport_networks::{Network, Node, Process};
use twoport_proto::reason::Reason;

/// The router's outer address: miniupnpd maps nothing on one of a documentation network.
const OUTER: &str = "8.8.4.10";

/// What miniupnpd fills in, and the ways there.
const CHAINS: &str = "\
add chain inet box miniupnpd
add rule inet box forward jump miniupnpd
add chain inet box prerouting_miniupnpd
add rule inet box prerouting jump prerouting_miniupnpd
add chain inet box postrouting_miniupnpd
add rule inet box postrouting jump postrouting_miniupnpd
";

fn run(node: &Node, line: &str) {
    let mut words = line.split(' ');
    let done = node.output(Command::new(words.next().unwrap()).args(words)).unwrap();
    assert!(done.status.success(), "{line}: {done:?}");
}

/// miniupnpd on the server's box, with these lines in its configuration.
fn router(network: &Network, speaks: &str) -> Option<(Process, TempDir)> {
    let node = network.node("server-box").unwrap();
    let (program, libraries) = boxes::miniupnpd()?;
    let work = TempDir::new().unwrap();
    let file = |name: &str| work.path().join(name).display().to_string();
    std::fs::write(file("chains"), CHAINS).unwrap();
    run(node, &format!("nft -f {}", file("chains")));
    run(node, &format!("ip addr add {OUTER}/32 dev wan"));
    run(network.node("public").unwrap(), &format!("ip route add {OUTER} via 203.0.113.10"));
    let text = format!(
        "ext_ifname=wan\next_ip={OUTER}\nlistening_ip=lan\nhttp_port=0\nsecure_mode=yes\n\
         bitrate_up=1000000\nbitrate_down=1000000\nmin_lifetime=60\nmax_lifetime=86400\n\
         uuid=00000000-0000-0000-0000-000000000001\n{speaks}\n\
         upnp_table_name=box\nupnp_nat_table_name=box\nupnp_forward_chain=miniupnpd\n\
         upnp_nat_chain=prerouting_miniupnpd\nupnp_nat_postrouting_chain=postrouting_miniupnpd\n\
         allow 21 10.0.0.0/24 21\nallow 1024-65535 10.0.0.0/24 1024-65535\n\
         allow 9 10.0.0.0/24 9\ndeny 0-65535 0.0.0.0/0 0-65535\n"
    );
    std::fs::write(file("conf"), text).unwrap();
    let mut command = Command::new(program);
    command.args(["-d", "-f", &file("conf"), "-P", &file("pid")]);
    command.env("LD_LIBRARY_PATH", libraries).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(std::fs::File::create(file("log")).unwrap());
    let process = node.spawn(&mut command).unwrap();
    let log = work.path().join("log");
    let listens = || {
        let said = std::fs::read_to_string(&log).unwrap();
        said.contains("HTTP listening on port") || said.contains("NAT-PMP/PCP traffic")
    };
    assert!(wait_for(listens), "{}", std::fs::read_to_string(&log).unwrap());
    Some((process, work))
}

/// The own ports that the router sends on, as its rules have them.
fn mapped(network: &Network) -> Vec<u16> {
    let node = network.node("server-box").unwrap();
    let list = ["list", "chain", "inet", "box", "prerouting_miniupnpd"];
    let listed = node.output(Command::new("nft").args(list)).unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let ports = text.split("10.0.0.10:").skip(1);
    let mut ports: Vec<u16> = ports
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .collect();
    ports.sort_unstable();
    ports
}

const PCP: &str = "enable_natpmp=yes\nenable_upnp=no";
const UPNP: &str = "enable_natpmp=no\nenable_upnp=yes";

/// A runtime whose sockets are opened inside a node.
fn asks<T: Send>(node: &Node, work: impl Future<Output = T> + Send) -> T {
    node.inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work)
    })
    .unwrap()
}

fn maps_and_releases(speaks: &str, protocol: Protocol) {
    let Some(network) = network("nat/nat") else { return };
    let Some(_router) = router(&network, speaks) else { return };
    let own: IpAddr = "10.0.0.10".parse().unwrap();
    asks(network.server().unwrap(), async {
        let router = Router::discover(own, Duration::from_secs(8)).await.unwrap();
        assert_eq!(router.protocol(), protocol);
        assert_eq!(router.external_address().await.unwrap().to_string(), OUTER);
        let mut mapping = router.map(50_000, None, Duration::from_secs(120)).await.unwrap();
        assert_eq!(mapping.external(), format!("{OUTER}:50000").parse().unwrap());
        assert_eq!(mapped(&network), [50_000]);
        mapping.renew().await.unwrap();
        assert_eq!(mapped(&network), [50_000]);
        mapping.release().await;
        assert!(mapped(&network).is_empty());
        let left = router.map(50_001, Some(40_001), Duration::from_secs(120)).await.unwrap();
        assert_eq!(left.external().port(), 40_001);
        let record = left.record();
        std::mem::forget(left);
        assert!(router.release_recorded(&record).await);
        assert!(mapped(&network).is_empty());
        // A port that the router's owner forbids.
        assert!(router.map(80, None, Duration::from_secs(120)).await.is_err());
    });
}

#[test]
fn a_router_maps_by_pcp() {
    maps_and_releases(PCP, Protocol::Pcp);
}

#[test]
fn a_router_maps_by_upnp() {
    maps_and_releases(UPNP, Protocol::Upnp);
}

#[test]
fn nobody_answers_where_no_router_maps() {
    let Some(network) = network("nat/nat") else { return };
    let own: IpAddr = "10.0.0.10".parse().unwrap();
    asks(network.server().unwrap(), async {
        let found = Router::discover(own, Duration::from_secs(3)).await;
        assert_eq!(found.unwrap_err().reason, Reason::RouterSilent);
    });
}

/// Passive transfers from beyond two NATs, with an address that nobody configured.
fn serves(speaks: &str) {
    let Some(network) = network("nat/nat") else { return };
    let Some(_router) = router(&network, speaks) else { return };
    let state = TempDir::new().unwrap();
    let state = state.path().display().to_string();
    let arguments = ["--open-firewall", "pcp", "--passive-ports", "50000-50003"];
    let arguments = [&arguments[..], &["--state-directory", &state]].concat();
    let all = [21, 50_000, 50_001, 50_002, 50_003];
    for round in 0..2 {
        let mut served = Served::start(network.server().unwrap(), &arguments);
        assert!(wait_for(|| served.log().contains("ports are mapped")), "{}", served.log());
        assert_eq!(mapped(&network), all);
        let client_node = network.client().unwrap();
        let mut client = Client::log_in(client_node, OUTER.parse().unwrap());
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let address = client.pasv();
        assert_eq!(address.ip().to_string(), OUTER, "{}", served.log());
        let mut data = connect(client_node, address, PATIENCE).unwrap();
        client.asks("STOR a", "150");
        data.write_all(&content).unwrap();
        drop(data);
        client.says("226");
        assert!(std::fs::read(served.file("a")).unwrap() == content);
        let port = client.epsv();
        let to = (OUTER.parse::<IpAddr>().unwrap(), port).into();
        let mut data = connect(client_node, to, PATIENCE).unwrap();
        client.asks("RETR a", "150");
        let mut got = Vec::new();
        data.read_to_end(&mut got).unwrap();
        client.says("226");
        assert!(got == content);
        if round == 0 {
            // Killed: what it left is found and deleted by the next one.
            served.kill();
            assert_eq!(mapped(&network), all);
        } else {
            client.asks("QUIT", "221");
            served.terminate();
            assert!(served.process.wait(PATIENCE).unwrap().is_some());
            assert!(mapped(&network).is_empty());
        }
    }
}

#[test]
fn a_server_behind_nat_has_its_ports_mapped_by_pcp_as_long_as_it_runs() {
    serves(PCP);
}

#[test]
fn a_server_behind_nat_has_its_ports_mapped_by_upnp_as_long_as_it_runs() {
    serves(UPNP);
}
