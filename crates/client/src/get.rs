//! Downloads: to a part, checked, then renamed; or into a stream.
//!
//! How it is transferred is decided in `data`; what a part is, in `resume`.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use twoport_net::pump::Progress;
use twoport_proto::client::transfer::{Direction, Verdict};
use twoport_proto::command::{Command, Representation};
use twoport_proto::path::FtpPath;
use twoport_proto::reason::Reason;
use twoport_proto::text::escape;
use twoport_proto::time::Timestamp;

use crate::data::{Job, Moved, Receive, blocking};
use crate::error::{Class, Error};
use crate::local::Writer;
use crate::report::{Outcome, Report};
use crate::resume::{Note, Parts};
use crate::session::Session;

/// How a file is downloaded.
#[derive(Clone, Debug)]
pub struct GetOptions {
    /// Go on with the part of an earlier download, if the remote file is still the same.
    pub resume: bool,
    /// TYPE I, or A for a text whose lines are converted.
    pub representation: Representation,
    /// Give the local file the date of the remote one. Default yes.
    pub keep_date: bool,
    /// Counts the bytes while they come.
    pub progress: Progress,
    /// Length and date if a listing has told them: they are not asked for again.
    pub known: Option<(Option<u64>, Option<Timestamp>)>,
}

impl Default for GetOptions {
    fn default() -> Self {
        Self {
            resume: false,
            representation: Representation::Image,
            keep_date: true,
            progress: Progress::default(),
            known: None,
        }
    }
}

impl Session {
    /// Downloads a file to `local`. Under that name there is always a whole file.
    ///
    /// # Errors
    /// The part stays for [`GetOptions::resume`] if data are missing.
    pub async fn get(
        &mut self,
        remote: &FtpPath,
        local: &Path,
        options: &GetOptions,
    ) -> Result<Report, Error> {
        self.set_type(options.representation).await?;
        let (size, modified) = self.known(remote, options).await?;
        let note = Note::new(&self.origin(), &remote.0, size, modified);
        let parts = parts(local).await?;
        let (mut at, mut restarted) = resume_point(&parts, &note, size, options).await;
        loop {
            if at > 0 && size == Some(at) {
                // The last byte came, only the end was lost.
                let outcome = Outcome::Confirmed;
                let (warning, step) = (None, None);
                let report = Report { outcome, bytes: 0, resumed_at: at, step, warning, restarted };
                return self.commit(parts, modified, options, report).await;
            }
            let moved = self.retrieve(remote, &parts, &note, at, options).await?;
            if at > 0 && moved.outcome.verdict == Verdict::Refused(Reason::RestartRefused) {
                (at, restarted) = (0, Some(Reason::RestartRefused));
                continue;
            }
            let step = Some(moved.step);
            let moved = finish(local, &parts, moved, options).await?;
            let outcome = judge(remote, &parts, &moved)?;
            let bytes = moved.outcome.bytes;
            let warning = moved.outcome.warning;
            let report = Report { outcome, bytes, resumed_at: at, step, warning, restarted };
            return self.commit(parts, modified, options, report).await;
        }
    }

    /// Downloads into a writer, such as standard output. What was written before an error stays.
    ///
    /// # Errors
    /// As for [`get`](Self::get), but nothing can be resumed.
    pub async fn get_to<W: Write + Send + 'static>(
        &mut self,
        remote: &FtpPath,
        writer: W,
        options: &GetOptions,
    ) -> Result<Report, Error> {
        self.set_type(options.representation).await?;
        let (size, _) = self.known(remote, options).await?;
        let ascii = options.representation == Representation::Ascii;
        let writer = Shared(Arc::new(Mutex::new(writer)));
        let open = move || Ok(Receive(Writer::new(writer.clone(), ascii)));
        let moved = self.transfer(&job(remote, 0, size, options), open).await?;
        let subject = || escape(&remote.0);
        let local = |error| Error::local("the output", error);
        if let Some(error) = moved.local {
            return Err(local(error));
        }
        if let Some(mut writer) = moved.back {
            blocking(move || writer.finish()).await.map_err(local)?;
        }
        let outcome = match moved.outcome.verdict {
            Verdict::Confirmed => Outcome::Confirmed,
            Verdict::Unconfirmed(reason) => Outcome::Unconfirmed(reason),
            Verdict::Truncated(reason) => {
                return Err(truncated(subject(), reason).answered(moved.outcome.reply));
            }
            Verdict::Refused(reason) => {
                return Err(Error::why(subject(), reason, moved.outcome.reply));
            }
        };
        let step = Some(moved.step);
        let bytes = moved.outcome.bytes;
        let warning = moved.outcome.warning;
        Ok(Report { outcome, bytes, resumed_at: 0, step, warning, restarted: None })
    }

    /// Length and date. A length means something in TYPE I only.
    async fn known(
        &mut self,
        remote: &FtpPath,
        options: &GetOptions,
    ) -> Result<(Option<u64>, Option<Timestamp>), Error> {
        let (size, modified) = match options.known {
            Some(known) => known,
            None => {
                let ascii = options.representation == Representation::Ascii;
                let size = if ascii { None } else { self.size(remote).await? };
                let dated = options.keep_date || options.resume;
                (size, if dated { self.modified(remote).await? } else { None })
            }
        };
        Ok((size.filter(|_| options.representation == Representation::Image), modified))
    }

    async fn retrieve(
        &mut self,
        remote: &FtpPath,
        parts: &Parts,
        note: &Note,
        at: u64,
        options: &GetOptions,
    ) -> Result<Moved<Writer<std::fs::File>>, Error> {
        let ascii = options.representation == Representation::Ascii;
        let job = job(remote, at, note.size, options);
        let (parts, note) = (parts.clone(), note.clone());
        let open = move || Ok(Receive(Writer::of_file(parts.open(&note, at)?, ascii)));
        self.transfer(&job, open).await
    }

    async fn commit(
        &self,
        parts: Parts,
        modified: Option<Timestamp>,
        options: &GetOptions,
        report: Report,
    ) -> Result<Report, Error> {
        let durable = self.config.durable;
        let modified = modified.filter(|_| options.keep_date);
        let subject = parts.target.display().to_string();
        let commit = blocking(move || parts.commit(modified, durable)).await;
        commit.map_err(|error| Error::local(subject, error)).map(|()| report)
    }
}

