//! The client under TLS against servers of others, as strict as they can be set: hundreds of
//! transfers in one session, in both versions.
//!
//! A server that is not installed is skipped aloud; see `tests/peers/install`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: a panic fails it, as it should")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use twoport_client::{
    Class, Config, Error, Fingerprint, GetOptions, Mode, Outcome, Policy, PutOptions, Reason,
    Session, Tls, Trace, Trust, Url, Versions,
};
use twoport_lab::foreign::servers::{Kind, Security, Server, start_with_or_skip};
use twoport_net::tls::connect::certificates;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const HOST6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// One version on one peer must be done by then.
const LIMIT: Duration = Duration::from_secs(600);

const VERSIONS: [Versions; 3] = [Versions::All, Versions::Only12, Versions::Only13];

/// How many of each kind of transfer.
#[derive(Clone, Copy)]
struct Rounds {
    up: usize,
    down: usize,
    empty: usize,
}

const MANY: Rounds = Rounds { up: 100, down: 100, empty: 20 };
const SOME: Rounds = Rounds { up: 40, down: 40, empty: 8 };
const FEW: Rounds = Rounds { up: 2, down: 2, empty: 1 };

impl Rounds {
    /// As many as `TWOPORT_TRANSFERS` says, where it does.
    fn or_told(self) -> Self {
        let Ok(told) = std::env::var("TWOPORT_TRANSFERS") else { return self };
        let number: usize = told.parse().unwrap();
        Self { up: number, down: number, empty: number / 5 }
    }
}

/// Control connections, and handshakes on both kinds: all of them, and those that resumed.
#[derive(Default)]
struct Handshakes {
    control: AtomicUsize,
    all: AtomicUsize,
    resumed: AtomicUsize,
}

fn start(kind: Kind, security: Security) -> Option<Server> {
    start_with_or_skip(kind, HOST, security)
}

fn believing(server: &Server, versions: Versions) -> Tls {
    let authority = server.paper.as_ref().unwrap().authority.clone();
    Tls { trust: Trust::Authority(authority), versions, ..Tls::default() }
}

/// Connects, and lists: a data connection is part of it.
async fn connect(url: &str, tls: Tls) -> Result<Session, Error> {
    let config = Config { tls, ..Config::default() };
    let mut session = Session::connect(&Url::parse(url).unwrap(), config).await?;
    session.list(None).await?;
    Ok(session)
}

/// Why there is no session. Nothing secret was said by then.
async fn refused(url: &str, tls: Tls) -> (Class, Option<Reason>) {
    let sent = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&sent);
    let observer = move |trace: Trace<'_>| {
        if let Trace::Sent(line) = trace {
            seen.lock().unwrap().push_str(&format!("{line}\n"));
        }
    };
    let config = Config { tls, observer: Some(Arc::new(observer)), ..Config::default() };
    let error = Session::connect(&Url::parse(url).unwrap(), config).await.unwrap_err();
    assert_eq!(*sent.lock().unwrap(), "AUTH TLS\n", "{error}");
    (error.class(), error.reason())
}

async fn peer(kind: Kind, security: Security, rounds: Rounds) {
    let Some(server) = start(kind, security) else { return };
    for versions in VERSIONS {
        let subject = format!("{} {security:?} {versions:?}", kind.name());
        let work = transfers(kind, &server, versions, Mode::Epsv, rounds.or_told());
        let done = tokio::time::timeout(LIMIT, work).await;
        let told = done.unwrap_or_else(|_| panic!("{subject} hangs"));
        eprintln!("{subject}: {told}");
    }
}

/// Active mode, in which the client of TCP is still the client of TLS (RFC 4217 §7), and IPv6.
async fn other_ways(kind: Kind) {
    for (host, modes) in
        [(HOST, &[Mode::Pasv, Mode::Port, Mode::Eprt][..]), (HOST6, &[Mode::Epsv, Mode::Eprt])]
    {
        let Some(server) = start_with_or_skip(kind, host, Security::Explicit) else { continue };
        for &mode in modes {
            for versions in [Versions::Only12, Versions::Only13] {
                let told = transfers(kind, &server, versions, mode, FEW).await;
                eprintln!("{} on {host} by {mode:?}: {told}", kind.name());
            }
        }
    }
}

