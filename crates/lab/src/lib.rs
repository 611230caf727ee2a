//! The laboratory: session files and their player, virtual time, foreign peers, and the rules of
//! the house as tests. Nothing in it is published, and nothing published depends on it.

#![forbid(unsafe_code)]

pub mod chop;
pub mod client_end;
pub mod foreign;
pub mod house;
pub mod pair;
pub mod player;
pub mod script;
