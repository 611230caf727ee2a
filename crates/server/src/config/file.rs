//! Reading TOML so that every problem of a file is found in one go, each with its place.
//!
//! It opens no file: the text is handed in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::account::{self, AccountEntry};
use super::listener::{self, Written};
use super::problem::{Place, Problem, nearest};
use super::settings::{SECTIONS, Setting, TABLE};
use super::value::{Toml, Wrong};

/// A value with its place in the text.
pub(super) type Node<'a> = Spanned<DeValue<'a>>;

/// A file while it is read.
pub(super) struct Document<'a> {
    file: Arc<PathBuf>,
    text: &'a str,
    problems: Vec<(usize, Problem)>,
}

/// What a file says.
pub(super) struct Contents {
    /// Settings with the text of their values.
    pub(super) settings: Vec<(&'static Setting, String, Place)>,
    /// Accounts, in the order of the file.
    pub(super) accounts: Vec<AccountEntry>,
    /// Listeners, in the order of the file.
    pub(super) listeners: Vec<Written>,
    /// What is wrong, in the order of the file.
    pub(super) problems: Vec<Problem>,
}

impl Document<'_> {
    pub(super) fn place(&self, byte: usize) -> Place {
        Place::of(&self.file, self.text, byte)
    }

    pub(super) fn report(&mut self, byte: usize, key: &str, wrong: Wrong) {
        let problem = Problem::new(Some(self.place(byte)), key, wrong);
        self.problems.push((byte, problem));
    }

    /// Reports a key that does not exist, with the nearest one that does.
    pub(super) fn unknown<'k>(
        &mut self,
        byte: usize,
        key: &str,
        section: &str,
        keys: impl Iterator<Item = &'k str>,
    ) {
        let keys: Vec<_> = keys.collect();
        let elsewhere = TABLE.iter().find(|setting| setting.key == key);
        let remedy = match (nearest(key, keys.iter().copied()), elsewhere) {
            (Some(near), _) => format!("did you mean {near}?"),
            (None, Some(setting)) => format!("it belongs in [{}]", setting.section),
            (None, None) => format!("the keys are {}", keys.join(", ")),
        };
        self.report(byte, key, Wrong::new(format!("unknown key in [{section}]"), remedy));
    }

    /// Reports lines that are no TOML. What the parser made of them is not worth a second message.
    fn report_syntax(&mut self, errors: &[toml::de::Error]) {
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

/// Reads a configuration, or, with `accounts_only`, an account file.
pub(super) fn read(file: &Path, text: &str, accounts_only: bool) -> Contents {
    let mut document = Document { file: Arc::new(file.to_owned()), text, problems: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    let (mut settings, mut accounts, mut listeners) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in table.get_ref() {
        let start = name.span().start;
        match name.get_ref().as_ref() {
            "account" => read_accounts(&mut document, value, &mut accounts),
            "listener" if !accounts_only => read_listeners(&mut document, value, &mut listeners),
            section if !accounts_only && SECTIONS.iter().any(|s| s.name == section) => {
                read_section(&mut document, section, value, &mut settings);
            }
            other => unknown_section(&mut document, start, other, accounts_only),
        }
    }
    document.report_syntax(&errors);
    document.problems.sort_by_key(|(byte, _)| *byte);
    let problems = document.problems.into_iter().map(|(_, problem)| problem).collect();
    Contents { settings, accounts, listeners, problems }
}

fn read_accounts(document: &mut Document<'_>, value: &Node<'_>, into: &mut Vec<AccountEntry>) {
    into.extend(
        tables(document, value, "account").filter_map(|table| account::read(document, table)),
    );
}

fn read_listeners(document: &mut Document<'_>, value: &Node<'_>, into: &mut Vec<Written>) {
    for table in tables(document, value, "listener") {
        let mut settings = Vec::new();
        read_settings(document, ("listener", listener::rows), table, &mut settings);
        into.push(Written { settings, place: document.place(table.span().start) });
    }
}

/// The tables of a list; what is none is reported.
fn tables<'a, 'd>(
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

fn read_section(
    document: &mut Document<'_>,
    section: &str,
    value: &Node<'_>,
    into: &mut Vec<(&'static Setting, String, Place)>,
) {
    let rows = || TABLE.iter().filter(|setting| setting.section == section);
    read_settings(document, (section, rows), value, into);
}

/// Reads the settings of a table, which may be those of `rows`.
fn read_settings<R: Iterator<Item = &'static Setting>>(
    document: &mut Document<'_>,
    (section, rows): (&str, impl Fn() -> R),
    table: &Node<'_>,
    into: &mut Vec<(&'static Setting, String, Place)>,
) {
    let DeValue::Table(keys) = table.get_ref() else {
        let wrong = Wrong::new("not a section", format!("write [{section}] on a line of its own"));
        return document.report(table.span().start, section, wrong);
    };
    for (key, value) in keys {
        let name = key.get_ref().as_ref();
        let Some(setting) = rows().find(|setting| setting.key == name) else {
            document.unknown(key.span().start, name, section, rows().map(|s| s.key));
            continue;
        };
        match setting_text(setting, value) {
            Ok(text) => into.push((setting, text, document.place(value.span().start))),
            Err(wrong) => document.report(value.span().start, name, wrong),
        }
    }
}

fn unknown_section(document: &mut Document<'_>, byte: usize, name: &str, accounts_only: bool) {
    if accounts_only {
        let wrong = Wrong::new("unknown key", "an account file holds [[account]] tables only");
        return document.report(byte, name, wrong);
    }
    let names = || SECTIONS.iter().map(|section| section.name).chain(["account", "listener"]);
    let remedy = match (Setting::find(name), nearest(name, names())) {
        (Some(setting), _) => format!("it belongs in [{}]", setting.section),
        (None, Some(near)) => format!("did you mean {near}?"),
        (None, None) => format!("the sections are {}", names().collect::<Vec<_>>().join(", ")),
    };
    document.report(byte, name, Wrong::new("unknown section", remedy));
}

/// The text of a value, if its TOML type is one that the setting takes.
fn setting_text(setting: &Setting, value: &Node<'_>) -> Result<String, Wrong> {
    let takes = setting.form.toml;
    match value.get_ref() {
        DeValue::String(text) if !matches!(takes, Toml::Boolean | Toml::Number) => {
            Ok(text.as_ref().to_owned())
        }
        DeValue::Integer(number) if matches!(takes, Toml::Number | Toml::NumberOrText) => {
            Ok(number.to_string())
        }
        DeValue::Boolean(yes) if takes == Toml::Boolean => Ok(yes.to_string()),
        DeValue::Array(items) if takes == Toml::TextOrList => {
            let texts: Option<Vec<_>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            match texts {
                Some(texts) if !texts.is_empty() => Ok(texts.join(",")),
                _ => Err(wrong_type(setting, value)),
            }
        }
        _ => Err(wrong_type(setting, value)),
    }
}

fn wrong_type(setting: &Setting, value: &Node<'_>) -> Wrong {
    let remedy = match (setting.form.toml, value.get_ref()) {
        (Toml::Boolean | Toml::Number, DeValue::String(text)) if setting.check(text).is_ok() => {
            format!("write {text} without quotes")
        }
        _ => format!("write {}", setting.form.describe),
    };
    Wrong::new(format!("it is {}", text_of(value)), remedy)
}

/// A TOML type with its article, for messages.
pub(super) fn text_of(value: &Node<'_>) -> &'static str {
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
