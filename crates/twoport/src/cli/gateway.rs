//! `twoport gateway`: the gateway's start, its signals and its end.
//!
//! How sessions are relayed is the gateway crate's business.

use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use tokio::signal::unix::{SignalKind, signal};

use twoport_gateway::{Auth, ClientTls, Config, Gateway, IMPLICIT, Policy, Seat, Taken, Upstream};
use twoport_net::tls::connect::certificates;
use twoport_net::tls::trust::Trust;
use twoport_proto::verb::Permissions;
use twoport_server::config::ports::Ports;
use twoport_server::config::value::Value as _;
use twoport_server::config::words::LogFormat;

use super::exit::Exit;
use super::gateway_status;
use super::output::data;
use super::serve::raise_open_files;
use super::{Failure, Outcome, log};

/// The port of FTP (RFC 959 §8).
const PORT: u16 = 21;

/// Sessions at a time. Origin: each has two files and 12 kB (measured); twice what one box was asked to hold.
const MAX_SESSIONS: usize = 10_000;

/// Of one address. Origin: one cannot shut out the others, and a site behind one NAT gets in.
const MAX_PER_IP: usize = 7_500;

/// Ports for data connections. Origin: the server's passive-ports.
const DATA_PORTS: &str = "61000-65535";

/// Relays until a signal says otherwise.
pub(crate) fn run(matches: &ArgMatches) -> Outcome {
    if let Some(("status", matches)) = matches.subcommand() {
        return gateway_status::run(matches);
    }
    let config = config(matches)?;
    if matches.get_flag("print-rules") {
        let none = || "# This seat needs no rules.\n".to_owned();
        return data(&config.seat.rules().unwrap_or_else(none));
    }
    let format = match word(matches, "log-format") {
        Some("json") => LogFormat::Json,
        _ => LogFormat::Human,
    };
    log::start(format);
    raise_open_files();
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::here(format!("the system gives no threads: {error}")))?;
    runtime.block_on(relay(config))
}

async fn relay(config: Config) -> Outcome {
    let servers = config.servers.join(" ");
    let gateway = Gateway::bind(config)
        .map_err(|error| Failure::here(format!("{error}; choose another address with --listen")))?;
    let no_signals = |error| Failure::here(format!("the system gives no signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    if let Err(error) = gateway.welcome().await {
        let advice = "let control connections in by the host's own firewall";
        tracing::warn!(target: "twoport", %error, "{advice}");
    }
    let listen: Vec<String> = gateway.addresses().iter().map(ToString::to_string).collect();
    tracing::info!(target: "twoport", listen = listen.join(" "), servers, "ready");
    gateway_status::answer(gateway.board());
    let stop = gateway.stop();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.stop();
    });
    gateway.run().await;
    tracing::info!(target: "twoport", "stopped");
    Ok(Exit::Done)
}

fn config(matches: &ArgMatches) -> Result<Config, Failure> {
    let servers: Vec<String> = texts(matches, "server").map(with_port).collect();
    let client_tls = client_tls(matches)?;
    let seat = seat(matches, client_tls.is_some())?;
    if servers.is_empty() && matches!(seat, Seat::Reverse) {
        return Err(Failure::usage("no server: name at least one with --server HOST:PORT"));
    }
    let auth = match word(matches, "tls") {
        Some("terminate") => Auth::Terminate,
        Some("pass") => Auth::Pass,
        _ if client_tls.is_some() => Auth::Terminate,
        _ => Auth::Pass,
    };
    let upstream = match word(matches, "upstream-tls") {
        Some("required") => Upstream::Required,
        Some("always") => Upstream::Always,
        Some("off") => Upstream::Off,
        _ => Upstream::Offered,
    };
    match (auth, upstream, &client_tls) {
        (Auth::Terminate, Upstream::Always, None) => {}
        (Auth::Terminate, _, None) => {
            let what =
                "--tls terminate: clients need a certificate to see; give --certificate and --key";
            return Err(Failure::usage(what));
        }
        (Auth::Pass, _, Some(_)) => {
            return Err(Failure::usage(
                "--tls pass: nobody will see the --certificate; leave one of them out",
            ));
        }
        (Auth::Pass, Upstream::Always, None) => {
            let what = "--upstream-tls always: TLS begins here, so write --tls terminate, too";
            return Err(Failure::usage(what));
        }
        _ => {}
    }
    let permissions =
        if matches.get_flag("read-only") { Permissions::READ_ONLY } else { Permissions::ALL };
    let policy = Policy { auth, upstream, permissions, ..Policy::default() };
    Ok(Config {
        listen: listen(matches, &seat)?,
        seat,
        servers,
        policy,
        client_tls,
        nat64: nat64(matches)?,
        server_name: word(matches, "upstream-name").map(str::to_owned),
        trust: trust(matches)?,
        data_ports: data_ports(matches)?,
        max_sessions: sessions(matches, "max-sessions", MAX_SESSIONS)?,
        max_sessions_per_ip: sessions(matches, "max-sessions-per-ip", MAX_PER_IP)?,
        // Origin: three of Linux's repeated SYNs fit in it.
        connect_timeout: Duration::from_secs(10),
        // Origin: three times the server's idle-timeout: the server ends what idles, not the gateway.
        idle_timeout: Duration::from_secs(900),
    })
}

