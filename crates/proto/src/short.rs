//! Bytes of which there mostly are few: paths, lines, texts of replies. Up to `N` of them stand where
//! they are, so that nothing is allocated for them; more than that are on the heap.
//!
//! It knows nothing of what they mean.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use crate::text::Escaped;

/// Bytes as a `Vec<u8>` has them, up to `N` of them in place. `N` is 255 at most.
#[derive(Clone)]
pub struct Short<const N: usize>(Place<N>);

#[derive(Clone)]
enum Place<const N: usize> {
    Here { length: u8, bytes: [u8; N] },
    Heap(Vec<u8>),
}

impl<const N: usize> Short<N> {
    /// No bytes.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N <= u8::MAX as usize, "the length is one byte") };
        Self(Place::Here { length: 0, bytes: [0; N] })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Place::Here { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Place::Heap(bytes) => bytes,
        }
    }

    /// The bytes, to be changed in place.
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Place::Here { length, bytes } => {
                bytes.get_mut(..usize::from(*length)).unwrap_or_default()
            }
            Place::Heap(bytes) => bytes,
        }
    }

    /// Appends one.
    pub fn push(&mut self, byte: u8) {
        self.extend_from_slice(&[byte]);
    }

    /// Appends some.
    pub fn extend_from_slice(&mut self, more: &[u8]) {
        match &mut self.0 {
            Place::Heap(bytes) => bytes.extend_from_slice(more),
            Place::Here { length, bytes } => {
                let from = usize::from(*length);
                let behind = from.saturating_add(more.len());
                match (bytes.get_mut(from..behind), u8::try_from(behind)) {
                    (Some(space), Ok(behind)) => {
                        space.copy_from_slice(more);
                        *length = behind;
                    }
                    _ => self.0 = Place::Heap([self.as_bytes(), more].concat()),
                }
            }
        }
    }

    /// Keeps the first `length` and drops the rest.
    pub fn truncate(&mut self, length: usize) {
        match &mut self.0 {
            Place::Here { length: held, .. } => {
                *held = u8::try_from(length).unwrap_or(u8::MAX).min(*held);
            }
            Place::Heap(bytes) => bytes.truncate(length),
        }
    }

    /// The same, on the heap.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Place::Heap(bytes) => bytes,
            Place::Here { .. } => self.as_bytes().to_vec(),
        }
    }
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Deref for Short<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<const N: usize> From<&[u8]> for Short<N> {
    fn from(bytes: &[u8]) -> Self {
        let mut short = Self::new();
        short.extend_from_slice(bytes);
        short
    }
}

impl<const N: usize, const M: usize> From<&[u8; M]> for Short<N> {
    fn from(bytes: &[u8; M]) -> Self {
        Self::from(&bytes[..])
    }
}

impl<const N: usize> From<&str> for Short<N> {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl<const N: usize> From<Vec<u8>> for Short<N> {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() <= N { Self::from(&bytes[..]) } else { Self(Place::Heap(bytes)) }
    }
}

impl<const N: usize> From<String> for Short<N> {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

/// Formatted text, without a string in between.
impl<const N: usize> From<fmt::Arguments<'_>> for Short<N> {
    fn from(text: fmt::Arguments<'_>) -> Self {
        let mut short = Self::new();
        let written = fmt::Write::write_fmt(&mut short, text);
        debug_assert!(written.is_ok(), "it takes every character");
        short
    }
}

impl<const N: usize> fmt::Write for Short<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl<const N: usize> Extend<u8> for Short<N> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        bytes.into_iter().for_each(|byte| self.push(byte));
    }
}

impl<const N: usize> PartialEq for Short<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> Eq for Short<N> {}

impl<const N: usize> PartialOrd for Short<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for Short<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl<const N: usize> Hash for Short<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Escaped(self), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn is_here<const N: usize>(short: &Short<N>) -> bool {
        matches!(short.0, Place::Here { .. })
    }

    #[test]
    fn the_same_bytes_in_place_and_on_the_heap() {
        let mut short = Short::<4>::from(b"abc");
        short.push(b'd');
        assert!(is_here(&short));
        short.push(b'e');
        assert!(!is_here(&short));
        short.extend_from_slice(b"fg");
        assert_eq!(&*short, b"abcdefg");
        short.truncate(3);
        assert_eq!(short, Short::from("abc"));
        assert_eq!(short.into_vec(), b"abc");
        assert_eq!(Short::<4>::from(vec![7; 5]).as_bytes(), [7; 5]);
        assert!(is_here(&Short::<4>::from(vec![7; 4])));
        assert_eq!(&*Short::<4>::from(format_args!("{}+{}", 12, 345)), b"12+345");
        assert!(Short::<4>::from("b") > Short::from("abcde"));
    }

    /// The tag is the length's or the vector's own.
    #[test]
    fn it_is_little_larger_than_what_it_holds() {
        assert_eq!(size_of::<Short<55>>(), 64);
        assert_eq!(size_of::<Short<119>>(), 128);
    }
}
