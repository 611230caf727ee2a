//! Bytes to lines: CRLF or a bare LF ends one, Telnet commands are taken out, limits hold.
//!
//! It knows nothing of verbs or replies: server, client and gateway read their lines here.

use alloc::vec::Vec;

/// The longest command line, without its end. Origin: twice `PATH_MAX`, so that RNFR with the
/// longest path fits even where every byte is an escaped IAC.
pub const MAX_COMMAND: usize = 8192;

/// Why a line was dropped. The reader goes on with the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// It holds a NUL.
    Nul,
    /// It is longer than the limit.
    TooLong,
}

/// Collects bytes and hands out lines without their end.
///
/// Feed bytes with [`push`](Self::push), then call [`next_line`](Self::next_line) until it gives
/// `None`. The memory between lines can be had back, and lent anew: [`lend`](Self::lend).
#[derive(Debug)]
pub struct LineReader {
    buffer: Vec<u8>,
    read: usize,
    scanned: usize,
    limit: usize,
    skipping: bool,
    telnet: Telnet,
}

/// Where in a Telnet command the last byte ended (RFC 854).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telnet {
    Text,
    Iac,
    Option,
}

const IAC: u8 = 255;
const DONT: u8 = 254;
const WILL: u8 = 251;
/// The smallest Telnet command (SE). Bytes below it behind an IAC are text: names in old character
/// sets hold 0xFF, and most clients do not double it.
pub(crate) const FIRST_TELNET_COMMAND: u8 = 240;

