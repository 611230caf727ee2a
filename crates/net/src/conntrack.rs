//! The kernel's table of connections: how the other end sees one of ours, and connections that are
//! expected, which a firewall then takes for related.
//!
//! It translates nothing: that is for [`nft`](crate::nft). (`linux/netfilter/nfnetlink_conntrack.h`)

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use twoport_proto::pcp::filter::Filter;

use crate::nft::message::{Attributes, Netlink, find};

const CONNECTION_GET: u16 = (1 << 8) | 1;
const CONNECTION_DELETE: u16 = (1 << 8) | 2;

/// The tuple of whoever has begun.
const ORIGINAL: u16 = 1;
const EXPECTATION_NEW: u16 = 2 << 8;
const EXPECTATION_GET: u16 = (2 << 8) | 1;
const EXPECTATION_DELETE: u16 = (2 << 8) | 2;
const CREATE: u16 = 0x400;

/// A connection to the kernel's table.
#[derive(Debug)]
pub(crate) struct Conntrack(Netlink);

impl Conntrack {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(Netlink::open()?))
    }

    /// The local end of a connection as the remote one sees it; none if the kernel does not know.
    pub(crate) fn seen(&mut self, local: SocketAddr, remote: SocketAddr) -> Option<SocketAddr> {
        const REPLY: u16 = 2;
        let asked = Attributes::new().nest(1, &tuple(local, remote)?);
        let told = self.0.ask(CONNECTION_GET, 0, family(local.ip()), &asked).ok()?;
        Some(ends_of(find(&told, REPLY)?)?.1)
    }

    /// Takes back what a gateway that was killed has left: expectations in the name of connections of
    /// this host to itself, to ports where nobody listens any more.
    pub(crate) fn tidy(&mut self) {
        self.unexpect_where(|(from, to)| {
            from.ip().is_loopback() && to.ip().is_loopback() && TcpListener::bind(to).is_ok()
        });
    }

    /// Nothing is expected any more in the name of these connections; the same expectation in the name of
    /// another one, as a successor has it, stays.
    pub(crate) fn unexpect_all(&mut self, masters: &[(SocketAddr, SocketAddr)]) {
        if !masters.is_empty() {
            self.unexpect_where(|master| masters.contains(&master));
        }
    }

    fn unexpect_where(&mut self, is_over: impl Fn((SocketAddr, SocketAddr)) -> bool) {
        const MASTER: u16 = 1;
        const EXPECTED: u16 = 2;
        for (_, expectation) in self.0.list_of(EXPECTATION_GET).unwrap_or_default() {
            let ends = |kind| find(&expectation, kind).and_then(ends_of);
            let (Some(master), Some((peer, door))) = (ends(MASTER), ends(EXPECTED)) else {
                continue;
            };
            if is_over(master) {
                self.unexpect((peer.ip(), peer.port()), door);
            }
        }
    }

    /// Whether a connection of TCP between other hosts is up and translated.
    pub(crate) fn translates(&mut self) -> io::Result<bool> {
        const REPLY: u16 = 2;
        const STATUS: u16 = 3;
        /// `IPS_SRC_NAT` and `IPS_DST_NAT`.
        const TRANSLATED: u32 = 0x30;
        /// From the first SYN to the second FIN (`TCP_CONNTRACK_SYN_SENT` to `LAST_ACK`).
        const UP: std::ops::RangeInclusive<u8> = 1..=6;
        let is_translated = |connection: &[u8]| {
            let status = find(connection, STATUS)?.first_chunk()?;
            let state = state_of(connection)?;
            let (from, _) = ends_of(find(connection, ORIGINAL)?)?;
            let (to, _) = ends_of(find(connection, REPLY)?)?;
            let is_own = |end: SocketAddr| UdpSocket::bind((end.ip(), 0)).is_ok();
            if is_own(from) || is_own(to) {
                return None;
            }
            Some(u32::from_be_bytes(*status) & TRANSLATED != 0 && UP.contains(&state))
        };
        let connections = self.0.list_of(CONNECTION_GET)?;
        Ok(connections.iter().any(|(_, connection)| is_translated(connection) == Some(true)))
    }

    /// Forgets the SYN that a peer has sent to a door and nobody has answered: the rules are asked about
    /// its next one anew.
    pub(crate) fn forget(&mut self, peer: IpAddr, door: SocketAddr) -> io::Result<()> {
        const SYN_SENT: u8 = 1;
        let connections = self.0.list_of(CONNECTION_GET)?;
        let begun = connections.iter().filter(|(_, one)| state_of(one) == Some(SYN_SENT));
        let ends = begun.filter_map(|(_, one)| ends_of(find(one, ORIGINAL)?));
        for (from, to) in ends.filter(|(from, to)| from.ip() == peer && *to == door) {
            if let Some(ends) = tuple(from, to) {
                let connection = Attributes::new().nest(ORIGINAL, &ends);
                self.0.ask(CONNECTION_DELETE, 0, family(to.ip()), &connection)?;
            }
        }
        Ok(())
    }

    /// A connection to `door` is related to that between `ends`, which has a helper: one of those of
    /// `from`, or any number of them.
    pub(crate) fn expect(
        &mut self,
        ends: Option<(SocketAddr, SocketAddr)>,
        from: &Filter,
        door: SocketAddr,
        is_once: bool,
    ) -> io::Result<()> {
        const PERMANENT: u32 = 1;
        /// Helpers decide themselves; this is for those that do not.
        const SECONDS: u32 = 60;
        let missing = || io::Error::from(io::ErrorKind::InvalidInput);
        let (near, far) = ends.ok_or_else(missing)?;
        let master = tuple(near, far).ok_or_else(missing)?;
        let all = every_bit(door.ip());
        let expected = tuple((from.network(), from.port()).into(), door).ok_or_else(missing)?;
        let port = if from.port() == 0 { 0 } else { 0xffff };
        let mask = tuple((from.mask(), port).into(), (all, 0xffff).into()).ok_or_else(missing)?;
        let expectation =
            Attributes::new().nest(1, &master).nest(2, &expected).nest(3, &mask).number(4, SECONDS);
        let expectation = expectation.number(8, if is_once { 0 } else { PERMANENT });
        self.0.ask(EXPECTATION_NEW, CREATE, family(door.ip()), &expectation).map(drop)
    }

    /// It is expected no more. Where it has come there is nothing to do.
    pub(crate) fn unexpect(&mut self, from: (IpAddr, u16), door: SocketAddr) {
        if let Some(expected) = tuple(from.into(), door) {
            let expectation = Attributes::new().nest(2, &expected);
            let _come: io::Result<_> =
                self.0.ask(EXPECTATION_DELETE, 0, family(door.ip()), &expectation);
        }
    }
}

