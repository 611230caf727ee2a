//! Who is asked for the outer address, and in which order: the reflector that was configured, the
//! router, the cloud.
//!
//! What is announced to whom is not decided here.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use twoport_net::mapping::{Protocol, Router, route};
use twoport_proto::scope::Scope;

use super::cloud;
use twoport_net::reflect::Reflector;

/// How long a router may take to be found. Origin: four requests of NAT-PMP take 3.75 s.
const PATIENCE: Duration = Duration::from_secs(4);

/// Who told the outer address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configured reflector.
    Reflector,
    /// The router, in its protocol.
    Router(Protocol),
    /// The cloud's metadata service.
    Cloud,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reflector => f.write_str("the reflector"),
            Self::Router(protocol) => write!(f, "the router by {protocol}"),
            Self::Cloud => f.write_str("the cloud's metadata"),
        }
    }
}

/// The outer address, by whoever tells it first in the order of trust.
pub(super) async fn outer(own: &[IpAddr], ask: Option<&Reflector>) -> Option<(IpAddr, Source)> {
    if let Some(reflector) = ask {
        match reflector.ask().await {
            Ok(address) => return Some((address, Source::Reflector)),
            Err(error) => {
                let reflector = &reflector.address;
                tracing::warn!(target: "twoport", reflector, %error, "the reflector does not answer");
            }
        }
    }
    let (cloud, router) = tokio::join!(cloud::address(), router(own));
    let cloud = cloud.map(|address| (address, Source::Cloud));
    // A router that has itself a private address outside is not the last one.
    let is_outermost = |(address, _): &(IpAddr, Source)| !Scope::of(*address).is_inner();
    router.filter(is_outermost).or(cloud).or(router)
}

async fn router(own: &[IpAddr]) -> Option<(IpAddr, Source)> {
    let local = route::local_v4().ok().filter(|local| own.contains(local))?;
    let router = Router::discover(local, PATIENCE).await.ok()?;
    let address = router.external_address().await.ok().filter(IpAddr::is_ipv4)?;
    (!address.is_unspecified()).then(|| (address, Source::Router(router.protocol())))
}

/// The IPv4 address of a name; the system's resolver also reads the hosts file, and tells no TTL.
pub(super) async fn resolve(name: &str) -> io::Result<IpAddr> {
    let mut all = tokio::net::lookup_host((name, 0)).await?;
    let found = all.find(SocketAddr::is_ipv4).map(|address| address.ip());
    found.ok_or_else(|| io::Error::other("it has no IPv4 address"))
}
