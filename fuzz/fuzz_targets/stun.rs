//! Answers of STUN servers: whatever comes, it is read or not, and in finite time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twoport_proto::stun::parse;

fuzz_target!(|input: ([u8; 12], &[u8])| {
    let (transaction, bytes) = input;
    if let Some(address) = parse(bytes, transaction) {
        let longer = [bytes, &[0xff]].concat();
        assert_eq!(parse(&longer, transaction), Some(address));
    }
});
