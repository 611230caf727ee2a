//! The gateway as the way out of a network: clients name their server in the log-in, and go nowhere that
//! is not allowed.
//!
//! Clients of others are skipped aloud where they are not installed.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;
use twoport_lab::foreign::clients::served::{Served, account};
use twoport_lab::foreign::clients::{Client as Foreign, skipped};
use twoport_lab::foreign::nodes::{Client, PATIENCE, wait_for};
use twoport_lab::foreign::servers::{Kind, Security, Server, start_with_or_skip};

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A way out that leads to this host, which must be said.
fn gateway(data_ports: &str, more: &[&str]) -> Served {
    let mut arguments = vec!["--seat", "forward", "--listen", "127.0.0.1:0"];
    arguments.extend(["--data-ports", data_ports, "--allow", "127.0.0.0/8:1024-65535"]);
    arguments.extend(more);
    Served::gateway(&arguments).unwrap()
}

fn at(gateway: &Served) -> SocketAddr {
    *gateway.addresses().first().unwrap()
}

fn dial(address: SocketAddr) -> Client {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client(BufReader::new(stream));
    client.says("220");
    client
}

fn server() -> Option<Server> {
    let server = start_with_or_skip(Kind::Pyftpdlib, HOST, Security::Clear)?;
    server.add("a", b"through the gate").unwrap();
    Some(server)
}

fn program(name: &str) -> Option<PathBuf> {
    let program = Foreign::find(name).unwrap().program();
    if program.is_none() {
        skipped(name);
    }
    program
}

fn lftp(settings: &str, server: &Server, then: &str) -> Option<Output> {
    let script = format!(
        "set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 20; set ftp:ssl-allow no; \
         {settings} open -u {},{} ftp://{}; {then}",
        server.user, server.password, server.address
    );
    let mut command = Command::new(program("lftp")?);
    command.env("HOME", "/nonexistent").env_remove("ftp_proxy");
    Some(command.args(["--norc", "-c", &script]).output().unwrap())
}

#[track_caller]
fn assert_got(output: Option<&Output>, gateway: &Served) {
    let Some(output) = output else { return };
    let got = &output.stdout;
    assert!(got.ends_with(b"through the gate"), "{output:?} {}", gateway.log());
}

#[test]
fn the_server_is_in_the_name() {
    let Some(server) = server() else { return };
    let gateway = gateway("47500-47549", &[]);
    let (host, port) = (at(&gateway).ip(), at(&gateway).port());
    let remote = String::from_utf8(server.path("a").0.into_vec()).unwrap();
    for mode in ["on", "off"] {
        let settings = format!("set ftp:passive-mode {mode}; set ftp:proxy ftp://{host}:{port};");
        assert_got(lftp(&settings, &server, &format!("cat {remote}")).as_ref(), &gateway);
    }
    if let Some(curl) = program("curl") {
        for mode in ["--disable-eprt", "--ftp-pasv"] {
            let user = format!("{}@{}:{}", server.user, server.address, server.password);
            // curl parts name and password at the first colon: the port goes behind a blank.
            let user = user.replacen(
                &format!(":{}", server.address.port()),
                &format!(" {}", server.address.port()),
                1,
            );
            let mut command = Command::new(&curl);
            command.args(["-s", "-S", "-u", &user, mode]);
            let url = format!("ftp://{}/{remote}", at(&gateway));
            assert_got(Some(&command.arg(url).output().unwrap()), &gateway);
        }
    }
    // As ncftp, by hand.
    for open in ["OPEN", "SITE"] {
        let mut client = dial(at(&gateway));
        client.asks(&format!("{open} {}", server.address), "220");
        client.asks(&format!("USER {}", server.user), "331");
        client.asks(&format!("PASS {}", server.password), "230");
        let door = client.epsv();
        client.send(&format!("RETR {remote}"));
        let mut data = TcpStream::connect((HOST, door)).unwrap();
        let mut got = String::new();
        data.read_to_string(&mut got).unwrap();
        assert_eq!(got, "through the gate");
    }
}

#[test]
fn who_has_an_account_logs_in_to_the_gateway_first() {
    let Some(server) = server() else { return };
    let work = TempDir::new().unwrap();
    let file = work.path().join("accounts.toml");
    account(&file, "gate", &[]).unwrap();
    let gateway = gateway("47550-47579", &["--account-file", file.to_str().unwrap()]);
    let (host, port) = (at(&gateway).ip(), at(&gateway).port());
    let remote = String::from_utf8(server.path("a").0.into_vec()).unwrap();
    for style in ["user", "open"] {
        let settings = format!(
            "set ftp:proxy-auth-type {style}; set ftp:proxy ftp://gate:secret@{host}:{port};"
        );
        assert_got(lftp(&settings, &server, &format!("cat {remote}")).as_ref(), &gateway);
    }
    let target = format!("USER {}@{}", server.user, server.address);
    let mut client = dial(at(&gateway));
    client.asks(&target, "530");
    client.asks("USER gate", "331");
    client.asks("PASS wrong", "530");
    client.asks("USER gate", "331");
    client.asks("PASS secret", "230");
    client.asks(&target, "331");
    client.asks(&format!("PASS {}", server.password), "230");
    assert!(!gateway.log().contains("secret"), "no password in a log");
}

#[test]
fn it_leads_nowhere_by_accident() {
    let Some(server) = server() else { return };
    let plain = Served::gateway(&[
        "--seat",
        "forward",
        "--listen",
        "127.0.0.1:0",
        "--data-ports",
        "47580-47589",
    ])
    .unwrap();
    let named = Served::gateway(&[
        "--seat",
        "forward",
        "--listen",
        "127.0.0.1:0",
        "--data-ports",
        "47590-47599",
        "--allow",
        "localhost:1024-65535",
    ])
    .unwrap();
    let port = server.address.port();
    for (gateway, target) in [
        (&plain, format!("127.0.0.1:{port}")),
        (&plain, "127.0.0.1".to_owned()),
        (&plain, "[::1]:21".to_owned()),
        (&plain, "169.254.169.254:21".to_owned()),
        (&plain, "192.0.2.1:22".to_owned()),
        // Its name is allowed, and leads into this host.
        (&named, format!("localhost:{port}")),
    ] {
        let mut client = dial(at(gateway));
        let reply = client.asks(&format!("USER ann@{target}"), "421");
        assert!(reply.contains("lets nobody connect"), "{target}: {reply}");
    }
    let mut client = dial(at(&plain));
    client.asks("USER ann", "530");
    client.asks("USER ann@", "530");
    client.asks("USER ann@a/b", "530");
    client.asks("LIST", "530");
    client.asks("HOST a", "550");
    client.asks("QUIT", "221");
    assert!(wait_for(|| plain.log().contains("destination-refused")), "{}", plain.log());
}
