//! Listening sockets.
//!
//! Who is let in is decided elsewhere.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Listens at an address; an IPv6 one takes no IPv4. The kernel keeps `backlog` connections until
/// they are accepted.
///
/// # Errors
/// What the system says, with the address.
pub fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let bound = || {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        TcpListener::from_std(socket.into())
    };
    bound().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen at {address}: {error}"))
    })
}
