//! Bytes to lines and replies, verbatim: what passes through a relay comes out as it came in.
//!
//! It judges nothing but where a line or a reply ends. What a line says is read from a copy without
//! Telnet commands, see [`read`].

use alloc::vec::Vec;

use crate::code::Code;
use crate::line::{LineReader, MAX_COMMAND};
use crate::reason::Reason;

/// The longest line of a server. Origin: the client's longest reply.
const MAX_REPLY_LINE: usize = 1024 * 1024;

/// How much of a reply is held until its end is in. Origin: no announcement and no list of features is
/// as long; listings in STAT are.
const HELD: usize = 64 * 1024;

/// Collects the bytes of one leg.
#[derive(Debug)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    scanned: usize,
    limit: usize,
    too_long: Reason,
    /// Whether the rest of a line is dropped.
    is_skipping: bool,
}

impl Lines {
    /// Of a client: lines as long as the server's machine takes them.
    pub(super) const fn of_client() -> Self {
        // Every byte may be an escaped IAC, and the end of the line has two.
        let limit = 2 * MAX_COMMAND + 2;
        Self::new(limit, Reason::LineTooLong)
    }

    /// Of a server.
    pub(super) const fn of_server() -> Self {
        Self::new(MAX_REPLY_LINE, Reason::ReplyTooLong)
    }

    const fn new(limit: usize, too_long: Reason) -> Self {
        Self { buffer: Vec::new(), scanned: 0, limit, too_long, is_skipping: false }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line with its end. One beyond the limit is reported once, and left out.
    pub(super) fn next_line(&mut self) -> Option<Result<Vec<u8>, Reason>> {
        loop {
            let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(length) = fresh.iter().position(|&byte| byte == b'\n') else { break };
            let length = self.scanned + length + 1;
            self.scanned = 0;
            let rest = self.buffer.split_off(length);
            let line = core::mem::replace(&mut self.buffer, rest);
            if core::mem::take(&mut self.is_skipping) {
                continue;
            }
            return Some(if length <= self.limit { Ok(line) } else { Err(self.too_long) });
        }
        self.scanned = self.buffer.len();
        if self.scanned <= self.limit && !self.is_skipping {
            return None;
        }
        self.scanned = 0;
        self.buffer = Vec::new();
        (!core::mem::replace(&mut self.is_skipping, true)).then_some(Err(self.too_long))
    }

    /// All that is buffered, for a leg that is not read any more.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.scanned = 0;
        core::mem::take(&mut self.buffer)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether as much waits as one line may have.
    pub(super) const fn is_full(&self) -> bool {
        self.buffer.len() >= self.limit
    }
}

/// What a line says: without Telnet commands and without its end. None if it holds a NUL: servers in
/// C would read another line than the one that was judged.
pub(super) fn read_strictly(line: &[u8]) -> Option<Vec<u8>> {
    let mut reader = LineReader::new(usize::MAX - 1);
    reader.push(line);
    reader.next_line()?.ok().map(<[u8]>::to_vec)
}

/// The same of a server, whose NULs say nothing.
pub(super) fn read(line: &[u8]) -> Vec<u8> {
    read_strictly(line).unwrap_or_default()
}

/// A whole reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its code.
    pub(super) code: Code,
    /// Its bytes as they came.
    pub(super) bytes: Vec<u8>,
    /// Whether it has one line.
    pub(super) is_single: bool,
}

impl Block {
    /// The text of all lines behind one another, without the codes at their beginnings.
    pub(super) fn text(&self) -> Vec<u8> {
        let lines = self.bytes.split_inclusive(|&byte| byte == b'\n').map(read);
        let texts = lines.map(|line| match parse_code(&line) {
            Some(_) => line.get(4..).unwrap_or_default().to_vec(),
            None => line,
        });
        texts.collect::<Vec<_>>().join(&b' ')
    }
}

/// Collects the lines of a server into replies (RFC 959 §4.2).
#[derive(Debug, Default)]
pub(super) struct Blocks {
    bytes: Vec<u8>,
    open: Option<Code>,
}

