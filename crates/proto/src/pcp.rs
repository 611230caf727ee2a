//! Messages of PCP (RFC 6887) and its elder NAT-PMP (RFC 6886): how a host asks its router to let
//! connections to one of its ports in.
//!
//! TCP only: here what a client sends and reads; [`router`] has the other side. When to repeat a
//! message, and to whom it goes, is the caller's matter.

pub mod filter;
pub mod router;

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use filter::Filter;

/// The port that routers listen at (RFC 6887 §19.1, RFC 6886 §3).
pub const PORT: u16 = 5351;

/// The longest message (RFC 6887 §7).
pub const LONGEST: usize = 1100;

/// IANA's number for TCP.
const TCP: u8 = 6;

/// The opcodes (RFC 6887 §19.2).
const MAP: u8 = 1;
const PEER: u8 = 2;

/// The options (RFC 6887 §19.4).
const PREFER_FAILURE: u8 = 2;
const FILTER: u8 = 3;

/// The bit of an answer.
const ANSWER: u8 = 0x80;

/// What names a mapping to the router: who does not know it cannot change the mapping (RFC 6887
/// §11.2).
pub type Nonce = [u8; 12];

/// A port that connections from outside shall reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The own address, on which the router insists (RFC 6887 §8.1).
    pub client: IpAddr,
    /// The own port.
    pub internal: u16,
    /// The outer port that would be best; 0 for any.
    pub external: u16,
    /// How many seconds; 0 ends the mapping.
    pub lifetime: u32,
    /// Its name.
    pub nonce: Nonce,
}

/// What a router answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It speaks PCP, and said nothing more.
    Announced,
    /// The outer address (NAT-PMP).
    Address(Ipv4Addr),
    /// The port is mapped.
    Mapped {
        /// The own port.
        internal: u16,
        /// The outer port.
        external: u16,
        /// The outer address; NAT-PMP tells it apart.
        address: Option<IpAddr>,
        /// For how many seconds.
        lifetime: u32,
        /// Its name; NAT-PMP knows none.
        nonce: Option<Nonce>,
    },
    /// It will not, by the number of RFC 6887 §7.4 or RFC 6886 §3.5.
    Refused(u16),
    /// It speaks NAT-PMP only.
    OnlyNatPmp,
}

/// PCP: is there anybody? (RFC 6887 §14.1)
#[must_use]
pub fn announce(client: IpAddr) -> Vec<u8> {
    header(0, 0, client)
}

/// PCP: map a port (RFC 6887 §11.1).
#[must_use]
pub fn map(wish: &Wish) -> Vec<u8> {
    wished(MAP, wish)
}

/// PCP: the same, for connections from some only (RFC 6887 §13.3).
#[must_use]
pub fn map_from(wish: &Wish, from: &Filter) -> Vec<u8> {
    [map(wish), filter::option(from)].concat()
}

/// PCP: keep a port for the way to one peer, and back (RFC 6887 §12.1).
#[must_use]
pub fn peer(wish: &Wish, to: SocketAddr) -> Vec<u8> {
    let mut message = wished(PEER, wish);
    message.extend(to.port().to_be_bytes());
    message.extend([0; 2]);
    message.extend(wide(to.ip()).octets());
    message
}

/// What MAP and PEER have in common.
fn wished(opcode: u8, wish: &Wish) -> Vec<u8> {
    let mut message = header(opcode, wish.lifetime, wish.client);
    message.extend(wish.nonce);
    message.extend([TCP, 0, 0, 0]);
    message.extend(wish.internal.to_be_bytes());
    message.extend(wish.external.to_be_bytes());
    // Any address, in the family that is wanted (RFC 6887 §5).
    let any = match wish.client.to_canonical() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED,
    };
    message.extend(any.octets());
    message
}

fn header(opcode: u8, lifetime: u32, client: IpAddr) -> Vec<u8> {
    let mut message = Vec::from([2, opcode, 0, 0]);
    message.extend(lifetime.to_be_bytes());
    message.extend(wide(client).octets());
    message
}

const fn wide(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// NAT-PMP: what is the outer address? (RFC 6886 §3.2)
#[must_use]
pub const fn address_by_nat_pmp() -> [u8; 2] {
    [0, 0]
}

/// NAT-PMP: map a port (RFC 6886 §3.3), or end it, which may name no outer port (§3.4).
#[must_use]
pub fn map_by_nat_pmp(wish: &Wish) -> Vec<u8> {
    let external = if wish.lifetime == 0 { 0 } else { wish.external };
    let mut message = Vec::from([0, 2, 0, 0]);
    message.extend(wish.internal.to_be_bytes());
    message.extend(external.to_be_bytes());
    message.extend(wish.lifetime.to_be_bytes());
    message
}

/// Reads an answer. `None`: it is none, and is passed over.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Answer> {
    match *bytes.first_chunk()? {
        [2, opcode] if opcode & ANSWER != 0 => pcp(opcode & !ANSWER, bytes),
        [0, opcode] if opcode & ANSWER != 0 => nat_pmp(opcode & !ANSWER, bytes),
        _ => None,
    }
}

