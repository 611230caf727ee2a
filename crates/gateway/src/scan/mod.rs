//! Scanners of uploads: whom an upload is shown to before its server hears of it, and what counts as
//! an answer.
//!
//! What becomes of an upload is the relay machine's to say.

mod command;
mod icap;
pub(crate) mod spool;
pub(crate) mod upload;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use twoport_proto::reason::Reason;
use twoport_proto::relay::{Subject, Verdict};

pub use self::command::CommandScanner;
pub use self::icap::IcapScanner;
use self::spool::Held;

/// One that looks at uploads.
#[derive(Debug)]
pub enum Scanner {
    /// A program.
    Command(CommandScanner),
    /// An ICAP service.
    Icap(IcapScanner),
}

/// How uploads are scanned.
#[derive(Debug)]
pub struct Scanning {
    scanners: Vec<Scanner>,
    max_size: u64,
    patience: Duration,
    directory: PathBuf,
    turns: Semaphore,
}

/// What has come of an upload.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    /// With the scanner's name for it.
    Something(Vec<u8>),
    Unscanned(Reason),
    Broken(Reason),
}

impl Found {
    pub(crate) fn verdict(&self) -> Verdict<'_> {
        match self {
            Self::Nothing => Verdict::Clean,
            Self::Something(name) => Verdict::Infected(name),
            Self::Unscanned(reason) => Verdict::Unscanned(*reason),
            Self::Broken(reason) => Verdict::Broken(*reason),
        }
    }
}

/// What scanners are told besides the content.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) subject: Subject,
    pub(crate) client: IpAddr,
    pub(crate) server: SocketAddr,
}

impl Scanning {
    /// Each upload of at most `max_size` bytes is kept in a file without a name in `directory` until
    /// all `scanners` have had their say, each within `patience`; at most `jobs` at a time are scanned.
    #[must_use]
    pub fn new(
        scanners: Vec<Scanner>,
        max_size: u64,
        patience: Duration,
        directory: PathBuf,
        jobs: usize,
    ) -> Self {
        Self { scanners, max_size, patience, directory, turns: Semaphore::new(jobs) }
    }

    /// Whether files can be made in the directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn examine(&self) -> io::Result<()> {
        spool::create(&self.directory).map(drop)
    }

    /// Shows an upload to all of them: what one has found is found, whatever the others say.
    async fn scan(&self, held: &Held, about: &About) -> Found {
        // It is never closed.
        let Ok(_turn) = self.turns.acquire().await else {
            return Found::Unscanned(Reason::ScanFailed);
        };
        let mut found = Found::Nothing;
        for scanner in &self.scanners {
            let answer = async {
                match scanner {
                    Scanner::Command(command) => command.scan(held, about).await,
                    Scanner::Icap(icap) => icap.scan(held, about).await,
                }
            };
            let (reason, error) = match timeout(self.patience, answer).await {
                Ok(Ok(None)) => continue,
                Ok(Ok(Some(name))) => return Found::Something(name),
                Ok(Err(error)) => (Reason::ScanFailed, error),
                Err(_) => (Reason::ScanTimeout, io::ErrorKind::TimedOut.into()),
            };
            found = Found::Unscanned(reason);
            let client = about.client;
            tracing::warn!(target: "twoport", %client, %scanner, %error, reason = reason.id(), "scanner");
        }
        found
    }
}

impl std::fmt::Display for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command(command) => write!(f, "{}", command.program.display()),
            Self::Icap(icap) => write!(f, "{icap}"),
        }
    }
}
