//! How a transfer that was not an error ended.
//!
//! What is an error is decided where the transfer is; this only says what became of it.

use twoport_proto::client::open::Step;
use twoport_proto::reason::Reason;

/// How sure the end of a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server confirmed, and the length fits.
    Confirmed,
    /// The length fits, but the server did not confirm: why.
    Unconfirmed(Reason),
}

impl Outcome {
    /// 0 or 8, see the crate's table.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Confirmed => 0,
            Self::Unconfirmed(_) => super::Class::Unconfirmed.exit_code(),
        }
    }

    /// The stable name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unconfirmed(_) => "unconfirmed",
        }
    }
}

/// What a transfer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How sure it is.
    pub outcome: Outcome,
    /// The bytes that went over the data connection.
    pub bytes: u64,
    /// Where it began: the length of the part that was there already.
    pub resumed_at: u64,
    /// How the data connection was set up; `None` if none was needed.
    pub step: Option<Step>,
    /// What was not as it should be though all data are there: the data connection did not end as
    /// TLS ends.
    pub warning: Option<Reason>,
    /// Why it began anew though it was to be resumed.
    pub restarted: Option<Reason>,
}
