//! The client's end of TLS: handshakes on a control connection, and on its data connections, which
//! resume its sessions and are verified against its name.
//!
//! Whether TLS is wanted at all, and when a handshake begins, is decided by the client's machines.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use twoport_proto::reason::Reason;

use super::sessions::Sessions;
use super::trust::{FirstUse, Trust};
use super::{ALPN, TlsError};
use crate::stream::{Io, Stream};

/// The versions of TLS that may be spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// Both.
    #[default]
    All,
    /// TLS 1.2 (RFC 5246).
    Only12,
    /// TLS 1.3 (RFC 8446).
    Only13,
}

/// What a client proves who it is with.
#[derive(Debug)]
pub struct Identity {
    /// Its certificate first, then those above it.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads both from files in PEM form.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidData`] for what is no PEM.
    pub fn read(certificate: &Path, key: &Path) -> io::Result<Self> {
        let key = PrivateKeyDer::from_pem_file(key).map_err(pem);
        Ok(Self { chain: certificates(certificate)?, key: key? })
    }
}

/// Reads all certificates of a file in PEM form: at least one.
///
/// # Errors
/// What the system says; [`io::ErrorKind::InvalidData`] for what is no PEM.
pub fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> =
        CertificateDer::pem_file_iter(file).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)?;
    if found.is_empty() {
        let message = "there is no certificate in PEM form in it";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(found)
}

/// The TLS of one control connection and of its data connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    config: Arc<ClientConfig>,
    sessions: Arc<Sessions>,
    nobody: Arc<Nobody>,
    first: Option<Arc<FirstUse>>,
    name: ServerName<'static>,
}

impl Guard {
    /// That of a new control connection to `host`, a name or an address.
    ///
    /// # Errors
    /// The key does not fit, the platform has no authorities, or the host can be no name.
    pub fn new(
        host: &str,
        trust: &Trust,
        identity: Option<Identity>,
        versions: Versions,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = trust.verifier(&provider)?;
        let versions = match versions {
            Versions::All => &[&TLS13, &TLS12][..],
            Versions::Only12 => &[&TLS12],
            Versions::Only13 => &[&TLS13],
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let nobody = Arc::new(Nobody::default());
        let mut config = match identity {
            Some(identity) => config.with_client_auth_cert(identity.chain, identity.key)?,
            None => config.with_client_cert_resolver(Arc::clone(&nobody) as Arc<_>),
        };
        // vsftpd knows `ftp` alone, also on data connections.
        config.alpn_protocols = ALPN.iter().take(1).map(|name| name.to_vec()).collect();
        let sessions = Arc::new(Sessions::default());
        config.resumption = Resumption::store(Arc::clone(&sessions) as Arc<_>);
        let first = match trust {
            Trust::FirstUse(first) => Some(Arc::clone(first)),
            Trust::Platform | Trust::Authorities(_) | Trust::Pin(_) | Trust::Anybody => None,
        };
        Ok(Self { config: Arc::new(config), sessions, nobody, first, name: name(host)? })
    }

    /// What is known of the server, where its first certificate is believed.
    #[must_use]
    pub fn first_use(&self) -> Option<&FirstUse> {
        self.first.as_deref()
    }

    /// Whether the next data connection cannot resume though the server gave tickets: all of them
    /// are used. A server that demands resumption refuses it then.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.sessions.are_spent()
    }

    /// In TLS 1.2 a server that misses a certificate says no more than that the handshake failed
    /// (RFC 5246 §7.4.6).
    fn explained(&self, error: TlsError) -> TlsError {
        if self.first.is_some() && error.reason == Reason::CertificateNotPinned {
            return TlsError { reason: Reason::CertificateChanged, ..error };
        }
        let vague = matches!(error.reason, Reason::TlsCipher | Reason::TlsFailed);
        if vague && self.nobody.0.load(Ordering::Relaxed) {
            return TlsError { reason: Reason::CertificateMissing, ..error };
        }
        error
    }

    /// Does the client's part of a handshake, within `patience`.
    ///
    /// # Errors
    /// Why it failed. The connection is closed then.
    pub async fn connect(&self, tcp: TcpStream, patience: Duration) -> Result<Stream, TlsError> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let connect = connector.connect(self.name.clone(), Io::new(tcp));
        match tokio::time::timeout(patience, connect).await {
            Ok(Ok(connected)) => Ok(tokio_rustls::TlsStream::Client(connected).into()),
            Ok(Err(error)) => Err(self.explained(error.into())),
            Err(_) => Err(TlsError::new(Reason::TlsSilent)),
        }
    }
}

/// Who has no certificate, and notes whether the server asked for one.
#[derive(Debug, Default)]
struct Nobody(AtomicBool);

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// What handshakes need in any other protocol than FTP: no name of a protocol is offered.
///
/// # Errors
/// The platform has no authorities, or a given one cannot be read.
pub fn config(trust: &Trust) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = trust.verifier(&provider)?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// An address is verified as one, without the zone, which means nothing to the server.
fn name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let address = host.split('%').next().unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(address) => Ok(ServerName::IpAddress(address.into())),
        Err(_) => ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| TlsError::new(Reason::CertificateWrongName)),
    }
}

fn pem(error: rustls::pki_types::pem::Error) -> io::Error {
    match error {
        rustls::pki_types::pem::Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_become_what_certificates_have() {
        for (host, expected) in [
            ("ftp.example.net", "ftp.example.net"),
            ("ftp.example.net.", "ftp.example.net"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
        ] {
            assert_eq!(name(host).unwrap().to_str(), expected);
        }
        assert_eq!(name("a b").unwrap_err().reason, Reason::CertificateWrongName);
    }

    #[test]
    fn each_control_connection_has_sessions_of_its_own() {
        let guard = || Guard::new("h", &Trust::Anybody, None, Versions::All).unwrap();
        let (one, other) = (guard(), guard());
        assert!(Arc::ptr_eq(&one.config, &one.clone().config));
        assert!(!Arc::ptr_eq(&one.config, &other.config));
        assert_eq!(one.config.alpn_protocols, [b"ftp".to_vec()]);
    }
}
