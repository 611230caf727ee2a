//! Uploads that a gateway shows to an ICAP service: c-icap with ClamAV behind it, c-icap's own echo, and
//! services that are none.
//!
//! What may stand in an answer is tested beside the code (`scan/icap/message.rs` in `twoport-gateway`).

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use tempfile::TempDir;
use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::nodes::{Client, PATIENCE, wait_for};
use twoport_lab::foreign::scanners::{EICAR, Scanners};

struct Stage {
    root: TempDir,
    _server: Served,
    gateway: Served,
}

impl Stage {
    /// A gateway that asks this service before a server on which everybody may write.
    fn set(data_ports: &str, service: &str, more: &[&str]) -> Self {
        let root = TempDir::new().unwrap();
        let server = Served::start(root.path(), &["--anonymous=write"]).unwrap();
        let at = server.addresses().first().unwrap().to_string();
        let mut seat = vec!["--listen", "127.0.0.1:0", "--server", &at, "--data-ports", data_ports];
        seat.extend(["--scan-icap", service]);
        let gateway = Served::gateway(&[&seat, more].concat()).unwrap();
        Self { root, _server: server, gateway }
    }

    fn log_in(&self) -> Client {
        let stream = TcpStream::connect(self.gateway.addresses().first().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::new(stream)).logged_in()
    }

    /// An upload is answered with this code, and there it is or is not.
    #[track_caller]
    fn stores(&self, client: &mut Client, name: &str, content: &[u8], code: &str) {
        let at = SocketAddr::new(self.gateway.addresses().first().unwrap().ip(), client.epsv());
        let mut data = TcpStream::connect(at).unwrap();
        client.asks(&format!("STOR {name}"), "150");
        data.write_all(content).unwrap();
        data.shutdown(Shutdown::Write).unwrap();
        client.says(code);
        let stored = fs::read(self.root.path().join(name)).ok();
        assert!(stored == (code == "226").then(|| content.to_vec()), "{name}");
    }

    fn tells(&self, words: &str) {
        assert!(wait_for(|| self.gateway.log().contains(words)), "{}", self.gateway.log());
    }
}

/// Contents that begin differently, so that each is looked at as what it is, and of lengths below, at
/// and above the preview.
fn clean(length: usize) -> Vec<u8> {
    b"0123456789abcdef\n".iter().copied().cycle().take(length).collect()
}

const LENGTHS: [usize; 7] = [0, 1, 1023, 1024, 1025, 70_000, 5_000_000];

fn infected(before: usize) -> Vec<u8> {
    [&clean(before)[..], EICAR, b"\n"].concat()
}

/// All lengths through a service that finds EICAR's words, wherever they are.
fn found_wherever(stage: &Stage) {
    let mut client = stage.log_in();
    for length in LENGTHS {
        stage.stores(&mut client, &format!("clean {length} \u{e4}"), &clean(length), "226");
        let name = format!("bad {length}");
        stage.stores(&mut client, &name, &infected(length), "550");
    }
    stage.tells("Eicar-Test.UNOFFICIAL\" reason=\"upload-infected\"");
}

#[test]
fn clamav_behind_c_icap_finds_what_it_knows_and_passes_the_rest() {
    let Some(scanners) = Scanners::start_or_skip().unwrap() else { return };
    let stage = Stage::set("44600-44649", &scanners.service("avscan"), &[]);
    found_wherever(&stage);
    let log = scanners.log().unwrap();
    assert!(log.contains("REQMOD"), "{log}");
}

#[test]
fn a_service_that_gives_all_back_has_found_nothing() {
    let Some(scanners) = Scanners::start_or_skip().unwrap() else { return };
    let stage = Stage::set("44650-44699", &scanners.service("echo"), &[]);
    let mut client = stage.log_in();
    for length in LENGTHS {
        stage.stores(&mut client, &format!("a{length}"), &clean(length), "226");
    }
}

