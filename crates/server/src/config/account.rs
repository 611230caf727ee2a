//! What an `[[account]]` table says: in the configuration, and in the account file alike.
//!
//! It checks words and forms; whether directories exist is found out when accounts are loaded.

use std::path::{Component, Path, PathBuf};

use toml::de::DeValue;
use twoport_proto::verb::{Permission, Permissions};

use super::document::{Document, Node, text_of};
use super::problem::{Place, nearest};
use super::value::{Value, Wrong};
use crate::accounts::certificate::{Certificates, Name, read_fingerprint};
use crate::accounts::hash::PasswordHash;

/// A key of an `[[account]]` table.
#[derive(Debug)]
pub struct AccountKey {
    /// Its name.
    pub key: &'static str,
    /// The default as it would be written; empty if it must be given.
    pub default: &'static str,
    /// What it says.
    pub about: &'static str,
}

/// The keys of an `[[account]]` table.
pub static ACCOUNT_KEYS: &[AccountKey] = &[
    AccountKey { key: "name", default: "", about: "The name to log in with" },
    AccountKey {
        key: "password-hash",
        default: "",
        about: "The argon2id hash of the password, as `twoport account` makes it",
    },
    AccountKey {
        key: "root",
        default: "\".\"",
        about: "What the account sees as `/`: a directory below the served one, or an absolute path",
    },
    AccountKey {
        key: "permissions",
        default: "\"all\"",
        about: "`\"all\"`, `\"read-only\"`, or a list of words such as `[\"list\", \"read\", \"write\"]`",
    },
    AccountKey { key: "enabled", default: "true", about: "Whether the account can log in" },
    AccountKey {
        key: "tls",
        default: "\"optional\"",
        about: "`\"required\"`: it logs in under TLS only, wherever the server leaves the choice",
    },
    AccountKey {
        key: "data-tls",
        default: "\"optional\"",
        about: "`\"required\"`: its data connections are under TLS only (PROT P)",
    },
    AccountKey {
        key: "certificate",
        default: "none",
        about: "The SHA-256 of a client certificate, or a list of them, that log in without password where `client-certificates` is `\"login\"`; whoever signed them",
    },
    AccountKey {
        key: "certificate-name",
        default: "none",
        about: "A name, or a list, in client certificates that do the same if an authority of `client-ca` signed them: `\"cn:Ann Smith\"`, `\"email:ann@example.com\"` or `\"dns:host.example.com\"`",
    },
];

/// An account as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEntry {
    /// The name to log in with.
    pub name: String,
    /// What the password is compared with.
    pub password_hash: PasswordHash,
    /// The account's root: relative to the served directory, or absolute.
    pub root: PathBuf,
    /// What it may do.
    pub permissions: Permissions,
    /// Whether it can log in.
    pub enabled: bool,
    /// Whether it logs in under TLS only.
    pub tls: bool,
    /// Whether its data connections are under TLS only.
    pub data_tls: bool,
    /// The certificates that log it in.
    pub certificates: Certificates,
    /// Where it was written.
    pub place: Place,
}

impl AccountEntry {
    /// An enabled account with all permissions on the whole served directory.
    #[must_use]
    pub fn new(name: String, password_hash: PasswordHash, place: Place) -> Self {
        Self {
            name,
            password_hash,
            root: PathBuf::from("."),
            permissions: Permissions::ALL,
            enabled: true,
            tls: false,
            data_tls: false,
            certificates: Certificates::default(),
            place,
        }
    }
}

/// Whether a name can be that of an account.
pub fn check_name(name: &str) -> Result<(), Wrong> {
    let remedy = "write 1 to 128 characters, none of them a control character, a colon or a slash, \
                  and no blank at the ends";
    let bad = |c: char| c.is_control() || c == ':' || c == '/';
    let fits = (1..=128).contains(&name.len()) && name.trim() == name && !name.contains(bad);
    if fits { Ok(()) } else { Err(Wrong::new(format!("{name:?} cannot be a name"), remedy)) }
}

/// The root of an account: no way up out of the served directory.
pub fn read_root(text: &str) -> Result<PathBuf, Wrong> {
    let root = PathBuf::read(text, Path::new("")).map_err(|_| PathBuf::FORM.wrong(text))?;
    if root.components().any(|component| component == Component::ParentDir) {
        let what = format!("{text:?} leads up with `..`");
        return Err(Wrong::new(what, "write an absolute path to leave the served directory"));
    }
    Ok(root)
}

/// The permissions that words name: `all`, `read-only`, or those of [`Permission::ALL`].
pub fn read_permissions<'a>(words: impl Iterator<Item = &'a str>) -> Result<Permissions, Wrong> {
    words.map(read_permission).try_fold(Permissions::NONE, |all, one| {
        let one = one?;
        Ok(Permission::ALL
            .iter()
            .filter(|(p, _)| one.has(*p))
            .fold(all, |all, (p, _)| all.with(*p)))
    })
}

