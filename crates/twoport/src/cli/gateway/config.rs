//! What a seat of the gateway is made of: its words, understood and checked against each other.
//!
//! It listens nowhere; of files it reads those of certificates.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use twoport_gateway::{Auth, ClientTls, Config, Front, IMPLICIT, Policy, Seat, Taken, Upstream};
use twoport_net::tls::connect::certificates;
use twoport_net::tls::trust::Trust;
use twoport_server::config::ports::Ports;
use twoport_server::config::problem::Problem;
use twoport_server::config::value::Value as _;

use super::words::Words;
use super::{metrics, rules, scan, servers};

/// The port of FTP (RFC 959 §8).
pub(super) const PORT: u16 = 21;

/// Sessions at a time. Origin: each has two files and 13 kB (measured); twice what one box was asked to hold.
const MAX_SESSIONS: usize = 10_000;

/// Of one address. Origin: one cannot shut out the others, and a site behind one NAT gets in.
const MAX_PER_IP: usize = 7_500;

/// Ports for data connections. Origin: the server's passive-ports.
const DATA_PORTS: &str = "61000-65535";

/// The configuration of a seat.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn config(words: &Words) -> Result<Config, Problem> {
    let servers = servers::servers(words)?;
    let client_tls = client_tls(words)?;
    let seat = seat(words, client_tls.is_some())?;
    if servers.is_empty() && matches!(seat, Seat::Reverse) {
        return Err(words.wrong("server", "no server", "name at least one as HOST:PORT"));
    }
    of_this_seat(words, &seat)?;
    let fronts = fronts(words)?;
    let (scan, scan_policy) = scan::scan(words)?.unzip();
    let policy = Policy { scan: scan_policy, ..policy(words, client_tls.is_some())? };
    Ok(Config {
        listen: listen(words, &seat, &fronts)?,
        fronts,
        desk: servers::desk(words, &seat, &servers)?,
        balance: servers::balance(words),
        health: servers::health(words, &servers)?,
        drain: words.is_set("drain"),
        trusted_proxies: servers::trusted_proxies(words)?.0,
        allow: servers::allow(words)?,
        accounts: servers::accounts(words)?,
        seat,
        servers,
        access: rules::access(words)?,
        policy: rules::over(words, policy)?,
        scan,
        rate_limit: rules::rate_limit(words, "rate-limit")?,
        client_rate_limit: rules::rate_limit(words, "client-rate-limit")?,
        pcp: rules::pcp(words)?,
        metrics: metrics::address(words)?,
        client_tls,
        nat64: nat64(words)?,
        server_name: words.word("upstream-name").map(str::to_owned),
        trust: trust(words)?,
        data_ports: data_ports(words)?,
        max_sessions: sessions(words, "max-sessions", MAX_SESSIONS)?,
        max_sessions_per_ip: sessions(words, "max-sessions-per-ip", MAX_PER_IP)?,
        // Origin: three of Linux's repeated SYNs fit in it.
        connect_timeout: Duration::from_secs(10),
        // Origin: three times the server's idle-timeout: the server ends what idles, not the gateway.
        idle_timeout: Duration::from_secs(900),
    })
}

/// Whether nothing was said that is of no use in a seat.
fn of_this_seat(words: &Words, seat: &Seat) -> Result<(), Problem> {
    let (foreign, remedy): (&[&str], _) = match seat {
        Seat::Forward => (&["server", "route"], "clients name their servers in this seat"),
        Seat::Reverse => (
            &["allow", "account-file", "socks-listen", "http-listen"],
            "they belong to --seat forward",
        ),
        Seat::Client(_) | Seat::Server(_) => (
            &["allow", "account-file", "socks-listen", "http-listen", "route"],
            "on a router clients have dialled their servers",
        ),
    };
    match foreign.iter().find(|key| words.word(key).is_some()) {
        Some(key) => Err(words.wrong(key, "it is of no use in this seat", remedy)),
        None => Ok(()),
    }
}

/// What passes, and how.
fn policy(words: &Words, has_certificate: bool) -> Result<Policy, Problem> {
    let auth = match words.word("tls") {
        Some("terminate") => Auth::Terminate,
        Some("pass") => Auth::Pass,
        _ if has_certificate => Auth::Terminate,
        _ => Auth::Pass,
    };
    let upstream = match words.word("upstream-tls") {
        Some("required") => Upstream::Required,
        Some("always") => Upstream::Always,
        Some("off") => Upstream::Off,
        _ => Upstream::Offered,
    };
    match (auth, upstream, has_certificate) {
        (Auth::Terminate, Upstream::Always, false) => {}
        (Auth::Terminate, _, false) => {
            let what = "terminate: clients need a certificate to see";
            return Err(words.wrong("tls", what, "give certificate and key"));
        }
        (Auth::Pass, _, true) => {
            let what = "pass: nobody will see the certificate";
            return Err(words.wrong("tls", what, "leave one of them out"));
        }
        (Auth::Pass, Upstream::Always, false) => {
            let what = "always: TLS begins here";
            return Err(words.wrong("upstream-tls", what, "say tls terminate, too"));
        }
        _ => {}
    }
    Ok(Policy { auth, upstream, ..Policy::default() })
}

