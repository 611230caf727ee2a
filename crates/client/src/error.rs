//! Why something failed: the class for scripts, the reason for people, and what the server said.
//!
//! No error holds a password.

use std::fmt;
use std::io;

use twoport_proto::client::open::Failure;
use twoport_proto::code::Code;
use twoport_proto::reason::Reason;
use twoport_proto::reply::Reply;

/// The classes of failure, with the exit codes of the crate's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The URL or an argument is not usable.
    Usage = 2,
    /// Name not found, no connection, or the control connection was lost.
    Connect = 3,
    /// The login was refused.
    Login = 4,
    /// The server refused.
    Refused = 5,
    /// No mode gave a data connection.
    NoData = 6,
    /// Data are missing.
    Truncated = 7,
    /// The server did not confirm, and the length is not known.
    Unconfirmed = 8,
    /// No answer, or no byte moved, in time.
    Timeout = 9,
    /// A local file failed.
    Local = 10,
    /// The peer speaks no FTP, or nonsense.
    Protocol = 11,
    /// TLS was refused or failed, or a certificate is not believed.
    Tls = 12,
}

impl Class {
    /// The exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self as u8
    }

    /// The stable name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Connect => "connect",
            Self::Login => "login",
            Self::Refused => "refused",
            Self::NoData => "no-data",
            Self::Truncated => "truncated",
            Self::Unconfirmed => "unconfirmed",
            Self::Timeout => "timeout",
            Self::Local => "local",
            Self::Protocol => "protocol",
            Self::Tls => "tls",
        }
    }
}

/// What failed, and why.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    class: Class,
    subject: String,
    reason: Option<Reason>,
    reply: Option<Reply>,
    failures: Vec<Failure>,
    source: Option<io::Error>,
}

impl Error {
    pub(crate) fn new(class: Class, subject: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            class,
            subject: subject.into(),
            reason: None,
            reply: None,
            failures: Vec::new(),
            source: None,
        }))
    }

    /// An error of which the reason, and the reply if there is one, give the class.
    pub(crate) fn why(subject: impl Into<String>, reason: Reason, reply: Option<Reply>) -> Self {
        let mut error = Self::new(class_of(reason, reply.as_ref()), subject).because(reason);
        error.0.reply = reply;
        error
    }

    pub(crate) fn local(subject: impl Into<String>, source: io::Error) -> Self {
        Self::new(Class::Local, subject).with_source(source)
    }

    pub(crate) fn because(mut self, reason: Reason) -> Self {
        self.0.reason = Some(reason);
        self
    }

    pub(crate) fn answered(mut self, reply: Option<Reply>) -> Self {
        self.0.reply = reply;
        self
    }

    pub(crate) fn after(mut self, failures: Vec<Failure>) -> Self {
        self.0.failures = failures;
        self
    }

    pub(crate) fn with_source(mut self, source: io::Error) -> Self {
        self.0.source = Some(source);
        self
    }

    /// The class, which has the exit code.
    #[must_use]
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// The reason, where there is one: its `explain` says what to change.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.0.reason
    }

    /// The reply that said no.
    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        self.0.reply.as_ref()
    }

    /// Why each mode gave no data connection.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.0.failures
    }

    /// Whether the session can go on with other files.
    #[must_use]
    pub fn leaves_session(&self) -> bool {
        matches!(
            self.class(),
            Class::Refused | Class::Truncated | Class::Unconfirmed | Class::Local
        ) && !matches!(self.reason(), Some(Reason::ControlClosing | Reason::ControlLost))
    }
}

fn class_of(reason: Reason, reply: Option<&Reply>) -> Class {
    match reason {
        Reason::ReplyMissing | Reason::DataStalled => Class::Timeout,
        Reason::ControlLost | Reason::ControlClosing => Class::Connect,
        Reason::ReplyMalformed | Reason::ReplyTooLong | Reason::NotFtp => Class::Protocol,
        Reason::AllModesFailed | Reason::ActiveNotConnected => Class::NoData,
        Reason::BadName => Class::Usage,
        reason if is_tls(reason) => Class::Tls,
        _ if reply.is_some_and(|reply| reply.code == Code::NO_DATA_CONNECTION) => Class::NoData,
        _ => Class::Refused,
    }
}

/// Whether a reason is about TLS on a connection, rather than about the data on it.
pub(crate) const fn is_tls(reason: Reason) -> bool {
    reason.is_of_handshake()
        || matches!(
            reason,
            Reason::ClearBehindAuth | Reason::ProtectionRefused | Reason::TlsRefused
        )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.subject)?;
        if let Some(reason) = self.0.reason {
            write!(f, ": {}", fragment(reason.describe()))?;
        }
        if let Some(reply) = &self.0.reply {
            write!(f, ": {reply:?}")?;
        }
        // One alone is what the rest says.
        for failure in self.0.failures.iter().filter(|_| self.0.failures.len() > 1) {
            write!(f, "; {}", failure.step.name())?;
            if let Some(address) = failure.address {
                write!(f, " {address}")?;
            }
            write!(f, ": {}", fragment(failure.reason.describe()))?;
            if let Some(reply) = &failure.reply {
                write!(f, " ({reply:?})")?;
            }
        }
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

/// A sentence's beginning as it stands inside one. Words of the protocol keep their capitals.
fn fragment(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}
