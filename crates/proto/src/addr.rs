//! The four notations of a data address: PORT, EPRT, and the replies 227 and 229.
//!
//! What an address may be used for (whose it is, which port) is decided elsewhere: see
//! [`data`](crate::data). Readers give the span of the notation, so that a gateway can replace it.

use alloc::string::String;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use core::ops::Range;

use crate::reply::Text;
use crate::time::decimal;

/// An address family as RFC 2428 numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 1: IPv4.
    V4,
    /// 2: IPv6.
    V6,
}

impl Family {
    /// The family of an address; an IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The number of RFC 2428 §2.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }
}

/// Why an address could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// It does not have the form of its notation.
    Malformed,
    /// The protocol number is a number, but neither 1 nor 2.
    UnknownProtocol,
}

/// An address and where in the text it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What was read.
    pub value: T,
    /// The bytes that say it, counted from the start of the text given.
    pub span: Range<usize>,
}

/// What a 229 reply says: always a port, and from some servers also an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    /// The port to connect to.
    pub port: u16,
    /// The address that RFC 2428 §3 wants left out.
    pub address: Option<IpAddr>,
}

/// Reads the argument of PORT, `h1,h2,h3,h4,p1,p2` (RFC 959 §4.1.2): nothing before or after it.
///
/// # Errors
/// [`AddressError::Malformed`] unless there are six numbers up to 255 between commas.
pub fn parse_port(argument: &[u8]) -> Result<SocketAddrV4, AddressError> {
    let mut parts = argument.split(|&b| b == b',').map(octet);
    let mut next = || parts.next().flatten().ok_or(AddressError::Malformed);
    let address = Ipv4Addr::new(next()?, next()?, next()?, next()?);
    let port = u16::from_be_bytes([next()?, next()?]);
    match parts.next() {
        None => Ok(SocketAddrV4::new(address, port)),
        Some(_) => Err(AddressError::Malformed),
    }
}

/// Reads the argument of EPRT, `|protocol|address|port|` with any delimiter (RFC 2428 §2).
///
/// # Errors
/// Anything else, or a protocol that is not 1 or 2.
pub fn parse_eprt(argument: &[u8]) -> Result<SocketAddr, AddressError> {
    let delimiter = delimiter(argument).ok_or(AddressError::Malformed)?;
    let mut parts = argument.split(|&b| b == delimiter).skip(1);
    let mut next = || parts.next().ok_or(AddressError::Malformed);
    let (protocol, address, port) = (next()?, next()?, next()?);
    if next()? != b"" || parts.next().is_some() {
        return Err(AddressError::Malformed);
    }
    let port = port_number(port).ok_or(AddressError::Malformed)?;
    match decimal(protocol).ok_or(AddressError::Malformed)? {
        1 => Ok((parse_ip::<Ipv4Addr>(address)?, port).into()),
        2 => Ok((parse_ip::<Ipv6Addr>(address)?, port).into()),
        _ => Err(AddressError::UnknownProtocol),
    }
}

/// Finds the address in the text of a 227 reply: the first six numbers between commas, blanks
/// around them allowed, parentheses not needed (RFC 1123 §4.1.2.6). A number above 255 is no address.
#[must_use]
pub fn find_227(text: &[u8]) -> Option<Spanned<SocketAddrV4>> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.iter().position(u8::is_ascii_digit)?;
        if let Some(found) = six_numbers(text, start) {
            return Some(found);
        }
        let run = text.get(start..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        from = start + run;
    }
}

/// Finds the port in the text of a 229 reply, `(|||port|)` (RFC 2428 §3). Also read are, since
/// servers send them: other delimiters, no parentheses, two bars, a protocol and an address.
#[must_use]
pub fn find_229(text: &[u8]) -> Option<Spanned<Extended>> {
    let (start, end) = match text.iter().rposition(|&b| b == b'(') {
        Some(open) => {
            let rest = text.get(open + 1..)?;
            let length = rest.iter().position(|&b| b == b')').unwrap_or(rest.len());
            (open + 1, open + 1 + length)
        }
        None => {
            let start = text.iter().position(|b| b"|!".contains(b))?;
            (start, start + text.get(start..)?.iter().rposition(|b| b"|!".contains(b))? + 1)
        }
    };
    let notation = text.get(start..end)?;
    let delimiter = delimiter(notation)?;
    let inner = notation.strip_prefix(&[delimiter])?;
    let inner = inner.strip_suffix(&[delimiter]).unwrap_or(inner);
    let mut parts = inner.rsplit(|&b| b == delimiter);
    let port = port_number(parts.next()?).filter(|&port| port != 0)?;
    let address = parts.next().and_then(|text| parse_ip::<IpAddr>(text).ok());
    Some(Spanned { value: Extended { port, address }, span: start..end })
}

/// Writes the argument of PORT.
#[must_use]
pub fn format_port(address: SocketAddrV4) -> String {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    alloc::format!("{a},{b},{c},{d},{high},{low}")
}

/// Writes the argument of EPRT. An IPv4 address mapped into IPv6 is written as IPv4.
#[must_use]
pub fn format_eprt(address: SocketAddr) -> String {
    let ip = address.ip().to_canonical();
    alloc::format!("|{}|{ip}|{}|", Family::of(ip).number(), address.port())
}

/// Writes the text of a 227 reply in the one wording that the boxes in the network know.
#[must_use]
pub fn format_227(address: SocketAddrV4) -> Text {
    let ([a, b, c, d], [high, low]) = (address.ip().octets(), address.port().to_be_bytes());
    format_args!("Entering Passive Mode ({a},{b},{c},{d},{high},{low}).").into()
}

