//! Certificates for a network: an authority of its own, and what it signed for the server's addresses.
//!
//! They are good for nothing else, and are removed with the files of the run.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

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

impl Paper {
    /// Makes all of them in a directory, for names and addresses.
    ///
    /// # Errors
    /// What the system or the library says.
    pub fn make(directory: &Path, names: impl Into<Vec<String>>) -> io::Result<Self> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "lab authority");
        let own = KeyPair::generate().map_err(io::Error::other)?;
        let authority = CertifiedIssuer::self_signed(authority, own).map_err(io::Error::other)?;
        let mut leaf = CertificateParams::new(names).map_err(io::Error::other)?;
        leaf.distinguished_name.push(DnType::CommonName, "lab server");
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let leaf = leaf.signed_by(&key, &authority).map_err(io::Error::other)?;
        let file = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text)?;
            // Servers refuse keys that others can read.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
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
