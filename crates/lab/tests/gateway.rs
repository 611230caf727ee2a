//! The gateway in front of servers of others: every mode, in clear and with TLS bridged in each way,
//! byte for byte.
//!
//! A server that is not installed is skipped aloud; see `tests/peers/install`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: a panic fails it, as it should")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use twoport_client::{
    Config as Client, GetOptions, Mode, Outcome, Policy as ClientPolicy, PutOptions, Session, Tls,
    Trust, Url,
};
use twoport_gateway::{
    Access, Auth, Balance, Board, ClientTls, Config, Gateway, Handle, Health, Policy, Seat,
    Server as Behind, Upstream,
};
use twoport_lab::foreign::clients::{
    Client as Foreign, Mode as ForeignMode, Outcome as Foreigner, Security as ForeignTls, Site,
    skipped,
};
use twoport_lab::foreign::servers::paper::Paper;
use twoport_lab::foreign::servers::{Kind, Security, Server, start_with_or_skip};
use twoport_net::tls::trust;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// One peer in one arrangement must be done by then.
const LIMIT: Duration = Duration::from_secs(120);

const MODES: [Mode; 4] = [Mode::Epsv, Mode::Pasv, Mode::Eprt, Mode::Port];

struct Running {
    address: SocketAddr,
    stop: Handle,
    task: JoinHandle<()>,
}

impl Running {
    async fn end(self) {
        self.stop.stop();
        self.task.await.unwrap();
    }
}

/// A gateway in front of a server. Each test has data ports of its own.
fn start(server: &Server, policy: Policy, paper: Option<&Paper>, first_port: u16) -> Running {
    let client_tls = paper.map(|paper| ClientTls::read(&paper.certificate, &paper.key).unwrap());
    let config = Config {
        seat: Seat::Reverse,
        listen: vec![(HOST, 0).into()],
        fronts: Vec::new(),
        servers: vec![Behind {
            at: server.address.to_string(),
            group: String::new(),
            proxy: None,
            drain: false,
        }],
        desk: None,
        balance: Balance::Address,
        health: Health { interval: None, fall: 3, rise: 2 },
        drain: false,
        trusted_proxies: Vec::new(),
        allow: Vec::new(),
        accounts: None,
        access: Access::default(),
        policy,
        scan: None,
        rate_limit: None,
        client_rate_limit: None,
        pcp: None,
        metrics: None,
        client_tls,
        nat64: None,
        server_name: None,
        trust: trust::Trust::Anybody,
        data_ports: first_port..=first_port + 99,
        max_sessions: 100,
        max_sessions_per_ip: 100,
        connect_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
    };
    let gateway = Gateway::bind(config, Board::default()).unwrap();
    let (address, stop) = (*gateway.addresses().first().unwrap(), gateway.handle());
    Running { address, stop, task: tokio::spawn(gateway.run()) }
}

/// Up and down again, and listed, in every mode.
async fn transfers(server: &Server, gateway: &Running, tls: Tls) {
    let local = tempfile::tempdir().unwrap();
    let url = format!("ftp://{}:{}@{}/", server.user, server.password, gateway.address);
    for mode in MODES {
        let config = Client { mode, tls: tls.clone(), ..Client::default() };
        let mut session = Session::connect(&Url::parse(&url).unwrap(), config).await.unwrap();
        assert_eq!(session.is_protected(), tls.policy == ClientPolicy::Required);
        for length in [0_usize, 1, 700_000] {
            let content: Vec<u8> = (0..length).map(|n| (n % 251).to_be_bytes()[7]).collect();
            let (file, name) = (local.path().join("up"), format!("{mode:?}-{length}"));
            fs::write(&file, &content).unwrap();
            let report =
                session.put(&file, &server.path(&name), &PutOptions::default()).await.unwrap();
            assert_eq!(report.outcome, Outcome::Confirmed);
            assert_eq!(fs::read(server.root().join(&name)).unwrap(), content, "{name}");
            let back = local.path().join("down");
            let report =
                session.get(&server.path(&name), &back, &GetOptions::default()).await.unwrap();
            assert_eq!(report.outcome, Outcome::Confirmed);
            assert_eq!(fs::read(&back).unwrap(), content, "{name}");
            fs::remove_file(&back).unwrap();
        }
        let listing = session.list(Some(&server.path("")).filter(|path| !path.0.is_empty())).await;
        assert!(listing.unwrap().entries.len() >= 3, "{mode:?}");
        session.quit().await;
    }
}

