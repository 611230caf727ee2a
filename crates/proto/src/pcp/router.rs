//! The router's side of PCP (RFC 6887) and NAT-PMP (RFC 6886): requests read, answers written.
//!
//! TCP only. Whether a port is given to a host is the caller's matter.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::filter::{self, Change};
use super::{ANSWER, FILTER, LONGEST, MAP, Nonce, PEER, PREFER_FAILURE, TCP, wide};

/// What a host asks of its router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// PCP: is there anybody?
    Announce,
    /// NAT-PMP: which is the outer address?
    Address,
    /// A port that connections from outside shall reach, from those who may.
    Map(Wanted, Vec<Change>),
    /// A port from which this peer is reached, and which it reaches (RFC 6887 §12).
    Peer(Wanted, SocketAddr),
}

/// The port of a [`Request::Map`] or a [`Request::Peer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The host's own port.
    pub internal: u16,
    /// The outer port that would be best; 0 for any.
    pub external: u16,
    /// Whether no other outer port will do (RFC 6887 §13.2).
    pub no_other: bool,
    /// For how many seconds; 0 ends it.
    pub lifetime: u32,
    /// Its name; NAT-PMP knows none.
    pub nonce: Option<Nonce>,
}

/// Why not, as RFC 6887 §7.4 numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the RFC has their meaning")]
#[repr(u8)]
pub enum Refusal {
    UnsupportedVersion = 1,
    NotAuthorised = 2,
    Malformed = 3,
    UnsupportedOpcode = 4,
    UnsupportedOption = 5,
    MalformedOption = 6,
    NetworkFailure = 7,
    UnsupportedProtocol = 9,
    OverQuota = 10,
    ExternalTaken = 11,
    AddressMismatch = 12,
    ExcessivePeers = 13,
}

/// What a router answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is here.
    Announced,
    /// The outer address.
    Address(Ipv4Addr),
    /// The port is mapped, or for no time is not any more.
    Mapped {
        /// The outer port.
        external: u16,
        /// The outer address.
        address: IpAddr,
        /// For how many seconds.
        lifetime: u32,
    },
    /// No.
    Refused(Refusal),
}

/// Options that may be passed over have this bit (RFC 6887 §7.3).
const OPTIONAL: u8 = 0x80;

/// How long a refusal holds, in seconds. Origin: RFC 6887 §7.4 suggests 30 minutes for what does not
/// change and 30 seconds for what may.
const FOR_LONG: u32 = 1800;
const FOR_NOW: u32 = 30;

/// Reads a request that came from `source`. None: it is none, and is passed over (RFC 6887 §8.2).
///
/// # Errors
/// It is one, but cannot be granted.
#[must_use]
pub fn read(bytes: &[u8], source: IpAddr) -> Option<Result<Request, Refusal>> {
    match *bytes.first_chunk::<2>()? {
        [_, opcode] if opcode & ANSWER != 0 => None,
        [0, opcode] => Some(nat_pmp(opcode, bytes)),
        [2, opcode] => (bytes.len() >= 24).then(|| pcp(opcode, bytes, source)),
        _ => Some(Err(Refusal::UnsupportedVersion)),
    }
}

/// RFC 6886 §3.2 and §3.3.
fn nat_pmp(opcode: u8, bytes: &[u8]) -> Result<Request, Refusal> {
    match (opcode, bytes.get(4..12)) {
        (0, _) => Ok(Request::Address),
        (1, _) => Err(Refusal::UnsupportedProtocol),
        (2, Some(&[i, j, e, f, a, b, c, d])) => {
            let wanted = Wanted {
                internal: u16::from_be_bytes([i, j]),
                external: u16::from_be_bytes([e, f]),
                no_other: false,
                lifetime: u32::from_be_bytes([a, b, c, d]),
                nonce: None,
            };
            Ok(Request::Map(wanted, Vec::new()))
        }
        (2, _) => Err(Refusal::Malformed),
        _ => Err(Refusal::UnsupportedOpcode),
    }
}

