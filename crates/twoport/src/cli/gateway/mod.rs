//! `twoport gateway`: the gateway's start, its signals and its end.
//!
//! How sessions are relayed is the gateway crate's business.

mod config;
pub(crate) mod file;
mod metrics;
mod remains;
mod replace;
mod rules;
mod scan;
mod seats;
mod servers;
mod shown;
mod status;
mod supervisor;
mod words;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use clap::ArgMatches;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use twoport_gateway::{Board, Config, Gateway};
use twoport_server::config::problem::{Place, Problem, Problems};
use twoport_server::config::words::{LogFormat, LogLevel};

use super::exit::Exit;
use super::output::{data, line_on_stderr};
use super::serve::raise_open_files;
use super::{Failure, Outcome, log};
use replace::Taking;
use seats::{Seats, Signals, welcome};
use shown::{Answering, Shown};
use words::{LOG_FORMAT, Words};

/// Where the configuration comes from.
#[derive(Debug)]
struct Source {
    /// The words of the command line; they hold for every seat.
    words: Words,
    file: Option<OsString>,
}

/// Relays until a signal says otherwise.
pub(crate) fn run(matches: &ArgMatches) -> Outcome {
    if let Some(("status", matches)) = matches.subcommand() {
        return status::run(matches);
    }
    if matches.subcommand_matches("tidy").is_some() {
        return remains::run();
    }
    let source = Source { words: Words::of(matches), file: matches.get_one("config").cloned() };
    let (configs, in_file) = source.resolve().map_err(|problems| refused(&problems))?;
    if matches.get_flag("print-rules") {
        let rules: String = configs.iter().filter_map(|config| config.seat.rules()).collect();
        return data(if rules.is_empty() { "# This seat needs no rules.\n" } else { &rules });
    }
    let format = matches.get_one::<String>(LOG_FORMAT).or(in_file.as_ref());
    let format = match format.map(String::as_str) {
        Some("json") => LogFormat::Json,
        _ => LogFormat::Human,
    };
    log::start(format, LogLevel::Info);
    raise_open_files();
    let runtime = runtime(&configs)
        .map_err(|error| Failure::here(format!("the system gives no threads: {error}")))?;
    runtime.block_on(relay(source, configs, matches.get_flag("replace")))
}

/// A thread for each core where bytes pass through this process; for lines alone, one for every two cores:
/// threads that wake each other for every line cost more than they gain (measured on 2 cores: with one
/// thread a fifth more files of a KiB go through).
fn runtime(configs: &[Config]) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if configs.iter().all(Config::leaves_data_to_the_kernel) {
        builder.worker_threads(available_parallelism().map_or(1, usize::from).div_ceil(2));
    }
    builder.enable_all().build()
}

/// What is wrong with a file, before a gateway reads it.
pub(crate) fn examine(file: &Path) -> Vec<Problem> {
    let source = Source { words: Words::default(), file: Some(file.into()) };
    source.resolve().err().map(|problems| problems.0).unwrap_or_default()
}

impl Source {
    /// The configuration of each seat, and what the file says about the log.
    fn resolve(&self) -> Result<(Vec<Config>, Option<String>), Problems> {
        let (seats, log_format) = match &self.file {
            Some(file) => {
                let contents = file::read(Path::new(file))?;
                let over = |seat: &Words| self.words.clone().or(seat);
                (contents.seats.iter().map(over).collect(), contents.log_format)
            }
            None => (vec![self.words.clone()], None),
        };
        let (mut configs, mut problems) = (Vec::new(), Vec::new());
        for seat in &seats {
            match config::config(seat) {
                Ok(config) => configs.push(config),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok((configs, log_format)) } else { Err(Problems(problems)) }
    }
}

/// Problems of a file each on its line as it is, so that editors find the place.
fn refused(problems: &Problems) -> Failure {
    if let [Problem { place: None | Some(Place::CommandLine), .. }] = &problems.0[..] {
        return Failure::usage(problems.to_string());
    }
    line_on_stderr(problems);
    Failure::usage(match problems.0.len() {
        1 => "the configuration has a mistake; nothing was started".to_owned(),
        count => format!("the configuration has {count} mistakes; nothing was started"),
    })
}

async fn relay(source: Source, configs: Vec<Config>, replaces: bool) -> Outcome {
    let board = Board::default();
    let servers = configs.iter().flat_map(|config| &config.servers);
    let servers: Vec<String> = servers.map(|server| server.at.clone()).collect();
    let pages: Vec<_> = configs.iter().filter_map(|config| config.metrics).collect();
    let is_router = configs.iter().any(|config| config.seat.rules().is_some());
    let mut taking = if replaces { Taking::begin()? } else { Taking::default() };
    let mut gateways = Vec::new();
    for config in configs {
        let gateway = Gateway::succeed(config, board.clone(), &mut taking.sockets);
        gateways.push(gateway.map_err(|error| taking.failed(&error))?);
    }
    let shown = Shown::open(pages.into_iter(), &mut taking.sockets);
    let shown = shown.map_err(|error| taking.failed(&error))?;
    let signals = Signals::new()
        .map_err(|error| Failure::here(format!("the system gives no signals: {error}")))?;
    let heir = remains::Heir::wait(is_router);
    let addresses = gateways.iter().flat_map(Gateway::addresses);
    let listen: Vec<String> = addresses.map(|address| address.to_string()).collect();
    let (listen, servers) = (listen.join(" "), servers.join(" "));
    for gateway in &gateways {
        welcome(gateway).await;
    }
    // From here on nothing fails.
    let told = taking.complete();
    let (wisher, wishes) = mpsc::channel(1);
    let answering = shown.answer(&board, wisher).unwrap_or_else(|error| {
        tracing::warn!(target: "twoport", %error, "no status, no metrics");
        Answering::default()
    });
    let mut seats = Seats::new(board, answering);
    for mut gateway in gateways {
        gateway.learn(&told);
        seats.begin(gateway);
    }
    tracing::info!(target: "twoport", listen, servers, "ready");
    supervisor::tell_ready();
    seats.obey(signals, wishes, Arc::new(source)).await;
    heir.dismiss();
    tracing::info!(target: "twoport", "stopped");
    Ok(Exit::Done)
}
