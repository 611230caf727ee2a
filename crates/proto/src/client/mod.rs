//! The client's machines: what to send, what a reply means, and when to give up.
//!
//! They open no socket and read no clock. Each takes one input with the time (`handle`), is then
//! drained of its effects (`poll`) until `None`, and says when it wants to be woken (`deadline`).
//!
//! [`Conversation`] turns bytes into replies and keeps one command outstanding. On top of it stand
//! [`Secure`] (TLS), [`Login`], [`Open`] (the data connection) and [`Transfer`]: commands out, replies
//! in. All else
//! a client does is one command and one reply, plain code of the driver.

pub mod conversation;
mod facts;
pub mod login;
pub mod open;
pub mod replies;
pub mod secure;
pub mod transfer;

pub use self::conversation::Conversation;
pub use self::facts::{Features, date_in, size_in};
pub use self::login::Login;
pub use self::open::Open;
pub use self::secure::Secure;
pub use self::transfer::Transfer;
