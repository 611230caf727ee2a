//! Socket options that no library offers safely.
//!
//! It opens no socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// Lets `connect` choose the port of a socket bound to port 0 (`IP_BIND_ADDRESS_NO_PORT`, IPv4 and
/// IPv6 alike): the kernel then needs a port that is free towards one target, not towards all.
///
/// # Errors
/// What the system says.
pub fn choose_port_at_connect(socket: impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the value is a C int
    // of the size given, read before the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            4,
        )
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
}
