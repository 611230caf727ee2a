//! Who may log in: the accounts of the configuration, of the account file and of the command line,
//! and the visitors without one.
//!
//! It counts no attempts and delays no answer: limits do. It blocks: call it off the runtime.

pub mod certificate;
pub mod file;
pub mod hash;
pub mod password;
mod proof;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use twoport_net::tls::trust::Fingerprint;
use twoport_proto::verb::{Permission, Permissions};

use crate::config::account::AccountEntry;
use crate::config::problem::{Place, Problem, Problems};
use crate::config::value::Wrong;
use crate::config::words::Anonymous;
use crate::config::{self, Config};
use certificate::{Certificates, Shown};
use hash::PasswordHash;
use password::Password;
use proof::{Key, Proof};

/// Somebody who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name; `anonymous` for visitors, whichever of their names they gave.
    pub name: String,
    /// What the account sees as `/`. It existed, and was no link, when the accounts were loaded.
    pub root: PathBuf,
    /// What it may do.
    pub permissions: Permissions,
    /// Whether it can log in. A right password to a disabled account is told so.
    pub enabled: bool,
    /// Whether it logs in under TLS only.
    pub tls: bool,
    /// Whether its data connections are under TLS only.
    pub data_tls: bool,
    /// Whether it is the account of visitors.
    pub anonymous: bool,
}

/// All accounts. Immutable: a reload makes a new one, and quick checks begin anew.
pub struct Accounts {
    entries: BTreeMap<String, Entry>,
    visitors: Option<Arc<Account>>,
    key: Key,
    /// Chooses the account that an unknown name is treated like.
    likeness: Key,
    /// What the password of an unknown user is compared with, so that it takes as long.
    nobody: PasswordHash,
}

struct Entry {
    account: Arc<Account>,
    certificates: Certificates,
    hash: PasswordHash,
    proof: Proof,
}

impl Accounts {
    /// Loads the accounts of a configuration, with the account file that it names, and warnings.
    pub fn load(config: &Config) -> Result<(Self, Vec<Problem>), Problems> {
        let root = served_root(config).map_err(|problem| Problems(vec![problem]))?;
        let (listed, warnings) = listed(config)?;
        let mut problems = Vec::new();
        let mut entries = BTreeMap::new();
        for written in listed {
            match entry(&root, written) {
                Ok(entry) => drop(entries.insert(entry.account.name.clone(), entry)),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let random = || Some((Key::random().ok()?, Password::generate().ok()?));
        let (key, password) = random().ok_or_else(|| Problems(vec![no_random()]))?;
        let nobody = PasswordHash::of(&password).map_err(|_| Problems(vec![no_random()]))?;
        let visitors = visitors(config.accounts.anonymous, root).map(Arc::new);
        // A key that outlives a restart: a name that is answered differently after one would be
        // known to be unknown. The salt and hash of an account are as secret as any.
        let likeness = entries.values().next().map_or_else(
            || Key::of(nobody.to_phc().as_bytes()),
            |first| Key::of(first.hash.to_phc().as_bytes()),
        );
        Ok((Self { entries, visitors, key, likeness, nobody }, warnings))
    }

    /// The account of `user` if `password` is right. Takes the time of a full check unless the
    /// same password was accepted before: the same for an unknown user and a wrong password.
    ///
    /// The account may be disabled: see [`Account::enabled`].
    #[must_use]
    pub fn verify(&self, user: &[u8], password: &[u8]) -> Option<Arc<Account>> {
        if let Some(account) = self.recall(user, password) {
            return Some(account);
        }
        let name = str::from_utf8(user).ok();
        let Some(entry) = name.and_then(|name| self.entries.get(name)) else {
            let _same_work = self.nobody.fits(password);
            return None;
        };
        if !entry.hash.fits(password) {
            return None;
        }
        entry.proof.keep(&self.key, &entry.account.name, password);
        Some(Arc::clone(&entry.account))
    }

    /// The account of `user` if this certificate, which was believed, logs it in. It may be disabled.
    #[must_use]
    pub fn certified(&self, user: &[u8], shown: &Shown) -> Option<Arc<Account>> {
        let named = self.named_certificates();
        let pinned = shown.fingerprint.is_some_and(|it| named.contains(&it));
        let entry = self.entries.get(str::from_utf8(user).ok()?)?;
        entry.certificates.include(shown, pinned).then(|| Arc::clone(&entry.account))
    }

    /// The certificates that accounts name by their fingerprint, which makes them believed.
    #[must_use]
    pub fn named_certificates(&self) -> Vec<Fingerprint> {
        let all = self.entries.values();
        all.flat_map(|entry| &entry.certificates.fingerprints).copied().collect()
    }

    /// The account of a visitor, or of `user` if the same password was accepted before. Does not
    /// block; `None` says nothing.
    #[must_use]
    pub fn recall(&self, user: &[u8], password: &[u8]) -> Option<Arc<Account>> {
        let name = str::from_utf8(user).ok()?;
        if config::is_anonymous(name)
            && let Some(visitors) = &self.visitors
        {
            return Some(Arc::clone(visitors));
        }
        let entry = self.entries.get(name)?;
        let is_known = entry.proof.knows(&self.key, &entry.account.name, password);
        is_known.then(|| Arc::clone(&entry.account))
    }

    /// Whether `user` may log in under TLS only. An unknown name is treated like one of the
    /// accounts, the same each time: neither answer tells whether there is such an account.
    #[must_use]
    pub fn needs_tls(&self, user: &[u8]) -> bool {
        if self.is_visitor(user) {
            return false;
        }
        let named = str::from_utf8(user).ok().and_then(|name| self.entries.get(name));
        let like = named.or_else(|| {
            let count = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
            let chosen = self.likeness.number(user).checked_rem(count)?;
            self.entries.values().nth(usize::try_from(chosen).ok()?)
        });
        like.is_some_and(|entry| entry.account.tls)
    }

    /// Whether `user` needs no password: what tells 331's two wordings apart.
    #[must_use]
    pub fn is_visitor(&self, user: &[u8]) -> bool {
        self.visitors.is_some() && str::from_utf8(user).is_ok_and(config::is_anonymous)
    }

    /// The accounts by name, without that of visitors.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.entries.values().map(|entry| &entry.account)
    }

    /// The accounts by name, that of visitors last.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.iter().chain(&self.visitors)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).entries(&self.visitors).finish()
    }
}

