//! The data connection: what is set up, who may be at its other end, and how far it has come.
//!
//! It opens nothing: a session asks it what is allowed and tells it what happened.

use core::net::{IpAddr, SocketAddr};

use crate::reason::Reason;

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

/// Whether PORT or EPRT may name `target` on a control connection from `control_peer`. The answer
/// is the same whatever listens at the target.
///
/// # Errors
/// The reason for the refusal.
pub fn check_target(target: SocketAddr, control_peer: IpAddr, foreign: bool) -> Result<(), Reason> {
    if !foreign && target.ip().to_canonical() != control_peer.to_canonical() {
        Err(Reason::ForeignAddress)
    } else if target.port() < LOWEST_PORT {
        Err(Reason::PrivilegedPort)
    } else {
        Ok(())
    }
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
        let check = |target: &str, foreign| check_target(target.parse().unwrap(), peer, foreign);
        assert_eq!(check("192.0.2.7:1024", false), Ok(()));
        assert_eq!(check("192.0.2.7:1023", false), Err(Reason::PrivilegedPort));
        assert_eq!(check("192.0.2.8:1023", false), Err(Reason::ForeignAddress));
        assert_eq!(check("192.0.2.8:2000", true), Ok(()));
        assert_eq!(check("192.0.2.8:25", true), Err(Reason::PrivilegedPort));
        assert!(is_client("192.0.2.7".parse().unwrap(), peer, false));
        assert!(!is_client("192.0.2.8".parse().unwrap(), peer, false));
    }
}
