//! Uploads that a gateway shows to a program before its server hears of them: what passes, what does
//! not, and what the server sees of either.
//!
//! What is said to whom is tested beside the relay machine (`relay/tests/scan.rs` in `twoport-proto`); ICAP
//! is tested in `gateway_scan_icap.rs`.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[expect(dead_code, reason = "rules and signals are other tests' matter")]
mod boxed;
#[expect(dead_code, reason = "doors are other tests' matter")]
mod by_hand;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use socket2::SockRef;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use twoport_client::{Config, Mode, Outcome, Policy, PutOptions, Session, Tls, Trust, Url};
use twoport_lab::foreign::clients::served::{self, Served};
use twoport_lab::foreign::nodes::{self, Client, PATIENCE, network, wait_for};
use twoport_lab::foreign::scanners::EICAR;
use twoport_lab::foreign::servers::paper::Paper;
use twoport_lab::foreign::servers::{Kind, Security, start_with_or_skip};
use twoport_net::clock;
use twoport_net::stream::Stream;
use twoport_net::tls::connect::{Guard, Versions};
use twoport_net::tls::trust::Trust::Anybody;
use twoport_networks::Family;

use self::by_hand::End;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Finds EICAR's words; says so, and what it was told.
const SCANNER: &str = "#!/bin/sh
printf '%s|%s|%s|%s\\n' \"$TWOPORT_VERB\" \"$TWOPORT_NAME\" \"$TWOPORT_USER\" \"$TWOPORT_SIZE\" >>\"$1\"
grep -q EICAR-STANDARD-ANTIVIRUS-TEST-FILE || exit 0
echo Eicar-Test
exit 1
";

/// A program that scans, and what it noted.
struct Scanner {
    work: TempDir,
}

impl Scanner {
    fn new(script: &str) -> Self {
        let work = TempDir::new().unwrap();
        let program = work.path().join("scan");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { work }
    }

    fn noted(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.work.path().join("log")
    }

    /// The flags for it.
    fn flags(&self) -> Vec<String> {
        let program = self.work.path().join("scan").display().to_string();
        let (argument, spool) = (self.log().display().to_string(), self.work.path().display());
        ["--scan-command", &program, "--scan-arg", &argument, "--scan-spool", &spool.to_string()]
            .map(str::to_owned)
            .to_vec()
    }

    fn gateway(&self, server: SocketAddr, data_ports: &str, more: &[&str]) -> Served {
        let (at, flags) = (server.to_string(), self.flags());
        let mut all = vec!["--listen", "127.0.0.1:0", "--server", &at, "--data-ports", data_ports];
        all.extend(flags.iter().map(String::as_str));
        Served::gateway(&[&all, more].concat()).unwrap()
    }
}

fn infected() -> Vec<u8> {
    [&vec![b'x'; 100_000], EICAR, b"\r\nrest"].concat()
}

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

/// A server that is spoken by hand behind a gateway, and a client.
struct Stage {
    scanner: Scanner,
    gateway: Served,
    listener: TcpListener,
}

impl Stage {
    fn set(script: &str, data_ports: &str, more: &[&str]) -> Self {
        let scanner = Scanner::new(script);
        let listener = TcpListener::bind((HOST, 0)).unwrap();
        let gateway = scanner.gateway(listener.local_addr().unwrap(), data_ports, more);
        Self { scanner, gateway, listener }
    }

    /// Both ends of a session, after the greeting.
    fn greeted(&self) -> (End, End) {
        let mut client =
            End::new(TcpStream::connect(self.gateway.addresses().first().unwrap()).unwrap());
        let mut server = End::new(self.listener.accept().unwrap().0);
        server.says("220 ready");
        client.hears("220");
        (client, server)
    }

    /// The same, logged in.
    fn session(&self) -> (End, End) {
        let (mut client, mut server) = self.greeted();
        client.says("USER ann");
        server.hears("USER ann");
        server.says("230 in");
        client.hears("230");
        (client, server)
    }

