//! The text of a line: bytes with escapes, repetitions, captures and, in replies, `*`.
//!
//! It does not know what the text is for; [`Text::fill`] and [`Text::matches`] are all that a player
//! needs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// What captures stand for, by name.
pub type Captures = BTreeMap<String, Vec<u8>>;

/// A text as a session file writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    pieces: Vec<Piece>,
    style: Style,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    Repeat(Vec<u8>, usize),
    Capture(String),
    /// `*`: any bytes, also none.
    Any,
}

/// Where the text stands, which decides what has a meaning of its own in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Sent by either side: `{name}` and `repeat("x", 3)` mean something.
    #[default]
    Sent,
    /// A reply: `*` means something too, `repeat` nothing.
    Reply,
    /// Between quotes: a `"` is escaped, `{name}` means nothing.
    Quoted,
}

impl Text {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with an escape or a repetition.
    pub fn parse(source: &str, style: Style) -> Result<Self, String> {
        let mut text = Self { pieces: Vec::new(), style };
        let mut rest = source;
        while let Some(character) = rest.chars().next() {
            rest = match character {
                '\\' => text.escape(rest)?,
                '*' if style == Style::Reply => text.add(Piece::Any, rest, 1),
                '{' if style != Style::Quoted => match capture(rest) {
                    Some(name) => text.add(Piece::Capture(name.into()), rest, name.len() + 2),
                    None => text.literal(rest, 1),
                },
                'r' if style != Style::Reply && rest.starts_with("repeat(\"") => {
                    text.repetition(rest)?
                }
                character => text.literal(rest, character.len_utf8()),
            };
        }
        Ok(text)
    }

    /// A text of these bytes and nothing else.
    #[must_use]
    pub fn literal_bytes(bytes: &[u8], style: Style) -> Self {
        Self { pieces: vec![Piece::Bytes(bytes.to_vec())], style }
    }

    fn add<'a>(&mut self, piece: Piece, rest: &'a str, length: usize) -> &'a str {
        self.pieces.push(piece);
        rest.get(length..).unwrap_or_default()
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(Piece::Bytes(last)) = self.pieces.last_mut() {
            last.extend_from_slice(bytes);
        } else {
            self.pieces.push(Piece::Bytes(bytes.to_vec()));
        }
    }

    fn literal<'a>(&mut self, rest: &'a str, length: usize) -> &'a str {
        let (taken, rest) = rest.split_at_checked(length).unwrap_or((rest, ""));
        self.bytes(taken.as_bytes());
        rest
    }

    fn escape<'a>(&mut self, rest: &'a str) -> Result<&'a str, String> {
        let byte = match rest.chars().nth(1) {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('\\') => b'\\',
            Some('"') => b'"',
            Some('x') => {
                let digits = rest.get(2..4).unwrap_or_default();
                let byte = u8::from_str_radix(digits, 16)
                    .map_err(|_| format!("\\x needs two hexadecimal digits, not {digits:?}"))?;
                self.bytes(&[byte]);
                return Ok(rest.get(4..).unwrap_or_default());
            }
            Some(other) => return Err(format!("\\{other} is no escape; a backslash is \\\\")),
            None => {
                return Err("a backslash alone; at the end of a C: line it means: no CRLF".into());
            }
        };
        self.bytes(&[byte]);
        Ok(rest.get(2..).unwrap_or_default())
    }

    fn repetition<'a>(&mut self, rest: &'a str) -> Result<&'a str, String> {
        let wrong = || format!("not a repetition such as repeat(\"x\", 100): {rest}");
        let inner = rest.strip_prefix("repeat(\"").ok_or_else(wrong)?;
        let (unit, behind) = inner.split_once("\", ").ok_or_else(wrong)?;
        let (count, behind) = behind.split_once(')').ok_or_else(wrong)?;
        let unit = Self::parse(unit, Style::Quoted)?.fill(&Captures::new())?;
        self.pieces.push(Piece::Repeat(unit, count.parse().map_err(|_| wrong())?));
        Ok(behind)
    }

    /// The bytes, with what the captures stand for.
    ///
    /// # Errors
    /// A name that no line before has captured.
    pub fn fill(&self, captures: &Captures) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(literal) => bytes.extend_from_slice(literal),
                Piece::Repeat(unit, count) => bytes.extend(unit.repeat(*count)),
                Piece::Capture(name) => {
                    let value = captures.get(name);
                    bytes.extend(value.ok_or_else(|| format!("{{{name}}} was never captured"))?);
                }
                Piece::Any => {}
            }
        }
        Ok(bytes)
    }

    /// Whether a reply's text fits; what it captures is added if it does.
    pub fn matches(&self, text: &[u8], captures: &mut Captures) -> bool {
        let mut found = captures.clone();
        let fits = fits(&self.pieces, text, &mut found);
        if fits {
            *captures = found;
        }
        fits
    }

    /// The bytes without captures and `*`, to show what kind of line it is.
    #[must_use]
    pub fn sketch(&self) -> Vec<u8> {
        let known = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Bytes(bytes) => Some(bytes.clone()),
            Piece::Repeat(unit, count) => Some(unit.repeat(*count)),
            Piece::Capture(name) => Some(name.clone().into_bytes()),
            Piece::Any => None,
        });
        known.flatten().collect()
    }
}

