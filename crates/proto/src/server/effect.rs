//! What a session wants done: the effects that its driver carries out, in order.
//!
//! Notes are effects too: they go to log, metrics and audit, never onto the wire.

use core::fmt;
use core::net::SocketAddr;

use super::job::{Job, Ticket};
use crate::path::PathBytes;
use crate::reason::Reason;
use crate::reply::Reply;

/// Something for the driver to do. It carries them out in the order of [`Session::poll`].
///
/// [`Session::poll`]: super::Session::poll
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send it, in a segment of its own if it announces a data port (227 and 229).
    Reply(Reply),
    /// Run it and answer with [`Input::Done`](super::Input::Done) under this ticket.
    Run(Ticket, Job),
    /// Begin TLS on the control connection, all replies being out, and answer with `Input::Tls`.
    /// Whatever has been read and not handed in is evidence of an attack, and never handed in.
    StartTls,
    /// End TLS on the control connection and go on in clear.
    StopTls,
    /// Begin TLS on the data connection that is up, and answer with `Input::Data`.
    Secure,
    /// Connect to the client's data port and answer with `Input::Data`.
    Dial(SocketAddr),
    /// Move the bytes of what the ticket opened over the data connection, close the connection,
    /// and answer with `Input::Done`.
    Transfer(Ticket),
    /// Stop the job or transfer of this ticket, drop what it opened, close its data connection and
    /// its passive port. A transfer answers with `Input::Done`, a file that only was opened does not.
    Cancel(Ticket),
    /// Close the passive port, and a connection that came there and is not in use.
    Unlisten,
    /// Data are expected on the control port, and another command came than their transfer: do not
    /// take a connection for data until the transfer's file is opened.
    Doze,
    /// Put it into log, metrics and audit.
    Note(Note),
    /// Close the control connection once all replies are out.
    Close,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// A user is logged in.
    LogIn,
    /// A command was refused.
    Refuse,
    /// Something on the storage was changed.
    Change,
    /// A transfer is complete.
    Complete,
    /// A transfer broke off.
    Break,
    /// A connection to the passive port was closed, since it was not the client's.
    Ignore,
    /// The session was closed by the server.
    Close,
}

impl Decision {
    /// Whether something went wrong, or somebody.
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        match self {
            Self::Break | Self::Close | Self::Ignore => true,
            Self::LogIn | Self::Refuse | Self::Change | Self::Complete => false,
        }
    }

    /// The word in logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::LogIn => "login",
            Self::Refuse => "refuse",
            Self::Change => "change",
            Self::Complete => "complete",
            Self::Break => "break",
            Self::Ignore => "ignore",
            Self::Close => "close",
        }
    }
}

/// A decision and why it fell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What was decided.
    pub decision: Decision,
    /// What about: a verb such as `DELE`, a transfer such as `Retrieve`, or `session`.
    pub subject: &'static str,
    /// Why, unless all went well.
    pub reason: Option<Reason>,
    /// The path, user or address it is about, as bytes that are not yet safe to print.
    pub object: Option<PathBytes>,
    /// The bytes on the wire, for transfers.
    pub bytes: Option<u64>,
}

impl Note {
    /// A note on something that went well.
    #[must_use]
    pub const fn good(decision: Decision, subject: &'static str) -> Self {
        Self { decision, subject, reason: None, object: None, bytes: None }
    }

    /// A note with a reason.
    #[must_use]
    pub const fn why(decision: Decision, subject: &'static str, reason: Reason) -> Self {
        Self { decision, subject, reason: Some(reason), object: None, bytes: None }
    }

    /// The same, with what it is about.
    #[must_use]
    pub fn about(self, object: impl Into<PathBytes>) -> Self {
        Self { object: Some(object.into()), ..self }
    }

    /// The same, with the bytes on the wire.
    #[must_use]
    pub fn bytes(self, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..self }
    }
}

/// The note without its object, as a session file has it: `complete Retrieve bytes=7`.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decision.word(), self.subject)?;
        if let Some(reason) = self.reason {
            write!(f, " reason={reason}")?;
        }
        match self.bytes {
            Some(bytes) => write!(f, " bytes={bytes}"),
            None => Ok(()),
        }
    }
}
