//! The FTP protocol without I/O: lines, verbs, replies, addresses, paths, listings, and the
//! machines that decide what each end does. It opens no socket, reads no clock and draws no random
//! number: a driver hands those in.

#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod addr;
pub mod ascii;
pub mod client;
pub mod code;
pub mod command;
pub mod data;
pub mod glob;
pub mod hello;
pub mod line;
pub mod list;
pub mod path;
pub mod pcp;
pub mod proxy;
pub mod reason;
pub mod relay;
pub mod reply;
pub mod scope;
pub mod server;
pub mod short;
pub mod stun;
pub mod text;
pub mod time;
pub mod verb;
