//! TLS for both connections of FTP, with rustls on aws-lc: the server's end in [`accept`], the
//! client's in [`connect`].
//!
//! It holds no policy of its own: which certificates, whom to trust and whether a data connection
//! must resume are given.

pub mod accept;
pub mod connect;
pub mod hello;
pub mod keys;
pub mod reissue;
mod sessions;
pub mod tickets;
pub mod trust;

use std::{fmt, io};

use rustls::{
    AlertDescription, CertificateError, CommonState, Error, HandshakeKind, PeerIncompatible,
    PeerMisbehaved, ProtocolVersion,
};
use twoport_proto::reason::Reason;

/// The protocols of ALPN. `ftp` is registered for the control connection; some clients name the
/// data connection `ftp-data`.
pub const ALPN: [&[u8]; 2] = [b"ftp", b"ftp-data"];

/// What a handshake agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The version, such as `TLS 1.3`.
    pub version: &'static str,
    /// The cipher suite, as its registry names it.
    pub suite: &'static str,
    /// Whether it resumed a session.
    pub resumed: bool,
}

impl Facts {
    pub(crate) fn of(session: &CommonState) -> Self {
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS",
        };
        let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        Self { version, suite: suite.unwrap_or("an unknown cipher"), resumed }
    }
}

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

/// What a verifier says of a certificate that is signed by nobody but itself; rustls has no word
/// for it.
#[derive(Debug)]
pub struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is signed by nobody but itself")
    }
}

impl std::error::Error for SelfSigned {}

/// What rustls refuses without a connection: a key that does not fit, say.
impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        Self { reason: reason(&error), source: Some(io::Error::other(error)) }
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
        | Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol)
        | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Reason::AlpnRefused,
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => Reason::TlsVersion,
        // Key exchange and signatures are part of what a cipher suite was in TLS 1.2.
        Error::PeerIncompatible(_)
        | Error::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
        ) => Reason::TlsCipher,
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied
            // A signature that does not fit: of another authority with the same name, say.
            | AlertDescription::DecryptError,
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
        CertificateError::Other(other) if other.0.is::<SelfSigned>() => {
            Reason::CertificateSelfSigned
        }
        // Nobody but the verifier of `trust` says this.
        CertificateError::ApplicationVerificationFailure => Reason::CertificateNotPinned,
        _ => Reason::CertificateInvalid,
    }
}
