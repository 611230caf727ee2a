//! The FTP-aware gateway: it stands between clients and servers, relays their control connections by
//! the relay machine of `twoport-proto`, and carries the data connections that the machine lets
//! through, TLS included where it holds a certificate.
//!
//! It decides nothing about the protocol itself, and it changes no rule of the host's firewall: it
//! is the reverse proxy, which needs no privileges.

mod carry;
mod config;
mod gateway;
mod hole;
mod log;
mod session;
mod upstream;

pub use config::{ClientTls, Config};
pub use gateway::{Gateway, Stop};
pub use twoport_proto::relay::{Auth, Mode, Policy, Upstream};
