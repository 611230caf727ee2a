//! Each decision of the client about TLS has its own reason: provoked with a server of a few lines on
//! rustls, and with OpenSSL where rustls cannot be as old as that. And how data end: with `close_notify`, without, in the middle.

#![expect(clippy::unwrap_used, reason = "a test: a panic fails it, as it should")]

mod scripted;

use std::process::{Child, Command, Stdio};

use twoport_client::{
    Class, Config, Error, Fingerprint, GetOptions, Outcome, PutOptions, Reason, Session, Tls,
    Trust, Url, Versions,
};
use twoport_lab::foreign::servers::paper::{Paper, Validity};
use twoport_net::tls::connect::certificates;

use scripted::{FILE, Script, Scripted};

const BOTH: [Versions; 2] = [Versions::Only12, Versions::Only13];

fn why(error: &Error) -> (Class, Option<Reason>) {
    (error.class(), error.reason())
}

/// A session that does not come to be: why, and nothing secret was said before.
async fn refused(script: Script, tls: impl FnOnce(&Scripted) -> Tls) -> (Class, Option<Reason>) {
    let server = Scripted::start(script).await;
    let tls = tls(&server);
    let error = server.connect(tls).await.map(|_| ()).unwrap_err();
    assert!(!server.heard().contains("PASS"), "{}: {error}", server.heard());
    why(&error)
}

#[tokio::test]
async fn what_a_handshake_fails_of() {
    let script = Script::default();
    for versions in BOTH {
        let script = Script { versions, ..script.clone() };
        let other = if versions == BOTH[0] { BOTH[1] } else { BOTH[0] };
        let version = refused(script, |server| Tls { versions: other, ..server.tls() }).await;
        assert_eq!(version, (Class::Tls, Some(Reason::TlsVersion)), "{versions:?}");
    }
    for (validity, reason) in [
        (Validity::Past, Reason::CertificateExpired),
        (Validity::Future, Reason::CertificateNotYetValid),
    ] {
        let end = refused(Script { validity, ..script.clone() }, Scripted::tls).await;
        assert_eq!(end, (Class::Tls, Some(reason)));
    }
    for versions in BOTH {
        let http = Script { versions, alpn: &[b"http/1.1", b"h2"], ..script.clone() };
        let end = refused(http, Scripted::tls).await;
        assert_eq!(end, (Class::Tls, Some(Reason::AlpnRefused)), "ALPACA: {versions:?}");
    }
}

#[tokio::test]
async fn a_client_certificate_that_is_missing_or_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let stranger = Paper::make(dir.path(), ["127.0.0.1".to_owned()]).unwrap();
    for versions in BOTH {
        let script = Script { versions, mutual: true, ..Script::default() };
        let server = Scripted::start(script.clone()).await;
        let error = server.connect(server.tls()).await.map(|_| ()).unwrap_err();
        let missing = (Class::Tls, Some(Reason::CertificateMissing));
        assert_eq!(why(&error), missing, "{versions:?}: {error}");
        let server = Scripted::start(script).await;
        let certificate = Some((stranger.certificate.clone(), stranger.key.clone()));
        let tls = Tls { certificate, ..server.tls() };
        let error = server.connect(tls).await.map(|_| ()).unwrap_err();
        let refused = (Class::Tls, Some(Reason::CertificateRefusedByPeer));
        assert_eq!(why(&error), refused, "{versions:?}: {error}");
    }
}

