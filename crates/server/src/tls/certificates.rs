//! Certificates and keys: read from files, chosen by name, or made for oneself.
//!
//! Nobody is asked to sign one here: that is for [`acme`](crate::acme).

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

use super::in_file;
use crate::acme::kept::Kept;
use crate::config::settings;

/// What the files gave.
pub(super) struct Loaded {
    pub(super) keys: Vec<Arc<CertifiedKey>>,
    pub(super) fingerprints: Vec<String>,
}

/// Chooses a certificate by the name that the client gives in SNI; one of them serves all others.
#[derive(Clone, Debug)]
pub(super) struct BySni {
    keys: Arc<[Arc<CertifiedKey>]>,
    otherwise: Option<Arc<CertifiedKey>>,
}

impl BySni {
    /// The first serves all others.
    pub(super) fn new(keys: Vec<Arc<CertifiedKey>>) -> Self {
        let otherwise = keys.first().cloned();
        Self { keys: keys.into(), otherwise }
    }

    /// The same where the one for this name serves all others; none if none is for it.
    pub(super) fn with_default(&self, name: &[u8]) -> Option<Self> {
        let name = ServerName::try_from(str::from_utf8(name).ok()?).ok()?;
        let otherwise = Some(Arc::clone(self.named(&name)?));
        Some(Self { keys: Arc::clone(&self.keys), otherwise })
    }

    fn named(&self, name: &ServerName<'_>) -> Option<&Arc<CertifiedKey>> {
        self.keys.iter().find(|key| is_for(key, name))
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| self.named(&name));
        named.or(self.otherwise.as_ref()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let own = key.end_entity_cert().ok().and_then(|own| ParsedCertificate::try_from(own).ok());
    own.is_some_and(|own| verify_server_name(&own, name).is_ok())
}

/// The files of each certificate with its key, those given before those got by ACME; where there are
/// none, of the one that is made.
pub(super) fn pairs(tls: &settings::Tls) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let given = tls.certificate.iter().cloned().zip(tls.key.iter().cloned());
    let kept = Kept::of(tls);
    let got = kept.certificates().filter(|path| path.exists());
    // Certificate and key are in one file there.
    let all: Vec<_> = given.chain(got.map(|path| (path.clone(), path))).collect();
    if all.is_empty() { Ok(vec![own(tls)?]) } else { Ok(all) }
}

/// Loads each certificate with its key.
pub(super) fn load(pairs: &[(PathBuf, PathBuf)], provider: &CryptoProvider) -> io::Result<Loaded> {
    let mut loaded = Loaded { keys: Vec::new(), fingerprints: Vec::new() };
    for (certificate, key) in pairs {
        let (certified, fingerprint) = pair(certificate, key, provider)?;
        loaded.keys.push(Arc::new(certified));
        loaded.fingerprints.push(fingerprint);
    }
    Ok(loaded)
}

fn pair(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> io::Result<(CertifiedKey, String)> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(in_file(certificate))?;
    let Some(first) = chain.first() else {
        return Err(in_file(certificate)("no certificate in PEM form is in it"));
    };
    let fingerprint = hex(&Sha256::digest(first));
    let secret = PrivateKeyDer::from_pem_file(key).map_err(in_file(key))?;
    let certified = CertifiedKey::from_der(chain, secret, provider).map_err(in_file(key))?;
    Ok((certified, fingerprint))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The certificates of a file of authorities.
pub(super) fn roots(path: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(in_file(path))? {
        roots.add(certificate.map_err(in_file(path))?).map_err(in_file(path))?;
    }
    Ok(roots)
}

/// The self-signed certificate of this server: made at the first start and kept, so that those who
/// have pinned it are not asked again.
fn own(tls: &settings::Tls) -> io::Result<(PathBuf, PathBuf)> {
    let directory = state_directory(tls);
    let (certificate, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
    if !certificate.exists() || !key.exists() {
        fs::create_dir_all(&directory).map_err(in_file(&directory))?;
        let names = vec![
            "localhost".to_owned(),
            rustix::system::uname().nodename().to_string_lossy().into_owned(),
        ];
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        write(&key, 0o600, &made.signing_key.serialize_pem())?;
        write(&certificate, 0o644, &made.cert.pem())?;
    }
    Ok((certificate, key))
}

fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut options = fs::File::options();
    let mut file = options.create(true).write(true).truncate(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(in_file(path))
}

/// Where what was made or got is kept: as configured, else where programs do it, which are the XDG
/// base directories, and for root the place of services.
pub(crate) fn state_directory(tls: &settings::Tls) -> PathBuf {
    if let Some(directory) = &tls.state_directory {
        return directory.clone();
    }
    let of_user = || {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
        std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home)
    };
    let is_root = rustix::process::geteuid().is_root();
    let base = if is_root { None } else { of_user() };
    base.unwrap_or_else(|| PathBuf::from("/var/lib")).join("twoport")
}
