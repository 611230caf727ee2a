//! Uploads that a gateway shows to a program before its server hears of them: what passes, what does
//! not, and what the server sees of either.
//!
//! What is said to whom is tested beside the relay machine (`relay/tests/scan.rs` in `twoport-proto`); ICAP
//! is tested in `gateway_scan_icap.rs`, the seats in `gateway_scan_seats.rs`.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[expect(dead_code, reason = "doors are other tests' matter")]
mod by_hand;
mod scanning;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use socket2::SockRef;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use twoport_lab::foreign::clients::served;
use twoport_lab::foreign::nodes::{PATIENCE, wait_for};
use twoport_lab::foreign::servers::paper::Paper;
use twoport_net::clock;
use twoport_net::stream::Stream;
use twoport_net::tls::connect::{Guard, Versions};
use twoport_net::tls::trust::Trust::Anybody;

use self::by_hand::End;
use self::scanning::{HOST, SCANNER, Scanner, Stage, announce, infected, passive, sends, stores};

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
