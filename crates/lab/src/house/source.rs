//! A source file as the rules of the house look at it.
//!
//! It parses no Rust: lines and names are all that the rules need.

use std::fs;

use crate::player::files;

/// A Rust file of the workspace.
pub(super) struct Source {
    /// Its path from the root of the repository.
    pub(super) name: String,
    /// What is in it.
    pub(super) text: String,
}

impl Source {
    /// All Rust files of all crates.
    pub(super) fn all() -> Result<Vec<Self>, String> {
        let root = files::root();
        let mut paths = Vec::new();
        files::collect(&root.join("crates"), "rs", &mut paths)?;
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
            let name = path.strip_prefix(&root).unwrap_or(path).display().to_string();
            Ok(Self { name, text })
        };
        paths.iter().map(read).collect()
    }

    /// The lines before the tests at its end.
    pub(super) fn production(&self) -> impl Iterator<Item = &str> {
        let end = self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        self.text.get(..end).unwrap_or(&self.text).lines()
    }

    /// Whether it is the tests of the module beside it.
    pub(super) fn is_test_module(&self) -> bool {
        self.name.ends_with("/tests.rs")
            || self.name.contains("/src/") && self.name.contains("/tests/")
    }

    /// Whether its module says that it is a table.
    pub(super) fn is_table(&self) -> bool {
        let mut doc = self.text.lines().take_while(|line| line.starts_with("//!"));
        doc.any(|line| line.contains("table of uniform rows"))
    }
}
