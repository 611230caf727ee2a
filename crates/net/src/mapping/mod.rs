//! Ports of this host on its router: finds the router, asks for its outer address, and has
//! connections to an outer port sent here (PCP, NAT-PMP, UPnP IGD).
//!
//! It watches nothing by itself: who holds a [`Mapping`] renews it, and releases it at the end.
//!
//! ```no_run
//! # async fn example() -> Result<(), twoport_net::mapping::MappingError> {
//! use std::time::Duration;
//! use twoport_net::mapping::{Router, route};
//!
//! let router = Router::discover(route::local_v4()?, Duration::from_secs(3)).await?;
//! let mut mapping = router.map(50_000, None, Duration::from_secs(120)).await?;
//! println!("{} by {}", mapping.external(), router.protocol());
//! mapping.renew().await?;
//! mapping.release().await;
//! # Ok(())
//! # }
//! ```

mod datagram;
pub mod route;
mod upnp;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use twoport_proto::pcp::Nonce;
use twoport_proto::reason::Reason;
use twoport_proto::time::Time;

use crate::clock;
use datagram::Datagram;
use upnp::Upnp;

/// What a router speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RFC 6887.
    Pcp,
    /// RFC 6886.
    NatPmp,
    /// UPnP's Internet Gateway Device.
    Upnp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        })
    }
}

/// Why there is no mapping.
#[derive(Debug)]
pub struct MappingError {
    /// [`Reason::RouterSilent`] or [`Reason::MappingRefused`].
    pub reason: Reason,
    /// What the system or the router said.
    pub detail: String,
}

impl MappingError {
    fn silent(detail: impl Into<String>) -> Self {
        Self { reason: Reason::RouterSilent, detail: detail.into() }
    }

    fn refused(detail: impl Into<String>) -> Self {
        Self { reason: Reason::MappingRefused, detail: detail.into() }
    }
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.describe(), self.detail)
    }
}

impl std::error::Error for MappingError {}

impl From<io::Error> for MappingError {
    fn from(error: io::Error) -> Self {
        Self::silent(error.to_string())
    }
}

/// A router that maps ports. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Router(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Datagram(Datagram),
    Upnp(Upnp),
}

/// A mapped port. It ends by itself when its lifetime is over; dropped without
/// [`release`](Self::release) it is released in the background where a runtime is there.
#[derive(Debug)]
pub struct Mapping {
    router: Router,
    internal: u16,
    nonce: Nonce,
    from: Option<IpAddr>,
    external: SocketAddr,
    lifetime: Duration,
    wished: Duration,
    granted: Time,
    released: bool,
}

/// What is granted for a wish.
struct Granted {
    external: SocketAddr,
    lifetime: Duration,
}

impl Router {
    /// Asks the router of the default route in PCP and NAT-PMP, and all the network around in UPnP;
    /// the first of these, in that order of preference, is taken. `local` is the own address that
    /// shall be reached: an IPv6 one asks for a hole in the router's firewall (PCP only).
    ///
    /// # Errors
    /// There is no default route, or nobody answers within `patience`.
    pub async fn discover(local: IpAddr, patience: Duration) -> Result<Self, MappingError> {
        let gateway = route::gateway(local)?;
        Self::discover_at(local, gateway, patience).await
    }

    /// The same with the router's address given.
    ///
    /// # Errors
    /// As [`discover`](Self::discover).
    pub async fn discover_at(
        local: IpAddr,
        gateway: SocketAddr,
        patience: Duration,
    ) -> Result<Self, MappingError> {
        let asked = Datagram::discover(local, gateway, patience);
        if local.is_ipv6() {
            return asked.await.map(|found| Self(Kind::Datagram(found)));
        }
        let searched = Upnp::discover(local, patience);
        tokio::pin!(asked, searched);
        tokio::select! {
            found = &mut asked => match found {
                Ok(found) => Ok(Self(Kind::Datagram(found))),
                Err(_) => searched.await.map(|found| Self(Kind::Upnp(found))),
            },
            found = &mut searched => match found {
                Ok(found) => match tokio::time::timeout(HEAD_START, asked).await {
                    Ok(Ok(better)) => Ok(Self(Kind::Datagram(better))),
                    _ => Ok(Self(Kind::Upnp(found))),
                },
                Err(_) => asked.await.map(|found| Self(Kind::Datagram(found))),
            },
        }
    }

