//! The way that a client's data connection takes through the firewall of this host.
//!
//! What a gate is and how it closes is in `twoport_net::nft`.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use twoport_net::nft::{Gate, Opening};

use crate::serving::Serving;

/// Opens a port for a session's client, where ports are closed.
#[derive(Debug)]
pub(super) struct Way {
    gate: Option<Gate>,
    /// Who may come: the client, and the load balancer that it comes through.
    peers: [IpAddr; 2],
    lifetime: Duration,
    openings: Vec<Opening>,
}

impl Way {
    pub(super) fn new(serving: &Serving, peers: [IpAddr; 2]) -> Self {
        // A client may wait as long between PASV and its transfer verb, and then as long to connect.
        let timeouts = &serving.config().timeouts;
        let lifetime = timeouts.idle_timeout + timeouts.data_timeout;
        Self { gate: serving.gate.clone(), peers, lifetime, openings: Vec::new() }
    }

    /// Lets the client in at one port, and at no other.
    pub(super) fn open(&mut self, port: u16) -> io::Result<()> {
        self.openings.clear();
        let Some(gate) = &self.gate else { return Ok(()) };
        let [peer, maker] = self.peers.map(|peer| peer.to_canonical());
        self.openings.push(gate.open(peer, port, self.lifetime)?);
        if maker != peer {
            self.openings.push(gate.open(maker, port, self.lifetime)?);
        }
        Ok(())
    }

    /// Lets nobody in any more. A connection that is up stays up.
    pub(super) fn shut(&mut self) {
        self.openings.clear();
    }
}