    fn tells(&self, words: &str) {
        assert!(wait_for(|| self.gateway.log().contains(words)), "{}", self.gateway.log());
    }
}

/// The server announces a port, and the client connects to what it is told.
fn passive(client: &mut End, server: &mut End) -> (TcpStream, TcpListener) {
    client.says("EPSV");
    let listener = announce(server);
    let line = client.hears("229");
    let port = line.split('|').nth(3).unwrap().parse::<u16>().unwrap();
    let data = TcpStream::connect((HOST, port)).unwrap();
    data.set_read_timeout(Some(PATIENCE)).unwrap();
    (data, listener)
}

fn announce(server: &mut End) -> TcpListener {
    server.hears("EPSV");
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    server.says(&format!("229 here (|||{}|)", listener.local_addr().unwrap().port()));
    listener
}

/// The server takes an upload that it is asked to.
fn stores(server: &mut End, line: &str) -> Vec<u8> {
    let listener = announce(server);
    server.hears(line);
    server.says("150 go on");
    let mut content = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut content).unwrap();
    content
}

fn sends(mut data: TcpStream, content: &[u8]) {
    data.write_all(content).unwrap();
    data.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    data.read_to_end(&mut rest).unwrap();
}

#[test]
fn the_server_hears_of_an_upload_when_it_was_found_clean_and_never_else() {
    let stage = Stage::set(SCANNER, "44400-44419", &["--metrics", "0"]);
    let (mut client, mut server) = stage.session();
    let (data, listener) = passive(&mut client, &mut server);
    client.says("STOR a\\b\u{7}.txt");
    client.hears("150");
    sends(data, &infected());
    client
        .hears("550 The scanner found something in the upload, and it was not stored: Eicar-Test.");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody was connected to the server");
    // What comes next on its control connection is the next upload.
    let (data, _unused) = passive(&mut client, &mut server);
    client.says("STOU");
    client.hears("150");
    sends(data, b"clean");
    assert_eq!(stores(&mut server, "STOU"), b"clean");
    server.says("226 stored");
    client.hears("226-go on");
    client.hears("226 stored");
    let noted = stage.scanner.noted();
    assert_eq!(noted, "STOR|a\\x5cb\\x07.txt|ann|100040\nSTOU||ann|5\n");
    stage.tells("x07.txt: Eicar-Test\" reason=\"upload-infected\"");
    let log = stage.gateway.log();
    let page = log.split("http://").nth(1).unwrap().split("/metrics").next().unwrap();
    let mut asking = TcpStream::connect(page).unwrap();
    asking.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut metrics = String::new();
    asking.read_to_string(&mut metrics).unwrap();
    for line in [
        "decisions_total{decision=\"refuse\",reason=\"upload-infected\"} 1\n",
        "decisions_total{decision=\"scan\",reason=\"\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[test]
fn what_a_client_sends_without_an_upload_goes_nowhere() {
    let stage = Stage::set(SCANNER, "44420-44439", &[]);
    let (mut client, mut server) = stage.session();
    let (mut data, listener) = passive(&mut client, &mut server);
    // Before the verb: the server has nobody yet.
    data.write_all(&infected()).unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::park_timeout(Duration::from_millis(200));
    assert!(listener.accept().is_err());
    listener.set_nonblocking(false).unwrap();
    client.says("RETR a");
    server.hears("RETR a");
    server.says("150 here");
    client.hears("150");
    let mut at_server = listener.accept().unwrap().0;
    at_server.write_all(b"content").unwrap();
    at_server.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    data.read_to_end(&mut got).unwrap();
    drop(data);
    assert_eq!(got, b"content");
    let mut sent = Vec::new();
    at_server.read_to_end(&mut sent).unwrap();
    assert!(sent.is_empty(), "{} bytes came to the server", sent.len());
    server.says("226 done");
    client.hears("226");
}

#[test]
fn a_client_that_dies_half_way_has_sent_no_file() {
    let stage = Stage::set("#!/bin/sh\ncat >/dev/null; sleep 0.3\n", "44440-44459", &[]);
    let (mut client, mut server) = stage.session();
    let (mut data, _unused) = passive(&mut client, &mut server);
    client.says("STOR a");
    client.hears("150");
    data.write_all(b"half").unwrap();
    // As a process that is killed: both connections end in order.
    drop(client);
    drop(data);
    let mut rest = String::new();
    server.0.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    stage.tells("reason=\"control-lost\"");
    // A reset says so itself.
    let (mut client, mut server) = stage.session();
    let (mut data, _unused) = passive(&mut client, &mut server);
    client.says("STOR a");
    client.hears("150");
    data.write_all(b"half").unwrap();
    SockRef::from(&data).set_linger(Some(Duration::ZERO)).unwrap();
    drop(data);
    client.hears("426");
    client.says("NOOP");
    server.hears("NOOP");
}

/// A control connection under TLS, and what its data connections need.
struct Secure {
    runtime: Runtime,
    guard: Guard,
    control: tokio::io::BufReader<Stream>,
}

impl Secure {
    fn begin(mut client: End) -> Self {
        client.says("AUTH TLS");
        client.hears("234");
        let runtime = Runtime::new().unwrap();
        let guard = Guard::new("localhost", &Anybody, None, Versions::All).unwrap();
        let stream = client.0.into_inner();
        let stream = runtime.block_on(secured(&guard, stream));
        Self { control: tokio::io::BufReader::new(stream), runtime, guard }
    }

    #[track_caller]
    fn asks(&mut self, line: &str, code: &str) -> String {
        self.says(line);
        self.hears(code)
    }

    fn says(&mut self, line: &str) {
        self.runtime.block_on(async {
            self.control.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
            self.control.flush().await.unwrap();
        });
    }

    #[track_caller]
    fn hears(&mut self, code: &str) -> String {
        let mut line = String::new();
        self.runtime.block_on(self.control.read_line(&mut line)).unwrap();
        assert!(line.starts_with(code), "expected {code:?}, got {line:?}");
        line
    }

    /// Sends it, and ends it as TLS has it or without a word.
    fn sends(&self, data: TcpStream, content: &[u8], is_whole: bool) {
        self.runtime.block_on(async {
            let mut stream = secured(&self.guard, data).await;
            stream.write_all(content).await.unwrap();
            stream.flush().await.unwrap();
            if is_whole {
                stream.shutdown().await.unwrap();
                stream.read_to_end(&mut Vec::new()).await.unwrap();
            }
        });
    }
}

async fn secured(guard: &Guard, stream: TcpStream) -> Stream {
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    guard.connect(stream, PATIENCE).await.unwrap()
}

#[test]
fn an_upload_under_tls_without_its_end_is_none() {
    let work = TempDir::new().unwrap();
    let paper = Paper::make(work.path(), ["localhost".to_owned()]).unwrap();
    let (certificate, key) = (paper.certificate.to_str().unwrap(), paper.key.to_str().unwrap());
    let more = ["--certificate", certificate, "--key", key, "--upstream-tls", "off"];
    let stage = Stage::set(SCANNER, "44880-44899", &more);
    let (client, mut server) = stage.greeted();
    let mut client = Secure::begin(client);
    for (line, code) in [("PBSZ 0", "200"), ("PROT P", "200")] {
        client.asks(line, code);
    }
    client.says("USER ann");
    server.hears("USER ann");
    server.says("230 in");
    client.hears("230");
    for is_whole in [false, true] {
        client.says("EPSV");
        let _unused = announce(&mut server);
        let line = client.hears("229");
        let port = line.split('|').nth(3).unwrap().parse::<u16>().unwrap();
        let data = TcpStream::connect((HOST, port)).unwrap();
        client.asks("STOR a", "150");
        client.sends(data, b"content", is_whole);
        if is_whole {
            assert_eq!(stores(&mut server, "STOR a"), b"content");
            server.says("226 stored");
            client.hears("226");
        } else {
            client.hears("426 The data ended without TLS's own end");
        }
    }
    assert_eq!(stage.scanner.noted(), "STOR|a|ann|7\n");
}

#[test]
fn a_delivery_that_ends_early_is_reset_towards_the_server() {
    let stage = Stage::set("#!/bin/sh\nexit 0\n", "44460-44479", &[]);
    let (mut client, mut server) = stage.session();
    let (data, _unused) = passive(&mut client, &mut server);
    client.says("STOR a");
    client.hears("150");
    sends(data, &vec![7; 24 << 20]);
    let listener = announce(&mut server);
    server.hears("STOR a");
    server.says("150 go on");
    let mut at_server = listener.accept().unwrap().0;
    at_server.set_read_timeout(Some(PATIENCE)).unwrap();
    at_server.read_exact(&mut [0; 1]).unwrap();
    // ABOR goes to the server, which then has both replies.
    client.says("ABOR");
    server.hears("ABOR");
    let end = at_server.read_to_end(&mut Vec::new());
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    server.says("426 broken");
    server.says("226 aborted");
    client.hears("426");
    client.hears("226 aborted");
    // A server that takes half of it and says that all is well is not believed.
    let (data, _unused) = passive(&mut client, &mut server);
    client.says("STOR a");
    client.hears("150");
    sends(data, &vec![7; 24 << 20]);
    let listener = announce(&mut server);
    server.hears("STOR a");
    let at_server = listener.accept().unwrap().0;
    (&at_server).read_exact(&mut [0; 1]).unwrap();
    SockRef::from(&at_server).set_linger(Some(Duration::ZERO)).unwrap();
    drop(at_server);
    server.says("226 all of it");
    client.hears("426");
}

#[test]
fn abor_ends_the_scan_with_all_that_it_has_started() {
    let script = "#!/bin/sh\nsleep 1000 & echo $! >\"$1\"; wait\n";
    let stage = Stage::set(script, "44480-44499", &[]);
    let (mut client, mut server) = stage.session();
    let (data, _unused) = passive(&mut client, &mut server);
    client.says("STOR a");
    client.hears("150");
    sends(data, b"content");
    assert!(wait_for(|| stage.scanner.noted().ends_with('\n')));
    let process = PathBuf::from("/proc").join(stage.scanner.noted().trim());
    assert!(process.exists());
    client.says("ABOR");
    client.hears("426");
    client.hears("226");
    let is_gone = || {
        let state = fs::read_to_string(process.join("stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    };
    assert!(wait_for(is_gone));
    client.says("NOOP");
    server.hears("NOOP");
}

#[test]
fn a_scanner_that_fails_is_no_verdict() {
    for (script, reason, ports) in [
        ("#!/bin/sh\necho what >&2; exit 7\n", "scan-failed", "44500-44519"),
        ("#!/bin/sh\nkill -9 $$\n", "scan-failed", "44520-44539"),
        ("#!/bin/sh\nsleep 1000\n", "scan-timeout", "44540-44559"),
    ] {
        for failure in ["refuse", "pass"] {
            let more = ["--scan-timeout", "1", "--scan-failure", failure];
            let stage = Stage::set(script, ports, &more);
            let (mut client, mut server) = stage.session();
            let (data, _unused) = passive(&mut client, &mut server);
            client.says("STOR a");
            client.hears("150");
            sends(data, b"content");
            if failure == "pass" {
                assert_eq!(stores(&mut server, "STOR a"), b"content");
                server.says("226 stored");
                client.hears("226");
            } else {
                client.hears("451");
            }
            stage.tells(&format!("reason=\"{reason}\""));
        }
    }
}

#[test]
fn what_is_too_big_or_a_part_or_hidden_is_refused() {
    let stage = Stage::set(SCANNER, "44560-44579", &["--scan-max-size", "1000"]);
    let (mut client, mut server) = stage.session();
    for (line, code) in [
        ("APPE a", "550"),
        ("MODE Z", "504"),
        ("AUTH TLS", "534"),
        ("XSTO a", "500"),
        ("STOR a", "425"),
    ] {
        client.says(line);
        client.hears(code);
    }
    client.says("REST 5");
    server.hears("REST 5");
    server.says("350 go on");
    client.hears("350");
    let (_data, _unused) = passive(&mut client, &mut server);
    client.says("STOR a");
    client.hears("550 Uploads are scanned here");
    for (length, code) in [(1000, "226"), (1001, "552")] {
        let (mut data, _unused) = passive(&mut client, &mut server);
        client.says("STOR a");
        client.hears("150");
        data.write_all(&vec![7; length]).unwrap();
        drop(data);
        if length == 1000 {
            assert_eq!(stores(&mut server, "STOR a").len(), 1000);
            server.says("226 stored");
        }
        client.hears(code);
    }
    // Part by part, where the owner says so.
    let stage = Stage::set(SCANNER, "44580-44599", &["--scan-parts", "pass"]);
    let (mut client, mut server) = stage.session();
    client.says("REST 5");
    server.hears("REST 5");
    server.says("350 go on");
    client.hears("350");
    let (data, _unused) = passive(&mut client, &mut server);
    client.says("STOR a");
    client.hears("150");
    sends(data, b"part");
    let listener = announce(&mut server);
    server.hears("REST 5");
    server.says("350 go on");
    server.hears("STOR a");
    let mut content = String::new();
    listener.accept().unwrap().0.read_to_string(&mut content).unwrap();
    assert_eq!(content, "part");
    server.says("226 stored");
    client.hears("226");
}

#[test]
fn an_upload_at_so_many_bytes_a_second_is_scanned_whole() {
    let stage = Stage::set(SCANNER, "44900-44919", &["--rate-limit", "400k"]);
    let (mut client, mut server) = stage.session();
    for content in [vec![b'c'; 300_000], infected()] {
        let (data, _unused) = passive(&mut client, &mut server);
        client.says("STOR a");
        client.hears("150");
        let began = clock::now();
        sends(data, &content);
        if content.ends_with(b"rest") {
            client.hears("550");
        } else {
            assert!(stores(&mut server, "STOR a") == content);
            assert!(clock::now().since(began) >= Duration::from_millis(600));
            server.says("226 stored");
            client.hears("226");
        }
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
    server.says("220 ready");
    client.hears("220");
    client.says("USER ann");
    server.hears("USER ann");
    server.says("230 in");
    client.hears("230");
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

#[test]
fn words_that_contradict_the_scan_are_refused_at_the_start() {
    let scanner = Scanner::new(SCANNER);
    let program = scanner.work.path().join("scan").display().to_string();
    let with = |more: &[&str]| {
        let base = ["gateway", "--server", "127.0.0.1:9", "--listen", "127.0.0.1:0"];
        let mut command = Command::new(served::program().unwrap());
        let output = command.args(base).args(more).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (more, told) in [
        (&["--scan-command", &program, "--tls", "pass"][..], "tls: pass"),
        (&["--scan-command", "/nowhere"], "scan-command: /nowhere"),
        (&["--scan-command", "/etc/passwd"], "it is no program"),
        (&["--scan-icap", "http://x/y"], "icap://HOST:PORT/SERVICE"),
        (&["--scan-failure", "pass"], "nothing is scanned"),
        (&["--scan-command", &program, "--scan-max-size", "much"], "scan-max-size"),
        (&["--scan-command", &program, "--scan-spool", "/nowhere"], "scan-spool: /nowhere"),
    ] {
        let said = with(more);
        assert!(said.contains(told), "{more:?}: {said}");
    }
}
