//! The server under TLS, with foreign clients: curl, lftp, Python's ftplib, and one that cheats.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use twoport_lab::foreign::clients::served::{Served, program};
use twoport_lab::foreign::clients::{Client, repository, skipped};

struct Site {
    root: TempDir,
    state: TempDir,
    served: Served,
}

impl Site {
    fn new(arguments: &[&str]) -> Self {
        let (root, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let directory = state.path().to_str().unwrap();
        let mut all = vec!["--user", "ann:secret", "--state-directory", directory];
        all.extend(["--listen", "127.0.0.1:0"]);
        all.extend(arguments);
        let served = Served::start(root.path(), &all).unwrap();
        Self { root, state, served }
    }

    fn address(&self) -> SocketAddr {
        *self.served.addresses().first().unwrap()
    }

    fn implicit(&self) -> SocketAddr {
        *self.served.addresses().last().unwrap()
    }

    fn url(&self) -> String {
        format!("ftp://ann:secret@{}", self.address())
    }

    /// Waits until the log, which another thread reads, says so.
    fn logs(&self, word: &str) {
        for _ in 0..400 {
            if self.served.log().contains(word) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(25));
        }
        unreachable!("{word} is not in {}", self.served.log());
    }

    fn python(&self, what: &str) {
        let script = repository().unwrap().join("tests/clients/tls_driver.py");
        let (address, work) = (self.address(), self.state.path());
        let output = Command::new("python3")
            .arg(script)
            .args([&address.ip().to_string(), &address.port().to_string(), "ann", "secret"])
            .arg(work)
            .arg(what)
            .output()
            .unwrap();
        assert!(output.status.success(), "{what}: {output:?}\n{}", self.served.log());
    }
}

fn curl(arguments: &[&str]) -> bool {
    let base = ["--silent", "--show-error", "--insecure", "--max-time", "20"];
    Command::new("curl").args(base).args(arguments).status().unwrap().success()
}

fn same(one: &Path, other: &Path) -> bool {
    std::fs::read(one).unwrap() == std::fs::read(other).unwrap()
}

#[test]
fn curl_moves_files_over_both_versions_with_reuse_required() {
    if Client::find("curl").and_then(Client::program).is_none() {
        return skipped("curl");
    }
    let site = Site::new(&[
        "--tls",
        "required",
        "--require-reuse",
        "required",
        "--implicit-tls",
        "127.0.0.1:0",
    ]);
    let (here, back) = (site.state.path().join("here"), site.state.path().join("back"));
    std::fs::write(&here, b"0123456789".repeat(100_000)).unwrap();
    let (put, got) = (here.to_str().unwrap(), back.to_str().unwrap());
    for version in ["1.2", "1.3"] {
        let secure = ["--ssl-reqd", "--tls-max", version];
        let url = format!("{}/file{version}", site.url());
        assert!(curl(&[&secure[..], &["-T", put, &url]].concat()), "{}", site.served.log());
        assert!(same(&here, &site.root.path().join(format!("file{version}"))));
        assert!(curl(&[&secure[..], &["-o", got, &url]].concat()), "{}", site.served.log());
        assert!(same(&here, &back));
    }
    let implicit = format!("ftps://ann:secret@{}/file1.3", site.implicit());
    assert!(curl(&["-o", got, &implicit]), "{}", site.served.log());
    assert!(!curl(&[&format!("{}/", site.url())]), "in clear nobody logs in");
    site.logs("tls-required");
}

#[test]
fn lftp_mirrors_under_tls() {
    let Some(lftp) = Client::find("lftp").and_then(Client::program) else {
        return skipped("lftp");
    };
    let site = Site::new(&["--tls", "optional", "--require-reuse", "required"]);
    std::fs::write(site.root.path().join("a"), b"hello").unwrap();
    let target = site.state.path().join("mirrored");
    let commands = format!(
        "set ssl:verify-certificate no; set ftp:ssl-force yes; set net:max-retries 1; \
         mirror ftp://ann:secret@{}/ {}",
        site.address(),
        target.display()
    );
    let status = Command::new(lftp).args(["-c", &commands]).status().unwrap();
    assert!(status.success(), "{}", site.served.log());
    assert!(same(&site.root.path().join("a"), &target.join("a")));
}