/// As vsftpd, ProFTPD, Pure-FTPd and FileZilla say it, on servers that give nothing to resume.
#[tokio::test]
async fn a_data_connection_that_resumes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let local = dir.path().join("file");
    let refusals = [
        "522 SSL connection failed: session reuse required\r\n",
        "425 Unable to build data connection: Operation not permitted\r\n",
        "450 No SSL session reuse on data channel.\r\n",
        "425 TLS session of data connection not resumed.\r\n",
    ];
    for versions in BOTH {
        for refusal in refusals {
            let script =
                Script { versions, resumable: false, unproven: Some(refusal), ..Script::default() };
            let expected = (Class::Tls, Some(Reason::TlsNotResumed));
            let server = Scripted::start(script.clone()).await;
            let error = server.get(server.tls(), local.clone()).await.unwrap_err();
            assert_eq!(why(&error), expected, "{versions:?} {refusal}: {error}");
            assert!(!local.exists());
            let server = Scripted::start(script).await;
            let mut session = server.connect(server.tls()).await.unwrap();
            let from = dir.path().join("from");
            std::fs::write(&from, vec![7; 100_000]).unwrap();
            let to = server.url();
            let error = session.put(&from, to.path(), &PutOptions::default()).await.unwrap_err();
            assert_eq!(why(&error), expected, "{versions:?} {refusal}: {error}");
        }
    }
    let script = Script { unproven: Some("522 No.\r\n"), ..Script::default() };
    let server = Scripted::start(script).await;
    let report = server.get(server.tls(), local).await.unwrap();
    assert_eq!(report.outcome, Outcome::Confirmed, "who resumes is served");
}

#[tokio::test]
async fn an_implicit_server_that_knows_neither_pbsz_nor_prot() {
    let dir = tempfile::tempdir().unwrap();
    for (pbsz, prot) in [
        ("500 What?\r\n", "500 What?\r\n"),
        ("502 No.\r\n", "502 No.\r\n"),
        ("503 AUTH first.\r\n", "503 AUTH first.\r\n"),
        ("200 OK.\r\n", "504 P? No.\r\n"),
    ] {
        let replies = Box::leak(Box::new([("PBSZ", pbsz), ("PROT", prot)]));
        let script = Script { implicit: true, replies, ..Script::default() };
        let server = Scripted::start(script).await;
        let mut session = server.connect(server.tls()).await.unwrap();
        assert_eq!(session.notice(), Some(Reason::ProtectionAssumed), "it is said: {prot}");
        let local = dir.path().join("file");
        let url = server.url();
        let report = session.get(url.path(), &local, &Default::default()).await.unwrap();
        assert_eq!(report.outcome, Outcome::Confirmed);
        assert_eq!(std::fs::read(&local).unwrap(), FILE);
        std::fs::remove_file(local).unwrap();
    }
    // Where TLS was asked for, data in clear are not what the user wanted.
    let explicit = Script { replies: &[("PROT", "500 What?\r\n")], ..Script::default() };
    let server = Scripted::start(explicit).await;
    let error = server.connect(server.tls()).await.map(|_| ()).unwrap_err();
    assert_eq!(why(&error), (Class::Tls, Some(Reason::ProtectionRefused)));
}

#[tokio::test]
async fn the_first_certificate_is_believed_and_then_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (file, local) = (dir.path().join("state/known-hosts"), dir.path().join("file"));
    let server = Scripted::start(Script::default()).await;
    let tls = || Tls { trust: Trust::FirstUse(file.clone()), ..Tls::default() };
    let leaf = certificates(&server.paper.certificate).unwrap();
    let own = Fingerprint::of(&leaf.first().unwrap()[..]).unwrap();
    for introduced in [Some(own), None] {
        let mut session = server.connect(tls()).await.unwrap();
        assert_eq!(session.introduced(), introduced);
        let report = session.get(server.url().path(), &local, &GetOptions::default()).await;
        assert_eq!(report.unwrap().outcome, Outcome::Confirmed, "data connections, too");
        session.quit().await;
    }
    let line = format!("{} {own} ", server.address);
    assert!(std::fs::read_to_string(&file).unwrap().contains(&line));
    // Somebody else answers in its place.
    let other = Fingerprint([7; 32]);
    std::fs::write(&file, format!("{} {other} 2026-01-02\n", server.address)).unwrap();
    server.heard.lock().unwrap().clear();
    let error = server.connect(tls()).await.map(|_| ()).unwrap_err();
    assert_eq!(why(&error), (Class::Tls, Some(Reason::CertificateChanged)));
    let told = error.to_string();
    let all = [&other.to_string(), &own.to_string(), "2026-01-02", "known-hosts"];
    assert!(all.iter().all(|part| told.contains(*part)), "{told}");
    assert_eq!(server.heard(), "AUTH TLS\r\n", "and gets no password");
    std::fs::write(&file, "nonsense\n").unwrap();
    let error = server.connect(tls()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.class(), Class::Local, "{error}");
}

