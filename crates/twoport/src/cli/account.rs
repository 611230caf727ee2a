//! `twoport account`: the accounts of an account file.
//!
//! What the file looks like is the server's business; passwords are read here and never shown,
//! but for those that were made here.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use clap::ArgMatches;
use serde_json::json;

use twoport_server::accounts::certificate::{Certificates, Name, read_fingerprint};
use twoport_server::accounts::file::{AccountFile, FileError};
use twoport_server::accounts::hash::PasswordHash;
use twoport_server::accounts::password::Password;
use twoport_server::accounts::readable_by_all;
use twoport_server::config::account::{
    AccountEntry, check_name, permission_words, read_permissions, read_requirement, read_root,
    requirement_word,
};
use twoport_server::config::problem::{Place, Problem};
use twoport_server::config::read_account_file;
use twoport_server::config::value::Wrong;

use super::exit::Exit;
use super::output::{self, tell};
use super::{Failure, Outcome};

pub(crate) fn run(matches: &ArgMatches) -> Outcome {
    match matches.subcommand() {
        Some(("add", matches)) => add(matches),
        Some(("passwd", matches)) => passwd(matches),
        Some(("list", matches)) => list(matches),
        Some(("remove", matches)) => remove(matches),
        _ => Err(Failure::usage("no such command; `twoport account --help` lists them")),
    }
}

fn add(matches: &ArgMatches) -> Outcome {
    let name = name(matches);
    check_name(name).map_err(|wrong| Failure::usage(wrong.to_string()))?;
    let text = |flag, default| matches.get_one::<String>(flag).map_or(default, String::as_str);
    let root =
        read_root(text("root", ".")).map_err(|wrong| Failure::usage(format!("--root: {wrong}")))?;
    let permissions = read_permissions(text("permissions", "all").split(',').map(str::trim))
        .map_err(|wrong| Failure::usage(format!("--permissions: {wrong}")))?;
    let required = |flag: &'static str| {
        let wrong = |wrong| Failure::usage(format!("--{flag}: {wrong}"));
        read_requirement(text(flag, "optional")).map_err(wrong)
    };
    let (tls, data_tls) = (required("tls")?, required("data-tls")?);
    let certificates = Certificates {
        fingerprints: texts(matches, "certificate", read_fingerprint)?,
        names: texts(matches, "certificate-name", Name::read)?,
    };
    let mut file = AccountFile::open(&file(matches)).map_err(refused)?;
    if file.accounts().iter().any(|account| account.name == name) {
        return Err(refused(FileError::Exists(name.to_owned())));
    }
    let (password, hash) = password_and_hash(matches)?;
    let account = AccountEntry {
        root,
        permissions,
        tls,
        data_tls,
        certificates,
        ..AccountEntry::new(name.to_owned(), hash, Place::CommandLine)
    };
    file.add(&account).map_err(refused)?;
    file.save().map_err(refused)?;
    show_made(matches, &password)
}

/// What a flag says each time it is given.
fn texts<T>(
    matches: &ArgMatches,
    flag: &str,
    read: fn(&str) -> Result<T, Wrong>,
) -> Result<Vec<T>, Failure> {
    let wrong = |wrong| Failure::usage(format!("--{flag}: {wrong}"));
    let given = matches.get_many::<String>(flag).unwrap_or_default();
    given.map(|text| read(text).map_err(wrong)).collect()
}

fn passwd(matches: &ArgMatches) -> Outcome {
    let mut file = AccountFile::open(&file(matches)).map_err(refused)?;
    let name = name(matches);
    if file.accounts().iter().all(|account| account.name != name) {
        return Err(refused(FileError::Unknown(name.to_owned())));
    }
    let (password, hash) = password_and_hash(matches)?;
    file.set_password(name, &hash).map_err(refused)?;
    file.save().map_err(refused)?;
    show_made(matches, &password)
}

fn list(matches: &ArgMatches) -> Outcome {
    let path = file(matches);
    let accounts =
        read_account_file(&path).map_err(|problems| Failure::usage(problems.to_string()))?;
    warn(readable_by_all(&path));
    let line = if matches.get_flag("json") { line_of_json } else { line_of_text };
    output::data(&accounts.iter().map(line).collect::<String>())
}

fn remove(matches: &ArgMatches) -> Outcome {
    let mut file = AccountFile::open(&file(matches)).map_err(refused)?;
    file.remove(name(matches)).map_err(refused)?;
    file.save().map_err(refused)?;
    Ok(Exit::Done)
}

fn line_of_text(account: &AccountEntry) -> String {
    let words = permission_words(account.permissions).join(",");
    let state = if account.enabled { "enabled" } else { "disabled" };
    let (name, root) = (&account.name, account.root.display());
    let tls = [(account.tls, "\ttls required"), (account.data_tls, "\tdata-tls required")];
    let tls: String = tls.iter().filter(|(is, _)| *is).map(|(_, text)| *text).collect();
    format!("{name}\t{root}\t{words}\t{state}{tls}\n")
}

fn line_of_json(account: &AccountEntry) -> String {
    let object = json!({
        "name": account.name,
        "root": account.root.display().to_string(),
        "permissions": permission_words(account.permissions),
        "enabled": account.enabled,
        "tls": requirement_word(account.tls),
        "data-tls": requirement_word(account.data_tls),
    });
    format!("{object}\n")
}

fn name(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("NAME").map_or("", String::as_str)
}

fn file(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<std::ffi::OsString>("file").map(PathBuf::from).unwrap_or_default()
}

/// What the user can put right is a mistake of use, all else a failure of this side.
fn refused(error: FileError) -> Failure {
    match error {
        FileError::Io(..) => Failure::new(Exit::Local, error.to_string()),
        error => Failure::usage(error.to_string()),
    }
}

fn warn(warning: Option<Problem>) {
    if let Some(warning) = warning {
        tell(format_args!("warning: {warning}"));
    }
}

fn password_and_hash(matches: &ArgMatches) -> Result<(Password, PasswordHash), Failure> {
    let password = if matches.get_flag("generate") {
        Password::generate().map_err(|error| {
            Failure::here(format!("the system gives no random numbers: {error}"))
        })?
    } else {
        ask()?
    };
    let hash = PasswordHash::of(&password).map_err(|error| Failure::here(error.to_string()))?;
    Ok((password, hash))
}

/// Asks for a password, twice and without echo; or reads a line where standard input is no terminal.
fn ask() -> Result<Password, Failure> {
    let unreadable = |error| Failure::here(format!("cannot read the password: {error}"));
    let password = if io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ").map_err(unreadable)?;
        let again = rpassword::prompt_password("Again: ").map_err(unreadable)?;
        if password != again {
            return Err(Failure::usage("the two passwords differ; nothing was changed"));
        }
        password
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        return Err(Failure::usage("the password is empty; give one, or use --generate"));
    }
    Ok(Password::new(password))
}

fn show_made(matches: &ArgMatches, password: &Password) -> Outcome {
    if !matches.get_flag("generate") {
        return Ok(Exit::Done);
    }
    output::data(&format!("{}\n", twoport_proto::text::Escaped(password.expose())))
}
