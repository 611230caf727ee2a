//! What a session file sets up, gathered: who may log in, what is stored, which rules hold.
//!
//! Each stage builds its world from it.

use std::net::IpAddr;
use std::sync::Arc;

use tempfile::TempDir;
use twoport_proto::path::VirtualPath;
use twoport_proto::reason::Reason;
use twoport_proto::server::{Grant, Outcome, Policy};
use twoport_proto::time::Timestamp;
use twoport_proto::verb::Permissions;
use twoport_server::storage::disk::Options;
use twoport_server::storage::{Disk, Memory, Storage, Upload};

use super::Step;
use crate::script::{Captures, Rule, Script, Setup, Term};

/// When files were changed, unless a `modified` says otherwise: 2020-01-02 03:04:05.
const MODIFIED: Timestamp = Timestamp::from_seconds(1_577_934_245);

/// Somebody who may log in.
pub(crate) struct Account {
    pub(crate) name: Vec<u8>,
    pub(crate) password: Vec<u8>,
    terms: Vec<Term>,
}

/// What a session file sets up.
pub(crate) struct Ledger {
    pub(crate) accounts: Vec<Account>,
    pub(crate) anonymous: bool,
    /// What the accounts may do; anonymous may read at most.
    pub(crate) permissions: Permissions,
    pub(crate) policy: Policy,
    pub(crate) listing_limit: u32,
    pub(crate) ascii_size_limit: u64,
    pub(crate) local: IpAddr,
    pub(crate) peer: IpAddr,
    pub(crate) faults: Vec<(Vec<u8>, Reason)>,
    pub(crate) storage: Arc<dyn Storage>,
    /// Where the files are if they are on a disk, for as long as the session is played.
    pub(crate) directory: Option<TempDir>,
}

impl Ledger {
    /// Gathers what the file sets up. Files are in memory, or on the disk where there are links.
    pub(crate) fn new(script: &Script) -> Step<Self> {
        Self::stored(script, script.setup().any(|item| matches!(item, Setup::Link(..))))
    }

    /// The same, with the files on the disk.
    pub(crate) fn on_disk(script: &Script) -> Step<Self> {
        Self::stored(script, true)
    }

    fn stored(script: &Script, on_disk: bool) -> Step<Self> {
        let memory = Memory::new();
        let (storage, directory): (Arc<dyn Storage>, _) = if on_disk {
            let directory = TempDir::new().map_err(|error| error.to_string())?;
            let options = Options { durable: false, ..Options::default() };
            let disk = Disk::open(directory.path(), options).map_err(|error| error.to_string())?;
            (Arc::new(disk), Some(directory))
        } else {
            (Arc::new(memory.clone()), None)
        };
        let mut ledger = Self {
            accounts: Vec::new(),
            anonymous: false,
            permissions: Permissions::ALL,
            policy: Policy::default(),
            listing_limit: 1000,
            ascii_size_limit: 100_000,
            local: IpAddr::from([192, 0, 2, 1]),
            peer: IpAddr::from([192, 0, 2, 7]),
            faults: Vec::new(),
            storage,
            directory: None,
        };
        let mut modified = MODIFIED;
        memory.set_clock(MODIFIED);
        for item in script.setup() {
            match item {
                Setup::User { name, password, terms } => ledger.accounts.push(Account {
                    name: name.clone(),
                    password: password.clone(),
                    terms: terms.clone(),
                }),
                Setup::Anonymous => ledger.anonymous = true,
                Setup::Permissions(list) => {
                    let all = list.iter().copied();
                    ledger.permissions = all.fold(Permissions::NONE, Permissions::with);
                }
                Setup::File(path, content) => {
                    let content = content.fill(&Captures::new())?;
                    ledger.file(&self::path(path)?, &content, modified)?;
                }
                Setup::Directory(path) => ledger.directory(&self::path(path)?)?,
                Setup::Link(path, target) => link(directory.as_ref(), path, target)?,
                Setup::Modified(date) => modified = *date,
                Setup::Policy(rules) => rules.iter().for_each(|rule| ledger.rule(rule)),
                Setup::Peer(address) => ledger.peer = *address,
                Setup::Local(address) => ledger.local = *address,
                Setup::Room(bytes) => memory.set_capacity(*bytes),
                Setup::Fault(verb, reason) => ledger.faults.push((verb.clone(), *reason)),
                Setup::Portable | Setup::Client(_) | Setup::Foreign | Setup::Gateway(_) => {}
            }
        }
        Ok(Self { directory, ..ledger })
    }

