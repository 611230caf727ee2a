//! Connections through a proxy that takes any: HTTP (CONNECT, RFC 9110 §9.3.6) or SOCKS5 (RFC 1928).
//!
//! It listens to nobody on the far side: few proxies offer that. (The crates for SOCKS5, fast-socks5
//! and tokio-socks, bring second versions of crates that are here already.)

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use twoport_proto::reason::Reason;
use twoport_proto::text::escape;

use crate::data::dial::DialError;

/// The most bytes of an HTTP proxy's answer. Origin: heads of answers have some hundred; servers of
/// HTTP stop at 8 to 16 KiB.
const HEAD: usize = 16 * 1024;

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP, by CONNECT.
    Http,
    /// SOCKS5.
    Socks5,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// What it speaks.
    pub kind: Kind,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password, if it wants some.
    pub login: Option<(String, String)>,
    /// Whether it looks up the names of servers, rather than we.
    pub resolves: bool,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("at", &self.name()).finish_non_exhaustive()
    }
}

/// Where to.
#[derive(Clone, Debug)]
pub enum Target {
    /// An address.
    Address(SocketAddr),
    /// A name that the proxy looks up, and the port.
    Name(String, u16),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl Proxy {
    /// Its place, without its password.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Connects through it.
    ///
    /// # Errors
    /// The proxy cannot be reached or refuses, or the target cannot be reached from it.
    pub async fn connect(
        &self,
        target: &Target,
        patience: Duration,
    ) -> Result<TcpStream, DialError> {
        let connecting = async {
            let socket = TcpStream::connect((self.host.as_str(), self.port)).await;
            let socket = socket.map_err(|source| failed(Reason::ProxyUnreachable, source))?;
            match self.kind {
                Kind::Http => self.tunnel(socket, target).await,
                Kind::Socks5 => self.socks(socket, target).await,
            }
        };
        let late = || DialError { reason: Reason::DataDialTimeout, source: None };
        tokio::time::timeout(patience, connecting).await.unwrap_or_else(|_| Err(late()))
    }

    async fn tunnel(&self, mut socket: TcpStream, target: &Target) -> Result<TcpStream, DialError> {
        let login = self.login.as_ref().map(|(user, password)| {
            let both = BASE64.encode(format!("{user}:{password}").as_bytes());
            format!("Proxy-Authorization: Basic {both}\r\n")
        });
        let login = login.unwrap_or_default();
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n");
        let broken = |source| failed(Reason::ProxyUnreachable, source);
        socket.write_all(request.as_bytes()).await.map_err(broken)?;
        // A byte at a time: what comes behind the head is the server's greeting.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD {
            head.push(socket.read_u8().await.map_err(broken)?);
        }
        let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
        let status = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
        match status {
            Some([b'2', ..]) => Ok(socket),
            // What it says of the server: no way there, or no answer (RFC 9110 §15.6).
            Some(b"502" | b"503") => Err(said(Reason::DataUnreachable, line)),
            Some(b"504") => Err(said(Reason::DataDialTimeout, line)),
            _ => Err(said(Reason::ProxyRefused, line)),
        }
    }

    /// RFC 1928, and RFC 1929 for the password.
    async fn socks(&self, mut socket: TcpStream, target: &Target) -> Result<TcpStream, DialError> {
        let broken = |source| failed(Reason::ProxyUnreachable, source);
        let refused = |why: &str| failed(Reason::ProxyRefused, io::Error::other(why.to_owned()));
        let methods: &[u8] = if self.login.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
        socket.write_all(methods).await.map_err(broken)?;
        let mut chosen = [0; 2];
        socket.read_exact(&mut chosen).await.map_err(broken)?;
        match (chosen, &self.login) {
            ([5, 0], _) => {}
            ([5, 2], Some((user, password))) => {
                let mut login = vec![1];
                for word in [user, password] {
                    let length = u8::try_from(word.len()).ok();
                    login.push(length.ok_or_else(|| refused("user or password is too long"))?);
                    login.extend_from_slice(word.as_bytes());
                }
                socket.write_all(&login).await.map_err(broken)?;
                let mut verdict = [0; 2];
                socket.read_exact(&mut verdict).await.map_err(broken)?;
                if verdict[1] != 0 {
                    return Err(refused("the proxy refuses user or password"));
                }
            }
            ([5, _], _) => return Err(refused("the proxy wants another kind of login")),
            _ => return Err(broken(io::ErrorKind::InvalidData.into())),
        }
        let mut request = vec![5, 1, 0];
        let port = match target {
            Target::Address(SocketAddr::V4(to)) => {
                request.push(1);
                request.extend(to.ip().octets());
                to.port()
            }
            Target::Address(SocketAddr::V6(to)) => {
                request.push(4);
                request.extend(to.ip().octets());
                to.port()
            }
            Target::Name(host, port) => {
                let length = u8::try_from(host.len()).ok();
                request
                    .extend([3, length.ok_or_else(|| refused("the server's name is too long"))?]);
                request.extend_from_slice(host.as_bytes());
                *port
            }
        };
        request.extend(port.to_be_bytes());
        socket.write_all(&request).await.map_err(broken)?;
        let mut head = [0; 4];
        socket.read_exact(&mut head).await.map_err(broken)?;
        let [_, verdict, _, kind] = head;
        if let Some((reason, why)) = socks_refusal(verdict) {
            return Err(failed(reason, io::Error::other(format!("the proxy says: {why}"))));
        }
        // The address that it connects from means nothing here.
        let rest = match kind {
            1 => 4,
            4 => 16,
            _ => usize::from(socket.read_u8().await.map_err(broken)?),
        };
        let mut bound = vec![0; rest + 2];
        socket.read_exact(&mut bound).await.map_err(broken)?;
        Ok(socket)
    }
}

