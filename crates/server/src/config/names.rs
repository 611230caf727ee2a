//! The settings that are names of the Internet: domains, addresses of mail, URLs.
//!
//! Nothing is looked up: whether a name leads anywhere is seen when it is used.

use std::net::IpAddr;
use std::path::Path;

use rustls::pki_types::DnsName;

use super::value::{Form, Misread, Toml, Value, Wrong};

/// A domain that a certificate can be for, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Domain(pub String);

impl Value for Vec<Domain> {
    const FORM: Form = Form {
        placeholder: "DOMAIN",
        noun: "a domain",
        describe: "a domain such as \"ftp.example.org\", in ASCII as DNS has it",
        toml: Toml::TextOrList,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        text.split(',').map(|part| domain(part.trim())).collect()
    }
}

fn domain(text: &str) -> Result<Domain, Misread> {
    if text.starts_with("*.") {
        let what = format!("{text:?} can only be proven by entries in the DNS");
        return Err(Misread::Wrong(Wrong::new(what, "write each domain by itself")));
    }
    let is_address = text.parse::<IpAddr>().is_ok();
    if is_address || text.ends_with('.') || DnsName::try_from(text).is_err() {
        return Err(Misread::Form);
    }
    Ok(Domain(text.to_ascii_lowercase()))
}

/// An address of mail, as RFC 8555 §7.3 wants it: `mailto:` stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact(pub String);

impl Value for Vec<Contact> {
    const FORM: Form = Form {
        placeholder: "MAIL",
        noun: "an address of mail",
        describe: "an address such as \"admin@example.org\"",
        toml: Toml::TextOrList,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        let one = |part: &str| {
            let (name, host) = part.split_once('@')?;
            let is_plain = |text: &str| {
                !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'@')
            };
            (is_plain(name) && is_plain(host)).then(|| Contact(format!("mailto:{part}")))
        };
        text.split(',').map(|part| one(part.trim()).ok_or(Misread::Form)).collect()
    }
}

/// A URL of HTTPS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpsUrl(pub String);

impl Value for HttpsUrl {
    const FORM: Form = Form {
        placeholder: "URL",
        noun: "a URL of HTTPS",
        describe: "a URL such as \"https://acme.example.org/directory\"",
        toml: Toml::Text,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        let uri: hyper::Uri = text.parse().map_err(|_| Misread::Form)?;
        let is_whole = uri.scheme_str() == Some("https") && uri.host().is_some();
        if is_whole { Ok(Self(text.to_owned())) } else { Err(Misread::Form) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Value>(text: &str) -> Option<T> {
        T::read(text, Path::new("")).ok()
    }

    #[test]
    fn domains_are_those_that_can_be_proven() {
        let two: Vec<Domain> = read("FTP.example.org, localhost").unwrap();
        assert_eq!(two, [Domain("ftp.example.org".into()), Domain("localhost".into())]);
        for bad in ["", "192.0.2.1", "::1", "a b", "*.example.org", "example.org.", "zo\u{eb}.org"]
        {
            assert_eq!(read::<Vec<Domain>>(bad), None, "{bad}");
        }
    }

    #[test]
    fn contacts_and_urls() {
        let mail: Vec<Contact> = read("admin@example.org").unwrap();
        assert_eq!(mail, [Contact("mailto:admin@example.org".into())]);
        for bad in ["admin", "@example.org", "a@b@c", "a b@c"] {
            assert_eq!(read::<Vec<Contact>>(bad), None, "{bad}");
        }
        assert!(read::<HttpsUrl>("https://localhost:14000/dir").is_some());
        for bad in ["", "http://example.org/", "example.org", "https://", "https://a b/"] {
            assert_eq!(read::<HttpsUrl>(bad), None, "{bad}");
        }
    }
}