async fn transfers(
    kind: Kind,
    server: &Server,
    versions: Versions,
    mode: Mode,
    rounds: Rounds,
) -> String {
    let handshakes = Arc::new(Handshakes::default());
    let seen = Arc::clone(&handshakes);
    let observer = move |trace: Trace<'_>| match trace {
        Trace::Connected(_) => {
            seen.control.fetch_add(1, Ordering::Relaxed);
        }
        Trace::Secured(facts) => {
            seen.all.fetch_add(1, Ordering::Relaxed);
            seen.resumed.fetch_add(usize::from(facts.resumed), Ordering::Relaxed);
        }
        _ => {}
    };
    let config = Config {
        tls: believing(server, versions),
        mode,
        observer: Some(Arc::new(observer)),
        ..Config::default()
    };
    let mut session = Session::connect(&Url::parse(&server.url()).unwrap(), config).await.unwrap();
    let version = session.tls().unwrap().version;
    let expected = if versions == Versions::Only12 { "TLS 1.2" } else { "TLS 1.3" };
    assert_eq!((version, session.is_protected()), (expected, true));
    let local = tempfile::tempdir().unwrap();
    let local = local.path();
    for round in 0..rounds.up {
        up(&mut session, server, local, round, length(round)).await;
    }
    for round in 0..rounds.down {
        down(&mut session, server, local, length(round % rounds.up), round % rounds.up).await;
    }
    for round in 0..rounds.empty {
        let number = rounds.up + round;
        up(&mut session, server, local, number, 0).await;
        down(&mut session, server, local, 0, number).await;
    }
    let directory = Some(server.path("")).filter(|path| !path.0.is_empty());
    let listing = session.list(directory.as_ref()).await.unwrap();
    assert!(listing.entries.len() >= rounds.up + rounds.empty, "{}", listing.entries.len());
    session.quit().await;
    let [control, all, resumed] = [&handshakes.control, &handshakes.all, &handshakes.resumed]
        .map(|count| count.load(Ordering::Relaxed));
    let data = all - control;
    // This one gives nothing to resume in TLS 1.3.
    if !(kind == Kind::PureFtpd && version == "TLS 1.3") {
        assert_eq!(resumed, data, "each data connection resumes");
    }
    format!("{version}: {data} data connections of {control} logins, {resumed} resumed")
}

