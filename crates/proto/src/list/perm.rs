//! The `perm` fact: what the logged-in user may do with an entry (RFC 3659 §7.5.5).
//!
//! It decides no permission: the server computes the set, and checks again when the verb comes.

use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::ops::{BitAnd, BitOr};

use super::Kind;

/// A set of permissions. The server gives what the account may do; which of them make sense for a
/// file or a directory is [`Perm::on`]'s to know.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Perm(u16);

impl Perm {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// `a`: APPE to the file.
    pub const APPEND: Self = Self(1);
    /// `d`: DELE or RMD.
    pub const DELETE: Self = Self(1 << 1);
    /// `f`: RNFR.
    pub const RENAME: Self = Self(1 << 2);
    /// `r`: RETR.
    pub const RETRIEVE: Self = Self(1 << 3);
    /// `w`: STOR over the file.
    pub const STORE: Self = Self(1 << 4);
    /// `c`: create files in the directory, by STOR, STOU, APPE or RNTO.
    pub const CREATE: Self = Self(1 << 5);
    /// `e`: CWD into it.
    pub const ENTER: Self = Self(1 << 6);
    /// `l`: LIST, NLST and MLSD of it.
    pub const LIST: Self = Self(1 << 7);
    /// `m`: MKD in it.
    pub const MAKE: Self = Self(1 << 8);
    /// `p`: delete what is in it.
    pub const PURGE: Self = Self(1 << 9);
    /// Everything.
    pub const ALL: Self = Self((1 << 10) - 1);

    const OF_ALL_KINDS: u16 = Self::DELETE.0 | Self::RENAME.0;
    const OF_FILES: u16 = Self::APPEND.0 | Self::RETRIEVE.0 | Self::STORE.0;
    const OF_DIRECTORIES: u16 =
        Self::CREATE.0 | Self::ENTER.0 | Self::LIST.0 | Self::MAKE.0 | Self::PURGE.0;

    /// The letters in the order of their bits, which is the order they are written in.
    const LETTERS: [u8; 10] = *b"adfrwcelmp";

    /// Whether all of `other` is in the set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that mean something for a kind. A link may stand for either, and keeps all.
    #[must_use]
    pub const fn on(self, kind: &Kind<'_>) -> Self {
        Self(match kind {
            Kind::File => self.0 & (Self::OF_ALL_KINDS | Self::OF_FILES),
            Kind::Directory | Kind::Current | Kind::Parent => {
                self.0 & (Self::OF_ALL_KINDS | Self::OF_DIRECTORIES)
            }
            Kind::Link { .. } => self.0,
            Kind::Other(_) => self.0 & Self::OF_ALL_KINDS,
        })
    }

    /// Appends the letters.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend(self.letters());
    }

    /// The set that some letters spell, in either case; letters of later standards are passed over.
    #[must_use]
    pub fn parse(letters: &[u8]) -> Self {
        let bit = |letter: &u8| {
            let index = Self::LETTERS.iter().position(|known| known.eq_ignore_ascii_case(letter));
            index.map_or(0, |index| 1 << index)
        };
        Self(letters.iter().map(bit).fold(0, BitOr::bitor))
    }

    fn letters(self) -> impl Iterator<Item = u8> {
        let bits = (0..).map(|index| 1 << index);
        let known = Self::LETTERS.into_iter().zip(bits);
        known.filter(move |&(_, bit): &(u8, u16)| self.0 & bit != 0).map(|(letter, _)| letter)
    }
}

impl BitOr for Perm {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Perm {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for Perm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        self.letters().try_for_each(|letter| f.write_char(char::from(letter)))?;
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::Special;
    use alloc::{format, vec};

    #[test]
    fn each_kind_has_its_own_letters() {
        for (kind, expected) in [
            (Kind::File, "adfrw"),
            (Kind::Directory, "dfcelmp"),
            (Kind::Link { target: None }, "adfrwcelmp"),
            (Kind::Other(Special::Pipe), "df"),
        ] {
            let mut written = vec![];
            Perm::ALL.on(&kind).write(&mut written);
            assert_eq!(written, expected.as_bytes(), "{kind:?}");
            assert_eq!(Perm::parse(&written), Perm::ALL.on(&kind));
        }
    }

    #[test]
    fn sets_combine_and_read_in_any_order_and_case() {
        let read = Perm::parse(b"LEz");
        assert_eq!(read, Perm::LIST | Perm::ENTER);
        assert!(read.contains(Perm::LIST) && !read.contains(Perm::MAKE));
        assert_eq!(read & Perm::LIST, Perm::LIST);
        assert_eq!(format!("{read:?}"), "\"el\"");
    }
}
