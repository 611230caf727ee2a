//! What the server knows of its outside: which address and port a client must be told, and who can
//! reach it how.
//!
//! It asks around in the background; what is not known yet is announced as it is without NAT.

mod cloud;
pub(crate) mod evidence;
mod find;
mod mapped;
mod reach;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use twoport_proto::addr::Family;
use twoport_proto::scope::Scope;

use crate::config::Config;
use crate::config::public::{Announced, PublicAddress, PublicPorts};
use crate::config::words::OpenFirewall;
use crate::tls::state_directory;
use evidence::Evidence;
use mapped::Mapped;
pub(crate) use mapped::POOL;

pub use find::Source;

/// How often names and the outer address are looked up again. Origin: the usual TTL of dynamic DNS,
/// since the system's resolver does not tell it; home routers get a new address once a day.
const AGAIN: Duration = Duration::from_secs(60);

/// How soon the outer address is looked for again if nobody told it. Origin: a router that starts
/// together with the server takes a minute.
const SOON: Duration = Duration::from_secs(15);

/// The outside of a configuration. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Outside(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rules: PublicAddress,
    /// Under TLS, where no box in the network can read or rewrite what is announced.
    rules_tls: PublicAddress,
    ports: PublicPorts,
    known: Mutex<Known>,
    told: Mutex<Option<Known>>,
    mapped: Option<Arc<Mapped>>,
    /// In IPv6, where the router only lets in.
    let_in: Option<Arc<Mapped>>,
    evidence: Arc<Evidence>,
}

/// What was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    names: HashMap<String, IpAddr>,
    outer: Option<(IpAddr, Source)>,
}

impl Outside {
    /// That of a configuration; what a former one knew of the outer address still counts.
    #[must_use]
    pub fn new(config: &Config, former: Option<&Self>) -> Self {
        let data = &config.data;
        let rules = data.public_address.clone();
        let rules_tls = match data.public_address_tls.0.is_empty() {
            true => rules.clone(),
            false => data.public_address_tls.clone(),
        };
        let known = former.map(Self::known).unwrap_or_default();
        let mapped = |family, former: Option<Arc<Mapped>>| match data.open_firewall {
            OpenFirewall::Pcp => Some(former.unwrap_or_else(|| {
                let directory = state_directory(&config.tls);
                Arc::new(Mapped::new(family, &directory, data.passive_ports.low))
            })),
            OpenFirewall::Off | OpenFirewall::Nft => None,
        };
        Self(Arc::new(Inner {
            rules,
            rules_tls,
            ports: data.public_ports.clone(),
            known: Mutex::new(known),
            told: Mutex::default(),
            mapped: mapped(Family::V4, former.and_then(|former| former.0.mapped.clone())),
            let_in: mapped(Family::V6, former.and_then(|former| former.0.let_in.clone())),
            evidence: former.map(|former| Arc::clone(&former.0.evidence)).unwrap_or_default(),
        }))
    }

    /// What data connections have shown of the way in.
    pub(crate) fn evidence(&self) -> &Evidence {
        &self.0.evidence
    }

    /// Whether the router has opened the passive ports, where that is its task.
    pub(crate) fn is_mapped(&self) -> bool {
        self.0.mapped.as_ref().is_none_or(|mapped| mapped.is_whole())
    }

    /// Whether a box translates between this client and the server, as far as addresses tell.
    pub(crate) const fn is_translated(local: IpAddr, client: IpAddr) -> bool {
        !local.is_ipv6() && !is_near(local, client)
    }

    /// What a client is told: `local` is where its control connection arrived and `port` the passive
    /// port. EPSV says only the port of it.
    #[must_use]
    pub fn announce(&self, local: IpAddr, client: IpAddr, tls: bool, port: u16) -> SocketAddr {
        let rules = if tls { &self.0.rules_tls } else { &self.0.rules };
        let known = self.known();
        let found = match rules.of(client) {
            // PASV carries IPv4 only, and IPv6 needs no translation.
            _ if local.is_ipv6() => None,
            Announced::Address(address) => Some(*address),
            Announced::Name(name) => known.names.get(name).copied(),
            Announced::Auto if is_near(local, client) => None,
            Announced::Auto => known.outer.map(|(address, _)| address),
        };
        let mapped = self.0.mapped.as_ref().and_then(|mapped| mapped.of(port));
        let moved = mapped.map_or_else(|| self.0.ports.of(port), |outer| outer.port());
        match (found.filter(|address| address.is_ipv4() && *address != local), mapped) {
            (Some(address), _) => SocketAddr::new(address, moved),
            (None, _) if is_near(local, client) || local.is_ipv6() => SocketAddr::new(local, port),
            (None, Some(outer)) => outer,
            // Nobody knows the outer address; a client that looks at the port alone arrives.
            (None, None) => SocketAddr::new(local, moved),
        }
    }

    /// Ends the mappings on the router.
    pub(crate) async fn release(&self) {
        for mapped in [&self.0.mapped, &self.0.let_in].into_iter().flatten() {
            mapped.release().await;
        }
    }

