//! What a client certificate says of its holder, and how an account names it.
//!
//! Whether it can be believed is decided in the handshake, before anybody reads it here.

use std::fmt;

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use twoport_net::tls::trust::Fingerprint;

use crate::config::value::Wrong;

/// A name in a certificate. Its kind is part of it: an authority that lets people choose their
/// common name gives nobody the address of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The common name of the subject.
    Common(String),
    /// A mail address of the subject's alternative names.
    Email(String),
    /// A host of the subject's alternative names.
    Dns(String),
}

impl Name {
    /// Reads `cn:Ann Smith`, `email:ann@example.com` or `dns:host.example.com`.
    pub fn read(text: &str) -> Result<Self, Wrong> {
        let wrong = || {
            let remedy = "write the kind before it, such as \"cn:Ann Smith\", \
                          \"email:ann@example.com\" or \"dns:host.example.com\"";
            Wrong::new(format!("{text:?} is not a name in a certificate"), remedy)
        };
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        let name = name.trim();
        match kind {
            _ if name.is_empty() => Err(wrong()),
            "cn" => Ok(Self::Common(name.to_owned())),
            "email" => Ok(Self::email(name)),
            "dns" => Ok(Self::Dns(name.to_ascii_lowercase())),
            _ => Err(wrong()),
        }
    }

    /// The case of the host does not count (RFC 5280 §7.5), that of the mailbox does.
    fn email(address: &str) -> Self {
        Self::Email(match address.rsplit_once('@') {
            Some((mailbox, host)) => format!("{mailbox}@{}", host.to_ascii_lowercase()),
            None => address.to_owned(),
        })
    }
}

/// As it is written down.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Common(name) => write!(f, "cn:{name}"),
            Self::Email(name) => write!(f, "email:{name}"),
            Self::Dns(name) => write!(f, "dns:{name}"),
        }
    }
}

/// Reads the fingerprint of a certificate, as `certificate` has it.
pub fn read_fingerprint(text: &str) -> Result<Fingerprint, Wrong> {
    Fingerprint::parse(text).ok_or_else(|| {
        let remedy =
            "write 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` shows them";
        Wrong::new(format!("{text:?} is not the SHA-256 of a certificate"), remedy)
    })
}

/// A certificate that a client has shown, and that was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its SHA-256.
    pub fingerprint: Option<Fingerprint>,
    /// The names in it.
    pub names: Vec<Name>,
}

impl Shown {
    /// Reads a certificate in DER. One that cannot be read has no names.
    #[must_use]
    pub fn read(certificate: &[u8]) -> Self {
        let names = X509Certificate::from_der(certificate).map(|(_, read)| names(&read));
        Self { fingerprint: Fingerprint::of(certificate), names: names.unwrap_or_default() }
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<Name> {
    let common: Vec<_> =
        certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()).collect();
    // Several are nobody's in particular.
    let common = match common.as_slice() {
        [one] => Some(Name::Common((*one).to_owned())),
        _ => None,
    };
    let others = certificate.subject_alternative_name().ok().flatten();
    let others = others.into_iter().flat_map(|names| &names.value.general_names);
    let others = others.filter_map(|name| match name {
        GeneralName::RFC822Name(address) => Some(Name::email(address)),
        GeneralName::DNSName(host) => Some(Name::Dns(host.to_ascii_lowercase())),
        _ => None,
    });
    common.into_iter().chain(others).collect()
}

/// What an account says of the certificates that log it in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// Their fingerprints. One of these needs no authority.
    pub fingerprints: Vec<Fingerprint>,
    /// Names in certificates that an authority of client-ca has signed.
    pub names: Vec<Name>,
}

impl Certificates {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.fingerprints.is_empty() && self.names.is_empty()
    }

    /// Whether the certificate is one of them. One that is believed for its fingerprint alone,
    /// `pinned`, has signed its names itself: they count for nothing.
    #[must_use]
    pub fn include(&self, shown: &Shown, pinned: bool) -> bool {
        let by_fingerprint = shown.fingerprint.is_some_and(|it| self.fingerprints.contains(&it));
        by_fingerprint || (!pinned && shown.names.iter().any(|name| self.names.contains(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_kind() {
        assert_eq!(Name::read("dns:Host.Example").unwrap(), Name::Dns("host.example".into()));
        assert_eq!(
            Name::read("email:Ann@Example.COM").unwrap(),
            Name::Email("Ann@example.com".into())
        );
        assert_eq!(Name::read("cn: Ann Smith").unwrap().to_string(), "cn:Ann Smith");
        for bad in ["ann", "uid:ann", "cn:", "email: "] {
            assert!(Name::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pinned_certificate_has_no_names() {
        let shown = Shown {
            fingerprint: Some(Fingerprint([7; 32])),
            names: vec![Name::Common("ann".into())],
        };
        let by_name =
            Certificates { fingerprints: vec![], names: vec![Name::Common("ann".into())] };
        assert!(by_name.include(&shown, false) && !by_name.include(&shown, true));
        let by_print = Certificates { fingerprints: vec![Fingerprint([7; 32])], names: vec![] };
        assert!(by_print.include(&shown, true));
        assert!(!Certificates::default().include(&shown, false));
        assert_eq!(Shown::read(b"nonsense").names, []);
    }
}
