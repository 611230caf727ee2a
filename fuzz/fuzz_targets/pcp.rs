//! Answers of routers: an answer that is read is read the same with more behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twoport_proto::pcp::parse;

fuzz_target!(|bytes: &[u8]| {
    if let Some(answer) = parse(bytes) {
        let longer = [bytes, &[0xff]].concat();
        assert_eq!(parse(&longer), Some(answer));
    }
});
