//! The rules of a gateway on a router: control connections are taken, data connections let in one by
//! one, and the gateway's own connections wear the addresses of those for whom they are made.
//!
//! Which of them may be let in, and when, is the relay's matter. All of it is translation of
//! addresses (NAT): nothing overrides a drop in the host's own firewall but expectations, by which a
//! connection counts as related. The table is owned by our netlink socket and gone with the process;
//! what is connected stays so.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use twoport_proto::pcp::filter::Filter;

use super::claims::Claims;
use super::forward::{self, Outbound};
use super::masters::{Master, Masters};
use super::message::{Netlink, find};
use super::{remains, routing};
use crate::clock;
use crate::conntrack::Conntrack;

/// The table that is left where the host has no chain of NAT of its own.
pub(super) const ANCHOR: &str = "twoport-anchor";

/// How long the kernel expects a connection. Origin: its FTP helper's 300 s.
pub const EXPECTED: Duration = Duration::from_secs(300);

/// How long a disguise may be needed: until the first packet is out.
const FIRST_PACKET: Duration = Duration::from_secs(10);

/// The control connections that are taken.
#[derive(Clone, Debug, Default)]
pub struct Interception {
    /// The ports that clients dial.
    pub ports: Vec<u16>,
    /// The interface that they come in by; any.
    pub from: Option<String>,
    /// The port of the gateway that they are sent to; the one that was dialled.
    pub to: Option<u16>,
    /// Whether the gateway's own connections wear others' addresses before the host's masquerading
    /// sees them, as servers inside must; else it comes first, as it must towards the outside.
    pub hides_first: bool,
}

impl Interception {
    /// The rules that [`Router::new`] makes of it, as `nft` writes them.
    #[must_use]
    pub fn rules(&self) -> String {
        routing::text("twoport-gateway", self)
    }
}

/// A data connection that may come, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pin {
    /// From whom.
    pub peer: IpAddr,
    /// To where, as the peer dials it.
    pub door: SocketAddr,
}

/// A connection of the gateway's own that is to come from elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Disguise {
    /// Whom it is made to.
    pub target: SocketAddr,
    /// The port that it is made from.
    pub port: u16,
    /// The address that the target sees.
    pub seen: IpAddr,
}

/// The table. Cheap to clone; it is gone with the last clone.
#[derive(Clone, Debug)]
pub struct Router(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    netlink: Netlink,
    conntrack: Conntrack,
    table: String,
    /// What is pinned, so that no door is offered twice.
    pinned: HashSet<Pin>,
    claims: Claims,
    masters: Masters,
    /// Doors that are open again and again, and to whom.
    welcoming: HashMap<(SocketAddr, Filter), Master>,
}

/// A pin that is in place until this is dropped. Who has come through is not touched.
#[derive(Debug)]
pub struct Pinhole {
    router: Router,
    pin: Pin,
    to: Option<SocketAddr>,
    expected: Option<Master>,
}

impl Router {
    /// Puts the table in place.
    ///
    /// # Errors
    /// What the kernel says: without the right to it, or without nftables.
    pub fn new(taken: &Interception) -> io::Result<Self> {
        let mut netlink = Netlink::open()?;
        let masters = Masters::new()?;
        // A process may stand in more than one seat.
        static TABLES: AtomicUsize = AtomicUsize::new(0);
        let table = match TABLES.fetch_add(1, Ordering::Relaxed) {
            0 => format!("twoport-gateway-{}", std::process::id()),
            more => format!("twoport-gateway-{}-{more}", std::process::id()),
        };
        let mut batch = routing::table(&table, taken, masters.port);
        if !translates(&mut netlink)? {
            // At once with the table: who takes the anchor away looks for tables before and after.
            batch.splice(..0, routing::anchor(ANCHOR));
        }
        netlink.commit(&batch)?;
        let mut conntrack = Conntrack::open()?;
        conntrack.tidy();
        let pinned = HashSet::new();
        let claims = Claims::new(remains::is_alone(&mut netlink, &table)?, clock::now());
        let welcoming = HashMap::new();
        let state = State { netlink, conntrack, table, pinned, claims, masters, welcoming };
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    /// Lets a peer through a door, to `to` if that is elsewhere. None if the door is in use.
    #[must_use]
    pub fn reserve(&self, pin: Pin, to: Option<SocketAddr>) -> Option<Pinhole> {
        // Sessions may share what is let through as it is.
        let is_free = to.is_none() || self.with(|state| state.claim(pin));
        is_free.then(|| Pinhole { router: self.clone(), pin, to, expected: None })
    }

    /// Hides a connection that is about to be made.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn disguise(&self, disguise: &Disguise) -> io::Result<()> {
        self.with(|state| {
            // One of the same ports may be left whose first packet never went out.
            state.netlink.delete([routing::take_off(&state.table, disguise)]);
            state.netlink.commit(&[routing::put_on(&state.table, disguise, FIRST_PACKET)])
        })
    }

