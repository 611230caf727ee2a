//! Lines of `ls -l`: any bytes can be read, and what was read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twoport_proto::list::unix;
use twoport_proto::time::Timestamp;

const NOW: Timestamp = Timestamp::from_seconds(1_795_354_848);

fuzz_target!(|line: &[u8]| {
    let Some(mut entry) = unix::parse(line, NOW) else { return };
    // An owner called `2 Jan 3 2026` cannot be told from a size and a date.
    entry.owner = Some(b"ann".into());
    entry.group = Some(b"staff".into());
    let mut wire = Vec::new();
    if !unix::write(&mut wire, &entry, NOW) {
        return assert!(wire.is_empty());
    }
    assert!(wire.ends_with(b"\r\n") && !wire[..wire.len() - 2].contains(&b'\n'));
    let again =
        unix::parse(&wire, NOW).unwrap_or_else(|| panic!("unread: {}", wire.escape_ascii()));
    let is_link = matches!(entry.kind, twoport_proto::list::Kind::Link { .. });
    let is_device = matches!(entry.kind, twoport_proto::list::Kind::Other(_));
    if !is_link {
        assert_eq!(again.name, entry.name);
    }
    if !is_device && entry.size.is_some() {
        assert_eq!(again.size, entry.size);
    }
    assert_eq!(again.mode, entry.mode);
});
