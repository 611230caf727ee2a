//! What a session knows of the way to its server, and the hole in the own NAT that it opens.
//!
//! Which step is next, and what is announced, is the machine's decision.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

use twoport_net::data::punch::{Hop, Opening, find_hop};
use twoport_net::mapping::{Mapping, Router};
use twoport_proto::client::open::{Mode, Network, Seen, Step};
use twoport_proto::reason::Reason;

use super::{Channel, blocking};
use crate::memory;
use crate::session::Session;
use crate::trace::Trace;

/// How long routers have to tell that a packet ended at them, beyond a round trip. Origin: the
/// kernel repeats a SYN after a second, so that each of them is asked twice.
const HOP_PATIENCE: Duration = Duration::from_millis(1200);

/// How long a router may take to tell that it maps ports. Origin: PCP takes 11 ms, UPnP reads two
/// documents over HTTP; what comes later would come too late for a verdict within six seconds.
const ROUTER_PATIENCE: Duration = Duration::from_millis(1500);

/// The same where no other mode is left to try. Origin: PCP asks four times in 3.75 s (RFC 6886 §3.1).
const ROUTER_PATIENCE_ALONE: Duration = Duration::from_secs(4);

/// How long a port stays mapped if nobody ends it. Origin: a transfer ends its own; what a crash
/// leaves shall not last.
const MAP_LIFETIME: Duration = Duration::from_secs(3600);

/// The data port of RFC 959 §3.2 for control port 21, from which some servers dial whatever their
/// control port is.
const DATA_PORT: u16 = 20;

/// What was found out about the way to the server.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// The own end as the server sees it.
    pub(super) seen: Option<Seen>,
    /// Where packets that open a hole end, once it was looked for.
    hop: Option<Option<Hop>>,
    search: JoinSet<Option<Hop>>,
    /// The port that waits for its hole.
    opening: Option<Opening>,
    /// The router that maps ports, once it was looked for.
    router: Option<Result<Router, Reason>>,
    discovery: JoinSet<Result<Router, Reason>>,
    /// The port that is mapped for this transfer.
    mapping: Option<Mapping>,
    /// What the memory holds of this network and server.
    remembered: Option<Step>,
    /// The name of the network, where there is a memory.
    name: Option<String>,
}

impl Session {
    pub(super) fn network(&self) -> Network {
        Network {
            peer: self.wire.control.peer(),
            local: self.wire.control.local(),
            round_trip: self.wire.conversation.round_trip(),
            worked: self.worked,
            external: self.config.external_address,
            seen: self.way.seen,
            can_listen: self.config.proxy.is_none(),
        }
    }

    /// Begins to look around while other steps are tried, for those that come later.
    pub(super) fn look_around(&mut self) {
        self.look_for_a_hop();
        let sought = self.way.router.is_some() || !self.way.discovery.is_empty();
        let may_map = self.config.external_address.is_none() && self.config.proxy.is_none();
        let needs_it = matches!(self.config.mode, Mode::Auto | Mode::Eprt | Mode::Port);
        if !sought && may_map && needs_it && self.is_far() {
            self.look_for_a_router();
        }
    }

    /// Whether there is a network between: on this machine there is nothing to find out.
    fn is_far(&self) -> bool {
        !self.wire.control.local().ip().to_canonical().is_loopback()
    }

    fn look_for_a_router(&mut self) {
        let local = self.wire.control.local().ip();
        let is_last = self.config.mode != Mode::Auto;
        let patience = if is_last { ROUTER_PATIENCE_ALONE } else { ROUTER_PATIENCE };
        self.way.discovery.spawn(async move {
            Router::discover(local, patience).await.map_err(|error| error.reason)
        });
    }

    /// Has the router send connections here; the address is that outside.
    pub(super) async fn map(&mut self) -> Result<(SocketAddr, Channel), Reason> {
        if self.way.router.is_none() {
            if !self.is_far() {
                return Err(Reason::RouterSilent);
            }
            if self.way.discovery.is_empty() {
                self.look_for_a_router();
            }
            let found = self.way.discovery.join_next().await.and_then(Result::ok);
            self.way.router = Some(found.unwrap_or(Err(Reason::RouterSilent)));
        }
        let router = match &self.way.router {
            Some(Ok(router)) => router,
            Some(Err(reason)) => return Err(*reason),
            None => return Err(Reason::RouterSilent),
        };
        let lease = self.ports.lease(self.wire.control.local().ip());
        let lease = lease.map_err(|_| Reason::DataListenFailed)?;
        // From the server alone, where the router can tell: it connects, and nobody else.
        let server = Some(self.wire.control.peer().ip());
        let mapped = router.map_from(server, lease.port(), None, MAP_LIFETIME).await;
        let mapping = mapped.map_err(|error| error.reason)?;
        let external = mapping.external();
        self.way.mapping = Some(mapping);
        Ok((external, Channel::Listening(lease)))
    }

