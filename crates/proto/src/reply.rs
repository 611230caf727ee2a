//! Replies: a code and its lines, as a server writes them.
//!
//! Reading a peer's replies takes time into account and lives with the client's machine.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::code::Code;
use crate::reason::Reason;
use crate::short::Short;
use crate::text::Escaped;

/// The text of a reply of one line. Origin: 128 bytes with their length hold all that clients hear
/// often, with paths of common length.
pub type Text = Short<119>;

/// A reply: a code and one or more lines of text, without CRLF.
///
/// No line of a reply that is made here can hold a CR, LF or NUL: what a peer sent cannot forge a
/// second one.
#[derive(Clone)]
pub struct Reply {
    /// The code.
    pub code: Code,
    lines: Lines,
}

#[derive(Clone)]
enum Lines {
    One(Text),
    /// The first, the body and the last.
    Block(Vec<Vec<u8>>),
}

impl Reply {
    /// A reply of one line.
    #[must_use]
    pub fn line(code: Code, text: impl Into<Text>) -> Self {
        let mut text = text.into();
        clean(text.as_mut_bytes());
        Self { code, lines: Lines::One(text) }
    }

    /// What a peer said, line by line, whatever it holds.
    #[must_use]
    pub fn heard(code: Code, lines: Vec<Vec<u8>>) -> Self {
        Self { code, lines: Lines::Block(lines) }
    }

    /// A reply of several lines. A body line goes out behind a space, so that no client can take
    /// it for the end of the reply, and no helper in the network for a 227.
    #[must_use]
    pub fn block(
        code: Code,
        first: impl Into<Vec<u8>>,
        body: impl IntoIterator<Item = Vec<u8>>,
        last: impl Into<Vec<u8>>,
    ) -> Self {
        let mut lines = alloc::vec![first.into()];
        lines.extend(body);
        lines.push(last.into());
        lines.iter_mut().for_each(|line| clean(line));
        Self { code, lines: Lines::Block(lines) }
    }

    /// The text: one line, or for a multi-line reply the first, the body and the last.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        let (one, block) = match &self.lines {
            Lines::One(text) => (Some(text.as_bytes()), &[][..]),
            Lines::Block(lines) => (None, &lines[..]),
        };
        let count = block.len() + one.iter().len();
        (0..count).map(move |number| match one {
            Some(text) => text,
            None => block.get(number).map(|line| &line[..]).unwrap_or_default(),
        })
    }

    /// The same, each line as `edit` leaves it.
    #[must_use]
    pub fn edited(self, edit: impl FnMut(&mut Vec<u8>)) -> Self {
        let mut lines: Vec<Vec<u8>> = self.lines().map(<[u8]>::to_vec).collect();
        lines.iter_mut().for_each(edit);
        Self::heard(self.code, lines)
    }

    /// The lines joined by blanks, in lower case: where a word is looked for.
    #[must_use]
    pub fn lowercase(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (number, line) in self.lines().enumerate() {
            text.extend_from_slice(if number == 0 { b"" } else { b" " });
            text.extend(line.iter().map(u8::to_ascii_lowercase));
        }
        text
    }

    /// A refusal, or another end that has a reason.
    #[must_use]
    pub fn why(code: Code, reason: Reason) -> Self {
        Self::line(code, format_args!("{}.", reason.describe()))
    }

    /// A refusal that names what it is about: `NAME: reason.`
    #[must_use]
    pub fn about(code: Code, subject: &[u8], reason: Reason) -> Self {
        Self::line(code, format_args!("{}: {}.", Escaped(subject), reason.describe()))
    }

    /// Appends the reply as it goes over the wire (RFC 959 §4.2), 0xFF doubled (Telnet).
    pub fn encode(&self, out: &mut Vec<u8>) {
        let code = self.code.digits();
        let last = self.lines().len().saturating_sub(1);
        for (number, line) in self.lines().enumerate() {
            match number {
                _ if number == last => push(out, &code, b' ', line),
                0 => push(out, &code, b'-', line),
                _ => push(out, b"", b' ', line),
            }
        }
    }

    /// The lines joined by spaces, safe to show.
    #[must_use]
    pub fn text(&self) -> String {
        use core::fmt::Write as _;
        let mut text = String::new();
        for (number, line) in self.lines().enumerate() {
            let gap = if number == 0 { "" } else { " " };
            let written = write!(text, "{gap}{}", Escaped(line));
            debug_assert!(written.is_ok(), "a string takes every character");
        }
        text
    }
}

fn push(out: &mut Vec<u8>, code: &[u8], separator: u8, line: &[u8]) {
    const IAC: u8 = 0xff;
    out.extend_from_slice(code);
    out.push(separator);
    for (number, piece) in line.split(|&byte| byte == IAC).enumerate() {
        if number > 0 {
            out.extend_from_slice(&[IAC, IAC]);
        }
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(b"\r\n");
}

fn clean(line: &mut [u8]) {
    for byte in line {
        if matches!(byte, b'\r' | b'\n' | 0) {
            *byte = b'?';
        }
    }
}

impl PartialEq for Reply {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code && self.lines().eq(other.lines())
    }
}

impl Eq for Reply {}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn wire(reply: &Reply) -> Vec<u8> {
        let mut out = vec![];
        reply.encode(&mut out);
        out
    }

    #[test]
    fn one_line_and_many() {
        assert_eq!(wire(&Reply::line(Code::OK, "Done.")), b"200 Done.\r\n");
        let body = [b"UTF8".to_vec(), b"226 not the end".to_vec()];
        let feat = Reply::block(Code::STATUS, "Features:", body, "End");
        assert_eq!(wire(&feat), b"211-Features:\r\n UTF8\r\n 226 not the end\r\n211 End\r\n");
    }

    #[test]
    fn no_text_forges_a_reply() {
        assert_eq!(wire(&Reply::line(Code::OK, "a\r\n230 b\0")), b"200 a??230 b?\r\n");
        assert_eq!(wire(&Reply::line(Code::PATH, b"\xff".to_vec())), b"257 \xff\xff\r\n");
    }
}
