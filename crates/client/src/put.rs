//! Uploads: a whole file, or the rest of one that the server holds in part.
//!
//! Whether the server keeps an old file until the new one is whole is the server's matter.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use twoport_net::pump::Progress;
use twoport_proto::client::transfer::{Direction, Verdict};
use twoport_proto::command::{Command, Representation};
use twoport_proto::path::FtpPath;
use twoport_proto::reason::Reason;
use twoport_proto::text::escape;

use crate::data::{Job, Moved, Transmit, blocking};
use crate::error::{Class, Error};
use crate::get::truncated;
use crate::local::Reader;
use crate::report::{Outcome, Report};
use crate::session::Session;

/// How a file is uploaded.
#[derive(Clone, Debug, Default)]
pub struct PutOptions {
    /// Send only what the server does not have yet: by its SIZE, with REST, else with APPE. The
    /// bytes that are there are not compared.
    pub resume: bool,
    /// TYPE A converts the lines of a text. Default: TYPE I.
    pub ascii: bool,
    /// Make the directories above the target first.
    pub make_directories: bool,
    /// Counts the bytes while they go.
    pub progress: Progress,
}

/// Where a resumed upload goes on.
#[derive(Clone, Copy)]
enum Resume {
    No,
    /// REST, then STOR.
    Restart(u64),
    /// APPE: for servers that refuse REST.
    Append(u64),
}

impl Resume {
    const fn at(self) -> u64 {
        match self {
            Self::No => 0,
            Self::Restart(at) | Self::Append(at) => at,
        }
    }
}

impl Session {
    /// Uploads a file.
    ///
    /// # Errors
    /// The local file cannot be read, the server refused, or not all of it arrived.
    pub async fn put(
        &mut self,
        local: &Path,
        remote: &FtpPath,
        options: &PutOptions,
    ) -> Result<Report, Error> {
        let length = length(local).await?;
        self.set_type(representation(options)).await?;
        if options.make_directories {
            self.make_parents(remote).await?;
        }
        let mut resume = self.resume_put(remote, length, options).await?;
        if resume.at() > 0 && resume.at() == length {
            let outcome = Outcome::Confirmed;
            let (resumed_at, step, warning, restarted) = (length, None, None, None);
            return Ok(Report { outcome, bytes: 0, resumed_at, step, warning, restarted });
        }
        let mut moved = self.store_file(local, remote, resume, options).await?;
        let refused = Verdict::Refused(Reason::RestartRefused);
        if matches!(resume, Resume::Restart(_)) && moved.outcome.verdict == refused {
            resume = Resume::Append(resume.at());
            moved = self.store_file(local, remote, resume, options).await?;
        }
        if let Some(error) = moved.local.take() {
            return Err(Error::local(local.display().to_string(), error));
        }
        let expected = (!options.ascii).then_some(length);
        self.confirm_put(remote, moved, resume.at(), expected).await
    }

    /// Uploads what a reader gives, such as standard input.
    ///
    /// # Errors
    /// As for [`put`](Self::put); nothing can be resumed.
    pub async fn put_from<R: Read + Send + 'static>(
        &mut self,
        reader: R,
        remote: &FtpPath,
        options: &PutOptions,
    ) -> Result<Report, Error> {
        self.set_type(representation(options)).await?;
        if options.make_directories {
            self.make_parents(remote).await?;
        }
        let ascii = options.ascii;
        let reader = Shared(Arc::new(Mutex::new(reader)));
        let open = move || Ok(Transmit(Reader::new(reader.clone(), ascii)));
        let mut moved = self.transfer(&job(remote, Resume::No, options), open).await?;
        if let Some(error) = moved.local.take() {
            return Err(Error::local("the input", error));
        }
        let sent = moved.outcome.bytes;
        self.confirm_put(remote, moved, 0, (!ascii).then_some(sent)).await
    }

    async fn make_parents(&mut self, remote: &FtpPath) -> Result<(), Error> {
        let slash = remote.0.iter().rposition(|&b| b == b'/');
        let above = slash.and_then(|slash| remote.0.get(..slash)).unwrap_or_default();
        self.make_directories(&FtpPath::from(above)).await
    }

    async fn resume_put(
        &mut self,
        remote: &FtpPath,
        length: u64,
        options: &PutOptions,
    ) -> Result<Resume, Error> {
        if !options.resume || options.ascii {
            return Ok(Resume::No);
        }
        let there = self.size(remote).await?.filter(|there| (1..=length).contains(there));
        Ok(there.map_or(Resume::No, Resume::Restart))
    }

    async fn store_file(
        &mut self,
        local: &Path,
        remote: &FtpPath,
        resume: Resume,
        options: &PutOptions,
    ) -> Result<Moved<Reader<File>>, Error> {
        let (path, ascii): (PathBuf, bool) = (local.to_owned(), options.ascii);
        let open = move || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(resume.at()))?;
            Ok(Transmit(Reader::of_file(file, ascii)))
        };
        self.transfer(&job(remote, resume, options), open).await
    }

    /// An upload that was not confirmed, or that was pieced together, is compared by its length.
    async fn confirm_put<B>(
        &mut self,
        remote: &FtpPath,
        moved: Moved<B>,
        at: u64,
        expected: Option<u64>,
    ) -> Result<Report, Error> {
        let subject = escape(&remote.0);
        let outcome = match moved.outcome.verdict {
            Verdict::Confirmed => Outcome::Confirmed,
            Verdict::Unconfirmed(reason) => Outcome::Unconfirmed(reason),
            Verdict::Truncated(reason) => {
                return Err(truncated(subject, reason).answered(moved.outcome.reply));
            }
            Verdict::Refused(reason) => {
                return Err(Error::why(subject, reason, moved.outcome.reply));
            }
        };
        if (outcome != Outcome::Confirmed || at > 0)
            && self.wire.conversation.closed().is_none()
            && let (Some(there), Some(expected)) = (self.size(remote).await?, expected)
            && there != expected
        {
            let subject = format!("{subject}: {there} of {expected} bytes");
            return Err(Error::new(Class::Truncated, subject).because(Reason::LengthShort));
        }
        let (bytes, step) = (moved.outcome.bytes, Some(moved.step));
        let warning = moved.outcome.warning;
        Ok(Report { outcome, bytes, resumed_at: at, step, warning, restarted: None })
    }
}

fn job(remote: &FtpPath, resume: Resume, options: &PutOptions) -> Job {
    let (command, restart) = match resume {
        Resume::No => (Command::Stor(remote.clone()), 0),
        Resume::Restart(at) => (Command::Stor(remote.clone()), at),
        Resume::Append(_) => (Command::Appe(remote.clone()), 0),
    };
    let progress = options.progress.clone();
    Job { command, direction: Direction::Upload, restart, size: None, progress }
}

const fn representation(options: &PutOptions) -> Representation {
    if options.ascii { Representation::Ascii } else { Representation::Image }
}

/// The length of a local file; what is none is refused before anything is sent.
async fn length(local: &Path) -> Result<u64, Error> {
    let path = local.to_owned();
    let found = blocking(move || {
        let metadata = std::fs::metadata(&path)?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        File::open(&path).map(|_| metadata.len())
    });
    found.await.map_err(|error| Error::local(local.display().to_string(), error))
}

/// A reader that can be opened again for another step of the ladder, as long as nothing was read.
struct Shared<R>(Arc<Mutex<R>>);

impl<R> Clone for Shared<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Read> Read for Shared<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(bytes)
    }
}
