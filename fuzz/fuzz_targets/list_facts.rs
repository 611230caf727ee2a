//! MLSD lines: what was read and is written again is read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twoport_proto::list::facts::{self, FactSet};
use twoport_proto::list::{Entry, parse_line};
use twoport_proto::time::Timestamp;

const NOW: Timestamp = Timestamp::from_seconds(1_795_354_848);

fn written(entry: &Entry<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    facts::write(&mut line, entry, FactSet::ALL);
    line
}

fuzz_target!(|line: &[u8]| {
    let _ = parse_line(line, NOW);
    if let Some(set) = FactSet::parse_opts(line) {
        let mut text = Vec::new();
        set.write_selected(&mut text);
        assert_eq!(FactSet::parse_opts(&text), Some(set));
    }
    let Some(entry) = facts::parse(line) else { return };
    let once = written(&entry);
    if once.is_empty() {
        return;
    }
    assert!(once.ends_with(b"\r\n") && !once[..once.len() - 2].contains(&b'\n'));
    let again = facts::parse(&once).unwrap_or_else(|| panic!("unread: {}", once.escape_ascii()));
    assert_eq!(again.name, entry.name);
    assert_eq!((again.size, again.mode, again.unique), (entry.size, entry.mode, entry.unique));
    assert_eq!(written(&again), once);
});
