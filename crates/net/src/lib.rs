//! What server, client and gateway share beneath their machines: data connections, the port
//! ledger, the byte pump and the only clock. It decides nothing about the protocol.

#![forbid(unsafe_code)]

pub mod clock;
mod conntrack;
pub mod control;
pub mod data;
pub mod listen;
pub mod mapping;
pub mod nft;
pub mod proxy;
pub mod pump;
pub mod reflect;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod timer;
pub mod tls;
pub mod tunnel;
mod watch;