#[test]
fn only_a_data_connection_that_resumes_its_session_is_served() {
    let site = Site::new(&["--tls", "optional", "--require-reuse", "required"]);
    site.python("reuse");
    site.python("no-reuse");
    site.logs("tls-not-resumed");
}

#[test]
fn a_truncated_upload_is_426_and_no_file() {
    let site = Site::new(&["--tls", "optional"]);
    site.python("truncated");
    let target = site.root.path().join("truncated");
    assert!(!target.exists());
    site.logs("tls-truncated");
    std::fs::write(&target, b"what was there").unwrap();
    site.python("truncated");
    assert_eq!(std::fs::read(target).unwrap(), b"what was there");
    let complete = site.served.log().matches("INFO complete").count();
    assert_eq!(complete, 0, "{}", site.served.log());
}

#[test]
fn a_command_behind_auth_is_not_obeyed() {
    let site = Site::new(&["--tls", "optional"]);
    let mut stream = TcpStream::connect(site.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"AUTH TLS\r\nUSER ann\r\nPASS secret\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert_eq!(
        said.lines().filter(|line| !line.starts_with("220")).collect::<Vec<_>>(),
        ["234 AUTH TLS successful."]
    );
    site.logs("clear-text-behind-auth");
}

/// Each upload uses up a ticket of TLS 1.3, of which there are few: with its reply comes a new one.
#[test]
fn uploads_in_a_row_resume_in_one_session() {
    let site = Site::new(&["--tls", "required", "--require-reuse", "required"]);
    let from = site.state.path().join("many");
    std::fs::create_dir(&from).unwrap();
    for number in 0..40 {
        std::fs::write(from.join(number.to_string()), b"hello").unwrap();
    }
    let output = Command::new(program().unwrap())
        .args(["put", "--recursive", "--no-verify", "--tls-version", "1.3"])
        .arg(from)
        .arg(format!("{}/", site.url()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}\n{}", site.served.log());
    site.logs("/39\" bytes=5");
    let log = site.served.log();
    assert_eq!(log.matches("subject=\"Store\" object=").count(), 40, "{log}");
    assert_eq!(log.matches("INFO login").count(), 1, "{log}");
}

#[test]
fn clear_text_in_place_of_a_handshake_ends_the_connection() {
    let site = Site::new(&["--tls", "optional"]);
    site.python("clear");
    site.logs("tls-handshake-failed");
}

#[test]
fn a_client_of_another_protocol_is_refused() {
    let site = Site::new(&["--tls", "optional"]);
    site.python("alpn");
    site.logs("alpn-refused");
}

#[test]
fn the_certificate_is_kept_and_nothing_secret_is_logged() {
    let site = Site::new(&["--tls", "optional"]);
    let kept = std::fs::read(site.state.path().join("certificate.pem")).unwrap();
    let directory = site.state.path().to_str().unwrap();
    let arguments = ["--user", "ann:secret", "--state-directory", directory, "--tls", "optional"];
    let again = Served::start(site.root.path(), &arguments).unwrap();
    assert_eq!(std::fs::read(site.state.path().join("certificate.pem")).unwrap(), kept);
    let fingerprint = |log: &str| {
        let (_, found) = log.split_once("sha256").unwrap();
        found.chars().take(80).collect::<String>()
    };
    assert_eq!(fingerprint(&site.served.log()), fingerprint(&again.log()));
    for log in [site.served.log(), again.log()] {
        assert!(!log.contains("secret") && !log.contains("PRIVATE"));
    }
}
