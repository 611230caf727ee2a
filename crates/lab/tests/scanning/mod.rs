//! A program that scans for a gateway, and a server that is spoken by hand behind it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;
use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::nodes::{PATIENCE, wait_for};
use twoport_lab::foreign::scanners::EICAR;

use super::by_hand::End;

pub(crate) const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Finds EICAR's words; says so, and what it was told.
pub(crate) const SCANNER: &str = "#!/bin/sh
printf '%s|%s|%s|%s\\n' \"$TWOPORT_VERB\" \"$TWOPORT_NAME\" \"$TWOPORT_USER\" \"$TWOPORT_SIZE\" >>\"$1\"
grep -q EICAR-STANDARD-ANTIVIRUS-TEST-FILE || exit 0
echo Eicar-Test
exit 1
";

/// A program that scans, and what it noted.
pub(crate) struct Scanner {
    pub(crate) work: TempDir,
}

impl Scanner {
    pub(crate) fn new(script: &str) -> Self {
        let work = TempDir::new().unwrap();
        let program = work.path().join("scan");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { work }
    }

    pub(crate) fn noted(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.work.path().join("log")
    }

    /// The flags for it.
    pub(crate) fn flags(&self) -> Vec<String> {
        let program = self.work.path().join("scan").display().to_string();
        let (argument, spool) = (self.log().display().to_string(), self.work.path().display());
        ["--scan-command", &program, "--scan-arg", &argument, "--scan-spool", &spool.to_string()]
            .map(str::to_owned)
            .to_vec()
    }

    pub(crate) fn gateway(&self, server: SocketAddr, data_ports: &str, more: &[&str]) -> Served {
        let (at, flags) = (server.to_string(), self.flags());
        let mut all = vec!["--listen", "127.0.0.1:0", "--server", &at, "--data-ports", data_ports];
        all.extend(flags.iter().map(String::as_str));
        Served::gateway(&[&all, more].concat()).unwrap()
    }
}

pub(crate) fn infected() -> Vec<u8> {
    [&vec![b'x'; 100_000], EICAR, b"\r\nrest"].concat()
}

/// A server that is spoken by hand behind a gateway, and a client.
pub(crate) struct Stage {
    pub(crate) scanner: Scanner,
    pub(crate) gateway: Served,
    listener: TcpListener,
}

impl Stage {
    pub(crate) fn set(script: &str, data_ports: &str, more: &[&str]) -> Self {
        let scanner = Scanner::new(script);
        let listener = TcpListener::bind((HOST, 0)).unwrap();
        let gateway = scanner.gateway(listener.local_addr().unwrap(), data_ports, more);
        Self { scanner, gateway, listener }
    }

    /// Both ends of a session, after the greeting.
    pub(crate) fn greeted(&self) -> (End, End) {
        let mut client =
            End::new(TcpStream::connect(self.gateway.addresses().first().unwrap()).unwrap());
        let mut server = End::new(self.listener.accept().unwrap().0);
        server.says("220 ready");
        client.hears("220");
        (client, server)
    }

    /// The same, logged in.
    pub(crate) fn session(&self) -> (End, End) {
        let (mut client, mut server) = self.greeted();
        client.says("USER ann");
        server.hears("USER ann");
        server.says("230 in");
        client.hears("230");
        (client, server)
    }

    pub(crate) fn tells(&self, words: &str) {
        assert!(wait_for(|| self.gateway.log().contains(words)), "{}", self.gateway.log());
    }
}

/// The server announces a port, and the client connects to what it is told.
pub(crate) fn passive(client: &mut End, server: &mut End) -> (TcpStream, TcpListener) {
    client.says("EPSV");
    let listener = announce(server);
    let line = client.hears("229");
    let port = line.split('|').nth(3).unwrap().parse::<u16>().unwrap();
    let data = TcpStream::connect((HOST, port)).unwrap();
    data.set_read_timeout(Some(PATIENCE)).unwrap();
    (data, listener)
}

pub(crate) fn announce(server: &mut End) -> TcpListener {
    server.hears("EPSV");
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    server.says(&format!("229 here (|||{}|)", listener.local_addr().unwrap().port()));
    listener
}

/// The server takes an upload that it is asked to.
pub(crate) fn stores(server: &mut End, line: &str) -> Vec<u8> {
    let listener = announce(server);
    server.hears(line);
    server.says("150 go on");
    let mut content = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut content).unwrap();
    content
}

pub(crate) fn sends(mut data: TcpStream, content: &[u8]) {
    data.write_all(content).unwrap();
    data.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    data.read_to_end(&mut rest).unwrap();
}
