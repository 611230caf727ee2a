//! Expressions of nftables, as rules are made of them (`linux/netfilter/nf_tables.h`).
//!
//! It knows no table and sends nothing.

use super::message::Attributes;

/// The registers: the first of 16 bytes, and those of 4 bytes that it is made of, from 8 on.
pub(super) const FIRST: u32 = 1;
pub(super) const FIRST_OF_FOUR: u32 = 8;

#[derive(Clone, Copy)]
pub(super) enum Header {
    Network = 1,
    Transport = 2,
}

pub(super) fn verdict(code: u32) -> Vec<Attributes> {
    let verdict = Attributes::new().nest(2, &Attributes::new().number(1, code));
    vec![expression("immediate", &Attributes::new().number(1, 0).nest(2, &verdict))]
}

pub(super) fn meta(key: u32) -> Attributes {
    expression("meta", &Attributes::new().number(1, FIRST).number(2, key))
}

pub(super) fn payload(header: Header, offset: u32, length: u32, register: u32) -> Attributes {
    let from = Attributes::new().number(1, register).number(2, header as u32);
    expression("payload", &from.number(3, offset).number(4, length))
}

pub(super) fn equal(bytes: &[u8]) -> Attributes {
    expression("cmp", &Attributes::new().number(1, FIRST).number(2, 0).nest(3, &value(bytes)))
}

pub(super) fn value(bytes: &[u8]) -> Attributes {
    Attributes::new().bytes(1, bytes)
}

pub(super) fn expression(name: &str, data: &Attributes) -> Attributes {
    Attributes::new().text(1, name).nest(2, data)
}