#[tokio::test]
async fn a_server_that_knows_auth_ssl_only() {
    let replies = &[("AUTH", "504 Known are: SSL.\r\n")];
    let server = Scripted::start(Script { replies, ..Script::default() }).await;
    let error = server.connect(server.tls()).await.map(|_| ()).unwrap_err();
    assert_eq!(why(&error), (Class::Tls, Some(Reason::TlsRefused)));
    assert_eq!(server.heard(), "AUTH TLS\r\n");
}

#[tokio::test]
async fn a_download_is_whole_or_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("file");
    let cut = FILE.get(..4).unwrap();
    let known: &[_] = &[("SIZE", "213 10\r\n")];
    let unknown: &[_] = &[("SIZE", "500 What?\r\n")];
    let cases = [
        (known, FILE, true, Ok(None)),
        (unknown, FILE, true, Ok(None)),
        (known, FILE, false, Ok(Some(Reason::TlsTruncated))),
        (unknown, FILE, false, Err(Reason::TlsTruncated)),
        (known, cut, false, Err(Reason::TlsTruncated)),
        (known, cut, true, Err(Reason::LengthShort)),
    ];
    for versions in [Versions::Only12, Versions::Only13] {
        for (replies, sent, close_notify, end) in cases {
            let _not_there_at_first = std::fs::remove_file(&target);
            let script = Script { versions, replies, sent, close_notify, ..Script::default() };
            let server = Scripted::start(script).await;
            let told = format!("{versions:?} {replies:?}, {} bytes, {close_notify}", sent.len());
            match server.get(server.tls(), target.clone()).await {
                Ok(report) => {
                    assert_eq!(Ok(report.warning), end, "{told}");
                    assert_eq!(report.outcome, Outcome::Confirmed, "{told}");
                    assert_eq!(std::fs::read(&target).unwrap(), FILE, "{told}");
                }
                Err(error) => {
                    let class = (Class::Truncated, error.reason().map(Err));
                    assert_eq!((error.class(), Some(end)), class, "{told}: {error}");
                    assert!(!target.exists(), "{told}");
                }
            }
        }
    }
}

/// OpenSSL's own server, which speaks no FTP: the handshake is all there is to fail.
struct Openssl(Child);

impl Drop for Openssl {
    fn drop(&mut self) {
        let _gone_already = (self.0.kill(), self.0.wait());
    }
}

#[tokio::test]
async fn servers_of_another_age() {
    let dir = tempfile::tempdir().unwrap();
    let paper = Paper::make(dir.path(), ["127.0.0.1".to_owned()]).unwrap();
    for (arguments, reason) in [
        (["-tls1_1", "-cipher", "ALL@SECLEVEL=0"], Reason::TlsVersion),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], Reason::TlsCipher),
    ] {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let started = Command::new("openssl")
            .args(["s_server", "-quiet", "-accept", &port.to_string()])
            .arg("-cert")
            .arg(&paper.certificate)
            .arg("-key")
            .arg(&paper.key)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            eprintln!("skipped: openssl is not installed");
            return;
        };
        let _server = Openssl(child);
        let listens = || std::net::TcpStream::connect(port).is_ok();
        for _ in 0..200 {
            if listens() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        let tls = Tls { trust: Trust::Authority(paper.authority.clone()), ..Tls::default() };
        let url = Url::parse(&format!("ftps://{port}/")).unwrap();
        let error = Session::connect(&url, Config { tls, ..Config::default() }).await.unwrap_err();
        assert_eq!(why(&error), (Class::Tls, Some(reason)), "{arguments:?}: {error}");
    }
}
