//! Paths as FTP sees them: bytes on the wire, absolute and normalised inside a session.
//!
//! Nothing here knows a file system: `VirtualPath` is a name below an account's root, and the
//! storage resolves it beneath a directory handle.

use alloc::vec::Vec;
use core::fmt;

use crate::short::Short;
use crate::text::Escaped;

/// The longest path a command may name. Origin: `PATH_MAX` of Linux.
pub const MAX_PATH: usize = 4096;

/// The longest single name in a path. Origin: `NAME_MAX` of Linux.
pub const MAX_NAME: usize = 255;

/// The bytes of a path, most of them short. Origin: 64 bytes with their length, a cache line.
pub type PathBytes = Short<55>;

/// An absolute, normalised path below an account's root: `/` or `/a/b`, never `..`, `.` or `//`.
///
/// The only way to make one is through [`VirtualPath::join`], so that one normaliser decides for
/// all verbs (two that disagree are how roots are escaped: `CVE-2026-30914`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualPath(PathBytes);

/// A path as a command's argument carries it: bytes, absolute or relative, nothing resolved.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FtpPath(pub PathBytes);

impl fmt::Debug for FtpPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Escaped(&self.0), f)
    }
}

impl From<&[u8]> for FtpPath {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

/// Why a command's argument is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// A CR, LF or NUL: it would split a reply or end a name early.
    ControlByte,
    /// More than [`MAX_PATH`] bytes, or a name of more than [`MAX_NAME`].
    TooLong,
}

impl VirtualPath {
    /// The root of the account.
    #[must_use]
    pub fn root() -> Self {
        Self(b"/".into())
    }

    /// `argument` as the peer sent it, taken from this directory. `..` stops at the root; a single
    /// `~` means the root, which is the log-in directory.
    ///
    /// # Errors
    /// A control byte that no reply could carry, or a path too long for any file system.
    pub fn join(&self, argument: &[u8]) -> Result<Self, PathError> {
        if argument.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return Err(PathError::ControlByte);
        }
        if argument == b"~" {
            return Ok(Self::root());
        }
        let from_root = argument.first() == Some(&b'/');
        let mut joined = if from_root { Self::root() } else { self.clone() };
        for name in argument.split(|&b| b == b'/') {
            match name {
                b"" | b"." => {}
                b".." => joined.pop(),
                name if name.len() > MAX_NAME => return Err(PathError::TooLong),
                name => joined.push(name),
            }
        }
        if joined.0.len() > MAX_PATH { Err(PathError::TooLong) } else { Ok(joined) }
    }

    fn push(&mut self, name: &[u8]) {
        if !self.is_root() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name);
    }

    fn pop(&mut self) {
        let slash = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
        self.0.truncate(slash.max(1));
    }

    /// The path as bytes, beginning with `/`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is `/` itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.len() <= 1
    }

    /// The last name of the path; `None` for the root.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        self.names().last()
    }

    /// The directory that holds it; the root holds itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        let mut parent = self.clone();
        parent.pop();
        parent
    }

    /// The names from the root down, without slashes: what a storage resolves one by one.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|name| !name.is_empty())
    }

    /// Whether `self` is `ancestor` or lies below it.
    #[must_use]
    pub fn is_within(&self, ancestor: &Self) -> bool {
        ancestor.is_root()
            || self
                .0
                .strip_prefix(ancestor.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
    }

    /// Writes the path between quotes with its own quotes doubled, as 257 wants it (RFC 959 App. II).
    pub fn quote(&self, out: &mut impl Extend<u8>) {
        let doubled = |&byte: &u8| core::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 });
        out.extend([b'"']);
        out.extend(self.0.iter().flat_map(doubled));
        out.extend([b'"']);
    }
}

/// The path in the text of a 257 reply: between the first quote and the first single one after it,
/// doubled quotes made one. `None` where there is no quoted text, or it holds a control byte
/// (curl cases 3217 and 3218): a client then keeps to relative paths.
#[must_use]
pub fn unquote(text: &[u8]) -> Option<Vec<u8>> {
    let start = text.iter().position(|&b| b == b'"')? + 1;
    let mut rest = text.get(start..)?.iter().copied().peekable();
    let mut path = Vec::new();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' if rest.peek() == Some(&b'"') => {
                rest.next();
                path.push(b'"');
            }
            b'"' => return Some(path),
            0..=0x1f | 0x7f => return None,
            byte => path.push(byte),
        }
    }
    None
}

impl fmt::Display for VirtualPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0).fmt(f)
    }
}

impl fmt::Debug for VirtualPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Escaped(&self.0), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use alloc::vec;

    fn path(text: &[u8]) -> VirtualPath {
        VirtualPath::root().join(text).unwrap()
    }

    #[test]
    fn dots_and_slashes_never_leave_the_root() {
        for (argument, expected) in [
            ("", "/"),
            ("a", "/a"),
            ("/a//b/./c/", "/a/b/c"),
            ("../../etc/passwd", "/etc/passwd"),
            ("/..", "/"),
            ("a/../../b", "/b"),
            ("...", "/..."),
            ("~", "/"),
            ("~x", "/~x"),
            (" lead and trail ", "/ lead and trail "),
            ("C:\\x", "/C:\\x"),
        ] {
            assert_eq!(path(argument.as_bytes()).as_bytes(), expected.as_bytes(), "{argument}");
        }
        assert_eq!(path(b"/a/b").join(b"../c").unwrap(), path(b"/a/c"));
    }

    #[test]
    fn bytes_that_no_reply_can_carry_are_refused() {
        for bad in [&b"a\rb"[..], b"a\nb", b"a\0b"] {
            assert_eq!(VirtualPath::root().join(bad), Err(PathError::ControlByte));
        }
        assert_eq!(VirtualPath::root().join(&[b'a'; 256]), Err(PathError::TooLong));
        assert_eq!(VirtualPath::root().join(&b"a/".repeat(3000)), Err(PathError::TooLong));
        assert!(VirtualPath::root().join(&b"./".repeat(3000)).is_ok());
    }

    #[test]
    fn ancestry_counts_whole_names() {
        assert!(path(b"/pub/a").is_within(&path(b"/pub")));
        assert!(path(b"/pub").is_within(&path(b"/pub")));
        assert!(path(b"/pub").is_within(&VirtualPath::root()));
        assert!(!path(b"/public").is_within(&path(b"/pub")));
    }

    #[test]
    fn quoting_is_undone_by_unquoting() {
        let mut quoted = vec![];
        path(b"/a \"b\"").quote(&mut quoted);
        assert_eq!(quoted, b"\"/a \"\"b\"\"\"");
        assert_eq!(unquote(&quoted).unwrap(), b"/a \"b\"");
        assert_eq!(unquote(b"\"unclosed"), None);
        assert_eq!(unquote(b"no quotes"), None);
        assert_eq!(unquote(b"\"a\x07\""), None);
    }

    #[test]
    fn parents_and_names() {
        assert_eq!(path(b"/a/b").parent(), path(b"/a"));
        assert_eq!(path(b"/a").parent(), VirtualPath::root());
        assert_eq!(VirtualPath::root().parent(), VirtualPath::root());
        assert_eq!(path(b"/a/b").name(), Some(&b"b"[..]));
        assert_eq!(VirtualPath::root().name(), None);
        assert_eq!(path(b"/a\x1b/b").to_string(), "/a\\x1b/b");
    }
}
