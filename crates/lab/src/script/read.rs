//! The reader of session files, line by line.
//!
//! What lines mean together (a reply that ends, a title that is there) is checked here too.

use twoport_proto::code::Code;

use super::text::{Style, Text};
use super::{Event, Far, Line, Says, Script, ScriptError, Wire, setup};

pub(super) fn script(file: &str, source: &str) -> Result<Script, ScriptError> {
    let error = |line, what| ScriptError { file: file.into(), line, what };
    let mut lines = Vec::new();
    let mut open = None;
    for (index, raw) in source.lines().enumerate() {
        let line = line(index + 1, raw, open).map_err(|what| error(index + 1, what))?;
        if let Says::Server(wire) = &line.says {
            open = match wire {
                Wire::First(code, _) => Some(*code),
                Wire::Last(..) => None,
                Wire::Body(_) | Wire::Bodies => open,
            };
        }
        lines.push(line);
    }
    let script = Script { file: file.into(), lines };
    match open {
        Some(code) => Err(error(script.lines.len(), format!("the {code} reply has no end"))),
        None if script.title().is_empty() => {
            Err(error(1, "the first line is the title: # RFC and what the file shows".into()))
        }
        None => Ok(script),
    }
}

/// Reads a line; `open` is the code of a reply that has not ended.
fn line(number: usize, raw: &str, open: Option<Code>) -> Result<Line, String> {
    if raw.ends_with(' ') && raw != " " {
        return Err("a blank at the end cannot be seen: write it as \\x20".into());
    }
    if let Some(text) = raw.strip_prefix('#') {
        let text = text.strip_prefix(' ').unwrap_or(text);
        return Ok(Line { number, says: Says::Prose(text.into()), comment: None });
    }
    let (mark, rest) = mark(raw)?;
    let has_comment = matches!(mark, "@" | "!" | "N:" | "=>");
    let (rest, comment) = match rest.split_once("  #").filter(|_| has_comment) {
        Some((rest, comment)) => (rest.trim_end(), Some(comment.trim().to_string())),
        None => (rest, None),
    };
    let says = says(mark, rest, open)?;
    let goes_on = matches!(says, Says::Server(_) | Says::Beyond(_) | Says::Prose(_));
    match open {
        Some(code) if !goes_on => Err(format!("the {code} reply has not ended: S: {code} ...")),
        _ => Ok(Line { number, says, comment }),
    }
}

/// The mark at the beginning of a line, and what is behind it and its blank.
fn mark(raw: &str) -> Result<(&str, &str), String> {
    if raw.is_empty() || raw.starts_with(' ') {
        return Ok((raw.get(..1).unwrap_or_default(), raw.get(1..).unwrap_or_default()));
    }
    let (mark, rest) = raw.split_once(' ').unwrap_or((raw, ""));
    match mark {
        "@" | "C:" | "S:" | "D<" | "D>" | "!" | "=>" | "N:" => Ok((mark, rest)),
        _ => Err(format!("{mark:?} begins no line: # @ C: S: D< D> ! => N: do")),
    }
}

fn says(mark: &str, rest: &str, open: Option<Code>) -> Result<Says, String> {
    let sent = |text| Text::parse(text, Style::Sent);
    Ok(match (mark, open) {
        ("", _) => Says::Blank,
        (" ", Some(_)) if rest == "..." => Says::Server(Wire::Bodies),
        (" ", Some(_)) => Says::Server(Wire::Body(Text::parse(rest, Style::Reply)?)),
        (" ", None) => return Err("a line that begins with a blank belongs to no reply".into()),
        ("@", _) => Says::Setup(setup::parse(rest)?),
        ("C:", _) => match without_end(rest) {
            Some(rest) => Says::Client(sent(rest)?, false),
            None => Says::Client(sent(rest)?, true),
        },
        ("S:", open) => Says::Server(wire(rest, open)?),
        ("D<", _) => Says::Download(sent(rest)?),
        ("D>", _) => Says::Upload(sent(rest)?),
        ("!", _) => Says::Event(Event::parse(rest)?),
        ("=>", _) if rest.starts_with(|first: char| first.is_ascii_digit()) => {
            Says::Beyond(Far::Reply(wire(rest, None)?))
        }
        ("=>", _) => Says::Beyond(Far::Command(sent(rest)?)),
        (_, _) => Says::Note(rest.into()),
    })
}

/// A line that ends with a backslash of its own, not with an escaped one.
fn without_end(rest: &str) -> Option<&str> {
    let backslashes = rest.bytes().rev().take_while(|byte| *byte == b'\\').count();
    if backslashes % 2 == 1 { rest.strip_suffix('\\') } else { None }
}

fn wire(rest: &str, open: Option<Code>) -> Result<Wire, String> {
    let digits = rest.get(..3).and_then(|digits| digits.as_bytes().first_chunk().copied());
    let code = digits.and_then(Code::parse);
    let code = code.ok_or_else(|| format!("a reply begins with its code, not {rest:?}"))?;
    let text = |from: usize| Text::parse(rest.get(from..).unwrap_or_default(), Style::Reply);
    match (rest.as_bytes().get(3), open) {
        (Some(b'-'), None) => Ok(Wire::First(code, text(4)?)),
        (Some(b' '), None) => Ok(Wire::Last(code, text(4)?)),
        (Some(b' '), Some(opened)) if opened == code => Ok(Wire::Last(code, text(4)?)),
        (_, Some(opened)) => Err(format!("the {opened} reply ends with: S: {opened} ...")),
        _ => Err("behind the code comes a blank, or - if more lines follow".into()),
    }
}
