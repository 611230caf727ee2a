//! The own host's nftables. [`Router`] has the rules of a gateway; the rest is the own host's
//! firewall: a range of ports is closed, and a single (peer, port) opened for as long
//! as one connection is awaited there.
//!
//! Each has a table of its own and touches no other. What another table drops stays dropped: nothing
//! in one base chain overrides a drop in another, so that a host's own rules must let the range in,
//! and this closes it. The table is owned by our netlink socket (Linux 5.12): it is gone when the
//! process is, however it ended. It needs `CAP_NET_ADMIN`.

mod claims;
mod forward;
mod masters;
pub(crate) mod message;
mod remains;
mod router;
mod routing;
mod rules;
mod words;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use message::Netlink;

pub use forward::Outbound;
pub use remains::{clear_away, is_clear};
pub use router::{Disguise, EXPECTED, Interception, Pin, Pinhole, Router};

/// A range of ports that is closed as long as this or a clone of it lives.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    netlink: Netlink,
    table: String,
    closed: Vec<RangeInclusive<u16>>,
    /// How often each pair is open: sessions of one client may share a port.
    open: HashMap<(IpAddr, u16), u32>,
}

/// A pair that is open until this is dropped.
#[derive(Debug)]
pub struct Opening {
    gate: Gate,
    pair: (IpAddr, u16),
}

impl Gate {
    /// Closes a range for new TCP connections from everywhere, this host included.
    ///
    /// # Errors
    /// What the kernel says: without the right to it, or without nftables.
    pub fn close(range: RangeInclusive<u16>) -> io::Result<Self> {
        /// A process may have several, as tests have.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let table = format!("twoport-{}-{number}", std::process::id());
        let mut netlink = Netlink::open()?;
        let batch = [rules::table(&table), rules::close(&table, &range)].concat();
        netlink.commit(&batch)?;
        let state = State { netlink, table, closed: vec![range], open: HashMap::new() };
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    /// Closes another range, too.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn close_also(&self, range: RangeInclusive<u16>) -> io::Result<()> {
        self.with(|state| {
            if !state.closed.contains(&range) {
                state.netlink.commit(&rules::close(&state.table, &range))?;
                state.closed.push(range);
            }
            Ok(())
        })
    }

    /// Opens a pair: for `lifetime` at most, whatever happens.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(&self, peer: IpAddr, port: u16, lifetime: Duration) -> io::Result<Opening> {
        let pair = (peer.to_canonical(), port);
        self.with(|state| {
            let count = state.open.get(&pair).copied().unwrap_or_default();
            let open = rules::open(&state.table, pair, lifetime);
            // An element's time begins anew only with the element; it may have run out, too.
            let anew = [rules::shut(&state.table, pair), open.clone()];
            if count == 0 || state.netlink.commit(&anew).is_err() {
                state.netlink.commit(&[open])?;
            }
            state.open.insert(pair, count + 1);
            io::Result::Ok(())
        })?;
        Ok(Opening { gate: self.clone(), pair })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let pair = self.pair;
        self.gate.with(|state| {
            let left = state.open.get(&pair).map_or(0, |count| count.saturating_sub(1));
            if left > 0 {
                state.open.insert(pair, left);
                return;
            }
            state.open.remove(&pair);
            // Its time may have run out: then there is nothing to delete.
            let _gone: io::Result<()> = state.netlink.commit(&[rules::shut(&state.table, pair)]);
        });
    }
}
