//! The way of files in clear: their pages go between page cache and socket, and no byte through this
//! process.
//!
//! It is for files that are sent and stored as they are. Errors of storage are left to the way of
//! chunks to find again and name.

mod receive;
mod send;

pub(super) use receive::{receive, receive_fresh};
pub use send::{Begun, SHORT};
pub(super) use send::{begin, go_on};

use std::io;
use std::net::TcpStream as Socket;
use std::os::fd::AsFd;

use tokio::net::TcpStream;
use twoport_sys::socket;

/// Below which round trip a peer is near: in the same host or rack.
const NEAR: u32 = 1000;

/// How a turn ended.
enum End {
    /// The data ended.
    Whole,
    /// The peer does not keep up, or the turn is over.
    Waits,
    /// The file cannot be spliced, or failed.
    File,
    /// The connection failed.
    Socket(rustix::io::Errno),
    /// Somebody ended it.
    Cancelled,
}

/// Takes a connection out of the runtime, which would be woken by every segment.
fn out_of_runtime(tcp: TcpStream) -> io::Result<Socket> {
    tcp.into_std()
}

/// Between neighbours the model of BBR finds nothing to model, and its pacing costs a timer for
/// each burst: half the CPU of a transfer. Over real ways the system's own choice stays.
pub(super) fn suit_to_near_peer(tcp: impl AsFd) {
    if socket::round_trip(&tcp).is_ok_and(|microseconds| microseconds < NEAR) {
        // Where the kernel has or allows it not, nothing is lost but time.
        let _: io::Result<()> = socket2::SockRef::from(&tcp).set_tcp_congestion(b"cubic");
    }
}
