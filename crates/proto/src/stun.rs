//! STUN's binding request and its answer (RFC 5389): under which address a host is seen from outside.
//!
//! Nothing else of STUN; when to repeat a request, and whom to ask, is the caller's matter.

use core::net::{IpAddr, SocketAddr};

/// The port of STUN servers (RFC 5389 §9).
pub const PORT: u16 = 3478;

/// RFC 5389 §6.
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();

/// What ties an answer to its request.
pub type Transaction = [u8; 12];

/// A binding request (RFC 5389 §7.1).
#[must_use]
pub fn request(transaction: Transaction) -> [u8; 20] {
    let mut message = [0; 20];
    let parts = [0, 1, 0, 0].into_iter().chain(COOKIE).chain(transaction);
    message.iter_mut().zip(parts).for_each(|(place, byte)| *place = byte);
    message
}

/// The address in the answer to a request. `None`: it is no answer to it.
#[must_use]
pub fn parse(bytes: &[u8], transaction: Transaction) -> Option<SocketAddr> {
    let (&[1, 1, high, low, c, d, e, f], rest) = bytes.split_first_chunk::<8>()? else {
        return None;
    };
    let (id, attributes) = rest.split_first_chunk::<12>()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let mut attributes = attributes.get(..length)?;
    if [c, d, e, f] != COOKIE || *id != transaction {
        return None;
    }
    let mut plain = None;
    while let Some((&[a, b, g, h], rest)) = attributes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([g, h]));
        let value = rest.get(..length)?;
        match u16::from_be_bytes([a, b]) {
            0x0020 => return address(value).map(|found| uncover(found, transaction)),
            // Servers of RFC 3489 know this one only; NATs that rewrite addresses in it were the
            // reason for the other.
            0x0001 => plain = plain.or_else(|| address(value)),
            _ => {}
        }
        attributes = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    plain
}

/// RFC 5389 §15.1.
fn address(value: &[u8]) -> Option<SocketAddr> {
    let (&[_, family, high, low], rest) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([high, low]);
    let address = match family {
        1 => IpAddr::from(*rest.first_chunk::<4>()?),
        2 => IpAddr::from(*rest.first_chunk::<16>()?),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// RFC 5389 §15.2.
fn uncover(covered: SocketAddr, transaction: Transaction) -> SocketAddr {
    let [a, b, ..] = COOKIE;
    let port = covered.port() ^ u16::from_be_bytes([a, b]);
    let mut mask = COOKIE.into_iter().chain(transaction);
    let mut uncover = |byte: u8| byte ^ mask.next().unwrap_or_default();
    let address = match covered.ip() {
        IpAddr::V4(v4) => IpAddr::from(v4.octets().map(&mut uncover)),
        IpAddr::V6(v6) => IpAddr::from(v6.octets().map(&mut uncover)),
    };
    SocketAddr::new(address, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 §2.2 and §2.3: the samples' transaction and addresses.
    const ID: Transaction =
        [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    #[test]
    fn the_addresses_of_the_sample_answers_are_found() {
        let head = |length: u8| [&[1, 1, 0, length][..], &COOKIE, &ID].concat();
        let software = [0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        let v4 = [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let answer = [&head(20)[..], &software, &v4].concat();
        assert_eq!(parse(&answer, ID), Some("192.0.2.1:32853".parse().unwrap()));
        let v6 = [
            0, 0x20, 0, 20, 0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc,
            0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        let answer6 = [&head(24)[..], &v6].concat();
        let expected = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";
        assert_eq!(parse(&answer6, ID), Some(expected.parse().unwrap()));
        let old = [&head(12)[..], &[0, 1, 0, 8, 0, 1, 0, 21, 192, 0, 2, 7]].concat();
        assert_eq!(parse(&old, ID), Some("192.0.2.7:21".parse().unwrap()));
        assert_eq!(parse(&answer, [0; 12]), None);
        assert_eq!(parse(&request(ID), ID), None);
        for cut in 0..answer.len() {
            assert_eq!(parse(&answer[..cut], ID), None, "{cut}");
        }
    }
}
