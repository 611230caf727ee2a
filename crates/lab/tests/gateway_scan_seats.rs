//! Uploads that a gateway has scanned, in every seat: before servers of others in all modes, in clear and
//! under TLS, on a router, and behind SOCKS.
//!
//! What a server sees of it is tested in `gateway_scan.rs`.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[expect(dead_code, reason = "rules and signals are other tests' matter")]
mod boxed;
#[expect(dead_code, reason = "doors are other tests' matter")]
mod by_hand;
#[expect(dead_code, reason = "one side spoken by hand is other tests' matter")]
mod scanning;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use tempfile::TempDir;
use twoport_client::{Config, Mode, Outcome, Policy, PutOptions, Session, Tls, Trust, Url};
use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::nodes::{self, Client, PATIENCE, network, wait_for};
use twoport_lab::foreign::servers::paper::Paper;
use twoport_lab::foreign::servers::{Kind, Security, start_with_or_skip};
use twoport_networks::Family;

use self::by_hand::End;
use self::scanning::{HOST, SCANNER, Scanner, announce, infected, sends, stores};

/// In every mode: what is clean arrives, what is not leaves all as it was, and comes back out.
async fn round(kind: Kind, security: Security, first_port: u16) {
    let Some(server) = start_with_or_skip(kind, HOST, security) else { return };
    let scanner = Scanner::new(SCANNER);
    let paper = Paper::make(scanner.work.path(), ["localhost".to_owned()]).unwrap();
    let ports = format!("{first_port}-{}", first_port + 49);
    let (certificate, key) = (paper.certificate.to_str().unwrap(), paper.key.to_str().unwrap());
    let with_tls =
        ["--certificate", certificate, "--key", key, "--upstream-no-verify"].map(str::to_owned);
    let more: Vec<&str> = match security {
        Security::Clear => Vec::new(),
        _ => with_tls.iter().map(String::as_str).collect(),
    };
    let gateway = scanner.gateway(server.address, &ports, &more);
    let at = gateway.addresses().first().unwrap();
    let url = format!("ftp://{}:{}@{at}/", server.user, server.password);
    let policy = match security {
        Security::Clear => Policy::Off,
        _ => Policy::Required,
    };
    let tls = Tls { policy, trust: Trust::Anybody, ..Tls::default() };
    let file = scanner.work.path().join("up");
    for mode in [Mode::Epsv, Mode::Pasv, Mode::Eprt, Mode::Port] {
        let config = Config { mode, tls: tls.clone(), ..Config::default() };
        let mut session = Session::connect(&Url::parse(&url).unwrap(), config).await.unwrap();
        for length in [0_usize, 1, 700_000] {
            let (content, name) = (vec![b'c'; length], format!("{mode:?}-{length}"));
            fs::write(&file, &content).unwrap();
            let options = PutOptions::default();
            let report = session.put(&file, &server.path(&name), &options).await;
            let report = report.unwrap_or_else(|error| {
                unreachable!("{kind:?} {name}: {error:?}: {}", gateway.log());
            });
            assert_eq!(report.outcome, Outcome::Confirmed, "{kind:?} {name}");
            assert!(fs::read(server.root().join(&name)).unwrap() == content, "{kind:?} {name}");
            fs::write(&file, infected()).unwrap();
            let refused = session.put(&file, &server.path(&name), &options).await;
            let told = format!("{:?}", refused.unwrap_err());
            assert!(told.contains("Eicar-Test"), "{told}");
            assert!(fs::read(server.root().join(&name)).unwrap() == content, "{kind:?} {name}");
        }
        session.quit().await;
    }
    assert!(!gateway.log().contains("scan-failed"), "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_clean_files_get_to_servers_of_others_in_clear() {
    for (kind, port) in Kind::ALL.into_iter().zip([44_000, 44_050, 44_100, 44_150]) {
        round(kind, Security::Clear, port).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_clean_files_get_to_servers_of_others_under_tls() {
    for (kind, port) in Kind::ALL.into_iter().zip([44_200, 44_250, 44_300, 44_350]) {
        round(kind, Security::Explicit, port).await;
    }
}

/// What SOCKS5 gives of a port of this host.
fn by_socks(front: SocketAddr, port: u16) -> (TcpStream, u8) {
    let mut stream = TcpStream::connect(front).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[5, 1, 0]).unwrap();
    stream.read_exact(&mut [0; 2]).unwrap();
    let [high, low] = port.to_be_bytes();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).unwrap();
    let [_, code, ..] = reply;
    (stream, code)
}

#[test]
fn clients_of_socks_are_scanned_and_get_no_tls_past_it() {
    let scanner = Scanner::new(SCANNER);
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let flags = scanner.flags();
    let (allowed, front) = (format!("127.0.0.1:{port}"), "127.0.0.1:0");
    let mut all = vec!["--seat", "forward", "--allow", &allowed, "--allow", "127.0.0.1:990"];
    all.extend(["--socks-listen", front, "--data-ports", "44920-44939"]);
    all.extend(flags.iter().map(String::as_str));
    let gateway = Served::gateway(&all).unwrap();
    let front = *gateway.addresses().first().unwrap();
    assert_eq!(by_socks(front, 990).1, 2, "not allowed");
    assert!(wait_for(|| gateway.log().contains("tls-not-scanned")), "{}", gateway.log());
    let mut client = End::new(by_socks(front, port).0);
    let mut server = End::new(listener.accept().unwrap().0);
    client.logs_in(&mut server);
    for content in [infected(), b"clean".to_vec()] {
        client.says("EPSV");
        let _unused = announce(&mut server);
        let line = client.hears("229");
        let (data, reply) = by_socks(front, line.split('|').nth(3).unwrap().parse().unwrap());
        assert_eq!(reply, 0);
        client.says("STOR a");
        client.hears("150");
        sends(data, &content);
        if content == b"clean" {
            assert_eq!(stores(&mut server, "STOR a"), b"clean");
            server.says("226 stored");
            client.hears("226");
        } else {
            client.hears("550");
        }
    }
}

#[test]
fn on_a_router_nothing_goes_through_the_kernel_unscanned() {
    let Some(network) = network("nat/routed") else { return };
    let (scanner, work) = (Scanner::new(SCANNER), TempDir::new().unwrap());
    let server = nodes::Served::start(network.server().unwrap(), &[]);
    let mut seat = vec!["--seat", "client", "--lan", "lan"];
    let flags = scanner.flags();
    seat.extend(flags.iter().map(String::as_str));
    let _gateway = boxed::start(&network, "client-box", &seat, &work);
    let node = network.node("client").unwrap();
    let dialled = network.topology.dialled(Family::V4);
    let mut client = Client::log_in(node, dialled);
    for (name, content, code) in [("a", &b"clean"[..], "226"), ("a", &infected(), "550")] {
        let port = client.epsv();
        let mut data = nodes::connect(node, SocketAddr::new(dialled, port), PATIENCE).unwrap();
        client.asks(&format!("STOR {name}"), "150");
        data.write_all(content).unwrap();
        data.shutdown(Shutdown::Write).unwrap();
        client.says(code);
        // And as the server sees it: it connects to the client.
        let listener = node.inside(|| TcpListener::bind("192.168.0.107:0")).unwrap().unwrap();
        let own = listener.local_addr().unwrap().port();
        client.asks(&format!("EPRT |1|192.168.0.107|{own}|"), "200");
        client.asks(&format!("STOR {name}.active"), "150");
        sends(listener.accept().unwrap().0, content);
        client.says(code);
    }
    for name in ["a", "a.active"] {
        assert_eq!(fs::read(server.file(name)).unwrap(), b"clean", "{name}");
    }
    let port = client.epsv();
    let mut data = nodes::connect(node, SocketAddr::new(dialled, port), PATIENCE).unwrap();
    client.asks("RETR a", "150");
    let mut got = String::new();
    data.read_to_string(&mut got).unwrap();
    assert_eq!(got, "clean");
    client.says("226");
}
