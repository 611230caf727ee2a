//! Where the gateway stands: which connections it takes, whom a client meant to reach, and how each
//! peer sees the other.
//!
//! It knows nothing of pinholes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use twoport_net::data::dial::canonical;
use twoport_net::nft::{Disguise, EXPECTED, Interception, Router};

use crate::config::Config;
use crate::gateway::{Shared, listen};
use crate::sockets::Sockets;

/// The port of FTP under TLS from the first byte (registered as `ftps`).
pub const IMPLICIT: u16 = 990;

/// Where a gateway stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seat {
    /// In front of servers, under an address of its own.
    Reverse,
    /// Where only it may go out: clients say whom they want to reach.
    Forward,
    /// On the router of the clients' network: what they send to these ports of anybody is taken.
    Client(Taken),
    /// On the router of the servers' network: what is sent to these ports of theirs is taken, and
    /// they see the clients' own addresses.
    Server(Taken),
}

/// Which control connections are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The interface by which they come; any.
    pub interface: Option<String>,
    /// The ports that clients dial.
    pub ports: Vec<u16>,
}

impl Seat {
    /// The rules that are put in place: none for the seat without privileges.
    #[must_use]
    pub fn rules(&self) -> Option<String> {
        match self {
            Self::Reverse | Self::Forward => None,
            Self::Client(taken) => Some(interception(taken, None, false).rules()),
            Self::Server(taken) => Some(interception(taken, None, true).rules()),
        }
    }

    /// What another process knows its listeners by. Those of the clients' seat may stand for other ports.
    pub(crate) fn name(&self) -> String {
        let interface = |taken: &Taken| taken.interface.clone().unwrap_or_default();
        match self {
            Self::Reverse | Self::Forward => String::new(),
            Self::Client(taken) => format!("client seat {}", interface(taken)),
            Self::Server(taken) => format!("server seat {} {:?}", interface(taken), taken.ports),
        }
    }

    /// Listens, and takes what it is to take; what another process has handed over of that is used.
    ///
    /// # Errors
    /// What the system says, and what to do.
    pub(crate) fn take(&self, sockets: &mut Sockets) -> io::Result<Stand> {
        let (taken, is_server) = match self {
            Self::Reverse | Self::Forward => return Ok(Stand::default()),
            Self::Client(taken) => (taken, false),
            Self::Server(taken) => (taken, true),
        };
        let claims = taken.claim(sockets)?;
        let handed = sockets.listeners(&self.name())?;
        let (listeners, to) = match handed.first() {
            Some(first) => {
                let port = first.local_addr()?.port();
                (handed, Some(port).filter(|port| !is_server || !taken.ports.contains(port)))
            }
            None if is_server => taken.at_dialled()?,
            None => anywhere().map(|(listeners, port)| (listeners, Some(port)))?,
        };
        let router = router(&interception(taken, to, is_server))?;
        Ok(Stand { listeners, router: Some(router), claims })
    }
}

/// What a seat holds.
#[derive(Debug, Default)]
pub(crate) struct Stand {
    pub(crate) listeners: Vec<TcpListener>,
    /// The rules, on a router.
    pub(crate) router: Option<Router>,
    /// Names of this network namespace, which tell other gateways what is taken.
    pub(crate) claims: Vec<(String, UnixListener)>,
}

impl Taken {
    /// Sees that the interface is there, and that nobody else takes these ports from it.
    fn claim(&self, sockets: &mut Sockets) -> io::Result<Vec<(String, UnixListener)>> {
        let interface = self.interface.as_deref().unwrap_or_default();
        if !interface.is_empty() {
            exists(interface)?;
        }
        let mut claim = |port: &u16| {
            let name = format!("twoport-gateway {port} {interface}");
            if let Some(claim) = sockets.take(&name) {
                return Ok((name, claim.into()));
            }
            let address = UnixAddr::from_abstract_name(&name)?;
            let claim = UnixListener::bind_addr(&address).map_err(|error| {
                let what = format!("another gateway on this host takes port {port}: {error}");
                io::Error::new(
                    error.kind(),
                    format!("{what}; stop it first, or take another --port"),
                )
            })?;
            Ok((name, claim))
        };
        self.ports.iter().map(&mut claim).collect()
    }

    /// At the ports that were dialled, since those are open in the host's firewall; where somebody else
    /// listens at one, at another, which is told.
    fn at_dialled(&self) -> io::Result<(Vec<TcpListener>, Option<u16>)> {
        let dialled = self.ports.iter().flat_map(|port| everywhere(*port));
        let dialled: io::Result<Vec<TcpListener>> = dialled.map(listen).collect();
        match dialled {
            Ok(listeners) => Ok((listeners, None)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                anywhere().map(|(listeners, port)| (listeners, Some(port)))
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether there is an interface of this name.
pub(crate) fn exists(interface: &str) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    SockRef::from(&socket).bind_device(Some(interface.as_bytes())).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => PRIVILEGE,
            _ => "`ip link` lists those there are",
        };
        io::Error::new(error.kind(), format!("interface {interface}: {error}; {remedy}"))
    })
}

