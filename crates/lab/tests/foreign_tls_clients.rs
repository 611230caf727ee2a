//! Everybody else's clients under TLS against `twoport serve`: explicit and implicit, TLS 1.2 alone and
//! 1.3 alone, listings, files, empty files and transfers in a row, passive and active, over IPv4 and
//! IPv6, with certificates of their own, and with resumption required where they can resume.
//!
//! A client that is not installed is skipped aloud: `tests/clients/install` installs them.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use twoport_lab::foreign::clients::files::random;
use twoport_lab::foreign::clients::openssl::Openssl;
use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::clients::{Client, Mode, Outcome, Security, Site, say, skipped};
use twoport_lab::foreign::servers::paper::Paper;

/// How many files go up and down in a row in one session.
const ROW: usize = 20;

const VERSIONS: [&str; 2] = ["1.2", "1.3"];

/// A server that speaks only under TLS, also on data connections.
struct Bench {
    root: TempDir,
    work: TempDir,
    paper: Paper,
    served: Served,
    /// What clients show, of another authority than the server's.
    clients: Option<(TempDir, Paper)>,
}

impl Bench {
    fn new(arguments: &[&str]) -> Self {
        let (root, work) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let names = ["127.0.0.1", "::1", "localhost"].map(str::to_owned);
        let paper = Paper::make(work.path(), names).unwrap();
        let [certificate, key, state] =
            [paper.certificate.as_path(), &paper.key, work.path()].map(text);
        let mut all = vec!["--user", "ann:secret", "--login-delay", "off", "--durable=false"];
        all.extend(["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
        all.extend(["--implicit-tls", "127.0.0.1:0", "--state-directory", state]);
        all.extend(["--tls", "required", "--data-tls", "required"]);
        all.extend(["--certificate", certificate, "--key", key]);
        all.extend(arguments);
        let served = Served::start(root.path(), &all).unwrap();
        Self { root, work, paper, served, clients: None }
    }

    /// One that asks for client certificates.
    fn mutual() -> Self {
        let files = TempDir::new().unwrap();
        let paper = Paper::make(files.path(), ["localhost".to_owned()]).unwrap();
        let authority = text(&paper.authority);
        let bench = Self::new(&["--client-certificates", "require", "--client-ca", authority]);
        Self { clients: Some((files, paper)), ..bench }
    }

    /// A client with a certificate.
    fn certified(&self, version: &'static str) -> Site<'_> {
        let paper = self.clients.as_ref().map(|(_, paper)| paper).unwrap();
        let certificate = Some((text(&paper.certificate), text(&paper.key)));
        self.site(0, Security { certificate, ..self.tls(false, version) })
    }

    fn tls(&self, implicit: bool, version: &'static str) -> Security<'_> {
        Security { implicit, version, authority: text(&self.paper.authority), certificate: None }
    }

    fn site<'a>(&'a self, address: usize, tls: Security<'a>) -> Site<'a> {
        let address: SocketAddr = *self.served.addresses().get(address).unwrap();
        Site { address, user: "ann", password: "secret", mode: Mode::Default, tls: Some(tls) }
    }

    fn explicit(&self, version: &'static str) -> Site<'_> {
        self.site(0, self.tls(false, version))
    }

    fn explicit6(&self, version: &'static str) -> Site<'_> {
        self.site(1, self.tls(false, version))
    }

    fn implicit(&self, version: &'static str) -> Site<'_> {
        self.site(2, self.tls(true, version))
    }

    fn local(&self, name: &str) -> String {
        text(&self.work.path().join(name)).to_owned()
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
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A client before a bench: all that it is asked for must be done.
struct Trial<'a> {
    client: Client,
    bench: &'a Bench,
}

impl Trial<'_> {
    fn does(&self, site: &Site<'_>, operation: &str, args: &[&str]) -> Option<Vec<u8>> {
        match self.client.run(site, operation, args).unwrap() {
            Outcome::Done(output) => Some(output),
            Outcome::Unsupported => None,
            Outcome::Failed(why) => unreachable!(
                "{} {operation} {args:?} {site:?}: {why}\n{}",
                self.client.name,
                self.bench.served.log()
            ),
        }
    }

    /// A file up and down.
    fn there_and_back(&self, site: &Site<'_>, name: &str, bytes: &[u8]) {
        let (given, got) = (self.bench.local("given"), self.bench.local("got"));
        fs::write(&given, bytes).unwrap();
        let _nothing_there = fs::remove_file(&got);
        self.does(site, "put", &[&given, name]).unwrap();
        assert!(fs::read(self.bench.root.path().join(name)).unwrap() == bytes, "put {site:?}");
        self.does(site, "get", &[name, &got]).unwrap();
        assert!(fs::read(&got).unwrap() == bytes, "get {site:?}");
    }

    /// Node closes what it has not written to at times before TLS's end, or before its own last word
    /// of the handshake, which are lost (20.20): what might be cut, or be anybody's, is then refused.
    fn empty(&self, site: &Site<'_>) {
        if self.client.name != "basic-ftp" {
            return self.there_and_back(site, "empty", b"");
        }
        let (given, got) = (self.bench.local("given"), self.bench.local("got"));
        fs::write(&given, b"").unwrap();
        match self.client.run(site, "put", &[&given, "empty"]).unwrap() {
            Outcome::Done(_) => {}
            Outcome::Failed(why) if why.contains("426") => self.bench.logs("tls-truncated"),
            Outcome::Failed(why) if why.contains("522") => self.bench.logs("tls-handshake-failed"),
            other => unreachable!("{other:?}"),
        }
        fs::write(self.bench.root.path().join("empty"), b"").unwrap();
        self.does(site, "get", &["empty", &got]).unwrap();
        assert_eq!(fs::read(&got).unwrap(), b"", "{site:?}");
    }

    /// Many files up and down in one session.
    fn row(&self, site: &Site<'_>, count: usize) {
        let bytes = random(20_000);
        let local = self.bench.local("row");
        fs::write(&local, &bytes).unwrap();
        let prefix = "row";
        if self.does(site, "row", &[&count.to_string(), &local, prefix]).is_none() {
            return self.trees(site, count, &bytes);
        }
        for number in 0..count {
            let up = self.bench.root.path().join(format!("{prefix}{number}"));
            let down = format!("{local}{number}");
            assert!(fs::read(&up).unwrap() == bytes, "{number} up {site:?}");
            assert!(fs::read(&down).unwrap() == bytes, "{number} down {site:?}");
            fs::remove_file(up).unwrap();
            fs::remove_file(down).unwrap();
        }
    }

    /// The same, as a directory at a time.
    fn trees(&self, site: &Site<'_>, count: usize, bytes: &[u8]) {
        let (up, down) = (self.bench.local("tree"), self.bench.local("tree back"));
        fs::create_dir_all(&up).unwrap();
        for number in 0..count {
            fs::write(Path::new(&up).join(format!("f{number}")), bytes).unwrap();
        }
        self.does(site, "mirror-put", &[&up, "tree"]).unwrap();
        self.does(site, "mirror-get", &["tree", &down]).unwrap();
        for number in 0..count {
            let back = Path::new(&down).join(format!("f{number}"));
            assert!(fs::read(back).unwrap() == bytes, "{number} {site:?}");
        }
        fs::remove_dir_all(down).unwrap();
        fs::remove_dir_all(self.bench.root.path().join("tree")).unwrap();
    }

    fn everything(&self, site: &Site<'_>) {
        fs::create_dir_all(self.bench.root.path().join("pub")).unwrap();
        fs::write(self.bench.root.path().join("pub/a.txt"), b"a").unwrap();
        let listing = self.does(site, "list", &["pub"]).unwrap();
        assert!(listing.windows(5).any(|name| name == b"a.txt"), "list {site:?}");
        self.there_and_back(site, "file", &random(1_234_567));
        self.empty(site);
        self.row(site, ROW);
    }
}

fn find(name: &str) -> Option<Client> {
    let client = Client::find(name).unwrap();
    if client.program().is_none() {
        skipped(name);
        return None;
    }
    Some(client)
}

/// All ways of TLS, and of data connections that the client has.
fn all_ways(name: &str, reuse: &str, active: &[Mode]) {
    let Some(client) = find(name) else { return };
    let bench = Bench::new(&["--require-reuse", reuse]);
    let trial = Trial { client, bench: &bench };
    for version in VERSIONS {
        trial.everything(&bench.explicit(version));
        trial.everything(&bench.implicit(version));
        trial.there_and_back(&bench.explicit6(version), "over IPv6", &random(100_000));
        for &mode in active {
            let four = Site { mode, ..bench.explicit(version) };
            trial.there_and_back(&four, "active", &random(100_000));
        }
    }
}

/// Who cannot resume is refused under "required", with the reason in the log.
fn cannot_resume(name: &str) {
    let Some(client) = find(name) else { return };
    let bench = Bench::new(&["--require-reuse", "required"]);
    for version in VERSIONS {
        let given = bench.local("given");
        fs::write(&given, random(1000)).unwrap();
        match client.run(&bench.explicit(version), "put", &[&given, "file"]).unwrap() {
            Outcome::Failed(why) => say(&format!("{name} TLS {version} resumes nothing: {why}")),
            other => unreachable!("{name} {version}: {other:?}"),
        }
        assert!(!bench.root.path().join("file").exists());
    }
    bench.logs("tls-not-resumed");
}

/// With a certificate it is served; without one, refused with the reason in the log.
fn shows_a_certificate(name: &str) {
    let Some(client) = find(name) else { return };
    let bench = Bench::mutual();
    for version in VERSIONS {
        let trial = Trial { client, bench: &bench };
        trial.there_and_back(&bench.certified(version), "file", &random(5000));
        let got = bench.local("none");
        let outcome = client.run(&bench.explicit(version), "get", &["file", &got]).unwrap();
        assert!(matches!(outcome, Outcome::Failed(_)), "{name} {version}: {outcome:?}");
    }
    bench.logs("certificate-missing");
}

/// How many files go up, and down again: 200 transfers, or twice what `TWOPORT_TRANSFERS` says.
fn files() -> usize {
    let set = std::env::var("TWOPORT_TRANSFERS").ok();
    set.map_or(100, |set| set.parse().unwrap())
}

/// So many transfers in one session, each of which must resume.
fn in_one_session(name: &str, version: &'static str) {
    let Some(client) = find(name) else { return };
    let bench = Bench::new(&["--require-reuse", "required"]);
    Trial { client, bench: &bench }.row(&bench.explicit(version), files());
    let logins = bench.served.log().matches("INFO login").count();
    say(&format!("{name} TLS {version}: {} transfers of {logins} log-ins", 2 * files()));
    assert_eq!(logins, 1, "{name} TLS {version}");
}

#[test]
fn curl() {
    // In active mode this one fails by itself under TLS: "sa_addr inet_ntop() failed" (7.88).
    all_ways("curl", "required", &[]);
}

#[test]
fn curl_with_a_certificate() {
    shows_a_certificate("curl");
}

#[test]
fn curl_200_in_one_session_over_1_2() {
    in_one_session("curl", "1.2");
}

#[test]
fn curl_200_in_one_session_over_1_3() {
    in_one_session("curl", "1.3");
}

#[test]
fn lftp() {
    all_ways("lftp", "required", &[Mode::Port]);
}

#[test]
fn lftp_with_a_certificate() {
    shows_a_certificate("lftp");
}

#[test]
fn lftp_200_in_one_session() {
    VERSIONS.iter().for_each(|version| in_one_session("lftp", version));
}

#[test]
fn python_ftplib() {
    all_ways("ftplib", "required", &[Mode::Port, Mode::Eprt]);
}

#[test]
fn python_ftplib_with_a_certificate() {
    shows_a_certificate("ftplib");
}

#[test]
fn node_basic_ftp() {
    all_ways("basic-ftp", "required", &[]);
}

#[test]
fn node_basic_ftp_with_a_certificate() {
    shows_a_certificate("basic-ftp");
}

#[test]
fn java_commons_net() {
    all_ways("commons-net", "prefer", &[Mode::Port]);
}

#[test]
fn java_commons_net_cannot_resume() {
    cannot_resume("commons-net");
}

#[test]
fn java_commons_net_with_a_certificate() {
    shows_a_certificate("commons-net");
}

/// It keeps several control connections, and offers the tickets of one on the data connections of
/// another: where it does so it is refused under "required".
#[test]
fn rclone() {
    all_ways("rclone", "prefer", &[]);
    let Some(client) = find("rclone") else { return };
    let bench = Bench::new(&["--require-reuse", "required"]);
    for version in VERSIONS {
        let trial = Trial { client, bench: &bench };
        trial.there_and_back(&bench.explicit(version), "file", &random(100_000));
    }
}

#[test]
fn openssl() {
    if !Openssl::is_installed() {
        return skipped("openssl");
    }
    let bench = Bench::new(&["--require-reuse", "required"]);
    for version in VERSIONS {
        for site in [bench.explicit(version), bench.implicit(version), bench.explicit6(version)] {
            let mut client = Openssl::log_in(&site, bench.work.path(), true).unwrap();
            for (name, bytes) in [("file", random(200_000)), ("empty", vec![])] {
                client.put(name, &bytes).unwrap();
                assert!(fs::read(bench.root.path().join(name)).unwrap() == bytes, "{site:?}");
                assert!(client.get(&format!("RETR {name}")).unwrap() == bytes, "{site:?}");
            }
            assert!(client.get("LIST").unwrap().windows(4).any(|name| name == b"file"));
            for number in 0..ROW {
                client.put(&format!("row{number}"), b"row").unwrap();
                assert_eq!(client.get(&format!("RETR row{number}")).unwrap(), b"row");
            }
            client.quit().unwrap();
        }
        let mut client =
            Openssl::log_in(&bench.explicit(version), bench.work.path(), false).unwrap();
        client.put("unproven", b"no").unwrap_err();
        assert!(!bench.root.path().join("unproven").exists(), "{version}");
    }
    bench.logs("tls-not-resumed");
}

#[test]
fn openssl_with_a_certificate() {
    if !Openssl::is_installed() {
        return skipped("openssl");
    }
    let bench = Bench::mutual();
    for version in VERSIONS {
        let mut client =
            Openssl::log_in(&bench.certified(version), bench.work.path(), true).unwrap();
        client.put("file", b"hello").unwrap();
        client.quit().unwrap();
        let none = Openssl::log_in(&bench.explicit(version), bench.work.path(), true);
        assert!(none.is_err(), "{version}");
    }
    bench.logs("certificate-missing");
}
