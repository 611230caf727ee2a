//! Peer's bytes made safe to show: no control byte reaches a terminal, a log or a reply.
//!
//! It does not decode character sets: valid UTF-8 passes, every other byte is written as `\xNN`.

use alloc::string::String;
use core::fmt::{self, Write as _};

/// Bytes that came from a peer, shown with every control byte, `\` and invalid UTF-8 as `\xNN`.
///
/// Unicode's own controls (C1, bidirectional overrides, line separators) are escaped too: they can
/// reorder or split a log line on a terminal.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if is_unprintable(character) {
                    let mut buffer = [0; 4];
                    hex(f, character.encode_utf8(&mut buffer).as_bytes())?;
                } else {
                    f.write_char(character)?;
                }
            }
            hex(f, chunk.invalid())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The escaped bytes as a string of their own.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let written = write!(text, "{}", Escaped(bytes));
    debug_assert!(written.is_ok(), "a string takes every character");
    text
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

const fn is_unprintable(character: char) -> bool {
    matches!(character,
        '\\' | '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_passes() {
        assert_eq!(escape(b"plain name.txt"), "plain name.txt");
        assert_eq!(escape("Zo\u{eb} \u{20ac}".as_bytes()), "Zo\u{eb} \u{20ac}");
        assert_eq!(escape(b"a\r\n\x1b[2J\\"), "a\\x0d\\x0a\\x1b[2J\\x5c");
        assert_eq!(escape(b"\xff\xc3"), "\\xff\\xc3");
        assert_eq!(escape("\u{202e}gpj".as_bytes()), "\\xe2\\x80\\xaegpj");
    }
}
