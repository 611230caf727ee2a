//! The client against servers of others: every mode, over IPv4 and IPv6, byte for byte.
//!
//! A server that is not installed is skipped aloud; see `tests/peers/install`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: a panic fails it, as it should")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use twoport_client::{
    Class, Config, FtpPath, GetOptions, Mode, Outcome, PutOptions, Representation, Session, Url,
};
use twoport_lab::foreign::servers::{Kind, Server, start_or_skip};

/// One peer in one mode must be done by then.
const LIMIT: Duration = Duration::from_secs(60);

const MODES: [Mode; 5] = [Mode::Auto, Mode::Epsv, Mode::Pasv, Mode::Eprt, Mode::Port];

/// More than a chunk of the pump, and no multiple of anything.
const LENGTH: usize = 1_234_567;

fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

async fn connect(server: &Server, mode: Mode) -> Session {
    let url = Url::parse(&server.url()).unwrap();
    Session::connect(&url, Config { mode, ..Config::default() }).await.unwrap()
}

async fn peer(kind: Kind) {
    for host in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let Some(server) = start_or_skip(kind, host) else { continue };
        for mode in MODES {
            let subject = format!("{} on {host} by {mode:?}", kind.name());
            let done = tokio::time::timeout(LIMIT, in_mode(&server, mode, host)).await;
            eprintln!("{subject}: {}", done.unwrap_or_else(|_| panic!("{subject} hangs")));
        }
    }
}

async fn in_mode(server: &Server, mode: Mode, host: IpAddr) -> &'static str {
    let mut session = connect(server, mode).await;
    if let Err(error) = session.list(directory(server).as_ref()).await {
        // These two carry an IPv4 address: not every server answers them over IPv6.
        let impossible = host.is_ipv6() && matches!(mode, Mode::Port | Mode::Pasv);
        assert!(impossible && error.class() == Class::NoData, "{mode:?}: {error}");
        return "not possible over IPv6";
    }
    let local = tempfile::tempdir().unwrap();
    one_file(&mut session, server, local.path()).await;
    a_text(&mut session, server, local.path()).await;
    resumed(&mut session, server, local.path(), mode).await;
    trees(&mut session, server, local.path(), mode).await;
    refusals(&mut session, server, local.path()).await;
    session.quit().await;
    "passed"
}

/// Where the files are; for most servers the log-in directory.
fn directory(server: &Server) -> Option<FtpPath> {
    Some(server.path("")).filter(|path| !path.0.is_empty())
}

async fn one_file(session: &mut Session, server: &Server, local: &Path) {
    for (name, length) in [("big file", LENGTH), ("empty", 0), ("one", 1)] {
        let expected = content(length);
        server.add(name, &expected).unwrap();
        let target = local.join(name);
        let report =
            session.get(&server.path(name), &target, &GetOptions::default()).await.unwrap();
        assert_eq!((report.outcome, report.bytes), (Outcome::Confirmed, length as u64));
        assert_eq!(fs::read(&target).unwrap(), expected);
        let date = |path: &Path| {
            let modified = fs::metadata(path).unwrap().modified().unwrap();
            modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
        };
        assert_eq!(date(&target), date(&server.root().join(name)), "the date comes along");
        let back = format!("{name} back");
        let report =
            session.put(&target, &server.path(&back), &PutOptions::default()).await.unwrap();
        assert_eq!((report.outcome, report.bytes), (Outcome::Confirmed, length as u64));
        assert_eq!(fs::read(server.root().join(&back)).unwrap(), expected);
    }
    let listing = session.list(directory(server).as_ref()).await.unwrap();
    assert!(listing.raw.is_empty(), "{:?}", listing.raw);
    let sizes: Vec<_> = listing
        .entries
        .iter()
        .filter(|entry| &*entry.name == b"big file")
        .map(|entry| entry.size)
        .collect();
    assert_eq!(sizes, [Some(LENGTH as u64)]);
}

