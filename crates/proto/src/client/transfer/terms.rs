//! What a transfer is asked for, what it is told and wants done, and how it can end.
//!
//! No behaviour: that is the machine's.

use core::time::Duration;

use crate::command::Command;
use crate::reason::Reason;
use crate::reply::Reply;

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// RETR.
    Download,
    /// LIST, NLST, MLSD: a download that may be empty.
    Listing,
    /// STOR, APPE, STOU.
    Upload,
}

/// What is to be transferred.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The transfer verb.
    pub command: Command,
    /// Which way.
    pub direction: Direction,
    /// The offset for REST; 0 sends none.
    pub restart: u64,
    /// The whole file's length as SIZE or MLSD said it, in TYPE I only. 0 is not trusted: servers
    /// say it for files they do not look at.
    pub size: Option<u64>,
    /// Whether the data connection is under TLS: its handshake waits for the 1yz, which some
    /// servers send before they accept.
    pub protected: bool,
    /// How long the reply to the verb may take, and the final reply to an upload.
    pub patience: Patience,
}

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the first reply to the verb.
    pub reply: Duration,
    /// For the final reply to an upload: the server may flush it to its disk.
    pub confirm: Duration,
    /// The control connection's round trip.
    pub round_trip: Duration,
}

/// What a transfer is told.
#[derive(Debug)]
pub enum Input {
    /// A reply: to REST, to the verb, or the final one.
    Reply(Reply),
    /// No reply will come.
    Lost(Reason),
    /// The handshake on the data connection is done.
    Secured {
        /// Whether it resumed a session.
        resumed: bool,
    },
    /// A download read the end of data, or an upload's last byte and FIN are with the kernel.
    DataEnded {
        /// The bytes of this connection.
        bytes: u64,
    },
    /// The data connection failed, or never came up.
    DataFailed {
        /// Why.
        reason: Reason,
        /// The bytes moved before.
        bytes: u64,
    },
    /// The deadline is reached.
    Timer {
        /// The bytes moved so far.
        bytes: u64,
    },
}

/// What a transfer wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this.
    Command(Command),
    /// Begin to move the data: for active mode, accept first.
    Start,
    /// Close the data connection at once.
    Stop,
    /// The transfer is over, and so is the machine.
    Done(Outcome),
}

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The judgement.
    pub verdict: Verdict,
    /// The bytes moved on the data connection.
    pub bytes: u64,
    /// Whether a length was announced, and reached.
    pub complete: bool,
    /// What was not as it should be though all data are there: TLS's own end was missing.
    pub warning: Option<Reason>,
    /// The final reply, if one came.
    pub reply: Option<Reply>,
}

/// The four outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both ends were seen, and the length fits what was announced.
    Confirmed,
    /// All data seem to be there, but the server did not say so.
    Unconfirmed(Reason),
    /// Data are missing, or the server says that something went wrong.
    Truncated(Reason),
    /// Nothing was transferred.
    Refused(Reason),
}
