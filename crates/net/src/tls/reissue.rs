//! One more ticket of TLS 1.3 on a control connection, for the one that a data connection has used up.
//!
//! A ticket is used once (RFC 8446 §C.4), and on an upload none can be given: a client that only
//! writes leaves it unread. So it comes with the reply, at any time after the handshake (§4.6.1).
//! rustls gives tickets at the end of a handshake alone. Hence this: the cipher suites of rustls, which
//! here take a note of the first ticket message that a control connection sends, and which send a
//! message as one of the handshake, instead of as data, where it is marked as such. They change nothing
//! else, and no key is seen.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustls::crypto::cipher::{
    AeadKey, Iv, MessageDecrypter, MessageEncrypter, OutboundOpaqueMessage, OutboundPlainMessage,
    Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    ConnectionTrafficSecrets, ContentType, Error, ServerConnection, SupportedCipherSuite,
    Tls13CipherSuite,
};

/// The type of a `NewSessionTicket` among handshake messages (RFC 8446 §4).
const NEW_SESSION_TICKET: u8 = 4;

/// The longest message that is sent: well within a record (RFC 8446 §5.1).
const LONGEST: usize = 8192;

thread_local! {
    /// The note of the connection whose tickets are being made, in this very call of rustls.
    static MAKING: RefCell<Option<Note>> = const { RefCell::new(None) };
    /// Whether what is being sent is a message of the handshake.
    static IS_HANDSHAKE: Cell<bool> = const { Cell::new(false) };
}

/// What a connection's first ticket was made of, once it has sent one.
#[derive(Clone, Default)]
pub(super) struct Note(Arc<Mutex<Made>>);

#[derive(Default)]
struct Made {
    /// What is sealed in a ticket.
    plain: Vec<u8>,
    /// The message in front of the ticket: lifetime, age and the nonce that the secret comes from.
    before: Option<Vec<u8>>,
}

/// Secrets are in there.
impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("•••")
    }
}

impl Note {
    /// A ticket is made of this, and is sent next. The first one of a connection is noted.
    pub(super) fn begin(&self, plain: &[u8]) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = MAKING.with_borrow(|making| {
            making.as_ref().is_none_or(|making| !Arc::ptr_eq(&making.0, &self.0))
        });
        if is_first && made.before.is_none() {
            made.plain = plain.to_vec();
            MAKING.set(Some(self.clone()));
        }
    }

    /// Sends the connection another ticket, if it had one before; `seal` makes it.
    pub(super) fn send(
        &self,
        connection: &mut ServerConnection,
        seal: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) {
        let Some(message) = self.message(seal) else { return };
        // What does not fit the buffer would be sent in part.
        if connection.wants_write() || message.len() > LONGEST {
            return;
        }
        IS_HANDSHAKE.set(true);
        let sent = std::io::Write::write(&mut connection.writer(), &message);
        IS_HANDSHAKE.set(false);
        debug_assert!(sent.is_ok_and(|sent| sent == message.len()), "the buffer was empty");
    }

    fn message(&self, seal: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = seal(&made.plain)?;
        let length = u16::try_from(ticket.len()).ok()?.to_be_bytes();
        // No extensions: those of TLS 1.3 are about early data.
        let body = [made.before.as_deref()?, &length, &ticket, &[0, 0]].concat();
        let [_, high, middle, low] = u32::try_from(body.len()).ok()?.to_be_bytes();
        Some([&[NEW_SESSION_TICKET, high, middle, low], body.as_slice()].concat())
    }
}

/// The part of a ticket message that stands before the ticket, without the message's own header.
fn before(message: &[u8]) -> Option<Vec<u8>> {
    let body = message.strip_prefix(&[NEW_SESSION_TICKET])?.get(3..)?;
    // Lifetime and age, four bytes each, then the nonce and its length.
    let nonce = usize::from(*body.get(8)?);
    body.get(..9 + nonce).map(<[u8]>::to_vec)
}

/// rustls's own cryptography, which can do this.
pub fn provider() -> CryptoProvider {
    static SUITES: LazyLock<Vec<SupportedCipherSuite>> = LazyLock::new(|| {
        let suites = aws_lc_rs::default_provider().cipher_suites;
        suites.into_iter().map(noting).collect()
    });
    CryptoProvider { cipher_suites: SUITES.clone(), ..aws_lc_rs::default_provider() }
}

/// A suite lives as long as the program: there are three of them.
fn noting(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls13(suite) = suite else { return suite };
    let aead_alg: &'static dyn Tls13AeadAlgorithm = Box::leak(Box::new(Noting(suite.aead_alg)));
    let common = rustls::crypto::CipherSuiteCommon {
        suite: suite.common.suite,
        hash_provider: suite.common.hash_provider,
        confidentiality_limit: suite.common.confidentiality_limit,
    };
    let noting = Tls13CipherSuite { common, aead_alg, ..*suite };
    SupportedCipherSuite::Tls13(Box::leak(Box::new(noting)))
}

struct Noting(&'static dyn Tls13AeadAlgorithm);

impl Tls13AeadAlgorithm for Noting {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(NotingEncrypter(self.0.encrypter(key, iv)))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        self.0.decrypter(key, iv)
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv)
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

struct NotingEncrypter(Box<dyn MessageEncrypter>);

impl MessageEncrypter for NotingEncrypter {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        number: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        if message.typ == ContentType::Handshake
            && let Some(note) = MAKING.take()
        {
            let mut made = note.0.lock().unwrap_or_else(PoisonError::into_inner);
            made.before = before(&message.payload.to_vec());
        }
        let typ = if IS_HANDSHAKE.get() { ContentType::Handshake } else { message.typ };
        self.0.encrypt(OutboundPlainMessage { typ, ..message }, number)
    }

    fn encrypted_payload_len(&self, length: usize) -> usize {
        self.0.encrypted_payload_len(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type, length; lifetime, age; nonce; ticket; extensions.
    const MESSAGE: &[u8] = b"\x04\0\0\x15\0\0\x0e\x10\x01\x02\x03\x04\x02NN\0\x06ticket\0\0";

    #[test]
    fn another_message_differs_in_its_ticket_only() {
        let note = Note::default();
        assert_eq!(note.message(|plain| Some(plain.to_vec())), None, "none was sent before");
        note.begin(b"ticket");
        note.begin(b"the second of the same flight");
        let noted = MAKING.take().unwrap();
        noted.0.lock().unwrap().before = before(MESSAGE);
        assert_eq!(note.message(|plain| Some(plain.to_vec())).unwrap(), MESSAGE);
        let other = note.message(|_| Some(b"another".to_vec())).unwrap();
        assert_eq!(other.len(), MESSAGE.len() + 1);
        assert_eq!(note.message(|_| None), None);
        assert_eq!(format!("{note:?}"), "•••");
    }

    #[test]
    fn other_messages_are_not_taken_for_a_ticket() {
        for end in 0..15 {
            assert_eq!(before(MESSAGE.get(..end).unwrap()), None, "{end}");
        }
        assert_eq!(before(b"\x18\0\0\x01\0"), None);
    }

    #[test]
    fn the_provider_has_what_that_of_rustls_has() {
        let suites = |provider: CryptoProvider| {
            provider.cipher_suites.iter().map(SupportedCipherSuite::suite).collect::<Vec<_>>()
        };
        assert_eq!(suites(provider()), suites(aws_lc_rs::default_provider()));
    }
}
