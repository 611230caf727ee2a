//! The server's TLS: certificates and keys made into what handshakes need.
//!
//! The handshakes are in `twoport_net::tls`; whether TLS must be used is the session's policy.

mod certificates;
pub(crate) mod watch;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};

use twoport_net::tls::ALPN;
use twoport_net::tls::accept::Reuse;
use twoport_proto::server::Requirement;

pub(crate) use self::certificates::state_directory;
use self::certificates::{BySni, Loaded};
use self::watch::Stamp;
use crate::acme::kept::Kept;
use crate::config::Config;
use crate::config::words::ClientCertificates;

/// TLS as it is configured, ready for handshakes.
#[derive(Clone)]
pub struct Tls {
    /// What handshakes need.
    pub config: Arc<ServerConfig>,
    /// What is asked of data connections.
    pub reuse: Reuse,
    /// The SHA-256 of each certificate, in hexadecimal, for those who pin it.
    pub fingerprints: Vec<String>,
    /// The files it was made of, as they were.
    pub(crate) stamp: Stamp,
}

/// Keys are in there.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("fingerprints", &self.fingerprints).finish_non_exhaustive()
    }
}

/// Whether TLS is on: as configured, or, left to itself, where a certificate is given.
#[must_use]
pub fn requirement(config: &Config) -> Requirement {
    let tls = &config.tls;
    let has_certificate = !tls.certificate.is_empty() || !tls.acme.is_empty();
    let default = if has_certificate || !tls.implicit_tls.is_empty() {
        Requirement::Optional
    } else {
        Requirement::Off
    };
    config.tls.tls.map_or(default, Into::into)
}

impl Tls {
    /// Loads what the configuration names; without a certificate it makes one for itself, once, and
    /// keeps it.
    ///
    /// # Errors
    /// A file that cannot be read, a key that does not fit its certificate.
    pub fn load(config: &Config) -> io::Result<Option<Self>> {
        if requirement(config) == Requirement::Off {
            return Ok(None);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let pairs = certificates::pairs(&config.tls)?;
        let files = pairs.iter().flat_map(|(certificate, key)| [certificate, key]);
        // Before they are read: what changes while they are is seen at the next look.
        let files = files.chain(&config.tls.client_ca).cloned();
        let kept = Kept::of(&config.tls);
        let stamp = Stamp::of(files.chain(kept.certificates()));
        let loaded = certificates::load(&pairs, &provider)?;
        let versions = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(io::Error::other)?;
        let verified = match (&config.tls.client_ca, config.tls.client_certificates) {
            (_, ClientCertificates::Off) | (None, _) => versions.with_no_client_auth(),
            (Some(authority), wish) => {
                let roots = Arc::new(certificates::roots(authority)?);
                let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                if wish == ClientCertificates::Request {
                    verifier = verifier.allow_unauthenticated();
                }
                versions.with_client_cert_verifier(verifier.build().map_err(in_file(authority))?)
            }
        };
        let Loaded { keys, fingerprints } = loaded;
        let mut tls = verified.with_cert_resolver(Arc::new(BySni::new(keys)));
        tls.alpn_protocols = ALPN.iter().map(|protocol| protocol.to_vec()).collect();
        let reuse = config.tls.require_reuse.into();
        Ok(Some(Self { config: Arc::new(tls), reuse, fingerprints, stamp }))
    }
}

pub(crate) fn in_file<E: fmt::Display>(path: &Path) -> impl Fn(E) -> io::Error {
    move |error| io::Error::other(format!("{}: {error}", path.display()))
}
