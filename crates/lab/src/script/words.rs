//! The words of an `@` line, one after the other.
//!
//! It does not know what they mean.

use super::text::{Captures, Style, Text};

/// The words of an `@` line; a word between quotes may hold blanks.
pub(super) struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line.trim() }
    }

    /// The next word, without quotes around it.
    pub(super) fn next(&mut self) -> Result<Option<String>, String> {
        match self.raw()? {
            None => Ok(None),
            Some(word) => {
                let word = word.strip_prefix('"').and_then(|w| w.strip_suffix('"')).unwrap_or(word);
                Ok(Some(word.into()))
            }
        }
    }

    /// The next word with its quotes.
    fn raw(&mut self) -> Result<Option<&'a str>, String> {
        let rest = self.rest.trim_start();
        if rest.is_empty() {
            return Ok(None);
        }
        let end = match rest.strip_prefix('"') {
            Some(quoted) => quote_end(quoted).ok_or("a quote is never closed")? + 2,
            None if rest.starts_with("repeat(") => rest.find(')').ok_or("no ) behind repeat(")? + 1,
            None => rest.find(' ').unwrap_or(rest.len()),
        };
        let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        self.rest = behind;
        Ok(Some(word))
    }

    /// The next word, which must be there.
    pub(super) fn word(&mut self, what: &str) -> Result<String, String> {
        self.next()?.ok_or_else(|| format!("{what} is missing"))
    }

    /// The same, with escapes read.
    pub(super) fn bytes(&mut self, what: &str) -> Result<Vec<u8>, String> {
        Text::parse(&self.word(what)?, Style::Quoted)?.fill(&Captures::new())
    }

    /// The next word, if it is `key=value`.
    pub(super) fn assignment(&mut self) -> Result<Option<(String, String)>, String> {
        let next = self.rest.split_whitespace().next().unwrap_or_default();
        let is_assignment = next.contains('=') && !next.starts_with('"');
        let word = if is_assignment { self.next()? } else { None };
        Ok(word.and_then(|word| word.split_once('=').map(|(k, v)| (k.into(), v.into()))))
    }

    /// `"..."` or `repeat("x", 3)`.
    pub(super) fn content(&mut self) -> Result<Text, String> {
        let word = self.raw()?.ok_or("the content of the file is missing")?;
        match word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
            Some(inner) => Text::parse(inner, Style::Quoted),
            None if word.starts_with("repeat(") => Text::parse(word, Style::Sent),
            None => Err(format!("the content of a file stands between quotes: {word}")),
        }
    }
}

fn quote_end(quoted: &str) -> Option<usize> {
    let mut escaped = false;
    quoted.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}
