//! What a job opened, as the pump moves it: files read and written, listings.
//!
//! It touches no target before the pump asks for the first byte: the data connection is up by then.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use twoport_net::clock;
use twoport_net::control::Outlook;
use twoport_net::pump;
use twoport_proto::ascii::{Decoder, Encoder};
use twoport_proto::path::VirtualPath;
use twoport_proto::reason::Reason;
use twoport_proto::server::Upload;
use twoport_proto::time::Time;

use crate::listing::Rows;
use crate::storage::{self, Coming, Medium, Storage};
use crate::world::reason;

/// What a job opened under its ticket.
pub enum Opened {
    /// A file for RETR.
    Read(Reading),
    /// A target for STOR, APPE or STOU, as yet untouched.
    Write(Writing),
    /// A listing; boxed, since each session has room for what is opened.
    List(Box<Rows>),
}

impl Opened {
    /// Whether text is converted on the way.
    #[must_use]
    pub const fn is_ascii(&self) -> bool {
        match self {
            Self::Read(reading) => reading.encoder.is_some(),
            Self::Write(writing) => writing.ascii,
            Self::List(_) => true,
        }
    }
}

/// A file on its way out.
pub struct Reading {
    source: Box<dyn storage::Source>,
    left: u64,
    encoder: Option<Encoder>,
    raw: Vec<u8>,
}

impl Reading {
    /// The rest of `source`, or `length` bytes of it; in TYPE A as text of the network.
    #[must_use]
    pub fn new(source: Box<dyn storage::Source>, length: Option<u64>, ascii: bool) -> Self {
        let encoder = ascii.then(Encoder::new);
        Self { source, left: length.unwrap_or(u64::MAX), encoder, raw: Vec::new() }
    }

    /// Whether it is sent in one go, where it lies in memory.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.encoder.is_none() && self.left.min(self.source.size()) < pump::SHORT as u64
    }

    /// Appends the next bytes of the file to `out`.
    fn read(&mut self, out: &mut Vec<u8>, most: usize) -> Result<(), Reason> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(most);
        let mut filled = 0;
        while filled < most {
            match self.source.append(out, most - filled) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) => return Err(reason(&error)),
            }
        }
        self.left -= filled as u64;
        Ok(())
    }
}

impl pump::Source for Reading {
    type Error = Reason;

    fn fill(&mut self, chunk: &mut Vec<u8>) -> Result<(), Reason> {
        let Some(mut encoder) = self.encoder.take() else {
            return self.read(chunk, pump::CHUNK);
        };
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        self.read(&mut raw, pump::CHUNK)?;
        encoder.encode(&raw, chunk);
        self.encoder = Some(encoder);
        self.raw = raw;
        Ok(())
    }

    fn is_in_memory(&self) -> bool {
        self.source.is_in_memory()
    }

    fn file(&self) -> Option<(&File, u64)> {
        if self.encoder.is_some() {
            return None;
        }
        self.source.as_file().map(|file| (file, self.left))
    }

    fn passed(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }
}

/// Where an upload will go.
pub struct Writing {
    /// The account's files.
    pub storage: Arc<dyn Storage>,
    /// The target.
    pub path: VirtualPath,
    /// How what is there is treated.
    pub how: Upload,
    /// Whether the text of the network is converted.
    pub ascii: bool,
    /// How many bytes the client has announced.
    pub size: Option<u64>,
    /// What is written to, as far as is known.
    pub medium: Medium,
    /// Begins the upload where it was prepared with what was found when it was checked.
    pub prepared: Option<storage::Begin>,
    /// Whether the end of the data is waited with.
    pub careful: bool,
}

impl Writing {
    /// Opens the target: the data connection is up.
    ///
    /// # Errors
    /// What the storage says, now that it is asked in earnest.
    pub fn begin(self) -> Result<Receiving, Reason> {
        let mut receiving = self.expect(None, false);
        receiving.open().map(|()| receiving)
    }

    /// Opens the target when the first bytes are there: the data connection is up. What came
    /// without a pause is committed at its end, unless there is `news` on the control connection.
    /// Under TLS the end of the data is `proven`.
    #[must_use]
    pub fn expect(self, news: Option<Outlook>, proven: bool) -> Receiving {
        let decoder = self.ascii.then(Decoder::new);
        Receiving {
            medium: self.medium,
            least: if self.careful { SETTLING } else { Duration::ZERO },
            left: self.size,
            target: Some(self),
            sink: None,
            decoder,
            text: Vec::new(),
            began: clock::now(),
            has_come: false,
            flushing: Duration::ZERO,
            news,
            coming: Coming::Slowly,
            is_settled: proven,
            is_stored: false,
        }
    }
}

/// How long the end of an upload in clear waits at least for the end of the control connection: the
/// kernel of a killed client closes one connection right after the other, the last opened first. (Under
/// TLS the end is proven.) Origin: a tick of a kernel with 250 of them in a second is 4 ms; a flush to
/// the disk takes as long.
const SETTLING: Duration = Duration::from_millis(5);

/// The part of a long upload's own time that it waits, and the longest: who kills a client does it at
/// any moment, and so hits an upload the more likely the longer it lasts. Origin: with 25 processes at
/// work on 2 cores a killed client was seen to get no core for more than 5 ms between its two closes.
const SETTLING_LONG: (u32, Duration) = (16, Duration::from_millis(50));