    /// Ends the mapping with the transfer.
    pub(super) async fn unmap(&mut self) {
        if let Some(mapping) = self.way.mapping.take() {
            mapping.release().await;
        }
    }

    /// Asks the reflector, if there is one, for the address that active mode announces.
    pub(crate) async fn reflect(&mut self) {
        let is_wanted = self.config.external_address.is_none() && self.config.proxy.is_none();
        let Some(reflector) = self.config.reflector.as_ref().filter(|_| is_wanted) else { return };
        match reflector.ask().await {
            Ok(address) => self.config.external_address = Some(address),
            Err(error) => {
                self.wire.remark(&format!("the reflector {}: {error}", reflector.address));
            }
        }
    }

    /// Begins with the step that worked last in this network.
    pub(crate) async fn recall(&mut self) {
        let Some(file) = self.config.memory.clone() else { return };
        let is_far = self.is_far() && self.config.proxy.is_none();
        if self.config.mode != Mode::Auto || !is_far {
            return;
        }
        let (local, server) = (self.wire.control.local().ip(), self.origin());
        let looked = blocking(move || {
            let network = memory::network(local);
            Ok((memory::recall(&file, &network, &server), network))
        });
        let Ok((step, network)) = looked.await else { return };
        match step {
            Ok(step) => (self.worked, self.way.remembered) = (step, step),
            Err(error) => {
                self.wire.remark(&format!("the memory of networks begins anew: {error}"));
            }
        }
        self.way.name = Some(network);
    }

    /// Writes down what works, or that what worked did not.
    pub(super) async fn remember(&mut self, step: Option<Step>) {
        let (Some(file), Some(network)) = (self.config.memory.clone(), self.way.name.clone())
        else {
            return;
        };
        if self.way.remembered == step {
            return;
        }
        self.way.remembered = step;
        let server = self.origin();
        let kept = blocking(move || memory::keep(&file, &network, &server, step)).await;
        if let Err(error) = kept {
            self.wire.remark(&format!("what worked is not remembered: {error}"));
        }
    }

    fn look_for_a_hop(&mut self) {
        let known = self.config.punch_hops.is_some() || self.way.hop.is_some();
        let may_punch = matches!(self.config.mode, Mode::Auto | Mode::Punch);
        if known || !may_punch || !self.is_far() || !self.way.search.is_empty() {
            return;
        }
        let Some(to) = self.data_ports().first().copied() else { return };
        let from = self.wire.control.local().ip();
        let patience = self.wire.conversation.round_trip().saturating_add(HOP_PATIENCE);
        self.way.search.spawn(async move { find_hop(from, to, patience).await });
    }

    /// A port, once it is known how to open a hole for it.
    pub(super) async fn prepare_hole(&mut self) -> Result<SocketAddr, Reason> {
        if self.hop().await.is_none() {
            return Err(Reason::PunchNoRoom);
        }
        let address = self.wire.control.local().ip();
        let opening = Opening::new(address, &self.config.active_ports);
        let opening = opening.map_err(|_| Reason::DataListenFailed)?;
        let local = opening.local();
        self.way.opening = Some(opening);
        Ok(local)
    }

    async fn hop(&mut self) -> Option<Hop> {
        if let Some(number) = self.config.punch_hops {
            return Some(Hop { number, router: None });
        }
        if self.way.hop.is_none() {
            self.look_for_a_hop();
            let found = self.way.search.join_next().await.and_then(Result::ok).flatten();
            self.way.hop = Some(found);
        }
        self.way.hop.flatten()
    }

    /// Opens the hole: the verb that makes the server dial follows at once.
    pub(super) fn open_hole(&mut self) -> Option<Channel> {
        let hop = match (self.config.punch_hops, self.way.hop.flatten()) {
            (Some(number), _) => Hop { number, router: None },
            (None, hop) => hop?,
        };
        let hole = self.way.opening.take()?.open(&self.data_ports(), hop.number).ok()?;
        self.wire.trace(Trace::Punched(hop));
        let (server, patience) = (self.wire.control.peer().ip(), self.accept_patience());
        let mut arriving = JoinSet::new();
        arriving.spawn(hole.server(server, patience));
        Some(Channel::Punched(arriving))
    }

    /// Where the server may dial from: what it says; or the port before its control port (RFC 959
    /// §3.2), or 20.
    fn data_ports(&self) -> Vec<SocketAddr> {
        let peer = self.wire.control.peer();
        let mut ports = match self.welcome.features.source_port() {
            Some(port) => vec![port],
            None => vec![peer.port().saturating_sub(1), DATA_PORT],
        };
        ports.dedup();
        ports.retain(|port| *port != 0);
        ports.into_iter().map(|port| SocketAddr::new(peer.ip(), port)).collect()
    }
}