/// A `{name}` at the beginning of the text: the name.
fn capture(rest: &str) -> Option<&str> {
    let (name, _) = rest.strip_prefix('{')?.split_once('}')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    is_name.then_some(name)
}

fn fits(pieces: &[Piece], text: &[u8], captures: &mut Captures) -> bool {
    let Some((piece, pieces)) = pieces.split_first() else { return text.is_empty() };
    let strip = |prefix: &[u8], captures: &mut Captures| {
        text.strip_prefix(prefix).is_some_and(|rest| fits(pieces, rest, captures))
    };
    match piece {
        Piece::Bytes(bytes) => strip(bytes, captures),
        Piece::Repeat(unit, count) => strip(&unit.repeat(*count), captures),
        Piece::Any => (0..=text.len())
            .any(|length| text.get(length..).is_some_and(|rest| fits(pieces, rest, captures))),
        Piece::Capture(name) => match captures.get(name).cloned() {
            Some(known) => strip(&known, captures),
            None => (1..=text.len()).any(|length| {
                let (value, rest) = text.split_at_checked(length).unwrap_or((text, b""));
                captures.insert(name.clone(), value.to_vec());
                let fits = fits(pieces, rest, captures);
                if !fits {
                    captures.remove(name);
                }
                fits
            }),
        },
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, piece) in self.pieces.iter().enumerate() {
            let is_last = number + 1 == self.pieces.len();
            match piece {
                Piece::Bytes(bytes) => show(f, bytes, self.style, is_last)?,
                Piece::Repeat(unit, count) => {
                    f.write_str("repeat(\"")?;
                    show(f, unit, Style::Quoted, false)?;
                    write!(f, "\", {count})")?;
                }
                Piece::Capture(name) => write!(f, "{{{name}}}")?,
                Piece::Any => f.write_char('*')?,
            }
        }
        Ok(())
    }
}

/// Writes bytes so that they are read back as they are. A blank at the end would be invisible.
fn show(f: &mut fmt::Formatter<'_>, bytes: &[u8], style: Style, is_last: bool) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        let text = chunk.valid();
        for (at, character) in text.char_indices() {
            let rest = text.get(at..).unwrap_or_default();
            match character {
                '\r' => f.write_str("\\r")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\\' => f.write_str("\\\\")?,
                '"' if style == Style::Quoted => f.write_str("\\\"")?,
                '*' if style == Style::Reply => f.write_str("\\x2a")?,
                '{' if style != Style::Quoted && capture(rest).is_some() => f.write_str("\\x7b")?,
                ' ' if is_last && rest == " " && style != Style::Quoted => f.write_str("\\x20")?,
                character if character.is_control() => {
                    let mut buffer = [0; 4];
                    hex(f, character.encode_utf8(&mut buffer).as_bytes())?;
                }
                character => f.write_char(character)?,
            }
        }
        hex(f, chunk.invalid())?;
    }
    Ok(())
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(source: &str) -> Vec<u8> {
        Text::parse(source, Style::Sent).unwrap().fill(&Captures::new()).unwrap()
    }

    #[test]
    fn escapes_and_repetitions_are_bytes_and_come_back_as_written() {
        assert_eq!(filled(r"hello\r\n"), b"hello\r\n");
        assert_eq!(filled(r"a\xff\\b"), b"a\xff\\b");
        assert_eq!(filled(r#"<repeat("ab", 3)>"#), b"<ababab>");
        for source in [r"hello\r\n", r"\xff\\ {x} {", r#"repeat("\"", 7)x"#, r"end\x20", "Zoë *"] {
            assert_eq!(Text::parse(source, Style::Sent).unwrap().to_string(), source);
        }
    }

    #[test]
    fn captures_are_the_shortest_that_fit_and_bind_later_ones() {
        let text = |source| Text::parse(source, Style::Reply).unwrap();
        let mut captures = Captures::new();
        assert!(text("* (|||{port}|)").matches(b"Entering (|||50021|)", &mut captures));
        assert_eq!(captures["port"], b"50021");
        assert!(text("{port} *").matches(b"50021 again", &mut captures));
        assert!(!text("{port}").matches(b"50022", &mut captures));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |source| Text::parse(source, Style::Sent).unwrap_err();
        assert!(wrong(r"\q").contains("is no escape"));
        assert!(wrong(r"\xg0").contains("hexadecimal"));
        assert!(wrong(r#"repeat("x", many)"#).contains("repetition"));
    }
}
