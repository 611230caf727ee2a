//! The passive ports of a server: a port of its own for each session while there are plenty, and
//! ports that sessions share where they run short, down to a single one.
//!
//! Whose a connection to a shared port is, is the matter of [`desk`](super::desk).

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use twoport_proto::data::door::{Conflict, Offer};
use twoport_proto::reason::Reason;
use twoport_proto::time::Time;

use super::desk::{Claim, Desk, Trusted, wait};
use super::ports::{Lease, LeaseError, Ports, random_below};
use crate::clock;
use crate::tls::tickets::{Binder, Identity};

/// How long a shared port stays open without anybody waiting there. Origin: as long as a session
/// keeps a port of its own.
const KEPT: Duration = Duration::from_secs(10);

/// How long to wait after an error of the system before asking it again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long an offer may wait for its turn. Origin: a client's data connection comes within a few
/// round trips; who waits for a reply for longer begins to think that it was lost.
const TURN: Duration = Duration::from_secs(5);

/// The ports of a server. Cloning shares them.
#[derive(Clone)]
pub struct Pool {
    ports: Ports,
    shared: Arc<Mutex<Vec<Shared>>>,
    freed: Arc<Notify>,
    trusted: Trusted,
}

#[derive(Clone, Debug)]
struct Shared {
    address: IpAddr,
    desk: Arc<Desk>,
}

impl Pool {
    /// The pool of these ports. Load balancers that are trusted say whose connections they make.
    #[must_use]
    pub fn new(ports: Ports, trusted: Trusted) -> Self {
        Self { ports, shared: Arc::default(), freed: Arc::default(), trusted }
    }

    /// Whether so few are left that a session should not keep one that it does not need.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.ports.is_short()
    }

    /// A port for one session alone; none if they run short and have to be shared.
    ///
    /// # Errors
    /// The system does not let us listen.
    pub fn own(&self, address: IpAddr) -> Result<Option<Lease>, LeaseError> {
        match self.ports.lease_while_plenty(address) {
            Ok(lease) => Ok(Some(lease)),
            Err(error) if error.reason == Reason::PassiveRangeFull => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A claim at a port that is shared. Where it cannot be told apart from others it waits its
    /// turn for a while.
    ///
    /// # Errors
    /// [`Reason::PassiveRangeFull`] if its turn does not come, [`Reason::DataListenFailed`] if the
    /// system does not let us listen.
    pub async fn share(
        &self,
        address: IpAddr,
        offer: Offer<Identity>,
        binder: Option<Arc<Binder>>,
    ) -> Result<Claim, LeaseError> {
        let until = clock::now().after(TURN);
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match self.try_share(address, offer, binder.as_ref())? {
                Ok(claim) => return Ok(claim),
                Err(conflict) => wait(freed, conflict, until)
                    .await
                    .map_err(|reason| LeaseError { reason, source: None })?,
            }
        }
    }

    fn try_share(
        &self,
        address: IpAddr,
        offer: Offer<Identity>,
        binder: Option<&Arc<Binder>>,
    ) -> Result<Result<Claim, Conflict>, LeaseError> {
        let mut open = self.open();
        let mut here: Vec<Shared> =
            open.iter().filter(|shared| shared.address == address).cloned().collect();
        let start = random_below(here.len()).unwrap_or_default();
        here.rotate_left(start);
        let mut first: Option<Time> = None;
        for shared in here {
            match shared.desk.try_claim(offer, binder) {
                Ok(claim) => return Ok(Ok(claim)),
                Err(conflict) => first = first.into_iter().chain(conflict.until).min(),
            }
        }
        let desk = match self.ports.lease(address) {
            Ok(lease) => Desk::passive(lease, Arc::clone(&self.trusted), Arc::clone(&self.freed)),
            Err(error) if error.reason == Reason::PassiveRangeFull => {
                match beside(&open, address) {
                    Some(desk) => desk,
                    None => return Ok(Err(Conflict { until: first })),
                }
            }
            Err(error) => return Err(error),
        };
        open.push(Shared { address, desk: Arc::clone(&desk) });
        drop(open);
        tokio::spawn(self.clone().accept(Arc::clone(&desk)));
        Ok(desk.try_claim(offer, binder))
    }

    /// Accepts at a shared port until nobody has waited there for a while.
    async fn accept(self, desk: Arc<Desk>) {
        loop {
            match timeout(KEPT, desk.accept()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(target: "twoport", %error, "a data connection was not accepted");
                    sleep(PAUSE).await;
                }
                Err(_) => {
                    let mut open = self.open();
                    if desk.is_empty() {
                        open.retain(|shared| !Arc::ptr_eq(&shared.desk, &desk));
                        break;
                    }
                }
            }
        }
        // The port goes back with the last that holds the desk.
        drop(desk);
        self.freed.notify_waiters();
    }

    fn open(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("ports", &self.ports).finish_non_exhaustive()
    }
}

/// A port that is open at other addresses only, such as those of the other family.
fn beside(open: &[Shared], address: IpAddr) -> Option<Arc<Desk>> {
    let is_here = |port: Option<u16>| {
        open.iter().any(|other| other.address == address && other.desk.port() == port)
    };
    let elsewhere = open.iter().filter(|shared| !is_here(shared.desk.port()));
    elsewhere.into_iter().find_map(|shared| shared.desk.beside(address))
}