/// RFC 6887 §7.1, §8.2, §11.1 and §12.1.
fn pcp(opcode: u8, bytes: &[u8], source: IpAddr) -> Result<Request, Refusal> {
    if bytes.len() > LONGEST || !bytes.len().is_multiple_of(4) {
        return Err(Refusal::Malformed);
    }
    let (head, body) = bytes.split_first_chunk::<24>().ok_or(Refusal::Malformed)?;
    let &[_, _, _, _, a, b, c, d, ref client @ ..] = head;
    if Ipv6Addr::from(*client) != wide(source.to_canonical()) {
        return Err(Refusal::AddressMismatch);
    }
    match opcode {
        0 => return options(body, opcode, source).map(|_| Request::Announce),
        MAP | PEER => {}
        _ => return Err(Refusal::UnsupportedOpcode),
    }
    let (nonce, body) = body.split_first_chunk::<12>().ok_or(Refusal::Malformed)?;
    let (ports, body) = body.split_first_chunk::<24>().ok_or(Refusal::Malformed)?;
    let &[protocol, _, _, _, i, j, e, f, ..] = ports;
    let (peer, body) = match opcode {
        PEER => {
            let (peer, body) = body.split_first_chunk::<20>().ok_or(Refusal::Malformed)?;
            (Some(remote(peer, source)?), body)
        }
        _ => (None, body),
    };
    let (no_other, changes) = options(body, opcode, source)?;
    let internal = u16::from_be_bytes([i, j]);
    if protocol != TCP || internal == 0 {
        return Err(Refusal::UnsupportedProtocol);
    }
    let (external, lifetime) = (u16::from_be_bytes([e, f]), u32::from_be_bytes([a, b, c, d]));
    let wanted = Wanted { internal, external, no_other, lifetime, nonce: Some(*nonce) };
    Ok(match peer {
        Some(peer) => Request::Peer(wanted, peer),
        None => Request::Map(wanted, changes),
    })
}

/// The remote peer of PEER: somebody of the host's own family.
fn remote(
    &[high, low, _, _, ref address @ ..]: &[u8; 20],
    source: IpAddr,
) -> Result<SocketAddr, Refusal> {
    let address = IpAddr::from(*address).to_canonical();
    let port = u16::from_be_bytes([high, low]);
    let is_nobody = address.is_unspecified() || address.is_multicast() || address.is_loopback();
    if port == 0 || is_nobody || address.is_ipv4() != source.to_canonical().is_ipv4() {
        return Err(Refusal::Malformed);
    }
    Ok(SocketAddr::new(address, port))
}

/// Whether `PREFER_FAILURE` is among them, and what is said by `FILTER`; another that must be
/// understood, or has no place here, is refused.
fn options(mut rest: &[u8], opcode: u8, source: IpAddr) -> Result<(bool, Vec<Change>), Refusal> {
    let (mut no_other, mut changes) = (false, Vec::new());
    while let Some((&[code, _, high, low], behind)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let content = behind.get(..length).ok_or(Refusal::Malformed)?;
        rest = behind.get(length.next_multiple_of(4)..).ok_or(Refusal::Malformed)?;
        match (code, opcode) {
            (PREFER_FAILURE, MAP) if no_other || length != 0 => {
                return Err(Refusal::MalformedOption);
            }
            (PREFER_FAILURE, MAP) => no_other = true,
            (FILTER, MAP) => {
                let change = filter::read(content, source.to_canonical());
                changes.push(change.ok_or(Refusal::MalformedOption)?);
            }
            (code, _) if code & OPTIONAL != 0 => {}
            _ => return Err(Refusal::UnsupportedOption),
        }
    }
    Ok((no_other, changes))
}

/// Writes the answer to a request, `epoch` seconds after the router has forgotten all it knew.
#[must_use]
pub fn answer(request: &[u8], outcome: Outcome, epoch: u32) -> Vec<u8> {
    match request.first() {
        Some(0) => by_nat_pmp(request, outcome, epoch),
        _ => by_pcp(request, outcome, epoch),
    }
}

