//! Whether a port answers, found out without a connection: a SYN of our own making, whose answer nobody
//! acknowledges. Who listens there never hears of it.
//!
//! It needs `CAP_NET_RAW`, and keeps nothing of what it finds.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long an answer may take until the SYN is sent again. Origin: RFC 6298 §2, the first time-out.
const REPEAT: Duration = Duration::from_secs(1);

/// How often it is sent. Origin: two that are lost in a row are none, and nobody waits longer for 227.
const TRIES: u32 = 3;

/// How long after a refusal it is tried once more. Origin: a server may say its port before it listens.
const SECOND_LOOK: Duration = Duration::from_millis(200);

/// The longest packet that is looked at: headers of IP and TCP with all their options.
const HEADERS: usize = 120;

/// The header of TCP, with the one option of the segment's size.
const LENGTH: usize = 24;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// A port from which it can be knocked, kept from others meanwhile.
#[derive(Debug)]
pub struct Knock {
    /// A raw one: what it sends and gets are segments of TCP.
    raw: UdpSocket,
    /// It is bound and no more: the kernel itself resets what answers.
    _port: Socket,
    from: SocketAddr,
    at: SocketAddr,
}

impl Knock {
    /// Gets ready to knock at `at` from the own address `from`.
    ///
    /// # Errors
    /// What the system says: without `CAP_NET_RAW` it is not permitted.
    pub fn new(from: IpAddr, at: SocketAddr) -> io::Result<Self> {
        let domain = Domain::for_address(at);
        let port = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        port.bind(&SocketAddr::new(from, 0).into())?;
        let from = port.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        let raw = Socket::new(domain, Type::RAW, Some(Protocol::TCP))?;
        raw.set_nonblocking(true)?;
        // A raw socket has no ports; connected it sees this peer's packets alone, and errors about it.
        raw.bind(&SocketAddr::new(from.ip(), 0).into())?;
        raw.connect(&SocketAddr::new(at.ip(), 0).into())?;
        Ok(Self { raw: UdpSocket::from_std(raw.into())?, _port: port, from, at })
    }

    /// The port that it is knocked from.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.from.port()
    }

    /// Whether a connection would come up.
    ///
    /// # Errors
    /// The SYN cannot be sent.
    pub async fn answers(&self) -> io::Result<bool> {
        Ok(match self.listen().await? {
            Some(false) => {
                tokio::time::sleep(SECOND_LOOK).await;
                self.listen().await? == Some(true)
            }
            heard => heard == Some(true),
        })
    }

    /// What comes back: a port that listens, one that does not, or nothing.
    async fn listen(&self) -> io::Result<Option<bool>> {
        let sequence = getrandom::u32().map_err(io::Error::other)?;
        let syn = syn(self.from, self.at, sequence);
        for _ in 0..TRIES {
            self.raw.send(&syn).await?;
            match timeout(REPEAT, self.reply(sequence)).await {
                Ok(Ok(is_open)) => return Ok(Some(is_open)),
                // Somebody on the way forbids it.
                Ok(Err(_)) => return Ok(None),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    async fn reply(&self, sequence: u32) -> io::Result<bool> {
        let mut packet = [0; HEADERS];
        loop {
            let length = self.raw.recv(&mut packet).await?;
            let read = packet.get(..length).unwrap_or_default();
            let found = segment(read, self.at.is_ipv4());
            if let Some(is_open) = found.and_then(|tcp| self.judge(tcp, sequence)) {
                return Ok(is_open);
            }
        }
    }

    /// Whether a segment says that the port is open, or that it is not.
    fn judge(&self, tcp: &[u8], sequence: u32) -> Option<bool> {
        let (ports, rest) = tcp.split_first_chunk::<4>()?;
        let expected = [self.at.port().to_be_bytes(), self.from.port().to_be_bytes()].concat();
        let acknowledged = u32::from_be_bytes(*rest.get(4..)?.first_chunk()?);
        if ports[..] != expected || acknowledged != sequence.wrapping_add(1) {
            return None;
        }
        match rest.get(9)? & (SYN | RST | ACK) {
            flags if flags & RST != 0 => Some(false),
            flags if flags == SYN | ACK => Some(true),
            _ => None,
        }
    }
}

/// The segment in what a raw socket reads: only IPv4 gives its own header along.
fn segment(packet: &[u8], is_ipv4: bool) -> Option<&[u8]> {
    if !is_ipv4 {
        return Some(packet);
    }
    packet.get(usize::from(packet.first()? & 0x0f) * 4..)
}

/// The first segment of a connection (RFC 9293 §3.1).
fn syn(from: SocketAddr, to: SocketAddr, sequence: u32) -> [u8; LENGTH] {
    /// 1460 bytes (option 2, four bytes long).
    const SIZE: [u8; 4] = [2, 4, 0x05, 0xb4];
    const WORDS: u8 = 6;
    let mut segment = [0; LENGTH];
    let fields = from.port().to_be_bytes().into_iter().chain(to.port().to_be_bytes());
    let fields = fields.chain(sequence.to_be_bytes()).chain([0; 4]);
    let fields = fields.chain([WORDS << 4, SYN, 0xff, 0xff, 0, 0, 0, 0]).chain(SIZE);
    for (byte, field) in segment.iter_mut().zip(fields) {
        *byte = field;
    }
    let sum = checksum(from.ip(), to.ip(), &segment).to_be_bytes();
    for (byte, field) in segment.iter_mut().skip(16).zip(sum) {
        *byte = field;
    }
    segment
}

/// RFC 9293 §3.1, with the pseudo-header of either family.
fn checksum(from: IpAddr, to: IpAddr, segment: &[u8]) -> u16 {
    const TCP: u8 = 6;
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let length = u16::try_from(segment.len()).unwrap_or_default().to_be_bytes();
    let all = [&octets(from)[..], &octets(to), &[0, TCP], &length, segment].concat();
    let words = all.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_syn_has_the_checksum_that_it_would_have_from_the_kernel() {
        let from: SocketAddr = "192.0.2.1:40000".parse().unwrap();
        let to: SocketAddr = "203.0.113.10:21".parse().unwrap();
        let syn = syn(from, to, 0x0102_0304);
        assert_eq!(checksum(from.ip(), to.ip(), &syn), 0, "it adds up to nothing");
        assert_eq!(syn[..4], [0x9c, 0x40, 0, 21]);
    }

    #[tokio::test]
    async fn a_port_that_listens_is_told_from_one_that_does_not_and_accepts_nobody() {
        for host in ["127.0.0.1", "::1"] {
            let host: IpAddr = host.parse().unwrap();
            let listener = TcpListener::bind((host, 0)).unwrap();
            listener.set_nonblocking(true).unwrap();
            let at = listener.local_addr().unwrap();
            let knock = match Knock::new(host, at) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    println!("skipped: no raw sockets here");
                    return;
                }
                knock => knock.unwrap(),
            };
            assert!(knock.answers().await.unwrap(), "{host}");
            let accepted = listener.accept().map(|_| ()).map_err(|error| error.kind());
            assert_eq!(accepted, Err(io::ErrorKind::WouldBlock));
            drop(listener);
            let knock = Knock::new(host, at).unwrap();
            assert!(!knock.answers().await.unwrap(), "{host}");
        }
    }
}
