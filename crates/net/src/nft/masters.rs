//! What expectations hang on: connections of the gateway to itself.
//!
//! It expects nothing: that is for [`conntrack`](crate::conntrack).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

/// Connections of the gateway to itself, on which nobody says a word: each can have an expectation
/// in its name, as only a connection with a helper can. When the process dies they are reset, and
/// their expectations go with them once the kernel forgets them: after ten seconds, when it next
/// looks (at most a minute later).
#[derive(Debug)]
pub(super) struct Masters {
    v4: TcpListener,
    v6: Option<TcpListener>,
    pub(super) port: u16,
    pub(super) free: Vec<Master>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Master {
    /// Its two addresses: asking the kernel for them for each pinhole would take longer.
    ends: (SocketAddr, SocketAddr),
    /// Held: their end would be the connection's.
    _sockets: [TcpStream; 2],
}

impl Masters {
    pub(super) fn new() -> io::Result<Self> {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = v4.local_addr()?.port();
        // A host without IPv6 has no clients of it.
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).ok();
        Ok(Self { v4, v6, port, free: Vec::new() })
    }

    /// One of the peer's family.
    pub(super) fn take(&mut self, peer: IpAddr) -> io::Result<Master> {
        let fits = |master: &Master| master.ends.1.is_ipv4() == peer.is_ipv4();
        if let Some(index) = self.free.iter().position(fits) {
            return Ok(self.free.swap_remove(index));
        }
        let listener = match (peer, &self.v6) {
            (IpAddr::V4(_), _) => &self.v4,
            (IpAddr::V6(_), Some(listener)) => listener,
            (IpAddr::V6(_), None) => return Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        let near = TcpStream::connect(listener.local_addr()?)?;
        let wanted = near.local_addr()?;
        let far = loop {
            let (far, from) = listener.accept()?;
            // Somebody else on this host.
            if from == wanted {
                break far;
            }
        };
        for end in [&near, &far] {
            SockRef::from(end).set_linger(Some(Duration::ZERO))?;
        }
        Ok(Master { ends: (wanted, near.peer_addr()?), _sockets: [near, far] })
    }
}

impl Master {
    pub(super) const fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        Some(self.ends)
    }
}
