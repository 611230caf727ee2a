//! The networks in which FTP breaks, each built on one Linux machine from network namespaces, and
//! the matrix of servers, clients, modes and protections that is played in them.
//!
//! It knows nothing of how twoport itself works: servers and clients are programs here. It needs
//! root, `ip` and `nft`, and touches nothing of the machine's own network.
//!
//! A network is a client side and a server side of [`side::SIDES`], and its name is theirs, such as
//! `nat/firewall-range`:
//!
//! ```text
//! client ── client-box ── public ── server-box ── server
//! ```
//!
//! A test in another crate (with `twoport-networks` among its dev-dependencies) builds one and runs
//! programs, or code, in its nodes:
//!
//! ```no_run
//! use std::process::Command;
//! use twoport_networks::{Family, Network, Topology, missing};
//!
//! # fn main() -> std::io::Result<()> {
//! if let Some(why) = missing() {
//!     println!("skipped: {why}");
//!     return Ok(());
//! }
//! let topology = Topology::named("nat/nat-range").expect("both sides are in the table");
//! let network = Network::build(topology)?;
//! // A server: killed when dropped, and by the kernel when this process dies.
//! let server = network.server()?.spawn(Command::new("twoport").args(["serve", "/srv"]))?;
//! // A client, run to its end. It dials the public address of the server's box.
//! let url = format!("ftp://{}/", topology.dialled(Family::V4));
//! let listing = network.client()?.output(Command::new("curl").arg(url))?;
//! // What the box thinks of it: any program, in any node.
//! let rules = network.node("server-box")?.output(Command::new("nft").args(["list", "ruleset"]))?;
//! // Or code: sockets opened inside stay inside, and can be used from anywhere.
//! let stranger = network.node("public")?.inside(|| std::net::UdpSocket::bind("198.51.100.1:3478"))??;
//! # drop((server, listing, rules, stranger));
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod address;
mod daemon;
mod network;
mod plan;
pub mod play;
mod process;
mod rules;
mod scratch;
pub mod show;
pub mod side;
mod topology;

pub use address::{Family, PUBLIC};
pub use network::{Network, Node, missing};
pub use process::Process;
pub use topology::Topology;
