//! The first words of TLS, read without answering: which session a client says that it resumes, and
//! which host it asks for.
//!
//! It proves nothing. Whoever saw a ticket on the wire can repeat it; only the handshake that
//! follows shows that the client holds the secrets that belong to it.

use alloc::vec::Vec;

/// The most that is looked at. Origin: one record of TLS (RFC 8446 §5.1); the key shares of today's
/// clients, post-quantum ones too, leave most of it empty.
pub const MAX_HELLO: usize = 16 * 1024;

/// How many identities are kept. Origin: clients send one; the server tries each, which costs it a
/// decryption.
const MAX_IDENTITIES: usize = 8;

/// The content type of a record with a handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// The handshake message that a client begins with (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;

/// The name of the host (RFC 6066 §3).
const SERVER_NAME: u16 = 0;

/// The kind of a name that is a host's.
const HOST_NAME: u8 = 0;

/// The ticket of TLS 1.2 (RFC 5077 §3.2).
const SESSION_TICKET: u16 = 35;

/// The identities of TLS 1.3 (RFC 8446 §4.2.11).
const PRE_SHARED_KEY: u16 = 41;

/// What a client says of the session that it resumes, and of the host that it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The session id of TLS 1.2; of TLS 1.3 it is empty or means nothing.
    pub session_id: Vec<u8>,
    /// Tickets: the one of TLS 1.2, or the identities of TLS 1.3 in their order.
    pub tickets: Vec<Vec<u8>>,
    /// The host that it asks for.
    pub server_name: Option<Vec<u8>>,
}

/// What the bytes at the beginning of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    /// Not enough to say.
    Partial,
    /// A client's hello.
    Hello(Hello),
    /// Something else, or a hello that is too long or wrong in itself.
    Other,
}

impl First {
    /// Reads what has come so far, from the connection's first byte on. The hello may lie in
    /// several records.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        match handshake(bytes.get(..MAX_HELLO).unwrap_or(bytes)) {
            Some(Ok(body)) => hello(&body).map_or(Self::Other, Self::Hello),
            Some(Err(More)) if bytes.len() < MAX_HELLO => Self::Partial,
            _ => Self::Other,
        }
    }
}

/// The bytes end before the message does.
struct More;

/// The body of the first handshake message; nothing if it can be no client's hello.
fn handshake(bytes: &[u8]) -> Option<Result<Vec<u8>, More>> {
    let mut records = Reader(bytes);
    let mut message = Vec::new();
    loop {
        if let Some((kind, rest)) = message.split_first() {
            if *kind != CLIENT_HELLO {
                return None;
            }
            let mut rest = Reader(rest);
            if let Some(length) = rest.length(3) {
                if length > MAX_HELLO {
                    return None;
                }
                if let Some(body) = rest.take(length) {
                    return Some(Ok(body.to_vec()));
                }
            }
        }
        let Some(kind) = records.byte() else { return Some(Err(More)) };
        if kind != HANDSHAKE {
            return None;
        }
        // The first byte of the version is 3 since SSL 3.0 (RFC 8446 §D).
        match records.byte() {
            Some(3) => {}
            Some(_) => return None,
            None => return Some(Err(More)),
        }
        if records.byte().is_none() {
            return Some(Err(More));
        }
        let Some(length) = records.length(2) else { return Some(Err(More)) };
        if length == 0 || length > MAX_HELLO {
            return None;
        }
        match records.take(length) {
            Some(fragment) => message.extend_from_slice(fragment),
            // What is there of the record may say already that it is no hello.
            None if message.is_empty() && records.0.first().is_some_and(|b| *b != CLIENT_HELLO) => {
                return None;
            }
            None => return Some(Err(More)),
        }
    }
}

/// `ClientHello` (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2).
fn hello(body: &[u8]) -> Option<Hello> {
    let mut body = Reader(body);
    body.take(2)?;
    body.take(32)?;
    let session_id = body.vector(1)?;
    if session_id.len() > 32 {
        return None;
    }
    body.vector(2)?;
    body.vector(1)?;
    let mut hello = Hello { session_id: session_id.to_vec(), ..Hello::default() };
    if body.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Reader(body.vector(2)?);
    let (mut ticket, mut identities) = (None, Vec::new());
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let content = extensions.vector(2)?;
        match u16::try_from(kind) {
            Ok(SERVER_NAME) => hello.server_name = Some(host_name(content)?.to_vec()),
            Ok(SESSION_TICKET) if !content.is_empty() => ticket = Some(content.to_vec()),
            Ok(PRE_SHARED_KEY) => identities = psk_identities(content)?,
            _ => {}
        }
    }
    // A hello for both versions may carry both: 1.3 is what will be spoken then.
    hello.tickets = identities;
    hello.tickets.extend(ticket);
    Some(hello)
}

/// `ServerNameList` (RFC 6066 §3): there is no kind of name but a host's, and one of each at most.
fn host_name(content: &[u8]) -> Option<&[u8]> {
    let mut list = Reader(Reader(content).vector(2)?);
    let kind = list.byte()?;
    let name = list.vector(2)?;
    (kind == HOST_NAME && !name.is_empty() && list.0.is_empty()).then_some(name)
}

