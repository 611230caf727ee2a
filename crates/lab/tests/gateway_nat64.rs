//! A client of IPv6 before a server of IPv4, with the gateway between (RFC 6384): ALGS, and transfers
//! whether it translates or not.
//!
//! Servers that are not installed are skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::nodes::{Client, PATIENCE};
use twoport_lab::foreign::servers::{Kind, Security, Server, start_with_or_skip};

/// A session through a gateway that listens on IPv6 only.
fn log_in(server: &Server, at: SocketAddr) -> Client {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client(BufReader::new(stream));
    client.says("220");
    client.asks("ALGS STATUS64", "216 EPSVEPRT");
    if client.asks(&format!("USER {}", server.user), "").starts_with("331") {
        client.asks(&format!("PASS {}", server.password), "230");
    }
    client.asks("TYPE I", "200");
    client
}

fn stores(client: &mut Client, at: SocketAddr, path: &str) {
    let mut data = TcpStream::connect((at.ip(), client.epsv())).unwrap();
    client.asks(&format!("STOR {path}"), "1");
    data.write_all(b"bytes").unwrap();
    drop(data);
    client.says("226");
}

#[test]
fn algs_is_answered_and_obeyed_and_files_move_either_way() {
    let mut ports = 47_500_u16;
    for kind in [Kind::Vsftpd, Kind::Pyftpdlib, Kind::Proftpd] {
        let Some(server) =
            start_with_or_skip(kind, IpAddr::V4(Ipv4Addr::LOCALHOST), Security::Clear)
        else {
            continue;
        };
        let data_ports = format!("{ports}-{}", ports + 19);
        ports += 20;
        let to = server.address.to_string();
        let seat = ["--listen", "[::1]:0", "--server", &to, "--data-ports", &data_ports];
        let gateway = Served::gateway(&seat).unwrap();
        let at = *gateway.addresses().first().unwrap();
        let mut client = log_in(&server, at);
        let path = String::from_utf8(server.path("a").0.into_vec()).unwrap();
        stores(&mut client, at, &path);

        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let eprt = format!("EPRT |2|::1|{port}|");
        client.asks(&eprt, "200");
        client.send(&format!("RETR {path}"));
        let mut got = String::new();
        listener.accept().unwrap().0.read_to_string(&mut got).unwrap();
        client.says("1");
        client.says("226");
        assert_eq!(got, "bytes", "{kind:?}");

        client.asks("EPSV 1", "522");
        client.asks("EPSV ALL", "504");
        client.asks("ALGS", "504");
        client.asks("ALGS DISABLE64", "216 NONE");
        // The server's own EPSV, and its own word about an address of IPv6.
        stores(&mut client, at, &path);
        client.asks(&eprt, "5");
        client.asks("ALGS ENABLE64", "216 EPSVEPRT");
        client.asks(&eprt, "200");
        client.asks("QUIT", "221");
    }
}

#[test]
fn between_two_of_one_family_algs_is_the_servers() {
    let root = tempfile::TempDir::new().unwrap();
    let server = Served::start(root.path(), &["--listen", "127.0.0.1:0"]).unwrap();
    let to = server.addresses().first().unwrap().to_string();
    let seat = ["--listen", "127.0.0.1:0", "--server", &to, "--data-ports", "47560-47569"];
    let gateway = Served::gateway(&seat).unwrap();
    let stream = TcpStream::connect(*gateway.addresses().first().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client(BufReader::new(stream));
    client.says("220");
    client.asks("ALGS STATUS64", "202");
    client.asks("ALGS FROB", "504");
}
