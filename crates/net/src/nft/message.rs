//! Messages to the kernel's nftables: a batch of them is carried out whole or not at all.
//!
//! It knows how they are laid out, and nothing of what they mean (`linux/netfilter/nfnetlink.h`).

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const REQUEST: u16 = 0x001;
const ACK: u16 = 0x004;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;
const ERROR: u16 = 2;

/// The family `inet`: IPv4 and IPv6.
pub(super) const INET: u8 = 1;

/// What a message is to do (`NFT_MSG_*`).
#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    NewTable = 0,
    NewChain = 3,
    NewRule = 6,
    NewSet = 9,
    NewElement = 12,
    DeleteElement = 14,
}

/// Attributes, one behind the other, each padded to four bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn bytes(self, kind: u16, value: &[u8]) -> Self {
        self.put(kind, value)
    }

    /// With its NUL.
    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        self.put(kind, &[value.as_bytes(), &[0]].concat())
    }

    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    pub(super) fn long(self, kind: u16, value: u64) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    pub(super) fn nest(self, kind: u16, inner: &Self) -> Self {
        self.put(kind | NESTED, &inner.0)
    }

    fn put(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// A connection to the kernel. A table that it owns is gone when it closes.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Carries out all of `messages` or none.
    pub(super) fn commit(&mut self, messages: &[(Verb, Attributes)]) -> io::Result<()> {
        let none = Attributes::new();
        let mut batch = Vec::new();
        self.sequence = self.sequence.wrapping_add(1);
        put(&mut batch, BATCH_BEGIN, REQUEST, self.sequence, &none);
        for (verb, attributes) in messages {
            self.sequence = self.sequence.wrapping_add(1);
            let kind = (SUBSYSTEM << 8) | *verb as u16;
            let flags = REQUEST | ACK | CREATE | APPEND;
            put(&mut batch, kind, flags, self.sequence, attributes);
        }
        let last = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        put(&mut batch, BATCH_END, REQUEST, self.sequence, &none);
        rustix::net::send(&self.socket, &batch, SendFlags::empty())?;
        self.acknowledged(last)
    }

    /// The kernel answers before `send` returns. What is left of an earlier batch that failed has
    /// an older number.
    fn acknowledged(&self, last: u32) -> io::Result<()> {
        let mut space = [0; 8192];
        loop {
            let received = rustix::net::recv(&self.socket, &mut space, RecvFlags::DONTWAIT)?;
            let mut rest = space.get(..received.0).unwrap_or_default();
            while let Some((length, kind, sequence, error)) = answer(rest) {
                if kind == ERROR && error != 0 {
                    self.drain();
                    return Err(io::Error::from_raw_os_error(error.saturating_neg()));
                }
                if kind == ERROR && sequence == last {
                    return Ok(());
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }

    fn drain(&self) {
        let mut space = [0; 8192];
        while rustix::net::recv(&self.socket, &mut space, RecvFlags::DONTWAIT).is_ok() {}
    }
}

fn put(batch: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, attributes: &Attributes) {
    const HEADER: usize = 20;
    let length = u32::try_from(HEADER + attributes.0.len()).unwrap_or(u32::MAX);
    batch.extend(length.to_ne_bytes());
    batch.extend(kind.to_ne_bytes());
    batch.extend(flags.to_ne_bytes());
    batch.extend(sequence.to_ne_bytes());
    batch.extend(0_u32.to_ne_bytes());
    // Of the begin and the end it is the subsystem that counts.
    let is_bracket = matches!(kind, BATCH_BEGIN | BATCH_END);
    let resource = if is_bracket { SUBSYSTEM } else { 0 };
    batch.extend([if is_bracket { 0 } else { INET }, 0]);
    batch.extend(resource.to_be_bytes());
    batch.extend(&attributes.0);
}

/// Length, kind, number and error of the first message.
fn answer(bytes: &[u8]) -> Option<(usize, u16, u32, i32)> {
    let &[a, b, c, d, e, f, _, _, g, h, i, j, _, _, _, _, k, l, m, n] = bytes.first_chunk()?;
    let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
    let kind = u16::from_ne_bytes([e, f]);
    let sequence = u32::from_ne_bytes([g, h, i, j]);
    (length >= 20).then(|| (length, kind, sequence, i32::from_ne_bytes([k, l, m, n])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested() {
        let inner = Attributes::new().bytes(1, &[7]);
        let outer = Attributes::new().nest(2, &inner).text(3, "ab");
        let four = |length: u16, kind: u16| [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        let expected = [
            four(12, 2 | NESTED),
            four(5, 1),
            vec![7, 0, 0, 0],
            four(7, 3),
            vec![b'a', b'b', 0, 0],
        ];
        assert_eq!(outer.0, expected.concat());
    }
}
