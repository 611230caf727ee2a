//! What is said in the sessions, as seeds for the fuzz targets: each has a directory of its name.
//!
//! It runs no fuzzer: the targets are in `fuzz/`.

use std::fs;
use std::path::Path;

use crate::script::{Captures, Says, Script, Wire};

/// Writes the seeds: for `line`, `client_replies` and `relay` one a session, for `command` and
/// `replies_227_229` one a line.
///
/// # Errors
/// A file that cannot be written, by its name.
pub fn write(scripts: &[Script], corpus: &Path) -> Result<(), String> {
    for script in scripts {
        let name = script.file.trim_start_matches("sessions/").replace('/', "-");
        let name = name.trim_end_matches(".session");
        let commands: Vec<Vec<u8>> = script.lines.iter().filter_map(|l| said(&l.says)).collect();
        let replies: Vec<Vec<u8>> = script.lines.iter().filter_map(|l| replied(&l.says)).collect();
        seed(corpus, "line", name, &commands.concat())?;
        seed(corpus, "client_replies", name, &replies.concat())?;
        seed(corpus, "relay", name, &dialogue(script))?;
        each(corpus, "command", name, &commands)?;
        let announce = |line: &&Vec<u8>| line.starts_with(b"227") || line.starts_with(b"229");
        let addresses: Vec<Vec<u8>> = replies.iter().filter(announce).cloned().collect();
        each(corpus, "replies_227_229", name, &addresses)?;
    }
    Ok(())
}

/// What both ends say in turn, a NUL between: the server begins, behind a byte for the policy.
fn dialogue(script: &Script) -> Vec<u8> {
    let (mut bytes, mut client) = (vec![0], false);
    for line in &script.lines {
        let (from_client, spoken) = match (said(&line.says), replied(&line.says)) {
            (Some(spoken), _) => (true, spoken),
            (None, Some(spoken)) => (false, spoken),
            (None, None) => continue,
        };
        if from_client != client {
            bytes.push(0);
            client = from_client;
        }
        bytes.extend(spoken);
    }
    bytes
}

fn said(says: &Says) -> Option<Vec<u8>> {
    let Says::Client(text, ends) = says else { return None };
    let end: &[u8] = if *ends { b"\r\n" } else { b"" };
    let bytes = text.fill(&Captures::new()).unwrap_or_else(|_| text.sketch());
    Some([&bytes, end].concat())
}

fn replied(says: &Says) -> Option<Vec<u8>> {
    let (start, text) = match says {
        Says::Server(Wire::First(code, text)) => (format!("{code}-"), text.sketch()),
        Says::Server(Wire::Last(code, text)) => (format!("{code} "), text.sketch()),
        Says::Server(Wire::Body(text)) => (" ".into(), text.sketch()),
        _ => return None,
    };
    Some([start.as_bytes(), &text, b"\r\n"].concat())
}

fn each(corpus: &Path, target: &str, name: &str, lines: &[Vec<u8>]) -> Result<(), String> {
    lines.iter().enumerate().try_for_each(|(number, line)| {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        seed(corpus, target, &format!("{name}-{number}"), line)
    })
}

fn seed(corpus: &Path, target: &str, name: &str, bytes: &[u8]) -> Result<(), String> {
    let path = corpus.join(target).join(name);
    let written = fs::create_dir_all(corpus.join(target)).and_then(|()| fs::write(&path, bytes));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
