//! What a gateway is made of, as a value that never changes.
//!
//! It reads no files but those of certificates, and only when it is made.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use twoport_net::tls::ALPN;
use twoport_net::tls::connect::Identity;
use twoport_net::tls::keys::TicketKeys;
use twoport_net::tls::tickets::Binder;
use twoport_net::tls::trust::Trust;
use twoport_proto::relay::{Desk, Mode, Policy, Upstream};

use crate::access::Access;
use crate::allow::Allow;
use crate::front::Front;
use crate::pool::{Balance, Health, Server};
use crate::scan::Scanning;
use crate::seat::Seat;

/// The settings of a gateway.
#[derive(Debug)]
pub struct Config {
    /// Where it stands.
    pub seat: Seat,
    /// Where clients connect to, besides what the seat takes.
    pub listen: Vec<SocketAddr>,
    /// Where they ask for servers by SOCKS or CONNECT, in the forward seat.
    pub fronts: Vec<(Front, SocketAddr)>,
    /// The servers behind it; on a router none, where clients dial them by their own addresses. The
    /// next one of a group takes the place of one that cannot be reached.
    pub servers: Vec<Server>,
    /// How clients say for which of them they are meant; none where there is nothing to choose.
    pub desk: Option<Desk>,
    /// Which server of a group they get.
    pub balance: Balance,
    /// How the servers are looked after.
    pub health: Health,
    /// Whether it takes no new sessions.
    pub drain: bool,
    /// Load balancers whose PROXY headers are believed, and demanded.
    pub trusted_proxies: Vec<IpNet>,
    /// Where clients of the forward seat may go.
    pub allow: Vec<Allow>,
    /// Who may use the forward seat; everybody if there are none.
    pub accounts: Option<Accounts>,
    /// Who may go where.
    pub access: Access,
    /// What passes, and how.
    pub policy: Policy,
    /// What scans uploads; the policy says what becomes of them.
    pub scan: Option<Arc<Scanning>>,
    /// Bytes a second that each transfer may have, in either direction.
    pub rate_limit: Option<NonZeroU64>,
    /// Bytes a second that all transfers of one client may have together; one is an address of IPv4 or a
    /// network of 64 bits of IPv6.
    pub client_rate_limit: Option<NonZeroU64>,
    /// The interface on which hosts ask for ports, on a router.
    pub pcp: Option<String>,
    /// Where its program shows metrics.
    pub metrics: Option<SocketAddr>,
    /// TLS towards clients, where it ends here.
    pub client_tls: Option<ClientTls>,
    /// The prefix of 96 bits behind which clients of IPv6 find servers of IPv4 (RFC 6052), in the
    /// clients' seat.
    pub nat64: Option<Ipv6Addr>,
    /// The name that servers' certificates must have, in place of the one that they are dialled by.
    pub server_name: Option<String>,
    /// Whose certificates are believed of servers.
    pub trust: Trust,
    /// Ports for the data connections of clients in passive mode, and of servers in active mode.
    pub data_ports: RangeInclusive<u16>,
    /// Sessions at a time.
    pub max_sessions: usize,
    /// Sessions at a time from one address.
    pub max_sessions_per_ip: usize,
    /// How long a connection to a server may take.
    pub connect_timeout: Duration,
    /// How long a session may be silent while no data flow.
    pub idle_timeout: Duration,
}

impl Config {
    /// Whether the kernel moves the bytes of its transfers, but for those that say otherwise: what is left
    /// are lines.
    #[must_use]
    pub fn leaves_data_to_the_kernel(&self) -> bool {
        let is_watched =
            self.rate_limit.or(self.client_rate_limit).is_some() || self.scan.is_some();
        let is_translated =
            self.nat64.is_some() || !matches!(self.policy.mode, Mode::AsAsked | Mode::Auto);
        let ends_tls = self.client_tls.is_some() || self.policy.upstream == Upstream::Always;
        self.seat.rules().is_some() && !ends_tls && !is_watched && !is_translated
    }

    /// All addresses where it listens, with what is spoken there.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Front, SocketAddr)> {
        let listen = self.listen.iter().map(|address| (Front::Ftp, *address));
        listen.chain(self.fronts.iter().copied())
    }
}

/// Who may use a gateway: a way to ask whether a name and a password are right.
#[derive(Clone)]
pub struct Accounts(Arc<Check>);

/// Whether a name and a password are right.
type Check = dyn Fn(&[u8], &[u8]) -> bool + Send + Sync;

impl Accounts {
    /// Those for which `check` says so. It may take its time: it is asked on a thread of its own.
    pub fn new(check: impl Fn(&[u8], &[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }

    pub(crate) fn has(&self, name: &[u8], password: &[u8]) -> bool {
        (self.0)(name, password)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

/// The certificate that clients see.
#[derive(Clone)]
pub struct ClientTls {
    pub(crate) config: Arc<ServerConfig>,
    /// Binds tickets to sessions.
    pub(crate) binder: Arc<Binder>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

impl ClientTls {
    /// Reads a certificate chain and its key, both in PEM form.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that does not fit.
    pub fn read(certificate: &Path, key: &Path) -> io::Result<Self> {
        let in_file = |error: &dyn fmt::Display| {
            io::Error::other(format!("{}: {error}", certificate.display()))
        };
        let identity = Identity::read(certificate, key).map_err(|error| in_file(&error))?;
        let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(identity.chain, identity.key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    in_file(&format_args!("the key in {} belongs to another one", key.display()))
                }
                error => in_file(&error),
            })?;
        tls.alpn_protocols = ALPN.iter().map(|protocol| protocol.to_vec()).collect();
        let binder = Binder::new(TicketKeys::new(None)?);
        Ok(Self { config: Arc::new(tls), binder: Arc::new(binder) })
    }
}
