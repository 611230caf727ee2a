//! Which facts MLSD and MLST lines carry, as FEAT and OPTS MLST speak of them (RFC 3659 §7.8, §7.9).
//!
//! It holds a choice of facts and none of their values.

use alloc::vec::Vec;
use core::ops::{BitAnd, BitOr};

/// A set of facts: those a server offers, or those a session wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactSet(u16);

impl FactSet {
    /// No fact: lines are a blank and a name.
    pub const NONE: Self = Self(0);
    /// `type`: file, directory, link.
    pub const TYPE: Self = Self(1);
    /// `perm`: what the user may do with it.
    pub const PERM: Self = Self(1 << 1);
    /// `size`: in bytes.
    pub const SIZE: Self = Self(1 << 2);
    /// `modify`: when the content last changed.
    pub const MODIFY: Self = Self(1 << 3);
    /// `unique`: the same for two names of one file.
    pub const UNIQUE: Self = Self(1 << 4);
    /// `unix.mode`: the permission bits.
    pub const MODE: Self = Self(1 << 5);
    /// `unix.uid`: the owner's number.
    pub const UID: Self = Self(1 << 6);
    /// `unix.gid`: the group's number.
    pub const GID: Self = Self(1 << 7);
    /// `unix.owner`: the owner's name.
    pub const OWNER: Self = Self(1 << 8);
    /// `unix.group`: the group's name.
    pub const GROUP: Self = Self(1 << 9);

    /// Every fact that can be written.
    pub const ALL: Self = Self((1 << 10) - 1);

    /// What a server offers: all but names, which would list the accounts of the machine. Origin:
    /// the facts of pyftpdlib, in its order.
    pub const OFFERED: Self = Self(Self::ALL.0 & !(Self::OWNER.0 | Self::GROUP.0));

    /// What a session gets that has not asked. Origin: pyftpdlib, and what clients read at all.
    pub const DEFAULT: Self = Self(Self::TYPE.0 | Self::PERM.0 | Self::SIZE.0 | Self::MODIFY.0);

    /// The names in the order of their bits, which is the order of every line written here.
    const NAMES: [&[u8]; 10] = [
        b"type",
        b"perm",
        b"size",
        b"modify",
        b"unique",
        b"unix.mode",
        b"unix.uid",
        b"unix.gid",
        b"unix.owner",
        b"unix.group",
    ];

    /// Whether all of `other` is in the set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The facts that an `OPTS MLST` asks for, in any case: `type;size;`. Unknown ones are passed
    /// over, and an empty argument asks for none (RFC 3659 §7.9).
    ///
    /// `None`, which wants a 501, where the argument is no list: a blank in it, or no semicolon. The
    /// last semicolon may be missing, as it is with some clients.
    #[must_use]
    pub fn parse_opts(argument: &[u8]) -> Option<Self> {
        let is_list = argument.is_empty() || argument.contains(&b';');
        if !is_list || argument.contains(&b' ') {
            return None;
        }
        let asked = argument.split(|&byte| byte == b';').map(Self::named);
        Some(asked.fold(Self::NONE, BitOr::bitor))
    }

    /// Appends the FEAT line without its indentation: the facts `offered`, with an asterisk behind
    /// those of this set (RFC 3659 §7.8).
    pub fn write_feat(self, out: &mut Vec<u8>, offered: Self) {
        out.extend_from_slice(b"MLST ");
        for (fact, name) in offered.iter() {
            out.extend_from_slice(name);
            out.extend_from_slice(if self.contains(fact) { b"*;" } else { b";" });
        }
    }

    /// Appends `type;size;`: what the 200 reply to `OPTS MLST` repeats.
    pub fn write_selected(self, out: &mut Vec<u8>) {
        for (_, name) in self.iter() {
            out.extend_from_slice(name);
            out.push(b';');
        }
    }

    fn named(word: &[u8]) -> Self {
        let (fact, _) =
            Self::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(word)).unwrap_or_default();
        fact
    }

    fn iter(self) -> impl Iterator<Item = (Self, &'static [u8])> {
        let facts = (0..).map(|index| Self(1 << index));
        facts.zip(Self::NAMES).filter(move |&(fact, _)| self.contains(fact))
    }
}

impl BitOr for FactSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for FactSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn feat(selected: FactSet, offered: FactSet) -> Vec<u8> {
        let mut out = vec![];
        selected.write_feat(&mut out, offered);
        out
    }

    fn selected(argument: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![];
        FactSet::parse_opts(argument)?.write_selected(&mut out);
        Some(out)
    }

    #[test]
    fn feat_names_what_is_offered_and_marks_what_is_selected() {
        let facts = feat(FactSet::DEFAULT, FactSet::OFFERED);
        let expected = b"MLST type*;perm*;size*;modify*;unique;unix.mode;unix.uid;unix.gid;";
        assert_eq!(facts, expected);
        assert_eq!(feat(FactSet::NONE, FactSet::TYPE | FactSet::GROUP), b"MLST type;unix.group;");
    }

    /// The cases of pyftpdlib's `test_opts_feat`.
    #[test]
    fn opts_selects_known_facts_in_any_case() {
        for (argument, expected) in [
            ("", Some("")),
            ("type;", Some("type;")),
            ("TypE;", Some("type;")),
            ("fish;cakes;", Some("")),
            ("fish;cakes;type;", Some("type;")),
            ("size;type", Some("type;size;")),
            (";", Some("")),
            ("bad_fact", None),
            ("type ;", None),
        ] {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(selected(argument.as_bytes()), expected, "{argument}");
        }
        assert_eq!(
            FactSet::parse_opts(b"unix.owner;UNIX.mode;").map(|asked| asked & FactSet::OFFERED),
            Some(FactSet::MODE)
        );
    }
}
