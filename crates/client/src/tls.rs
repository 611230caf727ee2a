//! What a user may set about TLS, and the TLS of a session made from it.
//!
//! When it begins is decided by the machines; the handshake itself is `twoport-net`'s.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use twoport_net::tls::TlsError;
use twoport_net::tls::connect::{Guard, Identity, Versions, certificates};
use twoport_net::tls::trust::{self, Fingerprint, FirstUse};
use twoport_proto::client::secure::Policy;
use twoport_proto::reason::Reason;

use crate::data::blocking;
use crate::error::{Class, Error};
use crate::known::{self, Known, Place};
use crate::url::{Scheme, Url};

/// The settings of TLS.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Whether it is used with `ftp://`. Default auto: used where the server offers it, as with
    /// `curl --ssl` and lftp. A certificate that is not believed is an error also then: who offers
    /// TLS and proves nothing is as likely an attacker, and would get the password.
    pub policy: Policy,
    /// Whose certificates are believed. Default: those of the platform's authorities.
    pub trust: Trust,
    /// The files of a certificate, with those above it, and of its key, both in PEM form.
    /// Default none: few servers ask for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Default TLS 1.2 and 1.3.
    pub versions: Versions,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those signed by the platform's authorities.
    #[default]
    Platform,
    /// Those signed by an authority in this file, in PEM form.
    Authority(PathBuf),
    /// This one alone, whatever name it has.
    Pin(Fingerprint),
    /// The first one that a server shows, and then no other: what was seen is kept in this file.
    FirstUse(PathBuf),
    /// All.
    Anybody,
}

/// Whether a URL, with what is set beside it, wants TLS.
pub(crate) fn policy(url: &Url, tls: &Tls) -> Result<Policy, Error> {
    match (url.scheme(), tls.policy) {
        (Scheme::Ftp, policy) => Ok(policy),
        (Scheme::Ftps | Scheme::Ftpes, Policy::Auto | Policy::Required) => Ok(Policy::Required),
        (Scheme::Ftps | Scheme::Ftpes, Policy::Off) => {
            let why = "the URL asks for TLS, which is switched off; write ftp://";
            Err(Error::new(Class::Usage, why))
        }
    }
}

/// The TLS of a new control connection to `host`.
pub(crate) async fn guard(
    host: &str,
    port: u16,
    tls: &Tls,
    versions: Versions,
) -> Result<Guard, Error> {
    let (trust, certificate) = (tls.trust.clone(), tls.certificate.clone());
    let (owned, subject) = (host.to_owned(), host.to_owned());
    // Files and the platform's store are read.
    let make = move || {
        let place = Place { host: &owned, port };
        Ok(make(place, &trust, certificate.as_ref(), versions))
    };
    let made = blocking(make).await;
    made.map_err(|error| Error::local(subject, error))?
}

/// Remembers a server that was met for the first time; its fingerprint, if so.
pub(crate) async fn introduce(
    host: &str,
    port: u16,
    tls: &Tls,
    guard: &Guard,
) -> Result<Option<Fingerprint>, Error> {
    let Trust::FirstUse(file) = tls.trust.clone() else { return Ok(None) };
    let Some(shown) = guard.first_use().and_then(FirstUse::introduced) else { return Ok(None) };
    let (host, subject) = (host.to_owned(), file.display().to_string());
    let remember = move || known::remember(&file, Place { host: &host, port }, shown);
    blocking(remember).await.map_err(|error| Error::local(subject, error))?;
    Ok(Some(shown))
}

/// A handshake that failed, in the words of a user: a changed certificate is told with both
/// fingerprints.
pub(crate) fn refused(
    subject: &str,
    (host, port): (&str, u16),
    tls: &Tls,
    guard: &Guard,
    error: TlsError,
) -> Error {
    let shown = guard.first_use().and_then(FirstUse::shown);
    if let (Reason::CertificateChanged, Trust::FirstUse(file), Some(shown)) =
        (error.reason, &tls.trust, shown)
        && let Ok(Some(Known { fingerprint, since })) = known::look_up(file, Place { host, port })
    {
        let file = file.display();
        let both = format!("sha256 {fingerprint} since {since} in {file}, now sha256 {shown}");
        return Error::why(subject, error.reason, None).with_source(io::Error::other(both));
    }
    failed(subject, error)
}

fn make(
    place: Place<'_>,
    trust: &Trust,
    certificate: Option<&(PathBuf, PathBuf)>,
    versions: Versions,
) -> Result<Guard, Error> {
    let host = place.host;
    let trust = match trust {
        Trust::FirstUse(file) => {
            let known = known::look_up(file, place).map_err(unreadable(file))?;
            let first = FirstUse::new(known.map(|known| known.fingerprint));
            trust::Trust::FirstUse(Arc::new(first))
        }
        Trust::Platform => trust::Trust::Platform,
        Trust::Authority(file) => {
            trust::Trust::Authorities(certificates(file).map_err(unreadable(file))?)
        }
        Trust::Pin(pin) => trust::Trust::Pin(*pin),
        Trust::Anybody => trust::Trust::Anybody,
    };
    let identity = match certificate {
        Some((chain, key)) => Some(Identity::read(chain, key).map_err(unreadable(chain))?),
        None => None,
    };
    Guard::new(host, &trust, identity, versions).map_err(|error| failed(host, error))
}

fn unreadable(file: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::local(file.display().to_string(), error)
}

/// What TLS says stands behind the reason.
pub(crate) fn failed(subject: &str, error: TlsError) -> Error {
    let reason = error.reason;
    let told = Error::why(subject, reason, None);
    // Other reasons say all of it, and shorter.
    let more = |source: &io::Error| {
        let vague = matches!(reason, Reason::TlsFailed | Reason::CertificateInvalid);
        vague || source.kind() == io::ErrorKind::NotFound
    };
    match error.source.filter(more) {
        Some(source) => told.with_source(source),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_asks_for_no_less_than_it_says() {
        let policy = |url: &str, set: Policy| {
            let tls = Tls { policy: set, ..Tls::default() };
            policy(&Url::parse(url).unwrap(), &tls).map_err(|error| error.class())
        };
        for set in [Policy::Off, Policy::Auto, Policy::Required] {
            assert_eq!(policy("ftp://h/", set), Ok(set));
        }
        for url in ["ftps://h/", "ftpes://h/"] {
            assert_eq!(policy(url, Policy::Auto), Ok(Policy::Required));
            assert_eq!(policy(url, Policy::Off), Err(Class::Usage));
        }
    }
}
