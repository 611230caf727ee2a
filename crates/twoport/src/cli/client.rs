//! What `get`, `put` and `ls` have in common: settings, sessions that are used again, and Ctrl-C.
//!
//! How files move is the client library's business.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;

use twoport_client::{
    Config, Error, Fingerprint, Mode, Policy, Scheme, Session, Tls, Trust, Url, Versions,
    parse_proxy,
};
use twoport_net::reflect::Reflector;
use twoport_server::config::ports::Ports;
use twoport_server::config::value::{Misread, Value as _};

use super::exit::Exit;
use super::output::tell;
use super::proxy::proxy_for;
use super::{Failure, Outcome, network};

/// The settings of a session.
pub(crate) fn config(matches: &ArgMatches) -> Result<Config, Failure> {
    let word = matches.get_one::<String>("mode").map_or("auto", String::as_str);
    let mode =
        Mode::ALL.into_iter().find(|(name, _)| *name == word).map_or(Mode::Auto, |(_, mode)| mode);
    let mut config = Config { mode, tls: tls(matches)?, ..Config::default() };
    active(matches, &mut config)?;
    config.memory = network::file();
    config.clear_commands = matches.get_flag("ccc");
    if config.clear_commands {
        tell(
            "--ccc: everybody on the way can read the names of files and directories; their content \
             stays protected",
        );
    }
    if let Some(text) = matches.get_one::<String>("proxy") {
        let proxy = parse_proxy(text).map_err(|error| Failure::usage(format!("--proxy: {error}")));
        config.proxy = Some(proxy?);
    }
    let Some(text) = matches.get_one::<String>("timeout") else { return Ok(config) };
    let timeout = Duration::read(text, Path::new(""))
        .map_err(|_| Failure::usage(format!("--timeout: {}", Duration::FORM.wrong(text))))?;
    Ok(config.with_timeout(timeout))
}

/// What is said of active mode.
fn active(matches: &ArgMatches, config: &mut Config) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    if let Some(ports) = text("active-ports") {
        let read = Ports::read(ports, Path::new("")).map_err(|misread| match misread {
            Misread::Form => Ports::FORM.wrong(ports),
            Misread::Wrong(wrong) => wrong,
        });
        let read = read.map_err(|wrong| Failure::usage(format!("--active-ports: {wrong}")));
        config.active_ports = read?.range();
    }
    if let Some(address) = text("external-address") {
        let address = address.parse().map_err(|_| {
            Failure::usage(format!("--external-address: {address:?} is no IP address"))
        });
        config.external_address = Some(address?);
    }
    if let Some(url) = text("reflector") {
        let reflector = Reflector::parse(url).ok_or_else(|| {
            Failure::usage(format!(
                "--reflector: {url:?} is not of the form stun://HOST:PORT or ftp://HOST:PORT"
            ))
        });
        config.reflector = Some(reflector?);
    }
    if let Some(hops) = text("punch-ttl") {
        let hops = hops.parse().ok().filter(|hops| *hops != 0).ok_or_else(|| {
            Failure::usage(format!("--punch-ttl: {hops:?} is no number from 1 to 255"))
        });
        config.punch_hops = Some(hops?);
    }
    Ok(())
}

/// What is said of TLS. The files are read when there is a connection.
fn tls(matches: &ArgMatches) -> Result<Tls, Failure> {
    let word = |name| matches.get_one::<String>(name).map(String::as_str);
    let file = |name| matches.get_one::<OsString>(name).map(PathBuf::from);
    let policy = match word("tls") {
        Some("off") => Policy::Off,
        Some("required") => Policy::Required,
        _ => Policy::Auto,
    };
    let versions = match word("tls-version") {
        Some("1.2") => Versions::Only12,
        Some("1.3") => Versions::Only13,
        _ => Versions::All,
    };
    let certificate = match (file("certificate"), file("key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            let message =
                "--certificate and --key go together: a certificate shows nothing without its key";
            return Err(Failure::usage(message));
        }
    };
    let trust = match trust(file("ca"), matches.get_flag("no-verify"), word("pin"))? {
        trust if !matches.get_flag("trust-on-first-use") => trust,
        Trust::Platform => Trust::FirstUse(known_hosts()?),
        _ => {
            let message = "--trust-on-first-use contradicts --ca, --pin and --no-verify; give one";
            return Err(Failure::usage(message));
        }
    };
    Ok(Tls { policy, trust, certificate, versions })
}

/// In the user's state directory (XDG), for what programs keep from one run to the next.
fn known_hosts() -> Result<PathBuf, Failure> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
    state.map(|state| state.join("twoport/known-hosts")).ok_or_else(|| {
        Failure::usage("--trust-on-first-use keeps a file: set XDG_STATE_HOME or HOME")
    })
}

fn trust(ca: Option<PathBuf>, anybody: bool, pin: Option<&str>) -> Result<Trust, Failure> {
    let pin = match pin.map(|text| (text, Fingerprint::parse(text))) {
        Some((text, None)) => {
            return Err(Failure::usage(format!(
                "--pin: {text} is no SHA-256; write the 64 hexadecimal digits that `openssl x509 -noout -fingerprint -sha256` shows"
            )));
        }
        Some((_, pin)) => pin,
        None => None,
    };
    match (ca, anybody, pin) {
        (None, false, None) => Ok(Trust::Platform),
        (Some(file), false, None) => Ok(Trust::Authority(file)),
        (None, true, None) => Ok(Trust::Anybody),
        (None, false, Some(pin)) => Ok(Trust::Pin(pin)),
        _ => Err(Failure::usage("--ca, --pin and --no-verify contradict each other; give one")),
    }
}

/// The positional arguments.
pub(crate) fn words(matches: &ArgMatches) -> Vec<OsString> {
    matches.get_many("WORDS").unwrap_or_default().cloned().collect()
}

/// Whether a word is meant as a URL.
pub(crate) fn is_url(word: &OsString) -> bool {
    word.to_str().and_then(Scheme::of).is_some()
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
            None => {
                let mut config = self.config.clone();
                if config.proxy.is_none() {
                    config.proxy = proxy_for(url.host(), |name| std::env::var(name).ok())?;
                }
                let session = Session::connect(url, config).await?;
                if let Some(shown) = session.introduced() {
                    let (host, port) = (url.host(), session.peer().port());
                    tell(format_args!(
                        "{host}:{port}: note: certificate believed at first sight, and from now on no other: sha256 {shown}"
                    ));
                }
                if let Some(reason) = session.notice() {
                    tell(format_args!("{}: note: {}", url.host(), reason.describe()));
                    tell(reason.explain());
                }
                session
            }
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
    let place = |url: &Url| (url.scheme(), url.host().to_owned(), url.port());
    place(one) == place(other) && one.credentials() == other.credentials()
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
