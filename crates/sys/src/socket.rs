//! Socket options that no library offers safely.
//!
//! It opens no socket.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _};

/// Lets `connect` choose the port of a socket bound to port 0 (`IP_BIND_ADDRESS_NO_PORT`, IPv4 and
/// IPv6 alike): the kernel then needs a port that is free towards one target, not towards all.
///
/// # Errors
/// What the system says.
pub fn choose_port_at_connect(socket: impl AsFd) -> io::Result<()> {
    set_number(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
}

/// Wakes who waits for data only when so many bytes are there, or the end (`SO_RCVLOWAT`).
///
/// # Errors
/// What the system says.
pub fn set_low_water(socket: impl AsFd, bytes: u32) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set_number(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, bytes)
}

/// The smoothed round trip of a TCP connection in microseconds (`TCP_INFO`).
///
/// # Errors
/// It is no TCP connection.
pub fn round_trip(socket: impl AsFd) -> io::Result<u32> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let size = size_of::<libc::tcp_info>();
    let mut length = libc::socklen_t::try_from(size).unwrap_or_default();
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the kernel writes at most
    // `length` bytes, which is the size of `info`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was zeroed before, and numbers of any bits are valid.
    Ok(unsafe { info.assume_init() }.tcpi_rtt)
}

pub(crate) fn set_number(
    socket: impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    number: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the value is a C int
    // of the size given, read before the call returns.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, (&raw const number).cast(), 4)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_option_is_taken_by_a_tcp_socket_and_refused_by_a_file() {
        choose_port_at_connect(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        assert!(choose_port_at_connect(std::fs::File::open("/dev/null").unwrap()).is_err());
    }

    #[test]
    fn a_connection_has_a_round_trip_and_takes_a_low_water_mark() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        set_low_water(&socket, 256 * 1024).unwrap();
        assert!(round_trip(&socket).unwrap() < 1_000_000);
        assert!(round_trip(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
