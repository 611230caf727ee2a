//! `twoport gateway` in the boxes of a network, in the place of the kernel's FTP helper.
//!
//! The rules of the boxes stay as they are, but for the helper.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use twoport_net::clock;
use twoport_proto::text::escape;

use super::servers::IMPLICIT;
use super::{Paper, Programs};
use crate::address::{Family, NAT64};
use crate::network::Network;
use crate::process::Process;
use crate::rules::{HELPER, HELPER_2121};
use crate::side::{Hosts, Side};

/// How long one may take until it is ready.
const START: Duration = Duration::from_secs(20);

/// In which boxes there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gateways {
    /// In the client's.
    pub client: bool,
    /// In the server's.
    pub server: bool,
    /// Whether TLS ends in them; else it passes.
    pub terminate: bool,
    /// Whether they ask a server to connect that nobody gets to.
    pub auto: bool,
}

impl Gateways {
    /// Starts them, with the certificate of the server.
    ///
    /// # Errors
    /// One does not get ready; with its own words.
    pub(super) fn start(
        self,
        network: &Network,
        programs: &Programs,
        paper: &Paper,
        work: &Path,
    ) -> io::Result<Vec<Process>> {
        let mut running = Vec::new();
        let control = network.topology.server.control;
        let command = |seat: &str, flag: &str, interface: &str| {
            let mut command = Command::new(&programs.twoport);
            command.args(["gateway", "--seat", seat, flag, interface]);
            for port in
                [control, IMPLICIT].iter().filter(|port| self.terminate || **port == control)
            {
                command.args(["--port", &port.to_string()]);
            }
            if self.auto {
                command.args(["--upstream-mode", "auto"]);
            }
            if self.terminate {
                command.arg("--certificate").arg(&paper.certificate);
                command.arg("--key").arg(&paper.key).arg("--upstream-ca").arg(&paper.authority);
            }
            command
        };
        if self.client {
            let node = network.node("client-box")?;
            let mut near = command("client", "--lan", "lan");
            if network.topology.client.hosts == Hosts::Ipv6 {
                near.args(["--nat64", &NAT64.to_string()]);
            }
            unhelp(node, network.topology.client)?;
            running.push(start(node, near, &work.join("near.log"))?);
        }
        if self.server {
            let node = network.node("server-box")?;
            unhelp(node, network.topology.server)?;
            let mut command = command("server", "--wan", "wan");
            for family in [Family::V4, Family::V6] {
                if let Some(address) = network.server()?.address(family) {
                    command.args(["--server", &SocketAddr::new(address, control).to_string()]);
                }
            }
            if self.terminate {
                // Its certificate has the public address.
                let name = network.topology.dialled(Family::V4).to_string();
                command.args(["--upstream-name", &name]);
            }
            running.push(start(node, command, &work.join("far.log"))?);
        }
        Ok(running)
    }
}

/// The kernel's helper would translate the same connections in its own way.
fn unhelp(node: &crate::Node, side: &Side) -> io::Result<()> {
    if side.rules.iter().any(|rule| [HELPER, HELPER_2121].contains(rule)) {
        let rules = "flush chain inet box helper\n";
        node.feed(Command::new("nft").args(["-f", "-"]), rules)?;
    }
    Ok(())
}

fn start(node: &crate::Node, mut command: Command, log: &Path) -> io::Result<Process> {
    let file = File::create(log)?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut process = node.spawn(&mut command)?;
    let start = clock::now();
    loop {
        let said = fs::read(log)?;
        if said.windows(7).any(|word| word == b" ready ") {
            return Ok(process);
        }
        let ended = process.wait(Duration::from_millis(20))?.is_some();
        if ended || clock::now().since(start) > START {
            let text = escape(said.trim_ascii());
            return Err(io::Error::other(format!("{}: gateway: {text}", node.name())));
        }
    }
}
