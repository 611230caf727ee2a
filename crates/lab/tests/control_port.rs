//! Passive data on the control port: a firewall that lets in nothing else is enough, for clients of
//! today as they are, and no log-in is lost to it.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use twoport_client::{Config, GetOptions, PutOptions, Session, Tls, Trust, Url};
use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::clients::{Client, skipped};
use twoport_lab::foreign::nodes::{Client as Control, PATIENCE};
use twoport_proto::path::FtpPath;

struct Site {
    root: TempDir,
    work: TempDir,
    served: Served,
}

impl Site {
    fn new() -> Self {
        let (root, work) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let directory = work.path().to_str().unwrap();
        let all = ["--user", "ann:secret", "--state-directory", directory, "--tls", "optional"];
        let listen = ["--listen", "127.0.0.1:0", "--implicit-tls", "127.0.0.1:0"];
        let passive = ["--passive", "control-port", "--durable=false"];
        let served = Served::start(root.path(), &[&all[..], &listen, &passive].concat()).unwrap();
        let site = Self { root, work, served };
        std::fs::write(site.root.path().join("file"), content()).unwrap();
        site
    }

    fn address(&self) -> SocketAddr {
        *self.served.addresses().first().unwrap()
    }

    fn url(&self, scheme: &str) -> String {
        let addresses = self.served.addresses();
        let at = if scheme == "ftps" { addresses.last() } else { addresses.first() };
        format!("{scheme}://ann:secret@{}", at.unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    fn control(&self) -> Control {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Control(BufReader::new(stream))
    }
}

fn content() -> Vec<u8> {
    b"on the control port ".repeat(50_000)
}

/// Logs a client in that is spoken by hand, in clear.
fn logged_in(mut client: Control) -> Control {
    client.says("220");
    client.asks("USER ann", "331");
    client.asks("PASS secret", "230");
    client.asks("TYPE I", "200");
    client
}

fn curl(arguments: &[&str]) -> bool {
    let base = ["--silent", "--show-error", "--insecure", "--max-time", "60"];
    Command::new("curl").args(base).args(arguments).status().unwrap().success()
}

fn same(one: &Path) -> bool {
    std::fs::read(one).unwrap() == content()
}

#[test]
fn curl_lists_loads_and_stores_over_nothing_but_the_control_port() {
    if Client::find("curl").and_then(Client::program).is_none() {
        return skipped("curl");
    }
    let site = Site::new();
    let (here, back) = (site.path("here"), site.path("back"));
    std::fs::write(&here, content()).unwrap();
    std::fs::write(site.path("empty"), b"").unwrap();
    let (put, got, empty) = (here.to_str().unwrap(), back.to_str().unwrap(), site.path("empty"));
    for secure in [&[][..], &["--ssl-reqd", "--tls-max", "1.2"], &["--ssl-reqd"]] {
        for mode in ["--disable-epsv", "--disable-eprt"] {
            let told = || format!("{secure:?} {mode}: {}", site.served.log());
            let base = [secure, &[mode]].concat();
            let stored = format!("{}/stored", site.url("ftp"));
            assert!(curl(&[&base[..], &["-T", put, &stored]].concat()), "{}", told());
            assert!(same(&site.root.path().join("stored")), "{}", told());
            assert!(curl(&[&base[..], &["-o", got, &stored]].concat()), "{}", told());
            assert!(same(&back), "{}", told());
            let listing = format!("{}/", site.url("ftp"));
            assert!(curl(&[&base[..], &["-o", got, &listing]].concat()), "{}", told());
            assert!(String::from_utf8(std::fs::read(&back).unwrap()).unwrap().contains("stored"));
            let nothing = format!("{}/nothing", site.url("ftp"));
            let empty = empty.to_str().unwrap();
            assert!(curl(&[&base[..], &["-T", empty, &nothing]].concat()), "{}", told());
            assert_eq!(std::fs::read(site.root.path().join("nothing")).unwrap(), b"");
            std::fs::remove_file(site.root.path().join("stored")).unwrap();
        }
    }
    let implicit = format!("{}/file", site.url("ftps"));
    assert!(curl(&["-o", got, &implicit, "-o", got, &implicit]), "{}", site.served.log());
    assert!(same(&back));
}

#[test]
fn lftp_mirrors_over_nothing_but_the_control_port() {
    let Some(lftp) = Client::find("lftp").and_then(Client::program) else {
        return skipped("lftp");
    };
    let site = Site::new();
    (0..10).for_each(|n| std::fs::write(site.root.path().join(format!("{n}")), content()).unwrap());
    for (secure, scheme) in [("no", "ftp"), ("yes", "ftp"), ("yes", "ftps")] {
        let target = site.path(&format!("{scheme}{secure}"));
        let commands = format!(
            "set ssl:verify-certificate no; set ftp:ssl-force {secure}; set ftp:ssl-allow {secure}; \
             set net:max-retries 2; set net:timeout 20; mirror {}/ {}",
            site.url(scheme),
            target.display()
        );
        let status = Command::new(&lftp).args(["-c", &commands]).status().unwrap();
        assert!(status.success(), "{scheme} {secure}: {}", site.served.log());
        for n in 0..10 {
            assert!(same(&target.join(format!("{n}"))), "{scheme} {secure}: {}", site.served.log());
        }
    }
}

#[tokio::test]
async fn our_client_moves_files_while_others_log_in() {
    let site = Site::new();
    let done = AtomicBool::new(false);
    let log_in = || {
        let mut logins = 0;
        while !done.load(Ordering::Relaxed) {
            let mut control = site.control();
            control.says("220");
            control.asks("USER ann", "331");
            control.asks("QUIT", "221");
            logins += 1;
        }
        logins
    };
    let (here, back) = (site.path("here"), site.path("back"));
    std::fs::write(&here, content()).unwrap();
    std::thread::scope(|scope| {
        let busy = scope.spawn(log_in);
        let transfers = scope.spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                for scheme in ["ftpes", "ftps"] {
                    let tls = Tls { trust: Trust::Anybody, ..Tls::default() };
                    let config =
                        Config { tls, ..Config::default().with_timeout(Duration::from_secs(30)) };
                    let url = Url::parse(&site.url(scheme)).unwrap();
                    let mut session = Session::connect(&url, config).await.unwrap();
                    for _ in 0..10 {
                        let there = FtpPath(b"there".into());
                        session.put(&here, &there, &PutOptions::default()).await.unwrap();
                        assert!(same(&site.root.path().join("there")));
                        session.get(&there, &back, &GetOptions::default()).await.unwrap();
                        assert!(same(&back));
                    }
                }
            });
        });
        let moved = transfers.join();
        done.store(true, Ordering::Relaxed);
        let logins = busy.join().unwrap();
        assert!(moved.is_ok(), "{}", site.served.log());
        assert!(logins > 10, "{logins}");
    });
}

