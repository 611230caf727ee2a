//! What all sessions of a server share at a time: the configuration made into things.
//!
//! A reload makes a new one; sessions keep the one they began with.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use twoport_net::clock;
use twoport_net::data::pool::Pool;
use twoport_net::data::ports::Ports;
use twoport_net::nft::Gate;
use twoport_net::tls::keys::TicketKeys;
use twoport_net::tls::tickets::Binder;
use twoport_proto::server::Policy;

use crate::accounts::{Account, Accounts};
use crate::config::listener::Door;
use crate::config::networks::Networks;
use crate::config::words::{ActiveSource, ForeignData, OpenFirewall, Passive};
use crate::config::{self, Config, settings};
use crate::limits::Most;
use crate::log::Xferlog;
use crate::outside::{Outside, POOL};
use crate::session::source::Bindable;
use crate::storage::disk::Options;
use crate::storage::owners::Owners;
use crate::storage::{Disk, Storage};
use crate::tls::{self, Tls};
use crate::world::World;

/// How many passwords are checked at a time. Origin: each takes 19 MiB and a core while it lasts.
const CHECKS: usize = 4;

/// A configuration in force.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The rules of a session, at each door.
    policies: HashMap<Door, Arc<Policy>>,
    /// Who may log in.
    pub accounts: Arc<Accounts>,
    /// The passive ports.
    pub pool: Pool,
    /// How many sessions there may be.
    pub most: Most,
    /// How long a transfer may move no byte.
    pub stall_timeout: Duration,
    /// How often a quiet control connection is probed.
    pub keep_alive: Duration,
    /// What clients are told about where to connect.
    pub outside: Outside,
    /// Which port active connections shall come from.
    pub active_source: ActiveSource,
    /// Which ports they may come from.
    pub(crate) bindable: Arc<Bindable>,
    /// TLS, where it is on.
    pub tls: Option<Tls>,
    /// What binds its tickets to sessions.
    pub binder: Option<Arc<Binder>>,
    /// What opens the passive ports on this host, where they are closed.
    pub gate: Option<Gate>,
    /// Whose connections begin with a PROXY header.
    pub trusted_proxies: Networks,
    /// The transfers' own log.
    pub xferlog: Option<Arc<Xferlog>>,
    /// Bounds the checks of passwords that run at a time.
    pub checks: Arc<Semaphore>,
    config: Arc<Config>,
    owners: Arc<Owners>,
    disks: Arc<Mutex<HashMap<PathBuf, Disk>>>,
    /// What accounts can reach that logged in before.
    worlds: Arc<Mutex<HashMap<String, World>>>,
    /// Whether somebody said which passive ports are open, or a router opens them.
    ports_are_known: bool,
}

impl Serving {
    /// Puts a configuration into force, as far as that is not the listener's. `former` keeps its
    /// ledger of ports if the range is the same: leases are out.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn new(config: Config, accounts: Accounts, former: Option<&Self>) -> io::Result<Self> {
        let config = match former {
            Some(former) => config.with_doors_of(&former.config),
            None => config,
        };
        let range = passive_range(&config);
        let proxies = config.server.trusted_proxies.clone();
        let pool = match former {
            Some(former)
                if passive_range(&former.config) == range && former.trusted_proxies == proxies =>
            {
                former.pool.clone()
            }
            _ => {
                let trusted = Arc::new(move |address| proxies.contain(address));
                Pool::new(Ports::new(range.low..=range.high), trusted)
            }
        };
        let xferlog = config.log.xferlog.as_deref().map(Xferlog::open).transpose()?.map(Arc::new);
        let tls = Tls::load(&config, &accounts)?;
        let limits = &config.limits;
        Ok(Self {
            policies: policies(&config),
            accounts: Arc::new(accounts),
            pool,
            most: Most {
                sessions: limits.max_sessions,
                sessions_per_ip: limits.max_sessions_per_ip,
                unauthenticated: limits.max_unauthenticated,
                unauthenticated_per_ip: limits.max_unauthenticated_per_ip,
            },
            stall_timeout: config.timeouts.stall_timeout,
            keep_alive: config.timeouts.keep_alive,
            outside: Outside::new(&config, former.map(|former| &former.outside)),
            active_source: config.data.active_source_port,
            bindable: Arc::default(),
            gate: gate(&config, former)?,
            trusted_proxies: config.server.trusted_proxies.clone(),
            tls,
            binder: binder(&config, former)?,
            xferlog,
            checks: Arc::new(Semaphore::new(CHECKS)),
            owners: Arc::new(Owners::of_host()),
            disks: Arc::default(),
            worlds: Arc::default(),
            ports_are_known: config.data.open_firewall == OpenFirewall::Pcp
                || !config.data.public_ports.0.is_empty()
                || config.data.passive_ports != Config::default().data.passive_ports,
            config: Arc::new(config),
        })
    }

    /// The rules of a session that comes in by this door, between these ends; none where the
    /// configuration has no such door.
    #[must_use]
    pub fn policy(&self, door: &Door, local: IpAddr, client: IpAddr) -> Option<Arc<Policy>> {
        let policy = self.policies.get(door)?;
        let data_on_control_port = self.takes_data_on_control_port(local, client);
        if policy.data_on_control_port == data_on_control_port {
            return Some(Arc::clone(policy));
        }
        Some(Arc::new(Policy { data_on_control_port, ..Policy::clone(policy) }))
    }

    /// The same with other certificates.
    #[must_use]
    pub(crate) fn with_tls(&self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self.clone() }
    }

    /// Whether the passive data connections of a client come to the control port: always, never, or
    /// because nothing else is open. Without a configured range a NAT forwards none, and a router
    /// takes a moment to map one; elsewhere it shows in what becomes of offers.
    #[must_use]
    pub fn takes_data_on_control_port(&self, local: IpAddr, client: IpAddr) -> bool {
        match self.config.data.passive {
            Passive::Ports => false,
            Passive::ControlPort => true,
            Passive::Auto => match self.outside.evidence().of(client) {
                Some(reached) => !reached,
                None => {
                    let is_open = self.ports_are_known && self.outside.is_mapped();
                    !is_open && Outside::is_translated(local, client)
                }
            },
        }
    }

    /// What an account can reach. Blocks.
    ///
    /// # Errors
    /// Its root is gone.
    pub fn world(&self, account: &Account) -> io::Result<World> {
        if let Some(known) = self.known_world(account) {
            return Ok(known);
        }
        let storage: Arc<dyn Storage> = Arc::new(self.disk(account)?);
        let world = World {
            storage,
            permissions: account.permissions,
            owners: Arc::clone(&self.owners),
            listing_limit: self.config.limits.listing_limit,
            ascii_size_limit: self.config.limits.ascii_size_limit.0,
            careful: self.config.storage.durable,
            today: clock::today,
        };
        let mut worlds = self.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        worlds.insert(account.name.clone(), world.clone());
        Ok(world)
    }

    /// What an account can reach if it logged in before: its sessions share it.
    #[must_use]
    pub fn known_world(&self, account: &Account) -> Option<World> {
        let worlds = self.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        worlds.get(&account.name).cloned()
    }

    /// The disks of all accounts, for sweeping. Blocks.
    #[must_use]
    pub fn disks(&self) -> Vec<Disk> {
        let roots: HashMap<_, _> = self.accounts.all().map(|a| (a.root.clone(), a)).collect();
        roots.values().filter_map(|account| self.disk(account).ok()).collect()
    }

    /// How long parts of cut uploads are kept.
    #[must_use]
    pub fn partial_keep(&self) -> Duration {
        self.config.storage.partial_keep
    }

    /// The configuration it was made from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same, to hold on to: each reload makes another.
    pub(crate) const fn shared_config(&self) -> &Arc<Config> {
        &self.config
    }

    fn disk(&self, account: &Account) -> io::Result<Disk> {
        let storage = &self.config.storage;
        let options = Options {
            links: storage.links,
            durable: storage.durable,
            file_mode: 0o666 & !storage.umask.0,
            directory_mode: 0o777 & !storage.umask.0,
            keep: storage.partial_keep,
            account: account.name.as_bytes().to_vec(),
            ..Options::default()
        };
        let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(disk) = disks.get(&account.root) {
            return Ok(disk.with_options(options));
        }
        let disk = Disk::open(&account.root, options)?;
        disks.insert(account.root.clone(), disk.clone());
        Ok(disk)
    }
}