/// The served directory as the system knows it, without links.
fn served_root(config: &Config) -> Result<PathBuf, Problem> {
    let Some(root) = &config.server.root else {
        let wrong = Wrong::new(
            "no directory to serve",
            "name one: `twoport serve DIR`, or root in [server]",
        );
        return Err(Problem::new(None, "root", wrong));
    };
    directory(root).map_err(|wrong| Problem::new(None, "root", wrong))
}

fn directory(path: &Path) -> Result<PathBuf, Wrong> {
    let wrong = |what: &str| {
        Wrong::new(format!("{} {what}", path.display()), "name a directory that is there")
    };
    let real = path.canonicalize().map_err(|error| wrong(&format!("cannot be used: {error}")))?;
    if real.is_dir() { Ok(real) } else { Err(wrong("is not a directory")) }
}

/// The accounts of all sources. One of the command line stands in for one of the same name.
fn listed(config: &Config) -> Result<(Vec<AccountEntry>, Vec<Problem>), Problems> {
    let mut listed = Vec::new();
    let mut warnings = Vec::new();
    if let Some(path) = &config.accounts.account_file {
        let is_given = |name: &str| {
            config.account.iter().any(|a| a.name == name && a.place == Place::CommandLine)
        };
        let of_file = config::read_account_file(path)?;
        listed.extend(of_file.into_iter().filter(|account| !is_given(&account.name)));
        warnings.extend(readable_by_all(path));
        warnings.extend(config::unanswered(config, &listed));
    }
    listed.splice(0..0, config.account.iter().cloned());
    let problems = config::account_problems(&listed, config.accounts.anonymous);
    if problems.is_empty() { Ok((listed, warnings)) } else { Err(Problems(problems)) }
}

/// A warning if everybody on the machine can read the hashes, and guess at leisure.
#[must_use]
pub fn readable_by_all(path: &Path) -> Option<Problem> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then(|| {
        let what =
            format!("everybody on this machine can read the password hashes (mode {mode:o})");
        let wrong = Wrong::new(what, format!("chmod 600 {}", path.display()));
        Problem::new(Some(Place::File(Arc::new(path.to_owned()))), "", wrong)
    })
}

fn entry(root: &Path, written: AccountEntry) -> Result<Entry, Problem> {
    let AccountEntry {
        name,
        password_hash: hash,
        root: own,
        permissions,
        enabled,
        tls,
        data_tls,
        certificates,
        place,
    } = written;
    let root = directory(&root.join(own))
        .map_err(|wrong| Problem::new(Some(place), format!("root of account {name:?}"), wrong))?;
    let account = Account { name, root, permissions, enabled, tls, data_tls, anonymous: false };
    let account = Arc::new(account);
    Ok(Entry { account, certificates, hash, proof: Proof::default() })
}

fn visitors(policy: Anonymous, root: PathBuf) -> Option<Account> {
    let permissions = match policy {
        Anonymous::Off => return None,
        Anonymous::Read => Permissions::READ_ONLY,
        Anonymous::Write => {
            Permissions::READ_ONLY.with(Permission::Write).with(Permission::MakeDirectory)
        }
    };
    let name = "anonymous".to_owned();
    let (tls, data_tls) = (false, false);
    Some(Account { name, root, permissions, enabled: true, tls, data_tls, anonymous: true })
}

fn no_random() -> Problem {
    let wrong =
        Wrong::new("the system gives no random numbers or no memory", "see the system's log");
    Problem::new(None, "accounts", wrong)
}