#[test]
fn features_tell_it_and_a_passive_that_nobody_dials_holds_no_log_in() {
    let site = Site::new();
    let mut one = logged_in(site.control());
    one.asks("FEAT", "211-");
    let mut features = String::new();
    while !features.contains("211 ") {
        one.0.read_line(&mut features).unwrap();
    }
    assert!(features.contains("\n DATA control-port\r\n"), "{features}");
    let reply = one.asks("EPSV", "229");
    assert!(reply.contains(&format!("(|||{}|)", site.address().port())), "{reply}");
    let mut held = site.control();
    held.says("220");
    one.asks("EPSV", "229");
    one.asks("PWD", "257");
    // Behind another command nobody is held any more.
    let mut greeted = logged_in(site.control());
    // The offer wakes up with its verb.
    one.asks("RETR file", "150");
    let mut data = TcpStream::connect(site.address()).unwrap();
    let mut got = Vec::new();
    data.read_to_end(&mut got).unwrap();
    assert!(got == content());
    one.says("226");
    greeted.asks("QUIT", "221");
}

#[test]
fn in_clear_a_log_in_at_the_moment_of_a_transfer_is_greeted() {
    let site = Site::new();
    for _ in 0..5 {
        let mut one = logged_in(site.control());
        one.asks("EPSV", "229");
        let mut data = TcpStream::connect(site.address()).unwrap();
        data.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut login = site.control();
        one.send("RETR file");
        login.says("220");
        login.asks("QUIT", "221");
        // Which of the two is the data nobody knows: the transfer is refused, and says why.
        let mut reply = one.line();
        if reply.starts_with("150") {
            reply = one.line();
        }
        assert!(reply.starts_with("425") && reply.contains("another session's"), "{reply}");
        let mut greeting = [0; 3];
        data.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, *b"220");
    }
}

/// Where a greeting came on a data connection, a client kept it as the beginning of its file.
#[test]
fn a_data_connection_in_doubt_hears_no_greeting_and_the_log_in_beside_it_does() {
    let site = Site::new();
    let mut one = logged_in(site.control());
    one.asks("EPSV", "229");
    let mut data = TcpStream::connect(site.address()).unwrap();
    let mut other = site.control();
    one.send("RETR file");
    while one.line().starts_with("150") {}
    data.set_nonblocking(true).unwrap();
    let heard = data.read(&mut [0; 64]);
    assert!(heard.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    drop(data);
    other.says("220");
}

/// In clear they take turns, and nobody waits in vain.
#[test]
fn sessions_of_one_address_in_clear_are_all_served() {
    let site = Site::new();
    let clients: Vec<_> = (0..6).map(|_| logged_in(site.control())).collect();
    std::thread::scope(|scope| {
        for mut client in clients {
            let address = site.address();
            scope.spawn(move || {
                for _ in 0..3 {
                    client.asks("EPSV", "229");
                    let mut data = TcpStream::connect(address).unwrap();
                    client.asks("RETR file", "150");
                    let mut got = Vec::new();
                    data.read_to_end(&mut got).unwrap();
                    assert!(got == content());
                    client.says("226");
                }
            });
        }
    });
}
