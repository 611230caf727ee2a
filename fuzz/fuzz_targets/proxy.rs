//! PROXY headers: none is longer than it may be, what is behind one does not change it, and each
//! beginning of one waits for more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twoport_proto::proxy::{LONGEST, parse};

fuzz_target!(|bytes: &[u8]| {
    match parse(bytes) {
        Ok(Some(header)) => {
            assert!(header.length <= bytes.len() && header.length <= LONGEST);
            assert_eq!(parse(&bytes[..header.length]), Ok(Some(header)));
            assert_eq!(parse(&bytes[..header.length - 1]), Ok(None));
        }
        Ok(None) => assert!(bytes.len() < LONGEST),
        Err(no) => {
            let longer = [bytes, b"\r\n"].concat();
            assert_eq!(parse(&longer), Err(no));
        }
    }
});
