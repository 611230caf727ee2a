//! The manual's index of sessions: their titles, by directory.
//!
//! It is generated: `TWOPORT_BLESS=1` writes it anew.

use std::fmt::Write as _;

use crate::script::Script;

/// What stands before the index.
const HEAD: &str = "# Sessions

What the server says, and when, as conversations that are played as tests. `crates/lab/src/script.rs`
tells how to read them; begin with [retrieve](../../sessions/rfc959/retrieve.session).
";

/// The page `docs/manual/sessions.md`.
#[must_use]
pub fn index(scripts: &[Script]) -> String {
    let mut page = HEAD.to_string();
    let mut section = "";
    for script in scripts {
        let below = script.file.strip_prefix("sessions/").unwrap_or(&script.file);
        let (directory, name) = below.split_once('/').unwrap_or(("", below));
        if directory != section {
            section = directory;
            page.push_str(&format!("\n## {directory}\n\n"));
        }
        let name = name.trim_end_matches(".session");
        let written = writeln!(page, "- [{name}](../../{}): {}", script.file, script.title());
        debug_assert!(written.is_ok(), "a string takes every character");
    }
    page
}