/// The state of a connection of TCP.
fn state_of(connection: &[u8]) -> Option<u8> {
    const PROTOCOL: u16 = 4;
    const TCP: u16 = 1;
    const STATE: u16 = 1;
    find(find(find(connection, PROTOCOL)?, TCP)?, STATE)?.first().copied()
}

/// Every bit of an address of a family.
fn every_bit(family: IpAddr) -> IpAddr {
    match family {
        IpAddr::V4(_) => [0xff; 4].into(),
        IpAddr::V6(_) => [0xff; 16].into(),
    }
}

/// `AF_INET` or `AF_INET6`.
const fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { 2 } else { 10 }
}

/// Source and destination of a tuple.
fn ends_of(tuple: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (ip, proto) = (find(tuple, 1)?, find(tuple, 2)?);
    let end = |v4, v6, port| {
        let address: IpAddr = match (find(ip, v4), find(ip, v6)) {
            (Some(v4), _) => (*v4.first_chunk::<4>()?).into(),
            (None, v6) => (*v6?.first_chunk::<16>()?).into(),
        };
        let port = find(proto, port)?.first_chunk::<2>()?;
        Some(SocketAddr::new(address, u16::from_be_bytes(*port)))
    };
    Some((end(1, 3, 2)?, end(2, 4, 3)?))
}

/// A direction of TCP; none for two families.
fn tuple(from: SocketAddr, to: SocketAddr) -> Option<Attributes> {
    let ip = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            Attributes::new().bytes(1, &from.octets()).bytes(2, &to.octets())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            Attributes::new().bytes(3, &from.octets()).bytes(4, &to.octets())
        }
        _ => return None,
    };
    let (from, to) = (from.port().to_be_bytes(), to.port().to_be_bytes());
    let proto = Attributes::new().bytes(1, &[6]).bytes(2, &from).bytes(3, &to);
    Some(Attributes::new().nest(1, &ip).nest(2, &proto))
}