/// RFC 6887 §7.2 and §11.1.
fn pcp(opcode: u8, bytes: &[u8]) -> Option<Answer> {
    let (head, body) = bytes.split_first_chunk::<24>()?;
    let &[_, _, _, result, a, b, c, d, ..] = head;
    match (result, opcode) {
        (1, _) => return Some(Answer::OnlyNatPmp),
        (0, 0) => return Some(Answer::Announced),
        (0, MAP | PEER) => {}
        (0, _) => return None,
        // A router that knows no ANNOUNCE is a router all the same.
        (_, 0) => return Some(Answer::Announced),
        (result, _) => return Some(Answer::Refused(result.into())),
    }
    let (nonce, body) = body.split_first_chunk::<12>()?;
    let (&[protocol, _, _, _, i, j, e, f], body) = body.split_first_chunk::<8>()?;
    let address: [u8; 16] = *body.first_chunk()?;
    (protocol == TCP).then(|| Answer::Mapped {
        internal: u16::from_be_bytes([i, j]),
        external: u16::from_be_bytes([e, f]),
        address: Some(IpAddr::from(address).to_canonical()),
        lifetime: u32::from_be_bytes([a, b, c, d]),
        nonce: Some(*nonce),
    })
}

/// RFC 6886 §3.2, §3.3 and §3.5.
fn nat_pmp(opcode: u8, bytes: &[u8]) -> Option<Answer> {
    let &[_, _, high, low, ..] = bytes.first_chunk::<8>()?;
    let result = u16::from_be_bytes([high, low]);
    // What a router of NAT-PMP alone says to PCP (RFC 6887 §9): its version is not ours.
    if result == 1 {
        return Some(Answer::OnlyNatPmp);
    }
    if result != 0 {
        return Some(Answer::Refused(result));
    }
    let body = bytes.get(8..)?;
    match opcode {
        0 => Some(Answer::Address((*body.first_chunk::<4>()?).into())),
        2 => {
            let &[i, j, e, f, a, b, c, d] = body.first_chunk()?;
            Some(Answer::Mapped {
                internal: u16::from_be_bytes([i, j]),
                external: u16::from_be_bytes([e, f]),
                address: None,
                lifetime: u32::from_be_bytes([a, b, c, d]),
                nonce: None,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: Wish = Wish {
        client: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10)),
        internal: 50_000,
        external: 50_001,
        lifetime: 120,
        nonce: *b"abcdefghijkl",
    };

    #[test]
    fn requests_are_laid_out_as_the_rfcs_have_them() {
        let pcp = map(&WISH);
        assert_eq!(pcp.len(), 60);
        assert_eq!(pcp[..8], [2, 1, 0, 0, 0, 0, 0, 120]);
        assert_eq!(pcp[18..24], [0xff, 0xff, 10, 0, 0, 10]);
        assert_eq!(&pcp[24..36], b"abcdefghijkl");
        assert_eq!(pcp[36..44], [6, 0, 0, 0, 0xc3, 0x50, 0xc3, 0x51]);
        assert_eq!(announce(WISH.client).len(), 24);
        let old = [0, 2, 0, 0, 0xc3, 0x50, 0xc3, 0x51, 0, 0, 0, 120];
        assert_eq!(map_by_nat_pmp(&WISH), old);
        assert_eq!(map_by_nat_pmp(&Wish { lifetime: 0, ..WISH })[6..], [0; 6]);
    }

    #[test]
    fn answers_are_read_and_noise_is_not() {
        let mut pcp = map(&WISH);
        pcp[1] |= ANSWER;
        pcp[44..].copy_from_slice(&Ipv4Addr::new(203, 0, 113, 10).to_ipv6_mapped().octets());
        let answer = Answer::Mapped {
            internal: 50_000,
            external: 50_001,
            address: Some("203.0.113.10".parse().unwrap()),
            lifetime: 120,
            nonce: Some(*b"abcdefghijkl"),
        };
        assert_eq!(parse(&pcp), Some(answer));
        for cut in 0..pcp.len() {
            assert_eq!(parse(&pcp[..cut]), None, "{cut}");
        }
        pcp[3] = 2;
        assert_eq!(parse(&pcp), Some(Answer::Refused(2)));
        assert_eq!(parse(&map(&WISH)), None);
        let address = [0, 128, 0, 0, 0, 0, 0, 9, 203, 0, 113, 10];
        assert_eq!(parse(&address), Some(Answer::Address(Ipv4Addr::new(203, 0, 113, 10))));
        let mapped = [0, 130, 0, 0, 0, 0, 0, 9, 0xc3, 0x50, 0xc3, 0x51, 0, 0, 0, 60];
        assert!(matches!(parse(&mapped), Some(Answer::Mapped { lifetime: 60, .. })));
        assert_eq!(parse(&[0, 128, 0, 1, 0, 0, 0, 9]), Some(Answer::OnlyNatPmp));
        assert_eq!(parse(&[0, 130, 0, 3, 0, 0, 0, 9]), Some(Answer::Refused(3)));
    }
}