/// Where it stands, and what it takes there.
fn seat(matches: &ArgMatches, has_certificate: bool) -> Result<Seat, Failure> {
    let mut ports = ports(matches)?;
    if ports.is_empty() {
        ports = if has_certificate { vec![PORT, IMPLICIT] } else { vec![PORT] };
    }
    let taken = |interface| Taken { interface: word(matches, interface).map(str::to_owned), ports };
    let (seat, foreign) = match word(matches, "seat") {
        Some("client") => (Seat::Client(taken("lan")), "wan"),
        Some("server") => (Seat::Server(taken("wan")), "lan"),
        _ => (Seat::Reverse, "lan"),
    };
    let seatless = matches!(seat, Seat::Reverse) && word(matches, "wan").is_some();
    let both = ["lan", "wan"].iter().all(|interface| word(matches, interface).is_some());
    if (word(matches, foreign).is_some() && !both) || seatless {
        let what = "--lan goes with --seat client, --wan with --seat server";
        return Err(Failure::usage(what));
    }
    Ok(seat)
}

fn ports(matches: &ArgMatches) -> Result<Vec<u16>, Failure> {
    let wrong = |text: &str| format!("--port: {text:?} is no port; write 1 to 65535");
    let port = |text: &str| match text.parse() {
        Ok(0) | Err(_) => Err(Failure::usage(wrong(text))),
        Ok(port) => Ok(port),
    };
    texts(matches, "port").map(port).collect()
}

fn listen(matches: &ArgMatches, seat: &Seat) -> Result<Vec<SocketAddr>, Failure> {
    let mut listen = texts(matches, "listen")
        .map(|text| {
            let wrong = || {
                Failure::usage(format!(
                    "--listen: {text:?} is no ADDRESS:PORT, such as 0.0.0.0:21 or [::]:21"
                ))
            };
            text.parse().map_err(|_| wrong())
        })
        .collect::<Result<Vec<SocketAddr>, _>>()?;
    if matches!(seat, Seat::Reverse) {
        listen.extend(ports(matches)?.into_iter().flat_map(everywhere));
        if listen.is_empty() {
            listen.extend(everywhere(PORT));
        }
    }
    Ok(listen)
}

fn everywhere(port: u16) -> [SocketAddr; 2] {
    [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]
}

fn nat64(matches: &ArgMatches) -> Result<Option<Ipv6Addr>, Failure> {
    let prefix = |text: &str| {
        let address = text.strip_suffix("/96").unwrap_or(text);
        address.parse().map_err(|_| {
            Failure::usage(format!("--nat64: {text:?} is no prefix; write 64:ff9b::/96"))
        })
    };
    word(matches, "nat64").map(prefix).transpose()
}

fn sessions(matches: &ArgMatches, flag: &str, otherwise: usize) -> Result<usize, Failure> {
    let Some(text) = word(matches, flag) else { return Ok(otherwise) };
    text.parse()
        .ok()
        .filter(|sessions| (1..=1_000_000).contains(sessions))
        .ok_or_else(|| Failure::usage(format!("--{flag}: {text:?} is no number from 1 to 1000000")))
}

fn client_tls(matches: &ArgMatches) -> Result<Option<ClientTls>, Failure> {
    match (file(matches, "certificate"), file(matches, "key")) {
        (Some(certificate), Some(key)) => {
            let tls = ClientTls::read(&certificate, &key);
            tls.map(Some).map_err(|error| Failure::usage(error.to_string()))
        }
        (None, None) => Ok(None),
        _ => Err(Failure::usage("--certificate and --key go together")),
    }
}

fn trust(matches: &ArgMatches) -> Result<Trust, Failure> {
    match (file(matches, "upstream-ca"), matches.get_flag("upstream-no-verify")) {
        (Some(file), false) => {
            let read = certificates(&file);
            let wrong = |error| Failure::usage(format!("{}: {error}", file.display()));
            Ok(Trust::Authorities(read.map_err(wrong)?))
        }
        (None, true) => Ok(Trust::Anybody),
        (None, false) => Ok(Trust::Platform),
        (Some(_), true) => {
            Err(Failure::usage("--upstream-ca and --upstream-no-verify contradict each other"))
        }
    }
}

fn data_ports(matches: &ArgMatches) -> Result<std::ops::RangeInclusive<u16>, Failure> {
    let text = word(matches, "data-ports").unwrap_or(DATA_PORTS);
    let ports = Ports::read(text, Path::new(""))
        .map_err(|_| Failure::usage(format!("--data-ports: {}", Ports::FORM.wrong(text))))?;
    Ok(ports.range())
}

/// The server with its port: 21 unless it says another.
fn with_port(server: &str) -> String {
    let behind_brackets = server.rsplit(']').next().unwrap_or(server);
    if behind_brackets.contains(':') { server.to_owned() } else { format!("{server}:{PORT}") }
}

fn texts<'a>(matches: &'a ArgMatches, name: &str) -> impl Iterator<Item = &'a str> {
    matches.get_many::<String>(name).unwrap_or_default().map(String::as_str)
}

fn word<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}

fn file(matches: &ArgMatches, name: &str) -> Option<PathBuf> {
    matches.get_one::<OsString>(name).map(PathBuf::from)
}
