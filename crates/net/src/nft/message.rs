//! Messages to the kernel's netfilter: a batch for nftables, carried out whole or not at all, and
//! single ones.
//!
//! It knows how they are laid out, and nothing of what they mean (`linux/netfilter/nfnetlink.h`).

use std::io;
use std::os::fd::OwnedFd;
use std::thread::park_timeout;
use std::time::Duration;

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
const DONE: u16 = 3;
const DUMP: u16 = 0x300;

/// The family `inet`: IPv4 and IPv6.
pub(crate) const INET: u8 = 1;

/// Family, version and resource of a batch's begin and end, of which the subsystem counts.
const BRACKET: [u8; 4] = [0, 0, 0, 10];

/// Room for the answer about one thing: a connection, the longest, needs a few hundred bytes. What is asked
/// for each transfer clears no more than that.
const ONE: usize = 4096;

/// Room for a part of a list, of which the kernel fills at most half.
const LIST: usize = 64 * 1024;

/// What a message is to do (`NFT_MSG_*`).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb {
    NewTable = 0,
    NewChain = 3,
    NewRule = 6,
    /// Without a handle all of a chain.
    DeleteRule = 8,
    DeleteTable = 2,
    NewSet = 9,
    NewElement = 12,
    /// Without an element all of a set.
    DeleteElement = 14,
    NewObject = 18,
}

/// Attributes, one behind the other, each padded to four bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes(Vec<u8>);

