//! The words about servers: which there are, which of them a client gets, and where it may go.
//!
//! Nothing is looked up, and nobody is connected.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use twoport_gateway::{
    Accounts, Allow, Balance, By, Desk, Health, Proxy, Route, Routes, Seat, Server, Version, Who,
};
use twoport_proto::glob::Glob;
use twoport_server::config::networks::Networks;
use twoport_server::config::problem::Problem;
use twoport_server::config::read_account_file;
use twoport_server::config::value::Value as _;

use super::config::PORT;
use super::words::Words;

/// How often servers are looked at. Origin: that of most balancers is 2 to 30 seconds.
const INTERVAL: Duration = Duration::from_secs(10);

/// How many failures take one out, and how many successes in again. Origin: HAProxy's.
const FALL: u32 = 3;
const RISE: u32 = 2;

/// The servers, in the order of the words.
pub(super) fn servers(words: &Words) -> Result<Vec<Server>, Problem> {
    words.texts("server").map(|text| server(words, text)).collect()
}

fn server(words: &Words, text: &str) -> Result<Server, Problem> {
    let mut parts = text.split(',').map(str::trim);
    let at = with_port(parts.next().unwrap_or_default());
    let mut server = Server { at, group: String::new(), proxy: None, drain: false };
    for part in parts {
        match part.split_once('=') {
            Some(("group", group)) if !group.is_empty() => group.clone_into(&mut server.group),
            Some(("proxy", "v1")) => server.proxy = proxy(Version::Line, true),
            Some(("proxy", "v2")) => server.proxy = proxy(Version::Binary, true),
            Some(("proxy", "v1-control")) => server.proxy = proxy(Version::Line, false),
            Some(("proxy", "v2-control")) => server.proxy = proxy(Version::Binary, false),
            None if part == "drain" => server.drain = true,
            _ => {
                let what = format!("{part:?} says nothing about a server");
                let remedy = "write group=NAME, proxy=v1, proxy=v2, proxy=v1-control, \
                              proxy=v2-control or drain behind HOST:PORT and a comma";
                return Err(words.wrong("server", what, remedy));
            }
        }
    }
    Ok(server)
}

#[expect(clippy::unnecessary_wraps, reason = "as the field has it")]
const fn proxy(version: Version, on_data: bool) -> Option<Proxy> {
    Some(Proxy { version, on_data })
}

/// The server with its port: 21 unless it says another.
fn with_port(server: &str) -> String {
    let behind_brackets = server.rsplit(']').next().unwrap_or(server);
    if behind_brackets.contains(':') { server.to_owned() } else { format!("{server}:{PORT}") }
}

