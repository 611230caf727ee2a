//! Commands: a verb with its argument read, and back again to a line.
//!
//! Reading decides only what the words mean. Whether they are allowed now is the session's matter.

mod argument;

use alloc::vec::Vec;
use core::fmt;
use core::net::{SocketAddr, SocketAddrV4};

pub(crate) use self::argument::permission_bits;
pub use self::argument::{
    Algs, Epsv, HashAlgorithm, Listing, Mechanism, Opts, Protection, Representation, Site,
    Structure, TransferMode,
};
use crate::path::FtpPath;
use crate::reason::Reason;
use crate::text::Escaped;
use crate::time::Timestamp;
use crate::verb::{self, Row, Shape};

/// A password. It is never shown, not even by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub Vec<u8>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// A command that was understood. One variant a verb; the table has its RFC and its help.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the verb table holds the RFC and the help of each")]
pub enum Command {
    Abor,
    Acct(Vec<u8>),
    Algs(Algs),
    /// How many bytes are to come, as far as that is a number.
    Allo(Option<u64>),
    Appe(FtpPath),
    Auth(Mechanism),
    Avbl(Option<FtpPath>),
    Ccc,
    Cdup,
    Clnt(Vec<u8>),
    Comb {
        target: FtpPath,
        parts: Vec<FtpPath>,
    },
    Csid(Vec<u8>),
    Cwd(Option<FtpPath>),
    Dele(FtpPath),
    Eprt(SocketAddr),
    Epsv(Epsv),
    Feat,
    /// HASH with the algorithm chosen by OPTS; XCRC and its kin name theirs.
    Hash {
        path: FtpPath,
        algorithm: Option<HashAlgorithm>,
        range: Option<(u64, u64)>,
    },
    Help(Option<Vec<u8>>),
    Host(Vec<u8>),
    Lang(Option<Vec<u8>>),
    List(Listing),
    Lprt,
    Lpsv,
    Mdtm {
        set: Option<Timestamp>,
        path: FtpPath,
    },
    Mfct {
        date: Timestamp,
        path: FtpPath,
    },
    Mff {
        facts: Vec<(Vec<u8>, Vec<u8>)>,
        path: FtpPath,
    },
    Mfmt {
        date: Timestamp,
        path: FtpPath,
    },
    Mkd(FtpPath),
    Mlsd(Option<FtpPath>),
    Mlst(Option<FtpPath>),
    Mode(TransferMode),
    Nlst(Listing),
    Noop,
    Opts(Opts),
    Pass(Password),
    Pasv,
    /// The size of protected blocks, which TLS has no use for.
    Pbsz(u64),
    Port(SocketAddrV4),
    Prot(Protection),
    Pwd,
    Quit,
    /// The first and the last byte, both included; `None` takes an earlier RANG back.
    Rang(Option<(u64, u64)>),
    Rein,
    Rest(u64),
    Retr(FtpPath),
    Rmd(FtpPath),
    Rnfr(FtpPath),
    Rnto(FtpPath),
    Site(Site),
    Size(FtpPath),
    Stat(Option<FtpPath>),
    Stor(FtpPath),
    Stou(Option<FtpPath>),
    Stru(Structure),
    Syst,
    Type(Representation),
    User(Vec<u8>),
}

/// A line that is not a command: which verb it began with, if any, and what is wrong.
#[derive(Clone, Copy, Debug)]
pub struct ParseError {
    /// The row of the verb, if the first word is one.
    pub row: Option<&'static Row>,
    /// What is wrong.
    pub reason: Reason,
    /// Where in the line the trouble begins.
    pub at: usize,
}

/// The methods of HTTP that a browser, a proxy or a smuggled request begins with.
const HTTP: [&[u8]; 9] =
    [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH"];

impl Command {
    /// Whether it moves data over a connection of its own, between a 1yz and a final reply.
    #[must_use]
    pub const fn moves_data(&self) -> bool {
        matches!(
            self,
            Self::Appe(_)
                | Self::List(_)
                | Self::Mlsd(_)
                | Self::Nlst(_)
                | Self::Retr(_)
                | Self::Stor(_)
                | Self::Stou(_)
        )
    }

    /// Whether clients send it between the set-up of a data connection and its transfer, or whether
    /// it is the transfer.
    #[must_use]
    pub const fn goes_before_data(&self) -> bool {
        self.moves_data()
            || matches!(
                self,
                Self::Allo(_)
                    | Self::Mdtm { .. }
                    | Self::Mode(_)
                    | Self::Noop
                    | Self::Prot(_)
                    | Self::Rang(..)
                    | Self::Rest(_)
                    | Self::Size(_)
                    | Self::Stru(_)
                    | Self::Type(_)
            )
    }

    /// Reads a line without its end.
    ///
    /// One blank parts verb and argument; further blanks belong to the argument, since names may
    /// begin or end with them. Blanks before the verb are skipped.
    ///
    /// # Errors
    /// An unknown verb, an argument too many or too few, or one that its RFC does not allow.
    pub fn parse(line: &[u8]) -> Result<(&'static Row, Self), ParseError> {
        let start = line.iter().take_while(|b| **b == b' ').count();
        let trimmed = line.get(start..).unwrap_or_default();
        let length = trimmed.iter().position(|&b| b == b' ').unwrap_or(trimmed.len());
        let (word, rest) = trimmed.split_at_checked(length).unwrap_or((trimmed, b""));
        let Some(row) = verb::find(word) else {
            let is_http = HTTP.iter().any(|method| word.eq_ignore_ascii_case(method));
            let reason = match is_http {
                true => Reason::HttpOnControl,
                false if word == b"PROXY" => Reason::ProxyUntrusted,
                false => Reason::UnknownCommand,
            };
            return Err(ParseError { row: None, reason, at: start });
        };
        let argument = rest.strip_prefix(b" ").unwrap_or(rest);
        let error = |reason| ParseError { row: Some(row), reason, at: start + length };
        let blank = argument.iter().all(|b| *b == b' ');
        match (row.shape, blank) {
            (Shape::Required, true) => return Err(error(Reason::ArgumentMissing)),
            (Shape::None, false) => return Err(error(Reason::ArgumentUnexpected)),
            _ => {}
        }
        let argument = if blank { b"" } else { argument };
        argument::read(row.verb, argument).map(|command| (row, command)).map_err(error)
    }

    /// Appends the line as it goes over the wire, with CRLF.
    ///
    /// # Errors
    /// [`Reason::BadName`] if an argument holds a CR, LF or NUL: it would be more than one command;
    /// or a path of COMB that its quotes cannot hold. Nothing is appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Reason> {
        let start = out.len();
        argument::write(self, out);
        let line = out.get(start..).unwrap_or_default();
        let is_one_line = !line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
        if !is_one_line || !argument::is_unambiguous(self) {
            out.truncate(start);
            return Err(Reason::BadName);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// A line as logs may show it: the password of PASS and the account of ACCT left out.
#[derive(Clone, Copy)]
pub struct Redacted<'a>(pub &'a [u8]);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.trim_ascii_start();
        let is_secret = [&b"PASS"[..], b"ACCT"].iter().any(|word| {
            line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        });
        match line.get(..4) {
            Some(word) if is_secret => write!(f, "{} •••", Escaped(word)),
            _ => Escaped(line).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
