//! UPnP's Internet Gateway Device, through the crate `igd-next`.
//!
//! IPv4 only: the holes of IPv6 firewalls are asked for by PCP.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{AddPortError, GatewayIpVersion, PortMappingProtocol, SearchOptions};

use super::{Granted, MappingError};

/// The name of the mapping in the router's list.
const DESCRIPTION: &str = "twoport";

/// The own address, and a router that was found.
#[derive(Clone, Debug)]
pub(super) struct Upnp {
    local: IpAddr,
    gateway: Arc<Gateway<Tokio>>,
}

impl Upnp {
    pub(super) async fn discover(local: IpAddr, patience: Duration) -> Result<Self, MappingError> {
        let mut options = SearchOptions::default();
        options.bind_addr = SocketAddr::new(local, 0);
        options.timeout = Some(patience);
        options.gateway_ip_version = GatewayIpVersion::V4;
        let found = search_gateway(options).await;
        let gateway = found.map_err(|error| MappingError::silent(format!("UPnP: {error}")))?;
        Ok(Self { local, gateway: Arc::new(gateway) })
    }

    pub(super) async fn external_address(&self) -> Result<IpAddr, MappingError> {
        let address = self.gateway.get_external_ip().await;
        address.map_err(|error| MappingError::refused(format!("UPnP: {error}")))
    }

    pub(super) async fn map(
        &self,
        internal: u16,
        external: u16,
        lifetime: Duration,
    ) -> Result<Granted, MappingError> {
        let address = self.external_address().await?;
        let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).max(1);
        let own = SocketAddr::new(self.local, internal);
        let first = self.add(external, own, seconds).await;
        let mapped = match first {
            Err(AddPortError::OnlyPermanentLeasesSupported) => self.add(external, own, 0).await,
            other => other,
        };
        let port = match mapped {
            Ok(()) => external,
            Err(AddPortError::PortInUse) => {
                let tcp = PortMappingProtocol::TCP;
                let any = self.gateway.add_any_port(tcp, own, seconds, DESCRIPTION).await;
                any.map_err(|error| MappingError::refused(format!("UPnP: {error}")))?
            }
            Err(error) => return Err(MappingError::refused(format!("UPnP: {error}"))),
        };
        let external = SocketAddr::new(address, port);
        Ok(Granted { external, lifetime: Duration::from_secs(seconds.into()) })
    }

    async fn add(&self, external: u16, own: SocketAddr, lease: u32) -> Result<(), AddPortError> {
        self.gateway.add_port(PortMappingProtocol::TCP, external, own, lease, DESCRIPTION).await
    }

    /// Whether the router heard it does not matter: the mapping ends by itself, too.
    pub(super) async fn end(&self, external: u16) {
        let _heard: Result<(), _> =
            self.gateway.remove_port(PortMappingProtocol::TCP, external).await;
    }
}
