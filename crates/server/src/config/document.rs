//! A TOML text while it is read: values with their places, and what is wrong with them.
//!
//! It knows no key: what may be written is the caller's to say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Place, Problem, nearest};
use super::value::Wrong;

/// A value with its place in the text.
pub type Node<'a> = Spanned<DeValue<'a>>;

/// A file while it is read.
#[derive(Debug)]
pub struct Document<'a> {
    file: Arc<PathBuf>,
    text: &'a str,
    problems: Vec<(usize, Problem)>,
}

impl<'a> Document<'a> {
    /// The text of a file.
    #[must_use]
    pub fn new(file: &Path, text: &'a str) -> Self {
        Self { file: Arc::new(file.to_owned()), text, problems: Vec::new() }
    }

    /// What was found wrong, in the order of the text.
    #[must_use]
    pub fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|(byte, _)| *byte);
        self.problems.into_iter().map(|(_, problem)| problem).collect()
    }

    /// The place of a byte.
    #[must_use]
    pub fn place(&self, byte: usize) -> Place {
        Place::of(&self.file, self.text, byte)
    }

    /// Reports what is wrong with a key.
    pub fn report(&mut self, byte: usize, key: &str, wrong: Wrong) {
        let problem = Problem::new(Some(self.place(byte)), key, wrong);
        self.problems.push((byte, problem));
    }

    /// Reports a key that does not exist, with the nearest one that does, or with the section where
    /// there is one of its name.
    pub fn unknown<'k>(
        &mut self,
        byte: usize,
        key: &str,
        section: &str,
        keys: impl Iterator<Item = &'k str>,
        elsewhere: Option<&str>,
    ) {
        let keys: Vec<_> = keys.collect();
        let remedy = match (nearest(key, keys.iter().copied()), elsewhere) {
            (Some(near), _) => format!("did you mean {near}?"),
            (None, Some(section)) => format!("it belongs in [{section}]"),
            (None, None) => format!("the keys are {}", keys.join(", ")),
        };
        self.report(byte, key, Wrong::new(format!("unknown key in [{section}]"), remedy));
    }

    /// Reports lines that are no TOML. What the parser made of them is not worth a second message.
    pub fn report_syntax(&mut self, errors: &[toml::de::Error]) {
        let at = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
        let broken: Vec<_> = errors.iter().map(|error| self.line(at(error))).collect();
        let mut problems = std::mem::take(&mut self.problems);
        problems.retain(|(byte, _)| !broken.contains(&self.line(*byte)));
        self.problems = problems;
        for error in errors {
            let wrong = Wrong::new(error.message(), "write it as TOML has it (toml.io)");
            self.report(at(error), "", wrong);
        }
    }

    fn line(&self, byte: usize) -> usize {
        self.text.bytes().take(byte).filter(|&b| b == b'\n').count()
    }
}

/// The tables of a list; what is none is reported.
pub fn tables<'a, 'd>(
    document: &mut Document<'_>,
    value: &'a Node<'d>,
    name: &str,
) -> impl Iterator<Item = &'a Node<'d>> + use<'a, 'd> {
    let tables = match value.get_ref() {
        DeValue::Array(tables) => Some(tables),
        _ => {
            let remedy = format!("begin each {name} with a line [[{name}]]");
            document.report(value.span().start, name, Wrong::new("not a list of tables", remedy));
            None
        }
    };
    tables.into_iter().flatten()
}

/// A TOML type with its article, for messages.
#[must_use]
pub fn text_of(value: &Node<'_>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