/// Shorter than that nothing is waited. Origin: the clock of the runtime ticks in ms.
const TICK: Duration = Duration::from_millis(1);

/// A file on its way in. Dropped before it is committed or kept, it leaves nothing.
pub struct Receiving {
    /// There until it is opened.
    target: Option<Writing>,
    sink: Option<Box<dyn storage::Sink>>,
    medium: Medium,
    decoder: Option<Decoder>,
    text: Vec<u8>,
    /// When the first bytes came; the transfer, if none have.
    began: Time,
    has_come: bool,
    flushing: Duration,
    /// How many of the bytes that were announced are still to come.
    left: Option<u64>,
    /// How long the end of the data is waited with at least.
    least: Duration,
    news: Option<Outlook>,
    coming: Coming,
    /// Whether the end of the data is known to be that of the file.
    is_settled: bool,
    is_stored: bool,
}

impl Receiving {
    fn open(&mut self) -> Result<(), Reason> {
        let Some(target) = self.target.take() else { return Ok(()) };
        let begun = match target.prepared {
            Some(begin) => begin(self.coming),
            None => target.storage.begin_upload(&target.path, target.how),
        };
        self.sink = Some(begun.map_err(|error| reason(&error))?);
        Ok(())
    }

    /// How long the end of the data is still to be waited with, if it came now.
    #[must_use]
    pub fn settling(&self) -> Duration {
        // As many as were announced: that is the whole of it.
        if self.is_settled || self.left == Some(0) {
            return Duration::ZERO;
        }
        let took = clock::now().since(self.began).saturating_sub(self.flushing);
        let (part, longest) = SETTLING_LONG;
        let whole = (took / part).clamp(self.least, longest).saturating_sub(self.flushing);
        if whole < TICK { Duration::ZERO } else { whole }
    }

    /// Whether it is the file already.
    #[must_use]
    pub const fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// Makes what was received the file, durably.
    ///
    /// # Errors
    /// What the storage says; the old file is whole then.
    pub fn commit(mut self) -> Result<(), Reason> {
        self.store()
    }

    fn store(&mut self) -> Result<(), Reason> {
        self.open()?;
        if let Some(mut decoder) = self.decoder.take() {
            self.text.clear();
            decoder.finish(&mut self.text);
            let text = std::mem::take(&mut self.text);
            self.write(&text)?;
        }
        match self.sink.take() {
            Some(sink) => sink.commit().map(drop).map_err(|error| reason(&error)),
            None => Err(Reason::LocalError),
        }
    }

    /// Gives up, but keeps what came for resume; after a conversion there is nothing to resume.
    pub fn keep(mut self) {
        let Some(sink) = self.sink.take() else { return };
        if let Err(error) = sink.abandon(self.decoder.is_none()) {
            tracing::warn!(target: "twoport::storage", %error, "a cut upload was not kept");
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        let Some(sink) = &mut self.sink else { return Err(Reason::LocalError) };
        let Err(error) = sink.write(bytes) else { return Ok(()) };
        // Nothing of it is worth keeping: a disk that is full stays full.
        if let Some(sink) = self.sink.take() {
            let _nothing_kept = sink.abandon(false);
        }
        Err(reason(&error))
    }
}

impl pump::Sink for Receiving {
    type Error = Reason;

    fn comes(&mut self) {
        if !std::mem::replace(&mut self.has_come, true) {
            self.began = clock::now();
        }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), Reason> {
        self.comes();
        // More than was announced proves nothing any more.
        self.left = self.left.and_then(|left| left.checked_sub(chunk.len() as u64));
        self.open()?;
        let Some(decoder) = &mut self.decoder else { return self.write(chunk) };
        self.text.clear();
        decoder.decode(chunk, &mut self.text);
        let text = std::mem::take(&mut self.text);
        let written = self.write(&text);
        self.text = text;
        written
    }

    /// Makes what was received durable, and what came without a pause the file.
    fn end(&mut self) -> Result<(), Reason> {
        self.open()?;
        let began = clock::now();
        if let Some(sink) = &mut self.sink {
            sink.flush().map_err(|error| reason(&error))?;
        }
        self.flushing = clock::now().since(began);
        let is_sure = self.news.as_ref().is_some_and(|news| !news.has_news());
        if is_sure && self.settling().is_zero() {
            self.store()?;
            self.is_stored = true;
        }
        Ok(())
    }

    /// A flush to a disk takes its part of the time, so that what is left of it is waited behind that.
    fn hesitates(&mut self, at_hand: usize) -> Duration {
        self.coming = Coming::AtOnce;
        let is_careful = !self.least.is_zero();
        if is_careful && self.medium == Medium::Disk {
            return Duration::ZERO;
        }
        let is_whole = self.left == Some(at_hand as u64);
        let hesitates = if is_careful && !is_whole { self.settling() } else { Duration::ZERO };
        self.is_settled = true;
        hesitates
    }

    fn is_unseen(&self) -> bool {
        let how = self.target.as_ref().map(|target| target.how);
        matches!(how, Some(Upload::Replace { .. } | Upload::Unique))
    }

    fn is_at_once(&self) -> bool {
        self.medium == Medium::Memory
    }

    fn file(&self) -> Option<&File> {
        self.sink.as_ref().filter(|_| self.decoder.is_none())?.as_file()
    }
}

#[cfg(test)]
mod tests;
