//! Which proxy a text names, and both connections through it.
//!
//! What a proxy speaks is `twoport_net::tunnel`'s business; the environment is read by the command
//! line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;

use twoport_net::clock;
use twoport_net::control::ControlStream;
use twoport_net::tunnel::{Kind, Proxy, Target};
use twoport_proto::proxy::Ends;
use twoport_proto::reason::Reason;
use twoport_proto::text::escape;

use crate::config::Config;
use crate::error::{Class, Error};
use crate::session::Session;

/// The port of a proxy that names none: that of SOCKS (RFC 1928), and of curl for all proxies.
const PORT: u16 = 1080;

/// Reads `http://user:password@host:port`, `socks5://` (names are looked up here) or `socks5h://`
/// (by the proxy). Without a scheme it is HTTP, as for curl.
///
/// # Errors
/// [`Class::Usage`]: something else. The text is not repeated, since it may hold a password.
pub fn parse_proxy(text: &str) -> Result<Proxy, Error> {
    let bad = |why: &str| Error::new(Class::Usage, format!("the proxy cannot be used: {why}"));
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let (kind, resolves) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (Kind::Http, true),
        "socks5" => (Kind::Socks5, false),
        "socks5h" => (Kind::Socks5, true),
        _ => return Err(bad("write http://, socks5:// or socks5h://")),
    };
    let rest = rest.split('/').next().unwrap_or_default();
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    };
    let decode = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(String::from).map_err(|_| bad("user and password are UTF-8"))
    };
    let login = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some((user, password)) => Some((decode(user)?, decode(password)?)),
        None => None,
    };
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(port) => port.parse().map_err(|_| bad("the port is a number up to 65535"))?,
        None => PORT,
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(bad("the host is missing, or no name"));
    }
    Ok(Proxy { kind, host: host.to_owned(), port, login, resolves })
}

/// A control connection through the proxy. A server that only the proxy can name has the address
/// 0.0.0.0 here.
pub(crate) async fn control(
    proxy: &Proxy,
    host: &str,
    port: u16,
    config: &Config,
) -> Result<(ControlStream, Duration), Error> {
    let subject = format!("{host} port {port} through the proxy {}", proxy.name());
    let lost = |error| Error::new(Class::Connect, subject.clone()).with_source(error);
    let unknown = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    let (peer, target) = match host.parse::<IpAddr>() {
        Ok(address) => (SocketAddr::new(address, port), None),
        Err(_) if proxy.resolves => (unknown, Some(Target::Name(host.to_owned(), port))),
        Err(_) => {
            let found = tokio::net::lookup_host((host, port)).await.map_err(lost)?.next();
            let missing = || Error::new(Class::Connect, format!("{host}: the name has no address"));
            (found.ok_or_else(missing)?, None)
        }
    };
    let target = target.unwrap_or(Target::Address(peer));
    let started = clock::now();
    let socket = proxy.connect(&target, config.connect_timeout).await.map_err(|error| {
        let told = Error::new(Class::Connect, subject.clone()).because(error.reason);
        match error.source {
            Some(source) => told.with_source(source),
            None => told,
        }
    })?;
    let control = ControlStream::of_client(socket).map_err(lost)?;
    let ends = Ends { source: peer, destination: control.local() };
    Ok((control.on_behalf_of(Some(ends)), clock::now().since(started)))
}

impl Session {
    /// A data connection through the proxy: the first address that it reaches.
    pub(crate) async fn dial_through(
        &self,
        proxy: &Proxy,
        to: Vec<SocketAddr>,
        patience: Duration,
    ) -> Result<TcpStream, Vec<(SocketAddr, Reason)>> {
        let mut failures = Vec::new();
        for to in to {
            let target = match to.ip().is_unspecified() {
                true => Target::Name(self.host().to_owned(), to.port()),
                false => Target::Address(to),
            };
            match proxy.connect(&target, patience).await {
                Ok(socket) => return Ok(socket),
                Err(error) => {
                    let why = error.source.map(|source| source.to_string()).unwrap_or_default();
                    self.wire.remark(&format!("{target}: {}", escape(why.as_bytes())));
                    failures.push((to, error.reason));
                }
            }
        }
        Err(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_written_as_for_curl() {
        let proxy = parse_proxy("socks5h://ann:p%40ss@gate.example:9050/").unwrap();
        assert_eq!((proxy.kind, proxy.resolves), (Kind::Socks5, true));
        assert_eq!(proxy.name(), "gate.example:9050");
        assert_eq!(proxy.login, Some(("ann".to_owned(), "p@ss".to_owned())));
        assert!(!format!("{proxy:?}").contains("p@ss"));
        let proxy = parse_proxy("[::1]:3128").unwrap();
        assert_eq!((proxy.kind, proxy.host.as_str(), proxy.port), (Kind::Http, "::1", 3128));
        assert_eq!(parse_proxy("socks5://h").unwrap().port, 1080);
        for bad in ["https://h", "http://", "http://h:x", "socks4://h", "http://a b"] {
            assert_eq!(parse_proxy(bad).unwrap_err().class(), Class::Usage, "{bad}");
        }
    }
}