    /// What it speaks.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match &self.0 {
            Kind::Datagram(datagram) => datagram.protocol,
            Kind::Upnp(_) => Protocol::Upnp,
        }
    }

    /// The outer address. It may itself be private where a second NAT follows.
    ///
    /// # Errors
    /// The router does not tell.
    pub async fn external_address(&self) -> Result<IpAddr, MappingError> {
        match &self.0 {
            Kind::Datagram(datagram) => datagram.external_address().await,
            Kind::Upnp(upnp) => upnp.external_address().await,
        }
    }

    /// Has TCP connections to an outer port sent to the own port `internal`: to the `wished` one,
    /// or to the same number, or to another if that is taken.
    ///
    /// # Errors
    /// The router refuses or is silent.
    pub async fn map(
        &self,
        internal: u16,
        wished: Option<u16>,
        lifetime: Duration,
    ) -> Result<Mapping, MappingError> {
        self.map_from(None, internal, wished, lifetime).await
    }

    /// The same for connections of one host only, if there is one and the router can tell them apart;
    /// else for those of everybody.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub async fn map_from(
        &self,
        from: Option<IpAddr>,
        internal: u16,
        wished: Option<u16>,
        lifetime: Duration,
    ) -> Result<Mapping, MappingError> {
        let nonce = nonce()?;
        let granted = self.ask(internal, wished.unwrap_or(internal), lifetime, nonce, from).await?;
        Ok(Mapping {
            router: self.clone(),
            internal,
            nonce,
            from,
            external: granted.external,
            lifetime: granted.lifetime,
            wished: lifetime,
            granted: clock::now(),
            released: false,
        })
    }

    /// Ends a mapping of an earlier run, as [`Mapping::record`] wrote it down. One that has gone
    /// already is no error.
    pub async fn release_recorded(&self, record: &str) -> bool {
        let Some((internal, external, nonce)) = read_record(record) else { return false };
        self.end(internal, external, nonce).await;
        true
    }

    async fn ask(
        &self,
        internal: u16,
        external: u16,
        lifetime: Duration,
        nonce: Nonce,
        from: Option<IpAddr>,
    ) -> Result<Granted, MappingError> {
        match &self.0 {
            Kind::Datagram(datagram) => {
                datagram.map(internal, external, lifetime, nonce, from).await
            }
            Kind::Upnp(upnp) => upnp.map(internal, external, lifetime).await,
        }
    }

    async fn end(&self, internal: u16, external: u16, nonce: Nonce) {
        match &self.0 {
            Kind::Datagram(datagram) => datagram.end(internal, nonce).await,
            Kind::Upnp(upnp) => upnp.end(external).await,
        }
    }
}

/// How long a router that has answered in UPnP may take for a word in PCP. Origin: PCP takes
/// 11 ms where it is spoken, UPnP reads two documents over HTTP first.
const HEAD_START: Duration = Duration::from_millis(100);

impl Mapping {
    /// The outer address and port.
    #[must_use]
    pub const fn external(&self) -> SocketAddr {
        self.external
    }

    /// The own port.
    #[must_use]
    pub const fn internal(&self) -> u16 {
        self.internal
    }

    /// When to renew it: half of its lifetime is over (RFC 6887 §11.2.1).
    #[must_use]
    pub fn renew_at(&self) -> Time {
        self.granted.after(self.lifetime / 2)
    }

    /// Asks for its lifetime anew. The outer port can have changed, if the router forgot it.
    ///
    /// # Errors
    /// The router refuses or is silent.
    pub async fn renew(&mut self) -> Result<(), MappingError> {
        let port = self.external.port();
        let asked = self.router.ask(self.internal, port, self.wished, self.nonce, self.from);
        let granted = asked.await?;
        self.external = granted.external;
        self.lifetime = granted.lifetime;
        self.granted = clock::now();
        Ok(())
    }

    /// Ends it.
    pub async fn release(mut self) {
        self.released = true;
        self.router.end(self.internal, self.external.port(), self.nonce).await;
    }

    /// What [`Router::release_recorded`] needs after a crash: one line without its end.
    #[must_use]
    pub fn record(&self) -> String {
        let nonce: String = self.nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {} {nonce}", self.internal, self.external.port())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        let (router, nonce) = (self.router.clone(), self.nonce);
        let (internal, external) = (self.internal, self.external.port());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(async move { router.end(internal, external, nonce).await }));
        }
    }
}

fn read_record(record: &str) -> Option<(u16, u16, Nonce)> {
    let mut words = record.split(' ');
    let (internal, external) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let hex = words.next().filter(|hex| hex.len() == 24 && words.next().is_none())?;
    let mut nonce = Nonce::default();
    for (index, byte) in nonce.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some((internal, external, nonce))
}

fn nonce() -> Result<Nonce, MappingError> {
    let mut nonce = Nonce::default();
    getrandom::fill(&mut nonce).map_err(|error| MappingError::silent(error.to_string()))?;
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let nonce = *b"abcdefghijkl";
        let record = "50000 50001 6162636465666768696a6b6c";
        assert_eq!(read_record(record), Some((50_000, 50_001, nonce)));
        for bad in ["", "50000", "50000 50001 61", "50000 70000 6162636465666768696a6b6c"] {
            assert_eq!(read_record(bad), None, "{bad}");
        }
    }
}
