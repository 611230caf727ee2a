//! SOCKS5 and HTTP CONNECT before FTP: sessions and their data connections come through, in clear and
//! with TLS from end to end, and nothing else does.
//!
//! Clients of others are skipped aloud where they are not installed.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};

use tempfile::TempDir;
use twoport_lab::foreign::clients::served::{Served, account};
use twoport_lab::foreign::clients::{Client as Foreign, skipped};
use twoport_lab::foreign::nodes::{Client, PATIENCE};
use twoport_lab::foreign::servers::{Kind, Security, Server, start_with_or_skip};

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Fronts {
    gateway: Served,
    socks: SocketAddr,
    http: SocketAddr,
}

impl Fronts {
    fn start(allow: &str, more: &[&str]) -> Self {
        let mut arguments = vec!["--seat", "forward", "--allow", allow];
        arguments.extend(["--socks-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
        arguments.extend(more);
        let gateway = Served::gateway(&arguments).unwrap();
        let &[socks, http, ..] = gateway.addresses() else { unreachable!("{}", gateway.log()) };
        Self { gateway, socks, http }
    }
}

fn curl(server: &Server, arguments: &[&str]) -> Option<Output> {
    let curl = Foreign::find("curl").unwrap();
    let Some(program) = curl.program() else {
        skipped("curl");
        return None;
    };
    let user = format!("{}:{}", server.user, server.password);
    let mut command = Command::new(program);
    command.args(["-s", "-S", "--max-time", "30", "-u", &user]).args(arguments);
    Some(command.output().unwrap())
}

/// Up and down by curl through both fronts.
fn both_ways(server: &Server, fronts: &Fronts, more: &[&str]) {
    let local = TempDir::new().unwrap();
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let up = local.path().join("up");
    std::fs::write(&up, &content).unwrap();
    let (socks, http) = (fronts.socks.to_string(), format!("http://{}", fronts.http));
    let ways = [["--socks5", &socks], ["--socks5-hostname", &socks], ["--proxytunnel", "-x"]];
    for (number, way) in ways.iter().enumerate() {
        for mode in ["--ftp-pasv", "--disable-epsv"] {
            let name = format!("by{number}{mode}");
            let remote = String::from_utf8(server.path(&name).0.into_vec()).unwrap();
            let url = format!("ftp://{}/{remote}", server.address);
            let mut arguments = way.to_vec();
            if number == 2 {
                arguments.push(&http);
            }
            arguments.extend([mode, &url]);
            arguments.extend(more);
            let stored = [&arguments[..], &["-T", up.to_str().unwrap()]].concat();
            let Some(output) = curl(server, &stored) else { return };
            assert!(output.status.success(), "{way:?} {mode}: {output:?} {}", fronts.gateway.log());
            assert!(std::fs::read(server.root().join(&name)).unwrap() == content);
            let output = curl(server, &arguments).unwrap();
            assert!(
                output.stdout == content,
                "{way:?} {mode}: {output:?} {}",
                fronts.gateway.log()
            );
        }
    }
}

#[test]
fn sessions_and_their_data_come_through() {
    let Some(server) = start_with_or_skip(Kind::Pyftpdlib, HOST, Security::Clear) else { return };
    let fronts = Fronts::start("127.0.0.0/8:1024-65535", &[]);
    both_ways(&server, &fronts, &[]);
}

#[test]
fn tls_is_the_ends_own_where_it_passes() {
    let Some(server) = start_with_or_skip(Kind::Vsftpd, HOST, Security::Explicit) else { return };
    let paper = server.paper.as_ref().unwrap();
    let fronts = Fronts::start("127.0.0.0/8:1024-65535", &[]);
    let authority = paper.authority.to_str().unwrap();
    both_ways(&server, &fronts, &["--ssl-reqd", "--cacert", authority, "--tls-max", "1.2"]);
}

/// Asks by SOCKS5 for a port of this host; the reply's code.
fn ask(front: SocketAddr, port: u16) -> (TcpStream, u8) {
    ask_from("127.0.0.1", front, port)
}

fn ask_from(client: &str, front: SocketAddr, port: u16) -> (TcpStream, u8) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&format!("{client}:0").parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&front.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[5, 1, 0]).unwrap();
    let mut method = [0; 2];
    stream.read_exact(&mut method).unwrap();
    assert_eq!(method, [5, 0]);
    let [high, low] = port.to_be_bytes();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).unwrap();
    (stream, reply[1])
}

