//! The way that a client's data connection takes through the firewall of this host.
//!
//! What a gate is and how it closes is in `twoport_net::nft`.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use twoport_net::nft::{Gate, Opening};

use crate::serving::Serving;

/// Opens a port for a session's client, where ports are closed. Mostly they are not, and an idle session has
/// no room for what it takes.
#[derive(Debug)]
pub(super) struct Way(Option<Box<Gated>>);

#[derive(Debug)]
struct Gated {
    gate: Gate,
    /// Who may come: the client, and the load balancer that it comes through.
    peers: [IpAddr; 2],
    lifetime: Duration,
    openings: Vec<Opening>,
}

impl Way {
    pub(super) fn new(serving: &Serving, peers: [IpAddr; 2]) -> Self {
        let gated = |gate| {
            // A client may wait as long between PASV and its transfer verb, and then as long to connect.
            let timeouts = &serving.config().timeouts;
            let lifetime = timeouts.idle_timeout + timeouts.data_timeout;
            Box::new(Gated { gate, peers, lifetime, openings: Vec::new() })
        };
        Self(serving.gate.clone().map(gated))
    }

    /// Lets the client in at one port, and at no other.
    pub(super) fn open(&mut self, port: u16) -> io::Result<()> {
        self.shut();
        let Some(Gated { gate, peers, lifetime, openings }) = self.0.as_deref_mut() else {
            return Ok(());
        };
        let [peer, maker] = peers.map(|peer| peer.to_canonical());
        openings.push(gate.open(peer, port, *lifetime)?);
        if maker != peer {
            openings.push(gate.open(maker, port, *lifetime)?);
        }
        Ok(())
    }

    /// Lets nobody in any more. A connection that is up stays up.
    pub(super) fn shut(&mut self) {
        if let Some(gated) = &mut self.0 {
            gated.openings.clear();
        }
    }
}