    fn rule(&mut self, rule: &Rule) {
        let policy = &mut self.policy;
        match *rule {
            Rule::Idle(time) => policy.idle_timeout = time,
            Rule::Login(time) => policy.login_timeout = time,
            Rule::Session(time) => policy.session_timeout = Some(time),
            Rule::Data(time) => policy.data_timeout = time,
            Rule::Delay(time) => policy.login_delay = time,
            Rule::Attempts(count) => policy.login_attempts = count,
            Rule::Unknown(count) => policy.unknown_limit = count,
            Rule::Listing(count) => self.listing_limit = count,
            Rule::AsciiSize(bytes) => self.ascii_size_limit = bytes,
            Rule::Active(on) => policy.active = on,
            Rule::Foreign(on) => policy.foreign_data = on,
            Rule::ActivePrivate(what) => policy.active_private = what,
            Rule::Tls(requirement) => policy.tls = requirement,
            Rule::DataTls(requirement) => policy.data_tls = requirement,
            Rule::ClearCommands(on) => policy.clear_commands = on,
        }
    }

    fn directory(&self, path: &VirtualPath) -> Step {
        if !path.is_root() && self.storage.stat(path).is_err() {
            self.directory(&path.parent())?;
            self.storage.make_directory(path).map_err(|error| format!("{path}: {error}"))?;
        }
        Ok(())
    }

    fn file(&self, path: &VirtualPath, content: &[u8], modified: Timestamp) -> Step {
        self.directory(&path.parent())?;
        let write = || {
            let how = Upload::Replace { overwrite: true };
            let mut sink = self.storage.begin_upload(path, how)?;
            sink.write(content)?;
            sink.commit()?;
            self.storage.set_modified(path, modified)
        };
        write().map_err(|error| format!("{path}: {error}"))
    }

    /// What a file holds now, if there is one.
    pub(crate) fn content(&self, path: &VirtualPath) -> Step<Option<Vec<u8>>> {
        if self.storage.stat(path).is_err() {
            return Ok(None);
        }
        let mut source = self.storage.open_read(path, 0).map_err(|error| error.to_string())?;
        let (mut content, mut buffer) = (Vec::new(), vec![0; 65536]);
        loop {
            match source.read(&mut buffer).map_err(|error| error.to_string())? {
                0 => return Ok(Some(content)),
                length => content.extend_from_slice(buffer.get(..length).unwrap_or_default()),
            }
        }
    }

    /// What this name needs to log in. An unknown one is like all others, if they are alike.
    pub(crate) fn identify(
        &self,
        user: &[u8],
        secured: bool,
        certificate: Option<&str>,
    ) -> Outcome {
        let named = self.accounts.iter().find(|account| account.name == user);
        let needs_tls = |account: &Account| account.terms.contains(&Term::Tls);
        let all = || !self.accounts.is_empty() && self.accounts.iter().all(needs_tls);
        if !secured && named.map_or_else(all, needs_tls) {
            return Outcome::Failed(Reason::TlsRequired);
        }
        let Some(shown) = certificate else { return Outcome::Done };
        let is_shown = |term: &Term| matches!(term, Term::Certificate(own) if own == shown);
        match named.filter(|account| account.terms.iter().any(is_shown)) {
            Some(account) if account.terms.contains(&Term::Disabled) => {
                Outcome::Failed(Reason::AccountDisabled)
            }
            Some(account) => Outcome::LoggedIn(self.grant(account)),
            None => Outcome::Failed(Reason::CertificateOfAnother),
        }
    }

    /// Whether this user may log in with this password, and what the account may do then.
    pub(crate) fn log_in(&self, user: &[u8], password: &[u8]) -> Option<Grant> {
        let fits = |account: &&Account| account.name == user && account.password == password;
        if let Some(account) = self.accounts.iter().find(fits) {
            return Some(self.grant(account));
        }
        let is_visitor = self.anonymous && user == b"anonymous";
        is_visitor.then_some(Grant::of(Permissions::READ_ONLY))
    }

    fn grant(&self, account: &Account) -> Grant {
        Grant { permissions: self.permissions, data_tls: account.terms.contains(&Term::DataTls) }
    }
}

/// A path of a session file, from the root.
pub(crate) fn path(bytes: &[u8]) -> Step<VirtualPath> {
    let path = VirtualPath::root().join(bytes);
    path.map_err(|error| format!("{}: no path: {error:?}", super::show(bytes)))
}

fn link(directory: Option<&TempDir>, path: &[u8], target: &[u8]) -> Step {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let Some(directory) = directory else { return Ok(()) };
    let below = path.strip_prefix(b"/").unwrap_or(path);
    let name = directory.path().join(OsStr::from_bytes(below));
    std::os::unix::fs::symlink(OsStr::from_bytes(target), name).map_err(|error| error.to_string())
}
