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

use crate::config::public::{Reflector, ReflectorKind};

/// How long a STUN answer is waited for before the request is sent again, and how often. Origin:
/// RFC 5389 §7.2.1 begins with 500 ms.
const AGAIN: Duration = Duration::from_millis(500);
const TRIES: u32 = 4;

/// How long another FTP server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most that is read of its replies. Origin: greeting and STAT are some hundred bytes.
const LONGEST: u64 = 8192;

/// The own IPv4 address as the reflector sees it.
pub(super) async fn address(reflector: &Reflector) -> io::Result<IpAddr> {
    let all = tokio::net::lookup_host(&reflector.address).await?;
    let peer = all.into_iter().find(SocketAddr::is_ipv4);
    let peer = peer.ok_or_else(|| io::Error::other("it has no IPv4 address"))?;
    match reflector.kind {
        ReflectorKind::Stun => by_stun(peer).await,
        ReflectorKind::Ftp => match timeout(PATIENCE, by_ftp(peer)).await {
            Ok(found) => found,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
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
