//! A server of a few lines under TLS that does what its script says, also what no server should.
//!
//! It serves one connection after the other and takes any user; what the client makes of it is for the test to say.

#![expect(clippy::unwrap_used, reason = "a test: a panic fails it, as it should")]

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use twoport_client::{
    Config, Error, GetOptions, Report, Session, Tls, Trace, Trust, Url, Versions,
};
use twoport_lab::foreign::servers::paper::{Paper, Validity};
use twoport_net::tls::connect::{Identity, certificates};

/// What RETR sends.
pub(crate) const FILE: &[u8] = b"ten bytes.";

/// How the server behaves.
#[derive(Clone)]
pub(crate) struct Script {
    /// Whether TLS is there from the first byte.
    pub(crate) implicit: bool,
    /// Those that it speaks.
    pub(crate) versions: Versions,
    /// The protocols that it has by ALPN; none is not looked at.
    pub(crate) alpn: &'static [&'static [u8]],
    /// When its certificate is good.
    pub(crate) validity: Validity,
    /// Whether it gives out sessions.
    pub(crate) resumable: bool,
    /// Whether it wants a certificate of its own authority.
    pub(crate) mutual: bool,
    /// What it says to verbs instead of what all say.
    pub(crate) replies: &'static [(&'static str, &'static str)],
    /// What it says, in place of data, to who resumed nothing.
    pub(crate) unproven: Option<&'static str>,
    /// What RETR sends.
    pub(crate) sent: &'static [u8],
    /// Whether the data end as TLS ends.
    pub(crate) close_notify: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            implicit: false,
            versions: Versions::All,
            alpn: &[],
            validity: Validity::Now,
            resumable: true,
            mutual: false,
            replies: &[],
            unproven: None,
            sent: FILE,
            close_notify: true,
        }
    }
}

/// A server that runs, and all that was said to it.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    pub(crate) paper: Paper,
    pub(crate) heard: Arc<Mutex<String>>,
    script: Script,
    _files: TempDir,
}

impl Scripted {
    pub(crate) async fn start(script: Script) -> Self {
        let files = TempDir::new().unwrap();
        let names = ["127.0.0.1".to_owned()];
        let paper = Paper::valid(files.path(), names, script.validity).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config(&script, &paper)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(String::new()));
        let (told, played) = (Arc::clone(&heard), script.clone());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let _until_the_client_leaves =
                    serve(socket, acceptor.clone(), &played, &told).await;
            }
        });
        Self { address, paper, heard, script, _files: files }
    }

    pub(crate) fn url(&self) -> Url {
        let scheme = if self.script.implicit { "ftps" } else { "ftpes" };
        Url::parse(&format!("{scheme}://ann:secret@{}/file", self.address)).unwrap()
    }

    /// Settings that believe its authority.
    pub(crate) fn tls(&self) -> Tls {
        Tls { trust: Trust::Authority(self.paper.authority.clone()), ..Tls::default() }
    }

    /// A download of the file.
    pub(crate) async fn get(&self, tls: Tls, target: PathBuf) -> Result<Report, Error> {
        let mut session = self.connect(tls).await?;
        session.get(self.url().path(), &target, &GetOptions::default()).await
    }

    pub(crate) async fn connect(&self, tls: Tls) -> Result<Session, Error> {
        let observer = Arc::new(|_: Trace<'_>| {});
        let config = Config { tls, observer: Some(observer), ..Config::default() };
        Session::connect(&self.url(), config.with_timeout(Duration::from_secs(5))).await
    }

    pub(crate) fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
}

fn config(script: &Script, paper: &Paper) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&'static SupportedProtocolVersion] = match script.versions {
        Versions::All => &[&TLS13, &TLS12],
        Versions::Only12 => &[&TLS12],
        Versions::Only13 => &[&TLS13],
    };
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let identity = Identity::read(&paper.certificate, &paper.key).unwrap();
    let mut config = if script.mutual {
        config.with_client_cert_verifier(verifier(provider, paper))
    } else {
        config.with_no_client_auth()
    }
    .with_single_cert(identity.chain, identity.key)
    .unwrap();
    config.alpn_protocols = script.alpn.iter().map(|name| name.to_vec()).collect();
    if !script.resumable {
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
    }
    config
}

fn verifier(
    provider: Arc<CryptoProvider>,
    paper: &Paper,
) -> Arc<dyn rustls::server::danger::ClientCertVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&paper.authority).unwrap());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap()
}

async fn serve(
    socket: TcpStream,
    tls: TlsAcceptor,
    script: &Script,
    heard: &Mutex<String>,
) -> io::Result<()> {
    let socket = if script.implicit {
        socket
    } else {
        let mut socket = BufReader::new(socket);
        socket.write_all(b"220 Hello.\r\n").await?;
        let mut line = String::new();
        socket.read_line(&mut line).await?;
        heard.lock().unwrap().push_str(&line);
        socket.write_all(reply(script, &line).unwrap_or("234 Go on.\r\n").as_bytes()).await?;
        socket.into_inner()
    };
    let mut control = BufReader::new(tls.accept(socket).await?);
    if script.implicit {
        control.write_all(b"220 Hello.\r\n").await?;
        control.flush().await?;
    }
    let passive = TcpListener::bind("127.0.0.1:0").await?;
    let port = passive.local_addr()?.port();
    loop {
        let mut line = String::new();
        if control.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        heard.lock().unwrap().push_str(&line);
        let said = match (reply(script, &line), line.split_whitespace().next().unwrap_or_default())
        {
            (Some(said), _) => said.to_owned(),
            (None, "USER") => "331 Password?\r\n".to_owned(),
            (None, "PASS") => "230 In.\r\n".to_owned(),
            (None, "EPSV") => format!("229 Here (|||{port}|)\r\n"),
            (None, verb @ ("RETR" | "STOR")) => {
                control.write_all(b"150 Here.\r\n").await?;
                control.flush().await?;
                let data = tls.accept(passive.accept().await?.0).await?;
                transfer(script, verb, data).await?
            }
            (None, "FEAT" | "SIZE" | "MLSD" | "MDTM") => "500 What?\r\n".to_owned(),
            (None, _) => "200 Done.\r\n".to_owned(),
        };
        control.write_all(said.as_bytes()).await?;
        control.flush().await?;
    }
}

fn reply(script: &Script, line: &str) -> Option<&'static str> {
    let verb = line.split_whitespace().next()?;
    script.replies.iter().find(|(of, _)| *of == verb).map(|(_, reply)| *reply)
}

async fn transfer(
    script: &Script,
    verb: &str,
    mut data: TlsStream<TcpStream>,
) -> io::Result<String> {
    let resumed = data.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    if let Some(refusal) = script.unproven.filter(|_| !resumed) {
        data.get_mut().0.shutdown().await?;
        return Ok(refusal.to_owned());
    }
    if verb == "STOR" {
        data.read_to_end(&mut Vec::new()).await?;
    } else {
        data.write_all(script.sent).await?;
    }
    data.flush().await?;
    if script.close_notify {
        data.shutdown().await?;
    } else {
        data.get_mut().0.shutdown().await?;
    }
    Ok("226 Done.\r\n".to_owned())
}
