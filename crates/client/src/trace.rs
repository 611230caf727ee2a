//! What an observer sees of a session: the lines of the control connection and the decisions.
//!
//! It writes nothing anywhere. No password is in it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use twoport_net::data::punch::Hop;
use twoport_net::tls::Facts;
use twoport_proto::client::open::{Failure, Step};
use twoport_proto::command::Redacted;
use twoport_proto::reply::Reply;

/// Called with each event, on the task of the session: it must not block.
pub type Observer = Arc<dyn Fn(Trace<'_>) + Send + Sync>;

/// One event.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Trace<'a> {
    /// A control connection is up.
    Connected(SocketAddr),
    /// TLS is up: on the control connection, or on a data connection.
    Secured(Facts),
    /// No ticket is left for the next data connection: the control connection is made anew.
    TicketsSpent,
    /// A command, without its end; the secrets are left out.
    Sent(Redacted<'a>),
    /// A reply to the command.
    Received(&'a Reply),
    /// A reply that nobody asked for.
    Stray(&'a Reply),
    /// A step of the ladder that failed: the next one is tried.
    Failed(&'a Failure),
    /// A step of the ladder that worked.
    Ready(Step),
    /// The control connection goes on in clear: everybody on the way can read it.
    Bared,
    /// What else there is to tell.
    Remark(&'a str),
    /// The own NAT was opened by packets that end at this hop.
    Punched(Hop),
}

impl fmt::Display for Trace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(peer) => write!(f, "* connected to {peer}"),
            Self::Secured(Facts { version, suite, resumed }) => {
                let how = if *resumed { ", resumed" } else { "" };
                write!(f, "* {version} with {suite}{how}")
            }
            Self::TicketsSpent => f.write_str("* all TLS tickets are used: connecting again"),
            Self::Sent(line) => write!(f, "> {line}"),
            Self::Received(reply) => write!(f, "< {reply:?}"),
            Self::Stray(reply) => write!(f, "< {reply:?} (unasked)"),
            Self::Failed(failure) => {
                write!(f, "* {} failed: {}", failure.step.name(), failure.reason.describe())?;
                failure.address.map_or(Ok(()), |address| write!(f, " ({address})"))
            }
            Self::Ready(step) => write!(f, "* data by {}", step.name()),
            Self::Bared => f.write_str("* commands and replies go in clear from now on (CCC)"),
            Self::Remark(what) => write!(f, "* {what}"),
            Self::Punched(Hop { number, router }) => {
                write!(f, "* opened the own NAT with a packet of {number} hops")?;
                router.map_or(Ok(()), |router| write!(f, ", which ends at {router}"))
            }
        }
    }
}
