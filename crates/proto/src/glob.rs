//! Shell patterns for one name, as `NLST *.csv` and `mget` use them: `*`, `?`, `[a-z]`, `\x`.
//!
//! It walks no directory and knows no `/`, no `**` and no braces: a caller splits the path and
//! applies one pattern to the names of one directory.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// A compiled pattern. One match takes at most pattern × name steps and no stack.
///
/// Matchers that recurse, or retry every star, take exponential time on patterns such as
/// `*a*a*a*b`: one line of an anonymous client then stops the server. `CVE-2010-2632` and
/// `CVE-2011-0418` were that, in the C library's `glob` and in the FTP servers that used it.
#[derive(Clone, Debug)]
pub struct Glob {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug)]
enum Token {
    /// This byte and no other.
    Byte(u8),
    /// `?`: any one byte.
    Any,
    /// `*`: any bytes or none. Never two in a row.
    Star,
    /// `[...]`: for each byte whether it is in the set.
    Set(Box<[bool; 256]>),
}

impl Glob {
    /// Compiles a pattern. Every pattern is valid: a `[` that is never closed and a `\` at the end
    /// mean themselves.
    #[must_use]
    pub fn new(pattern: &[u8]) -> Self {
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut rest = pattern;
        // Once one `[` has no end, no later one has: looking again each time would be quadratic.
        let mut sets_close = true;
        while let Some((&byte, tail)) = rest.split_first() {
            let (token, after) = match (byte, tail.split_first()) {
                (b'*', _) => (Token::Star, tail),
                (b'?', _) => (Token::Any, tail),
                (b'\\', Some((&escaped, after))) => (Token::Byte(escaped), after),
                (b'[', _) if sets_close => set(tail).unwrap_or_else(|| {
                    sets_close = false;
                    (Token::Byte(b'['), tail)
                }),
                (byte, _) => (Token::Byte(byte), tail),
            };
            if !matches!((&token, tokens.last()), (Token::Star, Some(Token::Star))) {
                tokens.push(token);
            }
            rest = after;
        }
        Self { tokens }
    }

    /// Whether the whole `name` fits. A dot that begins the name is matched only by a dot that
    /// begins the pattern, so that `*` does not show hidden files.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        if name.first() == Some(&b'.') && !matches!(self.tokens.first(), Some(Token::Byte(b'.'))) {
            return false;
        }
        let (mut token, mut at) = (0, 0);
        // After the last star seen: the token that follows it, and how far the star reaches. An
        // earlier star never needs to reach further, so one place to go back to is enough.
        let mut star = None;
        while let Some(&byte) = name.get(at) {
            match self.tokens.get(token) {
                Some(Token::Star) => {
                    token += 1;
                    star = Some((token, at));
                }
                Some(one) if one.takes(byte) => {
                    token += 1;
                    at += 1;
                }
                _ => {
                    let Some((follows, reach)) = star else { return false };
                    token = follows;
                    at = reach + 1;
                    star = Some((follows, at));
                }
            }
        }
        self.tokens.iter().skip(token).all(|token| matches!(token, Token::Star))
    }
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(this) => *this == byte,
            Self::Any => true,
            Self::Star => false,
            Self::Set(members) => members.get(usize::from(byte)).copied().unwrap_or(false),
        }
    }
}

/// Whether `argument` has a `*`, a `?` or a closed `[...]` that is not escaped: whether it asks for
/// more than the one name it spells. A caller tries the name itself first: files are called `a[1]`.
#[must_use]
pub fn is_pattern(argument: &[u8]) -> bool {
    Glob::new(argument).tokens.iter().any(|token| !matches!(token, Token::Byte(_)))
}

