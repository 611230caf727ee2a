//! A gateway's file: `[[seat]]` tables with the words of the flags, and above them what holds for
//! all seats.
//!
//! It gives words no meaning: that is [`config`](super::config)'s.

use std::ffi::OsString;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use twoport_server::config::document::{Document, Node, tables, text_of};
use twoport_server::config::problem::{Place, Problem, Problems};
use twoport_server::config::unreadable;
use twoport_server::config::value::Wrong;

use super::super::flags::Takes;
use super::words::{LOG_FORMAT, Said, Words, rows};

/// The list of seats.
const SEATS: &str = "seat";

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The words of each seat, with those for all where it has none of its own.
    pub(super) seats: Vec<Words>,
    /// What the lines of the log look like.
    pub(super) log_format: Option<String>,
}

/// Whether a file is one of a gateway; one that cannot be read is not.
pub(crate) fn is_gateways(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (table, _) = DeTable::parse_recoverable(&text);
    table.get_ref().iter().any(|(key, _)| key.get_ref() == SEATS)
}

/// Reads a file.
///
/// # Errors
/// All that is wrong with its form.
pub(super) fn read(path: &Path) -> Result<Contents, Problems> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Problems(vec![unreadable(path, &error)]))?;
    read_text(path, &text)
}

fn read_text(path: &Path, text: &str) -> Result<Contents, Problems> {
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let mut document = Document::new(path, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut all = Words::default();
    let mut contents = Contents::default();
    let mut seats = Vec::new();
    for (key, value) in table.get_ref() {
        match key.get_ref().as_ref() {
            SEATS => {
                for seat in tables(&mut document, value, SEATS) {
                    seats.push(read_seat(&mut document, seat, base));
                }
            }
            LOG_FORMAT => match value.get_ref().as_str() {
                Some(word @ ("human" | "json")) => contents.log_format = Some(word.to_owned()),
                _ => {
                    let wrong = Wrong::new("no such format", "write \"human\" or \"json\"");
                    document.report(value.span().start, LOG_FORMAT, wrong);
                }
            },
            name => {
                let keys = rows().map(|row| row.long).chain([LOG_FORMAT]);
                read_key(&mut document, (name, key.span().start, value), base, &mut all, keys);
            }
        }
    }
    document.report_syntax(&errors);
    let mut problems = document.into_problems();
    if seats.is_empty() && problems.is_empty() {
        let wrong = Wrong::new("there is no seat", "begin one with a line [[seat]]");
        let file = Place::File(std::sync::Arc::new(path.to_owned()));
        problems.push(Problem::new(Some(file), SEATS, wrong));
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    contents.seats = seats.into_iter().map(|seat| seat.or(&all)).collect();
    Ok(contents)
}

fn read_seat(document: &mut Document<'_>, seat: &Node<'_>, base: &Path) -> Words {
    let mut words = Words::at(document.place(seat.span().start));
    let DeValue::Table(keys) = seat.get_ref() else {
        let wrong = Wrong::new("not a seat", "begin it with a line [[seat]]");
        document.report(seat.span().start, SEATS, wrong);
        return words;
    };
    for (key, value) in keys {
        let key = (key.get_ref().as_ref(), key.span().start, value);
        read_key(document, key, base, &mut words, rows().map(|row| row.long));
    }
    words
}

fn read_key<'k>(
    document: &mut Document<'_>,
    (name, start, value): (&str, usize, &Node<'_>),
    base: &Path,
    into: &mut Words,
    keys: impl Iterator<Item = &'k str>,
) {
    let Some(row) = rows().find(|row| row.long == name) else {
        let elsewhere = (name == LOG_FORMAT).then_some("the first lines, above all [[seat]]");
        return match elsewhere {
            Some(place) => {
                let wrong = Wrong::new("it is not a seat's", format!("write it in {place}"));
                document.report(start, name, wrong);
            }
            None => document.unknown(start, name, SEATS, keys, None),
        };
    };
    match texts(row.takes, value, base) {
        Ok(texts) => into.say(row.long, Said { texts, place: document.place(value.span().start) }),
        Err(wrong) => document.report(value.span().start, name, wrong),
    }
}

/// The texts of a value, if its TOML type is one that the flag takes.
fn texts(takes: Takes, value: &Node<'_>, base: &Path) -> Result<Vec<OsString>, Wrong> {
    let wrong =
        |form: &str| Err(Wrong::new(format!("it is {}", text_of(value)), format!("write {form}")));
    match (takes, value.get_ref()) {
        (Takes::Nothing, DeValue::Boolean(yes)) => Ok(vec![yes.to_string().into()]),
        (Takes::Nothing, _) => wrong("true or false"),
        (Takes::Word(words), DeValue::String(word)) if words.contains(&word.as_ref()) => {
            Ok(vec![word.as_ref().into()])
        }
        (Takes::Word(words), _) => wrong(&format!("one of \"{}\"", words.join("\", \""))),
        (Takes::Path(_), DeValue::String(path)) => Ok(vec![base.join(path.as_ref()).into()]),
        (Takes::Path(_), _) => wrong("a path, relative to the file's directory or absolute"),
        (Takes::Text(_) | Takes::Texts(_), DeValue::String(_) | DeValue::Integer(_)) => {
            Ok(scalar(value).into_iter().collect())
        }
        (Takes::Texts(name), DeValue::Array(items)) => {
            let texts: Option<Vec<_>> = items.iter().map(scalar).collect();
            texts.map_or_else(|| wrong(&format!("a list of {name}")), Ok)
        }
        (Takes::Text(name) | Takes::Texts(name), _) => wrong(&format!("{name} in quotes")),
    }
}

fn scalar(value: &Node<'_>) -> Option<OsString> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.as_ref().into()),
        DeValue::Integer(number) => Some(number.to_string().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        read_text(Path::new("/etc/g.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_seat_has_its_own_words_and_those_for_all() {
        let text = "log-format = \"json\"\nmax-sessions = 5\ncertificate = \"c.pem\"\n\
                    [[seat]]\nport = [21, \"2121\"]\nserver = \"a\"\nread-only = true\n\
                    [[seat]]\nseat = \"client\"\nmax-sessions = 7\n";
        let contents = read_text(Path::new("/etc/g.toml"), text).unwrap();
        assert_eq!(contents.log_format.as_deref(), Some("json"));
        let [first, second] = &contents.seats[..] else { panic!("{contents:?}") };
        assert_eq!(first.texts("port").collect::<Vec<_>>(), ["21", "2121"]);
        assert_eq!(
            (first.word("max-sessions"), second.word("max-sessions")),
            (Some("5"), Some("7"))
        );
        assert_eq!(first.file("certificate"), Some("/etc/c.pem".into()));
        assert!(first.is_set("read-only") && !second.is_set("read-only"));
        let problem = second.wrong("max-sessions", "too few", "write more").to_string();
        assert_eq!(problem, "/etc/g.toml:10:16: max-sessions: too few; write more");
    }

    #[test]
    fn every_mistake_has_its_line_and_a_suggestion() {
        let text = "[[seat]]\nservr = \"a\"\nseat = \"forwards\"\nread-only = 1\n\
                    log-format = \"json\"\nzzz = 1\n";
        let told = problems(text);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 5, "{told}");
        assert!(lines[0].starts_with("/etc/g.toml:2:1: servr:"), "{told}");
        assert!(lines[0].ends_with("did you mean server?"), "{told}");
        assert!(lines[1].contains(":3:8: seat:") && lines[1].contains("\"client\""), "{told}");
        assert!(lines[2].ends_with("it is a number; write true or false"), "{told}");
        assert!(lines[3].contains("above all [[seat]]"), "{told}");
        assert!(lines[4].contains("the keys are"), "{told}");
        assert!(problems("").contains("[[seat]]"));
        assert!(problems("[[seat]\nport = 1").contains("toml.io"));
        assert!(problems("seat = 1").contains("[[seat]]"));
    }
}
