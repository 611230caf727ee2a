//! How far the packets of a socket go, and the ICMP errors that the kernel keeps for it.
//!
//! It opens no socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd as _};

use crate::socket::set_number;

/// Drops what comes with less than `hops` left to go, and the ICMP errors about packets of the own
/// that had less left (`IP_MINTTL`, `IPV6_MINHOPCOUNT`): those do not end the connection.
///
/// # Errors
/// What the system says.
pub fn set_least_hops(socket: impl AsFd, is_ipv4: bool, hops: u8) -> io::Result<()> {
    /// From linux/in6.h; the libc crate lacks it.
    const IPV6_MINHOPCOUNT: libc::c_int = 73;
    let (level, name) = match is_ipv4 {
        true => (libc::IPPROTO_IP, libc::IP_MINTTL),
        false => (libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT),
    };
    set_number(socket, level, name, hops.into())
}

/// How far the packets of a socket go (`IP_TTL`, `IPV6_UNICAST_HOPS`).
///
/// # Errors
/// What the system says.
pub fn set_hops(socket: impl AsFd, is_ipv4: bool, hops: u8) -> io::Result<()> {
    let (level, name) = match is_ipv4 {
        true => (libc::IPPROTO_IP, libc::IP_TTL),
        false => (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    };
    set_number(socket, level, name, hops.into())
}

/// Keeps the ICMP errors that concern a socket, for [`take_error`] (`IP_RECVERR`, `IPV6_RECVERR`).
///
/// # Errors
/// What the system says.
pub fn keep_errors(socket: impl AsFd, is_ipv4: bool) -> io::Result<()> {
    let (level, name) = match is_ipv4 {
        true => (libc::IPPROTO_IP, libc::IP_RECVERR),
        false => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    set_number(socket, level, name, 1)
}

/// An ICMP error that came for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Whether a packet had gone as far as it might: the router that it ended at says so.
    pub is_expiry: bool,
    /// Who says it.
    pub from: Option<IpAddr>,
}

/// The next error that the kernel keeps for a socket after [`keep_errors`]; `None` if there is none.
///
/// # Errors
/// What the system says.
pub fn take_error(socket: impl AsFd) -> io::Result<Option<IcmpError>> {
    // Aligned as the headers in it must be. It holds one error and the address behind it.
    let mut control = [0_u64; 32];
    // SAFETY: all zeroes are a valid message header: null pointers with lengths of zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the descriptor is open while `socket` is borrowed; the header points to `control`,
    // which outlives the call and has the length given, and to no other buffer.
    let read = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, flags) };
    if read < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    // SAFETY: recvmsg has filled the header's control buffer and set its length.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !at.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or a whole header inside `control`.
        let header = unsafe { at.read_unaligned() };
        let kind = (header.cmsg_level, header.cmsg_type);
        let is_error = matches!(
            kind,
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        );
        // SAFETY: `at` is a header inside `control`; only its data's address is computed.
        let data = unsafe { libc::CMSG_DATA(at) };
        let length = header.cmsg_len.saturating_sub(data as usize - at as usize);
        if is_error {
            // SAFETY: the kernel put `length` bytes there, inside `control`, which lives and is
            // not written to while the slice does.
            let bytes = unsafe { std::slice::from_raw_parts(data, length) };
            return Ok(icmp_error(bytes));
        }
        // SAFETY: as for CMSG_FIRSTHDR; `at` came from it.
        at = unsafe { libc::CMSG_NXTHDR(&raw const message, at) };
    }
    Ok(None)
}

/// Reads a `struct sock_extended_err` and the `sockaddr` of the offender behind it (linux/errqueue.h):
/// errno (4 bytes), origin, type, code, padding, info (4), data (4), then the address.
fn icmp_error(bytes: &[u8]) -> Option<IcmpError> {
    const LENGTH: usize = size_of::<libc::sock_extended_err>();
    /// Time exceeded: of ICMP (RFC 792) and of ICMPv6 (RFC 4443 §3.3).
    const EXCEEDED: [(u8, u8); 2] = [(libc::SO_EE_ORIGIN_ICMP, 11), (libc::SO_EE_ORIGIN_ICMP6, 3)];
    let (origin, kind) = (*bytes.get(4)?, *bytes.get(5)?);
    let offender = bytes.get(LENGTH..)?;
    let family: [u8; 2] = offender.get(..2)?.try_into().ok()?;
    let from = match libc::c_int::from(u16::from_ne_bytes(family)) {
        libc::AF_INET => {
            let octets: Option<[u8; 4]> = offender.get(4..8).and_then(|b| b.try_into().ok());
            octets.map(|octets| IpAddr::V4(Ipv4Addr::from(octets)))
        }
        libc::AF_INET6 => {
            let octets: Option<[u8; 16]> = offender.get(8..24).and_then(|b| b.try_into().ok());
            octets.map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
        }
        _ => None,
    };
    Some(IcmpError { is_expiry: EXCEEDED.contains(&(origin, kind)), from })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_learns_who_refused_its_packet() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        keep_errors(&socket, true).unwrap();
        set_hops(&socket, true, 1).unwrap();
        set_least_hops(&socket, true, 1).unwrap();
        assert_eq!(take_error(&socket).unwrap(), None);
        // Nobody listens at port 1: the own machine says so.
        socket.connect("127.0.0.1:1").unwrap();
        socket.send(b"x").unwrap();
        let mut errors = std::iter::repeat_with(|| take_error(&socket).unwrap());
        let told = errors.find_map(|error| error).unwrap();
        assert_eq!(told, IcmpError { is_expiry: false, from: "127.0.0.1".parse().ok() });
        let socket = std::net::UdpSocket::bind("[::1]:0").unwrap();
        set_hops(&socket, false, 1).unwrap();
        set_least_hops(&socket, false, 2).unwrap();
        keep_errors(&socket, false).unwrap();
    }

    #[test]
    fn expiries_are_told_from_other_errors() {
        let v4 = |kind: u8| {
            let head = [113, 0, 0, 0, 2, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let family = u16::try_from(libc::AF_INET).unwrap().to_ne_bytes();
            [&head[..], &family, &[0, 0, 192, 0, 2, 1], &[0; 8]].concat()
        };
        let from = "192.0.2.1".parse().ok();
        assert_eq!(icmp_error(&v4(11)), Some(IcmpError { is_expiry: true, from }));
        assert_eq!(icmp_error(&v4(3)), Some(IcmpError { is_expiry: false, from }));
        assert_eq!(icmp_error(&v4(11)[..10]), None);
    }
}
