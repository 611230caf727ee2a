//! Password hashes: argon2id as PHC strings (`$argon2id$v=19$m=19456,t=2,p=1$salt$hash`).
//!
//! It knows no accounts. Making and comparing take some 20 ms and 19 MiB each, on purpose.

use std::fmt;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

use super::password::Password;
use crate::config::value::Wrong;

/// The memory of one hash in KiB, its passes and its lanes. Origin: the first choice for argon2id
/// of OWASP's password storage cheat sheet (m=19456, t=2, p=1), and RustCrypto's default.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// The most memory in KiB and the most passes that a hash in a file may ask for: a gigabyte and a
/// hundred passes take minutes, and every wrong password would take them.
const MOST: (u32, u32) = (1 << 20, 100);

/// What is kept of a password. Debug does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(phc::PasswordHash);

impl PasswordHash {
    /// Hashes a password with a new random salt.
    pub fn of(password: &Password) -> Result<Self, HashError> {
        let (memory, passes, lanes) = COST;
        let params = Params::new(memory, passes, lanes, None).map_err(|_| HashError)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password(password.expose()).map(Self).map_err(|_| HashError)
    }

    /// Reads a PHC string.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let remedy = "make it with `twoport account passwd`";
        let wrong = |what| Wrong::new(what, remedy);
        // The text is not repeated: somebody may have written the password itself.
        let hash = phc::PasswordHash::new(text).map_err(|_| wrong("it is not a password hash"))?;
        if hash.algorithm.as_str() != "argon2id" || hash.salt.is_none() || hash.hash.is_none() {
            return Err(wrong("it is not an argon2id hash with salt"));
        }
        let params =
            Params::try_from(&hash).map_err(|_| wrong("its parameters are not argon2's"))?;
        if params.m_cost() > MOST.0 || params.t_cost() > MOST.1 {
            return Err(wrong("it asks for more than 1 GiB of memory or 100 passes"));
        }
        Ok(Self(hash))
    }

    /// Whether it is the hash of `password`. Blocks for as long as hashing takes.
    #[must_use]
    pub fn fits(&self, password: &[u8]) -> bool {
        Argon2::default().verify_password(password, &self.0).is_ok()
    }

    /// The PHC string.
    #[must_use]
    pub fn to_phc(&self) -> String {
        self.0.to_string()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\u{2022}\u{2022}\u{2022}")
    }
}

/// The system gave no random salt, or not the memory that a hash takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashError;

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the password could not be hashed; free 19 MiB of memory and try again")
    }
}

impl std::error::Error for HashError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_fits_its_password_and_survives_text() {
        let hash = PasswordHash::of(&Password::new("secret")).unwrap();
        assert!(hash.to_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.to_phc());
        let again = PasswordHash::parse(&hash.to_phc()).unwrap();
        assert_eq!(hash, again);
        assert!(again.fits(b"secret") && !again.fits(b"Secret") && !again.fits(b""));
        assert_eq!(format!("{hash:?}"), "•••");
    }

    #[test]
    fn what_is_no_hash_is_refused_without_being_repeated() {
        for bad in [
            "secret",
            "",
            "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$uEMFvFN+BxOjWzkGOqoxpQ",
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ",
            "$argon2id$v=19$m=4000000,t=2,p=1$c29tZXNhbHQ$uEMFvFN+BxOjWzkGOqoxpQ",
            "$argon2id$v=19$m=19456,t=2000,p=1$c29tZXNhbHQ$uEMFvFN+BxOjWzkGOqoxpQ",
        ] {
            let wrong = PasswordHash::parse(bad).unwrap_err().to_string();
            assert!(bad.is_empty() || !wrong.contains(bad), "{wrong}");
        }
    }
}
