//! The local ends of transfers: files and streams, with TYPE A converted on the way.
//!
//! They run on threads that may block. Names and renames are the callers' matter.

use std::fs::File;
use std::io::{self, Read, Write};

use twoport_net::pump::{CHUNK, Sink, Source};
use twoport_proto::ascii::{Decoder, Encoder};

/// A writer that takes a download.
pub(crate) struct Writer<W> {
    writer: W,
    /// For TYPE A.
    decoder: Option<Decoder>,
    text: Vec<u8>,
    /// The file in it, if it is one.
    file: fn(&W) -> Option<&File>,
}

impl<W: Write + Send + 'static> Writer<W> {
    pub(crate) fn new(writer: W, ascii: bool) -> Self {
        Self { writer, decoder: ascii.then(Decoder::new), text: Vec::new(), file: |_| None }
    }

    /// Writes what the conversion held back.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if let Some(decoder) = &mut self.decoder {
            self.text.clear();
            decoder.finish(&mut self.text);
            self.writer.write_all(&self.text)?;
        }
        self.writer.flush()
    }
}

impl Writer<File> {
    pub(crate) fn of_file(file: File, ascii: bool) -> Self {
        Self { file: |file| Some(file), ..Self::new(file, ascii) }
    }

    pub(crate) fn file(&self) -> &File {
        &self.writer
    }
}

impl<W: Write + Send + 'static> Sink for Writer<W> {
    type Error = io::Error;

    fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
        let Some(decoder) = &mut self.decoder else { return self.writer.write_all(chunk) };
        self.text.clear();
        decoder.decode(chunk, &mut self.text);
        self.writer.write_all(&self.text)
    }

    fn file(&self) -> Option<&File> {
        (self.file)(&self.writer).filter(|_| self.decoder.is_none())
    }
}

/// A reader that gives an upload.
pub(crate) struct Reader<R> {
    reader: R,
    /// For TYPE A.
    encoder: Option<Encoder>,
    text: Vec<u8>,
    /// The file in it, if it is one.
    file: fn(&R) -> Option<&File>,
}

impl<R: Read + Send + 'static> Reader<R> {
    pub(crate) fn new(reader: R, ascii: bool) -> Self {
        Self { reader, encoder: ascii.then(Encoder::new), text: Vec::new(), file: |_| None }
    }
}

impl Reader<File> {
    pub(crate) fn of_file(file: File, ascii: bool) -> Self {
        Self { file: |file| Some(file), ..Self::new(file, ascii) }
    }
}

impl<R: Read + Send + 'static> Source for Reader<R> {
    type Error = io::Error;

    fn fill(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        let Some(encoder) = &mut self.encoder else {
            return (&mut self.reader).take(CHUNK as u64).read_to_end(chunk).map(|_| ());
        };
        self.text.clear();
        (&mut self.reader).take(CHUNK as u64).read_to_end(&mut self.text)?;
        encoder.encode(&self.text, chunk);
        Ok(())
    }

    fn file(&self) -> Option<(&File, u64)> {
        let file = (self.file)(&self.reader).filter(|_| self.encoder.is_none())?;
        Some((file, u64::MAX))
    }
}

/// A listing, in memory up to a limit.
pub(crate) struct Memory {
    pub(crate) bytes: Vec<u8>,
    pub(crate) limit: usize,
}

impl Sink for Memory {
    type Error = io::Error;

    fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
        if self.bytes.len().saturating_add(chunk.len()) > self.limit {
            return Err(io::Error::other("the listing is longer than listing-limit allows"));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}
