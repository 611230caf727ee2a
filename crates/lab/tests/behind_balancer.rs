//! The server behind a real load balancer that tells by PROXY headers who the client is.
//!
//! A balancer that is not installed is skipped aloud: `tests/peers/install` installs it.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use twoport_lab::foreign::boxes::{Running, haproxy};
use twoport_lab::foreign::clients::served::Served;

/// The balancer, the server and the client, each with a loopback address of its own.
const BALANCER: &str = "127.0.40.1";
const SERVER: &str = "127.0.40.2";
const CLIENT: &str = "127.0.40.3";
const STRANGER: &str = "127.0.40.4";

fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&format!("{from}:0").parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// A balancer in front of a control port and a passive range, where the ports keep their numbers.
fn balanced(control: u16, passive: &str, header: &str) -> Option<Running> {
    let running = haproxy(&format!(
        "listen control\n    bind {BALANCER}:{control}\n    server s {SERVER} source {BALANCER} {header}\n\
         listen data\n    bind {BALANCER}:{passive}\n    server s {SERVER} source {BALANCER} {header}\n"
    ));
    running.unwrap().inspect(|running| {
        let ready = (0..200).any(|_| {
            std::thread::park_timeout(Duration::from_millis(25));
            TcpStream::connect((BALANCER, control)).is_ok()
        });
        let log = std::fs::read_to_string(running.work().join("log")).unwrap();
        assert!(ready, "haproxy does not get ready: {log}");
    })
}

fn serve(root: &TempDir, control: u16, passive: &str, trusted: &str) -> Served {
    let listen = format!("{SERVER}:{control}");
    let arguments = [
        "--listen",
        &listen,
        "--anonymous=write",
        "--passive-ports",
        passive,
        "--trusted-proxies",
        trusted,
    ];
    Served::start(root.path(), &arguments).unwrap()
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn log_in(control: u16) -> Self {
        let address = format!("{BALANCER}:{control}").parse().unwrap();
        let mut client = Self(BufReader::new(connect(CLIENT, address)));
        client.says("220");
        client.asks("USER anonymous", "331");
        client.asks("PASS x", "230");
        client.asks("TYPE I", "200");
        client
    }

    #[track_caller]
    fn says(&mut self, code: &str) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.starts_with(code), "expected {code}, got {line:?}");
        line
    }

    #[track_caller]
    fn asks(&mut self, line: &str, code: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.says(code)
    }

    /// The address of PASV, which names the balancer, though the server knows only itself.
    fn pasv(&mut self) -> SocketAddr {
        let reply = self.asks("PASV", "227");
        let numbers = reply.split(['(', ')']).nth(1).unwrap();
        let numbers: Vec<u16> = numbers.split(',').map(|n| n.parse().unwrap()).collect();
        let &[a, b, c, d, high, low] = numbers.first_chunk().unwrap();
        format!("{a}.{b}.{c}.{d}:{}", high * 256 + low).parse().unwrap()
    }
}

/// Up and down in passive and active mode, a stranger in between, and who it was in the log.
fn all_ways(control: u16, passive: &str, header: &str) {
    let Some(_balancer) = balanced(control, passive, header) else { return };
    let root = TempDir::new().unwrap();
    let served = serve(&root, control, passive, BALANCER);
    let mut client = Client::log_in(control);
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();

    let address = client.pasv();
    assert_eq!(address.ip().to_string(), BALANCER);
    let mut stranger = connect(STRANGER, address);
    stranger.write_all(b"forged").unwrap();
    // Closed, or reset with its bytes unread: nothing comes in either case.
    let mut nothing = Vec::new();
    let _reset = stranger.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
    let mut data = connect(CLIENT, address);
    client.asks("STOR a", "150");
    data.write_all(&content).unwrap();
    drop(data);
    client.says("226");
    assert!(std::fs::read(root.path().join("a")).unwrap() == content);

    let mut data = connect(CLIENT, client.pasv());
    client.asks("RETR a", "150");
    let mut got = Vec::new();
    data.read_to_end(&mut got).unwrap();
    client.says("226");
    assert!(got == content);

    // Active mode goes past the balancer: the server dials the client itself.
    let listener = std::net::TcpListener::bind((CLIENT, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    client.asks(&format!("EPRT |1|{CLIENT}|{port}|"), "200");
    client.0.get_mut().write_all(b"RETR a\r\n").unwrap();
    got.clear();
    listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
    client.says("150");
    client.says("226");
    assert!(got == content);

    let log = served.log();
    assert!(log.contains(&format!("peer={CLIENT} user=\"anonymous\"")), "{log}");
    assert!(log.contains("reason=\"stranger-refused\"") && log.contains(STRANGER), "{log}");
}

#[test]
fn version_2_in_front_of_control_and_data() {
    all_ways(27_821, "27822-27825", "send-proxy-v2");
}

#[test]
fn version_1_in_front_of_control_and_data() {
    all_ways(27_831, "27832-27835", "send-proxy");
}

#[test]
fn a_trusted_balancer_without_headers_and_an_untrusted_one_with_them_are_refused() {
    let root = TempDir::new().unwrap();
    for (control, passive, header, trusted, reason) in [
        (27_841, "27842-27843", "", BALANCER, "proxy-header-missing"),
        (27_844, "27845-27846", "send-proxy", "192.0.2.1", "proxy-untrusted"),
        (27_847, "27848-27849", "send-proxy-v2", "192.0.2.1", "proxy-untrusted"),
    ] {
        let served = serve(&root, control, passive, trusted);
        let Some(_balancer) = balanced(control, passive, header) else { return };
        let address = format!("{BALANCER}:{control}").parse().unwrap();
        let mut stream = connect(CLIENT, address);
        stream.write_all(b"USER anonymous\r\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.contains("421 "), "{header}: {said}");
        let wanted = format!("reason=\"{reason}\"");
        let told = (0..200).any(|_| {
            std::thread::park_timeout(Duration::from_millis(25));
            served.log().contains(&wanted)
        });
        assert!(told, "{header}: {}", served.log());
    }
}