/// The same by others' clients, blocking.
fn by_others(server: &Server, gateway: SocketAddr, authority: Option<&str>) {
    for name in ["curl", "lftp"] {
        let client = Foreign::find(name).unwrap();
        if client.program().is_none() {
            skipped(name);
            continue;
        }
        let local = tempfile::tempdir().unwrap();
        let file = |name: &str| local.path().join(name).to_str().unwrap().to_owned();
        let content: Vec<u8> = (0..300_000_usize).map(|n| (n % 239).to_be_bytes()[7]).collect();
        fs::write(file("up"), &content).unwrap();
        for mode in [ForeignMode::Epsv, ForeignMode::Pasv, ForeignMode::Port] {
            // Active mode under TLS: curl 10666, lftp has it.
            if mode == ForeignMode::Port && authority.is_some() && name == "curl" {
                continue;
            }
            let tls = authority.map(|authority| {
                let version = "1.2";
                ForeignTls { implicit: false, version, authority, certificate: None }
            });
            let (user, password) = (server.user, server.password);
            let site = Site { address: gateway, user, password, mode, tls };
            let stored = format!("{name}-{}", mode.word());
            let remote = String::from_utf8(server.path(&stored).0.into_vec()).unwrap();
            let up = client.run(&site, "put", &[&file("up"), &remote]).unwrap();
            assert!(matches!(up, Foreigner::Done(_)), "{name} {mode:?}: {up:?}");
            assert_eq!(fs::read(server.root().join(&stored)).unwrap(), content, "{stored}");
            let down = client.run(&site, "get", &[&remote, &file(&stored)]).unwrap();
            assert!(matches!(down, Foreigner::Done(_)), "{name} {mode:?}: {down:?}");
            assert_eq!(fs::read(file(&stored)).unwrap(), content, "{stored}");
        }
    }
}

async fn within_limit(subject: &str, work: impl Future<Output = ()>) {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("{subject} hangs"));
    eprintln!("{subject}: passed");
}

