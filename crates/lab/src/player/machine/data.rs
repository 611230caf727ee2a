//! The data connection of the machine's stage: two queues of bytes, and the transfer between them
//! and the storage.
//!
//! A download is in the client's hands at once, and over when the client has read it all.

use std::collections::VecDeque;

use twoport_net::pump::{Sink as _, Source};
use twoport_proto::reason::Reason;
use twoport_proto::server::{Input, Outcome, Ticket};
use twoport_server::transfer::{Opened, Receiving};

use super::Machine;
use crate::player::Step;

/// A data connection between client and server.
#[derive(Default)]
pub(crate) struct Connection {
    /// What the client has sent and the server has not taken.
    pub(super) up: Vec<u8>,
    /// What the server has sent and the client has not read.
    pub(crate) down: VecDeque<u8>,
    /// Whether the client has ended its data.
    ended: bool,
    /// Whether the server has closed it.
    pub(crate) closed: bool,
}

/// A transfer while bytes move.
pub(super) enum Moving {
    /// All of it is sent; a listing may have been cut.
    Download { bytes: u64, cut: Option<Reason> },
    /// What came is with the storage.
    Upload { receiving: Box<Receiving>, bytes: u64 },
}

impl Moving {
    pub(super) const fn bytes(&self) -> u64 {
        match self {
            Self::Download { bytes, .. } | Self::Upload { bytes, .. } => *bytes,
        }
    }

    /// It is cut: what came of an upload is kept for resume.
    fn keep(self) {
        if let Self::Upload { receiving, .. } = self {
            receiving.keep();
        }
    }
}

impl Machine {
    /// The effect `Transfer`.
    pub(super) fn transfer(&mut self, ticket: Ticket) {
        let moving = match self.opened.remove(&ticket) {
            Some(Opened::Read(mut reading)) => {
                self.send(&mut reading).map(|bytes| Moving::Download { bytes, cut: None })
            }
            Some(Opened::List(mut rows)) => {
                self.send(&mut *rows).map(|bytes| Moving::Download { bytes, cut: rows.cut() })
            }
            Some(Opened::Write(writing)) => writing
                .begin()
                .map(|receiving| Moving::Upload { receiving: Box::new(receiving), bytes: 0 }),
            None => Err(Reason::LocalError),
        };
        match moving {
            Ok(moving) => {
                self.moving = Some((ticket, moving));
                self.receive();
            }
            Err(reason) => self.done(ticket, Outcome::Broken { reason, bytes: 0 }),
        }
    }

    fn send(&mut self, source: &mut impl Source<Error = Reason>) -> Result<u64, Reason> {
        let mut all = Vec::new();
        loop {
            let mut chunk = Vec::new();
            source.fill(&mut chunk)?;
            if chunk.is_empty() {
                break;
            }
            all.extend(chunk);
        }
        let bytes = all.len() as u64;
        if let Some(data) = &mut self.data {
            data.down.extend(all);
        }
        Ok(bytes)
    }

    /// What the client has sent goes to the storage, and at its end becomes the file.
    pub(super) fn receive(&mut self) {
        let Some((ticket, Moving::Upload { mut receiving, bytes })) =
            self.moving.take_if(is_upload)
        else {
            return;
        };
        let (piece, ended) = match &mut self.data {
            Some(data) => (std::mem::take(&mut data.up), data.ended),
            None => (Vec::new(), false),
        };
        let bytes = bytes + piece.len() as u64;
        if let Err(reason) = receiving.take(&piece) {
            self.done(ticket, Outcome::Broken { reason, bytes });
        } else if !ended {
            self.moving = Some((ticket, Moving::Upload { receiving, bytes }));
            return;
        } else {
            let outcome = match receiving.commit() {
                Ok(()) => Outcome::Moved { bytes, cut: None },
                Err(reason) => Outcome::Broken { reason, bytes },
            };
            self.done(ticket, outcome);
        }
        self.answer();
    }

    /// The client ends its data.
    pub(crate) fn close_data(&mut self) -> Step {
        let data = self.data.as_mut().ok_or("there is no data connection")?;
        data.ended = true;
        self.receive();
        Ok(())
    }

    /// The client has read all there is.
    pub(crate) fn finish_download(&mut self) {
        let is_read = self.data.as_ref().is_none_or(|data| data.down.is_empty());
        let is_download =
            |(_, moving): &mut (Ticket, Moving)| !matches!(moving, Moving::Upload { .. });
        if !is_read {
            return;
        }
        if let Some((ticket, Moving::Download { bytes, cut })) = self.moving.take_if(is_download) {
            self.done(ticket, Outcome::Moved { bytes, cut });
            self.answer();
        }
    }

    /// The transfer breaks.
    pub(crate) fn fail(&mut self, reason: Reason) -> Step {
        let (ticket, moving) = self.moving.take().ok_or("no data move")?;
        let bytes = moving.bytes();
        moving.keep();
        self.done(ticket, Outcome::Broken { reason, bytes });
        self.answer();
        Ok(())
    }

    /// The effect `Cancel`.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        self.opened.remove(&ticket);
        self.dialling = None;
        self.unlisten();
        if let Some((ticket, moving)) = self.moving.take() {
            let bytes = moving.bytes();
            moving.keep();
            self.done(ticket, Outcome::Broken { reason: Reason::Aborted, bytes });
        }
    }

    /// The effect `Unlisten`.
    pub(super) fn unlisten(&mut self) {
        self.listening = None;
        if self.moving.is_none() {
            self.hang_up();
        }
    }

    fn done(&mut self, ticket: Ticket, outcome: Outcome) {
        self.hang_up();
        self.answers.push_back(Input::Done(ticket, outcome));
    }

    fn hang_up(&mut self) {
        if let Some(data) = &mut self.data {
            data.closed = true;
            data.down.clear();
        }
    }
}

fn is_upload((_, moving): &mut (Ticket, Moving)) -> bool {
    matches!(moving, Moving::Upload { .. })
}
