//! How a server behind NAT finds its outer address: a cloud's metadata (a fake of each cloud, in the
//! server's own network), a STUN server, another twoport.
//!
//! It needs root; without it the tests are skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::Command;

use twoport_lab::foreign::clients::served::program;
use twoport_lab::foreign::nodes::{Client, Served, network, wait_for};
use twoport_networks::{Family, Network, Node, PUBLIC};

fn run(node: &Node, line: &str) {
    let mut words = line.split(' ');
    let done = node.output(Command::new(words.next().unwrap()).args(words)).unwrap();
    assert!(done.status.success(), "{line}: {done:?}");
}

#[derive(Clone, Copy)]
enum Cloud {
    Aws,
    Gcp,
    Azure,
}

/// What a cloud answers to the first line and the headers of a request.
fn answer(cloud: Cloud, request: &str) -> &'static str {
    let has = |part: &str| request.contains(part);
    match cloud {
        Cloud::Aws if has("PUT /latest/api/token ") && has("token-ttl-seconds: ") => "t0ken",
        Cloud::Aws if has("GET /latest/meta-data/public-ipv4 ") && has("token: t0ken") => {
            "203.0.113.10"
        }
        Cloud::Gcp if has("/computeMetadata/v1/") && has("Metadata-Flavor: Google") => {
            "203.0.113.10\n"
        }
        Cloud::Azure if has("/metadata/instance/network/") && has("Metadata: true") => {
            "203.0.113.10"
        }
        _ => "",
    }
}

/// A fake of a cloud's metadata service at the address that they all have.
fn fake(node: &Node, cloud: Cloud) {
    run(node, "ip addr add 169.254.169.254/32 dev lo");
    let listener = node.inside(|| TcpListener::bind("169.254.169.254:80")).unwrap().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request).unwrap() > 0 {}
            let body = answer(cloud, &request);
            let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
            let reply = format!("HTTP/1.1 {status}\r\nServer: fake\r\n\r\n{body}");
            // Whoever asked may have the answer of another cloud already.
            let _sent: std::io::Result<()> = reader.get_mut().write_all(reply.as_bytes());
        }
    });
}

/// Waits until the server announces its outer address, and reaches it there from beyond both NATs.
fn is_reached(network: &Network, arguments: &[&str], source: &str) {
    let arguments = [&["--passive-ports", "50000-50099"][..], arguments].concat();
    let served = Served::start(network.server().unwrap(), &arguments);
    let found = wait_for(|| served.log().contains(&format!("203.0.113.10 (from {source})")));
    assert!(found, "{}", served.log());
    let outer = Ipv4Addr::new(203, 0, 113, 10);
    let mut client = Client::log_in(network.client().unwrap(), outer.into());
    assert_eq!(client.pasv().ip(), outer);
    // A client in the server's own network is told the inner address.
    let mut near = Client::log_in(network.node("server-box").unwrap(), [10, 0, 0, 10].into());
    assert_eq!(near.pasv().ip().to_string(), "10.0.0.10");
}

fn by_cloud(cloud: Cloud) {
    let Some(network) = network("nat/nat-range") else { return };
    fake(network.server().unwrap(), cloud);
    is_reached(&network, &[], "the cloud's metadata");
}

#[test]
fn the_metadata_of_aws() {
    by_cloud(Cloud::Aws);
}

#[test]
fn the_metadata_of_gcp() {
    by_cloud(Cloud::Gcp);
}

#[test]
fn the_metadata_of_azure() {
    by_cloud(Cloud::Azure);
}

#[test]
fn a_stun_server() {
    let Some(network) = network("nat/nat-range") else { return };
    let public = network.node("public").unwrap();
    let at = SocketAddr::from((PUBLIC.0, 3478));
    let socket = public.inside(|| UdpSocket::bind(at)).unwrap().unwrap();
    std::thread::spawn(move || {
        let mut request = [0; 100];
        while let Ok((length, from)) = socket.recv_from(&mut request) {
            let (SocketAddr::V4(from), 20) = (from, length) else { continue };
            let port = from.port() ^ 0x2112;
            let address = u32::from(*from.ip()) ^ 0x2112_a442;
            let mut answer = vec![1, 1, 0, 12];
            answer.extend(&request[4..20]);
            answer.extend([0, 0x20, 0, 8, 0, 1]);
            answer.extend(port.to_be_bytes());
            answer.extend(address.to_be_bytes());
            socket.send_to(&answer, from).unwrap();
        }
    });
    let reflector = format!("stun://{}", PUBLIC.0);
    is_reached(&network, &["--reflector", &reflector], "the reflector");
}

#[test]
fn another_twoport() {
    let Some(network) = network("nat/nat-range") else { return };
    let other = Served::start(network.node("public").unwrap(), &[]);
    let reflector = format!("ftp://{}", PUBLIC.0);
    is_reached(&network, &["--reflector", &reflector], "the reflector");
    drop(other);
}

#[test]
fn a_server_that_nobody_tells_says_so() {
    let Some(network) = network("nat/nat-range") else { return };
    let served = Served::start(network.server().unwrap(), &["--passive-ports", "50000-50099"]);
    let warned = wait_for(|| served.log().contains("nobody tells the outer address"));
    assert!(warned, "{}", served.log());
}

#[test]
fn rules_names_and_ports_that_are_moved() {
    let Some(network) = network("nat/nat-range") else { return };
    // Outside, port 40005 stands for 50005.
    let moved = "nft add rule inet box prerouting ip daddr 203.0.113.10 tcp dport 40005 \
                 dnat ip to 10.0.0.10:50005";
    run(network.node("server-box").unwrap(), moved);
    let arguments = [
        "--passive-ports",
        "50005-50005",
        "--public-address",
        "192.0.2.0/24=192.0.2.99,203.0.113.10",
        "--public-ports",
        "50005-50005=40005-40005",
    ];
    let served = Served::start(network.server().unwrap(), &arguments);
    let outer = Ipv4Addr::new(203, 0, 113, 10);
    let mut client = Client::log_in(network.client().unwrap(), outer.into());
    let address = client.pasv();
    assert_eq!(address, SocketAddr::from((outer, 40_005)));
    assert_eq!(client.epsv(), 40_005);
    std::fs::write(served.file("a"), b"hello").unwrap();
    let patience = twoport_lab::foreign::nodes::PATIENCE;
    let node = network.client().unwrap();
    let mut data = twoport_lab::foreign::nodes::connect(node, address, patience).unwrap();
    client.asks("RETR a", "150");
    let mut got = String::new();
    std::io::Read::read_to_string(&mut data, &mut got).unwrap();
    client.says("226");
    assert_eq!(got, "hello");
}

/// Without it the private address is announced, and refused; with it the outer one is, which needs no
/// more than a way in.
#[test]
fn a_client_announces_what_its_reflector_says() {
    let Some(network) = network("nat/routed") else { return };
    let other = Served::start(network.node("public").unwrap(), &[]);
    let server = Served::start(network.server().unwrap(), &[]);
    let url = format!("ftp://{}/", network.topology.dialled(Family::V4));
    let listed = |more: &[&str]| {
        let mut command = Command::new(program().unwrap());
        command.args(["ls", "--json", "--mode", "port", "--tls", "off"]);
        let done = network.client().unwrap().output(command.args(more).arg(&url)).unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let refused = listed(&[]);
    assert!(refused.contains("\"active-address-refused\""), "{refused}");
    let reflector = format!("ftp://{}", PUBLIC.0);
    let accepted = listed(&["--reflector", &reflector]);
    assert!(accepted.contains("\"active-not-connected\""), "{accepted}\n{}", server.log());
    drop(other);
}
