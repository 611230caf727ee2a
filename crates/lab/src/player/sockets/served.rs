//! A real server for one session: its configuration from what the file sets up, its files on a disk.
//!
//! What no configuration can bring about (faults, a full disk) is not played on sockets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use twoport_server::accounts::Accounts;
use twoport_server::accounts::hash::PasswordHash;
use twoport_server::accounts::password::Password;
use twoport_server::config::Draft;
use twoport_server::config::account::AccountEntry;
use twoport_server::config::problem::Place;
use twoport_server::config::settings::Setting;
use twoport_server::{Handle, Server};

use crate::player::Step;
use crate::player::ledger::Ledger;

/// A server that runs as long as it is held.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) handle: Handle,
    _runtime: Runtime,
}

/// Hashing a password is slow on purpose; the files have few of them.
static HASHES: Mutex<BTreeMap<Vec<u8>, PasswordHash>> = Mutex::new(BTreeMap::new());

impl Served {
    pub(super) fn new(ledger: &Ledger, local: IpAddr) -> Step<Self> {
        let mut draft = Draft::new();
        let root = ledger.directory.as_ref().ok_or("the files are on no disk")?;
        draft.set_root(root.path().to_path_buf());
        for (key, value) in settings(ledger, local) {
            draft.set(Setting::find(key).ok_or_else(|| format!("no setting {key}"))?, &value);
        }
        for account in &ledger.accounts {
            let name =
                String::from_utf8(account.name.clone()).map_err(|error| error.to_string())?;
            let entry = AccountEntry::new(name, hash(&account.password)?, Place::CommandLine);
            draft.set_account(AccountEntry { permissions: ledger.permissions, ..entry });
        }
        let (config, _) = draft.finish().map_err(|problems| problems.to_string())?;
        let (accounts, _) = Accounts::load(&config).map_err(|problems| problems.to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let entered = runtime.enter();
        let server = Server::bind(config, accounts).map_err(|error| error.to_string())?;
        let address = *server.addresses().first().ok_or("the server listens nowhere")?;
        let handle = server.handle();
        drop(runtime.spawn(server.run()));
        drop(entered);
        Ok(Self { address, handle, _runtime: runtime })
    }
}

fn settings(ledger: &Ledger, local: IpAddr) -> Vec<(&'static str, String)> {
    let policy = &ledger.policy;
    let time = |time: Duration| format!("{}ms", time.as_millis());
    let mut settings = vec![
        ("listen", SocketAddr::new(local, 0).to_string()),
        ("idle-timeout", time(policy.idle_timeout)),
        ("login-timeout", time(policy.login_timeout)),
        ("data-timeout", time(policy.data_timeout)),
        ("login-delay", time(policy.login_delay)),
        ("login-attempts", policy.login_attempts.to_string()),
        ("active", policy.active.to_string()),
        ("listing-limit", ledger.listing_limit.to_string()),
        ("ascii-size-limit", ledger.ascii_size_limit.to_string()),
        ("durable", "false".into()),
        // The port below a random one is nothing that a session could name.
        ("active-source-port", "any".into()),
    ];
    if ledger.anonymous {
        settings.push(("anonymous", "read".into()));
    }
    if let Some(longest) = policy.session_timeout {
        settings.push(("session-timeout", time(longest)));
    }
    settings
}

fn hash(password: &[u8]) -> Step<PasswordHash> {
    let mut hashes = HASHES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(hash) = hashes.get(password) {
        return Ok(hash.clone());
    }
    let hash = PasswordHash::of(&Password::new(password)).map_err(|error| error.to_string())?;
    hashes.insert(password.to_vec(), hash.clone());
    Ok(hash)
}
