//! Pinholes: the opening that one data connection needs, as a transaction.
//!
//! How it is opened (a rule of the kernel, an expectation, a socket) is the driver's matter; when it
//! may be opened, for whom and how long, is decided here.

use core::net::SocketAddr;
use core::time::Duration;

/// How long an opening stays that nobody uses. Origin: data connections come within a second of
/// their command; the Linux helper's 300 s and OpenBSD's 30 s are the range in use.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// An opening of this session, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoleId(pub u64);

/// What the peer on one leg does about the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It connects: to a door that the driver names.
    Dials,
    /// It listens at this address: only there may the driver, or the other peer, connect.
    Listens(SocketAddr),
    /// It has no part in it any more: the gateway holds what it has sent, found clean.
    Kept,
}

/// One opening: who connects to whom.
///
/// `Dials` and `Listens` is the passive or active connection of one mode; two that listen, or two
/// that dial, come from a translation of modes and need a relay between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The client's side.
    pub client: Side,
    /// The server's side.
    pub server: Side,
}

impl Hole {
    /// Whether the client listens and the server connects, as PORT and EPRT have it.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!((self.client, self.server), (Side::Listens(_), Side::Dials))
    }

    /// Whether nobody connects but the gateway.
    #[must_use]
    pub const fn is_dialled(&self) -> bool {
        matches!((self.client, self.server), (Side::Listens(_), Side::Listens(_)))
    }
}

/// Where the peers that dial have to dial: as they see it, from their own leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doors {
    /// What is told to the client in 227 or 229.
    pub client: Option<SocketAddr>,
    /// What is told to the server in PORT or EPRT.
    pub server: Option<SocketAddr>,
}
