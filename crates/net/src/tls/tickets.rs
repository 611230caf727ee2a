//! Tickets that carry their session's identity, and open for that session alone.
//!
//! Nothing is kept on the server: the identity stands in front of what TLS puts into a ticket, both
//! sealed by the server's ticketer. A ticket of another session opens into nothing, and the handshake
//! becomes a full one; so a connection that was resumed is this session's, in TLS 1.2 as in 1.3.
//! (rustls gives back `resumption_data` for TLS 1.3 only.)

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache};

/// How many TLS 1.2 sessions without tickets are remembered for a control connection. Origin: its
/// own, and one of a data connection that could not resume it.
const REMEMBERED: usize = 2;

/// How many tickets come with a control connection. Origin: rustls gives two; uploads bring no new
/// ones, and a client that uses each once begins anew when it has none left.
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

    /// The server's configuration for the connections of this session.
    #[must_use]
    pub fn bind(self, config: &ServerConfig) -> SessionTls {
        let mut control = config.clone();
        control.ticketer = Arc::new(Bound { sealer: Arc::clone(&config.ticketer), identity: self });
        // Some clients of TLS 1.2 take no tickets (curl): a memory of its own binds as well.
        control.session_storage = ServerSessionMemoryCache::new(REMEMBERED);
        control.send_tls13_tickets = TICKETS;
        let mut receiving = control.clone();
        receiving.send_tls13_tickets = 0;
        let mut sending = control.clone();
        sending.send_tls13_tickets = 1;
        SessionTls {
            control: Arc::new(control),
            sending: Arc::new(sending),
            receiving: Arc::new(receiving),
        }
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
    /// which takes the last bytes with it (measured: curl 7.88, 16 uploads of 20).
    pub receiving: Arc<ServerConfig>,
}

/// It is as good as a key: never shown.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// The ticketer of one session.
#[derive(Debug)]
struct Bound {
    sealer: Arc<dyn ProducesTickets>,
    identity: Identity,
}

impl ProducesTickets for Bound {
    fn enabled(&self) -> bool {
        self.sealer.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.sealer.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.sealer.encrypt(&[&self.identity.0[..], plain].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let opened = self.sealer.decrypt(ticket)?;
        opened.strip_prefix(&self.identity.0[..]).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::aws_lc_rs::Ticketer;

    #[test]
    fn a_ticket_opens_for_its_own_session_only() {
        let sealer = Ticketer::new().unwrap();
        let [own, other] = [(); 2]
            .map(|()| Bound { sealer: Arc::clone(&sealer), identity: Identity::random().unwrap() });
        let ticket = own.encrypt(b"secret").unwrap();
        assert_eq!(own.decrypt(&ticket).as_deref(), Some(&b"secret"[..]));
        assert_eq!(own.decrypt(&ticket).as_deref(), Some(&b"secret"[..]), "as often as it comes");
        assert_eq!(other.decrypt(&ticket), None);
        let mut forged = ticket;
        forged[20] ^= 1;
        assert_eq!(own.decrypt(&forged), None);
        assert_eq!(own.decrypt(b""), None);
    }
}
