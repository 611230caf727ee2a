//! What `get`, `put` and `ls` have in common: settings, sessions that are used again, and Ctrl-C.
//!
//! How files move is the client library's business.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;

use twoport_client::{Config, Error, Mode, Session, Url};
use twoport_server::config::value::Value as _;

use super::exit::Exit;
use super::{Failure, Outcome};

/// The settings of a session.
pub(crate) fn config(matches: &ArgMatches) -> Result<Config, Failure> {
    let mode = match matches.get_one::<String>("mode").map(String::as_str) {
        Some("epsv") => Mode::Epsv,
        Some("pasv") => Mode::Pasv,
        Some("eprt") => Mode::Eprt,
        Some("port") => Mode::Port,
        _ => Mode::Auto,
    };
    let config = Config { mode, ..Config::default() };
    let Some(text) = matches.get_one::<String>("timeout") else { return Ok(config) };
    let timeout = Duration::read(text, Path::new(""))
        .map_err(|_| Failure::usage(format!("--timeout: {}", Duration::FORM.wrong(text))))?;
    Ok(config.with_timeout(timeout))
}

/// The positional arguments.
pub(crate) fn words(matches: &ArgMatches) -> Vec<OsString> {
    matches.get_many("WORDS").unwrap_or_default().cloned().collect()
}

/// Whether a word is meant as a URL.
pub(crate) fn is_url(word: &OsString) -> bool {
    word.to_str().and_then(|word| word.get(..6)).is_some_and(|s| s.eq_ignore_ascii_case("ftp://"))
}

/// Reads a URL. The message does not repeat it: it may hold a password.
pub(crate) fn url(word: &OsString) -> Result<Url, Failure> {
    let text = word
        .to_str()
        .ok_or_else(|| Failure::usage("the URL is not UTF-8; write other bytes as %NN"))?;
    Url::parse(text).map_err(|error| Failure::usage(error.to_string()))
}

/// Sessions, one at a time: the next URL of the same server and user goes on with the last one.
pub(crate) struct Sessions {
    config: Config,
    open: Option<(Url, Session)>,
}

impl Sessions {
    pub(crate) const fn new(config: Config) -> Self {
        Self { config, open: None }
    }

    /// A session with the server of a URL.
    pub(crate) async fn to(&mut self, url: &Url) -> Result<&mut Session, Error> {
        if let Some((_, former)) = self.open.take_if(|(former, _)| !same_login(former, url)) {
            former.quit().await;
        }
        let session = match self.open.take() {
            Some((_, session)) => session,
            None => Session::connect(url, self.config.clone()).await?,
        };
        Ok(&mut self.open.insert((url.clone(), session)).1)
    }

    /// Gives up a session that an error has made useless.
    pub(crate) fn after<T>(&mut self, result: &Result<T, Error>) {
        if result.as_ref().is_err_and(|error| !error.leaves_session()) {
            self.open = None;
        }
    }

    /// Takes leave of the server.
    pub(crate) async fn close(self) {
        if let Some((_, session)) = self.open {
            session.quit().await;
        }
    }
}

fn same_login(one: &Url, other: &Url) -> bool {
    (one.host(), one.port(), one.credentials()) == (other.host(), other.port(), other.credentials())
}

/// How long threads that write files may take to end after Ctrl-C.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// Runs the work of a command; Ctrl-C ends it in good order.
pub(crate) fn run(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::here(format!("the system gives no threads: {error}")))?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = work => outcome,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        }
    });
    runtime.shutdown_timeout(LAST_WRITES);
    outcome
}