/// What a seat on a router needs.
const PRIVILEGE: &str = "a gateway on a router needs root, or CAP_NET_ADMIN and CAP_NET_RAW";

fn router(interception: &Interception) -> io::Result<Router> {
    Router::new(interception).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => PRIVILEGE,
            _ => "the kernel needs nf_tables with NAT, and nf_conntrack",
        };
        io::Error::new(error.kind(), format!("no rules for nftables: {error}; {remedy}"))
    })
}

fn interception(taken: &Taken, to: Option<u16>, hides_first: bool) -> Interception {
    Interception { ports: taken.ports.clone(), from: taken.interface.clone(), to, hides_first }
}

fn everywhere(port: u16) -> [SocketAddr; 2] {
    [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]
}

/// One port that both families have free.
fn anywhere() -> io::Result<(Vec<TcpListener>, u16)> {
    const TRIES: usize = 16;
    let mut failure = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let v4 = listen((Ipv4Addr::UNSPECIFIED, 0).into())?;
        let port = v4.local_addr()?.port();
        match listen((Ipv6Addr::UNSPECIFIED, port).into()) {
            Ok(v6) => return Ok((vec![v4, v6], port)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// In the servers' seat, opens the host's own firewall for control connections, for a while: to the
/// addresses of the interface by which they come, and to those of the servers.
///
/// # Errors
/// What the kernel says.
pub(crate) async fn welcome(config: &Config, router: &Router) -> io::Result<()> {
    let Seat::Server(taken) = &config.seat else { return Ok(()) };
    let mut addresses = own_addresses(taken.interface.as_deref());
    for server in &config.servers {
        // Without an address it has none to be dialled at either.
        let found = tokio::net::lookup_host(&server.at).await;
        addresses.extend(found.into_iter().flatten().map(|found| found.ip()));
    }
    for address in addresses {
        for port in &taken.ports {
            router.welcome((address, *port).into())?;
        }
    }
    Ok(())
}

/// Does so again and again.
pub(crate) async fn keep_open(current: watch::Receiver<Arc<Shared>>) {
    loop {
        tokio::time::sleep(EXPECTED / 2).await;
        let shared = Arc::clone(&current.borrow());
        let Some(router) = &shared.router else { return };
        // It was said at the start that it cannot be done.
        let _said: io::Result<()> = welcome(&shared.config, router).await;
    }
}

/// The addresses of an interface, or of all.
pub(crate) fn own_addresses(interface: Option<&str>) -> Vec<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_default().into_iter();
    let fits = |one: &if_addrs::Interface| {
        !one.is_loopback() && interface.is_none_or(|name| one.name == name)
    };
    all.filter(fits).map(|one| one.ip()).collect()
}

/// Where a client meant its connection to go, before it was taken; none if it was not.
pub(crate) fn meant(client: &TcpStream) -> Option<SocketAddr> {
    let socket = SockRef::from(client);
    let local = client.local_addr().ok()?;
    let found = match canonical(local) {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    found.ok()?.as_socket().map(canonical)
}

/// Connects to `target`; on a router, so that it sees `seen`, unless the host hides that, too.
///
/// # Errors
/// What the system says; [`io::ErrorKind::TimedOut`] after `patience`.
pub(crate) async fn connect(
    router: Option<&Router>,
    target: SocketAddr,
    seen: Option<IpAddr>,
    patience: Duration,
) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    let seen = seen.filter(|seen| seen.is_ipv4() == target.is_ipv4());
    if let (Some(router), Some(seen)) = (router, seen) {
        let own = own_address(target)?;
        if own != seen {
            socket.bind((own, 0).into())?;
            let port = socket.local_addr()?.port();
            router.disguise(&Disguise { target, port, seen })?;
        }
    }
    match timeout(patience, socket.connect(target)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Whether it is an address of this host.
pub(crate) fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The own IPv4 address outside: of the interface by which clients of servers come, or on the way to
/// the rest of the world.
pub(crate) fn outside(seat: &Seat) -> Option<Ipv4Addr> {
    /// Anywhere far; nothing is sent there. (A root of the DNS.)
    const FAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4)), 53);
    let of_interface = || match seat {
        Seat::Server(Taken { interface: Some(interface), .. }) => {
            own_addresses(Some(interface)).into_iter().find(IpAddr::is_ipv4)
        }
        _ => None,
    };
    match of_interface().or_else(|| own_address(FAR).ok()) {
        Some(IpAddr::V4(address)) => Some(address),
        _ => None,
    }
}

/// The own address that the system chooses towards a target.
pub(crate) fn own_address(target: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Nothing is sent.
    let socket = UdpSocket::bind(any)?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}