/// A text in TYPE A comes with the line ends of this system, however the server sent it.
async fn a_text(session: &mut Session, server: &Server, local: &Path) {
    server.add("text", b"one\ntwo\n\nend").unwrap();
    let target = local.join("text");
    let options = GetOptions { representation: Representation::Ascii, ..GetOptions::default() };
    let report = session.get(&server.path("text"), &target, &options).await.unwrap();
    assert_eq!(report.outcome, Outcome::Confirmed);
    assert_eq!(fs::read(&target).unwrap(), b"one\ntwo\n\nend");
}

async fn resumed(session: &mut Session, server: &Server, local: &Path, mode: Mode) {
    let expected = content(24 << 20);
    server.add("cut", &expected).unwrap();
    let target = local.join("cut");
    let options = GetOptions { resume: true, ..GetOptions::default() };
    {
        // A download that is dropped in the middle, as by Ctrl-C.
        let mut session = connect(server, mode).await;
        let progress = options.progress.clone();
        let remote = server.path("cut");
        let moving = async {
            while progress.bytes() < 1 << 20 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = moving => {}
            done = session.get(&remote, &target, &options) => drop(done.unwrap()),
        }
    }
    if !target.exists() {
        let report = session.get(&server.path("cut"), &target, &options).await.unwrap();
        assert!(report.resumed_at > 0, "{report:?}");
        assert_eq!(report.resumed_at + report.bytes, expected.len() as u64);
    }
    assert_eq!(fs::read(&target).unwrap(), expected);
    let (first, _) = expected.split_at(5_000_000);
    let remote = server.path("cut up");
    session
        .put_from(std::io::Cursor::new(first.to_vec()), &remote, &PutOptions::default())
        .await
        .unwrap();
    let options = PutOptions { resume: true, ..PutOptions::default() };
    let report = session.put(&target, &remote, &options).await.unwrap();
    assert_eq!(report.resumed_at, 5_000_000);
    assert_eq!(fs::read(server.root().join("cut up")).unwrap(), expected);
}

async fn trees(session: &mut Session, server: &Server, local: &Path, mode: Mode) {
    let files = [("a", 10), ("sub/b c", 100_000), ("sub/deep/d", 0), ("other/\u{eb}", 1)];
    for (name, length) in files {
        server.add(&format!("tree/{name}"), &content(length)).unwrap();
    }
    let down = local.join("down");
    let report =
        session.get_tree(&server.path("tree"), &down, &GetOptions::default()).await.unwrap();
    assert!(report.is_complete() && report.files.len() == files.len(), "{report:?}");
    let up = format!("up {mode:?}");
    let options = PutOptions::default();
    let report = session.put_tree(&down, &server.path(&up), &options).await.unwrap();
    assert!(report.is_complete() && report.files.len() == files.len(), "{report:?}");
    for (name, length) in files {
        assert_eq!(fs::read(down.join(name)).unwrap(), content(length), "{name}");
        assert_eq!(
            fs::read(server.root().join(&up).join(name)).unwrap(),
            content(length),
            "{name}"
        );
    }
    // Once more: what exists is no error.
    let report = session.put_tree(&down, &server.path(&up), &options).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
}

async fn refusals(session: &mut Session, server: &Server, local: &Path) {
    let missing = server.path("not there");
    let target = local.join("not there");
    let error = session.get(&missing, &target, &GetOptions::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::Refused, "{error}");
    assert_eq!(fs::read_dir(local).unwrap().flatten().filter(|e| is_ours(&e.path())).count(), 0);
    let nowhere = server.path("no directory/file");
    let error =
        session.put(&local.join("one"), &nowhere, &PutOptions::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::Refused, "{error}");
    let report = session
        .get(&server.path("one"), &local.join("again"), &GetOptions::default())
        .await
        .unwrap();
    assert_eq!(report.outcome, Outcome::Confirmed, "the session is not hurt");
}

fn is_ours(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(".twoport-"))
}

#[tokio::test]
async fn vsftpd() {
    peer(Kind::Vsftpd).await;
}

#[tokio::test]
async fn pure_ftpd() {
    peer(Kind::PureFtpd).await;
}

#[tokio::test]
async fn proftpd() {
    peer(Kind::Proftpd).await;
}

#[tokio::test]
async fn pyftpdlib() {
    peer(Kind::Pyftpdlib).await;
}
