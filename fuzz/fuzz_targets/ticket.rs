//! No bytes but a ticket that the ring sealed open, and a sealed one opens to what it was.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rustls::server::ProducesTickets as _;
use twoport_net::tls::keys::TicketKeys;
use twoport_net::tls::tickets::Binder;
use twoport_proto::hello::{First, Hello};

static KEYS: LazyLock<TicketKeys> = LazyLock::new(|| TicketKeys::new(None).unwrap());
static BINDER: LazyLock<Binder> = LazyLock::new(|| Binder::new(TicketKeys::new(None).unwrap()));

fuzz_target!(|input: (Vec<u8>, usize, u8)| {
    let (bytes, at, change) = input;
    assert_eq!(KEYS.decrypt(&bytes), None);
    let mut ticket = KEYS.encrypt(&bytes).unwrap();
    assert_eq!(KEYS.decrypt(&ticket).as_ref(), Some(&bytes));
    let at = at % ticket.len();
    if let Some(byte) = ticket.get_mut(at).filter(|_| change != 0) {
        *byte ^= change;
        assert_eq!(KEYS.decrypt(&ticket), None);
    }
    // A ring that sealed nothing names nobody, whatever a client says.
    let tickets = vec![bytes.clone(), ticket];
    let hello = Hello { session_id: bytes.clone(), tickets, server_name: None };
    assert!(BINDER.name(&hello).is_none());
    if let First::Hello(hello) = First::read(&bytes) {
        assert!(BINDER.name(&hello).is_none());
    }
});
