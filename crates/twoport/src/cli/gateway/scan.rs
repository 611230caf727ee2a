//! The words about uploads that are scanned, for a seat.
//!
//! Nobody is asked here yet: of a program it is looked whether it is one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use twoport_gateway::{CommandScanner, Scan, Scanner, Scanning};
use twoport_server::config::problem::Problem;
use twoport_server::config::value::{Bytes, Value};

use super::words::Words;

/// The biggest upload. Origin: ClamAV scans no file beyond 2 GiB.
const MAX_SIZE: u64 = 2 << 30;

/// How long a scan may take. Origin: ClamAV's MaxScanTime.
const PATIENCE: Duration = Duration::from_secs(120);

/// Scans at a time. Origin: the MaxThreads of clamd.
const JOBS: u32 = 10;

/// Where uploads are kept. Origin: the place for big temporary files (FHS 3.0 §5.15); /tmp may be memory.
const SPOOL: &str = "/var/tmp";

/// Who scans uploads, and what becomes of those that cannot be.
///
/// # Errors
/// No such scanner, or words that contradict it.
pub(super) fn scan(words: &Words) -> Result<Option<(Arc<Scanning>, Scan)>, Problem> {
    const OTHERS: [&str; 7] = [
        "scan-arg",
        "scan-failure",
        "scan-parts",
        "scan-max-size",
        "scan-timeout",
        "scan-jobs",
        "scan-spool",
    ];
    let scanners = scanners(words)?;
    if scanners.is_empty() {
        let useless = OTHERS.iter().find(|key| words.file(key).is_some());
        return useless.map_or(Ok(None), |key| {
            let what = "nothing is scanned";
            Err(words.wrong(key, what, "say scan-command or scan-icap, too"))
        });
    }
    if words.word("tls") == Some("pass") {
        let what = "pass: uploads that nobody can read cannot be scanned";
        return Err(words.wrong("tls", what, "give certificate and key, or leave it out"));
    }
    if words.word("pcp").is_some() {
        let what = "ports for others would let uploads pass that are not scanned";
        return Err(words.wrong("pcp", what, "leave it out"));
    }
    let spool = words.file("scan-spool").unwrap_or_else(|| PathBuf::from(SPOOL));
    let scanning = Scanning::new(
        scanners,
        value(words, "scan-max-size", Bytes(MAX_SIZE))?.0,
        value(words, "scan-timeout", PATIENCE)?,
        spool.clone(),
        usize::try_from(value(words, "scan-jobs", JOBS)?.max(1)).unwrap_or(1),
    );
    scanning.examine().map_err(|error| {
        let what = format!("{}: {error}", spool.display());
        words.wrong("scan-spool", what, "name a directory in which files can be made")
    })?;
    let policy = Scan {
        pass_unscanned: words.word("scan-failure") == Some("pass"),
        pass_parts: words.word("scan-parts") == Some("pass"),
    };
    Ok(Some((Arc::new(scanning), policy)))
}

fn scanners(words: &Words) -> Result<Vec<Scanner>, Problem> {
    let mut scanners = Vec::new();
    if let Some(program) = words.file("scan-command") {
        let arguments = words.texts("scan-arg").map(str::to_owned).collect();
        let command = CommandScanner::new(program.clone(), arguments);
        command.examine().map_err(|error| {
            let what = format!("{}: {error}", program.display());
            words.wrong("scan-command", what, "name a program by its path")
        })?;
        scanners.push(Scanner::Command(command));
    }
    for text in words.texts("scan-icap") {
        let icap = text.parse().map_err(|what: String| {
            words.wrong("scan-icap", what, "write icap://HOST:PORT/SERVICE")
        })?;
        scanners.push(Scanner::Icap(icap));
    }
    Ok(scanners)
}

fn value<T: Value>(words: &Words, key: &str, otherwise: T) -> Result<T, Problem> {
    let Some(text) = words.word(key) else { return Ok(otherwise) };
    let wrong = |_| {
        let wrong = T::FORM.wrong(text);
        words.wrong(key, wrong.what, wrong.remedy)
    };
    T::read(text, Path::new("")).map_err(wrong)
}