/// What a line of a server is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// It ends a reply.
    Whole(Block),
    /// It belongs to a reply that has not ended.
    Part,
    /// So does this, which is too long to be held until then.
    Long(Code, Vec<u8>),
    /// It is no reply: it passes as it is.
    Noise(Vec<u8>),
}

impl Blocks {
    /// Takes the next line in.
    pub(super) fn line(&mut self, line: Vec<u8>) -> Piece {
        let text = read(&line);
        let code = parse_code(&text);
        let continues = text.get(3) == Some(&b'-');
        let is_single = self.open.is_none();
        match (self.open, code) {
            (None, None) => return Piece::Noise(line),
            (None, Some(code)) if continues => self.open = Some(code),
            (Some(open), found) if found != Some(open) || continues => {}
            (_, Some(code)) => {
                self.open = None;
                let mut bytes = core::mem::take(&mut self.bytes);
                bytes.extend(line);
                return Piece::Whole(Block { code, bytes, is_single });
            }
            (Some(_), None) => {}
        }
        self.bytes.extend(line);
        match self.open {
            Some(open) if self.bytes.len() > HELD => {
                Piece::Long(open, core::mem::take(&mut self.bytes))
            }
            _ => Piece::Part,
        }
    }

    /// What was held of a reply without end.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.open = None;
        core::mem::take(&mut self.bytes)
    }
}

/// The code of a line that begins or ends a reply: three digits and a blank, a hyphen or nothing.
fn parse_code(text: &[u8]) -> Option<Code> {
    let (&digits, rest) = text.split_first_chunk::<3>()?;
    matches!(rest.first(), None | Some(b' ' | b'\t' | b'-')).then(|| Code::parse(digits))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn lines_come_out_as_they_came_in() {
        let input = b"NOOP\r\n\xff\xf4\xff\xf2ABOR\r\nPWD\nrest";
        let mut lines = Lines::of_client();
        let mut out = vec![];
        for byte in input {
            lines.push(&[*byte]);
            out.extend(lines.next_line().map(Result::unwrap));
        }
        assert_eq!(out, [&b"NOOP\r\n"[..], b"\xff\xf4\xff\xf2ABOR\r\n", b"PWD\n"]);
        assert_eq!(read(&out[1]), b"ABOR");
        assert_eq!(lines.take(), b"rest");
    }

    #[test]
    fn a_line_without_end_is_not_collected_for_ever() {
        let mut lines = Lines::of_client();
        for _ in 0..2 {
            lines.push(&[b'x'; 20_000]);
            assert_eq!(lines.next_line(), Some(Err(Reason::LineTooLong)));
            lines.push(b"yz");
            assert_eq!(lines.next_line(), None);
            lines.push(b"\nNOOP\n");
            assert_eq!(lines.next_line(), Some(Ok(b"NOOP\n".to_vec())));
        }
        let mut blocks = Blocks::default();
        assert_eq!(blocks.line(b"211-\r\n".to_vec()), Piece::Part);
        let long = [vec![b'x'; HELD], b"\n".to_vec()].concat();
        assert!(
            matches!(blocks.line(long), Piece::Long(Code::STATUS, bytes) if bytes.len() > HELD)
        );
        let Piece::Whole(end) = blocks.line(b"211 End\r\n".to_vec()) else { panic!() };
        assert_eq!((end.bytes, end.is_single), (b"211 End\r\n".to_vec(), false));
    }

    #[test]
    fn replies_end_where_rfc_959_says() {
        let mut blocks = Blocks::default();
        for part in ["211-Features:\r\n", " EPSV\r\n", "226 not the end\r\n", "211-nor this\r\n"] {
            assert_eq!(blocks.line(part.into()), Piece::Part, "{part}");
        }
        let Piece::Whole(block) = blocks.line(b"211 End\r\n".to_vec()) else { panic!() };
        assert_eq!((block.code, block.is_single), (Code::STATUS, false));
        assert!(block.bytes.starts_with(b"211-Features:\r\n EPSV"));
        assert_eq!(block.text(), b"Features:  EPSV not the end nor this End");
        assert_eq!(blocks.line(b"hm\r\n".to_vec()), Piece::Noise(b"hm\r\n".to_vec()));
        assert!(matches!(blocks.line(b"226\r\n".to_vec()), Piece::Whole(_)));
    }
}
