//! Under which URLs a server can be reached: one per address, ready to be pasted into curl.
//!
//! It asks no server outside for the own address: what a NAT makes of it is not known here.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// The account that the URLs log in as: its name and password.
pub(crate) type Login<'a> = (&'a str, &'a [u8]);

/// This machine's own addresses. None if the system does not tell.
pub(crate) fn local_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().map(if_addrs::Interface::ip).collect()
}

/// The URLs of a server bound to `bound`, on a machine with the addresses `local`: first the public
/// address, then the others by family, loopback last.
pub(crate) fn urls(
    bound: &[SocketAddr],
    local: &[IpAddr],
    public: Option<IpAddr>,
    login: Option<Login<'_>>,
) -> Vec<String> {
    let of_socket = |socket: &SocketAddr| -> Vec<SocketAddr> {
        let ip = socket.ip();
        if !ip.is_unspecified() {
            return vec![*socket];
        }
        let same_family = local.iter().filter(|address| address.is_ipv4() == ip.is_ipv4());
        same_family.map(|address| SocketAddr::new(*address, socket.port())).collect()
    };
    let mut reachable: Vec<_> = bound.iter().flat_map(of_socket).collect();
    reachable.retain(|socket| !needs_zone(socket.ip()));
    reachable.sort_by_key(|socket| (socket.ip().is_loopback(), socket.is_ipv6()));
    reachable.dedup();
    let port = bound
        .iter()
        .find(|socket| socket.is_ipv4())
        .or_else(|| bound.first())
        .map(SocketAddr::port);
    let outside = public.zip(port).map(|(address, port)| SocketAddr::new(address, port));
    outside.into_iter().chain(reachable).map(|socket| url(socket, login)).collect()
}

/// Link-local addresses of IPv6 mean nothing without the name of an interface, which URLs lack.
fn needs_zone(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn url(socket: SocketAddr, login: Option<Login<'_>>) -> String {
    let mut url = "ftp://".to_owned();
    if let Some((name, password)) = login {
        escape(&mut url, name.as_bytes());
        url.push(':');
        escape(&mut url, password);
        url.push('@');
    }
    match socket.port() {
        21 if socket.is_ipv6() => url.push_str(&format!("[{}]", socket.ip())),
        21 => url.push_str(&socket.ip().to_string()),
        _ => url.push_str(&socket.to_string()),
    }
    url.push('/');
    url
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn escape(url: &mut String, text: &[u8]) {
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            let written = write!(url, "%{byte:02X}");
            debug_assert!(written.is_ok(), "a string takes every character");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|socket| socket.parse().unwrap()).collect()
    }

    #[test]
    fn every_address_has_a_url_and_loopback_is_last() {
        let local: Vec<IpAddr> = ["127.0.0.1", "192.0.2.1", "::1", "2001:db8::1", "fe80::1"]
            .map(|address| address.parse().unwrap())
            .to_vec();
        let bound = sockets(&["[::]:2121", "0.0.0.0:2121"]);
        assert_eq!(
            urls(&bound, &local, None, Some(("twoport", b"k7mp"))),
            [
                "ftp://twoport:k7mp@192.0.2.1:2121/",
                "ftp://twoport:k7mp@[2001:db8::1]:2121/",
                "ftp://twoport:k7mp@127.0.0.1:2121/",
                "ftp://twoport:k7mp@[::1]:2121/",
            ]
        );
    }

    #[test]
    fn public_addresses_come_first_and_port_21_goes_without_saying() {
        let public = Some("203.0.113.7".parse().unwrap());
        let bound = sockets(&["[::1]:21", "10.0.0.1:21"]);
        assert_eq!(
            urls(&bound, &[], public, None),
            ["ftp://203.0.113.7/", "ftp://10.0.0.1/", "ftp://[::1]/"]
        );
        let login = Some(("a@b", &b"p:/%"[..]));
        assert_eq!(urls(&bound, &[], public, login)[0], "ftp://a%40b:p%3A%2F%25@203.0.113.7/");
    }
}
