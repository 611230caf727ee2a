//! The server's ports on its router: mapped while the server runs, renewed, and released at its end.
//!
//! A killed server releases nothing: its leases end by themselves within ten minutes, and what it
//! wrote down is deleted at the next start.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, sleep_until};

use twoport_net::clock;
use twoport_net::mapping::{Mapping, MappingError, Router, route};
use twoport_proto::addr::Family;
use twoport_proto::data::LOWEST_PORT;
use twoport_proto::scope::Scope;
use twoport_proto::time::Time;

/// How long a mapping lasts without renewal. Origin: it is what a killed server leaves open, and
/// routers refuse less than two minutes (RFC 6887 §15).
const LEASE: Duration = Duration::from_secs(600);

/// How long a router may take to be found.
const PATIENCE: Duration = Duration::from_secs(4);

/// How soon a router that did not answer, or refused, is asked again.
const AGAIN: Duration = Duration::from_secs(30);

/// How many passive ports are mapped. Origin: routers of homes have tables for some hundred, of all
/// hosts together; a mapping takes 11 to 30 ms, so that none is made while a client waits.
pub(crate) const POOL: u16 = 32;

/// The mappings of a server, in one family.
#[derive(Debug)]
pub(super) struct Mapped {
    family: Family,
    /// The outer address and port of each own one.
    outer: Mutex<HashMap<u16, SocketAddr>>,
    held: tokio::sync::Mutex<Vec<Mapping>>,
    /// Whether all ports are mapped.
    whole: AtomicBool,
    /// Where they are written down.
    record: PathBuf,
}

impl Mapped {
    /// Servers of one host have different passive ports, and so different records.
    pub(super) fn new(family: Family, directory: &Path, lowest: u16) -> Self {
        let record = directory.join(match family {
            Family::V4 => format!("mappings-{lowest}"),
            Family::V6 => format!("mappings-v6-{lowest}"),
        });
        let (outer, held, whole) = Default::default();
        Self { family, outer, held, whole, record }
    }

    /// The outer address and port of an own port.
    pub(super) fn of(&self, port: u16) -> Option<SocketAddr> {
        self.outer.lock().unwrap_or_else(PoisonError::into_inner).get(&port).copied()
    }

    /// Whether all ports are mapped.
    pub(super) fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed)
    }

    /// Maps the ports of `own`, and keeps them mapped.
    pub(super) async fn keep(&self, own: &[IpAddr], ports: &[u16]) {
        let local = match self.family {
            Family::V4 => route::local_v4().ok().filter(|local| own.contains(local)),
            // From there nothing is translated; what a router may have is a firewall.
            Family::V6 => own.iter().copied().find(|own| {
                own.is_ipv6() && Scope::of(*own) == Scope::Public && route::gateway(*own).is_ok()
            }),
        };
        let Some(local) = local else {
            if self.family == Family::V4 {
                let detail =
                    "there is no default route of IPv4 from an address that is listened at";
                tracing::warn!(target: "twoport", detail, "open-firewall: no port is mapped");
            }
            return;
        };
        let mut has_told = false;
        loop {
            match self.map(local, ports).await {
                Ok(renew_at) => {
                    has_told = false;
                    sleep_until(clock::instant(renew_at)).await;
                }
                Err(error) => {
                    let (reason, detail) = (error.reason.id(), error.detail);
                    // Where IPv6 has no firewall, or one that is not asked, that is all to be said.
                    if self.family == Family::V4 {
                        tracing::warn!(target: "twoport", reason, detail, "open-firewall: not all ports are mapped");
                    } else if !has_told {
                        tracing::info!(target: "twoport", reason, detail, "open-firewall: the router does not let in all ports of IPv6");
                    }
                    has_told = true;
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Renews what is due and maps what is missing; tells when to come back.
    async fn map(&self, local: IpAddr, ports: &[u16]) -> Result<Time, MappingError> {
        let router = Router::discover(local, PATIENCE).await?;
        let mut held = self.held.lock().await;
        if held.is_empty() {
            self.release_former(&router).await;
        }
        let wanted: HashSet<u16> = ports.iter().copied().collect();
        let (keep, drop): (Vec<_>, Vec<_>) =
            held.drain(..).partition(|mapping| wanted.contains(&mapping.internal()));
        for mapping in drop {
            mapping.release().await;
        }
        let is_first = keep.is_empty();
        let mut failed = None;
        for mut mapping in keep {
            // One that the router lost is made anew below.
            match mapping.renew().await {
                Ok(()) => held.push(mapping),
                Err(error) => failed = Some(error),
            }
        }
        for port in ports {
            if !held.iter().any(|mapping| mapping.internal() == *port) {
                match router.map(*port, None, LEASE).await {
                    Ok(mapping) => {
                        held.push(mapping);
                        self.publish(&held);
                    }
                    // A router that grants no port of services grants others.
                    Err(error) if *port < LOWEST_PORT => failed = Some(error),
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
        }
        self.publish(&held);
        self.whole.store(failed.is_none(), Ordering::Relaxed);
        if let (true, Some(first)) = (is_first, held.first()) {
            let (count, outer) = (held.len(), first.external().ip());
            let by = router.protocol();
            match self.family {
                Family::V4 => {
                    tracing::info!(target: "twoport", count, %outer, %by, "ports are mapped on the router");
                }
                Family::V6 => {
                    tracing::info!(target: "twoport", count, own = %outer, "the router lets in ports of IPv6");
                }
            }
        }
        let soonest = held.iter().map(Mapping::renew_at).min();
        match (failed, soonest) {
            (None, Some(soonest)) => Ok(soonest),
            (Some(error), _) => Err(error),
            (None, None) => Ok(clock::now().after(AGAIN)),
        }
    }

    fn publish(&self, held: &[Mapping]) {
        let outer = held.iter().map(|mapping| (mapping.internal(), mapping.external())).collect();
        *self.outer.lock().unwrap_or_else(PoisonError::into_inner) = outer;
        let lines: String = held.iter().map(|mapping| mapping.record() + "\n").collect();
        if let Err(error) = self.write(&lines) {
            let record = self.record.display();
            tracing::warn!(target: "twoport", %record, %error, "the mappings are not written down");
        }
    }

    fn write(&self, lines: &str) -> io::Result<()> {
        if let Some(directory) = self.record.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&self.record, lines)
    }

    /// Deletes what an earlier run left on the router.
    async fn release_former(&self, router: &Router) {
        let Ok(lines) = fs::read_to_string(&self.record) else { return };
        for line in lines.lines() {
            router.release_recorded(line).await;
        }
        // It is written anew with the first mapping.
        let _gone: io::Result<()> = fs::remove_file(&self.record);
    }

    /// Ends all of them.
    pub(super) async fn release(&self) {
        let held = std::mem::take(&mut *self.held.lock().await);
        self.publish(&[]);
        for mapping in held {
            mapping.release().await;
        }
        let _gone: io::Result<()> = fs::remove_file(&self.record);
    }
}
