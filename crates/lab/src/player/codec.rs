//! Every line of a session through the codec and back: commands, replies, and the file itself.
//!
//! It performs nothing, and a line that is not a command is only held to be answered with a refusal.

use std::time::Duration;

use twoport_proto::client::replies::ReplyReader;
use twoport_proto::command::Command;
use twoport_proto::line::{LineReader, MAX_COMMAND};
use twoport_proto::reply::Reply;
use twoport_proto::time::Time;

use super::{Failure, Step, show};
use crate::script::{Line, Says, Script, Wire};

/// Takes each line through the codec.
///
/// # Errors
/// The first that comes back as something else.
pub fn round_trip(script: &Script) -> Result<(), Failure> {
    let again = Script::parse(&script.file, &script.to_string());
    if again.map_or(true, |again| again.lines != script.lines) {
        let line = Line { number: 1, says: Says::Blank, comment: None };
        return Err(Failure::at(script, &line, "the file printed is read as something else"));
    }
    let mut block = Vec::new();
    for line in &script.lines {
        let step = match &line.says {
            Says::Client(text, true) => commands(&text.sketch()),
            Says::Server(wire) => reply(wire, &mut block),
            _ => Ok(()),
        };
        step.map_err(|found| Failure::at(script, line, found))?;
    }
    Ok(())
}

/// Each command that a line holds, encoded, means what it meant.
fn commands(bytes: &[u8]) -> Step {
    let mut reader = LineReader::new(MAX_COMMAND);
    reader.push(bytes);
    reader.push(b"\r\n");
    while let Some(line) = reader.next_line() {
        let Ok(line) = line else { continue };
        let Ok((_, command)) = Command::parse(line) else { continue };
        let mut encoded = Vec::new();
        let Ok(()) = command.encode(&mut encoded) else { continue };
        let line = encoded.strip_suffix(b"\r\n").ok_or("it is encoded without an end")?;
        match Command::parse(line) {
            Ok((_, again)) if again == command => {}
            Ok((_, again)) => return Err(format!("{again:?} from {}", show(&encoded))),
            Err(error) => return Err(format!("{} from {}", error.reason, show(&encoded))),
        }
    }
    Ok(())
}

/// A whole reply goes over the wire as the file has it, and a client reads one reply of that code.
fn reply(wire: &Wire, block: &mut Vec<Vec<u8>>) -> Step {
    let (code, text) = match wire {
        Wire::First(_, text) | Wire::Body(text) => {
            block.push(text.sketch());
            return Ok(());
        }
        Wire::Bodies => return Ok(()),
        Wire::Last(code, text) => (*code, text.sketch()),
    };
    let mut lines = std::mem::take(block);
    lines.push(text);
    let mut bytes = Vec::new();
    Reply::heard(code, lines).encode(&mut bytes);
    let mut reader = ReplyReader::default();
    reader.set_grace(Duration::ZERO);
    reader.push(Time::ZERO, &bytes);
    match reader.next_reply(Time::ZERO, true) {
        Some(Ok(found)) if found.code == code => Ok(()),
        other => Err(format!("a client reads {other:?} in {}", show(&bytes))),
    }
}