/// What an HTTP front answers.
fn request(front: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(front).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn nothing_else_comes_through() {
    let Some(server) = start_with_or_skip(Kind::Pyftpdlib, HOST, Security::Clear) else { return };
    server.add("a", b"data").unwrap();
    let port = server.address.port();
    let fronts = Fronts::start(&format!("127.0.0.1:{port}"), &[]);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = other.local_addr().unwrap().port();
    assert_eq!(ask(fronts.socks, closed).1, 2, "no rule has it");

    let (stream, code) = ask(fronts.socks, port);
    assert_eq!(code, 0);
    let mut client = Client(BufReader::new(stream));
    client.says("220");
    client.asks(&format!("USER {}", server.user), "331");
    client.asks(&format!("PASS {}", server.password), "230");
    assert_eq!(ask(fronts.socks, closed).1, 2, "nothing is announced yet");
    let remote = String::from_utf8(server.path("a").0.into_vec()).unwrap();
    for _ in 0..2 {
        let door = client.epsv();
        assert_eq!(ask_from("127.0.0.9", fronts.socks, door).1, 2, "it is another's");
        let (mut data, code) = ask(fronts.socks, door);
        assert_eq!(code, 0);
        assert_eq!(ask(fronts.socks, door).1, 2, "once");
        client.asks(&format!("RETR {remote}"), "1");
        let mut got = Vec::new();
        data.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"data");
        client.says("226");
    }
    let door = client.epsv();
    client.asks("ABOR", "225");
    assert_eq!(ask(fronts.socks, door).1, 2, "it was taken back");
    // A session is FTP, or none.
    client.asks("GET / HTTP/1.1", "421");

    let connect = |port: u16| {
        request(fronts.http, &format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: a\r\n\r\n"))
    };
    assert!(connect(closed).starts_with("HTTP/1.1 403"));
    assert!(connect(port).starts_with("HTTP/1.1 200"));
    let get = "GET ftp://127.0.0.1/ HTTP/1.1\r\n\r\n";
    assert!(request(fronts.http, get).starts_with("HTTP/1.1 405"));
    assert!(request(fronts.http, "CONNECT a HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400"));
    assert!(request(fronts.http, &"x".repeat(9000)).starts_with("HTTP/1.1 400"));
    drop(other);
}

#[test]
fn accounts_are_asked_for_by_both() {
    let Some(server) = start_with_or_skip(Kind::Pyftpdlib, HOST, Security::Clear) else { return };
    server.add("a", b"data").unwrap();
    let work = TempDir::new().unwrap();
    let file = work.path().join("accounts.toml");
    account(&file, "gate", &[]).unwrap();
    let accounts = ["--account-file", file.to_str().unwrap()];
    let fronts = Fronts::start("127.0.0.0/8:1024-65535", &accounts);
    let remote = String::from_utf8(server.path("a").0.into_vec()).unwrap();
    let url = format!("ftp://{}/{remote}", server.address);
    let (socks, http) = (fronts.socks.to_string(), format!("http://{}", fronts.http));
    for (login, is_right) in [("gate:secret", true), ("gate:wrong", false), ("", false)] {
        for way in [["--socks5", &socks], ["-x", &http]] {
            let mut arguments = vec!["--proxytunnel", way[0], way[1], &url];
            if !login.is_empty() {
                arguments.extend(["--proxy-user", login]);
            }
            let Some(output) = curl(&server, &arguments) else { return };
            assert_eq!(output.stdout == b"data", is_right, "{login} {way:?}: {output:?}");
        }
    }
    assert!(!fronts.gateway.log().contains("secret"), "no password in a log");
}
