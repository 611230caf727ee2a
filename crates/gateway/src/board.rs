//! What goes on in a gateway, counted: for `status` and for metrics.
//!
//! It shows nothing. Bytes that go through the kernel are not counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use twoport_net::clock;
use twoport_proto::reason::Reason;
use twoport_proto::relay::Note;
use twoport_proto::time::Time;

use crate::hole::lock;

/// A decision of the relay and its reason, as log and metrics name them.
type Told = (&'static str, &'static str);

/// The counts of a gateway. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    live: BTreeMap<u64, Arc<Live>>,
    /// The number of the last connection, in whichever seat.
    last: u64,
    sessions: u64,
    bytes: u64,
    told: BTreeMap<Told, u64>,
}

/// A session as it is now.
#[derive(Debug)]
pub(crate) struct Live {
    client: SocketAddr,
    server: SocketAddr,
    since: Time,
    /// Pinholes that are prepared or open.
    pub(crate) pinholes: AtomicUsize,
    /// Bytes of data connections that were relayed in user space.
    pub(crate) bytes: AtomicU64,
}

/// Takes a session off the board when it ends.
pub(crate) struct Entry {
    board: Board,
    number: u64,
    pub(crate) live: Arc<Live>,
}

/// One session of a [`Status`].
#[derive(Clone, Debug)]
pub struct SessionStatus {
    /// Its number since the start.
    pub number: u64,
    /// The client.
    pub client: SocketAddr,
    /// The server.
    pub server: SocketAddr,
    /// How long it has been there.
    pub age: Duration,
    /// Pinholes that are prepared or open.
    pub pinholes: usize,
    /// Bytes relayed in user space.
    pub bytes: u64,
}

/// All of it at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// The sessions there are.
    pub sessions: Vec<SessionStatus>,
    /// How many there have been.
    pub total_sessions: u64,
    /// Bytes relayed in user space since the start.
    pub total_bytes: u64,
    /// How often each decision fell for each reason; without a reason it is empty.
    pub decisions: Vec<(&'static str, &'static str, u64)>,
}

impl Board {
    /// A number for a new connection.
    pub(crate) fn number(&self) -> u64 {
        let mut counts = lock(&self.0);
        counts.last += 1;
        counts.last
    }

    pub(crate) fn enter(&self, number: u64, client: SocketAddr, server: SocketAddr) -> Entry {
        let (pinholes, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
        let live = Arc::new(Live { client, server, since: clock::now(), pinholes, bytes });
        let mut counts = lock(&self.0);
        counts.sessions += 1;
        counts.live.insert(number, Arc::clone(&live));
        drop(counts);
        Entry { board: self.clone(), number, live }
    }

    pub(crate) fn note(&self, note: &Note) {
        self.count(note.decision.word(), note.reason.map_or("", |reason| reason.id()));
    }

    /// A decision of the gateway itself.
    pub(crate) fn tell(&self, decision: &'static str, reason: Reason) {
        self.count(decision, reason.id());
    }

    fn count(&self, decision: &'static str, reason: &'static str) {
        *lock(&self.0).told.entry((decision, reason)).or_default() += 1;
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> Status {
        let now = clock::now();
        let counts = lock(&self.0);
        let session = |(number, live): (&u64, &Arc<Live>)| SessionStatus {
            number: *number,
            client: live.client,
            server: live.server,
            age: now.since(live.since),
            pinholes: live.pinholes.load(Ordering::Relaxed),
            bytes: live.bytes.load(Ordering::Relaxed),
        };
        let sessions: Vec<_> = counts.live.iter().map(session).collect();
        let total_bytes = counts.bytes + sessions.iter().map(|live| live.bytes).sum::<u64>();
        let decisions = counts.told.iter().map(|(told, count)| (told.0, told.1, *count)).collect();
        Status { sessions, total_sessions: counts.sessions, total_bytes, decisions }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut counts = lock(&self.board.0);
        counts.live.remove(&self.number);
        counts.bytes += self.live.bytes.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_moved_stays_when_it_is_gone() {
        let board = Board::default();
        let address = "192.0.2.1:21".parse().unwrap();
        let entry = board.enter(1, address, address);
        entry.live.bytes.store(7, Ordering::Relaxed);
        let status = board.status();
        assert_eq!((status.sessions.len(), status.total_bytes), (1, 7));
        drop(entry);
        let status = board.status();
        assert_eq!((status.sessions.len(), status.total_bytes, status.total_sessions), (0, 7, 1));
    }
}