/// How clients say for whom they are meant.
pub(super) fn desk(
    words: &Words,
    seat: &Seat,
    servers: &[Server],
) -> Result<Option<Desk>, Problem> {
    let mut rows = Vec::new();
    for text in words.texts("route") {
        rows.push(route(words, text, servers)?);
    }
    if matches!(seat, Seat::Forward) {
        let needs_login = words.file("account-file").is_some();
        return Ok(Some(Desk::Forward { needs_login }));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let has_others = servers.iter().any(|server| server.group.is_empty());
    let otherwise = has_others.then(String::new);
    Ok(Some(Desk::Routes(Routes { rows, otherwise })))
}

fn route(words: &Words, text: &str, servers: &[Server]) -> Result<Route, Problem> {
    let wrong = |what: String| {
        words.wrong(
            "route",
            what,
            "write one such as user:*@blue.example=blue, host:... or sni:...",
        )
    };
    let found = text.split_once(':').zip(text.rsplit_once('='));
    let Some(((by, _), (rest, group))) = found else {
        return Err(wrong(format!("{text:?} is no route")));
    };
    let by_name = match by {
        "host" => By::Host,
        "sni" => By::Sni,
        "user" => By::User,
        _ => return Err(wrong(format!("nobody is known by {by:?}"))),
    };
    let pattern = rest.get(by.len() + 1..).unwrap_or_default();
    if pattern.is_empty() {
        return Err(wrong(format!("{text:?} has no pattern")));
    }
    if !servers.iter().any(|server| server.group == group) {
        let what = format!("no server is in the group {group:?}");
        return Err(words.wrong("route", what, "name one as HOST:PORT,group=NAME"));
    }
    Ok(Route::new(by_name, pattern.as_bytes(), group.to_owned()))
}

pub(super) fn balance(words: &Words) -> Balance {
    match words.word("balance") {
        Some("sessions") => Balance::Sessions,
        _ => Balance::Address,
    }
}

/// How the servers are looked after: where there is one to take the place of another.
pub(super) fn health(words: &Words, servers: &[Server]) -> Result<Health, Problem> {
    let interval = match words.word("health-interval") {
        Some(text) => {
            let form = <Option<Duration>>::FORM;
            let wrong = |_| {
                let wrong = form.wrong(text);
                words.wrong("health-interval", wrong.what, wrong.remedy)
            };
            <Option<Duration>>::read(text, Path::new("")).map_err(wrong)?
        }
        None => (servers.len() > 1).then_some(INTERVAL),
    };
    let (fall, rise) = (count(words, "health-fall", FALL)?, count(words, "health-rise", RISE)?);
    Ok(Health { interval, fall, rise })
}

fn count(words: &Words, key: &str, otherwise: u32) -> Result<u32, Problem> {
    let Some(text) = words.word(key) else { return Ok(otherwise) };
    let wrong = |_| {
        let wrong = u32::FORM.wrong(text);
        words.wrong(key, wrong.what, wrong.remedy)
    };
    u32::read(text, Path::new("")).map_err(wrong)
}

/// The load balancers whose headers count.
pub(super) fn trusted_proxies(words: &Words) -> Result<Networks, Problem> {
    let mut all = Networks::default();
    for text in words.texts("trusted-proxies") {
        let wrong = |_| {
            let wrong = Networks::FORM.wrong(text);
            words.wrong("trusted-proxies", wrong.what, wrong.remedy)
        };
        all.0.extend(Networks::read(text, Path::new("")).map_err(wrong)?.0);
    }
    Ok(all)
}

/// Where clients of the forward seat may go.
pub(super) fn allow(words: &Words) -> Result<Vec<Allow>, Problem> {
    let row = |text: &str| {
        read_allow(text).ok_or_else(|| {
            let what = format!("{text:?} says nothing about servers");
            let remedy = "write a network such as 10.0.0.0/8, a name such as *.example.com, or one of \
                          them with :PORT or :LOW-HIGH; IPv6 with ports as [2001:db8::/32]:21";
            words.wrong("allow", what, remedy)
        })
    };
    words.texts("allow").map(row).collect()
}

fn read_allow(text: &str) -> Option<Allow> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (who, ports) = match bracketed {
        Some((who, "")) => (who, None),
        Some((who, rest)) => (who, Some(rest.strip_prefix(':')?)),
        None if Networks::read(text, Path::new("")).is_ok() => (text, None),
        None => match text.split_once(':') {
            Some((who, ports)) => (who, Some(ports)),
            None => (text, None),
        },
    };
    let ports = match ports {
        Some(ports) => Some(read_ports(ports)?),
        None => None,
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_*?".contains(&byte);
    let who = match Networks::read(who, Path::new("")) {
        Ok(networks) if bracketed.is_some() || !who.is_empty() => {
            Who::Network(*networks.0.first()?)
        }
        _ if who.is_empty() || !who.bytes().all(is_name) => return None,
        _ => Who::Name(Glob::new(who.to_ascii_lowercase().as_bytes())),
    };
    Some(Allow { who, ports })
}

fn read_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low != 0 && low <= high).then_some(low..=high)
}

/// Who may use the forward seat.
pub(super) fn accounts(words: &Words) -> Result<Option<Accounts>, Problem> {
    let Some(file) = words.file("account-file") else { return Ok(None) };
    let accounts = read_account_file(&file).map_err(|problems| {
        let what = format!("{problems}");
        words.wrong("account-file", what, "keep it with `twoport account`")
    })?;
    Ok(Some(Accounts::new(move |name, password| {
        let account = accounts.iter().find(|it| it.enabled && it.name.as_bytes() == name);
        // A name that is unknown takes as long as a wrong password.
        let hash = account.or_else(|| accounts.first()).map(|it| &it.password_hash);
        hash.is_some_and(|hash| hash.fits(password)) && account.is_some()
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_a_network_or_a_name_with_ports() {
        for (text, ports) in [
            ("10.0.0.0/8", None),
            ("192.0.2.1:2121", Some(2121..=2121)),
            ("2001:db8::/32", None),
            ("[2001:db8::/32]:21-30", Some(21..=30)),
            ("*.example.com", None),
            ("*:21-2121", Some(21..=2121)),
        ] {
            let row = read_allow(text).unwrap();
            assert_eq!(row.ports, ports, "{text}");
            assert_eq!(matches!(row.who, Who::Name(_)), text.contains('*'), "{text}");
        }
        for wrong in ["", ":21", "10.0.0.0/33", "a:0", "a:9-8", "a b", "[x", "a/b", "[::1]21"] {
            assert!(read_allow(wrong).is_none(), "{wrong}");
        }
    }
}