/// RFC 6886 §3.2, §3.3 and §3.5.
fn by_nat_pmp(request: &[u8], outcome: Outcome, epoch: u32) -> Vec<u8> {
    let result: u16 = match outcome {
        Outcome::Refused(Refusal::UnsupportedVersion) => 1,
        Outcome::Refused(Refusal::NetworkFailure) => 3,
        Outcome::Refused(Refusal::OverQuota | Refusal::ExternalTaken) => 4,
        Outcome::Refused(Refusal::UnsupportedOpcode | Refusal::UnsupportedProtocol) => 5,
        Outcome::Refused(_) => 2,
        _ => 0,
    };
    let opcode = request.get(1).copied().unwrap_or_default() | ANSWER;
    let mut message = Vec::from([0, opcode]);
    message.extend(result.to_be_bytes());
    message.extend(epoch.to_be_bytes());
    match outcome {
        Outcome::Address(address) => message.extend(address.octets()),
        Outcome::Mapped { external, lifetime, .. } => {
            message.extend(request.get(4..6).unwrap_or_default());
            // RFC 6886 §3.4: no outer port once it is ended.
            let external = if lifetime == 0 { 0 } else { external };
            message.extend(external.to_be_bytes());
            message.extend(lifetime.to_be_bytes());
        }
        Outcome::Announced => {}
        // Zeros where a granted one has its numbers.
        Outcome::Refused(_) => message.extend([0; 8]),
    }
    message
}

/// RFC 6887 §7.2, §11.1 and §12.1, which begin alike.
fn by_pcp(request: &[u8], outcome: Outcome, epoch: u32) -> Vec<u8> {
    let (result, lifetime) = match outcome {
        Outcome::Announced | Outcome::Address(_) => (0, 0),
        Outcome::Mapped { lifetime, .. } => (0, lifetime),
        Outcome::Refused(
            refusal @ (Refusal::NetworkFailure
            | Refusal::ExternalTaken
            | Refusal::OverQuota
            | Refusal::ExcessivePeers),
        ) => (refusal as u8, FOR_NOW),
        Outcome::Refused(refusal) => (refusal as u8, FOR_LONG),
    };
    let mut message =
        Vec::from([2, request.get(1).copied().unwrap_or_default() | ANSWER, 0, result]);
    message.extend(lifetime.to_be_bytes());
    message.extend(epoch.to_be_bytes());
    message.extend([0; 12]);
    let body = request.get(24..).unwrap_or_default();
    message.extend(body);
    if let Outcome::Mapped { external, address, .. } = outcome
        && let Some(place) = message.get_mut(42..60)
    {
        let said = external.to_be_bytes().into_iter().chain(wide(address).octets());
        place.iter_mut().zip(said).for_each(|(place, byte)| *place = byte);
    }
    message.truncate(LONGEST);
    message
}