#[test]
fn a_service_without_reqmod_without_preview_and_without_204_is_asked_as_it_can_be() {
    let Some(scanners) = Scanners::start_or_skip().unwrap() else { return };
    let plain = Plain::before(scanners.address);
    for (name, ports) in [("avscan", "44700-44749"), ("echo", "44750-44799")] {
        let service = format!("icap://{}/{name}", plain.0);
        let stage = Stage::set(ports, &service, &[]);
        if name == "avscan" {
            found_wherever(&stage);
        } else {
            let mut client = stage.log_in();
            for length in LENGTHS {
                stage.stores(&mut client, &format!("a{length}"), &clean(length), "226");
            }
        }
    }
    assert!(scanners.log().unwrap().contains("RESPMOD"));
}

#[test]
fn a_service_that_is_not_there_or_not_able_is_no_verdict() {
    let Some(mut scanners) = Scanners::start_or_skip().unwrap() else { return };
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for (service, told, ports) in [
        (format!("icap://{nobody}/avscan"), "Connection refused", "44800-44819"),
        (scanners.service("nothing"), "404", "44820-44839"),
    ] {
        let stage = Stage::set(ports, &service, &[]);
        let mut client = stage.log_in();
        stage.stores(&mut client, "a", b"content", "451");
        stage.tells(told);
        let stage = Stage::set(ports, &service, &["--scan-failure", "pass"]);
        let mut client = stage.log_in();
        stage.stores(&mut client, "a", b"content", "226");
        stage.tells("reason=\"scan-failed\"");
    }
    scanners.kill_clamd();
    let stage = Stage::set("44840-44859", &scanners.service("avscan"), &[]);
    let mut client = stage.log_in();
    stage.stores(&mut client, "a", &infected(0), "451");
}

/// A service that answers nothing keeps its client no longer than it may.
#[test]
fn a_service_that_is_silent_has_its_time() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let service = format!("icap://{}/avscan", listener.local_addr().unwrap());
    let stage = Stage::set("44860-44879", &service, &["--scan-timeout", "1"]);
    let mut client = stage.log_in();
    stage.stores(&mut client, "a", b"content", "451 The scan of the upload took too long");
    stage.tells("reason=\"scan-timeout\"");
}

/// Stands before a service, and has it know RESPMOD alone: no preview, and no 204.
struct Plain(SocketAddr);

impl Plain {
    fn before(service: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        thread::spawn(move || {
            for asking in listener.incoming().flatten() {
                thread::spawn(move || between(&asking, &TcpStream::connect(service).unwrap()));
            }
        });
        Self(at)
    }
}

fn between(asking: &TcpStream, service: &TcpStream) {
    let (mut to_service, from_asking) = (service.try_clone().unwrap(), asking.try_clone().unwrap());
    thread::spawn(move || {
        let mut from = BufReader::new(from_asking);
        let mut line = String::new();
        // The head; the rest is bytes.
        while matches!(from.read_line(&mut line), Ok(1..)) {
            if !line.starts_with("Allow:") {
                to_service.write_all(line.as_bytes()).unwrap();
            }
            if line == "\r\n" {
                break;
            }
            line.clear();
        }
        // Whoever ends first ends both: a service has few places for those who say nothing.
        let _ended = std::io::copy(&mut from, &mut to_service);
        let _ended = to_service.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (BufReader::new(service.try_clone().unwrap()), asking);
    let mut line = String::new();
    while matches!(from.read_line(&mut line), Ok(1..)) {
        if line.starts_with("Methods:") {
            line = "Methods: RESPMOD\r\n".into();
        }
        if !line.starts_with("Preview:") && to.write_all(line.as_bytes()).is_err() {
            return;
        }
        if line == "\r\n" {
            break;
        }
        line.clear();
    }
    let _ended = std::io::copy(&mut from, &mut to);
    // The other thread ends with the connection.
    let _ended = (asking.shutdown(Shutdown::Both), service.shutdown(Shutdown::Both));
}
