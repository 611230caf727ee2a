//! Which servers a client is meant for, by the names that it gives before it has logged in.
//!
//! It knows groups of servers by their names only: which one of a group is the driver's to choose.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use crate::glob::Glob;

/// The port of FTP (RFC 959 §8).
const PORT: u16 = 21;

/// A name that a client gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// That of HOST (RFC 7151).
    Host,
    /// That of the TLS handshake (RFC 6066 §3).
    Sni,
    /// That of USER.
    User,
}

/// One row: who gives a name that fits is meant for a group.
#[derive(Clone, Debug)]
pub struct Route {
    by: By,
    pattern: Glob,
    to: String,
}

impl Route {
    /// A row. Called of hosts have no case, names of users have.
    #[must_use]
    pub fn new(by: By, pattern: &[u8], to: String) -> Self {
        let pattern = match by {
            By::User => Glob::new(pattern),
            By::Host | By::Sni => Glob::new(&pattern.to_ascii_lowercase()),
        };
        Self { by, pattern, to }
    }
}

/// The names that a client has given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Called<'a> {
    /// By HOST.
    pub host: Option<&'a [u8]>,
    /// In the TLS handshake.
    pub sni: Option<&'a [u8]>,
    /// By USER.
    pub user: Option<&'a [u8]>,
}

/// What is known where TLS is to pass, before the client's hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early<'a> {
    /// The group.
    Group(&'a str),
    /// The name in the handshake has a say.
    ByName,
    /// It is meant for nobody.
    Nobody,
}

/// The rows, of which the first that fits counts.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// The rows.
    pub rows: Vec<Route>,
    /// For whom none fits.
    pub otherwise: Option<String>,
}

impl Routes {
    /// The group for these names.
    #[must_use]
    pub fn find(&self, names: Called<'_>) -> Option<&str> {
        let fits = |row: &&Route| match row.by {
            By::Host => names.host.is_some_and(|name| row.fits(&name.to_ascii_lowercase())),
            By::Sni => names.sni.is_some_and(|name| row.fits(&name.to_ascii_lowercase())),
            By::User => names.user.is_some_and(|name| row.fits(name)),
        };
        let row = self.rows.iter().find(fits).map(|row| row.to.as_str());
        row.or(self.otherwise.as_deref())
    }

    /// The same where AUTH comes, after which nothing but the handshake's name can be read.
    pub(super) fn before_handshake(&self, host: Option<&[u8]>) -> Early<'_> {
        let host = host.map(<[u8]>::to_ascii_lowercase);
        let fits = |row: &&Route| match row.by {
            By::Host => host.as_ref().is_some_and(|name| row.fits(name)),
            By::Sni => true,
            By::User => false,
        };
        match (self.rows.iter().find(fits), &self.otherwise) {
            (Some(Route { by: By::Sni, .. }), _) => Early::ByName,
            (Some(Route { to, .. }), _) | (None, Some(to)) => Early::Group(to),
            (None, None) => Early::Nobody,
        }
    }

    /// Whether a host of this name may be here: rows by other names may fit later.
    pub(super) fn may_have(&self, host: &[u8]) -> bool {
        let is_open = self.rows.iter().all(|row| row.by != By::Host);
        is_open || self.find(Called { host: Some(host), ..Called::default() }).is_some()
    }
}

impl Route {
    fn fits(&self, name: &[u8]) -> bool {
        self.pattern.matches(name)
    }
}

/// A server as a client names it to a forward proxy: `host`, `host:port`, `[::1]:port`, or the host
/// and the port parted by a blank.
#[must_use]
pub fn destination(text: &[u8]) -> Option<(String, u16)> {
    let text = core::str::from_utf8(text).ok()?.trim();
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => {
            host.parse::<Ipv6Addr>().ok()?;
            let port = rest.strip_prefix([':', ' ']);
            if port.is_none() && !rest.is_empty() {
                return None;
            }
            (host, port)
        }
        None => match text.split_once([':', ' ']) {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_host = host.parse::<Ipv6Addr>().is_ok() || host.bytes().all(is_name);
    if host.is_empty() || !is_host {
        return None;
    }
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
        None => PORT,
    };
    (port != 0).then(|| (host.into(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn the_first_row_that_fits_counts() {
        let row = |by, pattern: &[u8], to: &str| Route::new(by, pattern, to.into());
        let rows = vec![
            row(By::User, b"*@blue.example", "blue"),
            row(By::Host, b"FTP.green.example", "green"),
            row(By::Sni, b"*.green.example", "green"),
            row(By::User, b"ann", "red"),
        ];
        let mut routes = Routes { rows, otherwise: None };
        let find = |routes: &Routes, host: &str, sni: &str, user: &str| {
            let name = |text: &'static str| (!text.is_empty()).then_some(text.as_bytes());
            let leak = |text: &str| name(String::from(text).leak());
            let names = Called { host: leak(host), sni: leak(sni), user: leak(user) };
            routes.find(names).map(String::from)
        };
        assert_eq!(find(&routes, "ftp.green.example", "", "x@blue.example").unwrap(), "blue");
        assert_eq!(find(&routes, "ftp.Green.example", "", "ann").unwrap(), "green");
        assert_eq!(find(&routes, "", "a.green.example", "ann").unwrap(), "green");
        assert_eq!(find(&routes, "", "", "ann").unwrap(), "red");
        assert_eq!(find(&routes, "", "", "Ann"), None);
        assert!(routes.may_have(b"ftp.green.example") && !routes.may_have(b"other"));
        routes.otherwise = Some("rest".into());
        assert_eq!(find(&routes, "", "", "Ann").unwrap(), "rest");
        assert!(routes.may_have(b"other"));
    }

    #[test]
    fn servers_are_named_with_and_without_port() {
        let found = |text: &str| destination(text.as_bytes());
        for (text, host, port) in [
            ("ftp.example", "ftp.example", 21),
            ("ftp.example:2121", "ftp.example", 2121),
            ("192.0.2.1 990", "192.0.2.1", 990),
            ("[2001:db8::1]", "2001:db8::1", 21),
            ("[2001:db8::1]:2121", "2001:db8::1", 2121),
        ] {
            assert_eq!(found(text), Some((host.into(), port)), "{text}");
        }
        for wrong in
            ["", ":21", "a:0", "a:70000", "a:+1", "a:b", "a/b", "a\\b", "[x]", "[::1]x", "a b c"]
        {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }
}
