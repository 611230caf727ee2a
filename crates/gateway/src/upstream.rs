//! Which server a client gets: always the same one while it can be reached, else the next.
//!
//! It looks into no command: the choice is made before the first one.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;

use tokio::net::TcpStream;

use twoport_net::tls::connect::Versions;

use crate::gateway::Shared;
use crate::hole::lock;
use crate::seat::{self, IMPLICIT, Seat};

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

/// A connection to whom the client `meant`, or where that is this host to one of its servers, and the name under which its certificate is looked for.
///
/// # Errors
/// None of them can be reached: what the last one said.
pub(crate) async fn connect(
    shared: &Shared,
    client: IpAddr,
    meant: SocketAddr,
) -> io::Result<(TcpStream, String)> {
    let servers = &shared.config.servers;
    let seen = match &shared.config.seat {
        Seat::Reverse => None,
        Seat::Client(_) | Seat::Server(_) => Some(client.to_canonical()),
    };
    if let Some(v4) = shared.config.nat64.and_then(|prefix| embedded(prefix, meant.ip())) {
        let target = SocketAddr::new(v4.into(), meant.port());
        return Ok((dial(shared, target, None).await?, v4.to_string()));
    }
    if shared.router.is_some() && !seat::is_own(meant.ip()) {
        return Ok((dial(shared, meant, seen).await?, meant.ip().to_string()));
    }
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "no server is configured");
    let mut turn: Vec<&String> = in_turn(servers, client).collect();
    // Between two families everything has to be relayed.
    turn.sort_by_key(|server| is_foreign(server, client));
    for server in turn {
        match connect_one(shared, server, meant.port(), seen).await {
            Ok(stream) => return Ok((stream, host(server).to_owned())),
            Err(error) => {
                tracing::warn!(target: "twoport", server, %error, "the server cannot be reached");
                failure = error;
            }
        }
    }
    Err(failure)
}

/// The servers, beginning with the one that the client's address falls upon.
fn in_turn(servers: &[String], client: IpAddr) -> impl Iterator<Item = &String> {
    let mut hasher = DefaultHasher::new();
    client.to_canonical().hash(&mut hasher);
    let count = u64::try_from(servers.len()).unwrap_or(u64::MAX).max(1);
    let first = usize::try_from(hasher.finish() % count).unwrap_or_default();
    servers.iter().cycle().skip(first).take(servers.len())
}

async fn connect_one(
    shared: &Shared,
    server: &str,
    dialled: u16,
    seen: Option<IpAddr>,
) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for mut address in tokio::net::lookup_host(server).await? {
        // Who begins with TLS wants the server's port for that.
        if dialled == IMPLICIT {
            address.set_port(IMPLICIT);
        }
        match dial(shared, address, seen).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
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
    fn a_client_keeps_its_server_and_has_all_others_behind_it() {
        let servers: Vec<String> = ["a:21", "b:21", "c:21"].map(String::from).into();
        let turn = |client: &str| -> Vec<&str> {
            in_turn(&servers, client.parse().unwrap()).map(String::as_str).collect()
        };
        assert_eq!(turn("192.0.2.1"), turn("::ffff:192.0.2.1"));
        let firsts: std::collections::BTreeSet<&str> =
            (0..64).filter_map(|n| turn(&format!("192.0.2.{n}")).first().copied()).collect();
        assert_eq!(firsts.len(), 3, "every server has clients");
        assert_eq!(turn("192.0.2.9").len(), 3);
        assert_eq!(
            (host("[2001:db8::1]:21"), host("ftp.example:2121")),
            ("2001:db8::1", "ftp.example")
        );
    }
}
