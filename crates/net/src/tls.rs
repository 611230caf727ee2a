//! TLS for both connections of FTP, with rustls on aws-lc: the server's end here in
//! [`accept`], the client's beside it.
//!
//! It holds no policy of its own: which certificates, whom to trust and whether a data connection
//! must resume are given.

pub mod accept;
pub mod tickets;

use std::io;

use rustls::{AlertDescription, CertificateError, Error};
use twoport_proto::reason::Reason;

/// The protocols of ALPN. `ftp` is registered for the control connection; some clients name the
/// data connection `ftp-data`.
pub const ALPN: [&[u8]; 2] = [b"ftp", b"ftp-data"];

/// A handshake that led nowhere.
#[derive(Debug)]
pub struct TlsError {
    /// The class of the failure.
    pub reason: Reason,
    /// What TLS or the system said.
    pub source: Option<io::Error>,
}

impl TlsError {
    /// A failure that is ours to name.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self { reason, source: None }
    }
}

/// The class of what came out of a handshake.
impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        Self { reason: tls.map_or(Reason::TlsFailed, reason), source: Some(error) }
    }
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::NoApplicationProtocol
        | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Reason::AlpnRefused,
        Error::PeerIncompatible(_) | Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            Reason::TlsIncompatible
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure) => Reason::TlsIncompatible,
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired,
        ) => Reason::CertificateRefusedByPeer,
        Error::NoCertificatesPresented
        | Error::AlertReceived(AlertDescription::CertificateRequired) => Reason::CertificateMissing,
        Error::InvalidCertificate(error) => certificate(error),
        _ => Reason::TlsFailed,
    }
}

fn certificate(error: &CertificateError) -> Reason {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Reason::CertificateExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Reason::CertificateNotYetValid
        }
        CertificateError::UnknownIssuer => Reason::CertificateUnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Reason::CertificateWrongName
        }
        CertificateError::Revoked => Reason::CertificateRevoked,
        _ => Reason::CertificateInvalid,
    }
}
