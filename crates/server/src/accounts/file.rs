//! The account file: what `twoport account` changes, keeping comments and the order of accounts.
//!
//! Nobody ever sees half of it: a change is written beside it and takes its place in one step. Two
//! changes at a time wait for each other. What it means is read by [`crate::config`].

use std::fs::{self, File, Permissions as Mode};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use super::hash::PasswordHash;
use crate::config::account::{AccountEntry, permission_words, requirement_word};
use crate::config::problem::Problems;
use crate::config::read_account_text;

/// The first lines of a new file.
const HEADER: &str =
    "# Accounts of twoport: see `twoport account`. Keep this file to its owner (mode 600).\n\n";

/// An account file, locked against other changes until it is dropped.
#[derive(Debug)]
pub struct AccountFile {
    path: PathBuf,
    /// The comments of a file without accounts. TOML has them at its end, where accounts go before.
    header: String,
    document: DocumentMut,
    accounts: Vec<AccountEntry>,
    directory: File,
}

/// Why an account file could not be changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileError {
    /// The account to be added is there already.
    Exists(String),
    /// There is no such account.
    Unknown(String),
    /// What is in the file is wrong.
    Problems(Problems),
    /// The system refused.
    Io(&'static str, PathBuf, io::Error),
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exists(name) => {
                write!(f, "account {name:?} exists; `twoport account passwd` changes its password")
            }
            Self::Unknown(name) => {
                write!(f, "no account {name:?} in the file; `twoport account list` shows them")
            }
            Self::Problems(problems) => problems.fmt(f),
            Self::Io(operation, path, error) => {
                write!(f, "cannot {operation} {}: {error}; check path and rights", path.display())
            }
        }
    }
}

impl std::error::Error for FileError {}

impl AccountFile {
    /// Opens the file for a change, or begins a new one, and waits for others who change it.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        // A link stays a link: what it leads to is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let failed = |operation| {
            let path = path.clone();
            move |error: io::Error| FileError::Io(operation, path, error)
        };
        let lock = File::open(directory_of(&path)).map_err(failed("open the directory of"))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| failed("lock")(e.into()))?;
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => HEADER.to_owned(),
            read => read.map_err(failed("read"))?,
        };
        let accounts = read_account_text(&path, &text).map_err(FileError::Problems)?;
        let invalid = |error| failed("read")(io::Error::new(io::ErrorKind::InvalidData, error));
        let mut document: DocumentMut = text.parse().map_err(invalid)?;
        let mut header = String::new();
        if document.is_empty() {
            (header, document) = (text, DocumentMut::new());
        }
        if document.get("account").is_some_and(|item| !item.is_array_of_tables()) {
            let why = "its accounts are written in brackets, not as [[account]] tables";
            return Err(failed("change")(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        Ok(Self { path, header, document, accounts, directory: lock })
    }

    /// The accounts in the file.
    #[must_use]
    pub fn accounts(&self) -> &[AccountEntry] {
        &self.accounts
    }

    /// Adds an account.
    pub fn add(&mut self, account: &AccountEntry) -> Result<(), FileError> {
        if self.accounts.iter().any(|other| other.name == account.name) {
            return Err(FileError::Exists(account.name.clone()));
        }
        let mut table = Table::new();
        table.insert("name", value(&account.name));
        table.insert("password-hash", value(account.password_hash.to_phc()));
        table.insert("root", value(account.root.display().to_string()));
        let words = permission_words(account.permissions);
        let permissions = match words.as_slice() {
            [word] if matches!(*word, "all" | "read-only") => value(*word),
            words => value(words.iter().copied().collect::<Array>()),
        };
        table.insert("permissions", permissions);
        if !account.enabled {
            table.insert("enabled", value(false));
        }
        for (key, required) in [("tls", account.tls), ("data-tls", account.data_tls)] {
            if required {
                table.insert(key, value(requirement_word(required)));
            }
        }
        let certificates = &account.certificates;
        let fingerprints: Vec<_> =
            certificates.fingerprints.iter().map(ToString::to_string).collect();
        let names: Vec<_> = certificates.names.iter().map(ToString::to_string).collect();
        for (key, list) in [("certificate", fingerprints), ("certificate-name", names)] {
            if !list.is_empty() {
                table.insert(key, value(list.into_iter().collect::<Array>()));
            }
        }
        let empty = || Item::ArrayOfTables(ArrayOfTables::new());
        if let Some(tables) =
            self.document.entry("account").or_insert_with(empty).as_array_of_tables_mut()
        {
            tables.push(table);
        }
        self.accounts.push(account.clone());
        Ok(())
    }

    /// Gives an account another password.
    pub fn set_password(&mut self, name: &str, hash: &PasswordHash) -> Result<(), FileError> {
        let index = self.index(name)?;
        if let Some(table) = self.tables().and_then(|tables| tables.get_mut(index)) {
            table.insert("password-hash", value(hash.to_phc()));
        }
        if let Some(account) = self.accounts.get_mut(index) {
            account.password_hash = hash.clone();
        }
        Ok(())
    }

    /// Takes an account out.
    pub fn remove(&mut self, name: &str) -> Result<(), FileError> {
        let index = self.index(name)?;
        if let Some(tables) = self.tables() {
            tables.remove(index);
        }
        self.accounts.remove(index);
        Ok(())
    }

    /// Puts the file in its place: readable by its owner only, or as before without "others".
    pub fn save(&self) -> Result<(), FileError> {
        let failed = |operation| move |error| FileError::Io(operation, self.path.clone(), error);
        let directory = directory_of(&self.path);
        let mut new = tempfile::NamedTempFile::new_in(directory).map_err(failed("write beside"))?;
        write!(new, "{}{}", self.header, self.document).map_err(failed("write"))?;
        if let Ok(old) = fs::metadata(&self.path) {
            // A server that runs as another user of the file's group must still be able to read it.
            let mode = Mode::from_mode(old.mode() & 0o640 | 0o600);
            new.as_file().set_permissions(mode).map_err(failed("set the mode of"))?;
            fchown(new.as_file(), Some(old.uid()), Some(old.gid()))
                .map_err(failed("keep the owner of"))?;
        }
        new.as_file().sync_all().map_err(failed("write"))?;
        new.persist(&self.path).map_err(|error| failed("replace")(error.error))?;
        self.directory.sync_all().map_err(failed("write the directory of"))
    }

    fn index(&self, name: &str) -> Result<usize, FileError> {
        let position = self.accounts.iter().position(|account| account.name == name);
        position.ok_or_else(|| FileError::Unknown(name.to_owned()))
    }

    fn tables(&mut self) -> Option<&mut ArrayOfTables> {
        self.document.get_mut("account")?.as_array_of_tables_mut()
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
