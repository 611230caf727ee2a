//! Why no certificate was issued, in the words of the log.
//!
//! What the authority said is kept as it came: it is escaped where it is shown.

use std::io;

use instant_acme::{Error, Problem};
use twoport_proto::reason::Reason;

/// A failure.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    /// The type of the authority's problem document (RFC 8555 §6.7).
    pub(super) problem: Option<String>,
    pub(super) detail: String,
}

impl Failure {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, problem: None, detail: detail.into() }
    }

    /// Whether the authority says that it does not know the account.
    pub(super) fn is_account_unknown(&self) -> bool {
        self.problem.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
    }
}

/// What the disk said.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Reason::LocalError, error.to_string())
    }
}

impl From<Problem> for Failure {
    fn from(Problem { r#type, detail, subproblems, .. }: Problem) -> Self {
        let of_parts = subproblems.iter().map(ToString::to_string);
        let said: Vec<_> = detail.into_iter().chain(of_parts).collect();
        Self { reason: Reason::AcmeRefused, problem: r#type, detail: said.join("; ") }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let reason = match &error {
            Error::Other(_) | Error::Http(_) | Error::InvalidUri(_) => Reason::AcmeUnreachable,
            Error::Crypto | Error::KeyRejected => Reason::LocalError,
            _ => Reason::AcmeRefused,
        };
        match error {
            Error::Api(problem) => problem.into(),
            other => Self::new(reason, other.to_string()),
        }
    }
}
