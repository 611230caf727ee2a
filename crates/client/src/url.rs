//! URLs of FTP (RFC 1738 §3.2): `ftp://user:password@host:port/path;type=a`, and those that ask for
//! TLS: `ftps://` and `ftpes://`.
//!
//! It is read here and not by the `url` crate, which is made for browsers: that one drops `..`,
//! turns `\` into `/` and wants UTF-8, where a path of FTP is bytes that only the server understands.

use std::fmt;

use percent_encoding::percent_decode;

use twoport_proto::client::login::Credentials;
use twoport_proto::command::{Password, Representation};
use twoport_proto::path::FtpPath;
use twoport_proto::text::Escaped;
use twoport_proto::time::decimal;

use crate::error::{Class, Error};

/// How a URL begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `ftp://`: whether under TLS is set elsewhere.
    Ftp,
    /// `ftps://`: under TLS from the first byte.
    Ftps,
    /// `ftpes://`: in clear until AUTH TLS (RFC 4217), and never without it.
    Ftpes,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ftp, Self::Ftps, Self::Ftpes];

    /// The word, with what stands behind it.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Ftp => "ftp://",
            Self::Ftps => "ftps://",
            Self::Ftpes => "ftpes://",
        }
    }

    /// The scheme that a text begins with, in capitals or not.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| {
            let start = text.get(..scheme.prefix().len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(scheme.prefix()))
        })
    }

    /// The port where none is given: that of FTP (RFC 959 §3.2), and the one registered for FTP
    /// under TLS.
    const fn port(self) -> u16 {
        match self {
            Self::Ftp | Self::Ftpes => 21,
            Self::Ftps => 990,
        }
    }
}

/// A URL, taken apart and decoded. It is never shown with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
    path: FtpPath,
    representation: Option<Representation>,
}

impl Url {
    /// Reads a URL. The path is relative to the log-in directory; `%2F` at its beginning makes it
    /// absolute. A user without a password has an empty one.
    ///
    /// # Errors
    /// [`Class::Usage`]: not a URL of FTP, or it holds a CR, LF or NUL.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let scheme = Scheme::of(text).ok_or_else(|| {
            bad("a URL begins with ftp://, ftps:// or ftpes://, as in ftp://user@host/path")
        })?;
        let rest = text.get(scheme.prefix().len()..).unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // The last `@`: people paste passwords that hold one.
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(credentials(user)?), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place, scheme)?;
        let (path, representation) = typed(path)?;
        let path = FtpPath(decode(path)?.into());
        Ok(Self { scheme, host, port, credentials: user, path, representation })
    }

    /// How it begins.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, a name or an address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 21 where none is given, and 990 for `ftps://`.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// User and password, if there is a user.
    #[must_use]
    pub const fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The same URL with another user, such as one from a netrc file.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The path, decoded; empty for the log-in directory.
    #[must_use]
    pub const fn path(&self) -> &FtpPath {
        &self.path
    }

    /// The last name of the path; `None` if it is empty or ends with a slash: a directory.
    #[must_use]
    pub fn file_name(&self) -> Option<&[u8]> {
        let name = self.path.0.rsplit(|&b| b == b'/').next();
        name.filter(|name| !name.is_empty() && *name != b"." && *name != b"..")
    }

    /// What `;type=` asks for.
    #[must_use]
    pub const fn representation(&self) -> Option<Representation> {
        self.representation
    }
}

fn credentials(text: &str) -> Result<Credentials, Error> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let (user, password) = (decode(user)?, Password(decode(password)?));
    if user.is_empty() {
        return Err(bad("the user before the @ is empty: leave out the @ for anonymous"));
    }
    Ok(Credentials { user, password, account: None })
}

fn host_and_port(place: &str, scheme: Scheme) -> Result<(String, u16), Error> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest
                .split_once(']')
                .ok_or_else(|| bad("the [ before the address is not closed"))?;
            if !host.contains(':') {
                return Err(bad("only an IPv6 address stands in brackets"));
            }
            // RFC 6874: the % of a zone is written %25.
            (host.replacen("%25", "%", 1), behind)
        }
        None => {
            let end = place.find(':').unwrap_or(place.len());
            let (host, behind) = place.split_at(end);
            (text_of(decode(host)?)?, behind)
        }
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(bad("the host is missing, or no name"));
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => scheme.port(),
        Some("") => scheme.port(),
        Some(digits) => decimal(digits.as_bytes())
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0)
            .ok_or_else(|| bad("the port is a number from 1 to 65535; an IPv6 address needs []"))?,
        None => return Err(bad("only a port can stand behind the ]")),
    };
    Ok((host, port))
}

/// `;type=a`, `;type=i` at the end (RFC 1738 §3.2.2). `d`, a listing, is what a trailing slash does.
fn typed(path: &str) -> Result<(&str, Option<Representation>), Error> {
    let Some(at) = path.len().checked_sub(7) else { return Ok((path, None)) };
    let (Some(start), Some(end)) = (path.get(..at), path.get(at..)) else {
        return Ok((path, None));
    };
    match end.to_ascii_lowercase().as_str() {
        ";type=a" => Ok((start, Some(Representation::Ascii))),
        ";type=i" => Ok((start, Some(Representation::Image))),
        kind if kind.starts_with(";type=") => Err(bad("the type is a or i, as in ;type=a")),
        _ => Ok((path, None)),
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Error> {
    let bytes: Vec<u8> = percent_decode(text.as_bytes()).collect();
    if bytes.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        return Err(bad("%0D, %0A and %00 would end a command: no name in FTP can hold them"));
    }
    Ok(bytes)
}

fn text_of(bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|_| bad("the host is no name"))
}

/// The URL itself is not repeated: it may hold a password.
fn bad(why: &str) -> Error {
    Error::new(Class::Usage, format!("the URL cannot be used: {why}"))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme.prefix())?;
        if let Some(credentials) = &self.credentials {
            write!(f, "{}@", Escaped(&credentials.user))?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "/{}", Escaped(&self.path.0))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
