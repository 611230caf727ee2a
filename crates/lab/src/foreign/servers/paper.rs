//! Certificates for a test: an authority of its own, and what it signed for this machine.
//!
//! They are good for loopback only and are removed with the server.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

/// The files, in PEM form.
#[derive(Clone, Debug)]
pub struct Paper {
    /// The authority's certificate: what a client is to trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Both in one file.
    pub both: PathBuf,
}

/// When the server's certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It is.
    Now,
    /// It was.
    Past,
    /// It will be.
    Future,
}

impl Paper {
    /// Makes all of them in a directory, for names and addresses.
    ///
    /// # Errors
    /// What the system or the library says.
    pub fn make(directory: &Path, names: impl Into<Vec<String>>) -> io::Result<Self> {
        Self::valid(directory, names, Validity::Now)
    }

    /// The same, with a server's certificate that may be out of its time.
    ///
    /// # Errors
    /// What the system or the library says.
    pub fn valid(
        directory: &Path,
        names: impl Into<Vec<String>>,
        validity: Validity,
    ) -> io::Result<Self> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "lab authority");
        let own = KeyPair::generate().map_err(io::Error::other)?;
        let authority = CertifiedIssuer::self_signed(authority, own).map_err(io::Error::other)?;
        let mut leaf = CertificateParams::new(names).map_err(io::Error::other)?;
        leaf.distinguished_name.push(DnType::CommonName, "lab server");
        match validity {
            Validity::Now => {}
            Validity::Past => leaf.not_after = date_time_ymd(2020, 1, 1),
            Validity::Future => leaf.not_before = date_time_ymd(4000, 1, 1),
        }
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let leaf = leaf.signed_by(&key, &authority).map_err(io::Error::other)?;
        let file = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text)?;
            owner_only(&path)?;
            Ok::<_, io::Error>(path)
        };
        let (leaf, key) = (leaf.pem(), key.serialize_pem());
        Ok(Self {
            authority: file("authority.pem", &authority.as_ref().pem())?,
            certificate: file("certificate.pem", &leaf)?,
            key: file("key.pem", &key)?,
            both: file("both.pem", &format!("{key}{leaf}"))?,
        })
    }
}

/// Servers refuse keys that others can read.
fn owner_only(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}
