//! What is kept of ACME: the key of the account, and for each domain a file with certificate and key.
//!
//! It asks nobody. Each authority has a folder of its own, so that trying a test authority first
//! leaves nothing behind that the real one would be thought to have issued.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tempfile::NamedTempFile;

use crate::config::names::Domain;
use crate::config::settings;
use crate::tls::{in_file, state_directory};

/// From when until when a certificate is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) begin: i64,
    pub(crate) end: i64,
}

/// The files of one authority.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
    domains: Vec<Domain>,
}

impl Kept {
    /// Where they are, or will be.
    pub(crate) fn of(tls: &settings::Tls) -> Self {
        let url = tls.acme_directory.0.trim_start_matches("https://");
        let plain = |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' };
        let authority: String = url.chars().map(plain).collect();
        let folder = state_directory(tls).join("acme").join(authority);
        Self { folder, domains: tls.acme.clone() }
    }

    /// The files of the configured domains, each with certificate and key, there or not.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = PathBuf> {
        self.domains.iter().map(|domain| self.certificate(domain))
    }

    fn certificate(&self, domain: &Domain) -> PathBuf {
        self.folder.join(format!("{}.pem", domain.0))
    }

    /// How long the domain's certificate is good, if there is one that can be used. Blocks.
    pub(super) fn validity(&self, domain: &Domain) -> Option<Validity> {
        let both = fs::read_to_string(self.certificate(domain)).ok()?;
        usable(&both, &both)
    }

    /// Keeps what was issued, if it can be used: in one step, so that no half of it is ever found.
    /// Blocks.
    ///
    /// # Errors
    /// The certificate does not fit its key, or what the system says.
    pub(super) fn keep(&self, domain: &Domain, chain: &str, key: &str) -> io::Result<Validity> {
        let validity = usable(chain, key)
            .ok_or_else(|| io::Error::other("what came is no certificate for the key"))?;
        self.write(&format!("{}.pem", domain.0), &format!("{key}{chain}"))?;
        Ok(validity)
    }

    /// The account, as it was kept. Blocks.
    ///
    /// # Errors
    /// What the system says; there being none is not an error.
    pub(super) fn account(&self) -> io::Result<Option<String>> {
        let path = self.folder.join(ACCOUNT);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(in_file(&path)),
        }
    }

    /// Keeps the account. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn keep_account(&self, account: &str) -> io::Result<()> {
        self.write(ACCOUNT, account)
    }

    /// Forgets the account, which the authority does not know. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn forget_account(&self) -> io::Result<()> {
        let path = self.folder.join(ACCOUNT);
        fs::remove_file(&path).map_err(in_file(&path))
    }

    /// Only the owner may read it: keys are in all of them.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        let written = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let mut file = NamedTempFile::new_in(&self.folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            fs::File::open(&self.folder)?.sync_all()
        };
        written().map_err(in_file(&path))
    }
}

/// The validity of a chain in PEM form, if the key is its own.
fn usable(chain: &str, key: &str) -> Option<Validity> {
    let all = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let all = all.ok()?;
    let validity = validity(all.first()?)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).ok()?;
    CertifiedKey::from_der(all, key, &aws_lc_rs::default_provider()).ok()?;
    Some(validity)
}

const ACCOUNT: &str = "account.json";

/// Reads RFC 5280 §4.1.2.5: the validity stands behind version, serial number, algorithm and issuer.
fn validity(certificate: &[u8]) -> Option<Validity> {
    let time = |reader: yasna::BERReader<'_, '_>| {
        let is_short = reader.lookahead_tag()? == yasna::tags::TAG_UTCTIME;
        let date = if is_short {
            *reader.read_utctime()?.datetime()
        } else {
            *reader.read_generalized_time()?.datetime()
        };
        Ok(date.unix_timestamp())
    };
    yasna::parse_der(certificate, |whole| {
        whole.read_sequence(|parts| {
            let validity = parts.next().read_sequence(|signed| {
                signed.read_optional(|version| {
                    version.read_tagged(yasna::Tag::context(0), |version| version.read_i64())
                })?;
                signed.next().read_bigint_bytes()?;
                signed.next().read_der()?;
                signed.next().read_der()?;
                let validity = signed.next().read_sequence(|dates| {
                    Ok(Validity { begin: time(dates.next())?, end: time(dates.next())? })
                })?;
                while signed.read_optional(|rest| rest.read_der())?.is_some() {}
                Ok(validity)
            })?;
            parts.next().read_der()?;
            parts.next().read_der()?;
            Ok(validity)
        })
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn made(names: [String; 1], end: i32) -> rcgen::CertifiedKey<rcgen::KeyPair> {
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(end, 1, 2);
        let signing_key = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&signing_key).unwrap();
        rcgen::CertifiedKey { cert, signing_key }
    }

    #[test]
    fn the_dates_of_a_certificate_are_read_in_both_forms() {
        let begin = 1_767_312_000;
        for (end, seconds) in [(2027, 1_798_848_000), (2055, 2_682_460_800)] {
            let made = made(["localhost".into()], end);
            assert_eq!(validity(made.cert.der()), Some(Validity { begin, end: seconds }));
        }
        assert_eq!(validity(b""), None);
        assert_eq!(validity(b"\x30\x03\x02\x01\x01"), None);
    }

    #[test]
    fn what_is_kept_is_for_the_owner_and_of_one_authority() {
        let directory = tempfile::tempdir().unwrap();
        let tls = |url: &str| settings::Tls {
            state_directory: Some(directory.path().to_owned()),
            acme: vec![Domain("localhost".into())],
            acme_directory: crate::config::names::HttpsUrl(url.into()),
            ..settings::Tls::default()
        };
        let kept = Kept::of(&tls("https://localhost:14000/dir"));
        let domain = Domain("localhost".into());
        assert_eq!((kept.validity(&domain), kept.account().unwrap()), (None, None));
        let made = made(["localhost".into()], 2027);
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        kept.keep(&domain, &chain, &key).unwrap();
        kept.keep_account("{}").unwrap();
        assert_eq!(kept.account().unwrap().as_deref(), Some("{}"));
        assert!(kept.validity(&domain).is_some());
        let folder = directory.path().join("acme/localhost_14000_dir");
        for name in ["localhost.pem", "account.json"] {
            let mode = fs::metadata(folder.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(Kept::of(&tls("https://other.example/dir")).validity(&domain), None);
        let foreign = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(kept.keep(&domain, &chain, &foreign).is_err());
    }
}
