//! Data connections: dialled, or awaited on a port of the ledger.
//!
//! Who may be at the other end is decided in `twoport_proto::data`.

pub mod desk;
pub mod dial;
pub mod knock;
pub mod listen;
pub mod pool;
pub mod ports;
pub mod punch;
