//! Whom a client trusts: the platform's authorities, others, one certificate, or anybody.
//!
//! It reads no files but those of the platform.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use twoport_proto::reason::Reason;

use super::TlsError;

/// The SHA-256 of a certificate in DER: what `openssl x509 -fingerprint -sha256` shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// That of a certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let hash = TLS13_AES_128_GCM_SHA256.tls13()?.common.hash_provider.hash(certificate);
        hash.as_ref().try_into().ok().map(Self)
    }

    /// Reads 64 hexadecimal digits, with or without colons between the bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let bytes: Option<Vec<u8>> = text
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
                _ => None,
            })
            .collect();
        bytes?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those signed by the authorities of the platform.
    #[default]
    Platform,
    /// Those signed by these authorities, or these themselves, and no others.
    Authorities(Vec<CertificateDer<'static>>),
    /// This one alone, whoever signed it and whatever its name.
    Pin(Fingerprint),
    /// The first one that is seen, or the one that is known, and then no other.
    FirstUse(Arc<FirstUse>),
    /// All: against eavesdroppers only.
    Anybody,
}

/// What is known of one server, whose first certificate is believed.
#[derive(Debug, Default)]
pub struct FirstUse {
    known: Option<Fingerprint>,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    first: Option<Fingerprint>,
    last: Option<Fingerprint>,
}

impl FirstUse {
    /// With what is known from before.
    #[must_use]
    pub fn new(known: Option<Fingerprint>) -> Self {
        Self { known, ..Self::default() }
    }

    /// The certificate that is believed though none was known before.
    #[must_use]
    pub fn introduced(&self) -> Option<Fingerprint> {
        if self.known.is_some() { None } else { self.seen().first }
    }

    /// The one that was shown last, believed or not.
    #[must_use]
    pub fn shown(&self) -> Option<Fingerprint> {
        self.seen().last
    }

    fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn believes(&self, shown: Option<Fingerprint>) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.last = shown;
        let expected = self.known.or(seen.first);
        if expected.is_none() {
            seen.first = shown;
        }
        shown.is_some() && expected.is_none_or(|expected| Some(expected) == shown)
    }
}

impl Trust {
    /// What rustls asks.
    pub(super) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        Ok(match self {
            Self::Platform => authorities(platform()?, provider)?,
            Self::Authorities(given) => {
                let mut roots = RootCertStore::empty();
                for authority in given {
                    roots.add(authority.clone())?;
                }
                Arc::new(GivenOrSigned(given.clone(), authorities(roots, provider)?))
            }
            Self::Pin(_) | Self::FirstUse(_) | Self::Anybody => {
                Arc::new(Unsigned(self.clone(), Arc::clone(provider)))
            }
        })
    }
}

fn authorities(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    Ok(verifier.map_err(|error| Error::General(error.to_string()))?)
}

/// The authorities of the platform; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others, as for OpenSSL.
/// One that cannot be read is left out: stores hold oddities.
fn platform() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let message =
            "this system has no store of authorities (such as the package ca-certificates)";
        let source = Some(io::Error::new(io::ErrorKind::NotFound, message));
        return Err(TlsError { reason: Reason::CertificateUnknownIssuer, source });
    }
    Ok(roots)
}

/// Believes what the given certificates signed, and themselves: a self-signed certificate that calls
/// itself an authority, as `openssl req -x509` makes them, signs nobody in the eyes of webpki.
#[derive(Debug)]
struct GivenOrSigned(Vec<CertificateDer<'static>>, Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for GivenOrSigned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        status: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.1.verify_server_cert(leaf, above, name, status, now);
        // It says so only after it has looked at the dates; the name is left.
        let an_authority = |error: &Error| match error {
            Error::InvalidCertificate(CertificateError::Other(why)) => {
                why.to_string().contains("CaUsedAsEndEntity")
            }
            _ => false,
        };
        if judged.as_ref().is_err_and(an_authority) && self.0.iter().any(|given| given == leaf) {
            verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        judged
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.1.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.1.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.supported_verify_schemes()
    }
}

/// Believes the pinned certificate, the first one, or all, whoever signed it. That the peer holds its
/// key is checked all the same.
#[derive(Debug)]
struct Unsigned(Trust, Arc<CryptoProvider>);

impl ServerCertVerifier for Unsigned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(leaf);
        let believed = match &self.0 {
            Trust::Pin(pin) => shown == Some(*pin),
            Trust::FirstUse(first) => first.believes(shown),
            Trust::Anybody => true,
            Trust::Platform | Trust::Authorities(_) => false,
        };
        if believed {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &self.1.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.1.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_believed_and_then_no_other() {
        let [one, other] = [1, 2].map(|byte| Some(Fingerprint([byte; 32])));
        let first = FirstUse::default();
        assert!(first.introduced().is_none() && !first.believes(None));
        assert!(first.believes(one) && first.believes(one) && !first.believes(other));
        assert_eq!((first.introduced(), first.shown()), (one, other));
        let known = FirstUse::new(one);
        assert!(!known.believes(other) && known.believes(one) && !known.believes(other));
        assert_eq!((known.introduced(), known.shown()), (None, other));
    }

    #[test]
    fn a_fingerprint_is_read_in_both_ways_it_is_written() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let pin = Fingerprint::of(b"").unwrap();
        assert_eq!(pin.to_string(), empty);
        assert_eq!(Fingerprint::parse(empty), Some(pin));
        let pairs: Vec<_> = empty.as_bytes().chunks(2).map(<[u8]>::escape_ascii).collect();
        let colons = pairs.iter().map(ToString::to_string).collect::<Vec<_>>().join(":");
        assert_eq!(Fingerprint::parse(&colons.to_uppercase()), Some(pin));
        for bad in ["", "e3b0", &empty[1..], &format!("{empty}00"), &empty.replace('e', "g")] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }
}
