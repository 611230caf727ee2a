//! Asks a reflector under which address it sees this host: a STUN server, or another twoport.
//!
//! It asks the one that was configured, and no other.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use twoport_proto::stun;

/// How long a STUN answer is waited for before the request is sent again, and how often. Origin:
/// RFC 5389 §7.2.1 begins with 500 ms.
const AGAIN: Duration = Duration::from_millis(500);
const TRIES: u32 = 4;

/// How long another FTP server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most that is read of its replies. Origin: greeting and STAT are some hundred bytes.
const LONGEST: u64 = 8192;

/// Somebody who tells under which address he sees us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflector {
    /// How it is asked.
    pub kind: Kind,
    /// `HOST:PORT`.
    pub address: String,
}

/// How a reflector is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By STUN (RFC 5389).
    Stun,
    /// By STAT: another twoport.
    Ftp,
}

impl Reflector {
    /// Reads `stun://HOST:PORT` or `ftp://HOST:PORT`; the port may be left out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (kind, port) = match scheme {
            "stun" => (Kind::Stun, stun::PORT),
            "ftp" => (Kind::Ftp, 21),
            _ => return None,
        };
        let rest = rest.trim_end_matches('/');
        if rest.is_empty() || rest.contains(|c: char| c.is_whitespace() || "/@?#".contains(c)) {
            return None;
        }
        let behind = rest.rsplit(']').next().unwrap_or(rest);
        let has_port = behind.contains(':') && (rest.starts_with('[') || !rest.contains("::"));
        let address = if has_port { rest.to_owned() } else { format!("{rest}:{port}") };
        Some(Self { kind, address })
    }

    /// The own IPv4 address as it sees it.
    ///
    /// # Errors
    /// It is not found, does not answer, or does not tell.
    pub async fn ask(&self) -> io::Result<IpAddr> {
        let all = tokio::net::lookup_host(&self.address).await?;
        let peer = all.into_iter().find(SocketAddr::is_ipv4);
        let peer = peer.ok_or_else(|| io::Error::other("it has no IPv4 address"))?;
        match self.kind {
            Kind::Stun => by_stun(peer).await,
            Kind::Ftp => match timeout(PATIENCE, by_ftp(peer)).await {
                Ok(found) => found,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        }
    }
}

async fn by_stun(peer: SocketAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect(peer).await?;
    let mut transaction = stun::Transaction::default();
    getrandom::fill(&mut transaction).map_err(|error| io::Error::other(error.to_string()))?;
    for _ in 0..TRIES {
        socket.send(&stun::request(transaction)).await?;
        let answered = async {
            let mut space = [0; 1500];
            loop {
                let length = socket.recv(&mut space).await?;
                let answer = space.get(..length).and_then(|bytes| stun::parse(bytes, transaction));
                if let Some(address) = answer {
                    return io::Result::Ok(address.ip());
                }
            }
        };
        if let Ok(answered) = timeout(AGAIN, answered).await {
            return answered;
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// STAT, which twoport answers before any log-in, has a line `Connected from ADDR:PORT`.
async fn by_ftp(peer: SocketAddr) -> io::Result<IpAddr> {
    let (reader, mut writer) = TcpStream::connect(peer).await?.into_split();
    writer.write_all(b"STAT\r\nQUIT\r\n").await?;
    let mut lines = BufReader::new(reader.take(LONGEST)).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.trim().strip_prefix("Connected from ") {
            let with_port = || address.parse().map(|seen: SocketAddr| seen.ip());
            let seen = address.parse().or_else(|_| with_port());
            return seen.map_err(|_| io::Error::other("it told no address"));
        }
    }
    Err(io::Error::other("its STAT does not tell the client's address"))
}
