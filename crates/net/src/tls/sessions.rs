//! What a client may resume: the TLS sessions of one control connection and of its data connections.
//!
//! Each control connection has a store of its own. A server that proves by resumption to whom a data
//! connection belongs wants a session of exactly this control connection (curl 22246 shares them).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// The most tickets that are kept. Origin: servers send one to eight a connection, and each data
/// connection takes one away; a hostile server that sends more fills no memory.
const KEPT: usize = 32;

/// The store. It has one server, whatever name it is asked for.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    group: Option<NamedGroup>,
    session: Option<Tls12ClientSessionValue>,
    tickets: Shelf<Tls13ClientSessionValue>,
}

/// Sessions of TLS 1.3. Each is taken once (RFC 8446 §C.4), the newest first: it lives longest.
///
/// The last one is not kept back for a second use, which stateless servers would allow: rustls hands
/// sessions over whole and lets nobody copy them. Most servers give a new one on each resumption;
/// ProFTPD does not, so that it has to be seen when the shelf is [spent](Self::is_spent).
struct Shelf<T> {
    tickets: VecDeque<T>,
    /// Whether there ever was one.
    used: bool,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { tickets: VecDeque::new(), used: false }
    }
}

impl<T> Shelf<T> {
    fn put(&mut self, ticket: T) {
        self.used = true;
        if self.tickets.len() == KEPT {
            self.tickets.pop_front();
        }
        self.tickets.push_back(ticket);
    }

    fn take(&mut self) -> Option<T> {
        self.tickets.pop_back()
    }

    fn is_spent(&self) -> bool {
        self.used && self.tickets.is_empty()
    }
}

impl Sessions {
    /// Whether the server gave tickets and none is left: the next handshake will be a full one.
    pub(super) fn are_spent(&self) -> bool {
        self.kept().tickets.is_spent()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sessions are as good as keys: never shown.
impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("•••")
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.kept().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept().group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.kept().session = Some(session);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.kept().session.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.kept().session = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.kept().tickets.put(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.kept().tickets.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ticket_is_taken_once_and_the_newest_first() {
        let mut shelf = Shelf::default();
        (0..3).for_each(|ticket| shelf.put(ticket));
        let taken: Vec<_> = std::iter::from_fn(|| shelf.take()).collect();
        assert_eq!(taken, [2, 1, 0]);
        assert!(shelf.is_spent());
        shelf.put(3);
        assert!(!shelf.is_spent() && !Shelf::<u8>::default().is_spent());
    }

    #[test]
    fn a_server_that_sends_tickets_without_end_fills_no_memory() {
        let mut shelf = Shelf::default();
        (0..1000).for_each(|ticket| shelf.put(ticket));
        assert_eq!((shelf.tickets.len(), shelf.take()), (KEPT, Some(999)));
    }

    #[test]
    fn nothing_of_it_is_shown() {
        assert_eq!(format!("{:?}", Sessions::default()), "•••");
    }
}