/// Small ones mostly, as they race with the end of TLS; some of more than a chunk of the pump.
fn length(round: usize) -> usize {
    if round.is_multiple_of(10) { 1_234_567 } else { 1 + round * 97 }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

async fn up(session: &mut Session, server: &Server, local: &Path, number: usize, length: usize) {
    let (from, name) = (local.join("from"), format!("file {number}"));
    fs::write(&from, content(length)).unwrap();
    let report = session.put(&from, &server.path(&name), &PutOptions::default()).await;
    let report = report.unwrap_or_else(|error| panic!("up {number}: {error}"));
    assert_eq!((report.outcome, report.bytes), (Outcome::Confirmed, length as u64), "{number}");
    assert!(fs::read(server.root().join(&name)).unwrap() == content(length), "{number}");
}

async fn down(session: &mut Session, server: &Server, local: &Path, length: usize, number: usize) {
    let (to, name) = (local.join("to"), format!("file {number}"));
    let report = session.get(&server.path(&name), &to, &GetOptions::default()).await;
    let report = report.unwrap_or_else(|error| panic!("down {number}: {error}"));
    assert_eq!((report.outcome, report.bytes), (Outcome::Confirmed, length as u64), "{number}");
    assert_eq!(report.warning, None, "{number}");
    assert!(fs::read(&to).unwrap() == content(length), "{number}");
}

#[tokio::test]
async fn vsftpd() {
    peer(Kind::Vsftpd, Security::Explicit, MANY).await;
}

#[tokio::test]
async fn vsftpd_implicit() {
    peer(Kind::Vsftpd, Security::Implicit, SOME).await;
}

#[tokio::test]
async fn pure_ftpd() {
    peer(Kind::PureFtpd, Security::Explicit, SOME).await;
}

#[tokio::test]
async fn proftpd() {
    peer(Kind::Proftpd, Security::Explicit, SOME).await;
}

#[tokio::test]
async fn pyftpdlib() {
    peer(Kind::Pyftpdlib, Security::Explicit, SOME).await;
}

#[tokio::test]
async fn active_mode_and_ipv6() {
    for kind in [Kind::Vsftpd, Kind::PureFtpd, Kind::Proftpd, Kind::Pyftpdlib] {
        other_ways(kind).await;
    }
}

#[tokio::test]
async fn who_is_not_believed_gets_no_password() {
    let Some(server) = start(Kind::Vsftpd, Security::Explicit) else { return };
    let url = server.url();
    let paper = server.paper.as_ref().unwrap();
    let stranger = Some(Reason::CertificateUnknownIssuer);
    assert_eq!(refused(&url, Tls::default()).await, (Class::Tls, stranger));
    let auto = url.replace("ftpes://", "ftp://");
    assert_eq!(refused(&auto, Tls::default()).await, (Class::Tls, stranger), "no way around it");
    let believing = || believing(&server, Versions::All);
    let elsewhere = url.replace("127.0.0.1", "localhost");
    let wrong = Some(Reason::CertificateWrongName);
    assert_eq!(refused(&elsewhere, believing()).await, (Class::Tls, wrong));
    let leaf = certificates(&paper.certificate).unwrap();
    let pin = Fingerprint::of(&leaf.first().unwrap()[..]).unwrap();
    let pinned = |pin| Tls { trust: Trust::Pin(pin), ..Tls::default() };
    let other = Fingerprint([7; 32]);
    let not_pinned = Some(Reason::CertificateNotPinned);
    assert_eq!(refused(&url, pinned(other)).await, (Class::Tls, not_pinned));
    for (url, tls) in [
        (&auto, believing()),
        (&url, pinned(pin)),
        (&elsewhere, pinned(pin)),
        (&elsewhere, Tls { trust: Trust::Anybody, ..Tls::default() }),
    ] {
        let session = connect(url, tls).await.unwrap();
        assert!(session.tls().is_some() && session.is_protected());
        session.quit().await;
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_wanted() {
    for kind in [Kind::Vsftpd, Kind::PureFtpd, Kind::Pyftpdlib] {
        let Some(server) = start(kind, Security::Clear) else { continue };
        let refusal = (Class::Tls, Some(Reason::TlsRefused));
        let required = Tls { policy: Policy::Required, ..Tls::default() };
        assert_eq!(refused(&server.url(), required).await, refusal, "{kind:?}");
        let explicit = server.url().replace("ftp://", "ftpes://");
        assert_eq!(refused(&explicit, Tls::default()).await, refusal, "{kind:?}");
        let session = connect(&server.url(), Tls::default()).await.unwrap();
        assert!(session.tls().is_none() && !session.is_protected(), "{kind:?}");
        session.quit().await;
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let Some(server) = start(Kind::Vsftpd, Security::Mutual) else { return };
    let paper = server.paper.as_ref().unwrap();
    for versions in VERSIONS {
        let certificate = Some((paper.certificate.clone(), paper.key.clone()));
        let tls = Tls { certificate, ..believing(&server, versions) };
        connect(&server.url(), tls).await.unwrap().quit().await;
        let error = connect(&server.url(), believing(&server, versions)).await.unwrap_err();
        assert_eq!(error.class(), Class::Tls, "{error}");
        assert_eq!(error.reason(), Some(Reason::CertificateMissing), "{error}");
    }
}
