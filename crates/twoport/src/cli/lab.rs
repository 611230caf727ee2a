//! `twoport lab`: the networks in which FTP breaks, shown, entered, and played.
//!
//! The networks and the matrix are `twoport-networks`; here are its words.

use std::ffi::OsString;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::thread;
use std::time::Duration;

use clap::builder::OsStringValueParser;
use clap::{Arg, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use twoport_networks::play::clients::{CLIENTS, Client};
use twoport_networks::play::servers::{SERVERS, Server};
use twoport_networks::play::{Gateways, Mode, Operation, Order, Programs, Protection, play};
use twoport_networks::side::{End, SIDES};
use twoport_networks::{Family, Network, Process, Topology, missing, show};
use twoport_proto::glob::Glob;
use twoport_server::config::value::Value as _;

use super::exit::Exit;
use super::output::{data, tell};
use super::{Failure, Outcome, flags};

/// How long clients of others wait. Origin: a SYN and its repetitions after 1, 3 and 7 seconds.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) fn command() -> Command {
    let verb = |verb: &'static str, about: &'static str| {
        flags::with_flags(Command::new(verb).about(about), &format!("lab {verb}"))
    };
    let network =
        || Arg::new("NETWORK").required(true).help("The network, such as nat/firewall-range");
    Command::new("lab")
        .about("The networks in which FTP breaks, on this machine: see, enter and play them")
        .long_about(
            "The networks in which FTP breaks, each a client side and a server side such as \
             nat/firewall-range, built on this machine from Linux network namespaces. It needs root, \
             ip and nft. The machine's own network is not touched, several labs can run side by side, \
             and nothing is left behind, even after SIGKILL.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([
            verb("list", "List the sides and the networks made of them"),
            verb("show", "Draw a network: its hosts, addresses, and what is open").arg(network()),
            verb("run", "Play the matrix of modes, protections and operations in networks").arg(
                Arg::new("NETWORK")
                    .num_args(0..)
                    .help("The networks, by name or pattern such as 'nat/*'; base is the 40 of the base matrix [default: all]"),
            ),
            verb("shell", "Build a network and open a shell in one of its nodes")
                .arg(network())
                .arg(Arg::new("NODE").default_value("client").help(
                    "client, client-box, carrier, public, server-box or server",
                ))
                .arg(
                    Arg::new("COMMAND")
                        .num_args(0..)
                        .last(true)
                        .value_parser(OsStringValueParser::new())
                        .help("Run this in place of a shell, with its arguments"),
                ),
        ])
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    match matches.subcommand() {
        Some(("list", matches)) => list(matches),
        Some(("show", matches)) => {
            let topology = named(matches)?;
            let rules =
                if matches.get_flag("rules") { show::rules(&topology) } else { String::new() };
            data(&(show::picture(&topology) + &rules))
        }
        Some(("shell", matches)) => shell(matches),
        Some(("run", matches)) => matrix(matches),
        _ => Err(Failure::usage("no such command; `twoport lab --help` lists them")),
    }
}

fn list(matches: &ArgMatches) -> Outcome {
    let networks = Topology::all();
    if matches.get_flag("json") {
        let lines = networks.iter().map(|topology| {
            let (client, server) = (topology.client.about, topology.server.about);
            format!(
                "{}\n",
                json!({ "network": topology.to_string(), "client": client, "server": server })
            )
        });
        return data(&lines.collect::<String>());
    }
    let mut text = String::new();
    for (end, title) in [(End::Client, "Client sides"), (End::Server, "Server sides")] {
        text += &format!("{title}\n");
        for side in SIDES.iter().filter(|side| side.end == end) {
            let mark = if side.base { '*' } else { ' ' };
            text += &format!("{mark} {:<18} {}\n", side.name, side.about);
        }
        text.push('\n');
    }
    text += &format!(
        "A network is CLIENT-SIDE/SERVER-SIDE, such as nat/firewall-range; any pair can be named.\n\
         {} are played by `twoport lab run`, the {} pairs of those with * by `twoport lab run base`.\n",
        networks.len(),
        Topology::base().len(),
    );
    data(&text)
}

fn named(matches: &ArgMatches) -> Result<Topology, Failure> {
    let name = matches.get_one::<String>("NETWORK").map(String::as_str).unwrap_or_default();
    Topology::named(name).ok_or_else(|| no_such_network(name))
}

fn no_such_network(name: &str) -> Failure {
    Failure::usage(format!("there is no network {name}; `twoport lab list` shows those there are"))
}

/// Networks by names and patterns.
fn chosen(matches: &ArgMatches) -> Result<Vec<Topology>, Failure> {
    let mut found: Vec<Topology> = Vec::new();
    let all = Topology::all();
    let words: Vec<&String> = matches.get_many("NETWORK").unwrap_or_default().collect();
    for word in &words {
        let matching: Vec<Topology> = match word.as_str() {
            "base" => Topology::base(),
            word if word.contains('*') => {
                let pattern = Glob::new(word.as_bytes());
                let fits = |topology: &&Topology| pattern.matches(topology.to_string().as_bytes());
                all.iter().filter(fits).copied().collect()
            }
            word => Topology::named(word).into_iter().collect(),
        };
        if matching.is_empty() {
            return Err(no_such_network(word));
        }
        found.extend(matching);
    }
    Ok(if words.is_empty() { all } else { found })
}

