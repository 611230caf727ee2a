//! What a relay is told, and what it wants done.
//!
//! Notes are effects too: they go to log and metrics, never onto the wire.

use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use super::Legs;
use super::hole::{Doors, Hole, HoleId};
use crate::reason::Reason;

/// A control connection of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// To the client.
    Client,
    /// To the server.
    Server,
}

impl Leg {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What a relay is told.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Bytes came.
    Bytes(Leg, &'a [u8]),
    /// A peer closed.
    Eof(Leg),
    /// The answer to [`Effect::Prepare`]: the doors for the sides that dial, or why there are none.
    Prepared(HoleId, Result<Doors, Reason>),
    /// The answer to [`Effect::Probe`].
    Probed(SocketAddr, Way),
    /// The answer to [`Effect::Secure`].
    Secured(Leg, Result<(), Reason>),
    /// A pinhole was used: it is closed now.
    Used(HoleId),
    /// The answer to [`Effect::Take`].
    Scanned(HoleId, Verdict<'a>),
    /// What was held of an upload has gone through this pinhole to the server, to its last byte, or
    /// has not.
    Delivered(HoleId, Result<(), Reason>),
    /// The deadline is reached.
    Timer,
}

/// What came of an upload that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Nothing was found in it. It is held.
    Clean,
    /// The scanner found something, and this is what it calls it.
    Infected(&'a [u8]),
    /// It is whole and it is held, but the scanner gave no answer that counts.
    Unscanned(Reason),
    /// There is no whole upload.
    Broken(Reason),
}

/// What a scanner is told about an upload. None of it is safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The verb, such as `STOR`.
    pub verb: &'static str,
    /// The name as the client has said it; empty where it said none.
    pub name: Vec<u8>,
    /// The user as the client has said it.
    pub user: Vec<u8>,
}

/// Whether a connection to where a server listens comes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It does, as was known before, or cannot be found out.
    Known,
    /// It does, as was found out now. On its way a firewall may have opened this port for one
    /// connection, which it takes to have come: the server is asked for another one.
    Found,
    /// Nobody gets there.
    Closed,
}

/// What a relay wants done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write these bytes, in one write of their own: an announced port that shares its segment is
    /// not seen by the next box on the way.
    Write(Leg, Vec<u8>),
    /// Get ready for a data connection, but let nobody through yet. Answer with
    /// [`Input::Prepared`]; nothing else of this session passes until then.
    Prepare(HoleId, Hole),
    /// Find out whether a connection to where the server listens would come up, without making one:
    /// the server takes the first for data. Answer with [`Input::Probed`]; nothing else of this
    /// session passes until then.
    Probe(SocketAddr),
    /// The server connects before it answers: let it in, but no further than the gateway, until the
    /// pinhole is opened.
    Admit(HoleId, Hole),
    /// Let it through: once. For one that is open already its time begins anew.
    Commit(HoleId),
    /// Two that listen are waiting: connect to both. Where uploads are scanned this comes for every
    /// pinhole, with the verb that uses it: only then are the two sides joined, and what the client
    /// sends goes nowhere; one whose client is [`Side::Kept`](super::Side::Kept) takes what is held to
    /// the server, and is answered with [`Input::Delivered`].
    Dial(HoleId),
    /// Take what the client sends through this pinhole, keep it from the server, and have it scanned.
    /// Answer with [`Input::Scanned`], once.
    Take(HoleId, Subject),
    /// Whatever is still done for the upload ends, without an answer; a server that has not got it to
    /// its last byte must not take it for whole.
    Discard,
    /// Let nobody through any more. What is connected stays.
    Close(HoleId, Option<Reason>),
    /// Begin TLS on a leg, and answer with [`Input::Secured`]. What was read there and not handed
    /// in is evidence of an attack.
    Secure(Leg),
    /// From now on data connections are, or are not, under TLS.
    Protect(Legs),
    /// From now on everything passes unread: hand in no more, but copy both ways.
    Opaque,
    /// End the sending direction of a leg.
    Shutdown(Leg),
    /// Put it into log and metrics.
    Note(Note),
    /// Close both legs once all is written.
    End,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// An address was replaced by another.
    Rewrite,
    /// A command was refused, and did not reach the server.
    Refuse,
    /// A line passed, but nothing was opened for it.
    Ignore,
    /// A leg is under TLS.
    Secure,
    /// Everything passes unread from here on.
    Pass,
    /// The session was closed by the gateway.
    Close,
    /// An upload passes after its scan; if there is a reason, without one.
    Scan,
}

impl Decision {
    /// The word in logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rewrite => "rewrite",
            Self::Refuse => "refuse",
            Self::Ignore => "ignore",
            Self::Secure => "secure",
            Self::Pass => "pass",
            Self::Close => "close",
            Self::Scan => "scan",
        }
    }
}

/// A decision and why it fell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What was decided.
    pub decision: Decision,
    /// What about: a verb such as `PORT`, a reply such as `227`, or `session`.
    pub subject: &'static str,
    /// Why, unless it is the ordinary thing.
    pub reason: Option<Reason>,
    /// What it is about, as bytes that are not yet safe to print.
    pub object: Option<Vec<u8>>,
}

impl Note {
    pub(super) const fn good(decision: Decision, subject: &'static str) -> Self {
        Self { decision, subject, reason: None, object: None }
    }

    pub(super) const fn why(decision: Decision, subject: &'static str, reason: Reason) -> Self {
        Self { decision, subject, reason: Some(reason), object: None }
    }

    pub(super) fn about(self, object: impl Into<Vec<u8>>) -> Self {
        Self { object: Some(object.into()), ..self }
    }
}

/// The note without its object: `refuse PORT reason=foreign-address`.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decision.word(), self.subject)?;
        match self.reason {
            Some(reason) => write!(f, " reason={reason}"),
            None => Ok(()),
        }
    }
}
