//! Patterns: every one is valid, none is slow, and each matches what the definition says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twoport_proto::glob::{Glob, is_pattern};

/// The definition, for patterns without sets: exponential, and so for short ones only.
fn reference(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            reference(rest, name) || (!name.is_empty() && reference(pattern, &name[1..]))
        }
        ([b'?', rest @ ..], [_, tail @ ..]) => reference(rest, tail),
        ([b'\\', byte, rest @ ..], [other, tail @ ..]) => byte == other && reference(rest, tail),
        ([b'\\'], [b'\\']) => true,
        ([b'\\', ..], _) => false,
        ([byte, rest @ ..], [other, tail @ ..]) => byte == other && reference(rest, tail),
        _ => false,
    }
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (pattern, name) = input;
    let glob = Glob::new(pattern);
    let matches = glob.matches(name);
    let hidden = name.first() == Some(&b'.');
    if pattern.len() <= 12 && name.len() <= 12 && !pattern.contains(&b'[') && !hidden {
        assert_eq!(matches, reference(pattern, name));
    }
    if !is_pattern(pattern) && !pattern.contains(&b'\\') {
        assert_eq!(matches, pattern == name);
    }
});
