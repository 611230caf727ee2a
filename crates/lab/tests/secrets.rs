//! Nothing secret is in a log, on either side, at any level: no password, no key, no ticket, no
//! identity of a session. What goes over the wire is read by a relay between client and server.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::server::ProducesTickets as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use twoport_client::{Config, GetOptions, PutOptions, Session, Tls, Trust, Url};
use twoport_lab::foreign::servers::paper::Paper;
use twoport_net::tls::connect::Versions;
use twoport_net::tls::keys::TicketKeys;
use twoport_proto::hello::First;
use twoport_proto::path::FtpPath;
use twoport_server::Server;
use twoport_server::accounts::Accounts;
use twoport_server::config::Draft;
use twoport_server::config::settings::Setting;

const PASSWORD: &str = "Quaerendo-invenietis";

/// Where client and relay meet; the server is at 127.0.0.1.
const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 41, 7, 3));

const PORTS: std::ops::RangeInclusive<u16> = 47_351..=47_352;

/// Everything that is logged, by whomever.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The libraries that do not know `tracing`.
impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        writeln!(self.clone(), "{} {}", record.target(), record.args()).unwrap();
    }

    fn flush(&self) {}
}

fn listen_to_all() -> Log {
    let log = Log::default();
    log::set_boxed_logger(Box::new(log.clone())).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    log
}

/// Carries connections from its address to the same port of the server, and keeps what clients say
/// first.
async fn relay(port: u16, hellos: Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind((RELAY, port)).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let hellos = Arc::clone(&hellos);
            tokio::spawn(async move {
                let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                let (mut from, mut to) = client.split();
                let (mut back, mut forth) = server.split();
                let up = async {
                    let (mut all, mut space) = (Vec::new(), vec![0; 4096]);
                    loop {
                        let length = from.read(&mut space).await?;
                        let said = space.get(..length).unwrap_or_default();
                        forth.write_all(said).await?;
                        if length == 0 {
                            hellos.lock().unwrap_or_else(PoisonError::into_inner).push(all);
                            return forth.shutdown().await;
                        }
                        all.extend_from_slice(said);
                    }
                };
                let down = async {
                    tokio::io::copy(&mut back, &mut to).await?;
                    to.shutdown().await
                };
                tokio::try_join!(up, down).map(|_| ())
            });
        }
    });
}

struct Site {
    work: TempDir,
    paper: Paper,
    port: u16,
}

impl Site {
    async fn new(hellos: &Arc<Mutex<Vec<Vec<u8>>>>) -> Self {
        let work = TempDir::new().unwrap();
        let paper = Paper::make(work.path(), [RELAY.to_string()]).unwrap();
        let root = work.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let mut draft = Draft::new();
        let mut set = |key: &str, text: &str| draft.set(Setting::find(key).unwrap(), text);
        set("root", root.to_str().unwrap());
        set("listen", "127.0.0.1:0");
        set("anonymous", "write");
        set("passive-ports", &format!("{}-{}", PORTS.start(), PORTS.end()));
        set("certificate", paper.certificate.to_str().unwrap());
        set("key", paper.key.to_str().unwrap());
        set("ticket-keys", work.path().join("tickets").to_str().unwrap());
        set("require-reuse", "required");
        let (config, _) = draft.finish().unwrap();
        let (accounts, _) = Accounts::load(&config).unwrap();
        let server = Server::bind(config, accounts).unwrap();
        let port = server.addresses().first().unwrap().port();
        tokio::spawn(server.run());
        relay(port, Arc::clone(hellos)).await;
        for passive in PORTS {
            relay(passive, Arc::clone(hellos)).await;
        }
        Self { work, paper, port }
    }

    fn keys(&self) -> PathBuf {
        self.work.path().join("tickets")
    }

