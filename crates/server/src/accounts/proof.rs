//! The quick check of a password that argon2 has accepted before.
//!
//! Clients log in once per file: at 20 ms each that would be the server's whole work. After the
//! first full check a keyed hash is kept, in memory only, with a random key that dies with the
//! process. Only right passwords are quick: a wrong one always pays the full price.

use std::sync::OnceLock;

use blake2::Blake2bMac512;
use blake2::digest::{KeyInit as _, Mac as _};

/// The process's key. It is not written anywhere.
pub(super) struct Key([u8; 64]);

impl Key {
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut key = [0; 64];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    /// A key that follows from a secret.
    pub(super) fn of(secret: &[u8]) -> Self {
        let mac = Blake2bMac512::new(&[0; 64].into()).chain_update(secret);
        Self(mac.finalize().into_bytes().into())
    }

    /// A number that follows from a name, and that nobody without the key can tell.
    pub(super) fn number(&self, name: &[u8]) -> u64 {
        let mac = Blake2bMac512::new(&self.0.into()).chain_update(name).finalize().into_bytes();
        mac.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn mac(&self, name: &str, password: &[u8]) -> Blake2bMac512 {
        let length = u64::try_from(name.len()).unwrap_or(u64::MAX);
        Blake2bMac512::new(&self.0.into())
            .chain_update(length.to_le_bytes())
            .chain_update(name)
            .chain_update(password)
    }
}

/// What is kept of an accepted password. It belongs to one hash: a changed account has a new one.
#[derive(Default)]
pub(super) struct Proof(OnceLock<Vec<u8>>);

impl Proof {
    /// Whether this password has been accepted before; compared in constant time.
    pub(super) fn knows(&self, key: &Key, name: &str, password: &[u8]) -> bool {
        self.0.get().is_some_and(|tag| key.mac(name, password).verify_slice(tag).is_ok())
    }

    /// Keeps a password that was just accepted.
    pub(super) fn keep(&self, key: &Key, name: &str, password: &[u8]) {
        self.0.get_or_init(|| key.mac(name, password).finalize().into_bytes().to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_accepted_is_known() {
        let (key, proof) = (Key::random().unwrap(), Proof::default());
        assert!(!proof.knows(&key, "ann", b"secret"));
        proof.keep(&key, "ann", b"secret");
        assert!(proof.knows(&key, "ann", b"secret"));
        assert!(!proof.knows(&key, "anns", b"ecret"));
        assert!(!proof.knows(&key, "ann", b"secret2"));
        assert!(!proof.knows(&Key::random().unwrap(), "ann", b"secret"));
    }
}
