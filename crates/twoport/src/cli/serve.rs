//! `twoport serve`: the server's start, its signals and its end.
//!
//! What the configuration is made of is in [`source`](super::source); how sessions are served is
//! the server's business.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::ArgMatches;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use twoport_server::accounts::Accounts;
use twoport_server::config::Config;
use twoport_server::config::problem::Problems;
use twoport_server::{Handle, Server};

use super::exit::Exit;
use super::output::{data, line_on_stderr};
use super::source::Source;
use super::{Failure, Outcome, log};

/// Serves until a signal says otherwise.
pub(crate) fn run(matches: &ArgMatches) -> Outcome {
    // Before the first password is hashed: what the C library learns from it cannot be undone.
    twoport_sys::memory::give_back_large_blocks();
    let source = Source::new(matches)?;
    let (config, warnings) = source.resolve().map_err(|problems| refused(&problems))?;
    let (accounts, more) = Accounts::load(&config).map_err(|problems| refused(&problems))?;
    log::start(config.log.log_format, config.log.log_level);
    warnings.iter().chain(&more).for_each(log::warning);
    raise_open_files();
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::here(format!("the system gives no threads: {error}")))?;
    let outcome = runtime.block_on(serve(source, config, accounts));
    // A storage job that hangs in the kernel must not keep the program from ending.
    runtime.shutdown_background();
    outcome
}

async fn serve(source: Source, config: Config, accounts: Accounts) -> Outcome {
    let server = Server::bind(config.clone(), accounts)
        .map_err(|error| Failure::here(format!("{error}; choose another address with --listen")))?;
    let signals = Signals::new()
        .map_err(|error| Failure::here(format!("the system gives no signals: {error}")))?;
    let mut urls = source.urls(&config, server.addresses());
    let implicit = source.urls(&config, server.implicit_addresses());
    urls.extend(implicit.iter().map(|url| url.replacen("ftp://", "ftps://", 1)));
    data(&urls.iter().map(|url| format!("{url}\n")).collect::<String>())?;
    for fingerprint in server.fingerprints() {
        tracing::info!(target: "twoport", sha256 = fingerprint, "certificate");
    }
    let implicit_tls = listed(server.implicit_addresses());
    tracing::info!(target: "twoport", listen = listed(server.addresses()), implicit_tls, "ready");
    tokio::spawn(obey(signals, Arc::new(source), server.handle()));
    server.run().await;
    tracing::info!(target: "twoport", "stopped");
    Ok(Exit::Done)
}

fn listed(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Problems of a configuration, each on its line as it is, so that editors find the place.
fn refused(problems: &Problems) -> Failure {
    line_on_stderr(problems);
    Failure::usage(match problems.0.len() {
        1 => "the configuration has a mistake; nothing was started".to_owned(),
        count => format!("the configuration has {count} mistakes; nothing was started"),
    })
}

/// Two files per session and one per data connection pass the usual limit of 1024 soon. What the
/// administrator set as the hard limit is the bound that is meant.
pub(super) fn raise_open_files() {
    let now = getrlimit(Resource::Nofile);
    if now.current < now.maximum || now.maximum.is_none() {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, ..now });
        if let Err(error) = raised {
            tracing::warn!(target: "twoport", %error, "the limit on open files stays low");
        }
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// SIGHUP reloads. SIGTERM and Ctrl-C let transfers finish; the second of them does not.
async fn obey(mut signals: Signals, source: Arc<Source>, handle: Handle) {
    let mut gracefully = true;
    loop {
        tokio::select! {
            _ = signals.hang_up.recv() => reload(Arc::clone(&source), handle.clone()).await,
            _ = signals.terminate.recv() => {
                handle.stop(gracefully);
                gracefully = false;
            }
            _ = signals.interrupt.recv() => {
                handle.stop(gracefully);
                gracefully = false;
            }
        }
    }
}

/// Reads the configuration again; one with mistakes changes nothing.
async fn reload(source: Arc<Source>, handle: Handle) {
    let work = move || {
        let (config, warnings) = source.resolve()?;
        let (accounts, more) = Accounts::load(&config)?;
        Ok::<_, Problems>((config, accounts, [warnings, more].concat()))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok((config, accounts, warnings))) => {
            warnings.iter().for_each(log::warning);
            match handle.reload(config, accounts) {
                Ok(()) => tracing::info!(target: "twoport", "the configuration was read again"),
                Err(error) => {
                    tracing::error!(target: "twoport", %error, "the old configuration stays")
                }
            }
        }
        Ok(Err(problems)) => {
            for problem in &problems.0 {
                tracing::error!(target: "twoport", "{problem}; the old configuration stays");
            }
        }
        Err(error) => tracing::error!(target: "twoport", %error, "the old configuration stays"),
    }
}
