//! Tickets that carry their session's identity, and open for that session alone.
//!
//! Hardly anything is kept on the server: the identity stands in front of what TLS puts into a
//! ticket, both sealed by the ring of [`keys`](super::keys). A ticket of another session opens into
//! nothing, and the handshake becomes a full one; so a connection that was resumed is this session's,
//! in TLS 1.2 as in 1.3. (rustls gives back `resumption_data` for TLS 1.3 only.)

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::server::{ProducesTickets, StoresServerSessions};
use rustls::{ProtocolVersion, ServerConfig};

use tokio_rustls::TlsStream;

use twoport_proto::hello::Hello;

use super::keys::TicketKeys;
use super::reissue::Note;
use crate::stream::Stream;

/// How many TLS 1.2 sessions without tickets are remembered for a control connection. Origin: its
/// own, and one of a data connection that could not resume it.
const REMEMBERED: usize = 2;

/// How many tickets come with a control connection. Origin: rustls gives two; a client may have
/// several data connections in the making, and uploads bring a new one only with their reply.
const TICKETS: usize = 8;

/// A session's identity in its tickets: random, so that a ticket of another session, server or day
/// never fits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity([u8; 16]);

impl Identity {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// Binds tickets to sessions, for all sessions of a server, and says whose a ticket is.
#[derive(Debug)]
pub struct Binder {
    keys: TicketKeys,
    /// The TLS 1.2 sessions that are remembered without a ticket, and whose they are.
    ids: Mutex<HashMap<Vec<u8>, Identity>>,
}

impl Binder {
    /// One that seals with these keys.
    #[must_use]
    pub fn new(keys: TicketKeys) -> Self {
        Self { keys, ids: Mutex::default() }
    }

    /// The keys.
    #[must_use]
    pub const fn keys(&self) -> &TicketKeys {
        &self.keys
    }

    /// The server's configuration for the connections of the session of this identity.
    #[must_use]
    pub fn bind(self: &Arc<Self>, identity: Identity, config: &ServerConfig) -> SessionTls {
        let mut control = config.clone();
        let bound = Bound { binder: Arc::clone(self), identity, note: None };
        control.ticketer = Arc::new(bound.clone());
        // Some clients of TLS 1.2 take no tickets (curl): a memory of its own binds as well.
        let kept = Mutex::default();
        control.session_storage = Arc::new(Memory { binder: Arc::clone(self), identity, kept });
        control.send_tls13_tickets = TICKETS;
        let mut receiving = control.clone();
        receiving.send_tls13_tickets = 0;
        let mut sending = control.clone();
        sending.send_tls13_tickets = 1;
        let bound = Bound { note: Some(Note::default()), ..bound };
        control.ticketer = Arc::new(bound.clone());
        SessionTls {
            control: Arc::new(control),
            sending: Arc::new(sending),
            receiving: Arc::new(receiving),
            bound,
        }
    }

    /// The session that a hello names; none if it names none, or one of another server or day. It
    /// is what the client says: only the handshake proves it.
    #[must_use]
    pub fn name(&self, hello: &Hello) -> Option<Identity> {
        let ticketed = hello.tickets.iter().find_map(|ticket| self.open(ticket));
        ticketed.map(|(identity, _)| identity).or_else(|| {
            let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
            ids.get(&hello.session_id).copied()
        })
    }

    fn open(&self, ticket: &[u8]) -> Option<(Identity, Vec<u8>)> {
        let opened = self.keys.decrypt(ticket)?;
        let (identity, plain) = opened.split_first_chunk()?;
        Some((Identity(*identity), plain.to_vec()))
    }
}

/// What the handshakes of a session need. They differ in how many tickets of TLS 1.3 are given out.
#[derive(Clone, Debug)]
pub struct SessionTls {
    /// For the control connection: enough for a row of uploads by a client that uses each once.
    pub control: Arc<ServerConfig>,
    /// For downloads and listings: one for the one that was used.
    pub sending: Arc<ServerConfig>,
    /// For uploads: none. A client that only writes leaves it unread, and then its close is a reset,
    /// which takes the last bytes with it (measured: curl 7.88, 16 uploads of 20). Instead one is
    /// [given](Self::give_ticket) on the control connection.
    pub receiving: Arc<ServerConfig>,
    bound: Bound,
}

impl SessionTls {
    /// Queues another ticket of TLS 1.3 on the session's control connection, for one that an upload
    /// has used; it goes out with what is written next. Nothing in clear, nor in TLS 1.2, where a
    /// session is resumed any number of times.
    pub fn give_ticket(&self, control: &mut Stream) {
        let Stream::Tls(tls) = control else { return };
        let TlsStream::Server(tls) = &mut **tls else { return };
        let (_, connection) = tls.get_mut();
        if connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
            && let Some(note) = &self.bound.note
        {
            note.send(connection, |plain| self.bound.seal(plain));
        }
    }
}

/// It is as good as a key: never shown.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// The ticketer of one session.
#[derive(Clone, Debug)]
struct Bound {
    binder: Arc<Binder>,
    identity: Identity,
    /// What is kept of a ticket of the control connection.
    note: Option<Note>,
}

impl Bound {
    fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.binder.keys.encrypt(&[&self.identity.0[..], plain].concat())
    }
}