/// Writes the text of a 229 reply in the one wording that the boxes in the network know.
#[must_use]
pub fn format_229(port: u16) -> Text {
    format_args!("Entering Extended Passive Mode (|||{port}|)").into()
}

/// RFC 2428 §2: any printable character may delimit, a digit would be ambiguous.
fn delimiter(notation: &[u8]) -> Option<u8> {
    notation.first().copied().filter(|b| b.is_ascii_graphic() && !b.is_ascii_digit())
}

fn parse_ip<T: core::str::FromStr>(text: &[u8]) -> Result<T, AddressError> {
    let text = core::str::from_utf8(text).map_err(|_| AddressError::Malformed)?;
    text.parse().map_err(|_| AddressError::Malformed)
}

fn port_number(text: &[u8]) -> Option<u16> {
    decimal(text).and_then(|number| u16::try_from(number).ok())
}

fn octet(text: &[u8]) -> Option<u8> {
    decimal(text).and_then(|number| u8::try_from(number).ok())
}

fn six_numbers(text: &[u8], start: usize) -> Option<Spanned<SocketAddrV4>> {
    let mut octets = [0_u8; 6];
    let mut at = start;
    for (index, slot) in octets.iter_mut().enumerate() {
        if index > 0 {
            at += blanks(text, at);
            (text.get(at) == Some(&b',')).then_some(())?;
            at += 1;
            at += blanks(text, at);
        }
        let rest = text.get(at..)?;
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        *slot = octet(rest.get(..digits)?)?;
        at += digits;
    }
    let [a, b, c, d, high, low] = octets;
    let port = u16::from_be_bytes([high, low]);
    Some(Spanned { value: SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port), span: start..at })
}

fn blanks(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|b| **b == b' ').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_and_eprt_come_back_as_written() {
        let v4: SocketAddrV4 = "192.0.2.7:50021".parse().unwrap();
        assert_eq!(format_port(v4), "192,0,2,7,195,101");
        assert_eq!(parse_port(b"192,0,2,7,195,101"), Ok(v4));
        assert_eq!(format_eprt(v4.into()), "|1|192.0.2.7|50021|");
        assert_eq!(parse_eprt(b"|1|192.0.2.7|50021|"), Ok(v4.into()));
        let v6: SocketAddr = "[2001:db8::7]:50021".parse().unwrap();
        assert_eq!(format_eprt(v6), "|2|2001:db8::7|50021|");
        assert_eq!(parse_eprt(b"!2!2001:db8::7!50021!"), Ok(v6));
    }

    #[test]
    fn malformed_arguments() {
        for bad in [
            "127,0,0,1,1.1",
            "X,0,0,1,1,1",
            "127,0,0,1,1,1,1",
            "127,0,0,1",
            "256,0,0,1,1,1",
            "127,0,0,1,256,1",
            "127,0,0,1,-1,0",
            "",
            "(127,0,0,1,1,1)",
            "127,0,0,1,1, 1",
        ] {
            assert_eq!(parse_port(bad.as_bytes()), Err(AddressError::Malformed), "{bad}");
        }
        for bad in [
            "||||",
            "||",
            "|1|127.0.0.1|65536|",
            "|1|127.0.0.1|-1|",
            "|1|1.2.3.4.5|2048|",
            "|1|1.2.3.256|2048|",
            "|1|::1|2048|",
            "1192.0.2.7150021",
            "|x|1.2.3.4|1|",
            "",
            "|1|1.2.3.4|1",
            "|1|1.2.3.4|1||",
        ] {
            assert_eq!(parse_eprt(bad.as_bytes()), Err(AddressError::Malformed), "{bad}");
        }
        assert_eq!(parse_eprt(b"|3|1.2.3.4|2048|"), Err(AddressError::UnknownProtocol));
    }

    #[test]
    fn the_227_of_many_servers() {
        let address: SocketAddrV4 = "10.0.0.1:50021".parse().unwrap();
        for text in [
            "Entering Passive Mode (10,0,0,1,195,101).",
            "=10,0,0,1,195,101",
            "Entering Passive Mode 10,0,0,1,195,101",
            "in 2 steps (10, 0, 0, 1, 195, 101)",
            "(010,000,000,001,195,101)",
        ] {
            let found = find_227(text.as_bytes()).unwrap();
            assert_eq!(found.value, address, "{text}");
            assert!(text[found.span].starts_with(['1', '0']) && text.contains("195"));
        }
        assert_eq!(find_227(b"(300,0,0,1,195,101)"), None);
        assert_eq!(find_227(b"Entering Passive Mode"), None);
        assert_eq!(find_227(b"(10,0,0,1,195)"), None);
    }

    #[test]
    fn the_229_of_many_servers() {
        for text in [
            "Entering Extended Passive Mode (|||50021|)",
            "(!!!50021!)",
            "ok |||50021|",
            "(||50021|)",
            "(|1|10.0.0.1|50021|)",
            "mode (see |) (|||50021|)",
            "(|||50021)",
        ] {
            assert_eq!(find_229(text.as_bytes()).unwrap().value.port, 50021, "{text}");
        }
        let with_address = find_229(b"(|1|10.0.0.1|50021|)").unwrap();
        assert_eq!(with_address.value.address, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(with_address.span, 1..19);
        for bad in ["(|||65536|)", "(|||0|)", "(||||)", "()", "nothing", "(|||x|)"] {
            assert_eq!(find_229(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_what_helpers_look_for() {
        let address: SocketAddrV4 = "10.0.0.1:50021".parse().unwrap();
        assert_eq!(*format_227(address), *b"Entering Passive Mode (10,0,0,1,195,101).");
        assert_eq!(*format_229(50021), *b"Entering Extended Passive Mode (|||50021|)");
    }
}
