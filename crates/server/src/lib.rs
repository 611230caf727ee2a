//! The FTP server's side of sockets and disks: it carries out what the protocol core decides.
//! Which reply a client gets is decided in `twoport-proto`, not here.

pub mod accounts;
mod acme;
pub mod config;
pub mod job;
pub mod limits;
pub mod listen;
pub mod listing;
pub mod log;
pub mod outside;
pub mod serving;
mod session;
pub mod storage;
pub mod tls;
pub mod transfer;
pub mod world;

pub use listen::{Handle, Server};
