//! The data connection: what is set up, who may be at its other end, and how far it has come.
//!
//! It opens nothing: a session asks it what is allowed and tells it what happened.

pub mod door;

use core::net::{IpAddr, SocketAddr};

use crate::reason::Reason;
use crate::scope::Scope;

/// What the last data set-up command prepared for the next transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    /// Nothing: a transfer verb is refused.
    #[default]
    Idle,
    /// PASV or EPSV: the server listens.
    Offered {
        /// Whether the client's connection has come already. It may come before the transfer verb,
        /// after it, or only once the client has read the 150.
        arrived: bool,
    },
    /// PORT or EPRT: the address is kept, and dialled only by a transfer verb (RFC 2577 §3: a
    /// server that connects at PORT scans ports for whoever asks).
    Aimed(SocketAddr),
}

/// The lowest port that PORT and EPRT may name (RFC 2577 §3).
pub const LOWEST_PORT: u16 = 1024;

/// What is done where PORT or EPRT names an address of the client's own network, which is not the one
/// that the client has here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActivePrivate {
    /// It is refused.
    #[default]
    Refuse,
    /// The address of the control connection is dialled instead, at the port that was named.
    UsePeer,
}

/// What is dialled for a PORT or EPRT that names `target`, on a control connection from
/// `control_peer`. The answer is the same whatever listens at the target.
///
/// # Errors
/// The reason for the refusal.
pub fn check_target(
    target: SocketAddr,
    control_peer: IpAddr,
    foreign: bool,
    private: ActivePrivate,
) -> Result<SocketAddr, Reason> {
    let peer = control_peer.to_canonical();
    let is_own = target.ip().to_canonical() == peer;
    let is_private = Scope::of(target.ip()).is_inner();
    let target = match (is_own || foreign, is_private, private) {
        (true, ..) => target,
        (_, true, ActivePrivate::UsePeer) => SocketAddr::new(peer, target.port()),
        (_, true, ActivePrivate::Refuse) => return Err(Reason::PrivateAddress),
        (_, false, _) => return Err(Reason::ForeignAddress),
    };
    if target.port() < LOWEST_PORT { Err(Reason::PrivilegedPort) } else { Ok(target) }
}

/// Whether a connection to the passive port is the client's: it comes from the address of the
/// control connection. A stranger is closed and the port keeps waiting.
#[must_use]
pub fn is_client(data_peer: IpAddr, control_peer: IpAddr, foreign: bool) -> bool {
    foreign || data_peer.to_canonical() == control_peer.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_host_and_a_low_port_are_refused() {
        let peer: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        let check = |target: &str, foreign| {
            let target: SocketAddr = target.parse().unwrap();
            let dialled = check_target(target, peer, foreign, ActivePrivate::Refuse);
            dialled.map(|dialled| assert_eq!(dialled, target))
        };
        assert_eq!(check("192.0.2.7:1024", false), Ok(()));
        assert_eq!(check("192.0.2.7:1023", false), Err(Reason::PrivilegedPort));
        assert_eq!(check("192.0.2.8:1023", false), Err(Reason::ForeignAddress));
        assert_eq!(check("192.168.0.107:2000", false), Err(Reason::PrivateAddress));
        assert_eq!(check("192.0.2.8:2000", true), Ok(()));
        assert_eq!(check("192.0.2.8:25", true), Err(Reason::PrivilegedPort));
        assert!(is_client("192.0.2.7".parse().unwrap(), peer, false));
        assert!(!is_client("192.0.2.8".parse().unwrap(), peer, false));
    }

    #[test]
    fn a_private_address_can_stand_for_the_peer_and_a_public_one_never() {
        let peer: IpAddr = "218.2.135.1".parse().unwrap();
        let check = |target: &str| {
            check_target(target.parse().unwrap(), peer, false, ActivePrivate::UsePeer)
        };
        assert_eq!(check("192.168.0.107:2000"), Ok("218.2.135.1:2000".parse().unwrap()));
        assert_eq!(check("192.168.0.107:25"), Err(Reason::PrivilegedPort));
        assert_eq!(check("203.0.113.9:2000"), Err(Reason::ForeignAddress));
    }
}