impl Attributes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn bytes(self, kind: u16, value: &[u8]) -> Self {
        self.put(kind, value)
    }

    /// With its NUL.
    pub(crate) fn text(self, kind: u16, value: &str) -> Self {
        self.put(kind, &[value.as_bytes(), &[0]].concat())
    }

    pub(crate) fn number(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    pub(crate) fn long(self, kind: u16, value: u64) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    pub(crate) fn nest(self, kind: u16, inner: &Self) -> Self {
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
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
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
    pub(crate) fn commit(&mut self, messages: &[(Verb, Attributes)]) -> io::Result<()> {
        /// The kernel's hash tables take nothing while they grow or shrink, for some microseconds.
        const TRIES: u32 = 20;
        const PAUSE: Duration = Duration::from_micros(100);
        for _ in 1..TRIES {
            match self.try_commit(messages) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => park_timeout(PAUSE),
                done => return done,
            }
        }
        self.try_commit(messages)
    }

    fn try_commit(&mut self, messages: &[(Verb, Attributes)]) -> io::Result<()> {
        let none = Attributes::new();
        let mut batch = Vec::new();
        self.sequence = self.sequence.wrapping_add(1);
        put(&mut batch, BATCH_BEGIN, REQUEST, self.sequence, BRACKET, &none);
        for (verb, attributes) in messages {
            self.sequence = self.sequence.wrapping_add(1);
            let kind = (SUBSYSTEM << 8) | *verb as u16;
            let flags = REQUEST | ACK | CREATE | APPEND;
            put(&mut batch, kind, flags, self.sequence, [INET, 0, 0, 0], attributes);
        }
        let last = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        put(&mut batch, BATCH_END, REQUEST, self.sequence, BRACKET, &none);
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

    /// Whether the element is there that a deletion names. A batch that fails is undone, for which the
    /// kernel takes tens of milliseconds: who does not know asks before.
    pub(crate) fn has(&mut self, element: &Attributes) -> bool {
        const GET_ELEMENT: u16 = 13;
        let found = self.ask((SUBSYSTEM << 8) | GET_ELEMENT, 0, INET, element);
        found.is_ok_and(|found| !found.is_empty())
    }

    /// Deletes what is there of these elements.
    pub(crate) fn delete(&mut self, elements: impl IntoIterator<Item = (Verb, Attributes)>) {
        let there = elements.into_iter().filter(|(_, element)| self.has(element));
        let there: Vec<_> = there.collect();
        if there.is_empty() || self.commit(&there).is_ok() {
            return;
        }
        // One was used, or ran out, at this very moment; the others go.
        for element in there {
            let _gone: io::Result<()> = self.commit(&[element]);
        }
    }

    /// One message of any subsystem, and what comes back, from behind its header.
    pub(crate) fn ask(
        &mut self,
        kind: u16,
        more: u16,
        family: u8,
        attributes: &Attributes,
    ) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        self.sequence = self.sequence.wrapping_add(1);
        let flags = REQUEST | ACK | more;
        put(&mut message, kind, flags, self.sequence, [family, 0, 0, 0], attributes);
        rustix::net::send(&self.socket, &message, SendFlags::empty())?;
        let mut found = Vec::new();
        self.answers(&mut [0; ONE], self.sequence, |body| {
            if found.is_empty() {
                found = body.get(4..).unwrap_or_default().to_vec();
            }
        })?;
        Ok(found)
    }

    /// Family and attributes of all objects of a kind in nftables.
    pub(crate) fn list(&mut self, kind: u16) -> io::Result<Vec<(u8, Vec<u8>)>> {
        self.list_of((SUBSYSTEM << 8) | kind)
    }

    /// The same of any subsystem.
    pub(crate) fn list_of(&mut self, kind: u16) -> io::Result<Vec<(u8, Vec<u8>)>> {
        let mut message = Vec::new();
        self.sequence = self.sequence.wrapping_add(1);
        put(&mut message, kind, REQUEST | DUMP, self.sequence, [0; 4], &Attributes::new());
        rustix::net::send(&self.socket, &message, SendFlags::empty())?;
        let mut found = Vec::new();
        self.answers(&mut vec![0; LIST], self.sequence, |body| {
            if let Some((&[family, ..], rest)) = body.split_first_chunk::<4>() {
                found.push((family, rest.to_vec()));
            }
        })?;
        Ok(found)
    }

    /// Reads until the end of the answer with this number.
    fn answers(
        &self,
        space: &mut [u8],
        wanted: u32,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        loop {
            let received = rustix::net::recv(&self.socket, &mut *space, RecvFlags::DONTWAIT)?;
            let mut rest = space.get(..received.0).unwrap_or_default();
            while let Some((length, kind, sequence, error)) = answer(rest) {
                let is_ours = sequence == wanted;
                match kind {
                    ERROR if is_ours && error != 0 => {
                        return Err(io::Error::from_raw_os_error(error.saturating_neg()));
                    }
                    ERROR | DONE if is_ours => return Ok(()),
                    _ if is_ours => each(rest.get(16..length).unwrap_or_default()),
                    _ => {}
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

fn put(
    batch: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    header: [u8; 4],
    attributes: &Attributes,
) {
    const HEADER: usize = 20;
    let length = u32::try_from(HEADER + attributes.0.len()).unwrap_or(u32::MAX);
    batch.extend(length.to_ne_bytes());
    batch.extend(kind.to_ne_bytes());
    batch.extend(flags.to_ne_bytes());
    batch.extend(sequence.to_ne_bytes());
    batch.extend(0_u32.to_ne_bytes());
    batch.extend(header);
    batch.extend(&attributes.0);
}

/// The value of the first attribute of a kind.
pub(crate) fn find(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = attributes;
    loop {
        let (&[a, b, c, d], _) = rest.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let kind = u16::from_ne_bytes([c, d]) & !(NESTED | 0x4000);
        if kind == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
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
    fn an_attribute_is_found_behind_others() {
        let all = Attributes::new().bytes(1, &[7]).nest(2, &Attributes::new().text(3, "ab"));
        let inner = find(&all.0, 2).unwrap();
        assert_eq!(find(inner, 3), Some(&b"ab\0"[..]));
        assert_eq!((find(&all.0, 1), find(&all.0, 4)), (Some(&[7][..]), None));
        assert_eq!(find(&[1, 2, 3], 1), None);
    }

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