fn job(remote: &FtpPath, restart: u64, size: Option<u64>, options: &GetOptions) -> Job {
    Job {
        command: Command::Retr(remote.clone()),
        direction: Direction::Download,
        restart,
        size,
        progress: options.progress.clone(),
    }
}

/// The names beside a target; what is no place for a file is refused before anything is sent.
async fn parts(local: &Path) -> Result<Parts, Error> {
    let subject = || local.display().to_string();
    let target = local.to_owned();
    let found = blocking(move || {
        if target.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        Parts::of(&target).ok_or_else(|| io::ErrorKind::InvalidFilename.into())
    });
    found.await.map_err(|error| Error::local(subject(), error))
}

async fn resume_point(
    parts: &Parts,
    note: &Note,
    size: Option<u64>,
    options: &GetOptions,
) -> (u64, Option<Reason>) {
    // An offset into converted text means nothing to a file.
    if !options.resume || options.representation == Representation::Ascii {
        return (0, None);
    }
    let (parts, note) = (parts.clone(), note.clone());
    match blocking(move || Ok(parts.resumable(&note))).await {
        Ok(Ok(length)) if size.is_none_or(|size| length <= size) => (length, None),
        Ok(Err(false)) => (0, None),
        _ => (0, Some(Reason::RemoteChanged)),
    }
}

/// The last bytes of a conversion, and the local errors.
async fn finish(
    local: &Path,
    parts: &Parts,
    mut moved: Moved<Writer<std::fs::File>>,
    options: &GetOptions,
) -> Result<Moved<()>, Error> {
    let error = |error| Error::local(local.display().to_string(), error);
    if let Some(failure) = moved.local {
        return Err(error(failure));
    }
    let written = match moved.back.take() {
        Some(mut writer) => {
            let finished = blocking(move || {
                writer.finish()?;
                writer.file().metadata().map(|metadata| metadata.len())
            });
            Some(finished.await.map_err(error)?)
        }
        None => {
            let parts = parts.clone();
            blocking(move || Ok(parts.length())).await.map_err(error)?
        }
    };
    let image = options.representation == Representation::Image;
    if image && written.is_some_and(|written| written < moved.outcome.bytes) {
        return Err(error(io::Error::other("not all of the data reached the file: try again")));
    }
    let Moved { outcome, step, .. } = moved;
    Ok(Moved { outcome, step, back: None, local: None })
}

/// Whether what came may have its name.
fn judge(remote: &FtpPath, parts: &Parts, moved: &Moved<()>) -> Result<Outcome, Error> {
    let subject = escape(&remote.0);
    let reply = || moved.outcome.reply.clone();
    match moved.outcome.verdict {
        Verdict::Confirmed => Ok(Outcome::Confirmed),
        Verdict::Unconfirmed(reason) if moved.outcome.complete => Ok(Outcome::Unconfirmed(reason)),
        Verdict::Unconfirmed(reason) => {
            let subject = format!("{subject}: kept as {}", parts.part.display());
            Err(Error::new(Class::Unconfirmed, subject).because(reason).answered(reply()))
        }
        Verdict::Truncated(reason) => Err(truncated(subject, reason).answered(reply())),
        Verdict::Refused(reason) => {
            // Only a part that holds something is worth keeping.
            if parts.length() == Some(0) {
                parts.remove();
            }
            Err(Error::why(subject, reason, reply()))
        }
    }
}

/// A server that stalls has not truncated, and a lost connection is told as one: the classes say
/// what to do about it.
pub(crate) fn truncated(subject: String, reason: Reason) -> Error {
    let class = if reason == Reason::DataStalled { Class::Timeout } else { Class::Truncated };
    Error::new(class, subject).because(reason)
}

/// A writer that can be opened again for another step of the ladder.
struct Shared<W>(Arc<Mutex<W>>);

impl<W> Clone for Shared<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Write> Write for Shared<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}
