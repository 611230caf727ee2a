//! The data connection as the driver holds it: a passive port that waits, or a connection that is
//! up and not yet used.
//!
//! Whose connection it is was decided in `twoport_proto::data`; a stranger is closed without a word
//! and the port goes on waiting. The port is the session's own, or one that it shares: of the pool,
//! or the control port.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr, TcpStream as Socket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;

use twoport_net::clock;
use twoport_net::control::ControlStream;
use twoport_net::data::desk::{Came as Handed, Claim, Desk};
use twoport_net::data::dial;
use twoport_net::data::pool::Pool;
use twoport_net::data::ports::{Lease, LeaseError};
use twoport_net::proxy;
use twoport_net::stream::Stream;
use twoport_net::tls::TlsError;
use twoport_net::tls::accept::{self, Reuse};
use twoport_net::tls::tickets::Identity;
use twoport_proto::data;
use twoport_proto::data::door::{Direction, Guard, LONGEST_HOLD, Offer};
use twoport_proto::reason::Reason;
use twoport_proto::server::{DataEvent, Outcome, Ticket};
use twoport_proto::time::Time;

use super::connection::Connection;
use super::source::Source;
use super::way::Way;
use super::work::{Finished, Slot};
use crate::config::networks::Networks;
use crate::config::words::ForeignData;
use crate::outside::Outside;
use crate::outside::evidence::MOMENT;
use crate::serving::Serving;

/// How long an active connection may be in the making; the session's own deadline is shorter.
const LONGEST_DIAL: Duration = Duration::from_secs(3600);

/// How long a session keeps a port that it does not use. Origin: clients that transfer one file
/// after the other ask again within a second.
const KEPT: Duration = Duration::from_secs(10);

/// How long a connection to the control port waits at least to be told from a log-in. Origin: a tick
/// of a busy machine, with the round trips of a near network.
const LEAST_PATIENCE: Duration = Duration::from_millis(300);

/// The same for a silent one in clear whose verb has come: each such transfer begins so much later.
const LEAST_ALONE: Duration = Duration::from_millis(100);

/// How long an offer at the control port may wait for its turn. Origin: a client's data connection
/// comes within a few round trips.
const TURN: Duration = Duration::from_secs(5);

/// A connection, where it comes from, and why it is nobody's.
type Came = (Connection, SocketAddr, Result<(), Reason>);

/// A connection of which the load balancer has yet to say whose it is; none behind a pause.
type Arriving = Pin<Box<dyn Future<Output = Option<Came>> + Send>>;

/// How long to wait after an error of the system before asking it again.
const PAUSE: Duration = Duration::from_millis(50);

/// A session's data connections, one at a time.
pub(super) struct Channel {
    /// The end of the control connection on this machine.
    own: SocketAddr,
    peer: IpAddr,
    local: IpAddr,
    outside: Outside,
    foreign: bool,
    source: Source,
    trusted_proxies: Networks,
    way: Way,
    /// Whether the client hears of the port under TLS.
    tls: bool,
    session: u64,
    /// The desk of the control port, and the port.
    desk: (Arc<Desk>, u16),
    /// Whether the offer is the control port.
    at_control: bool,
    claim: Option<Box<Claim>>,
    lease: Option<Lease>,
    arriving: Option<Arriving>,
    /// Whether the lease's port was announced and nobody has come yet.
    offered: bool,
    offered_at: Time,
    kept_until: Time,
    held: Option<Connection>,
}

