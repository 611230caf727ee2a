//! The PROXY protocol, versions 1 and 2: what a load balancer says before the first byte of a
//! connection about whose connection it is.
//!
//! It trusts nobody: who may send such a header is decided before. Names of sections are those of
//! HAProxy's `proxy-protocol.txt`.

use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

/// What a header of version 2 begins with (§2.2): no line of FTP or HTTP.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The first bytes of a header of version 1 (§2.1).
const WORD: &[u8] = b"PROXY ";

/// The longest header of version 1, its line end included (§2.1).
const LONGEST_LINE: usize = 107;

/// The most that may stand behind the fixed part of version 2. Origin: addresses take 36 bytes, and
/// HAProxy's own extensions some hundreds; the field could say 64 KiB.
const LONGEST_BODY: usize = 4096;

/// The most bytes that a header can have.
pub const LONGEST: usize = SIGNATURE.len() + 4 + LONGEST_BODY;

/// The two ends of the connection that the client made to the load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// What the client connected to.
    pub destination: SocketAddr,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose connection it is; none if it is the load balancer's own (LOCAL, such as a health
    /// check) or of unknown origin (UNKNOWN, UNSPEC).
    pub ends: Option<Ends>,
    /// How many bytes it takes.
    pub length: usize,
}

/// No header, or one that says nothing understandable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHeader;

/// Reads the header at the beginning of `bytes`. `None`: all of them belong to it, and more must
/// come.
///
/// # Errors
/// It is none.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    if bytes.starts_with(&SIGNATURE) {
        binary(bytes)
    } else if bytes.starts_with(WORD) {
        line(bytes)
    } else if SIGNATURE.starts_with(bytes) || WORD.starts_with(bytes) {
        Ok(None)
    } else {
        Err(NoHeader)
    }
}

/// Version 1: `PROXY TCP4 192.0.2.7 192.0.2.1 50000 21`.
fn line(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
        return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err(NoHeader) };
    };
    let length = end.saturating_add(1);
    let line = bytes.get(WORD.len()..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.filter(|_| length <= LONGEST_LINE).ok_or(NoHeader)?;
    let line = core::str::from_utf8(line).map_err(|_| NoHeader)?;
    let mut words = line.split(' ');
    let ends = match words.next() {
        // What stands behind it is to be ignored.
        Some("UNKNOWN") => return Ok(Some(Header { ends: None, length })),
        Some("TCP4") => ends::<Ipv4Addr>(&mut words),
        Some("TCP6") => ends::<Ipv6Addr>(&mut words),
        _ => None,
    };
    let ends = ends.filter(|_| words.next().is_none()).ok_or(NoHeader)?;
    Ok(Some(Header { ends: Some(ends), length }))
}

fn ends<'a, A: FromStr + Into<IpAddr>>(words: &mut impl Iterator<Item = &'a str>) -> Option<Ends> {
    let source: A = words.next()?.parse().ok()?;
    let destination: A = words.next()?.parse().ok()?;
    Some(Ends {
        source: SocketAddr::new(source.into(), port(words.next()?)?),
        destination: SocketAddr::new(destination.into(), port(words.next()?)?),
    })
}

/// A port without sign and without leading zeros (§2.1).
fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| plain)
}

/// Version 2: the signature, version and command, family, length, addresses, extensions.
fn binary(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    let Some((&[command, family, high, low], rest)) =
        bytes.get(SIGNATURE.len()..).and_then(<[u8]>::split_first_chunk)
    else {
        return Ok(None);
    };
    let size = usize::from(u16::from_be_bytes([high, low]));
    if size > LONGEST_BODY || !matches!(command, 0x20 | 0x21) {
        return Err(NoHeader);
    }
    let Some(body) = rest.get(..size) else { return Ok(None) };
    let ends = match (command, family) {
        // LOCAL: the addresses are to be ignored, whatever they are. UNSPEC says nothing.
        (0x20, _) | (0x21, 0x00) => None,
        (0x21, 0x11) => Some(addresses::<4, 12>(body)?),
        (0x21, 0x21) => Some(addresses::<16, 36>(body)?),
        // Datagrams and sockets of Unix carry no FTP.
        _ => return Err(NoHeader),
    };
    let length = SIGNATURE.len().saturating_add(4).saturating_add(size);
    Ok(Some(Header { ends, length }))
}

/// Two addresses of N bytes and two ports; extensions (TLV) behind them say nothing that is needed.
fn addresses<const N: usize, const ALL: usize>(body: &[u8]) -> Result<Ends, NoHeader>
where
    [u8; N]: IntoAddress,
{
    let all: &[u8; ALL] = body.first_chunk().ok_or(NoHeader)?;
    let (source, rest) = all.split_first_chunk::<N>().ok_or(NoHeader)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(NoHeader)?;
    let &[a, b, c, d] = rest else { return Err(NoHeader) };
    Ok(Ends {
        source: SocketAddr::new(source.into_address(), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination.into_address(), u16::from_be_bytes([c, d])),
    })
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text (§2.1).
    Line,
    /// Binary (§2.2).
    Binary,
}

/// The header that says whose connection it is; without ends, that it is the own one (a health
/// check).
#[must_use]
pub fn header(version: Version, ends: Option<Ends>) -> Vec<u8> {
    match version {
        Version::Line => text_header(ends),
        Version::Binary => binary_header(ends),
    }
}

fn text_header(ends: Option<Ends>) -> Vec<u8> {
    let Some(Ends { source, destination }) = ends else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let (from, to) = same_family(source.ip(), destination.ip());
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    let (source, destination) = (source.port(), destination.port());
    format!("PROXY {family} {from} {to} {source} {destination}\r\n").into_bytes()
}

