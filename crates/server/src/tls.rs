//! The server's TLS: certificates and keys made into what handshakes need.
//!
//! The handshakes are in `twoport_net::tls`; whether TLS must be used is the session's policy.

mod certificates;
mod clients;
pub(crate) mod watch;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};

use twoport_net::tls::ALPN;
use twoport_net::tls::accept::Reuse;
use twoport_net::tls::reissue;
use twoport_proto::server::Requirement;

pub(crate) use self::certificates::state_directory;
use self::certificates::{BySni, Loaded};
use self::clients::Believed;
use self::watch::Stamp;
use crate::accounts::Accounts;
use crate::acme::kept::Kept;
use crate::config::listener::Door;
use crate::config::words::ClientCertificates;
use crate::config::{Config, settings};

/// TLS as it is configured, ready for handshakes.
#[derive(Clone)]
pub struct Tls {
    /// What handshakes need, at each door that has TLS.
    doors: HashMap<Door, Terms>,
    /// The SHA-256 of each certificate, in hexadecimal, for those who pin it.
    pub fingerprints: Vec<String>,
    /// The files it was made of, as they were.
    pub(crate) stamp: Stamp,
}

/// TLS at one door.
#[derive(Clone)]
pub struct Terms {
    /// What handshakes need.
    pub config: Arc<ServerConfig>,
    /// What is asked of data connections.
    pub reuse: Reuse,
    /// Whether client certificates log in.
    pub logs_in: bool,
    certificates: BySni,
}

impl Terms {
    /// What handshakes of a session need whose client has said in clear, by HOST, by which name it
    /// knows the server. SNI counts more: it is what the client compares the certificate with.
    #[must_use]
    pub(crate) fn for_host(&self, host: Option<&[u8]>) -> Arc<ServerConfig> {
        match host.and_then(|host| self.certificates.with_default(host)) {
            Some(certificates) => {
                let mut config = ServerConfig::clone(&self.config);
                config.cert_resolver = Arc::new(certificates);
                Arc::new(config)
            }
            None => Arc::clone(&self.config),
        }
    }
}

/// Keys are in there.
impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms").field("reuse", &self.reuse).finish_non_exhaustive()
    }
}

/// Keys are in there.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("fingerprints", &self.fingerprints).finish_non_exhaustive()
    }
}

/// Whether TLS is on at a door: as configured, or, left to itself, where a certificate is given.
#[must_use]
pub fn requirement(tls: &settings::Tls) -> Requirement {
    let has_certificate = !tls.certificate.is_empty() || !tls.acme.is_empty();
    let default = if has_certificate || !tls.implicit_tls.is_empty() {
        Requirement::Optional
    } else {
        Requirement::Off
    };
    tls.tls.map_or(default, Into::into)
}

/// Whether TLS is on at any door.
#[must_use]
pub fn is_on(config: &Config) -> bool {
    config.doors().iter().any(|(_, tls)| requirement(tls) != Requirement::Off)
}

impl Tls {
    /// Loads what the configuration names; without a certificate it makes one for itself, once, and
    /// keeps it.
    ///
    /// # Errors
    /// A file that cannot be read, a key that does not fit its certificate.
    pub fn load(config: &Config, accounts: &Accounts) -> io::Result<Option<Self>> {
        if !is_on(config) {
            return Ok(None);
        }
        let provider = Arc::new(reissue::provider());
        let pairs = certificates::pairs(&config.tls)?;
        let files = pairs.iter().flat_map(|(certificate, key)| [certificate, key]);
        // Before they are read: what changes while they are is seen at the next look.
        let doors = config.doors();
        let authorities: BTreeSet<_> =
            doors.iter().filter_map(|(_, tls)| tls.client_ca.clone()).collect();
        let kept = Kept::of(&config.tls);
        let stamp = Stamp::of(files.cloned().chain(authorities).chain(kept.certificates()));
        let Loaded { keys, fingerprints } = certificates::load(&pairs, &provider)?;
        let shown = BySni::new(keys);
        let with_tls = doors.into_iter().filter(|(_, tls)| requirement(tls) != Requirement::Off);
        let doors = with_tls.map(|(door, tls)| {
            let config = Arc::new(server_config(tls, accounts, &provider, &shown)?);
            let logs_in = tls.client_certificates == ClientCertificates::Login;
            let (reuse, certificates) = (tls.require_reuse.into(), shown.clone());
            Ok((door, Terms { config, reuse, logs_in, certificates }))
        });
        Ok(Some(Self { doors: doors.collect::<io::Result<_>>()?, fingerprints, stamp }))
    }

    /// TLS at a door, where it is on.
    #[must_use]
    pub fn at(&self, door: &Door) -> Option<&Terms> {
        self.doors.get(door)
    }
}

fn server_config(
    tls: &settings::Tls,
    accounts: &Accounts,
    provider: &Arc<CryptoProvider>,
    shown: &BySni,
) -> io::Result<ServerConfig> {
    let versions = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(io::Error::other)?;
    let wish = tls.client_certificates;
    let verified = match wish {
        ClientCertificates::Off => versions.with_no_client_auth(),
        _ => versions.with_client_cert_verifier(Arc::new(Believed {
            signed: tls.client_ca.as_deref().map(|at| signed(at, provider)).transpose()?,
            named: match wish {
                ClientCertificates::Login => accounts.named_certificates(),
                _ => Vec::new(),
            },
            mandatory: wish == ClientCertificates::Require,
            provider: Arc::clone(provider),
        })),
    };
    let mut config = verified.with_cert_resolver(Arc::new(shown.clone()));
    config.alpn_protocols = ALPN.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// Believes what the authorities of a file have signed.
fn signed(
    authorities: &Path,
    provider: &Arc<CryptoProvider>,
) -> io::Result<Arc<dyn ClientCertVerifier>> {
    let roots = Arc::new(certificates::roots(authorities)?);
    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(in_file(authorities))
}

pub(crate) fn in_file<E: fmt::Display>(path: &Path) -> impl Fn(E) -> io::Error {
    move |error| io::Error::other(format!("{}: {error}", path.display()))
}
