//! The gateway before servers whose TLS passes it: who is sent where by the name in the client's hello,
//! after AUTH and from the first byte on, and who is sent nowhere.
//!
//! Without curl, and for port 990 without root, a test is skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};

use tempfile::TempDir;
use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::clients::{Client as Foreign, say, skipped};
use twoport_lab::foreign::nodes::{Client, PATIENCE, wait_for};
use twoport_lab::foreign::servers::paper::Paper;

/// A server of one file, with a certificate for its own name.
struct Own {
    name: &'static str,
    root: TempDir,
    paper: Paper,
    served: Served,
}

impl Own {
    fn start(name: &'static str, listen: &[&str]) -> Self {
        let root = TempDir::new().unwrap();
        let paper = Paper::make(root.path(), [format!("ftp.{name}.example")]).unwrap();
        let files = root.path().join("files");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("which"), name).unwrap();
        let (certificate, key) = (paper.certificate.to_str().unwrap(), paper.key.to_str().unwrap());
        let more = ["--anonymous=read", "--certificate", certificate, "--key", key];
        let served = Served::start(&files, &[listen, &more[..]].concat()).unwrap();
        Self { name, root, paper, served }
    }

    fn in_group(&self) -> String {
        format!("{},group={}", self.served.addresses().first().unwrap(), self.name)
    }

    /// What curl makes of a URL of this server's name, at a gateway.
    fn by_curl(&self, program: &str, gateway: SocketAddr, url: &str, more: &[&str]) -> Output {
        assert!(self.root.path().exists());
        let place = format!("ftp.{}.example:{}:{}", self.name, gateway.port(), gateway.ip());
        let mut command = Command::new(program);
        command.args(["-s", "-S", "--resolve", &place, "--cacert"]).arg(&self.paper.authority);
        command.args(more).arg(url).output().unwrap()
    }
}

fn curl() -> Option<String> {
    let program = Foreign::find("curl").unwrap().program().map(|it| it.display().to_string());
    if program.is_none() {
        skipped("curl");
    }
    program
}

#[test]
fn after_auth_the_name_in_the_hello_chooses_and_tls_is_the_servers_own() {
    let Some(curl) = curl() else { return };
    let servers = ["blue", "green"].map(|name| Own::start(name, &["--listen", "127.0.0.1:0"]));
    let groups = servers.each_ref().map(Own::in_group);
    let gateway = Served::gateway(&[
        "--listen",
        "127.0.0.1:0",
        "--tls",
        "pass",
        "--server",
        &groups[0],
        "--server",
        &groups[1],
        "--route",
        "host:ftp.blue.example=blue",
        "--route",
        "sni:ftp.blue.*=blue",
        "--route",
        "sni:*.GREEN.example=green",
    ])
    .unwrap();
    let at = *gateway.addresses().first().unwrap();
    for server in &servers {
        let url = format!("ftp://ftp.{}.example:{}/which", server.name, at.port());
        for version in ["1.2", "1.3"] {
            let more = ["--ssl-reqd", "--tls-max", version];
            let output = server.by_curl(&curl, at, &url, &more);
            let got = String::from_utf8(output.stdout.clone()).unwrap();
            assert_eq!(got, server.name, "{output:?} {}", gateway.log());
        }
    }
    // The certificate is that of the server which was chosen: no other is believed.
    let wrong = Own::start("red", &["--listen", "127.0.0.1:0"]);
    let url = format!("ftp://ftp.red.example:{}/which", at.port());
    let output = wrong.by_curl(&curl, at, &url, &["--ssl-reqd"]);
    assert_eq!(output.status.code(), Some(35), "{output:?}");
    assert!(wait_for(|| gateway.log().contains("reason=\"route-unknown\"")), "{}", gateway.log());
}

#[test]
fn what_is_no_handshake_ends_with_a_reason_and_reaches_no_server() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let group = format!("{},group=all", server.local_addr().unwrap());
    let gateway = Served::gateway(&[
        "--listen",
        "127.0.0.1:0",
        "--tls",
        "pass",
        "--server",
        &group,
        "--route",
        "sni:*=all",
    ])
    .unwrap();
    let at = *gateway.addresses().first().unwrap();
    let dial = || {
        let stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client(BufReader::new(stream));
        client.says("220");
        client
    };
    let mut clear = dial();
    clear.asks("AUTH TLS", "234");
    clear.asks("USER ann", "421 The first words of TLS cannot be read.");
    let mut behind = dial();
    behind.0.get_mut().write_all(b"AUTH TLS\r\nUSER ann\r\n").unwrap();
    behind.says("421 Clear text came behind AUTH");
    let mut broken = dial();
    broken.asks("AUTH TLS", "234");
    broken.0.get_mut().write_all(b"\x16\x03\x01\x00\x05\x02\0\0\x01\0").unwrap();
    let mut said = Vec::new();
    broken.0.read_to_end(&mut said).unwrap();
    assert_eq!(said, [21, 3, 3, 0, 2, 2, 50], "an alert: decode_error");
    server.set_nonblocking(true).unwrap();
    assert!(server.accept().is_err(), "nobody was connected");
}

#[test]
fn tls_from_the_first_byte_on_is_sent_on_by_its_name() {
    let Some(curl) = curl() else { return };
    let own = ["127.0.50.1:990", "127.0.50.2:990", "127.0.50.3:990"];
    if own.iter().any(|address| TcpListener::bind(address).is_err()) {
        return say("skipped: port 990 is for root");
    }
    let start = |name, at| Own::start(name, &["--listen", "127.0.0.1:0", "--implicit-tls", at]);
    let servers = [start("blue", own[1]), start("green", own[2])];
    let gateway = Served::gateway(&[
        "--listen",
        own[0],
        "--tls",
        "pass",
        "--server",
        "127.0.50.2,group=blue",
        "--server",
        "127.0.50.3,group=green",
        "--health-interval",
        "off",
        "--route",
        "sni:ftp.blue.example=blue",
        "--route",
        "sni:*.green.example=green",
    ])
    .unwrap();
    let at: SocketAddr = own[0].parse().unwrap();
    for server in &servers {
        // Only the control connection: its data ports are where the gateway reads nothing of them.
        let url = format!("ftps://ftp.{}.example/which", server.name);
        let output = server.by_curl(&curl, at, &url, &["-I"]);
        let got = String::from_utf8(output.stdout.clone()).unwrap();
        let length = format!("Content-Length: {}", server.name.len());
        assert!(output.status.success() && got.contains(&length), "{output:?} {}", gateway.log());
    }
    let output = servers[0].by_curl(&curl, at, "ftps://127.0.50.1/which", &["-k", "-I"]);
    assert_eq!(output.status.code(), Some(35), "without a name: {output:?}");
}
