//! Where the server's log goes, and what its lines look like: standard error, for people or as JSON.
//!
//! What is logged is decided by the server.

use std::io;

use twoport_server::config::problem::Problem;
use twoport_server::config::words::LogFormat;

/// Sends every event from now on to standard error. The first call counts.
pub(crate) fn start(format: LogFormat) {
    let lines = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false);
    let lines = lines.with_target(false);
    // An error would mean that there is a log already: a second start changes nothing.
    let _: Result<_, _> = match format {
        LogFormat::Human => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
}

/// A doubtful setting.
pub(crate) fn warning(problem: &Problem) {
    tracing::warn!(target: "twoport", "{problem}");
}
