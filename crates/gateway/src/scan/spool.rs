//! Where an upload is kept while it is scanned: a file that has no name and is gone with whoever holds
//! it open.
//!
//! It knows no scanner.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::Arc;

use twoport_net::pump::{CHUNK, Sink, Source};
use twoport_proto::reason::Reason;

/// A new file, open for its maker only.
///
/// # Errors
/// What the system says.
pub(crate) fn create(directory: &Path) -> io::Result<File> {
    tempfile::tempfile_in(directory)
}

/// An upload as it comes in.
pub(crate) struct Spool {
    file: File,
    length: u64,
    limit: u64,
}

/// One that has come to its end.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) file: Arc<File>,
    pub(crate) length: u64,
}

impl Spool {
    pub(crate) const fn new(file: File, limit: u64) -> Self {
        Self { file, length: 0, limit }
    }

    pub(crate) fn held(self) -> Held {
        Held { file: Arc::new(self.file), length: self.length }
    }

    pub(crate) const fn length(&self) -> u64 {
        self.length
    }
}

/// It sees every byte, since it counts them.
impl Sink for Spool {
    type Error = Reason;

    fn take(&mut self, chunk: &[u8]) -> Result<(), Reason> {
        self.length += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        if self.length > self.limit {
            return Err(Reason::UploadTooBig);
        }
        self.file.write_all(chunk).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reason::NoSpace,
            _ => {
                tracing::warn!(target: "twoport", %error, "an upload cannot be kept");
                Reason::LocalError
            }
        })
    }
}

impl Held {
    /// The file anew, from its beginning and to be read only: a scanner changes nothing.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub(crate) fn reopen(&self) -> io::Result<File> {
        File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

/// On its way to the server.
pub(crate) struct Outgoing {
    file: Arc<File>,
    left: u64,
}

impl Outgoing {
    /// # Errors
    /// What the system says.
    pub(crate) fn new(held: &Held) -> io::Result<Self> {
        let file = Arc::clone(&held.file);
        (&*file).rewind()?;
        Ok(Self { file, left: held.length })
    }
}

impl Source for Outgoing {
    type Error = io::Error;

    fn fill(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        let most = self.left.min(u64::try_from(CHUNK).unwrap_or(u64::MAX));
        let read = (&*self.file).take(most).read_to_end(chunk)?;
        self.left -= u64::try_from(read).unwrap_or_default();
        // An end before the last byte would be a shorter file.
        if read == 0 && self.left > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn file(&self) -> Option<(&File, u64)> {
        Some((&self.file, self.left))
    }

    fn passed(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_read_from_its_beginning_and_has_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(create(directory.path()).unwrap(), 8);
        spool.take(b"12345").unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(spool.take(b"6789"), Err(Reason::UploadTooBig));
        let mut spool = Spool::new(create(directory.path()).unwrap(), 8);
        spool.take(b"12345678").unwrap();
        let held = spool.held();
        for _ in 0..2 {
            let mut text = String::new();
            let mut file = held.reopen().unwrap();
            assert!(file.write_all(b"x").is_err(), "a scanner changes nothing");
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "12345678");
        }
        let mut chunk = Vec::new();
        let mut outgoing = Outgoing::new(&held).unwrap();
        outgoing.fill(&mut chunk).unwrap();
        outgoing.fill(&mut chunk).unwrap();
        assert_eq!((chunk.as_slice(), outgoing.left), (&b"12345678"[..], 0));
        held.file.set_len(3).unwrap();
        let mut outgoing = Outgoing::new(&held).unwrap();
        outgoing.fill(&mut Vec::new()).unwrap();
        assert!(outgoing.fill(&mut Vec::new()).is_err(), "a shorter file is none");
    }
}
