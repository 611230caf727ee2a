//! The least FTP server that a load generator can talk to, to measure what the protocol, the kernel
//! and the machine allow. It has no security, no log and no limits: nobody shall be served by it.
//!
//!     floor KIND STORE ADDRESS ROOT
//!
//! KIND is `threads`, a thread that blocks for each session (some 16,000 at most: each has four of the
//! 65,530 memory maps that a process may have), or `tokio`, a task for each on the runtime that twoport
//! uses. STORE says how uploads are stored: `into` the target itself, or `whole`,
//! never half of one under the target's name, as twoport promises.

mod dialogue;
mod disk;
mod session;
mod socket;

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rustix::net::sockopt::set_tcp_nodelay;

use crate::session::Session;
use crate::socket::{Kind, Socket};

/// What a server is told at its start.
pub struct Floor {
    pub kind: Kind,
    /// Whether no half upload ever has the target's name.
    pub whole: bool,
    pub root: PathBuf,
}

const USAGE: &str = "floor threads|tokio into|whole ADDRESS ROOT";
const STACK: usize = 256 << 10;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, store, address, root] = arguments.as_slice() else {
        return Err(io::Error::other(USAGE));
    };
    let (kind, whole) = match (kind.as_str(), store.as_str()) {
        ("threads", store @ ("into" | "whole")) => (Kind::Threads, store == "whole"),
        ("tokio", store @ ("into" | "whole")) => (Kind::Tasks, store == "whole"),
        _ => return Err(io::Error::other(USAGE)),
    };
    let floor: &'static Floor = Box::leak(Box::new(Floor { kind, whole, root: root.into() }));
    let listener = TcpListener::bind(address)?;
    // As deep as the load generator's crowds.
    rustix::net::listen(&listener, 4096)?;
    // What is accepted inherits it, without a call of its own.
    set_tcp_nodelay(&listener, true)?;
    match kind {
        Kind::Threads => threads(floor, &listener),
        Kind::Tasks => tasks(floor, listener),
    }
}

fn threads(floor: &'static Floor, listener: &TcpListener) -> io::Result<()> {
    loop {
        let session = Session::new(floor, listener.accept()?.0);
        std::thread::Builder::new().stack_size(STACK).spawn(move || at_once(session.run()))?;
    }
}

/// What never waits but in a call that blocks.
fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

fn tasks(floor: &'static Floor, listener: TcpListener) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_io().build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let mut listener = Socket::new(listener);
        loop {
            let control = listener.accept(Kind::Tasks).await?;
            tokio::spawn(Session::new(floor, control).run());
        }
    })
}