impl LineReader {
    /// A reader whose lines may have `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            read: 0,
            scanned: 0,
            limit,
            skipping: false,
            telnet: Telnet::Text,
        }
    }

    /// Takes in bytes as they came, Telnet commands removed: `IAC IAC` is one 0xFF, negotiations
    /// are dropped with their option, the Synch of ABOR (`IAC IP IAC DM`) vanishes (RFC 959 §3.1,
    /// RFC 1123 §4.1.2.10).
    pub fn push(&mut self, bytes: &[u8]) {
        if self.telnet == Telnet::Text && !bytes.contains(&IAC) {
            self.buffer.extend_from_slice(bytes);
            return;
        }
        for &byte in bytes {
            self.telnet = match (self.telnet, byte) {
                (Telnet::Text, IAC) => Telnet::Iac,
                (Telnet::Iac, WILL..=DONT) => Telnet::Option,
                (Telnet::Iac, FIRST_TELNET_COMMAND..WILL) | (Telnet::Option, _) => Telnet::Text,
                (Telnet::Iac, byte) => {
                    self.buffer.push(IAC);
                    if byte != IAC {
                        self.buffer.push(byte);
                    }
                    Telnet::Text
                }
                (Telnet::Text, byte) => {
                    self.buffer.push(byte);
                    Telnet::Text
                }
            };
        }
    }

    /// The next whole line, or why one was dropped; `None` until more bytes come.
    pub fn next_line(&mut self) -> Option<Result<&[u8], LineError>> {
        let (start, end) = loop {
            let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(length) = fresh.iter().position(|&b| b == b'\n') else {
                return self.without_end().map(Err);
            };
            let line = (self.read, self.scanned + length);
            self.read = line.1 + 1;
            self.scanned = self.read;
            if !core::mem::take(&mut self.skipping) {
                break line;
            }
        };
        let line = self.buffer.get(start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(match () {
            () if line.len() > self.limit => Err(LineError::TooLong),
            () if line.contains(&0) => Err(LineError::Nul),
            () => Ok(line),
        })
    }

    /// No end of line is buffered: keep the beginning, or report and skip a line beyond the limit.
    fn without_end(&mut self) -> Option<LineError> {
        self.scanned = self.buffer.len();
        let waiting = self.buffer.len() - self.read;
        // One byte more than the limit may be the CR of the end.
        let too_long = waiting > self.limit + 1;
        let report = too_long && !self.skipping;
        if too_long || self.skipping || waiting == 0 {
            self.skipping |= too_long;
            self.buffer.clear();
            self.read = 0;
            self.scanned = 0;
        } else if self.read > 0 {
            self.buffer.drain(..self.read);
            self.read = 0;
            self.scanned = self.buffer.len();
        }
        report.then_some(LineError::TooLong)
    }

    /// Memory for the lines to come, if it has none: it need not be empty.
    pub fn lend(&mut self, memory: impl FnOnce() -> Vec<u8>) {
        if self.buffer.capacity() == 0 {
            self.buffer = memory();
            self.buffer.clear();
        }
    }

    /// The memory, while no bytes wait in it: who reads seldom holds none.
    pub fn release(&mut self) -> Vec<u8> {
        if !self.is_empty() {
            return Vec::new();
        }
        self.read = 0;
        self.scanned = 0;
        core::mem::take(&mut self.buffer)
    }

    /// Drops everything that is buffered. Called when TLS starts: bytes that came in clear behind
    /// the command are never commands or replies afterwards (CVE-2011-1575).
    pub fn purge(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Whether bytes wait for the end of their line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == self.read
    }

    /// The bytes that wait for the end of their line: what a prompt or a banner without a line end
    /// shows.
    #[must_use]
    pub fn partial(&self) -> &[u8] {
        self.buffer.get(self.read..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn lines(chunks: &[&[u8]]) -> Vec<Result<Vec<u8>, LineError>> {
        let mut reader = LineReader::new(16);
        let mut lines = vec![];
        for chunk in chunks {
            reader.push(chunk);
            while let Some(line) = reader.next_line() {
                lines.push(line.map(<[u8]>::to_vec));
            }
        }
        lines
    }

    fn ok(text: &[u8]) -> Result<Vec<u8>, LineError> {
        Ok(text.to_vec())
    }

    #[test]
    fn the_same_lines_whole_and_byte_by_byte() {
        let input = b"NOOP\r\nSYST\n\r\n\xff\xf4\xff\xf2ABOR\r\n\xff\xfb\x01PWD\r\na\xff\xffb\r\n";
        let expected = [ok(b"NOOP"), ok(b"SYST"), ok(b""), ok(b"ABOR"), ok(b"PWD"), ok(b"a\xffb")];
        assert_eq!(lines(&[input]), expected);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(lines(&bytes), expected);
    }

    #[test]
    fn a_latin_1_name_keeps_its_ff() {
        assert_eq!(lines(&[b"CWD \xffa\r\n"]), [ok(b"CWD \xffa")]);
    }

    #[test]
    fn bad_lines_are_reported_once_and_the_next_is_read() {
        let long = [b'x'; 40];
        let expected = [Err(LineError::TooLong), ok(b"NOOP")];
        assert_eq!(lines(&[&long, b"\r\nNOOP\r\n"]), expected);
        assert_eq!(lines(&[&long, &long, b"yz\r\nNOOP\r\n"]), expected);
        assert_eq!(lines(&[b"xxxxxxxxxxxxxxxxx\r\nNOOP\r\n"]), expected);
        assert_eq!(lines(&[b"xxxxxxxxxxxxxxxx\r\n"]), [ok(&[b'x'; 16])]);
        assert_eq!(lines(&[b"a\0b\r\nNOOP\r\n"]), [Err(LineError::Nul), ok(b"NOOP")]);
    }

    #[test]
    fn memory_is_lent_and_given_back_between_lines() {
        let mut reader = LineReader::new(16);
        reader.lend(|| vec![b'x'; 64]);
        reader.push(b"NOOP\r\nN");
        assert_eq!(reader.next_line(), Some(Ok(&b"NOOP"[..])));
        assert_eq!(reader.next_line(), None);
        assert_eq!(reader.release().capacity(), 0, "the beginning of a line waits in it");
        reader.push(b"OOP\r\n");
        assert_eq!(reader.next_line(), Some(Ok(&b"NOOP"[..])));
        let memory = reader.release();
        assert_eq!((memory.capacity(), reader.buffer.capacity()), (64, 0));
        reader.push(b"SYST\r\n");
        assert_eq!(reader.next_line(), Some(Ok(&b"SYST"[..])));
    }
}