    fn known(&self) -> Known {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what is known up to date, and tells what it means, at first and at each change.
    pub(crate) async fn watch(&self, config: &Config, listening: &[SocketAddr]) {
        let own = reach::own_addresses(listening);
        let mapping = async |mapped: &Option<Arc<Mapped>>| {
            if let Some(mapped) = mapped {
                let controls = listening.iter().map(SocketAddr::port);
                let passive = config.data.passive_ports.pool(POOL).usable();
                let ports: BTreeSet<u16> = controls.chain(passive).collect();
                mapped.keep(&own, &Vec::from_iter(ports)).await;
            }
        };
        tokio::join!(mapping(&self.0.mapped), mapping(&self.0.let_in), self.look(config, &own));
    }

    async fn look(&self, config: &Config, own: &[IpAddr]) {
        let is_translated = own.iter().any(|address| address.is_ipv4())
            && own
                .iter()
                .filter(|address| address.is_ipv4())
                .all(|address| may_be_translated(*address));
        let needs_outer = is_translated && (self.0.rules.has_auto() || self.0.rules_tls.has_auto());
        loop {
            let mut known = self.known();
            for name in self.0.rules.names().chain(self.0.rules_tls.names()) {
                match find::resolve(name).await {
                    Ok(address) => drop(known.names.insert(name.to_owned(), address)),
                    Err(error) => {
                        tracing::warn!(target: "twoport", name, %error, "public-address: the name has no address; the last one known is announced");
                    }
                }
            }
            if needs_outer {
                known.outer =
                    find::outer(own, config.data.reflector.as_ref()).await.or(known.outer);
            }
            let is_unknown = needs_outer && known.outer.is_none();
            *self.0.known.lock().unwrap_or_else(PoisonError::into_inner) = known.clone();
            let told =
                self.0.told.lock().unwrap_or_else(PoisonError::into_inner).replace(known.clone());
            if told.as_ref() != Some(&known) {
                reach::tell(config, own, &known, needs_outer);
            }
            sleep(if is_unknown { SOON } else { AGAIN }).await;
        }
    }
}

/// Whether a client sees the server under the server's own address: it is in the same network, or the
/// address is one that the whole Internet knows.
const fn is_near(local: IpAddr, client: IpAddr) -> bool {
    !Scope::of(local).is_inner() || Scope::of(client).is_inner()
}

/// An address of a loopback network is nobody's outside.
fn may_be_translated(address: IpAddr) -> bool {
    matches!(Scope::of(address), Scope::Private)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Value as _;
    use std::path::Path;

    fn outside(rules: &str, tls: &str, outer: Option<&str>) -> Outside {
        let mut config = Config::default();
        config.data.public_address = PublicAddress::read(rules, Path::new("")).unwrap();
        config.data.public_address_tls = PublicAddress::read(tls, Path::new("")).unwrap();
        let ports = "50000-50100=40000-40100";
        config.data.public_ports = PublicPorts::read(ports, Path::new("")).unwrap();
        let outside = Outside::new(&config, None);
        let outer = outer.map(|address| (address.parse().unwrap(), Source::Reflector));
        outside.0.known.lock().unwrap().outer = outer;
        outside
    }

    fn told(outside: &Outside, local: &str, client: &str, tls: bool) -> String {
        let (local, client) = (local.parse().unwrap(), client.parse().unwrap());
        outside.announce(local, client, tls, 50_001).to_string()
    }

    #[test]
    fn auto_tells_each_client_what_it_can_reach() {
        let known = outside("auto", "", Some("203.0.113.10"));
        for (local, client, expected) in [
            ("10.0.0.10", "198.51.100.7", "203.0.113.10:40001"),
            ("10.0.0.10", "10.0.0.20", "10.0.0.10:50001"),
            ("10.0.0.10", "192.168.3.4", "10.0.0.10:50001"),
            ("203.0.113.7", "198.51.100.7", "203.0.113.7:50001"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.1:50001"),
            ("2001:db8::1", "2001:db8::2", "[2001:db8::1]:50001"),
        ] {
            assert_eq!(told(&known, local, client, false), expected, "{client}");
        }
        let unknown = outside("auto", "", None);
        assert_eq!(told(&unknown, "10.0.0.10", "198.51.100.7", false), "10.0.0.10:40001");
    }

    #[test]
    fn rules_go_by_the_client_and_tls_has_its_own() {
        let rules = outside("10.0.0.0/8=10.0.0.10,203.0.113.10", "203.0.113.99", None);
        assert_eq!(told(&rules, "10.0.0.10", "10.9.9.9", false), "10.0.0.10:50001");
        assert_eq!(told(&rules, "10.0.0.10", "198.51.100.7", false), "203.0.113.10:40001");
        assert_eq!(told(&rules, "10.0.0.10", "198.51.100.7", true), "203.0.113.99:40001");
        assert_eq!(told(&rules, "2001:db8::1", "2001:db8::2", true), "[2001:db8::1]:50001");
    }
}