    async fn transfer(&self, versions: Versions) {
        let url = format!("ftpes://anonymous:{PASSWORD}@{RELAY}:{}/", self.port);
        let trust = Trust::Authority(self.paper.authority.clone());
        let tls = Tls { trust, versions, ..Tls::default() };
        let config = Config { tls, ..Config::default().with_timeout(Duration::from_secs(20)) };
        let mut session = Session::connect(&Url::parse(&url).unwrap(), config).await.unwrap();
        let (here, there) = (self.work.path().join("here"), FtpPath(b"there".into()));
        std::fs::write(&here, b"content").unwrap();
        if !self.work.path().join("root/there").exists() {
            session.put(&here, &there, &PutOptions::default()).await.unwrap();
        }
        let back = self.work.path().join(format!("{versions:?}"));
        session.get(&there, &back, &GetOptions::default()).await.unwrap();
        let missing = FtpPath(b"missing".into());
        session.get(&missing, &back, &GetOptions::default()).await.unwrap_err();
        session.list(None).await.unwrap();
        // A log-in that fails is told with its reason, and without the password.
        let wrong = url.replace("anonymous", "nobody");
        let trust = Trust::Authority(self.paper.authority.clone());
        let tls = Tls { trust, versions, ..Tls::default() };
        let config = Config { tls, ..Config::default() };
        let refused = Session::connect(&Url::parse(&wrong).unwrap(), config).await.unwrap_err();
        tracing(&refused);
    }
}

/// What a user of the library may do with an error.
fn tracing(error: &twoport_client::Error) {
    log::error!("{error} {error:?}");
}

/// The ways in which bytes are written into logs.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{secret:?}");
    let list = list.trim_matches(['[', ']']).to_owned();
    let escaped = twoport_proto::text::escape(secret);
    vec![
        secret.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        list.into_bytes(),
        escaped.into_bytes(),
        secret.escape_ascii().to_string().into_bytes(),
    ]
}

fn holds(log: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    forms(secret).into_iter().find(|form| log.windows(form.len()).any(|part| part == form))
}

/// The middle of a secret, since a log may cut it.
fn part(secret: &[u8]) -> &[u8] {
    let middle = secret.len() / 2;
    secret.get(middle.saturating_sub(8)..middle.saturating_add(8)).unwrap_or(secret)
}

fn keys_of(path: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with(['#', '-']));
    lines.map(|line| line.split(' ').next_back().unwrap_or_default().into()).collect()
}

#[tokio::test]
async fn no_secret_is_in_any_log_at_any_level() {
    let log = listen_to_all();
    let hellos = Arc::new(Mutex::new(Vec::new()));
    let site = Site::new(&hellos).await;
    for versions in [Versions::Only12, Versions::Only13] {
        site.transfer(versions).await;
    }
    let ring = TicketKeys::new(Some(site.keys())).unwrap();
    let mut secrets: Vec<Vec<u8>> = vec![PASSWORD.into()];
    secrets.extend(keys_of(&site.keys()));
    secrets.extend(keys_of(&site.paper.key));
    let (mut sessions, mut tickets) = (std::collections::BTreeSet::new(), 0);
    for said in hellos.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        if let First::Hello(hello) = First::read(said) {
            for ticket in hello.tickets {
                let opened = ring.decrypt(&ticket).unwrap();
                sessions.insert(opened.first_chunk::<16>().copied().unwrap());
                secrets.push(opened.get(16..).unwrap().to_vec());
                secrets.push(ticket);
                tickets += 1;
            }
        }
    }
    assert_eq!(sessions.len(), 2, "one session of each version resumed");
    assert!(tickets >= 5, "each data connection resumed: {tickets}");
    secrets.extend(sessions.iter().map(|identity| identity.to_vec()));
    let text = log.text();
    assert!(holds(&text, b"login-failed").is_some(), "the log is heard");
    for secret in &secrets {
        let found = holds(&text, part(secret));
        assert!(found.is_none(), "{:?}", found.map(|form| twoport_proto::text::escape(&form)));
    }
}