    /// Lets anybody's control connections to `door` pass for related, too: the host's own firewall
    /// need not be told of them. To be renewed before [`EXPECTED`] is over.
    ///
    /// # Errors
    /// What the kernel says: without the helper's module there are none.
    pub fn welcome(&self, door: SocketAddr) -> io::Result<()> {
        self.let_in(door, Filter::anybody(door.ip()))
    }

    fn let_in(&self, door: SocketAddr, from: Filter) -> io::Result<()> {
        self.with(|state| {
            state.conntrack.unexpect((from.network(), from.port()), door);
            if !state.welcoming.contains_key(&(door, from)) {
                let master = state.masters.take(door.ip())?;
                state.welcoming.insert((door, from), master);
            }
            let ends = state.welcoming.get(&(door, from)).and_then(Master::ends);
            state.conntrack.expect(ends, &from, door, false)
        })
    }

    /// Has connections to an outer address and port sent to an inner one, from those who may (from
    /// anybody, if none is named), and lets them pass for related; one that is not translated is only
    /// let pass. To be renewed within `lifetime`, and before [`EXPECTED`] is over.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn forward(
        &self,
        external: SocketAddr,
        internal: SocketAddr,
        from: &[Filter],
        lifetime: Duration,
    ) -> io::Result<()> {
        for from in those(from, external) {
            self.with(|state| {
                if external == internal {
                    return Ok(());
                }
                let way = (external, internal);
                let send_on = || forward::send_on(&state.table, way, &from, lifetime);
                // An element's time begins anew only with the element; it may have run out, too.
                let anew = [forward::send_no_more(&state.table, external, &from), send_on()];
                let fresh = [send_on()];
                state.netlink.commit(&anew).or_else(|_| state.netlink.commit(&fresh))
            })?;
            match self.let_in(external, from) {
                // Without the helper's module a host's firewall has to accept `ct status dnat` itself.
                Err(error) if external != internal => {
                    tracing::debug!(target: "twoport", %error, "no expectation");
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Ends what [`forward`](Self::forward) began; who is connected stays so.
    pub fn forward_no_more(&self, external: SocketAddr, from: &[Filter]) {
        self.with(|state| {
            for from in those(from, external) {
                // It may have run out.
                let _: io::Result<()> =
                    state.netlink.commit(&[forward::send_no_more(&state.table, external, &from)]);
                // Only an own one: it would be found by another that lets in the same.
                if let Some(master) = state.welcoming.remove(&(external, from)) {
                    state.conntrack.unexpect((from.network(), from.port()), external);
                    state.masters.free.push(master);
                }
            }
        });
    }

    /// Has the connections of an inner port to one peer leave by an outer port, and no other. To be
    /// renewed within `lifetime`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn leave(&self, outbound: &Outbound, lifetime: Duration) -> io::Result<()> {
        self.with(|state| {
            let leave = || forward::leave(&state.table, outbound, lifetime);
            let anew = [forward::leave_no_more(&state.table, outbound), leave()];
            let fresh = [leave()];
            state.netlink.commit(&anew).or_else(|_| state.netlink.commit(&fresh))
        })
    }

    /// Ends that; who is connected stays so.
    pub fn leave_no_more(&self, outbound: &Outbound) {
        self.with(|state| {
            // It may have run out.
            let _: io::Result<()> =
                state.netlink.commit(&[forward::leave_no_more(&state.table, outbound)]);
        });
    }

    /// How the remote end of a connection sees its local end; as it is where nothing is translated.
    #[must_use]
    pub fn seen(&self, local: SocketAddr, remote: SocketAddr) -> SocketAddr {
        self.with(|state| state.conntrack.seen(local, remote).unwrap_or(local))
    }

    /// Takes no control connections any more. All else goes on, beside the gateway that takes them.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn withdraw(&self) -> io::Result<()> {
        self.with(|state| {
            state.claims.share(state.pinned.iter(), clock::now());
            state.netlink.commit(&[routing::take_none(&state.table)])
        })
    }

    /// Welcomes nobody and sends nothing on to inner hosts any more. What is pinned or connected goes on.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn forget(&self) -> io::Result<()> {
        self.with(|state| {
            state.forget_welcome();
            state.netlink.commit(&forward::none(&state.table))
        })
    }

    /// Takes the table away, and the anchor with the last table, unless a transfer still needs it.
    pub fn end(&self) {
        self.with(|state| {
            state.forget_welcome();
            // It would be gone with the process; without it others see that they are the last.
            let ended = state.netlink.commit(&[routing::end(&state.table)]);
            let weighed =
                ended.and_then(|()| remains::weigh(&mut state.netlink, &mut state.conntrack));
            if let Err(error) = weighed {
                tracing::debug!(target: "twoport", %error, "the anchor stays");
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Whether a door is free, which then is not any more.
    fn claim(&mut self, pin: Pin) -> bool {
        if self.claims.is_due(clock::now())
            && remains::is_alone(&mut self.netlink, &self.table).unwrap_or(false)
        {
            self.claims.is_alone();
        }
        !self.pinned.contains(&pin) && self.claims.take(&pin) && self.pinned.insert(pin)
    }

    fn forget_welcome(&mut self) {
        let welcome: Vec<Master> = self.welcoming.drain().map(|(_, master)| master).collect();
        let masters: Vec<_> = welcome.iter().filter_map(Master::ends).collect();
        self.conntrack.unexpect_all(&masters);
        self.masters.free.extend(welcome);
    }
}

impl Pinhole {
    /// What the peer dials.
    #[must_use]
    pub const fn door(&self) -> SocketAddr {
        self.pin.door
    }

    /// Has it lead elsewhere. It is not open yet.
    pub fn lead_to(&mut self, to: SocketAddr) {
        let pin = self.pin;
        self.router.with(|state| state.pinned.insert(pin));
        self.to = Some(to);
    }

    /// Forgets that the peer was at the door before it was open: its packets would go on to where the
    /// first has gone.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn knock_anew(&self) -> io::Result<()> {
        let pin = self.pin;
        self.router.with(|state| state.conntrack.forget(pin.peer, pin.door))
    }

    /// Opens it, for `lifetime` at most. Where it is open its time begins anew, and where somebody
    /// has come through it stays closed.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(&mut self, lifetime: Duration) -> io::Result<()> {
        let (pin, to, is_new) = (self.pin, self.to, self.expected.is_none());
        let master = self.router.with(|state| {
            if let Some(to) = to {
                let anew = routing::shut(&state.table, &pin);
                let opened = routing::open(&state.table, &pin, to, lifetime);
                if is_new {
                    state.netlink.commit(&opened)?;
                } else if state.netlink.has(&anew.1) {
                    let [pinned, gate] = opened;
                    let unpinned = routing::unpin(&state.table, &pin);
                    // If it was used at this very moment, the batch is void as a whole.
                    let _used: io::Result<()> =
                        state.netlink.commit(&[anew, unpinned, pinned, gate]);
                }
            }
            if !is_new {
                return Ok(None);
            }
            let master = state.masters.take(pin.peer)?;
            // Without the helper's module a host's firewall has to accept `ct status dnat` itself.
            if let Err(error) =
                state.conntrack.expect(master.ends(), &Filter::host(pin.peer), pin.door, true)
            {
                tracing::debug!(target: "twoport", %error, "no expectation");
            }
            io::Result::Ok(Some(master))
        })?;
        self.expected = master.or_else(|| self.expected.take());
        Ok(())
    }
}

impl Drop for Pinhole {
    fn drop(&mut self) {
        let (pin, expected) = (self.pin, self.expected.take());
        let is_mapped = self.to.is_some();
        self.router.with(|state| {
            if is_mapped {
                state.pinned.remove(&pin);
                state.claims.give_back(&pin);
            }
            let Some(master) = expected else { return };
            // What was used, or has run out, is not there.
            if is_mapped {
                let shut = routing::shut(&state.table, &pin);
                state.netlink.delete([shut, routing::unpin(&state.table, &pin)]);
            }
            state.conntrack.unexpect((pin.peer, 0), pin.door);
            state.masters.free.push(master);
        });
    }
}

/// Those who may come to an outer address.
fn those(from: &[Filter], external: SocketAddr) -> Vec<Filter> {
    if from.is_empty() { vec![Filter::anybody(external.ip())] } else { from.to_vec() }
}

/// Whether the host has chains of NAT of its own, for both families.
fn translates(netlink: &mut Netlink) -> io::Result<bool> {
    const GET_CHAIN: u16 = 4;
    const NFTA_CHAIN_TABLE: u16 = 1;
    const NFTA_CHAIN_TYPE: u16 = 7;
    let (mut v4, mut v6) = (false, false);
    for (family, chain) in netlink.list(GET_CHAIN)? {
        let is_own =
            find(&chain, NFTA_CHAIN_TABLE).is_some_and(|name| name.starts_with(b"twoport-"));
        if find(&chain, NFTA_CHAIN_TYPE) == Some(b"nat\0") && !is_own {
            v4 |= matches!(family, 1 | 2);
            v6 |= matches!(family, 1 | 10);
        }
    }
    Ok(v4 && v6)
}
