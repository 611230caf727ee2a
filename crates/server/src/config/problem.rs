//! What is wrong with a configuration, said so that it can be put right without asking:
//! `FILE:LINE:COLUMN: key: what is wrong; what to do`.
//!
//! It does not say whether the problem forbids to go on: errors and warnings look alike.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::value::Wrong;

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On the command line.
    CommandLine,
    /// In a file as a whole.
    File(Arc<PathBuf>),
    /// In a file; line and column count from 1, the column in characters.
    Line(Arc<PathBuf>, usize, usize),
}

impl Place {
    /// The place of a byte in the text of a file.
    #[must_use]
    pub fn of(file: &Arc<PathBuf>, text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
        Self::Line(Arc::clone(file), line, column)
    }
}

/// Something wrong, or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written; `None` where nothing was written and a default is meant.
    pub place: Option<Place>,
    /// The setting, section or account that is meant; empty where the text is no TOML.
    pub key: String,
    /// What is wrong, and what to do.
    pub wrong: Wrong,
}

impl Problem {
    /// A problem with `key` at a place.
    pub fn new(place: Option<Place>, key: impl Into<String>, wrong: Wrong) -> Self {
        Self { place, key: key.into(), wrong }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(Place::Line(file, line, column)) => {
                write!(f, "{}:{line}:{column}: ", file.display())?;
            }
            Some(Place::File(file)) => write!(f, "{}: ", file.display())?,
            Some(Place::CommandLine) => f.write_str("--")?,
            None => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.wrong)
    }
}

/// All that is wrong with a configuration, in the order of the text. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.0.iter();
        if let Some(first) = lines.next() {
            write!(f, "{first}")?;
        }
        lines.try_for_each(|problem| write!(f, "\n{problem}"))
    }
}

impl std::error::Error for Problems {}

/// The name of `candidates` that is meant by `word`, if one is near enough to be a typing error.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong: the limit that rustc uses for its own suggestions.
    let most = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let file = Arc::new(PathBuf::from("f.toml"));
        let text = "a = 1\n# \u{e9}\u{e9}\nb";
        assert_eq!(Place::of(&file, text, 0), Place::Line(Arc::clone(&file), 1, 1));
        assert_eq!(Place::of(&file, text, 10), Place::Line(Arc::clone(&file), 2, 4));
        assert_eq!(Place::of(&file, text, text.len() - 1), Place::Line(file, 3, 1));
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let keys = ["max-sessions", "idle-timeout", "links"];
        assert_eq!(nearest("max-session", keys), Some("max-sessions"));
        assert_eq!(nearest("idel-timeout", keys), Some("idle-timeout"));
        assert_eq!(nearest("idle_timeout", keys), Some("idle-timeout"));
        assert_eq!(nearest("certificate", keys), None);
    }
}
