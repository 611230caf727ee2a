//! Replies: a code and its lines, as a server writes them.
//!
//! Reading a peer's replies takes time into account and lives with the client's machine.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::code::Code;
use crate::reason::Reason;
use crate::text::Escaped;

/// A reply: a code and one or more lines of text, without CRLF.
///
/// No line can hold a CR, LF or NUL: what a peer sent cannot forge a second reply.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The code.
    pub code: Code,
    /// The text: one line, or for a multi-line reply the first, the body and the last.
    pub lines: Vec<Vec<u8>>,
}

impl Reply {
    /// A reply of one line.
    #[must_use]
    pub fn line(code: Code, text: impl Into<Vec<u8>>) -> Self {
        Self { code, lines: alloc::vec![clean(text.into())] }
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
        let mut lines = alloc::vec![clean(first.into())];
        lines.extend(body.into_iter().map(clean));
        lines.push(clean(last.into()));
        Self { code, lines }
    }

    /// A refusal, or another end that has a reason.
    #[must_use]
    pub fn why(code: Code, reason: Reason) -> Self {
        Self::line(code, alloc::format!("{}.", reason.describe()))
    }

    /// A refusal that names what it is about: `NAME: reason.`
    #[must_use]
    pub fn about(code: Code, subject: &[u8], reason: Reason) -> Self {
        Self::line(code, alloc::format!("{}: {}.", Escaped(subject), reason.describe()))
    }

    /// Appends the reply as it goes over the wire (RFC 959 §4.2), 0xFF doubled (Telnet).
    pub fn encode(&self, out: &mut Vec<u8>) {
        use alloc::string::ToString as _;
        let code = self.code.to_string();
        let last = self.lines.len().saturating_sub(1);
        for (number, line) in self.lines.iter().enumerate() {
            match number {
                _ if number == last => push(out, code.as_bytes(), b' ', line),
                0 => push(out, code.as_bytes(), b'-', line),
                _ => push(out, b"", b' ', line),
            }
        }
    }

    /// The lines joined by spaces, safe to show.
    #[must_use]
    pub fn text(&self) -> String {
        use core::fmt::Write as _;
        let mut text = String::new();
        for (number, line) in self.lines.iter().enumerate() {
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
    for &byte in line {
        if byte == IAC {
            out.push(IAC);
        }
        out.push(byte);
    }
    out.extend_from_slice(b"\r\n");
}

fn clean(mut line: Vec<u8>) -> Vec<u8> {
    for byte in &mut line {
        if matches!(byte, b'\r' | b'\n' | 0) {
            *byte = b'?';
        }
    }
    line
}

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
