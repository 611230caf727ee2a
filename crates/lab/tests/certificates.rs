//! Certificates that are replaced while the server runs, in the ways that certbot, Kubernetes and
//! people do it; and which one of several is shown.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::thread::park_timeout;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use twoport_client::{Config, Error, Session, Tls, Trust, Url};
use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::servers::paper::Paper;
use twoport_net::tls;
use twoport_net::tls::connect::{certificates, config};

/// A server whose certificate and key are links, as certbot leaves them.
struct Site {
    live: TempDir,
    papers: [Paper; 2],
    served: Served,
    _rest: [TempDir; 3],
}

impl Site {
    fn new() -> Self {
        let [live, root, one, other] = [(); 4].map(|()| TempDir::new().unwrap());
        let papers = [&one, &other].map(|at| Paper::make(at.path(), ["localhost".into()]).unwrap());
        let [certificate, key] = ["certificate", "key"].map(|name| live.path().join(name));
        symlink(&papers[0].certificate, &certificate).unwrap();
        symlink(&papers[0].key, &key).unwrap();
        let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
        let arguments = ["--user", "ann:secret", "--listen", "127.0.0.1:0"];
        let files = ["--certificate", certificate, "--key", key];
        let served = Served::start(root.path(), &[&arguments[..], &files].concat()).unwrap();
        Self { live, papers, served, _rest: [root, one, other] }
    }

    /// Lets the link point elsewhere, in one step.
    fn point(&self, name: &str, target: &Path) {
        let new = self.live.path().join("new");
        symlink(target, &new).unwrap();
        fs::rename(new, self.live.path().join(name)).unwrap();
    }

    async fn connect(&self, authority: &Path) -> Result<Session, Error> {
        let port = self.served.addresses().first().unwrap().port();
        let url = Url::parse(&format!("ftpes://ann:secret@localhost:{port}/")).unwrap();
        let trust = Trust::Authority(authority.to_owned());
        let config = Config { tls: Tls { trust, ..Tls::default() }, ..Config::default() };
        Session::connect(&url, config).await
    }

    fn said(&self, word: &str) -> usize {
        self.served.log().matches(word).count()
    }

    fn logs(&self, word: &str) {
        for _ in 0..1200 {
            if self.said(word) > 0 {
                return;
            }
            park_timeout(Duration::from_millis(25));
        }
        unreachable!("{word} is not in {}", self.served.log());
    }
}

#[tokio::test]
async fn key_and_certificate_replaced_one_after_the_other() {
    let site = Site::new();
    let [one, other] = &site.papers;
    let mut old = site.connect(&one.authority).await.unwrap();
    site.point("key", &other.key);
    // Longer than the server's two looks at the files, which find that they do not fit.
    park_timeout(Duration::from_secs(5));
    site.connect(&one.authority).await.unwrap();
    site.point("certificate", &other.certificate);
    site.logs("certificate, read again");
    site.connect(&other.authority).await.unwrap();
    assert!(site.connect(&one.authority).await.is_err(), "the old one is shown no more");
    assert_eq!(site.said("certificate-unusable"), 0, "{}", site.served.log());
    // Each of its data connections still shows what its control connection has shown.
    old.list(None).await.unwrap();
}

#[tokio::test]
async fn a_bad_certificate_is_told_once_and_the_old_one_stays() {
    let site = Site::new();
    let [one, other] = &site.papers;
    let half = site.live.path().join("half");
    fs::write(&half, "-----BEGIN CERTIFICATE-----\nMIIB\n").unwrap();
    site.point("certificate", &half);
    site.logs("certificate-unusable");
    site.connect(&one.authority).await.unwrap();
    // Three more looks find the same.
    park_timeout(Duration::from_secs(6));
    assert_eq!(site.said("certificate-unusable"), 1, "{}", site.served.log());
    fs::remove_file(site.live.path().join("certificate")).unwrap();
    site.point("key", &other.key);
    site.point("certificate", &other.certificate);
    site.logs("certificate, read again");
    site.connect(&other.authority).await.unwrap();
}

#[tokio::test]
async fn a_directory_swapped_as_kubernetes_does_it() {
    let volume = TempDir::new().unwrap();
    let root = TempDir::new().unwrap();
    let at = |name: &str| volume.path().join(name);
    let papers = ["..one", "..two"].map(|name| {
        fs::create_dir(at(name)).unwrap();
        Paper::make(&at(name), ["localhost".into()]).unwrap()
    });
    symlink("..one", at("..data")).unwrap();
    symlink("..data/certificate.pem", at("tls.crt")).unwrap();
    symlink("..data/key.pem", at("tls.key")).unwrap();
    let (certificate, key) = (at("tls.crt"), at("tls.key"));
    let files = ["--certificate", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let arguments = ["--user", "ann:secret", "--listen", "127.0.0.1:0"];
    let served = Served::start(root.path(), &[&arguments[..], &files].concat()).unwrap();
    let site =
        Site { live: volume, papers, served, _rest: [(); 3].map(|()| TempDir::new().unwrap()) };
    site.connect(&site.papers[0].authority).await.unwrap();
    site.point("..data", Path::new("..two"));
    site.logs("certificate, read again");
    site.connect(&site.papers[1].authority).await.unwrap();
}

/// The certificate that is shown to a client that says `host` before TLS, and `sni` in it.
async fn shown(address: SocketAddr, host: Option<&str>, sni: Option<&str>) -> Vec<u8> {
    let mut control = BufReader::new(TcpStream::connect(address).await.unwrap());
    let host = host.map(|host| format!("HOST {host}"));
    let mut line = String::new();
    control.read_line(&mut line).await.unwrap();
    for command in host.iter().map(String::as_str).chain(["AUTH TLS"]) {
        control.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        control.read_line(&mut line).await.unwrap();
    }
    assert!(line.ends_with("234 AUTH TLS successful.\r\n"), "{line}");
    let mut config = config(&tls::trust::Trust::Anybody).unwrap();
    config.enable_sni = sni.is_some();
    let name = sni.unwrap_or("nobody.test").to_owned().try_into().unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, control.into_inner()).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap().first().unwrap().to_vec()
}

#[tokio::test]
async fn host_chooses_where_the_handshake_names_nobody() {
    let (root, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut arguments: Vec<String> =
        ["--user", "ann:secret", "--listen", "127.0.0.1:0"].map(Into::into).into();
    let own = ["one.test", "two.test"].map(|name| {
        let folder = files.path().join(name);
        fs::create_dir(&folder).unwrap();
        let paper = Paper::make(&folder, [name.to_owned()]).unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        arguments.extend(["--certificate".into(), path(&paper.certificate)]);
        arguments.extend(["--key".into(), path(&paper.key)]);
        certificates(&paper.certificate).unwrap().first().unwrap().to_vec()
    });
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let served = Served::start(root.path(), &arguments).unwrap();
    let address = *served.addresses().first().unwrap();
    let [one, two] = own;
    assert_eq!(shown(address, None, None).await, one, "the first serves all others");
    assert_eq!(shown(address, Some("two.test"), None).await, two);
    assert_eq!(shown(address, Some("TWO.test"), None).await, two);
    assert_eq!(shown(address, Some("three.test"), None).await, one);
    assert_eq!(shown(address, Some("[::1]"), None).await, one);
    assert_eq!(shown(address, Some("two.test"), Some("one.test")).await, one, "SNI counts more");
    assert_eq!(shown(address, None, Some("two.test")).await, two);
}
