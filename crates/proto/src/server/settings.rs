//! Settings of a session: TYPE, STRU, MODE, OPTS, REST, RANG, ALLO, and who the client says it is.
//!
//! They change nothing but the session.

use super::Core;
use crate::code::Code;
use crate::command::{Command, HashAlgorithm, Opts, Representation};
use crate::list::facts::FactSet;
use crate::reason::Reason;
use alloc::vec::Vec;

/// What the client has set. REIN sets all of it back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) representation: Representation,
    pub(super) restart: u64,
    /// The first and the last byte, both included.
    pub(super) range: Option<(u64, u64)>,
    /// The size of the next upload, as ALLO has told it; 0 where it has not.
    pub(super) announced: u64,
    pub(super) facts: FactSet,
    pub(super) hash: HashAlgorithm,
    pub(super) epsv_all: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            representation: Representation::Ascii,
            restart: 0,
            range: None,
            announced: 0,
            facts: FactSet::DEFAULT,
            hash: HashAlgorithm::Sha256,
            epsv_all: false,
        }
    }
}

impl Settings {
    pub(super) fn is_ascii(&self) -> bool {
        self.representation == Representation::Ascii
    }
}

impl Core {
    /// Handles the verbs of this file; hands others back.
    pub(super) fn set(&mut self, command: Command) -> Option<Command> {
        match command {
            Command::Type(representation) => {
                self.settings.representation = representation;
                self.line(
                    Code::OK,
                    match representation {
                        Representation::Ascii => "Type set to: ASCII.",
                        Representation::Image => "Type set to: Binary.",
                    },
                );
            }
            Command::Stru(_) => self.line(Code::OK, "File transfer structure set to: F."),
            Command::Mode(_) => self.line(Code::OK, "Transfer mode set to: S."),
            // 200, not 202: some cameras take 202 for a failure.
            Command::Allo(size) => {
                self.settings.announced = size.unwrap_or(0);
                self.line(Code::OK, "No storage allocation necessary.");
            }
            Command::Acct(_) => self.line(Code::SUPERFLUOUS, "No account is needed."),
            // RFC 6384 §11: it is for the gateways on the way, and nothing is done.
            Command::Algs(_) => self.line(Code::SUPERFLUOUS, "No gateway translates here."),
            Command::Clnt(_) => self.line(Code::OK, "Noted."),
            Command::Csid(_) => self
                .line(Code::OK, concat!("Name=twoport; Version=", env!("CARGO_PKG_VERSION"), ";")),
            Command::Opts(opts) => self.opts(opts),
            Command::Rest(offset) => self.rest(offset),
            Command::Rang(range) => self.rang(range),
            other => return Some(other),
        }
        None
    }

    fn opts(&mut self, opts: Opts) {
        match opts {
            // 200, not 202: some clients give up at anything else (jlaffaye/ftp#80).
            Opts::Utf8(true) => self.line(Code::OK, "Always in UTF8 mode."),
            Opts::Utf8(false) => self.refuse("OPTS", Reason::Utf8Always),
            Opts::Mlst(names) => {
                let Some(facts) = FactSet::parse_opts(&names) else {
                    return self.refuse("OPTS", Reason::FactsInvalid);
                };
                let facts = facts & FactSet::OFFERED;
                self.settings.facts = facts;
                let mut text = b"MLST OPTS ".to_vec();
                facts.write_selected(&mut text);
                self.line(Code::OK, text);
            }
            Opts::Hash(algorithm) => {
                self.settings.hash = algorithm.unwrap_or(self.settings.hash);
                self.line(Code::OK, self.settings.hash.name());
            }
        }
    }

    /// An offset into converted text means nothing to a file. `REST 1` is taken all the same and
    /// left without effect: LeechFTP asks so, in the type a session begins with, whether a server
    /// can resume at all.
    fn rest(&mut self, offset: u64) {
        if self.settings.is_ascii() && offset > 1 {
            return self.refuse("REST", Reason::RestInAscii);
        }
        self.settings.restart = if self.settings.is_ascii() { 0 } else { offset };
        self.line(Code::PENDING, format_args!("Restarting at position {offset}."));
    }

    fn rang(&mut self, range: Option<(u64, u64)>) {
        if self.settings.is_ascii() && range.is_some() {
            return self.refuse("RANG", Reason::RestInAscii);
        }
        self.settings.range = range;
        match range {
            Some((first, last)) => {
                let text = format_args!("Restarting at {first}. End byte at {last}.");
                self.line(Code::PENDING, text);
            }
            None => self.line(Code::PENDING, "Range is unset."),
        }
    }

    /// The range that RANG or REST set for the next transfer: the first byte and, if it ends
    /// early, how many. It is used up.
    pub(super) fn take_range(&mut self) -> (u64, Option<u64>) {
        let restart = core::mem::take(&mut self.settings.restart);
        match self.settings.range.take() {
            Some((first, last)) => (first, Some((last - first).saturating_add(1))),
            None => (restart, None),
        }
    }

    /// The lines of FEAT that depend on settings.
    pub(super) fn features_set(&self) -> [Vec<u8>; 2] {
        let mut hash = b"HASH ".to_vec();
        for (number, (algorithm, name)) in HashAlgorithm::ALL.iter().enumerate() {
            if number > 0 {
                hash.push(b';');
            }
            hash.extend_from_slice(name.as_bytes());
            if *algorithm == self.settings.hash {
                hash.push(b'*');
            }
        }
        let mut mlst = Vec::new();
        self.settings.facts.write_feat(&mut mlst, FactSet::OFFERED);
        [hash, mlst]
    }
}
