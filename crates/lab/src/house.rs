//! The rules of the house, each a function that gives the places where it is broken.
//!
//! What the compiler and clippy can see is theirs: this is what they cannot.

mod coverage;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

pub use self::coverage::{reasons_without_session, verbs_without_row, verbs_without_session};
use self::source::Source;
use crate::player::files;

/// The longest that a file may be, and the length from which it should have a reason.
const LONGEST: usize = 700;
const ASKED: usize = 400;

/// Names that say nothing about what is in a module.
const EMPTY_NAMES: [&str; 8] =
    ["util", "utils", "helper", "helpers", "common", "manager", "misc", "shared"];

/// Files whose production lines are more than a reader can hold; a table of uniform rows may be
/// longer, and says what it is.
///
/// # Errors
/// A file that cannot be read.
pub fn long_files() -> Result<Vec<String>, String> {
    let long = |source: &Source| source.production().count() > LONGEST && !source.is_table();
    broken(|source| long(source).then(|| format!("more than {LONGEST} lines: split it")))
}

/// Files that should have a reason for their length: shown, not refused.
///
/// # Errors
/// A file that cannot be read.
pub fn rather_long_files() -> Result<Vec<String>, String> {
    broken(|source| {
        let length = source.production().count();
        let asked = length > ASKED && !source.is_table();
        asked.then(|| format!("{length} lines: why more than {ASKED}?"))
    })
}

/// Modules that do not begin with what they are for. Test modules beside their code need not.
///
/// # Errors
/// A file that cannot be read.
pub fn modules_without_doc() -> Result<Vec<String>, String> {
    broken(|source| {
        let is_missing = !source.text.starts_with("//!") && !source.is_test_module();
        is_missing.then(|| "no //! on the first line".into())
    })
}

/// Modules with a name that anything could be in.
///
/// # Errors
/// A directory that cannot be read.
pub fn empty_names() -> Result<Vec<String>, String> {
    broken(|source| {
        let mut names = Path::new(&source.name).components();
        let stem = |part: &str| part.trim_end_matches(".rs").to_string();
        let empty = names.any(|part| {
            part.as_os_str().to_str().is_some_and(|part| EMPTY_NAMES.contains(&&*stem(part)))
        });
        empty.then(|| "the name says nothing".into())
    })
}

/// Production lines of the protocol core that reach for the standard library.
///
/// # Errors
/// A file that cannot be read.
pub fn std_in_the_core() -> Result<Vec<String>, String> {
    lines(|source, line| {
        let core = source.name.starts_with("crates/proto/src") && !source.is_test_module();
        core && line.contains("std::")
    })
}

/// Code that the compiler cannot vouch for, anywhere but where it belongs.
///
/// # Errors
/// A file that cannot be read.
pub fn unsafe_outside_sys() -> Result<Vec<String>, String> {
    let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    lines(|source, line| {
        !source.name.starts_with("crates/sys/") && words.iter().any(|word| line.contains(word))
    })
}

/// What is never written: left-overs, silenced lints, and names whose odd bytes are lost.
///
/// # Errors
/// A file that cannot be read.
pub fn forbidden_words() -> Result<Vec<String>, String> {
    // In two parts each, so that this file is not the first to break the rule.
    let words =
        [("TO", "DO"), ("FIX", "ME"), ("#[al", "low("), ("#![al", "low("), ("from_utf8_", "lossy")];
    broken(|source| {
        let found = words.iter().map(|(a, b)| format!("{a}{b}"));
        let mut found = found.filter(|word| source.text.contains(word.as_str()));
        found.next().map(|word| format!("holds {word}"))
    })
}

/// Text files that name a place on the machine they were written on, or another registry.
///
/// # Errors
/// A directory that cannot be read.
pub fn traces_of_a_machine() -> Result<Vec<String>, String> {
    let root = files::root();
    let checkout = format!("{}/", root.display());
    let cargo = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME"));
    let mut traces = vec![checkout];
    traces.extend(cargo.ok().filter(|home| home.len() > 1).map(|home| format!("{home}/.cargo")));
    traces.push(["replace-", "with ="].concat());
    let mut broken = Vec::new();
    for path in texts(&root)? {
        let text = fs::read(&path).unwrap_or_default();
        let Ok(text) = String::from_utf8(text) else { continue };
        let foreign = |line: &&str| {
            line.starts_with("source = \"registry+") && !line.contains("/crates.io-index\"")
        };
        let trace = traces.iter().find(|trace| text.contains(trace.as_str()));
        let trace = trace.map(String::as_str).or_else(|| text.lines().find(foreign));
        if let Some(trace) = trace {
            broken.push(format!("{}: holds {trace}", name(&root, &path)));
        }
    }
    Ok(broken)
}

/// Links of the documents to files that are not there.
///
/// # Errors
/// A document that cannot be read.
pub fn dead_links() -> Result<Vec<String>, String> {
    let root = files::root();
    let mut broken = Vec::new();
    for path in texts(&root)?.iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let directory = path.parent().unwrap_or(&root);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let is_outside = target.contains("://") || target.starts_with("mailto:");
            if !target.is_empty() && !is_outside && !directory.join(target).exists() {
                broken.push(format!("{}: no such file: {link}", name(&root, path)));
            }
        }
    }
    Ok(broken)
}

/// The source files of all crates for which a rule has something to say.
fn broken(rule: impl Fn(&Source) -> Option<String>) -> Result<Vec<String>, String> {
    let sources = Source::all()?;
    let said = sources.iter().filter_map(|source| Some((source, rule(source)?)));
    Ok(said.map(|(source, what)| format!("{}: {what}", source.name)).collect())
}

/// The production lines, comments left out, that break a rule.
fn lines(rule: impl Fn(&Source, &str) -> bool) -> Result<Vec<String>, String> {
    let mut broken = Vec::new();
    for source in Source::all()? {
        for (index, line) in source.production().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            // What stands between quotes is text, not code.
            let code: String = code.split('"').step_by(2).collect();
            if rule(&source, &code) {
                broken.push(format!("{}:{}: {}", source.name, index + 1, line.trim()));
            }
        }
    }
    Ok(broken)
}

/// All files of the repository that could hold text; not what is built.
fn texts(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        let wrong = |error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(&directory).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            match path.is_dir() {
                true if !matches!(name, "target" | ".git" | "corpus") => directories.push(path),
                true => {}
                false => found.push(path),
            }
        }
    }
    Ok(found)
}

fn name(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