fn read_permission(word: &str) -> Result<Permissions, Wrong> {
    match word {
        "all" => return Ok(Permissions::ALL),
        "read-only" => return Ok(Permissions::READ_ONLY),
        _ => {}
    }
    if let Some((permission, _)) = Permission::ALL.iter().find(|(_, name)| *name == word) {
        return Ok(Permissions::NONE.with(*permission));
    }
    let names = || ["all", "read-only"].into_iter().chain(Permission::ALL.map(|(_, name)| name));
    let remedy = match nearest(word, names()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("the words are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(Wrong::new(format!("{word:?} is not a permission"), remedy))
}

/// Whether TLS is required of an account; what the server asks of all is asked of it anyway.
pub fn read_requirement(word: &str) -> Result<bool, Wrong> {
    match word {
        "optional" => Ok(false),
        "required" => Ok(true),
        _ => {
            let what = format!("{word:?} is not one of the words");
            Err(Wrong::new(what, "write \"optional\" or \"required\""))
        }
    }
}

/// The word for it.
#[must_use]
pub const fn requirement_word(required: bool) -> &'static str {
    if required { "required" } else { "optional" }
}

/// The words of a set of permissions, as they are written down.
#[must_use]
pub fn permission_words(permissions: Permissions) -> Vec<&'static str> {
    match permissions {
        Permissions::ALL => vec!["all"],
        Permissions::READ_ONLY => vec!["read-only"],
        _ => {
            let has = |(p, name)| permissions.has(p).then_some(name);
            Permission::ALL.into_iter().filter_map(has).collect()
        }
    }
}

/// Reads one `[[account]]` table; what is wrong goes to the document's problems.
pub(super) fn read(document: &mut Document<'_>, table: &Node<'_>) -> Option<AccountEntry> {
    let place = document.place(table.span().start);
    let DeValue::Table(keys) = table.get_ref() else {
        let wrong = Wrong::new("not a table", "begin each account with a line [[account]]");
        document.report(table.span().start, "account", wrong);
        return None;
    };
    let (mut name, mut hash) = (None, None);
    let (mut root, mut permissions, mut enabled) = (PathBuf::from("."), Permissions::ALL, true);
    let (mut tls, mut data_tls) = (false, false);
    let mut certificates = Certificates::default();
    for (key, value) in keys {
        let known = match key.get_ref().as_ref() {
            "name" => {
                text(value).and_then(|text| check_name(text).map(|()| name = Some(text.to_owned())))
            }
            "password-hash" => {
                text(value).and_then(|t| PasswordHash::parse(t).map(|h| hash = Some(h)))
            }
            "root" => text(value).and_then(|text| read_root(text).map(|read| root = read)),
            "permissions" => words(value)
                .and_then(|w| read_permissions(w.into_iter()).map(|read| permissions = read)),
            "enabled" => flag(value).map(|read| enabled = read),
            "tls" => text(value).and_then(|word| read_requirement(word).map(|read| tls = read)),
            "data-tls" => {
                text(value).and_then(|word| read_requirement(word).map(|read| data_tls = read))
            }
            "certificate" => list(value, read_fingerprint).map(|it| certificates.fingerprints = it),
            "certificate-name" => list(value, Name::read).map(|it| certificates.names = it),
            unknown => {
                let keys = ACCOUNT_KEYS.iter().map(|row| row.key);
                document.unknown(key.span().start, unknown, "account", keys, None);
                Ok(())
            }
        };
        if let Err(wrong) = known {
            document.report(value.span().start, key.get_ref(), wrong);
        }
    }
    for (key, missing) in [("name", name.is_none()), ("password-hash", hash.is_none())] {
        if missing && !keys.keys().any(|k| k.get_ref() == key) {
            let remedy = "make the account with `twoport account add`";
            let wrong = Wrong::new(format!("it has no {key}"), remedy);
            document.report(table.span().start, "account", wrong);
        }
    }
    let (name, password_hash) = (name?, hash?);
    Some(AccountEntry {
        name,
        password_hash,
        root,
        permissions,
        enabled,
        tls,
        data_tls,
        certificates,
        place,
    })
}

fn text<'a>(value: &'a Node<'_>) -> Result<&'a str, Wrong> {
    let wrong = || Wrong::new(format!("it is {}", text_of(value)), "write a string in quotes");
    value.get_ref().as_str().ok_or_else(wrong)
}

fn flag(value: &Node<'_>) -> Result<bool, Wrong> {
    let wrong = || Wrong::new(format!("it is {}", text_of(value)), "write true or false");
    value.get_ref().as_bool().ok_or_else(wrong)
}

fn list<T>(value: &Node<'_>, read: fn(&str) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
    words(value)?.into_iter().map(read).collect()
}

fn words<'a>(value: &'a Node<'_>) -> Result<Vec<&'a str>, Wrong> {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().map(text).collect(),
        _ => text(value).map(|word| vec![word]),
    }
}
