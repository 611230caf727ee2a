//! The data connection as the driver holds it: a passive port that waits, or a connection that is
//! up and not yet used.
//!
//! Whose connection it is was decided in `twoport_proto::data`; a stranger is closed without a word
//! and the port goes on waiting.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::time::Instant;

use twoport_net::clock;
use twoport_net::data::dial;
use twoport_net::data::ports::{Lease, Ports};
use twoport_net::proxy;
use twoport_net::stream::Stream;
use twoport_net::tls::TlsError;
use twoport_net::tls::accept::{self, Reuse};
use twoport_proto::data;
use twoport_proto::reason::Reason;
use twoport_proto::server::{DataEvent, Outcome};
use twoport_proto::time::Time;

use super::source::Source;
use super::way::Way;
use super::work::{Finished, Slot};
use crate::config::networks::Networks;
use crate::config::words::ForeignData;
use crate::outside::Outside;
use crate::serving::Serving;

/// How long an active connection may be in the making; the session's own deadline is shorter.
const LONGEST_DIAL: Duration = Duration::from_secs(3600);

/// How long a session keeps a port that it does not use. Origin: clients that transfer one file
/// after the other ask again within a second.
const KEPT: Duration = Duration::from_secs(10);

/// A connection of which the load balancer has yet to say whose it is.
type Arriving = Pin<Box<dyn Future<Output = (TcpStream, SocketAddr, Result<(), Reason>)> + Send>>;

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
    lease: Option<Lease>,
    arriving: Option<Arriving>,
    /// Whether the lease's port was announced and nobody has come yet.
    offered: bool,
    kept_until: Instant,
    held: Option<Stream>,
}

impl Channel {
    /// `own` is the end on this machine and `maker` who connected to it; `local` and `peer` are the
    /// ends of the client's own connection, which differ where a load balancer is between.
    pub(super) fn new(
        (own, maker): (SocketAddr, IpAddr),
        local: SocketAddr,
        peer: SocketAddr,
        serving: &Serving,
    ) -> Self {
        let local = local.ip().to_canonical();
        Self {
            own,
            peer: peer.ip().to_canonical(),
            local,
            outside: serving.outside.clone(),
            foreign: serving.config().data.foreign_data == ForeignData::Allow,
            source: Source::new(serving.active_source, own),
            trusted_proxies: serving.trusted_proxies.clone(),
            way: Way::new(serving, [peer.ip(), maker]),
            lease: None,
            arriving: None,
            offered: false,
            kept_until: clock::instant(Time::ZERO),
            held: None,
        }
    }

    /// The port that active connections come from, where it is always the same.
    pub(super) const fn dials_from(&self) -> Option<u16> {
        self.source.known()
    }

    /// Listens for the client, on the port of the last offer if the session still has it.
    pub(super) fn listen(&mut self, ports: &Ports, tls: bool) -> Outcome {
        self.held = None;
        self.arriving = None;
        let lease = match self.lease.take() {
            Some(lease) => Ok(lease),
            None => ports.lease(self.own.ip()),
        };
        match lease {
            Ok(lease) => {
                lease.drain();
                if let Err(error) = self.way.open(lease.port()) {
                    tracing::error!(target: "twoport", %error, "the firewall does not open");
                    return Outcome::Failed(Reason::DataListenFailed);
                }
                let address = self.outside.announce(self.local, self.peer, tls, lease.port());
                self.lease = Some(lease);
                self.offered = true;
                Outcome::Listening(address)
            }
            Err(error) => {
                if let Some(source) = error.source {
                    tracing::error!(target: "twoport", error = %source, "no passive port can be opened");
                }
                Outcome::Failed(error.reason)
            }
        }
    }

    /// The client's connection to the offered port, or a stranger's, which is closed. A port that
    /// is kept without being offered is given back in a while.
    pub(super) async fn accept(&mut self) -> DataEvent {
        let lease = match &self.lease {
            Some(lease) if self.offered => lease,
            Some(_) => {
                tokio::time::sleep_until(self.kept_until).await;
                self.lease = None;
                return std::future::pending().await;
            }
            None => return std::future::pending().await,
        };
        loop {
            let (stream, from, said) = match &mut self.arriving {
                Some(arriving) => {
                    let arrived = arriving.await;
                    self.arriving = None;
                    arrived
                }
                None => match lease.accept().await {
                    Ok((stream, from)) if self.trusted_proxies.contain(from.ip()) => {
                        self.arriving = Some(Box::pin(ask(stream, from)));
                        continue;
                    }
                    Ok((stream, from)) => (stream, from, Ok(())),
                    // The connection was gone before it was accepted, or descriptors ran out.
                    Err(error) => {
                        tracing::warn!(target: "twoport", %error, "a data connection was not accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            if let Err(reason) = said {
                return DataEvent::Stranger(from, reason);
            }
            if !data::is_client(from.ip(), self.peer, self.foreign) {
                return DataEvent::Stranger(from, Reason::StrangerRefused);
            }
            self.offered = false;
            self.way.shut();
            self.kept_until = clock::instant(clock::now().after(KEPT));
            self.held = Some(stream.into());
            return DataEvent::Arrived;
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
    pub(super) fn hold(&mut self, stream: Stream) {
        self.held = Some(stream);
    }

    /// Begins TLS on the connection.
    pub(super) fn secure(&mut self, config: Arc<ServerConfig>, reuse: Reuse) -> Slot {
        let held = self.held.take();
        Slot::new(async move {
            let Some(held) = held else {
                return Finished::Secured(Err(TlsError::new(Reason::LocalError)));
            };
            let tcp = held.into_tcp();
            Finished::Secured(accept::data(tcp, config, reuse, LONGEST_DIAL).await)
        })
    }

    /// Goes on waiting: the connection that came was not proven to be the client's.
    pub(super) fn wait_on(&mut self) {
        self.offered = self.lease.is_some();
        if let Some(lease) = &self.lease
            && let Err(error) = self.way.open(lease.port())
        {
            tracing::error!(target: "twoport", %error, "the firewall does not open");
        }
    }

    /// The connection, for its transfer.
    pub(super) const fn take(&mut self) -> Option<Stream> {
        self.held.take()
    }

    /// Closes the port and a connection that was not used.
    pub(super) fn close(&mut self) {
        self.held = None;
        self.arriving = None;
        self.lease = None;
        self.way.shut();
        self.offered = false;
    }

    /// After a transfer: the session keeps its port for the next one unless ports are short.
    pub(super) fn rest(&mut self, ports: &Ports) {
        self.held = None;
        self.arriving = None;
        self.way.shut();
        self.offered = false;
        if ports.is_short() {
            self.lease = None;
        }
        self.kept_until = clock::instant(clock::now().after(KEPT));
    }
}

/// Whose connection a trusted load balancer has made.
async fn ask(stream: TcpStream, from: SocketAddr) -> (TcpStream, SocketAddr, Result<(), Reason>) {
    match proxy::read_header(&stream, proxy::PATIENCE).await {
        Ok(ends) => (stream, proxy::source(ends, from), Ok(())),
        Err(reason) => (stream, from, Err(reason)),
    }
}
