//! Connects a client's session to its server: the one of its wish, or the first of a group that can be
//! reached.
//!
//! Whose turn it is in a group is decided in [`pool`](crate::pool).

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use twoport_net::tls::connect::Versions;
use twoport_proto::proxy;
use twoport_proto::reason::Reason;
use twoport_proto::relay::Wish;

use crate::allow::may;
use crate::config::Config;
use crate::front::Asking;
use crate::gateway::Shared;
use crate::health;
use crate::hole::lock;
use crate::pool::Guest;
use crate::seat::{self, IMPLICIT, Seat};
use crate::visitor::{Implicit, Visitor};

/// Servers with which TLS 1.2 is spoken: they give few tickets of TLS 1.3, a session of which is
/// resumed once for each ticket, and refuse data connections that resume none. A session of TLS 1.2
/// is resumed any number of times.
#[derive(Debug, Default)]
pub(crate) struct Sparing(Mutex<HashSet<SocketAddr>>);

impl Sparing {
    /// What the server says of itself in its greeting: ProFTPD gives two tickets.
    pub(crate) fn greets(&self, server: SocketAddr, greeting: &[u8]) {
        if greeting.windows(7).any(|word| word == b"ProFTPD") {
            self.note(server);
        }
    }

    /// The server has given fewer tickets than there were data connections.
    pub(crate) fn note(&self, server: SocketAddr) {
        lock(&self.0).insert(server);
    }

    /// The versions to offer it.
    pub(crate) fn versions(&self, server: SocketAddr) -> Versions {
        if lock(&self.0).contains(&server) { Versions::Only12 } else { Versions::All }
    }

    /// It does not have TLS 1.2.
    pub(crate) fn forget(&self, server: SocketAddr) {
        lock(&self.0).remove(&server);
    }
}

/// A server that is connected.
pub(crate) struct Upstream {
    pub(crate) stream: TcpStream,
    /// The name under which its certificate is looked for.
    pub(crate) host: String,
    /// Whether it was told who the client is.
    pub(crate) is_told: bool,
    /// What it was told.
    pub(crate) header: Option<Header>,
    /// Where the client has asked for it.
    pub(crate) asking: Option<Asking>,
    /// Its place among those that share the clients.
    pub(crate) guest: Option<Guest>,
}

/// The PROXY header of a session.
pub(crate) struct Header {
    pub(crate) bytes: Vec<u8>,
    /// Whether data connections begin with it, too.
    pub(crate) on_data: bool,
}

impl Upstream {
    const fn of(stream: TcpStream, host: String) -> Self {
        Self { stream, host, is_told: false, header: None, asking: None, guest: None }
    }
}

/// The server that a client is meant for: by its wish, by the address that it dialled through a
/// router, or one of those that share the clients.
///
/// # Errors
/// There is none that may be, or can be, reached.
pub(crate) async fn connect(visitor: &Visitor, wish: Option<&Wish>) -> Result<Upstream, Reason> {
    let (session, client) = (visitor.who.session, visitor.who.client.ip());
    let connected = match wish {
        Some(Wish::Server { host, port }) => forward(&visitor.shared, client, host, *port).await,
        Some(Wish::Group(group)) => of_group(visitor, group).await,
        None => directly(visitor).await,
    };
    connected.map_err(|(reason, error)| {
        let id = reason.id();
        tracing::warn!(target: "twoport", session, %client, %error, reason = id, "no server");
        reason
    })
}

/// What the client hears, and what the log does.
pub(crate) type Failure = (Reason, io::Error);

const fn unreachable(error: io::Error) -> Failure {
    (Reason::UpstreamUnreachable, error)
}

/// Nothing was said: what the client has dialled counts.
async fn directly(visitor: &Visitor) -> Result<Upstream, Failure> {
    let (shared, meant) = (&visitor.shared, visitor.meant);
    if let Some(v4) = shared.config.nat64.and_then(|prefix| embedded(prefix, meant.ip())) {
        let target = SocketAddr::new(v4.into(), meant.port());
        let stream = dial(shared, target, None).await.map_err(unreachable)?;
        return Ok(Upstream::of(stream, v4.to_string()));
    }
    if shared.router.is_some() && !seat::is_own(meant.ip()) {
        let stream = dial(shared, meant, seen(visitor)).await.map_err(unreachable)?;
        return Ok(Upstream::of(stream, meant.ip().to_string()));
    }
    of_group(visitor, "").await
}

/// The address that servers see; none where it is the gateway's.
fn seen(visitor: &Visitor) -> Option<IpAddr> {
    match &visitor.shared.config.seat {
        Seat::Reverse | Seat::Forward => None,
        Seat::Client(_) | Seat::Server(_) => Some(visitor.who.client.ip().to_canonical()),
    }
}

