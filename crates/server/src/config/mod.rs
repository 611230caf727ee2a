//! The server's configuration: one immutable value, made from defaults, a file and flags.
//!
//! It opens no socket and judges no directory: what a setting does is decided where it is used.
//!
//! A [`Draft`] starts with every default of the [table](settings::TABLE), takes a file, then
//! flags, each overriding what came before, and ends as a [`Config`] with warnings, or as all the
//! problems that were found, not only the first.
//!
//! **Invariant:** a `Config` that [`Draft::finish`] returned has no impossible value.

pub mod account;
pub mod document;
mod file;
mod lint;
pub mod listener;
pub mod names;
pub mod networks;
pub mod ports;
pub mod problem;
pub mod public;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod value;
pub mod words;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use account::AccountEntry;
use listener::{Door, Listener, Written};
use problem::{Place, Problem, Problems};
pub use settings::{Accounts, Data, Limits, Log, Server, Storage, Timeouts, Tls};
use settings::{Setting, TABLE};
use value::Wrong;
use words::Anonymous;

/// All that the server is told. Shared behind an `Arc`; a reload makes a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is a section of the table, which documents it")]
pub struct Config {
    pub server: Server,
    pub accounts: Accounts,
    pub data: Data,
    pub tls: Tls,
    pub limits: Limits,
    pub timeouts: Timeouts,
    pub storage: Storage,
    pub log: Log,
    /// The `[[account]]` tables and the accounts of the command line. Those of the account file
    /// are not among them: [`crate::accounts::Accounts::load`] reads it.
    pub account: Vec<AccountEntry>,
    /// The `[[listener]]` tables.
    pub listener: Vec<Listener>,
    /// What an earlier configuration said of sockets that are still open.
    kept: Vec<(Door, Tls)>,
}

impl Config {
    /// A configuration in which nothing has its default yet.
    fn blank() -> Self {
        Self {
            server: Server::default(),
            accounts: Accounts::default(),
            data: Data::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            storage: Storage::default(),
            log: Log::default(),
            account: Vec::new(),
            listener: Vec::new(),
            kept: Vec::new(),
        }
    }
}

/// Every default of the table.
impl Default for Config {
    fn default() -> Self {
        let mut config = Self::blank();
        for setting in TABLE.iter().filter(|setting| !setting.default.is_empty()) {
            let applied = setting.apply(&mut config, setting.default, Path::new(""));
            debug_assert!(applied.is_ok(), "a test of the table reads each default");
        }
        config
    }
}

/// A configuration in the making.
#[derive(Debug, Default)]
pub struct Draft {
    config: Config,
    places: BTreeMap<&'static str, Place>,
    problems: Vec<Problem>,
    /// Listeners with where relative paths in them start.
    listeners: Vec<(Written, PathBuf)>,
}

impl Draft {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what a file says. Relative paths in it start from its directory.
    pub fn read_file(&mut self, path: &Path) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.read_text(path, &text),
            Err(error) => self.problems.push(unreadable(path, &error)),
        }
    }

    /// Takes the text of a file that is at `path`.
    pub fn read_text(&mut self, path: &Path, text: &str) {
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        let contents = file::read(path, text, false);
        let mut wrongs = Vec::new();
        for (setting, text, place) in contents.settings {
            match setting.apply(&mut self.config, &text, base) {
                Ok(()) => drop(self.places.insert(setting.key, place)),
                Err(wrong) => wrongs.push(Problem::new(Some(place), setting.key, wrong)),
            }
        }
        wrongs.extend(contents.problems);
        wrongs.sort_by(|a, b| a.place.cmp(&b.place));
        self.problems.append(&mut wrongs);
        self.config.account.extend(contents.accounts);
        self.listeners.extend(contents.listeners.into_iter().map(|it| (it, base.to_owned())));
    }

    /// Takes the value of a flag.
    pub fn set(&mut self, setting: &'static Setting, text: &str) {
        match setting.apply(&mut self.config, text, Path::new("")) {
            Ok(()) => drop(self.places.insert(setting.key, Place::CommandLine)),
            Err(wrong) => {
                self.problems.push(Problem::new(Some(Place::CommandLine), setting.key, wrong));
            }
        }
    }

    /// Takes the directory to serve, as the command line has it: it need not be UTF-8.
    pub fn set_root(&mut self, root: PathBuf) {
        self.config.server.root = Some(root);
        self.places.insert("root", Place::CommandLine);
    }

    /// Takes an account of the command line; it replaces one of the same name in the file.
    pub fn set_account(&mut self, account: AccountEntry) {
        self.config
            .account
            .retain(|other| other.name != account.name || other.place == Place::CommandLine);
        self.config.account.push(account);
    }

    /// What the draft says so far.
    #[must_use]
    pub const fn so_far(&self) -> &Config {
        &self.config
    }

    /// The configuration and its warnings, or all that is wrong.
    pub fn finish(mut self) -> Result<(Config, Vec<Problem>), Problems> {
        for (written, base) in &self.listeners {
            match written.resolve(&self.config, base) {
                Ok(listener) => self.config.listener.push(listener),
                Err(problem) => self.problems.push(problem),
            }
        }
        self.problems.extend(lint::contradictions(&self.config, &self.places));
        if !self.problems.is_empty() {
            return Err(Problems(self.problems));
        }
        let warnings = lint::warnings(&self.config, &self.places);
        Ok((self.config, warnings))
    }
}

/// Whether a name is one that visitors without an account use. The case counts: lower case is what
/// browsers and mirrors send, and what other servers know.
pub(crate) fn is_anonymous(name: &str) -> bool {
    name == "anonymous" || name == "ftp"
}

/// What is wrong with accounts taken together.
pub(crate) fn account_problems(accounts: &[AccountEntry], anonymous: Anonymous) -> Vec<Problem> {
    lint::accounts(accounts, anonymous)
}

/// Warnings of what accounts of an account file ask for, and no listener gives.
#[must_use]
pub fn unanswered(config: &Config, accounts: &[AccountEntry]) -> Vec<Problem> {
    lint::unanswered(config, accounts)
}

/// The accounts of an account file, or all that is wrong with it.
pub fn read_account_file(path: &Path) -> Result<Vec<AccountEntry>, Problems> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Problems(vec![unreadable(path, &error)]))?;
    read_account_text(path, &text)
}

/// The accounts in the text of an account file that is at `path`.
pub fn read_account_text(path: &Path, text: &str) -> Result<Vec<AccountEntry>, Problems> {
    let file::Contents { accounts, mut problems, .. } = file::read(path, text, true);
    problems.extend(lint::accounts(&accounts, Anonymous::Off));
    if problems.is_empty() { Ok(accounts) } else { Err(Problems(problems)) }
}

/// What is wrong with a file that cannot be read.
#[must_use]
pub fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "run as a user who may read it, or change its mode",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        _ => "make it readable",
    };
    let place = Place::File(Arc::new(PathBuf::from(path)));
    Problem::new(Some(place), "", Wrong::new(format!("cannot be read: {error}"), remedy))
}