/// `OfferedPsks` (RFC 8446 §4.2.11), without the binders.
fn psk_identities(content: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut list = Reader(Reader(content).vector(2)?);
    let mut identities = Vec::new();
    while !list.0.is_empty() {
        let identity = list.vector(2)?;
        list.take(4)?;
        if identities.len() < MAX_IDENTITIES {
            identities.push(identity.to_vec());
        }
    }
    Some(identities)
}

/// Bytes from which numbers and vectors are taken.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A big-endian number of up to four bytes.
    fn number(&mut self, bytes: usize) -> Option<u32> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn length(&mut self, bytes: usize) -> Option<usize> {
        self.number(bytes).and_then(|number| usize::try_from(number).ok())
    }

    /// A vector with its length before it.
    fn vector(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let length = self.length(bytes)?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(width: usize, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&length[length.len() - width..], content].concat()
    }

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &vector(2, content)].concat()
    }

    fn message(session_id: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
        let body = [
            &[3, 3][..],
            &[7; 32],
            &vector(1, session_id),
            &vector(2, &[0x13, 0x01]),
            &vector(1, &[0]),
            &vector(2, &extensions.concat()),
        ]
        .concat();
        [&[CLIENT_HELLO][..], &vector(3, &body)].concat()
    }

    fn record(fragment: &[u8]) -> Vec<u8> {
        [&[HANDSHAKE, 3, 1][..], &vector(2, fragment)].concat()
    }

    fn psk(identities: &[&[u8]]) -> Vec<u8> {
        let list: Vec<u8> =
            identities.iter().flat_map(|i| [vector(2, i), std::vec![0; 4]].concat()).collect();
        extension(PRE_SHARED_KEY, &[vector(2, &list), vector(2, &vector(1, &[9; 32]))].concat())
    }

    #[test]
    fn tickets_of_both_versions_and_session_ids_are_found() {
        let named = extension(23, b"");
        let hello = |session_id: &[u8], tickets: &[&[u8]]| {
            let tickets = tickets.iter().map(|t| t.to_vec()).collect();
            First::Hello(Hello { session_id: session_id.to_vec(), tickets, server_name: None })
        };
        let of = |id: &[u8], extensions: &[Vec<u8>]| First::read(&record(&message(id, extensions)));
        assert_eq!(of(b"", &[]), hello(b"", &[]));
        assert_eq!(of(b"id", core::slice::from_ref(&named)), hello(b"id", &[]));
        assert_eq!(of(b"", &[extension(SESSION_TICKET, b"")]), hello(b"", &[]), "it wants one");
        assert_eq!(of(b"", &[extension(SESSION_TICKET, b"old"), named]), hello(b"", &[b"old"]));
        assert_eq!(of(b"", &[psk(&[b"one", b"two"])]), hello(b"", &[b"one", b"two"]));
        let many = [b"x".as_slice(); 100];
        assert_eq!(of(b"", &[psk(&many)]), hello(b"", &many[..MAX_IDENTITIES]));
    }

    #[test]
    fn the_host_that_is_asked_for_is_found() {
        let named = |list: &[u8]| {
            let extension = extension(SERVER_NAME, &vector(2, list));
            match First::read(&record(&message(b"", &[extension]))) {
                First::Hello(hello) => hello.server_name,
                _ => None,
            }
        };
        let host = |name: &[u8]| [&[HOST_NAME][..], &vector(2, name)].concat();
        assert_eq!(named(&host(b"ftp.example")).unwrap(), b"ftp.example");
        for wrong in [host(b""), std::vec![], std::vec![1, 0, 1, b'x'], host(b"a").repeat(2)] {
            assert_eq!(named(&wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_beginning_is_partial_and_every_cut_into_records_is_the_same() {
        let message = message(b"id", &[extension(SESSION_TICKET, b"ticket")]);
        let whole = record(&message);
        let expected = First::read(&whole);
        for cut in 0..whole.len() {
            assert_eq!(First::read(&whole[..cut]), First::Partial, "{cut}");
        }
        for cut in 1..message.len() {
            let (one, two) = message.split_at(cut);
            assert_eq!(First::read(&[record(one), record(two)].concat()), expected, "{cut}");
        }
        let bytes: Vec<u8> = message.chunks(1).flat_map(record).collect();
        assert_eq!(First::read(&bytes), expected);
    }

    #[test]
    fn what_is_no_hello_is_seen_at_once() {
        for other in [&b"U"[..], b"GET / HTTP/1.1", b"\x16\x02", b"\x16\x03\x01\0\0"] {
            assert_eq!(First::read(other), First::Other, "{other:?}");
        }
        assert_eq!(First::read(b"\x16\x03\x01\0\x05\x02"), First::Other, "a server's hello");
        assert_eq!(First::read(&record(&[CLIENT_HELLO, 255, 0, 0])), First::Other, "too long");
        assert_eq!(First::read(&record(&[CLIENT_HELLO, 0, 0, 1, 3])), First::Other, "cut short");
        let padded = extension(21, &[0; MAX_HELLO]);
        let long = message(b"", &[padded]);
        let records: Vec<u8> = long.chunks(1000).flat_map(record).collect();
        assert_eq!(First::read(&records), First::Other);
    }
}
