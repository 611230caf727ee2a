//! Certificates by ACME, from Let's Encrypt's own test server: both kinds of proof, renewal, and
//! each way in which nothing is issued.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::park_timeout;
use std::time::Duration;

use tempfile::TempDir;
use twoport_client::{Config, Error, Session, Tls, Trust, Url};
use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::clients::skipped;
use twoport_lab::foreign::pebble::Pebble;

const YEARS: u32 = 100_000_000;

fn pebble(lifetime: u32) -> Option<Pebble> {
    match Pebble::start(lifetime) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            skipped("pebble");
            None
        }
        started => Some(started.unwrap()),
    }
}

struct Site {
    root: TempDir,
    state: TempDir,
    arguments: Vec<String>,
    served: Served,
}

impl Site {
    /// A server that asks `directory` for certificates, and shows the proof at `listen`.
    fn new(directory: &str, listen: SocketAddr, more: &[&str]) -> Self {
        let (root, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let kept = state.path().to_str().unwrap();
        let listen = listen.to_string();
        let mut arguments = vec!["--user", "ann:secret", "--listen", "127.0.0.1:0"];
        arguments.extend(["--state-directory", kept, "--acme-directory", directory]);
        arguments.extend(["--acme-listen", &listen, "--acme", "localhost"]);
        arguments.extend(more);
        let served = Served::start(root.path(), &arguments).unwrap();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self { root, state, arguments, served }
    }

    fn restart(&mut self) {
        self.served.kill();
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        self.served = Served::start(self.root.path(), &arguments).unwrap();
    }

    fn port(&self) -> u16 {
        self.served.addresses().first().unwrap().port()
    }

    async fn connect(&self, trust: Trust) -> Result<(), Error> {
        let url = Url::parse(&format!("ftpes://ann:secret@localhost:{}/", self.port())).unwrap();
        let config = Config { tls: Tls { trust, ..Tls::default() }, ..Config::default() };
        Session::connect(&url, config).await?.list(None).await.map(drop)
    }

    /// Waits until the log says it so many times.
    fn logs(&self, word: &str, times: usize) {
        for _ in 0..2400 {
            if self.served.log().matches(word).count() >= times {
                return;
            }
            park_timeout(Duration::from_millis(25));
        }
        unreachable!("{word} is not in {}", self.served.log());
    }

    /// The files that are kept of the authority.
    fn kept(&self) -> Vec<PathBuf> {
        let authority = fs::read_dir(self.state.path().join("acme")).unwrap().next().unwrap();
        let files = fs::read_dir(authority.unwrap().path()).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

impl Drop for Site {
    /// The log of a test that fails is what one wants to see.
    fn drop(&mut self) {
        eprintln!("{}", self.served.log().replace("\\x0a", "\n"));
    }
}

fn trusting(pebble: &Pebble) -> [&str; 2] {
    ["--acme-ca", pebble.authority().to_str().unwrap()]
}

fn curl(root: &Path, name: &str, port: u16) -> bool {
    let to_here = format!("{name}:{port}:127.0.0.1");
    let url = format!("ftp://ann:secret@{name}:{port}/");
    Command::new("curl")
        .args(["--silent", "--show-error", "--ssl-reqd", "--max-time", "20", "--noproxy", "*"])
        .args(["--resolve", &to_here, "--cacert"])
        .arg(root)
        .arg(url)
        .status()
        .unwrap()
        .success()
}

#[tokio::test]
async fn two_domains_by_tls_are_kept_over_a_restart() {
    let Some(pebble) = pebble(YEARS) else { return };
    let domains = ["--acme", "ftp.lab.test", "--acme-contact", "admin@lab.test"];
    let more = [&trusting(&pebble)[..], &domains].concat();
    let mut site = Site::new(&pebble.directory(), pebble.tls, &more);
    site.logs("a certificate was issued", 2);
    site.logs("certificate, read again", 2);
    let root = pebble.root().unwrap();
    site.connect(Trust::Authority(root.clone())).await.unwrap();
    assert!(curl(&root, "ftp.lab.test", site.port()), "chosen by SNI");
    assert!(!curl(&root, "other.lab.test", site.port()), "for no other name");
    let kept = site.kept();
    assert_eq!(kept.len(), 3, "{kept:?}");
    for file in kept {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    site.restart();
    site.connect(Trust::Authority(root)).await.unwrap();
    assert!(!site.served.log().contains("asking for a certificate"), "{}", site.served.log());
    assert!(!site.served.log().contains("PRIVATE"));
}

#[tokio::test]
async fn by_http_and_renewed_in_time() {
    let Some(pebble) = pebble(24) else { return };
    let more = [&trusting(&pebble)[..], &["--acme-challenge", "http-01"]].concat();
    let site = Site::new(&pebble.directory(), pebble.http, &more);
    site.logs("a certificate was issued", 1);
    let root = pebble.root().unwrap();
    site.logs("certificate, read again", 1);
    site.connect(Trust::Authority(root.clone())).await.unwrap();
    site.logs("a certificate was issued", 3);
    site.logs("certificate, read again", 3);
    site.connect(Trust::Authority(root)).await.unwrap();
    assert!(!site.served.log().contains("acme-"), "{}", site.served.log());
}

/// Waits for the reason; the server goes on with its own certificate.
async fn fails(site: &Site, reason: &str, more: &[&str]) {
    site.logs(reason, 1);
    let log = site.served.log();
    assert!(more.iter().all(|word| log.contains(word)), "{more:?}: {log}");
    site.connect(Trust::Anybody).await.unwrap();
    let own = site.state.path().join("certificate.pem");
    site.connect(Trust::Authority(own)).await.unwrap();
}

#[tokio::test]
async fn a_proof_at_the_wrong_port_is_refused_with_the_authoritys_words() {
    let Some(pebble) = pebble(YEARS) else { return };
    let site = Site::new(&pebble.directory(), pebble.http, &trusting(&pebble));
    let words = ["urn:ietf:params:acme:error:", "again_in_s=3", "refused"];
    fails(&site, "acme-refused", &words).await;
}

#[tokio::test]
async fn a_port_that_another_has_is_named() {
    let Some(pebble) = pebble(YEARS) else { return };
    let _other = TcpListener::bind(pebble.tls).unwrap();
    let site = Site::new(&pebble.directory(), pebble.tls, &trusting(&pebble));
    fails(&site, "acme-port-taken", &[&pebble.tls.to_string()]).await;
}

#[tokio::test]
async fn an_authority_that_is_not_there_or_not_trusted_is_not_reached() {
    let Some(pebble) = pebble(YEARS) else { return };
    let site = Site::new(&pebble.directory(), pebble.tls, &[]);
    fails(&site, "acme-unreachable", &["UnknownIssuer", "/dir"]).await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let directory = format!("https://localhost:{nobody}/dir");
    let site = Site::new(&directory, pebble.tls, &trusting(&pebble));
    fails(&site, "acme-unreachable", &[&directory, "refused"]).await;
}

#[tokio::test]
async fn an_account_that_the_authority_has_forgotten_is_made_anew() {
    let Some(mut pebble) = pebble(YEARS) else { return };
    let mut site = Site::new(&pebble.directory(), pebble.tls, &trusting(&pebble));
    site.logs("a certificate was issued", 1);
    for file in site.kept().iter().filter(|file| file.extension().is_some_and(|e| e == "pem")) {
        fs::remove_file(file).unwrap();
    }
    pebble.restart(YEARS).unwrap();
    site.restart();
    site.logs("a certificate was issued", 1);
}
