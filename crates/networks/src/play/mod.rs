//! The matrix: what is played in a network, and what came of it.
//!
//! How a server or client is told is in their tables, `servers` and `clients`; how results look is in
//! `show`.

pub mod clients;
pub mod errand;
mod gateways;
mod paper;
mod programs;
mod run;
pub mod servers;

use std::time::Duration;

pub use self::gateways::Gateways;
pub use self::paper::Paper;
pub use self::programs::Programs;
pub use self::run::{Order, play};

use crate::address::Family;
use crate::topology::Topology;

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name on the command line and in JSON.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What a word means.
            #[must_use]
            pub fn named(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }
    };
}

words! {
    /// How the data connection is made.
    Mode {
        /// As the client finds best.
        Auto "auto",
        /// Passive, by EPSV.
        Epsv "epsv",
        /// Passive, by PASV.
        Pasv "pasv",
        /// Active, by EPRT.
        Eprt "eprt",
        /// Active, by PORT.
        Port "port",
        /// Active through a hole that the client makes itself.
        Punch "punch",
    }
}

words! {
    /// What TLS protects.
    Protection {
        /// Nothing.
        Plain "plain",
        /// Everything after AUTH TLS, data too.
        Explicit "explicit",
        /// Everything from the first byte.
        Implicit "implicit",
    }
}

words! {
    /// What is transferred.
    Operation {
        /// A listing.
        List "list",
        /// A file to the client.
        Retr "retr",
        /// A file to the server.
        Stor "stor",
    }
}

/// What came of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All bytes arrived as they were sent. In mode auto: by what, where the client tells.
    Works(Option<String>),
    /// They did not.
    Fails {
        /// Why: the name of a reason, or of an exit code where there is none.
        reason: String,
        /// What the client said last.
        said: String,
    },
    /// The client, or the server, has no such thing; the text says what.
    Lacks(&'static str),
}

/// One cell of the matrix.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Where.
    pub topology: Topology,
    /// By which addresses.
    pub family: Family,
    /// Under what protection.
    pub protection: Protection,
    /// By which mode.
    pub mode: Mode,
    /// What.
    pub operation: Operation,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}