/// The first server of a group that can be reached.
async fn of_group(visitor: &Visitor, group: &str) -> Result<Upstream, Failure> {
    let Shared { config, pool, .. } = &*visitor.shared;
    let client = visitor.who.client;
    let mut failure =
        io::Error::new(io::ErrorKind::NotFound, "no server is configured, or all drain");
    let mut turn = pool.turn(&config.servers, group, client.ip(), config.balance);
    // Between two families everything has to be relayed.
    turn.sort_by_key(|server| is_foreign(&server.at, client.ip()));
    for server in turn {
        // Counted before it is dialled: those who come at the same time see it.
        let guest = pool.enter(&server.at);
        let mut connected = connect_one(visitor, &server.at).await;
        health::met(&visitor.shared, &server.at, &connected);
        let ends = proxy::Ends { source: client, destination: visitor.meant };
        let header = server
            .proxy
            .map(|it| Header { bytes: proxy::header(it.version, Some(ends)), on_data: it.on_data });
        if let (Ok(stream), Some(header)) = (&mut connected, &header) {
            let written = stream.write_all(&header.bytes).await;
            connected = written.and(connected);
        }
        match connected {
            Ok(stream) => {
                let host = host(&server.at).to_owned();
                let (is_told, guest) = (header.is_some(), Some(guest));
                return Ok(Upstream { stream, host, is_told, header, asking: None, guest });
            }
            Err(error) => {
                let at = &server.at;
                tracing::warn!(target: "twoport", server = at, %error, "the server cannot be reached");
                failure = error;
            }
        }
    }
    Err(unreachable(failure))
}

async fn connect_one(visitor: &Visitor, server: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for mut address in tokio::net::lookup_host(server).await? {
        // Who begins with TLS wants the server's port for that.
        let is_direct =
            visitor.implicit() == Implicit::Passes || visitor.shared.config.desk.is_none();
        if visitor.meant.port() == IMPLICIT && is_direct {
            address.set_port(IMPLICIT);
        }
        match dial(&visitor.shared, address, seen(visitor)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The server that a client has named, if it may go there.
pub(crate) async fn forward(
    shared: &Shared,
    client: IpAddr,
    host: &str,
    port: u16,
) -> Result<Upstream, Failure> {
    let Config { allow, access, .. } = &shared.config;
    let is_open =
        |address: &SocketAddr| may(allow, host, *address) && access.permits(client, address.ip());
    let found = tokio::net::lookup_host((host, port)).await.map_err(unreachable)?;
    let none = io::Error::new(io::ErrorKind::PermissionDenied, "none of its addresses is allowed");
    let mut failure = (Reason::DestinationRefused, none);
    for address in found.filter(is_open) {
        match dial(shared, address, None).await {
            Ok(stream) => return Ok(Upstream::of(stream, host.to_owned())),
            Err(error) => failure = unreachable(error),
        }
    }
    Err(failure)
}

/// The address of IPv4 in one behind a prefix of 96 bits (RFC 6052 §2.2).
fn embedded(prefix: Ipv6Addr, address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let (prefix, address) = (prefix.to_bits(), address.to_bits());
    let low = u32::try_from(address & u128::from(u32::MAX)).ok()?;
    (prefix >> 32 == address >> 32).then(|| Ipv4Addr::from_bits(low))
}

async fn dial(shared: &Shared, target: SocketAddr, seen: Option<IpAddr>) -> io::Result<TcpStream> {
    let patience = shared.config.connect_timeout;
    seat::connect(shared.router.as_ref(), target, seen, patience).await
}

/// Whether a server has an address of the other family than the client; a name may have both.
fn is_foreign(server: &str, client: IpAddr) -> bool {
    let address = host(server).parse::<IpAddr>();
    address.is_ok_and(|address| address.is_ipv4() != client.to_canonical().is_ipv4())
}

/// The host of `host:port`, without the brackets of IPv6.
fn host(server: &str) -> &str {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_behind_the_prefix_is_that_of_ipv4() {
        let prefix = "64:ff9b::".parse().unwrap();
        let behind = |address: &str| embedded(prefix, address.parse().unwrap());
        assert_eq!(behind("64:ff9b::c000:221"), Some(Ipv4Addr::new(192, 0, 2, 33)));
        assert_eq!((behind("64:ff9b::1:c000:221"), behind("192.0.2.1")), (None, None));
    }

    #[test]
    fn a_host_is_found_before_its_port() {
        assert_eq!(
            (host("[2001:db8::1]:21"), host("ftp.example:2121")),
            ("2001:db8::1", "ftp.example")
        );
    }
}
