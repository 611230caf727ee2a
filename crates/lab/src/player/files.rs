//! The session files of the repository, found and read.
//!
//! `TWOPORT_SESSION` names a part of a path to play only the files that have it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::script::Script;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map_or_else(PathBuf::new, Into::into)
}

/// All session files, sorted by path.
///
/// # Errors
/// File, line and what is wrong.
pub fn all() -> Result<Vec<Script>, String> {
    let mut paths = Vec::new();
    collect(&root().join("sessions"), "session", &mut paths)?;
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// The session files that `TWOPORT_SESSION` chooses, or all.
///
/// # Errors
/// As [`all`].
pub fn chosen() -> Result<Vec<Script>, String> {
    let mut scripts = all()?;
    if let Ok(part) = std::env::var("TWOPORT_SESSION") {
        scripts.retain(|script| script.file.contains(&part));
    }
    Ok(scripts)
}

fn read(path: &Path) -> Result<Script, String> {
    let source =
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file = path.strip_prefix(root()).unwrap_or(path).display().to_string();
    Script::parse(&file, &source).map_err(|error| error.to_string())
}

/// All files below a directory that have this extension.
pub(crate) fn collect(at: &Path, extension: &str, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let wrong = |error| format!("{}: {error}", at.display());
    for entry in fs::read_dir(at).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.is_dir() {
            collect(&path, extension, found)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    Ok(())
}
