//! The FTP-aware gateway: it stands between clients and servers, relays their control connections by
//! the relay machine of `twoport-proto`, and carries the data connections that the machine lets
//! through, TLS included where it holds a certificate.
//!
//! It decides nothing about the protocol itself, and it changes no rule of the host's firewall. In
//! front of servers it needs no privileges; on a router it has rules of its own.

mod access;
mod allow;
mod board;
mod carry;
mod config;
mod doors;
mod front;
mod gateway;
mod health;
mod hole;
mod log;
mod meeting;
mod passes;
mod pcp;
mod pool;
mod rate;
mod reach;
mod room;
mod scan;
mod seat;
mod session;
mod sockets;
mod standing;
mod upstream;
mod visitor;

pub use access::{Access, AccessRule};
pub use allow::{Allow, Who};
pub use board::{Board, SessionStatus, Status};
pub use config::{Accounts, ClientTls, Config};
pub use front::Front;
pub use gateway::{Gateway, Handle};
pub use pool::{Balance, Health, Proxy, Server};
pub use scan::{CommandScanner, IcapScanner, Scanner, Scanning};
pub use seat::{IMPLICIT, Seat, Taken};
pub use sockets::Sockets;
pub use twoport_proto::proxy::Version;
pub use twoport_proto::relay::{
    Auth, By, Desk, Mode, Names, Policy, Route, Routes, Scan, Upstream,
};