impl ProducesTickets for Bound {
    fn enabled(&self) -> bool {
        self.binder.keys.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.binder.keys.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        if let Some(note) = &self.note {
            note.begin(plain);
        }
        self.seal(plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (identity, plain) = self.binder.open(ticket)?;
        (identity == self.identity).then_some(plain)
    }
}

/// The memory of one session for TLS 1.2 without tickets; it ends with the session.
struct Memory {
    binder: Arc<Binder>,
    identity: Identity,
    kept: Mutex<VecDeque<(Vec<u8>, Vec<u8>)>>,
}

impl Memory {
    fn with<T>(
        &self,
        work: impl FnOnce(&mut VecDeque<(Vec<u8>, Vec<u8>)>, &mut HashMap<Vec<u8>, Identity>) -> T,
    ) -> T {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ids = self.binder.ids.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut kept, &mut ids)
    }
}

impl StoresServerSessions for Memory {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.with(|kept, ids| {
            if kept.len() == REMEMBERED
                && let Some((oldest, _)) = kept.pop_front()
            {
                ids.remove(&oldest);
            }
            ids.insert(key.clone(), self.identity);
            kept.push_back((key, value));
        });
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = |(id, value): &(Vec<u8>, Vec<u8>)| (id == key).then(|| value.clone());
        self.with(|kept, _| kept.iter().find_map(found))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.with(|kept, ids| {
            let at = kept.iter().position(|(id, _)| id == key)?;
            ids.remove(key);
            kept.remove(at).map(|(_, value)| value)
        })
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.with(|kept, ids| {
            for (id, _) in kept.drain(..) {
                ids.remove(&id);
            }
        });
    }
}

/// Secrets are in there.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(binder: &Arc<Binder>) -> Bound {
        Bound { binder: Arc::clone(binder), identity: Identity::random().unwrap(), note: None }
    }

    fn hello(session_id: &[u8], tickets: &[&[u8]]) -> Hello {
        let tickets = tickets.iter().map(|ticket| ticket.to_vec()).collect();
        Hello { session_id: session_id.to_vec(), tickets, server_name: None }
    }

    #[test]
    fn a_ticket_opens_for_its_own_session_only() {
        let binder = Arc::new(Binder::new(TicketKeys::new(None).unwrap()));
        let [own, other] = [bound(&binder), bound(&binder)];
        let ticket = own.encrypt(b"secret").unwrap();
        assert_eq!(own.decrypt(&ticket).as_deref(), Some(&b"secret"[..]));
        assert_eq!(own.decrypt(&ticket).as_deref(), Some(&b"secret"[..]), "as often as it comes");
        assert_eq!(other.decrypt(&ticket), None);
        let mut forged = ticket;
        forged[20] ^= 1;
        assert_eq!(own.decrypt(&forged), None);
        assert_eq!(own.decrypt(b""), None);
    }

    #[test]
    fn a_hello_names_the_session_of_its_ticket() {
        let binder = Arc::new(Binder::new(TicketKeys::new(None).unwrap()));
        let [one, two] = [bound(&binder), bound(&binder)];
        let ticket = two.encrypt(b"secret").unwrap();
        let elsewhere = bound(&Arc::new(Binder::new(TicketKeys::new(None).unwrap())));
        let foreign = elsewhere.encrypt(b"secret").unwrap();
        assert!(binder.name(&hello(b"", &[&foreign, &ticket])) == Some(two.identity));
        assert!(binder.name(&hello(b"", &[&one.encrypt(b"").unwrap()])) == Some(one.identity));
        assert!(binder.name(&hello(b"", &[&foreign])).is_none());
        assert!(binder.name(&hello(b"", &[])).is_none());
        let bare = binder.keys.encrypt(b"too short").unwrap();
        assert!(binder.name(&hello(b"", &[&bare])).is_none());
    }

    #[test]
    fn a_session_without_tickets_is_named_by_its_id_for_as_long_as_it_is_remembered() {
        let binder = Arc::new(Binder::new(TicketKeys::new(None).unwrap()));
        let identity = Identity::random().unwrap();
        let memory = Memory { binder: Arc::clone(&binder), identity, kept: Mutex::default() };
        for id in [b"1", b"2", b"3"] {
            assert!(memory.put(id.to_vec(), b"secret".to_vec()));
        }
        let named = |id: &[u8]| binder.name(&hello(id, &[])) == Some(identity);
        assert_eq!([named(b"1"), named(b"2"), named(b"3")], [false, true, true]);
        assert_eq!((memory.get(b"1"), memory.get(b"3")), (None, Some(b"secret".to_vec())));
        assert_eq!(memory.take(b"2"), Some(b"secret".to_vec()));
        assert_eq!((named(b"2"), named(b"3")), (false, true));
        drop(memory);
        assert!(!named(b"3") && binder.ids.lock().unwrap().is_empty());
    }
}
