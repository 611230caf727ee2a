//! A client's hello is the same however it comes: what is whole stays what it is with more bytes
//! behind it, what is partial or no hello is so for every beginning of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twoport_proto::hello::{First, MAX_HELLO};

fuzz_target!(|bytes: &[u8]| {
    let whole = First::read(bytes);
    if let First::Hello(hello) = &whole {
        let held: usize = hello.tickets.iter().map(Vec::len).sum();
        assert!(hello.session_id.len() <= 32 && held <= MAX_HELLO);
        assert!(hello.server_name.as_ref().is_none_or(|name| !name.is_empty()));
    }
    let mut known = First::Partial;
    for end in 0..bytes.len().min(MAX_HELLO) {
        let now = First::read(&bytes[..end]);
        assert!(known == First::Partial || known == now, "a verdict stands");
        known = now;
    }
    assert!(known == First::Partial || known == whole);
});
