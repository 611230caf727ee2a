//! A configuration: any text is taken or refused with a place and a remedy, never with a panic.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use twoport_server::config::{Draft, read_account_text};

fuzz_target!(|text: &str| {
    let mut draft = Draft::new();
    draft.read_text(Path::new("fuzz.toml"), text);
    if let Err(problems) = draft.finish() {
        assert!(!problems.0.is_empty());
        assert!(problems.0.iter().all(|problem| !problem.to_string().contains('\n')));
    }
    if let Err(problems) = read_account_text(Path::new("accounts.toml"), text) {
        assert!(!problems.0.is_empty());
    }
});
