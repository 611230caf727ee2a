//! Whom the clients of SOCKS and CONNECT may reach besides a control port: the peer of a session of
//! theirs, for a data connection that is announced.
//!
//! It connects to nobody. Where TLS passes and nothing can be read, any port of that peer counts as
//! announced, but none of the system's.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use twoport_proto::data::LOWEST_PORT;

use crate::hole::{Ends, lock};

/// The passes of a gateway. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passes(Arc<Mutex<Issued>>);

#[derive(Debug, Default)]
struct Issued {
    last: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    holder: Holder,
    to: To,
}

/// Who has a pass, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    pub(crate) client: IpAddr,
    /// The server as the client called it.
    pub(crate) name: String,
    pub(crate) server: IpAddr,
}

/// Where a pass leads.
#[derive(Clone, Debug)]
pub(crate) enum To {
    /// To the one connection that waits for the client at a port, once.
    Hole(u16, mpsc::Sender<TcpStream>),
    /// To the server itself.
    Server(Arc<Ends>),
}

/// A pass, valid until this is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    passes: Passes,
    number: u64,
}

impl Passes {
    pub(crate) fn issue(&self, holder: Holder, to: To) -> Pass {
        let mut issued = lock(&self.0);
        issued.last += 1;
        let number = issued.last;
        issued.entries.push(Entry { number, holder, to });
        Pass { passes: self.clone(), number }
    }

    /// Where a client may go that asks for a port of a host; what is for once is used up.
    pub(crate) fn show(&self, client: IpAddr, host: &str, port: u16) -> Option<To> {
        let mut issued = lock(&self.0);
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let fits = |entry: &Entry| {
            let Holder { client: holder, name, server } = &entry.holder;
            let has_port = match &entry.to {
                To::Hole(open, _) => *open == port,
                To::Server(_) => port >= LOWEST_PORT,
            };
            has_port
                && holder.to_canonical() == client.to_canonical()
                && (name.eq_ignore_ascii_case(host) || address == Some(server.to_canonical()))
        };
        let at = issued.entries.iter().position(fits)?;
        let to = issued.entries.get(at)?.to.clone();
        if let To::Hole(..) = to {
            issued.entries.remove(at);
        }
        Some(to)
    }
}

impl To {
    /// The address of the server that a client has asked a port of.
    pub(crate) const fn address(ends: &Ends, port: u16) -> SocketAddr {
        SocketAddr::new(ends.server.ip(), port)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        lock(&self.passes.0).entries.retain(|entry| entry.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_for_one_client_one_port_and_once() {
        let passes = Passes::default();
        let [client, other, server]: [IpAddr; 3] =
            ["192.0.2.1", "192.0.2.2", "203.0.113.1"].map(|ip| ip.parse().unwrap());
        let issue = || {
            let holder = Holder { client, name: "ftp.example".into(), server };
            passes.issue(holder, To::Hole(50_000, mpsc::channel(1).0))
        };
        let show = |client, host, port| passes.show(client, host, port).is_some();
        let pass = issue();
        assert!(!show(other, "ftp.example", 50_000));
        assert!(!show(client, "ftp.example", 50_001));
        assert!(!show(client, "203.0.113.2", 50_000));
        assert!(show(client, "203.0.113.1", 50_000));
        assert!(!show(client, "203.0.113.1", 50_000), "it was for once");
        drop(pass);
        let pass = issue();
        assert!(show(client, "FTP.example", 50_000));
        drop(pass);
        drop(issue());
        assert!(!show(client, "ftp.example", 50_000), "it is over");
    }
}
