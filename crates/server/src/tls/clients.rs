//! Which client certificates are believed: those that an authority signed, and those that an account
//! names by their fingerprint.
//!
//! Whom they log in is decided at USER, not here.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use twoport_net::tls::SelfSigned;
use twoport_net::tls::trust::Fingerprint;

/// What rustls asks.
#[derive(Debug)]
pub(super) struct Believed {
    /// Those of the authorities, where there are any.
    pub(super) signed: Option<Arc<dyn ClientCertVerifier>>,
    /// Those of accounts.
    pub(super) named: Vec<Fingerprint>,
    /// Whether clients must have one.
    pub(super) mandatory: bool,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Believed {
    /// Clients choose by these names. Where certificates are known by their fingerprint none is
    /// given: theirs are in no list.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        match &self.signed {
            Some(signed) if self.named.is_empty() => signed.root_hint_subjects(),
            _ => &[],
        }
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if Fingerprint::of(leaf).is_some_and(|it| self.named.contains(&it)) {
            return within_its_dates(leaf, now).map(|()| ClientCertVerified::assertion());
        }
        let judged = match &self.signed {
            Some(signed) => signed.verify_client_cert(leaf, above, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        judged.map_err(|error| if signs_itself(leaf, &error) { self_signed() } else { error })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What nobody else has signed is refused for that, whatever else the authorities' rules say of it
/// (`openssl req -x509` makes certificates that call themselves authorities).
fn signs_itself(leaf: &CertificateDer<'_>, error: &Error) -> bool {
    let is_unsigned = matches!(
        error,
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
    );
    let read = X509Certificate::from_der(leaf);
    is_unsigned && read.is_ok_and(|(_, read)| read.subject() == read.issuer())
}

fn self_signed() -> Error {
    CertificateError::Other(OtherError(Arc::new(SelfSigned))).into()
}

fn within_its_dates(leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let read = X509Certificate::from_der(leaf);
    let (_, read) = read.map_err(|_| Error::from(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let dates = read.validity();
    if now < dates.not_before.timestamp() {
        Err(CertificateError::NotValidYet.into())
    } else if now > dates.not_after.timestamp() {
        Err(CertificateError::Expired.into())
    } else {
        Ok(())
    }
}
