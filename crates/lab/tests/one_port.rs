//! One passive port for all sessions at the same time, and no port but the control port: whose
//! connection it is, with our client and with others.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;
use twoport_client::{Config, GetOptions, PutOptions, Session, Tls, Trust, Url};
use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::clients::{Client, skipped};
use twoport_net::tls::connect::Versions;
use twoport_proto::path::FtpPath;

struct Site {
    root: TempDir,
    work: TempDir,
    served: Served,
}

impl Site {
    fn new(arguments: &[&str]) -> Self {
        let (root, work) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let directory = work.path().to_str().unwrap();
        let mut all = vec!["--user", "ann:secret", "--state-directory", directory];
        all.extend(["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--durable=false"]);
        // No way around the port.
        all.push("--active=false");
        all.extend(arguments);
        let served = Served::start(root.path(), &all).unwrap();
        Self { root, work, served }
    }

    fn address(&self, at: usize) -> SocketAddr {
        *self.served.addresses().get(at).unwrap()
    }

    fn url(&self, scheme: &str, at: usize) -> String {
        format!("{scheme}://ann:secret@{}", self.address(at))
    }

    /// A file on the server, with content that no other file has.
    fn file(&self, name: &str) -> Vec<u8> {
        let content = format!("{name} is mine. ").repeat(2000).into_bytes();
        std::fs::write(self.root.path().join(name), &content).unwrap();
        content
    }

    fn log(&self) -> String {
        self.served.log()
    }
}

async fn connect(url: &str, versions: Versions) -> Session {
    let tls = Tls { trust: Trust::Anybody, versions, ..Tls::default() };
    let config = Config { tls, ..Config::default().with_timeout(Duration::from_secs(60)) };
    Session::connect(&Url::parse(url).unwrap(), config).await.unwrap()
}

/// One client's transfers, half up and half down, each checked byte by byte.
async fn transfers(site: Arc<Site>, url: String, number: usize, count: usize) {
    let versions = if number.is_multiple_of(2) { Versions::Only13 } else { Versions::Only12 };
    let mut session = connect(&url, versions).await;
    for turn in 0..count / 2 {
        let name = format!("{number}-{turn}");
        let content = format!("{name} and nobody else's ").repeat(500).into_bytes();
        let (here, back) =
            (site.work.path().join(&name), site.work.path().join(format!("{name}b")));
        std::fs::write(&here, &content).unwrap();
        let there = FtpPath(name.as_str().into());
        session.put(&here, &there, &PutOptions::default()).await.unwrap();
        assert_eq!(std::fs::read(site.root.path().join(&name)).unwrap(), content, "{name}");
        session.get(&there, &back, &GetOptions::default()).await.unwrap();
        assert_eq!(std::fs::read(&back).unwrap(), content, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_clients_of_one_address_share_one_port_under_tls() {
    let ports = ["--tls", "required", "--passive-ports", "27361-27361"];
    let site = Arc::new(Site::new(&[&ports[..], &["--require-reuse", "required"]].concat()));
    let mut clients = JoinSet::new();
    for number in 0..100 {
        // Some of them over IPv6.
        let url = site.url("ftpes", usize::from(number % 10 == 0));
        clients.spawn(transfers(Arc::clone(&site), url, number, 20));
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap_or_else(|error| panic!("{error}\n{}", site.log()));
    }
    assert!(!site.log().contains("passive-range-full"), "{}", site.log());
}

fn curl(arguments: &[&str]) -> Child {
    let base = ["--silent", "--show-error", "--insecure", "--max-time", "60"];
    Command::new("curl").args(base).args(arguments).stderr(Stdio::inherit()).spawn().unwrap()
}

fn lftp(program: &Path, commands: &str) -> Child {
    let settings = "set ssl:verify-certificate no; set net:max-retries 2; set net:timeout 20; \
                    set cmd:fail-exit yes; ";
    Command::new(program).args(["-c", &format!("{settings}{commands}")]).spawn().unwrap()
}

fn program(name: &str) -> Option<PathBuf> {
    Client::find(name).and_then(Client::program)
}

/// Downloads of foreign clients at a time, each with its own file and several in a row.
fn all_at_once(site: &Site, secure: &str, mode: &str, address: impl Fn(usize) -> Option<String>) {
    let mut running = Vec::new();
    for number in 0..8 {
        let name = format!("c{number}");
        let (content, back) = (site.file(&name), site.work.path().join(&name));
        let url = format!("{}/{name}", site.url("ftp", 0));
        let back_name = back.to_str().unwrap();
        let mut arguments = vec![mode, "-o", back_name, &url, "-o", back_name, &url];
        arguments.extend(["-o", back_name, &url]);
        if !secure.is_empty() {
            arguments.push(secure);
        }
        let from = address(number);
        if let Some(from) = &from {
            arguments.extend(["--interface", from]);
        }
        running.push((curl(&arguments), content, back));
    }
    for (mut child, content, back) in running {
        assert!(child.wait().unwrap().success(), "{}", site.log());
        assert!(std::fs::read(back).unwrap() == content, "{}", site.log());
    }
}

#[test]
fn curl_and_lftp_share_one_port_under_tls() {
    if program("curl").is_none() {
        return skipped("curl");
    }
    let site = Site::new(&["--tls", "optional", "--passive-ports", "27362-27362"]);
    for mode in ["--disable-epsv", "--disable-eprt"] {
        all_at_once(&site, "--ssl-reqd", mode, |_| None);
    }
    let Some(program) = program("lftp") else { return skipped("lftp") };
    let running: Vec<_> = (0..4)
        .map(|number| {
            let name = format!("l{number}");
            let (content, back) = (site.file(&name), site.work.path().join(&name));
            let get =
                format!("get {name} -o {0}; rm -f {name}; put {0} -o {name};", back.display());
            let commands = format!(
                "set ftp:ssl-force yes; set ftp:ssl-protect-data yes; open {}; cls; {get}",
                site.url("ftp", 0)
            );
            (lftp(&program, &commands), name, content)
        })
        .collect();
    for (mut child, name, content) in running {
        assert!(child.wait().unwrap().success(), "{}", site.log());
        assert!(std::fs::read(site.root.path().join(name)).unwrap() == content);
    }
}

#[test]
fn in_clear_addresses_share_one_port_and_clients_of_one_address_take_turns() {
    if program("curl").is_none() {
        return skipped("curl");
    }
    let site = Site::new(&["--passive-ports", "27363-27363"]);
    let address = |number: usize| {
        let last = u8::try_from(number).unwrap();
        Some(Ipv4Addr::new(127, 0, 9, last + 1).to_string())
    };
    all_at_once(&site, "", "--disable-epsv", address);
    all_at_once(&site, "", "--disable-eprt", |_| None);
    assert!(!site.log().contains("passive-range-full"), "{}", site.log());
}
