//! Foreign programs over loopback: what twoport must work with as it is.
//!
//! It installs nothing: `tests/clients/install` and `tests/peers/install` do.

pub mod boxes;
pub mod clients;
pub mod nodes;
pub mod pebble;
pub mod scanners;
pub mod servers;