/// The former one if the file of its keys is the same: tickets are out.
fn binder(config: &Config, former: Option<&Serving>) -> io::Result<Option<Arc<Binder>>> {
    if !tls::is_on(config) {
        return Ok(None);
    }
    let file = config.tls.ticket_keys.clone();
    match former.and_then(|former| former.binder.as_ref()) {
        Some(binder) if binder.keys().file() == file.as_deref() => {
            binder.keys().turn()?;
            Ok(Some(Arc::clone(binder)))
        }
        _ => Ok(Some(Arc::new(Binder::new(TicketKeys::new(file)?)))),
    }
}

/// The passive ports that are used: of those on a router only what is mapped there.
fn passive_range(config: &Config) -> config::ports::Ports {
    let all = config.data.passive_ports;
    if config.data.open_firewall == OpenFirewall::Pcp { all.pool(POOL) } else { all }
}

/// The ports that were closed before stay closed: sessions of an older configuration use them.
fn gate(config: &Config, former: Option<&Serving>) -> io::Result<Option<Gate>> {
    if config.data.open_firewall != OpenFirewall::Nft {
        return Ok(None);
    }
    let range = config.data.passive_ports.range();
    let gate = match former.and_then(|former| former.gate.clone()) {
        Some(gate) => gate.close_also(range).map(|()| gate),
        None => Gate::close(range),
    };
    let wrong = |error: io::Error| {
        let what = format!("open-firewall: nftables cannot close the passive ports: {error}");
        io::Error::new(error.kind(), what)
    };
    gate.map(Some).map_err(wrong)
}

fn policies(config: &Config) -> HashMap<Door, Arc<Policy>> {
    let doors = config.doors().into_iter();
    doors.map(|(door, tls)| (door, Arc::new(policy(config, tls)))).collect()
}

fn policy(config: &Config, tls: &settings::Tls) -> Policy {
    let (timeouts, limits, data) = (&config.timeouts, &config.limits, &config.data);
    Policy {
        greeting: config.server.banner.clone().into_bytes(),
        idle_timeout: timeouts.idle_timeout,
        login_timeout: timeouts.login_timeout,
        session_timeout: timeouts.session_timeout,
        data_timeout: timeouts.data_timeout,
        login_attempts: limits.login_attempts,
        login_delay: limits.login_delay.unwrap_or_default(),
        login_delay_max: limits.login_delay_max,
        active: data.active,
        foreign_data: data.foreign_data == ForeignData::Allow,
        active_private: data.active_private,
        data_on_control_port: data.passive == Passive::ControlPort,
        tls: tls::requirement(tls),
        data_tls: tls.data_tls.into(),
        clear_commands: tls.clear_commands,
        ..Policy::default()
    }
}
