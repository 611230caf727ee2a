//! How data end under TLS, as the client judges it: with `close_notify`, without, and in the middle.

#![expect(clippy::unwrap_used, reason = "a test: a panic fails it, as it should")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use twoport_client::{
    Class, Config, Error, GetOptions, Outcome, Reason, Report, Session, Tls, Trust, Url,
};
use twoport_lab::foreign::servers::paper::Paper;
use twoport_net::tls::connect::Identity;

const FILE: &[u8] = b"ten bytes.";

/// How the server ends a download, and what it says of it.
#[derive(Clone, Copy)]
struct Manner {
    /// The reply to SIZE.
    size: &'static str,
    sent: &'static [u8],
    close_notify: bool,
}

async fn start(paper: &Paper, manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let identity = Identity::read(&paper.certificate, &paper.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let _until_the_client_leaves = serve(socket, acceptor, manner).await;
    });
    address
}

async fn serve(socket: TcpStream, tls: TlsAcceptor, manner: Manner) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    socket.write_all(b"220 Hello.\r\n").await?;
    socket.read_line(&mut String::new()).await?;
    socket.write_all(b"234 Go on.\r\n").await?;
    let mut control = BufReader::new(tls.accept(socket.into_inner()).await?);
    let passive = TcpListener::bind("127.0.0.1:0").await?;
    let port = passive.local_addr()?.port();
    loop {
        let mut line = String::new();
        if control.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let reply = match line.split_whitespace().next().unwrap_or_default() {
            "USER" => "331 Password?\r\n".to_owned(),
            "PASS" => "230 In.\r\n".to_owned(),
            "SIZE" => format!("{}\r\n", manner.size),
            "EPSV" => format!("229 Here (|||{port}|)\r\n"),
            "RETR" => {
                control.write_all(b"150 Here.\r\n").await?;
                let mut data = tls.accept(passive.accept().await?.0).await?;
                data.write_all(manner.sent).await?;
                data.flush().await?;
                if manner.close_notify {
                    data.shutdown().await?;
                } else {
                    data.get_mut().0.shutdown().await?;
                }
                "226 Done.\r\n".to_owned()
            }
            "FEAT" => "500 What?\r\n".to_owned(),
            _ => "200 Done.\r\n".to_owned(),
        };
        control.write_all(reply.as_bytes()).await?;
        control.flush().await?;
    }
}

async fn get(manner: Manner, target: &Path) -> Result<Report, Error> {
    let dir = tempfile::tempdir().unwrap();
    let paper = Paper::make(dir.path(), ["127.0.0.1".to_owned()]).unwrap();
    let address = start(&paper, manner).await;
    let tls = Tls { trust: Trust::Authority(paper.authority), ..Tls::default() };
    let config = Config { tls, ..Config::default().with_timeout(Duration::from_secs(5)) };
    let url = Url::parse(&format!("ftpes://{address}/file")).unwrap();
    let mut session = Session::connect(&url, config).await?;
    session.get(url.path(), target, &GetOptions::default()).await
}

#[tokio::test]
async fn a_download_is_whole_or_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("file");
    let cut = FILE.get(..4).unwrap();
    let known = "213 10";
    let unknown = "500 What?";
    for (size, sent, close_notify, end) in [
        (known, FILE, true, Ok(None)),
        (unknown, FILE, true, Ok(None)),
        (known, FILE, false, Ok(Some(Reason::TlsTruncated))),
        (unknown, FILE, false, Err(Reason::TlsTruncated)),
        (known, cut, false, Err(Reason::TlsTruncated)),
        (known, cut, true, Err(Reason::LengthShort)),
    ] {
        let _not_there_at_first = fs::remove_file(&target);
        let manner = Manner { size, sent, close_notify };
        let told = format!("{size}, {} bytes, close_notify {close_notify}", sent.len());
        match get(manner, &target).await {
            Ok(report) => {
                assert_eq!(Ok(report.warning), end, "{told}");
                assert_eq!(report.outcome, Outcome::Confirmed, "{told}");
                assert_eq!(fs::read(&target).unwrap(), FILE, "{told}");
            }
            Err(error) => {
                let class = (Class::Truncated, error.reason().map(Err));
                assert_eq!((error.class(), Some(end)), class, "{told}: {error}");
                assert!(!target.exists(), "{told}");
            }
        }
    }
}