/// The set after a `[`, and what follows its `]`; `None` where it is never closed.
fn set(mut rest: &[u8]) -> Option<(Token, &[u8])> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    if negated {
        rest = rest.get(1..)?;
    }
    let mut members = Box::new([false; 256]);
    let mut first = true;
    loop {
        // A `]` that comes first is a member.
        if !first && let Some((b']', after)) = rest.split_first() {
            members.iter_mut().for_each(|member| *member ^= negated);
            return Some((Token::Set(members), after));
        }
        first = false;
        let (low, after) = member(rest)?;
        let (high, after) = match after {
            [b'-', b']', ..] => (low, after),
            [b'-', range @ ..] => member(range)?,
            _ => (low, after),
        };
        let range = members.get_mut(usize::from(low)..=usize::from(high));
        range.unwrap_or_default().iter_mut().for_each(|member| *member = true);
        rest = after;
    }
}

fn member(rest: &[u8]) -> Option<(u8, &[u8])> {
    match rest {
        [b'\\', escaped, after @ ..] => Some((*escaped, after)),
        [byte, after @ ..] => Some((*byte, after)),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// The definition, exponential and obvious. Knows `*`, `?` and bytes.
    fn reference(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                reference(rest, name) || (!name.is_empty() && reference(pattern, &name[1..]))
            }
            ([b'?', rest @ ..], [_, tail @ ..]) => reference(rest, tail),
            ([byte, rest @ ..], [other, tail @ ..]) => byte == other && reference(rest, tail),
            _ => false,
        }
    }

    fn words(alphabet: &[u8], longest: usize) -> Vec<Vec<u8>> {
        let mut all = vec![vec![]];
        let mut last = all.clone();
        for _ in 0..longest {
            let longer = last.iter().flat_map(|word| {
                alphabet.iter().map(move |&letter| [word.as_slice(), &[letter]].concat())
            });
            last = longer.collect();
            all.extend_from_slice(&last);
        }
        all
    }

    #[test]
    fn agrees_with_the_definition_on_every_short_pattern_and_name() {
        let names = words(b"abc", 5);
        for pattern in words(b"ab*?", 5) {
            let glob = Glob::new(&pattern);
            for name in &names {
                assert_eq!(glob.matches(name), reference(&pattern, name), "{pattern:?} {name:?}");
            }
        }
    }

    #[test]
    fn every_construct_of_a_pattern() {
        for (pattern, name, expected) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csv.gz", false),
            ("*.csv", ".csv", false),
            (".*", ".csv", true),
            ("?csv", ".csv", false),
            ("[.]csv", ".csv", false),
            ("[!a]csv", ".csv", false),
            ("\\.*", ".csv", true),
            ("", "", true),
            ("*", "", true),
            ("", "a", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[^a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[!]]", "a", true),
            ("[a-]", "-", true),
            ("[-a]", "-", true),
            ("[\\]a]", "]", true),
            ("[a\\-z]", "m", false),
            ("[z-a]", "m", false),
            ("[a", "[a", true),
            ("a[", "a[", true),
            ("[]", "[]", true),
            ("[a-", "[a-", true),
            ("[a\\]", "[a]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("[\u{e9}]", "\u{e9}", false), // bytes, not characters
            ("*\u{e9}", "caf\u{e9}", true),
        ] {
            let glob = Glob::new(pattern.as_bytes());
            assert_eq!(glob.matches(name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn only_live_wildcards_make_a_pattern() {
        for pattern in ["*", "a?", "[ab]", "[[a]", "\\\\*"] {
            assert!(is_pattern(pattern.as_bytes()), "{pattern}");
        }
        for plain in ["", "a.csv", "a[1", "\\*\\?", "[]", "a]"] {
            assert!(!is_pattern(plain.as_bytes()), "{plain}");
        }
    }

    #[test]
    fn hostile_patterns_are_cheap() {
        let name = vec![b'a'; 255];
        let glob = Glob::new(&[&b"*a".repeat(120)[..], b"*b"].concat());
        assert!(!glob.matches(&name));
        assert!(Glob::new(&b"*".repeat(4096)).matches(&name));
        assert!(!Glob::new(&b"[".repeat(4096)).matches(&name));
        assert!(!Glob::new(&b"[a-".repeat(1365)).matches(&name));
    }
}