/// Where it stands, and what it takes there.
fn seat(words: &Words, has_certificate: bool) -> Result<Seat, Problem> {
    let mut ports = ports(words)?;
    if ports.is_empty() {
        ports = if has_certificate { vec![PORT, IMPLICIT] } else { vec![PORT] };
    }
    let taken = |interface| Taken { interface: words.word(interface).map(str::to_owned), ports };
    let (seat, foreign) = match words.word("seat") {
        Some("client") => (Seat::Client(taken("lan")), "wan"),
        Some("server") => (Seat::Server(taken("wan")), "lan"),
        Some("forward") => (Seat::Forward, "lan"),
        _ => (Seat::Reverse, "lan"),
    };
    let seatless = matches!(seat, Seat::Reverse | Seat::Forward) && words.word("wan").is_some();
    let both = ["lan", "wan"].iter().all(|interface| words.word(interface).is_some());
    if (words.word(foreign).is_some() && !both) || seatless {
        let key = if seatless { "wan" } else { foreign };
        let what = "it is of no use in this seat";
        return Err(words.wrong(key, what, "lan goes with seat client, wan with seat server"));
    }
    Ok(seat)
}

fn ports(words: &Words) -> Result<Vec<u16>, Problem> {
    let port = |text: &str| match text.parse() {
        Ok(0) | Err(_) => {
            Err(words.wrong("port", format!("{text:?} is no port"), "write 1 to 65535"))
        }
        Ok(port) => Ok(port),
    };
    words.texts("port").map(port).collect()
}

/// Where clients ask for servers by other words than those of FTP.
fn fronts(words: &Words) -> Result<Vec<(Front, SocketAddr)>, Problem> {
    let mut fronts = Vec::new();
    for (key, front) in [("socks-listen", Front::Socks), ("http-listen", Front::Http)] {
        fronts.extend(addresses(words, key)?.into_iter().map(|address| (front, address)));
    }
    Ok(fronts)
}

fn listen(
    words: &Words,
    seat: &Seat,
    fronts: &[(Front, SocketAddr)],
) -> Result<Vec<SocketAddr>, Problem> {
    let mut listen = addresses(words, "listen")?;
    if matches!(seat, Seat::Reverse | Seat::Forward) {
        listen.extend(ports(words)?.into_iter().flat_map(everywhere));
        if listen.is_empty() && fronts.is_empty() {
            listen.extend(everywhere(PORT));
        }
    }
    Ok(listen)
}

/// Addresses with ports.
fn addresses(words: &Words, key: &str) -> Result<Vec<SocketAddr>, Problem> {
    let address = |text: &str| {
        let wrong = |_| {
            let what = format!("{text:?} is no ADDRESS:PORT");
            words.wrong(key, what, "write one such as 0.0.0.0:21 or [::]:21")
        };
        text.parse().map_err(wrong)
    };
    words.texts(key).map(address).collect()
}

fn everywhere(port: u16) -> [SocketAddr; 2] {
    [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]
}

fn nat64(words: &Words) -> Result<Option<Ipv6Addr>, Problem> {
    let prefix = |text: &str| {
        let address = text.strip_suffix("/96").unwrap_or(text);
        let wrong =
            |_| words.wrong("nat64", format!("{text:?} is no prefix"), "write 64:ff9b::/96");
        address.parse().map_err(wrong)
    };
    words.word("nat64").map(prefix).transpose()
}

fn sessions(words: &Words, key: &str, otherwise: usize) -> Result<usize, Problem> {
    let Some(text) = words.word(key) else { return Ok(otherwise) };
    let wrong =
        || words.wrong(key, format!("{text:?} is no number of sessions"), "write 1 to 1000000");
    text.parse().ok().filter(|sessions| (1..=1_000_000).contains(sessions)).ok_or_else(wrong)
}

fn client_tls(words: &Words) -> Result<Option<ClientTls>, Problem> {
    match (words.file("certificate"), words.file("key")) {
        (Some(certificate), Some(key)) => {
            let tls = ClientTls::read(&certificate, &key);
            let wrong = |error: std::io::Error| {
                words.wrong(
                    "certificate",
                    error.to_string(),
                    "name a certificate and its key, in PEM form",
                )
            };
            tls.map(Some).map_err(wrong)
        }
        (None, None) => Ok(None),
        (certificate, _) => {
            let key = if certificate.is_some() { "certificate" } else { "key" };
            Err(words.wrong(key, "certificate and key go together", "give both"))
        }
    }
}

fn trust(words: &Words) -> Result<Trust, Problem> {
    match (words.file("upstream-ca"), words.is_set("upstream-no-verify")) {
        (Some(file), false) => {
            let wrong = |error| {
                let what = format!("{}: {error}", file.display());
                words.wrong("upstream-ca", what, "name a file in PEM form")
            };
            certificates(&file).map(Trust::Authorities).map_err(wrong)
        }
        (None, true) => Ok(Trust::Anybody),
        (None, false) => Ok(Trust::Platform),
        (Some(_), true) => {
            let what = "upstream-ca and upstream-no-verify contradict each other";
            Err(words.wrong("upstream-no-verify", what, "leave one of them out"))
        }
    }
}

fn data_ports(words: &Words) -> Result<RangeInclusive<u16>, Problem> {
    let text = words.word("data-ports").unwrap_or(DATA_PORTS);
    let wrong = |_| {
        let wrong = Ports::FORM.wrong(text);
        words.wrong("data-ports", wrong.what, wrong.remedy)
    };
    Ok(Ports::read(text, Path::new("")).map_err(wrong)?.range())
}