fn believing(paper: &Paper) -> Tls {
    let trust = Trust::Authority(paper.authority.clone());
    Tls { policy: ClientPolicy::Required, trust, ..Tls::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_clear_before_every_peer() {
    for (kind, port) in Kind::ALL.into_iter().zip((47_400..).step_by(100)) {
        let Some(server) = start_with_or_skip(kind, HOST, Security::Clear) else { continue };
        let gateway = start(&server, Policy::default(), None, port);
        let tls = Tls { policy: ClientPolicy::Off, ..Tls::default() };
        within_limit(kind.name(), transfers(&server, &gateway, tls)).await;
        tokio::task::block_in_place(|| by_others(&server, gateway.address, None));
        gateway.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_ends_here_and_begins_again_before_strict_servers() {
    for (kind, port) in Kind::ALL.into_iter().zip((47_800..).step_by(100)) {
        let Some(server) = start_with_or_skip(kind, HOST, Security::Explicit) else { continue };
        let paper = server.paper.as_ref().unwrap();
        let policy =
            Policy { auth: Auth::Terminate, upstream: Upstream::Required, ..Policy::default() };
        let gateway = start(&server, policy, Some(paper), port);
        within_limit(kind.name(), transfers(&server, &gateway, believing(paper))).await;
        let authority = paper.authority.to_str();
        tokio::task::block_in_place(|| by_others(&server, gateway.address, authority));
        gateway.end().await;
    }
}

#[tokio::test]
async fn tls_is_put_before_a_server_that_has_none() {
    let Some(server) = start_with_or_skip(Kind::Vsftpd, HOST, Security::Clear) else { return };
    let directory = tempfile::tempdir().unwrap();
    let paper = Paper::make(directory.path(), [HOST.to_string()]).unwrap();
    let policy = Policy { auth: Auth::Terminate, upstream: Upstream::Off, ..Policy::default() };
    let gateway = start(&server, policy, Some(&paper), 48_200);
    within_limit("offload", transfers(&server, &gateway, believing(&paper))).await;
    gateway.end().await;
}

#[tokio::test]
async fn a_client_without_tls_reaches_a_server_that_demands_it() {
    let Some(server) = start_with_or_skip(Kind::Vsftpd, HOST, Security::Explicit) else { return };
    let policy = Policy { auth: Auth::Terminate, upstream: Upstream::Always, ..Policy::default() };
    let gateway = start(&server, policy, None, 48_300);
    let tls = Tls { policy: ClientPolicy::Off, ..Tls::default() };
    within_limit("onload", transfers(&server, &gateway, tls)).await;
    gateway.end().await;
}

#[tokio::test]
async fn tls_that_passes_is_broken_by_nobody() {
    let Some(server) = start_with_or_skip(Kind::Vsftpd, HOST, Security::Explicit) else { return };
    let paper = server.paper.as_ref().unwrap();
    let gateway = start(&server, Policy::default(), None, 48_500);
    let url = format!("ftp://{}:{}@{}/", server.user, server.password, gateway.address);
    let config = Client { tls: believing(paper), ..Client::default() };
    let mut session = Session::connect(&Url::parse(&url).unwrap(), config).await.unwrap();
    assert!(session.is_protected());
    let listing = session.list(Some(&server.path("")).filter(|path| !path.0.is_empty())).await;
    listing.unwrap();
    session.quit().await;
    gateway.end().await;
}

/// A control connection, line by line.
struct Wire(BufReader<TcpStream>);

impl Wire {
    async fn log_in(gateway: &Running, server: &Server) -> Self {
        let mut wire = Self(BufReader::new(TcpStream::connect(gateway.address).await.unwrap()));
        assert_eq!(wire.line().await.split(' ').next(), Some("220"));
        // 230 to USER already: vsftpd wants no password of anonymous.
        let welcome = wire.ask(&format!("USER {}\r\n", server.user), "").await;
        if welcome.starts_with("331") {
            wire.ask(&format!("PASS {}\r\n", server.password), "230").await;
        }
        wire
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line
    }

    /// Says it a byte at a time, as the worst of networks would.
    async fn ask(&mut self, said: &str, code: &str) -> String {
        self.0.get_ref().set_nodelay(true).unwrap();
        for byte in said.as_bytes() {
            self.0.write_all(&[*byte]).await.unwrap();
        }
        let line = self.line().await;
        assert!(line.starts_with(code), "{said:?}: {line:?}");
        line
    }
}

#[tokio::test]
async fn a_stranger_a_second_visitor_and_a_web_page_get_nothing() {
    let Some(server) = start_with_or_skip(Kind::Vsftpd, HOST, Security::Clear) else { return };
    server.add("secret", b"for ann only").unwrap();
    let gateway = start(&server, Policy::default(), None, 48_400);
    let mut wire = Wire::log_in(&gateway, &server).await;
    let reply = wire.ask("EPSV\r\n", "229").await;
    let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
    // A third host comes first, and is closed without a byte.
    let stranger = tokio::net::TcpSocket::new_v4().unwrap();
    stranger.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut stranger = stranger.connect((HOST, port).into()).await.unwrap();
    let mut data = TcpStream::connect((HOST, port)).await.unwrap();
    wire.ask(
        &format!("RETR {}\r\n", String::from_utf8(server.path("secret").0.into_vec()).unwrap()),
        "150",
    )
    .await;
    let (mut stolen, mut content) = (Vec::new(), Vec::new());
    data.read_to_end(&mut content).await.unwrap();
    // How it is closed is no matter: nothing was read.
    let _reset_or_end = stranger.read_to_end(&mut stolen).await;
    assert_eq!((stolen.as_slice(), content.as_slice()), (&b""[..], &b"for ann only"[..]));
    assert!(wire.line().await.starts_with("226"));
    // The door was for one.
    assert!(TcpStream::connect((HOST, port)).await.is_err());

    wire.ask("PORT 127,0,0,1,0,22\r\n", "501").await;
    wire.ask("PORT 127,0,0,9,200,10\r\n", "501").await;
    wire.ask("POST / HTTP/1.1\r\n", "421").await;
    assert_eq!(wire.line().await, "");
    gateway.end().await;
}
