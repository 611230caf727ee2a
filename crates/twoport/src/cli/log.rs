//! Where the server's log goes, and what its lines look like: standard error, for people or as JSON.
//!
//! What is logged is decided by the server; here the lines about sessions are let through or not.

use std::io;

use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, registry};

use twoport_server::config::problem::Problem;
use twoport_server::config::words::{LogFormat, LogLevel};
use twoport_server::log::SESSIONS;

/// Sends every event that `level` tells from now on to standard error. The first call counts.
pub(crate) fn start(format: LogFormat, level: LogLevel) {
    let lines = fmt::layer::<Registry>().with_writer(io::stderr).with_ansi(false);
    let lines = lines.with_target(false);
    let lines = match format {
        LogFormat::Human => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let told = filter_fn(move |event| match level {
        LogLevel::Info => *event.level() <= Level::INFO,
        LogLevel::Warn if event.target() == SESSIONS => *event.level() <= Level::WARN,
        LogLevel::Warn => *event.level() <= Level::INFO,
    });
    // An error would mean that there is a log already: a second start changes nothing.
    let _: Result<_, _> = registry().with(lines).with(told).try_init();
}

/// A doubtful setting.
pub(crate) fn warning(problem: &Problem) {
    tracing::warn!(target: "twoport", "{problem}");
}