/// RFC 1928 §6.
const fn socks_refusal(verdict: u8) -> Option<(Reason, &'static str)> {
    Some(match verdict {
        0 => return None,
        2 => (Reason::ProxyRefused, "not allowed by its rules"),
        3 => (Reason::DataUnreachable, "network unreachable"),
        4 => (Reason::DataUnreachable, "host unreachable"),
        5 => (Reason::DataRefused, "connection refused"),
        6 => (Reason::DataDialTimeout, "TTL expired"),
        _ => (Reason::ProxyRefused, "general failure"),
    })
}

fn failed(reason: Reason, source: io::Error) -> DialError {
    DialError { reason, source: Some(source) }
}

fn said(reason: Reason, line: &[u8]) -> DialError {
    failed(reason, io::Error::other(format!("the proxy says: {}", escape(line))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn http(answer: &'static [u8]) -> (Result<TcpStream, DialError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let login = Some(("ann".to_owned(), "secret".to_owned()));
        let host = "127.0.0.1".to_owned();
        let proxy = Proxy { kind: Kind::Http, host, port, login, resolves: true };
        let target = Target::Name("ftp.example".to_owned(), 21);
        let connecting = proxy.connect(&target, Duration::from_secs(10));
        let serving = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(socket.read_u8().await.unwrap());
            }
            socket.write_all(answer).await.unwrap();
            asked
        };
        tokio::join!(connecting, serving)
    }

    #[tokio::test]
    async fn what_comes_behind_the_proxys_answer_is_the_servers() {
        let (socket, asked) = http(b"HTTP/1.1 200 ok\r\nVia: x\r\n\r\n220 Hello.\r\n").await;
        let mut greeting = [0; 12];
        socket.unwrap().read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"220 Hello.\r\n");
        let wanted = "CONNECT ftp.example:21 HTTP/1.1\r\nHost: ftp.example:21\r\n\
                      Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n";
        assert_eq!(String::from_utf8(asked).unwrap(), wanted);
    }

    #[tokio::test]
    async fn socks_with_a_password_and_without() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (user, password) = ("ann".to_owned(), "secret".to_owned());
        let host = "127.0.0.1".to_owned();
        let (kind, login) = (Kind::Socks5, Some((user, password)));
        let mut proxy = Proxy { kind, host, port, login, resolves: true };
        let minute = Duration::from_secs(60);
        let serve = async |asked: &[u8], answers: &[&[u8]]| {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            for answer in answers {
                seen.push(socket.read_u8().await.unwrap());
                tokio::time::sleep(Duration::from_millis(20)).await;
                let mut rest = [0; 100];
                let length = socket.try_read(&mut rest).unwrap_or(0);
                seen.extend_from_slice(&rest[..length]);
                socket.write_all(answer).await.unwrap();
            }
            assert_eq!(seen, asked);
        };
        let target = Target::Name("h".to_owned(), 21);
        let asked = b"\x05\x02\x00\x02\x01\x03ann\x06secret\x05\x01\x00\x03\x01h\x00\x15";
        let last = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01220";
        let answers: [&[u8]; 3] = [b"\x05\x02", b"\x01\x00", last];
        let (socket, ()) = tokio::join!(proxy.connect(&target, minute), serve(asked, &answers));
        let mut greeting = [0; 3];
        socket.unwrap().read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"220");
        proxy.login = None;
        let target = Target::Address("[::1]:21".parse().unwrap());
        let mut asked = b"\x05\x01\x00\x05\x01\x00\x04".to_vec();
        asked.extend([0; 15]);
        asked.extend([1, 0, 21]);
        let answers: [&[u8]; 2] = [b"\x05\x00", b"\x05\x05\x00\x01"];
        let (socket, ()) = tokio::join!(proxy.connect(&target, minute), serve(&asked, &answers));
        assert_eq!(socket.unwrap_err().reason, Reason::DataRefused);
    }

    #[tokio::test]
    async fn what_a_proxy_refuses_has_a_reason() {
        for (answer, reason) in [
            (&b"HTTP/1.1 403 no\r\n\r\n"[..], Reason::ProxyRefused),
            (b"HTTP/1.0 407 login\r\n\r\n", Reason::ProxyRefused),
            (b"HTTP/1.1 503 down\r\n\r\n", Reason::DataUnreachable),
            (b"HTTP/1.1 504 late\r\n\r\n", Reason::DataDialTimeout),
            (b"220 no proxy\r\n\r\n", Reason::ProxyRefused),
            (b"HTTP/1.1 200", Reason::ProxyUnreachable),
        ] {
            assert_eq!(http(answer).await.0.unwrap_err().reason, reason);
        }
    }
}