#[cfg(test)]
mod tests {
    use super::super::{
        Answer, Wish, address_by_nat_pmp, announce, map, map_by_nat_pmp, map_from, parse, peer,
    };
    use super::*;
    use crate::pcp::filter::Filter;

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10));
    const OUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
    const WISH: Wish = Wish {
        client: HOST,
        internal: 50_000,
        external: 50_001,
        lifetime: 120,
        nonce: *b"abcdefghijkl",
    };

    #[test]
    fn what_a_client_writes_a_router_reads_and_the_other_way() {
        let by_pcp = map(&WISH);
        let wanted = Wanted {
            internal: 50_000,
            external: 50_001,
            no_other: false,
            lifetime: 120,
            nonce: Some(WISH.nonce),
        };
        assert_eq!(read(&by_pcp, HOST), Some(Ok(Request::Map(wanted, Vec::new()))));
        let old = map_by_nat_pmp(&WISH);
        assert_eq!(
            read(&old, HOST),
            Some(Ok(Request::Map(Wanted { nonce: None, ..wanted }, Vec::new())))
        );
        assert_eq!(read(&announce(HOST), HOST), Some(Ok(Request::Announce)));
        assert_eq!(read(&address_by_nat_pmp(), HOST), Some(Ok(Request::Address)));

        let granted = Outcome::Mapped { external: 40_000, address: OUTER.into(), lifetime: 60 };
        let told = |address, nonce| {
            Some(Answer::Mapped {
                internal: 50_000,
                external: 40_000,
                address,
                lifetime: 60,
                nonce,
            })
        };
        let address = Some(OUTER.into());
        assert_eq!(parse(&answer(&by_pcp, granted, 7)), told(address, Some(WISH.nonce)));
        assert_eq!(parse(&answer(&old, granted, 7)), told(None, None));
        let refused = Outcome::Refused(Refusal::OverQuota);
        assert_eq!(parse(&answer(&by_pcp, refused, 7)), Some(Answer::Refused(10)));
        assert_eq!(parse(&answer(&old, refused, 7)), Some(Answer::Refused(4)));
        assert_eq!(parse(&answer(&announce(HOST), Outcome::Announced, 7)), Some(Answer::Announced));
        let outer = answer(&address_by_nat_pmp(), Outcome::Address(OUTER), 7);
        assert_eq!(parse(&outer), Some(Answer::Address(OUTER)));
    }

    #[test]
    fn requests_that_cannot_be_granted_are_told_from_noise() {
        let good = map(&WISH);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            read(&bytes, HOST)
        };
        assert_eq!(with(0, 1), Some(Err(Refusal::UnsupportedVersion)));
        assert_eq!(with(1, 3), Some(Err(Refusal::UnsupportedOpcode)));
        assert_eq!(with(1, 2), Some(Err(Refusal::Malformed)), "PEER is longer");
        assert_eq!(with(1, 0x81), None, "an answer");
        assert_eq!(with(23, 11), Some(Err(Refusal::AddressMismatch)));
        assert_eq!(with(36, 17), Some(Err(Refusal::UnsupportedProtocol)));
        assert_eq!(read(&good[..58], HOST), Some(Err(Refusal::Malformed)));
        assert_eq!(read(&good[..40], HOST), Some(Err(Refusal::Malformed)));
        assert_eq!(read(&good[..20], HOST), None);
        assert_eq!(read(&[], HOST), None);
        let option = |code: u8| read(&[&good[..], &[code, 0, 0, 0]].concat(), HOST);
        assert_eq!(option(1), Some(Err(Refusal::UnsupportedOption)));
        assert!(matches!(option(2), Some(Ok(Request::Map(Wanted { no_other: true, .. }, _)))));
        assert!(matches!(option(200), Some(Ok(Request::Map(Wanted { no_other: false, .. }, _)))));
        assert_eq!(option(3), Some(Err(Refusal::MalformedOption)), "a FILTER without content");
        let twice = [&good[..], &[2, 0, 0, 0, 2, 0, 0, 0]].concat();
        assert_eq!(read(&twice, HOST), Some(Err(Refusal::MalformedOption)));
        let cut = [&good[..], &[2, 0, 0, 8]].concat();
        assert_eq!(read(&cut, HOST), Some(Err(Refusal::Malformed)));
        assert_eq!(read(&[0, 1, 0, 0], HOST), Some(Err(Refusal::UnsupportedProtocol)));
        assert_eq!(read(&[0, 2, 0, 0], HOST), Some(Err(Refusal::Malformed)));
    }

    #[test]
    fn peers_and_filters_are_read_as_they_were_written() {
        for (client, from) in [("10.0.0.10", "192.0.2.1"), ("2001:db8::10", "2001:db8:1::1")] {
            let [client, from]: [IpAddr; 2] = [client, from].map(|ip| ip.parse().unwrap());
            let wish = Wish { client, ..WISH };
            let filtered = map_from(&wish, &Filter::host(from));
            let Some(Ok(Request::Map(wanted, changes))) = read(&filtered, client) else { panic!() };
            assert_eq!(changes, [Change::Add(Filter::host(from))]);
            let to = SocketAddr::new(from, 21);
            let asked = peer(&wish, to);
            assert_eq!(read(&asked, client), Some(Ok(Request::Peer(wanted, to))));
            let granted = Outcome::Mapped { external: 40_000, address: from, lifetime: 60 };
            let told = parse(&answer(&asked, granted, 7));
            assert!(matches!(told, Some(Answer::Mapped { external: 40_000, .. })), "{told:?}");
            // It can be no MAP's option, and is for somebody.
            let prefer = [&asked[..], &[2, 0, 0, 0]].concat();
            assert_eq!(read(&prefer, client), Some(Err(Refusal::UnsupportedOption)));
            for wrong in [SocketAddr::new(from, 0), "0.0.0.0:21".parse().unwrap()] {
                assert_eq!(read(&peer(&wish, wrong), client), Some(Err(Refusal::Malformed)));
            }
        }
    }
}
