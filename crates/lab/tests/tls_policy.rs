//! What holds at one listener and not at another, and for one account and not for another.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tempfile::TempDir;
use twoport_client::{Class, Config, Error, Policy, Session, Tls, Trust, Url};
use twoport_lab::foreign::clients::served::{Served, account};

/// The client in clear: a line out, a line in.
struct Clear(BufReader<TcpStream>);

impl Clear {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut clear = Self(BufReader::new(stream));
        assert!(clear.reply().starts_with("220"));
        clear
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// The code of the reply.
    fn say(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.reply().chars().take(3).collect()
    }
}

struct Site {
    state: TempDir,
    root: TempDir,
    served: Served,
}

impl Site {
    /// A server with this configuration, and an account file with ann, who is for TLS only, and bob.
    fn new(configuration: &str) -> Self {
        let state = TempDir::new().unwrap();
        let file = state.path().join("accounts.toml");
        account(&file, "ann", &["--tls", "required", "--data-tls", "required"]).unwrap();
        account(&file, "bob", &[]).unwrap();
        Self::with(state, configuration)
    }

    /// A server with this configuration, and the account file in this directory.
    fn with(state: TempDir, configuration: &str) -> Self {
        let root = TempDir::new().unwrap();
        let file = state.path().join("twoport.toml");
        let text = format!(
            "[server]\nroot = {:?}\n[accounts]\naccount-file = \"accounts.toml\"\n{configuration}",
            root.path()
        );
        fs::write(&file, text).unwrap();
        let (file, directory) = (file.to_str().unwrap(), state.path().to_str().unwrap());
        let arguments = ["--config", file, "--state-directory", directory];
        let listen = ["--listen", "127.0.0.1:0"];
        let served = Served::start(root.path(), &[&arguments[..], &listen].concat()).unwrap();
        Self { state, root, served }
    }

    fn address(&self, index: usize) -> SocketAddr {
        *self.served.addresses().get(index).unwrap()
    }

    async fn connect(&self, scheme: &str, user: &str, index: usize) -> Result<Session, Error> {
        let policy = if scheme == "ftp" { Policy::Off } else { Policy::Required };
        let url = format!("{scheme}://{user}:secret@{}/", self.address(index));
        let tls = Tls { policy, trust: Trust::Anybody, ..Tls::default() };
        let config = Config { tls, ..Config::default() };
        Session::connect(&Url::parse(&url).unwrap(), config).await
    }
}

#[test]
fn an_account_that_is_for_tls_only_is_refused_at_its_name() {
    let site = Site::new("[tls]\ntls = \"optional\"\n");
    let mut clear = Clear::new(site.address(0));
    assert_eq!(clear.say("USER ann"), "530");
    assert_eq!(clear.say("PASS secret"), "503", "no password is wanted");
    assert_eq!(clear.say("USER bob"), "331");
    assert_eq!(clear.say("PASS secret"), "230");
    assert!(site.served.log().contains("tls-required"), "{}", site.served.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_can_ask_more_than_the_server_does() {
    let site = Site::new("[tls]\ntls = \"optional\"\n");
    fs::write(site.root.path().join("a"), b"hello").unwrap();
    let error = site.connect("ftp", "ann", 0).await.unwrap_err();
    assert_eq!(error.class(), Class::Login, "{error}");
    let mut session = site.connect("ftpes", "ann", 0).await.unwrap();
    assert_eq!(session.list(None).await.unwrap().entries.len(), 1, "the client sends PROT P");
    site.connect("ftp", "bob", 0).await.unwrap().list(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_has_rules_of_its_own() {
    let site = Site::new(
        "[tls]\ntls = \"optional\"\n\
         [[listener]]\nlisten = \"127.0.0.1:0\"\ntls = \"off\"\n\
         [[listener]]\nlisten = \"127.0.0.1:0\"\nimplicit-tls = \"127.0.0.1:0\"\n\
         tls = \"required\"\ndata-tls = \"required\"\n",
    );
    let [optional, off, required] = [0, 1, 2].map(|index| Clear::new(site.address(index)));
    let said = [optional, off, required].map(|mut clear| clear.say("AUTH TLS"));
    assert_eq!(said, ["234", "502", "234"]);
    for (index, code) in [(0, "331"), (1, "331"), (2, "530")] {
        assert_eq!(Clear::new(site.address(index)).say("USER bob"), code, "{index}");
    }
    let off = site.connect("ftpes", "bob", 1).await.unwrap_err();
    assert_eq!(off.reason().map(|reason| reason.id()), Some("tls-refused"), "{off}");
    for (scheme, index) in [("ftpes", 0), ("ftpes", 2), ("ftps", 3)] {
        let mut session = site.connect(scheme, "ann", index).await.unwrap();
        session.list(None).await.unwrap();
    }
    assert!(site.state.path().join("certificate.pem").exists(), "one for all of them");
}