fn matrix(matches: &ArgMatches) -> Outcome {
    let topologies = chosen(matches)?;
    let order = order(matches, topologies)?;
    can_build()?;
    let hidden = !std::io::stderr().is_terminal();
    let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new(expected(&order)) };
    if let Ok(style) = ProgressStyle::with_template("{pos} of {len} cells  {elapsed}  {msg}") {
        bar.set_style(style);
    }
    let cells = play(&order, &|cell| {
        bar.set_message(cell.topology.to_string());
        bar.inc(1);
    });
    bar.finish_and_clear();
    let cells = cells.map_err(|error| Failure::here(error.to_string()))?;
    if let Some(file) = matches.get_one::<OsString>("html").map(PathBuf::from) {
        let title = format!("{} and {}", order.server.name, order.client.name);
        fs::write(&file, show::page(&title, &cells))
            .map_err(|error| Failure::here(format!("cannot write {}: {error}", file.display())))?;
    }
    if matches.get_flag("json") {
        let lines = cells.iter().map(|cell| format!("{}\n", show::json(cell)));
        return data(&lines.collect::<String>());
    }
    let title = format!("server {}, client {}\n", order.server.name, order.client.name);
    data(&(title + &show::table(&cells)))
}

fn expected(order: &Order) -> u64 {
    let of_one = order.protections.len() * order.modes.len() * order.operations.len();
    let times = order.topologies.iter().map(|topology| order.families_in(topology).len());
    u64::try_from(times.sum::<usize>() * of_one).unwrap_or(u64::MAX)
}

fn order(matches: &ArgMatches, topologies: Vec<Topology>) -> Result<Order, Failure> {
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let server = text("server").unwrap_or("twoport");
    let client = text("client").unwrap_or("twoport");
    let names = |names: Vec<&str>| names.join(", ");
    let server = Server::named(server).ok_or_else(|| {
        let known = names(SERVERS.iter().map(|row| row.name).collect());
        Failure::usage(format!("--server: there is no {server}; there are {known}"))
    })?;
    let client = Client::named(client).ok_or_else(|| {
        let known = names(CLIENTS.iter().map(|row| row.name).collect());
        Failure::usage(format!("--client: there is no {client}; there are {known}"))
    })?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = match text("jobs") {
        None => 2 * cores,
        Some(text) => {
            text.parse().map_err(|_| Failure::usage(format!("--jobs: {text} is not a number")))?
        }
    };
    let patience = match text("patience") {
        None => PATIENCE,
        Some(text) => Duration::read(text, Path::new(""))
            .map_err(|_| Failure::usage(format!("--patience: {}", Duration::FORM.wrong(text))))?,
    };
    let families = match text("family") {
        Some("6") => vec![Family::V6],
        Some("both") => vec![Family::V4, Family::V6],
        _ => vec![Family::V4],
    };
    let twoport = std::env::current_exe()
        .map_err(|error| Failure::here(format!("cannot find this program: {error}")))?;
    Ok(Order {
        programs: Programs::new(twoport),
        topologies,
        server,
        client,
        families,
        protections: words(matches, "protection", Protection::ALL, Protection::named)?,
        modes: words(matches, "mode", Mode::ALL, Mode::named)?,
        operations: words(matches, "operation", Operation::ALL, Operation::named)?,
        gateways: Gateways {
            client: matches!(text("gateway"), Some("client" | "both")),
            server: matches!(text("gateway"), Some("server" | "both")),
            terminate: !matches.get_flag("gateway-passes"),
            auto: matches.get_flag("gateway-auto"),
        },
        jobs,
        patience,
    })
}

/// What was chosen of something that has names.
fn words<T: Copy>(
    matches: &ArgMatches,
    flag: &str,
    all: &[T],
    named: fn(&str) -> Option<T>,
) -> Result<Vec<T>, Failure> {
    let words: Vec<&String> = matches.get_many(flag).unwrap_or_default().collect();
    if words.is_empty() {
        return Ok(all.to_vec());
    }
    let one = |word: &&String| {
        named(word).ok_or_else(|| Failure::usage(format!("--{flag}: there is no {word}")))
    };
    words.iter().map(one).collect()
}

fn can_build() -> Result<(), Failure> {
    missing().map_or(Ok(()), |why| Err(Failure::here(why)))
}

fn shell(matches: &ArgMatches) -> Outcome {
    let topology = named(matches)?;
    can_build()?;
    let here = |error: std::io::Error| Failure::here(error.to_string());
    let network = Network::build(topology).map_err(here)?;
    let name = matches.get_one::<String>("NODE").map(String::as_str).unwrap_or_default();
    let node = network.node(name).map_err(|error| Failure::usage(error.to_string()))?;
    let mut words = matches.get_many::<OsString>("COMMAND").unwrap_or_default();
    let status = if let Some(program) = words.next() {
        // All that it starts ends with it.
        node.spawn(Program::new(program).args(words)).and_then(Process::ended)
    } else {
        tell(format_args!(
            "this shell is in the node {name} of {topology}; others, while it is open:"
        ));
        for other in network.nodes().iter().filter(|other| other.name() != name) {
            tell(format_args!("{:<12} nsenter --net={}", other.name(), other.path()));
        }
        let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
        // Among the processes of the network a shell could not control its jobs.
        node.inside(|| Program::new(shell).status()).and_then(|status| status)
    };
    Ok(if status.map_err(here)?.success() { Exit::Done } else { Exit::Failed })
}
