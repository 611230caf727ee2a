//! What a configuration of the server is made of: the words of the command line and a file, at the
//! start and again at each reload.
//!
//! It starts nothing; that is for [`serve`](super::serve).

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::ArgMatches;

use twoport_server::accounts::hash::PasswordHash;
use twoport_server::accounts::password::Password;
use twoport_server::config::account::{AccountEntry, check_name};
use twoport_server::config::problem::{Place, Problem, Problems};
use twoport_server::config::settings::{Setting, TABLE};
use twoport_server::config::value::Wrong;
use twoport_server::config::words::Anonymous;
use twoport_server::config::{Config, Draft};

use super::Failure;
use super::reach::{local_addresses, urls};

/// The name of the account that is made where there is no other way in.
const MADE_NAME: &str = "twoport";

/// The command line of `serve`, as words: what a configuration is made of, at start and again at
/// each SIGHUP.
#[derive(Debug)]
pub(crate) struct Source {
    directory: Option<PathBuf>,
    file: Option<PathBuf>,
    settings: Vec<(&'static Setting, String)>,
    users: Vec<(String, Password)>,
    /// Made when it is first needed, and the same for as long as the program runs.
    made: OnceLock<Password>,
}

impl Source {
    /// Takes the words from a parsed command line. No system call is made.
    pub(crate) fn new(matches: &ArgMatches) -> Result<Self, Failure> {
        let path = |name| matches.get_one::<OsString>(name).map(PathBuf::from);
        let given = |setting: &'static Setting| {
            let values = matches.try_get_many::<String>(setting.key).ok()??;
            Some((setting, values.map(String::as_str).collect::<Vec<_>>().join(",")))
        };
        let users = matches.get_many::<String>("user").unwrap_or_default();
        Ok(Self {
            directory: path("DIR"),
            file: path("config"),
            settings: TABLE.iter().filter_map(given).collect(),
            users: users.map(|text| user(text)).collect::<Result<_, _>>()?,
            made: OnceLock::new(),
        })
    }

    /// The configuration and its warnings, or all that is wrong: defaults, then the file, then the
    /// flags, then an account of its own if there is no other way in.
    pub(crate) fn resolve(&self) -> Result<(Config, Vec<Problem>), Problems> {
        let mut draft = Draft::new();
        if let Some(file) = &self.file {
            draft.read_file(file);
        }
        if let Some(directory) = &self.directory {
            draft.set_root(directory.clone());
        }
        for (setting, text) in &self.settings {
            draft.set(setting, text);
        }
        for (name, password) in &self.users {
            draft.set_account(entry(name, password)?);
        }
        if nobody_can_log_in(draft.so_far()) {
            draft.set_account(entry(MADE_NAME, self.made()?)?);
        }
        draft.finish()
    }

    /// The URLs to print once the server is bound, one per line. They log in as the account that
    /// was made, if one was: a password that the user chose is not repeated.
    pub(crate) fn urls(&self, config: &Config, bound: &[SocketAddr]) -> Vec<String> {
        let login = self.made.get().map(|password| (MADE_NAME, password.expose()));
        urls(bound, &local_addresses(), config.data.public_address.general(), login)
    }

    fn made(&self) -> Result<&Password, Problems> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let made = Password::generate().map_err(|error| cannot_make(&error.to_string()))?;
        Ok(self.made.get_or_init(|| made))
    }
}

fn nobody_can_log_in(config: &Config) -> bool {
    let accounts = &config.accounts;
    config.account.is_empty()
        && accounts.account_file.is_none()
        && accounts.anonymous == Anonymous::Off
}

/// The text is never repeated in a message: it holds a password.
fn user(text: &str) -> Result<(String, Password), Failure> {
    let Some((name, password)) = text.split_once(':') else {
        return Err(Failure::usage("--user: there is no colon; write NAME:PASSWORD"));
    };
    check_name(name).map_err(|wrong| Failure::usage(format!("--user: {wrong}")))?;
    if password.is_empty() {
        let message = "--user: the password is empty; write NAME:PASSWORD, or let everybody in with --anonymous";
        return Err(Failure::usage(message));
    }
    Ok((name.to_owned(), Password::new(password)))
}

fn entry(name: &str, password: &Password) -> Result<AccountEntry, Problems> {
    let hash = PasswordHash::of(password).map_err(|error| cannot_make(&error.to_string()))?;
    Ok(AccountEntry::new(name.to_owned(), hash, Place::CommandLine))
}

fn cannot_make(error: &str) -> Problems {
    let wrong = Wrong::new(format!("no account can be made: {error}"), "see the system's log");
    Problems(vec![Problem::new(None, "user", wrong)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(line: &[&str]) -> Result<Source, Failure> {
        let line = ["twoport", "serve"].iter().chain(line);
        let matches = super::super::command().try_get_matches_from(line).unwrap();
        Source::new(matches.subcommand().unwrap().1)
    }

    fn config(line: &[&str]) -> Config {
        source(line).unwrap().resolve().unwrap().0
    }

    #[test]
    fn a_directory_is_enough() {
        let source = source(&["/srv"]).unwrap();
        let (config, warnings) = source.resolve().unwrap();
        assert_eq!(config.server.root, Some("/srv".into()));
        assert_eq!(config.account[0].name, MADE_NAME);
        let (made, again) = (source.made.get().cloned(), source.resolve().unwrap());
        assert_eq!(source.made.get().cloned(), made, "a reload keeps the password");
        assert!(again.0.account[0].password_hash.fits(made.unwrap().expose()));
        assert!(warnings.iter().all(|warning| warning.key == "passive-ports"), "{warnings:?}");
        let urls = source.urls(&config, &["127.0.0.1:2121".parse().unwrap()]);
        assert!(urls[0].starts_with("ftp://twoport:") && urls[0].ends_with("@127.0.0.1:2121/"));
    }

    #[test]
    fn the_command_line_of_the_issue_is_understood() {
        let config = config(&[
            "/srv",
            "--listen",
            "127.0.0.1:2121",
            "--listen",
            "[::1]:2121",
            "--user",
            "ann:se:cret",
            "--anonymous=write",
            "--passive-ports",
            "50000-50999",
            "--public-address",
            "203.0.113.7",
            "--idle-timeout",
            "60",
            "--log-format",
            "json",
        ]);
        assert_eq!(config.server.listen.map(|listen| listen.len()), Some(2));
        assert_eq!(config.accounts.anonymous, Anonymous::Write);
        assert_eq!(config.data.passive_ports.range(), 50_000..=50_999);
        assert_eq!(config.timeouts.idle_timeout.as_secs(), 60);
        assert!(config.account[0].password_hash.fits(b"se:cret"));
    }

    #[test]
    fn anonymous_alone_reads_and_takes_no_word_by_mistake() {
        let config = config(&["--anonymous", "/srv", "--durable=false"]);
        assert_eq!(config.accounts.anonymous, Anonymous::Read);
        assert_eq!(config.server.root, Some("/srv".into()));
        assert!(config.account.is_empty() && !config.storage.durable);
    }

    #[test]
    fn passwords_are_in_no_message_and_no_debug() {
        for bad in ["annsecret", "a/b:secret", ":secret"] {
            let failure = source(&["/srv", "--user", bad]).unwrap_err();
            assert!(!format!("{failure:?}").contains("secret"), "{failure:?}");
        }
        let source = source(&["/srv", "--user", "ann:secret"]).unwrap();
        let resolved = source.resolve().unwrap();
        let shown = format!("{source:?} {resolved:?}");
        assert!(!shown.contains("secret") && !shown.contains("argon2"), "{shown}");
    }
}