fn binary_header(ends: Option<Ends>) -> Vec<u8> {
    let Some(Ends { source, destination }) = ends else {
        return [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat();
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    let body = |from: &[u8], to: &[u8]| [from, to, &ports[..]].concat();
    let (family, size, body) = match same_family(source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (0x11, 12, body(&from.octets(), &to.octets())),
        (from, to) => (0x21, 36, body(&mapped(from).octets(), &mapped(to).octets())),
    };
    [&SIGNATURE[..], &[0x21, family, 0, size], &body[..]].concat()
}

/// Both in the family of IPv6 where one of them is.
fn same_family(from: IpAddr, to: IpAddr) -> (IpAddr, IpAddr) {
    let (from, to) = (from.to_canonical(), to.to_canonical());
    if from.is_ipv4() == to.is_ipv4() {
        (from, to)
    } else {
        (mapped(from).into(), mapped(to).into())
    }
}

const fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// Bytes that are an address.
trait IntoAddress {
    fn into_address(self) -> IpAddr;
}

impl IntoAddress for [u8; 4] {
    fn into_address(self) -> IpAddr {
        self.into()
    }
}

impl IntoAddress for [u8; 16] {
    fn into_address(self) -> IpAddr {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let size = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &size, body].concat()
    }

    fn ends(source: &str, destination: &str) -> Ends {
        Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn lines_of_version_1() {
        let text = b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 21\r\nUSER ann\r\n";
        let header = parse(text).unwrap().unwrap();
        assert_eq!(header.ends, Some(ends("192.0.2.7:50000", "192.0.2.1:21")));
        assert_eq!(&text[header.length..], b"USER ann\r\n");
        let header = parse(b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 21\r\n").unwrap().unwrap();
        assert_eq!(header.ends, Some(ends("[2001:db8::7]:50000", "[2001:db8::1]:21")));
        let unknown = parse(b"PROXY UNKNOWN whatever\r\n").unwrap().unwrap();
        assert_eq!(unknown, Header { ends: None, length: 24 });
    }

    #[test]
    fn what_is_no_header_is_known_at_its_first_wrong_byte() {
        for bad in [
            &b"USER ann\r\n"[..],
            b"PROXX",
            b"\r\n\r\nNOOP",
            b"PROXY TCP4 2001:db8::7 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 +1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 1 70000\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n",
            b"PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n",
            b"PROXY  TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 \xff\r\n",
        ] {
            assert_eq!(parse(bad), Err(NoHeader), "{bad:?}");
        }
        let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat();
        assert_eq!(parse(&endless), Err(NoHeader));
    }

    #[test]
    fn headers_of_version_2() {
        let body = [192, 0, 2, 7, 192, 0, 2, 1, 0xc3, 0x50, 0, 21];
        let told = Some(ends("192.0.2.7:50000", "192.0.2.1:21"));
        assert_eq!(parse(&v2(0x21, 0x11, &body)), Ok(Some(Header { ends: told, length: 28 })));
        let extended = [&body[..], &[4, 0, 2, 0, 0]].concat();
        assert_eq!(parse(&v2(0x21, 0x11, &extended)).unwrap().unwrap().length, 33);
        assert_eq!(parse(&v2(0x20, 0x11, &body)).unwrap().unwrap().ends, None);
        assert_eq!(parse(&v2(0x20, 0, &[])), Ok(Some(Header { ends: None, length: 16 })));
        assert_eq!(parse(&v2(0x21, 0, &[1, 2, 3])).unwrap().unwrap().ends, None);
        let mut six = [0; 36];
        six[15] = 1;
        six[31] = 2;
        six[35] = 21;
        assert_eq!(
            parse(&v2(0x21, 0x21, &six)).unwrap().unwrap().ends,
            Some(ends("[::1]:0", "[::2]:21"))
        );
        for bad in [v2(0x11, 0x11, &body), v2(0x21, 0x12, &body), v2(0x21, 0x31, &body)] {
            assert_eq!(parse(&bad), Err(NoHeader));
        }
        assert_eq!(parse(&v2(0x21, 0x11, &body[..11])), Err(NoHeader));
        assert_eq!(parse(&v2(0x21, 0x11, &[0; 5000])), Err(NoHeader));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for version in [Version::Line, Version::Binary] {
            for (source, destination) in [
                ("192.0.2.7:50000", "192.0.2.1:21"),
                ("[2001:db8::7]:50000", "[2001:db8::1]:21"),
                ("192.0.2.7:50000", "[2001:db8::1]:21"),
            ] {
                let bytes = header(version, Some(ends(source, destination)));
                let read = parse(&bytes).unwrap().unwrap();
                let told = read.ends.unwrap();
                let canonical = told.source.ip().to_canonical();
                assert_eq!(SocketAddr::new(canonical, told.source.port()), source.parse().unwrap());
                assert_eq!(told.destination, destination.parse().unwrap());
                assert_eq!(read.length, bytes.len());
            }
            assert_eq!(parse(&header(version, None)).unwrap().unwrap().ends, None);
        }
    }

    #[test]
    fn every_beginning_of_a_header_waits_for_more() {
        let body = [192, 0, 2, 7, 192, 0, 2, 1, 0xc3, 0x50, 0, 21];
        let headers =
            [b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 21\r\n".to_vec(), v2(0x21, 0x11, &body)];
        for header in headers {
            for cut in 0..header.len() {
                assert_eq!(parse(&header[..cut]), Ok(None), "{cut}");
            }
        }
    }
}
