//! Addresses in replies and commands: a span lies in the text and says what was read, and what is
//! written is read again.
#![no_main]

use core::net::{SocketAddr, SocketAddrV4};

use libfuzzer_sys::fuzz_target;
use twoport_proto::addr;

fn v4(address: SocketAddrV4) {
    assert_eq!(addr::parse_port(addr::format_port(address).as_bytes()), Ok(address));
    assert_eq!(addr::parse_eprt(addr::format_eprt(address.into()).as_bytes()), Ok(address.into()));
    let text = addr::format_227(address);
    let found = addr::find_227(text.as_bytes()).unwrap();
    assert_eq!((found.value, &text[found.span]), (address, addr::format_port(address).as_bytes()));
}

fuzz_target!(|text: &[u8]| {
    if let Some(found) = addr::find_227(text) {
        let span = text.get(found.span).unwrap();
        assert_eq!(addr::find_227(span).unwrap().value, found.value);
        v4(found.value);
    }
    if let Some(found) = addr::find_229(text) {
        assert!(text.get(found.span).is_some_and(|span| !span.is_empty()));
        let port = found.value.port;
        assert_ne!(port, 0);
        let again = addr::find_229(addr::format_229(port).as_bytes()).unwrap().value;
        assert_eq!((again.port, again.address), (port, None));
    }
    if let Ok(address) = addr::parse_port(text) {
        v4(address);
    }
    if let Ok(address) = addr::parse_eprt(text) {
        let again = addr::parse_eprt(addr::format_eprt(address).as_bytes());
        let canonical = SocketAddr::new(address.ip().to_canonical(), address.port());
        assert_eq!(again, Ok(canonical));
    }
});
