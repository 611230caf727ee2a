//! The names of what an upload leaves in a directory before it is whole.
//!
//! A live one is being written, or was when the process was killed. A kept one is what a cut upload
//! left for resume: its name is made of the account and of the name it was to become, so that it is
//! found again without a search. Which of them may go is said in `sweep.rs`.

use std::cell::RefCell;
use std::io::Write as _;

use twoport_sys::directory::Name;

const PREFIX: &[u8] = b".twoport-";
const SUFFIX: &[u8] = b".part";
const LIVE: &[u8] = b".live.part";
const KEPT: &[u8] = b".kept.part";

/// Letters of a random number or a hash of 128 bits.
const DIGITS: usize = 32;

/// How much of an account's name is spelt out, so that the whole stays well below 143 bytes, the
/// longest name on eCryptfs, the shortest limit in use.
const MAX_ACCOUNT: usize = 64;

/// What one of our own names stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leftover {
    /// Being written, or left by a killed process.
    Live,
    /// Left on purpose, for resume.
    Kept,
}

impl Leftover {
    /// Whether the name is one we make. Stricter than [`is_hidden`]: this is what may be removed.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX)?;
        if let Some(random) = rest.strip_suffix(LIVE) {
            return is_digits(random).then_some(Self::Live);
        }
        let kept = rest.strip_suffix(KEPT)?;
        let dash = kept.iter().rposition(|&byte| byte == b'-')?;
        is_digits(kept.get(dash + 1..)?).then_some(Self::Kept)
    }
}

fn is_digits(text: &[u8]) -> bool {
    text.len() == DIGITS && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether peers may not see or touch the name. Letters of either case: some file systems do not
/// tell them apart (FAT, CIFS, ext4 with casefold).
pub(super) fn is_hidden(name: &[u8]) -> bool {
    let first = name.get(..PREFIX.len());
    let last = name.len().checked_sub(SUFFIX.len()).and_then(|at| name.get(at..));
    first.is_some_and(|first| first.eq_ignore_ascii_case(PREFIX))
        && last.is_some_and(|last| last.eq_ignore_ascii_case(SUFFIX))
}

/// A new name for what is being written.
pub(super) fn live() -> twoport_sys::Result<Name> {
    let random = draw()?;
    let mut name = begun();
    write(&mut name, format_args!("{random:032x}"));
    name.extend_from_slice(LIVE);
    Name::new(name)
}

thread_local! {
    /// Numbers that the kernel gave this thread and no name has yet.
    static DRAWN: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) };
}

/// A random number no other name has: the kernel gives sixteen in one call, the most it gives whole,
/// since an upload that replaces a file takes one.
fn draw() -> twoport_sys::Result<u128> {
    DRAWN.with_borrow_mut(|drawn| {
        loop {
            if let Some(number) = drawn.pop() {
                return Ok(number);
            }
            let bytes: [u8; 256] = twoport_sys::random()?;
            let (numbers, _) = bytes.as_chunks();
            drawn.extend(numbers.iter().map(|number| u128::from_be_bytes(*number)));
        }
    })
}

/// The name under which the account's cut upload to `target` is kept, in the target's directory.
pub(super) fn kept(account: &[u8], target: &Name) -> twoport_sys::Result<Name> {
    let mut name = begun();
    spell(account, &mut name);
    write(&mut name, format_args!("-{:032x}", fingerprint(target.as_bytes())));
    name.extend_from_slice(KEPT);
    Name::new(name)
}

/// The beginning of all of them, with room for the rest: each upload makes two.
fn begun() -> Vec<u8> {
    let mut name = Vec::with_capacity(PREFIX.len() + MAX_ACCOUNT + 1 + DIGITS + KEPT.len());
    name.extend_from_slice(PREFIX);
    name
}

fn write(name: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = name.write_fmt(text);
    debug_assert!(written.is_ok(), "a vector takes every byte");
}

/// The account in letters, digits and `%XX`, the same on file systems that fold case. It is spelt
/// out, not hashed, so that no account can choose a name that meets another's; one too long for
/// that is hashed behind a `%`, which no spelling begins so.
fn spell(account: &[u8], name: &mut Vec<u8>) {
    let start = name.len();
    for &byte in account {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => name.push(byte),
            _ => write(name, format_args!("%{byte:02x}")),
        }
    }
    if name.len() - start > MAX_ACCOUNT {
        name.truncate(start);
        write(name, format_args!("%%{:032x}", fingerprint(account)));
    }
}

/// FNV-1a with 128 bits. A fingerprint that someone forged would meet another name of the same
/// account in the same directory: nothing is gained by it.
fn fingerprint(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, &byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> Name {
        Name::new(bytes).unwrap()
    }

    #[test]
    fn our_own_names_are_known_again() {
        assert_eq!(Leftover::of(live().unwrap().as_bytes()), Some(Leftover::Live));
        for account in [&b""[..], b"ann", b"Ann-\xff/..", &[b'x'; 300]] {
            let kept = kept(account, &name(&[b'n'; 255])).unwrap();
            assert_eq!(Leftover::of(kept.as_bytes()), Some(Leftover::Kept));
            assert!(is_hidden(kept.as_bytes()));
            assert!(kept.as_bytes().len() < 143);
        }
    }

    #[test]
    fn a_live_name_is_given_once() {
        let draw = || (0..100).map(|_| live().unwrap().as_bytes().to_vec()).collect::<Vec<_>>();
        let other = std::thread::spawn(draw);
        let names = [draw(), other.join().unwrap()].concat();
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), 200);
    }

    #[test]
    fn others_names_are_left_alone() {
        for other in [&b".twoport-x.part"[..], b".twoport-.live.part", b"a.part", b".twoport-"] {
            assert_eq!(Leftover::of(other), None);
        }
        assert!(is_hidden(b".TwoPort-anything.PART"));
        assert!(!is_hidden(b".twoport-conf"));
        assert!(!is_hidden(b".twoport.part"));
        assert!(!is_hidden(b".part"));
    }

    #[test]
    fn accounts_and_targets_do_not_meet() {
        let mut seen = std::collections::HashSet::new();
        for account in [&b"ann"[..], b"Ann", b"a-nn", b"%61nn", b"", &[b'A'; 64], &[b'A'; 65]] {
            for target in [&b"a"[..], b"b", b"A", b"a "] {
                let kept = kept(account, &name(target)).unwrap();
                assert!(seen.insert(kept.as_bytes().to_ascii_lowercase()));
            }
        }
    }
}
