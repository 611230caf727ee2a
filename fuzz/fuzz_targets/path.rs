//! No argument leads out of the root, and a quoted path is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twoport_proto::path::{VirtualPath, unquote};

fuzz_target!(|arguments: (&[u8], &[u8])| {
    let _ = unquote(arguments.0);
    let Ok(first) = VirtualPath::root().join(arguments.0) else { return };
    let Ok(path) = first.join(arguments.1) else { return };
    let bytes = path.as_bytes();
    assert_eq!(bytes.first(), Some(&b'/'));
    assert!(path.names().all(|name| !matches!(name, b"" | b"." | b"..")));
    assert!(!bytes.iter().any(|b| b"\r\n\0".contains(b)));
    assert!(path.is_within(&VirtualPath::root()) && path.is_within(&path));
    assert!(path.is_within(&path.parent()));
    assert!(path.is_root() || path.parent().as_bytes().len() < bytes.len());
    if path.names().next() != Some(b"~") {
        assert_eq!(VirtualPath::root().join(bytes).as_ref(), Ok(&path), "a path names itself");
    }
    let mut quoted = b"257 ".to_vec();
    path.quote(&mut quoted);
    quoted.extend_from_slice(b" is \"the\" directory.");
    if bytes.iter().all(|b| *b >= 0x20 && *b != 0x7f) {
        assert_eq!(unquote(&quoted).as_deref(), Some(bytes));
    }
});
