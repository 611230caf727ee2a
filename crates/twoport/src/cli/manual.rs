//! The pages of the manual that are made from tables, and the test that they are what the tables
//! say. `TWOPORT_BLESS=1 cargo test -p twoport` writes them anew.
//!
//! The program does not carry them: they are for readers of the repository.
#![cfg(test)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use twoport_server::config::Draft;
use twoport_server::config::account::ACCOUNT_KEYS;
use twoport_server::config::listener::LISTENER_KEYS;
use twoport_server::config::settings::{SECTIONS, Setting, TABLE};

use super::exit::Exit;
use super::man::{ABOUT_LISTENERS, pages};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// `docs/manual/defaults.md`: every setting with its default and where that comes from.
fn defaults() -> String {
    let mut page = "\
# Settings and their defaults

Every setting of `twoport serve`: its key in the configuration file, which is also its flag
(`idle-timeout` is `--idle-timeout`), its default, and where the default comes from. `twoport check`
finds every mistake in a file. This page is made from the table in
`crates/server/src/config/settings.rs`.
"
    .to_owned();
    for section in SECTIONS {
        write!(page, "\n## `[{}]`: {}\n\n", section.name, section.title).unwrap();
        page.push_str("| key | default | what it sets | how it is written | why this default |\n");
        page.push_str("|---|---|---|---|---|\n");
        TABLE.iter().filter(|row| row.section == section.name).for_each(|row| {
            page.push_str(&line(row));
        });
    }
    page.push_str("\n## `[[listener]]`: one table for each listener with rules of its own\n\n");
    let keys: Vec<_> = LISTENER_KEYS.iter().map(|key| format!("`{key}`")).collect();
    writeln!(page, "{ABOUT_LISTENERS} The keys are {}.", keys.join(", ")).unwrap();
    page.push_str("\n## `[[account]]`: one table for each account\n\n");
    page.push_str("The same tables stand in an account file.\n\n");
    page.push_str("| key | default | what it says |\n|---|---|---|\n");
    for row in ACCOUNT_KEYS {
        let default = if row.default.is_empty() { "must be given" } else { row.default };
        writeln!(page, "| `{}` | {default} | {} |", row.key, row.about).unwrap();
    }
    page
}

fn line(row: &Setting) -> String {
    let default = match row.default {
        "" => "none".to_owned(),
        default => format!("`{}`", row.in_toml(default)),
    };
    let (about, origin) = (row.about, row.origin);
    format!("| `{}` | {default} | {about} | {} | {origin} |\n", row.key, row.form.describe)
}

/// `docs/manual/exit-codes.md`.
fn exit_codes() -> String {
    let mut page = "\
# Exit codes

The same for every command. They do not change: scripts can depend on them. This page is made from
the table in `crates/twoport/src/cli/exit.rs`.

| code | in JSON | meaning |
|---|---|---|
"
    .to_owned();
    for exit in Exit::ALL {
        writeln!(page, "| {} | `{}` | {} |", exit.code(), exit.word(), exit.about()).unwrap();
    }
    page
}

#[test]
fn the_pages_in_docs_are_what_the_tables_say() {
    let mut made = vec![
        (docs().join("manual/defaults.md"), defaults()),
        (docs().join("manual/exit-codes.md"), exit_codes()),
    ];
    made.extend(
        pages().unwrap().into_iter().map(|(name, text)| (docs().join("man").join(name), text)),
    );
    for (path, text) in made {
        if std::env::var_os("TWOPORT_BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == text,
            "{} is out of date: TWOPORT_BLESS=1 cargo test -p twoport",
            path.display()
        );
    }
}

#[test]
fn the_example_configuration_has_no_mistake_and_no_key_unknown() {
    let mut draft = Draft::new();
    draft.read_file(&docs().join("twoport.toml"));
    draft.finish().unwrap();
}
