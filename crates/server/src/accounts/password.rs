//! A password on its way: it is never shown, and a made one is easy to copy by hand.
//!
//! How it is compared and kept is in [`hash`](super::hash).

use std::fmt;

/// A password in clear. Debug shows that there is one, not which.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

/// Letters and digits that no font makes look alike: no `i`, `l`, `o`, `0`, `1`. 31 of them, so
/// that five random bits, less one value, choose one evenly.
const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// 16 letters of 31 are 79 bits: no guessing over the network comes near (10^9 attempts a second
/// would take ten million years), and it is four groups of four to the eye.
const LENGTH: usize = 16;

impl Password {
    /// A password that somebody chose.
    pub fn new(password: impl Into<Vec<u8>>) -> Self {
        Self(password.into())
    }

    /// A new random password.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut password = Vec::with_capacity(LENGTH);
        let mut random = [0; 2 * LENGTH];
        while password.len() < LENGTH {
            getrandom::fill(&mut random)?;
            let letters = random.iter().filter_map(|byte| LETTERS.get(usize::from(byte & 31)));
            password.extend(letters.take(LENGTH - password.len()));
        }
        Ok(Self(password))
    }

    /// The password itself.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\u{2022}\u{2022}\u{2022}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_passwords_differ_and_debug_shows_none() {
        let (one, other) = (Password::generate().unwrap(), Password::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), LENGTH);
        assert!(one.expose().iter().all(|byte| LETTERS.contains(byte)));
        assert_eq!(format!("{one:?} {:?}", Password::new("secret")), "••• •••");
    }
}
