//! A command that was understood can be written, and read again it is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twoport_proto::command::{Command, Redacted, Site};

fuzz_target!(|line: &[u8]| {
    let shown = Redacted(line).to_string();
    assert!(!shown.chars().any(char::is_control));
    let Ok((row, command)) = Command::parse(line) else { return };
    let mut wire = Vec::new();
    if command.encode(&mut wire).is_err() {
        assert!(wire.is_empty());
        assert!(
            line.iter().any(|b| b"\r\n\0".contains(b)),
            "refused without a reason: {command:?}"
        );
        return;
    }
    let again = wire.strip_suffix(b"\r\n").unwrap();
    assert!(!again.iter().any(|b| b"\r\n\0".contains(b)), "more than one line: {command:?}");
    let (row_again, command_again) = Command::parse(again)
        .unwrap_or_else(|error| panic!("{:?} became {}: {error:?}", command, again.escape_ascii()));
    assert_eq!(row.verb, row_again.verb);
    if is_dated(&command) {
        // Dates are written to the millisecond.
        let mut wire_again = Vec::new();
        assert_eq!(command_again.encode(&mut wire_again), Ok(()));
        assert_eq!(wire, wire_again);
    } else {
        assert_eq!(command, command_again);
    }
});

const fn is_dated(command: &Command) -> bool {
    matches!(
        command,
        Command::Mfmt { .. }
            | Command::Mfct { .. }
            | Command::Mdtm { set: Some(_), .. }
            | Command::Site(Site::Utime(..))
    )
}