impl Channel {
    /// The session of this number, on this control connection.
    pub(super) fn new(
        session: u64,
        control: &ControlStream,
        serving: &Serving,
        desk: Arc<Desk>,
    ) -> Self {
        let (own, local, peer) = (control.own(), control.local(), control.peer());
        let desk = (desk, local.port());
        let local = local.ip().to_canonical();
        Self {
            own,
            peer: peer.ip().to_canonical(),
            local,
            outside: serving.outside.clone(),
            foreign: serving.config().data.foreign_data == ForeignData::Allow,
            source: Source::new(serving.active_source, own, &serving.bindable),
            trusted_proxies: serving.trusted_proxies.clone(),
            way: Way::new(serving, [peer.ip(), control.maker()]),
            tls: false,
            session,
            desk,
            at_control: false,
            claim: None,
            lease: None,
            arriving: None,
            offered: false,
            offered_at: Time::ZERO,
            kept_until: Time::ZERO,
            held: None,
        }
    }

    /// The port that active connections come from, where it is always the same.
    pub(super) const fn dials_from(&self) -> Option<u16> {
        self.source.known()
    }

    /// Listens for the client, on the port of the last offer if the session still has it. A shared
    /// port may have to wait its turn.
    pub(super) fn listen(
        &mut self,
        ticket: Ticket,
        serving: &Serving,
        guard: Guard<Identity>,
        round_trip: impl FnOnce() -> Option<Duration>,
        tls: bool,
    ) -> Result<Outcome, Slot> {
        self.learn();
        self.held = None;
        self.arriving = None;
        self.claim = None;
        self.offered = false;
        self.tls = tls;
        self.at_control = serving.takes_data_on_control_port(self.local, self.peer);
        let own = match self.lease.take() {
            _ if self.at_control => None,
            Some(lease) => Some(Ok(lease)),
            None => serving.pool.own(self.own.ip()).transpose(),
        };
        match own {
            Some(Ok(lease)) => {
                lease.drain();
                let port = lease.port();
                self.lease = Some(lease);
                Ok(self.offer(port))
            }
            Some(Err(error)) => Ok(unopened(&error)),
            None => Err(self.share(ticket, serving, guard, round_trip())),
        }
    }

    /// Claims the next connection at a shared port.
    fn share(
        &self,
        ticket: Ticket,
        serving: &Serving,
        guard: Guard<Identity>,
        round_trip: Option<Duration>,
    ) -> Slot {
        let trip = round_trip.unwrap_or(LEAST_PATIENCE);
        let offer = Offer {
            owner: self.session,
            peer: (!self.foreign).then_some(self.peer),
            guard,
            patience: trip.saturating_mul(3).clamp(LEAST_PATIENCE, LONGEST_HOLD),
            alone: trip.saturating_mul(2).clamp(LEAST_ALONE, LONGEST_HOLD),
        };
        let (pool, binder, local) = (serving.pool.clone(), serving.binder.clone(), self.own.ip());
        let desk = self.at_control.then(|| Arc::clone(&self.desk.0));
        Slot::new(async move {
            let claim = match desk {
                Some(desk) => {
                    let claim = desk.claim(offer, binder.as_ref(), clock::now().after(TURN)).await;
                    claim.map_err(|reason| LeaseError { reason, source: None })
                }
                None => pool.share(local, offer, binder).await,
            };
            Finished::Claimed { ticket, claim }
        })
    }

    /// The turn has come, or has not.
    pub(super) fn claimed(&mut self, claim: Result<Claim, LeaseError>) -> Outcome {
        let claim = match claim {
            Ok(claim) => claim,
            Err(error) => return unopened(&error),
        };
        let port = claim.port().unwrap_or(self.desk.1);
        self.claim = Some(Box::new(claim));
        self.offer(port)
    }

    /// The way to the port is opened, and the client told of it.
    fn offer(&mut self, port: u16) -> Outcome {
        if !self.at_control
            && let Err(error) = self.way.open(port)
        {
            tracing::error!(target: "twoport", %error, "the firewall does not open");
            self.close();
            return Outcome::Failed(Reason::DataListenFailed);
        }
        self.offered = true;
        self.offered_at = clock::now();
        Outcome::Listening(self.outside.announce(self.local, self.peer, self.tls, port))
    }

