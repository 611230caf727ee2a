//! Reading TOML so that every problem of a file is found in one go, each with its place.
//!
//! It opens no file: the text is handed in.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::account::{self, AccountEntry};
use super::document::{Document, Node, tables, text_of};
use super::listener::{self, Written};
use super::problem::{Place, Problem, nearest};
use super::settings::{SECTIONS, Setting, TABLE};
use super::value::{Toml, Wrong};

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

/// Reads a configuration, or, with `accounts_only`, an account file.
pub(super) fn read(file: &Path, text: &str, accounts_only: bool) -> Contents {
    let mut document = Document::new(file, text);
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
    Contents { settings, accounts, listeners, problems: document.into_problems() }
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
            let elsewhere = TABLE.iter().find(|setting| setting.key == name).map(|row| row.section);
            document.unknown(key.span().start, name, section, rows().map(|s| s.key), elsewhere);
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
