//! The commands and replies of all sessions as seeds for the fuzz targets.
//!
//! It runs no fuzzer: the targets are in `fuzz/`.

use std::fs;
use std::path::Path;

use crate::script::{Captures, Says, Script, Wire};

/// Writes a seed for each session: all that its client says into `commands/`, all that its server
/// says into `replies/`.
///
/// # Errors
/// A file that cannot be written, by its name.
pub fn write(scripts: &[Script], corpus: &Path) -> Result<(), String> {
    for script in scripts {
        let name = script.file.trim_start_matches("sessions/").replace('/', "-");
        let name = name.trim_end_matches(".session");
        seed(
            &corpus.join("commands"),
            name,
            &said(script, |says| match says {
                Says::Client(text, ends) => {
                    let end: &[u8] = if *ends { b"\r\n" } else { b"" };
                    let bytes = text.fill(&Captures::new()).unwrap_or_else(|_| text.sketch());
                    Some([&bytes, end].concat())
                }
                _ => None,
            }),
        )?;
        seed(
            &corpus.join("replies"),
            name,
            &said(script, |says| match says {
                Says::Server(wire) => Some(line(wire)),
                _ => None,
            }),
        )?;
    }
    Ok(())
}

fn said(script: &Script, bytes: impl Fn(&Says) -> Option<Vec<u8>>) -> Vec<u8> {
    script.lines.iter().filter_map(|line| bytes(&line.says)).flatten().collect()
}

fn line(wire: &Wire) -> Vec<u8> {
    let (start, text) = match wire {
        Wire::First(code, text) => (format!("{code}-"), text.sketch()),
        Wire::Last(code, text) => (format!("{code} "), text.sketch()),
        Wire::Body(text) => (" ".into(), text.sketch()),
        Wire::Bodies => (" ".into(), Vec::new()),
    };
    [start.as_bytes(), &text, b"\r\n"].concat()
}

fn seed(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), String> {
    let path = directory.join(name);
    let written = fs::create_dir_all(directory).and_then(|()| fs::write(&path, bytes));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