    /// The passive port of the offer: the control port needs no opening.
    fn offered_port(&self) -> Option<u16> {
        self.lease
            .as_ref()
            .map(Lease::port)
            .or_else(|| self.claim.as_ref().and_then(|claim| claim.port()))
    }

    /// The transfer verb has come.
    pub(super) fn verb(&mut self, guard: Guard<Identity>, uploads: bool) {
        if let Some(claim) = &mut self.claim {
            claim.verb(guard, if uploads { Direction::Upload } else { Direction::Download });
        }
    }

    /// The transfer came to nothing; the offer stands.
    pub(super) fn verb_over(&mut self) {
        if let Some(claim) = &mut self.claim {
            claim.verb_over();
        }
    }

    /// Another command came than the transfer's.
    pub(super) fn doze(&self) {
        if let Some(claim) = &self.claim {
            claim.sleep();
        }
    }

    /// The client's connection to the offered port, or a stranger's, which is closed. Nothing is lost
    /// if the future is dropped.
    pub(super) async fn accept(&mut self) -> DataEvent {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<DataEvent> {
        if !self.offered {
            return Poll::Pending;
        }
        if let Some(claim) = &mut self.claim {
            let handed = ready!(claim.poll_came(cx));
            return Poll::Ready(self.handed(handed));
        }
        loop {
            if let Some(came) = ready!(self.poll_came(cx)) {
                return Poll::Ready(self.taken(came));
            }
        }
    }

    /// The same where it has come to the session's own port already: the kernel itself is asked, which
    /// knows before the runtime does.
    pub(super) fn accept_at_once(&mut self) -> Option<DataEvent> {
        if !self.offered || self.arriving.is_some() {
            return None;
        }
        let (socket, from) = self.lease.as_ref()?.accept_fresh()?;
        let came = self.look(socket, from)?;
        Some(self.taken(came))
    }

    fn taken(&mut self, (connection, from, said): Came) -> DataEvent {
        if let Err(reason) = said {
            return DataEvent::Stranger(from, reason);
        }
        if !data::is_client(from.ip(), self.peer, self.foreign) {
            return DataEvent::Stranger(from, Reason::StrangerRefused);
        }
        self.offered = false;
        self.way.shut();
        self.outside.evidence().note(self.peer, true);
        self.kept_until = clock::now().after(KEPT);
        self.held = Some(connection);
        DataEvent::Arrived
    }

    /// What the desk of a shared port has for this session.
    fn handed(&mut self, handed: Handed) -> DataEvent {
        self.offered = false;
        self.way.shut();
        match handed {
            Handed::Data(stream) => {
                if !self.at_control {
                    self.outside.evidence().note(self.peer, true);
                }
                self.held = Some(Connection::Known(stream.into()));
                DataEvent::Arrived
            }
            Handed::Refused(reason) => {
                self.claim = None;
                DataEvent::Lost(reason)
            }
        }
    }

    /// Whatever comes to the session's own port; none where it has to be looked again.
    fn poll_came(&mut self, cx: &mut Context<'_>) -> Poll<Option<Came>> {
        if let Some(arriving) = &mut self.arriving {
            let came = ready!(arriving.as_mut().poll(cx));
            self.arriving = None;
            return Poll::Ready(came);
        }
        let Some(lease) = &self.lease else { return Poll::Pending };
        match ready!(lease.poll_accept(cx)) {
            Ok((socket, from)) => return Poll::Ready(self.look(socket, from)),
            // The connection was gone before it was accepted, or descriptors ran out.
            Err(error) => {
                tracing::warn!(target: "twoport", %error, "a data connection was not accepted");
                self.arriving = Some(Box::pin(async {
                    tokio::time::sleep(PAUSE).await;
                    None
                }));
            }
        }
        Poll::Ready(None)
    }

    /// Whose it is; none where a load balancer has yet to say.
    fn look(&mut self, socket: Socket, from: SocketAddr) -> Option<Came> {
        if self.trusted_proxies.contain(from.ip()) {
            self.arriving = Some(Box::pin(ask(socket, from)));
            return None;
        }
        Some((Connection::Fresh(socket), from, Ok(())))
    }

    /// Until when the session keeps a port of its own that it does not use.
    pub(super) fn kept_until(&self) -> Option<Time> {
        (self.lease.is_some() && !self.offered).then_some(self.kept_until)
    }

    /// Gives back a port that was kept for long enough.
    pub(super) fn give_back(&mut self, now: Time) {
        if self.kept_until().is_some_and(|until| until <= now) {
            self.lease = None;
        }
    }

    /// Connects to the client from the control connection's own address.
    pub(super) fn dial(&self, target: SocketAddr) -> Slot {
        let (own, ports) = (self.own.ip(), self.source.ports());
        Slot::new(async move {
            let dialled = dial::dial_from_any(target, own, &ports, LONGEST_DIAL).await;
            Finished::Dialled(dialled.map_err(|error| error.reason))
        })
    }

    /// Keeps a connection until its transfer begins.
    pub(super) fn hold(&mut self, connection: Connection) {
        self.held = Some(connection);
    }

    /// Begins TLS on the connection.
    pub(super) fn secure(&mut self, config: Arc<ServerConfig>, reuse: Reuse) -> Slot {
        let held = self.held.take();
        Slot::new(async move {
            let Some(held) = held else {
                return Finished::Secured(Err(TlsError::new(Reason::LocalError)));
            };
            let tcp = match held.known().and_then(Stream::into_tcp) {
                Ok(tcp) => tcp,
                Err(error) => return Finished::Secured(Err(error.into())),
            };
            Finished::Secured(accept::data(tcp, config, reuse, LONGEST_DIAL).await)
        })
    }

    /// Goes on waiting: the connection that came was not proven to be the client's.
    pub(super) fn wait_on(&mut self) {
        self.claim = self.claim.take().and_then(|claim| claim.again()).map(Box::new);
        self.offered = self.lease.is_some() || self.claim.is_some();
        if let Some(port) = self.offered_port()
            && let Err(error) = self.way.open(port)
        {
            tracing::error!(target: "twoport", %error, "the firewall does not open");
        }
    }

    /// The connection, for its transfer.
    pub(super) const fn take(&mut self) -> Option<Connection> {
        self.held.take()
    }

    /// An offer ends. If nobody came to it for a while, its client could not.
    fn learn(&self) {
        let is_tried = self.offered && !self.at_control;
        if is_tried && clock::now().since(self.offered_at) >= MOMENT {
            self.outside.evidence().note(self.peer, false);
        }
    }

    /// Closes the port and a connection that was not used.
    pub(super) fn close(&mut self) {
        self.learn();
        self.held = None;
        self.arriving = None;
        self.lease = None;
        self.way.shut();
        self.claim = None;
        self.offered = false;
    }

    /// After a transfer: the session keeps its port for the next one unless ports are short.
    pub(super) fn rest(&mut self, pool: &Pool) {
        self.held = None;
        self.arriving = None;
        self.way.shut();
        self.claim = None;
        self.offered = false;
        if pool.is_short() {
            self.lease = None;
        }
        self.kept_until = clock::now().after(KEPT);
    }
}

/// Whose connection a trusted load balancer has made.
async fn ask(socket: Socket, from: SocketAddr) -> Option<Came> {
    let stream = TcpStream::from_std(socket).ok()?;
    let (from, said) = match proxy::read_header(&stream, proxy::PATIENCE).await {
        Ok(ends) => (proxy::source(ends, from), Ok(())),
        Err(reason) => (from, Err(reason)),
    };
    Some((Connection::Known(stream.into()), from, said))
}

fn unopened(error: &LeaseError) -> Outcome {
    if let Some(source) = &error.source {
        tracing::error!(target: "twoport", error = %source, "no passive port can be opened");
    }
    Outcome::Failed(error.reason)
}
