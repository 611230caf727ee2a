//! The control connection: one command outstanding, its reply, and a ledger of replies nobody asked for.
//!
//! It does not decide what a reply means for a login or a transfer: see the machines beside it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::replies::{self, ReplyReader};
use crate::code::{Class, Code};
use crate::command::Command;
use crate::reason::Reason;
use crate::reply::Reply;
use crate::time::Time;

/// What a conversation is told.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Send this. The machine above sends one at a time.
    Command(&'a Command),
    /// Bytes came.
    Bytes(&'a [u8]),
    /// TLS begins now: what came behind the last reply came in clear, from whomever.
    Secure,
    /// The peer closed, or the network broke the connection.
    Eof,
    /// The deadline is reached.
    Timer,
}

/// What a conversation wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write these bytes, in one write: some boxes in the network read no command that comes in
    /// two segments.
    Send(Vec<u8>),
    /// A reply to the command; for a transfer a 1yz may come first. Before the first command it is
    /// the greeting.
    Reply(Reply),
    /// A reply that belongs to no command: shown, not acted upon.
    Stray(Reply),
    /// No reply will come: why. The conversation is over.
    Lost(Reason),
}

/// How long to wait for replies.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the greeting.
    pub greeting: Duration,
    /// For the reply to a command that moves no data.
    pub reply: Duration,
}

/// The client's end of a control connection.
#[derive(Debug)]
pub struct Conversation {
    reader: ReplyReader,
    pending: Option<Pending>,
    /// A reply that looks like the second end of the last transfer; it is the answer only if no
    /// other comes within the grace time.
    parked: Option<(Reply, Time)>,
    /// Whether a transfer was begun: only then can its replies come late or twice.
    transferred: bool,
    closed: Option<Reason>,
    round_trip: Duration,
    patience: Patience,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    expect: Expect,
    since: Time,
    deadline: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Greeting,
    /// One reply, and no 1yz.
    Final {
        /// Whether 250 is one of its good answers.
        file_action: bool,
    },
    /// A 1yz, then a final reply; the deadlines are those of the transfer.
    Transfer,
    /// As `Final`, to ABOR: 225, 226 and 426 answer it.
    Abort,
}

impl Conversation {
    /// A connection that is just up. `round_trip` is how long that took.
    #[must_use]
    pub fn new(now: Time, round_trip: Duration, patience: Patience) -> Self {
        let mut reader = ReplyReader::default();
        reader.set_grace(replies::grace(round_trip));
        let deadline = Some(now.after(patience.greeting));
        Self {
            reader,
            pending: Some(Pending { expect: Expect::Greeting, since: now, deadline }),
            parked: None,
            transferred: false,
            closed: None,
            round_trip,
            patience,
            effects: VecDeque::new(),
        }
    }

    /// The shortest time seen between a command and its reply.
    #[must_use]
    pub const fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Why no command can be sent any more, if so.
    #[must_use]
    pub const fn closed(&self) -> Option<Reason> {
        self.closed
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Time, input: Input<'_>) {
        match input {
            Input::Command(command) => self.send(now, command),
            Input::Bytes(bytes) => {
                self.reader.push(now, bytes);
                self.read(now);
            }
            Input::Secure => self.secure(),
            Input::Eof => self.eof(now),
            Input::Timer => {
                self.read(now);
                self.timer(now);
            }
        }
    }

    /// The next effect.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to be woken.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let parked = self.parked.as_ref().map(|(_, until)| *until);
        let pending = self.pending.and_then(|pending| pending.deadline);
        let reader = self.pending.and_then(|_| self.reader.deadline());
        [parked, pending, reader].into_iter().flatten().min()
    }

    fn send(&mut self, now: Time, command: &Command) {
        if let Some(reason) = self.closed {
            self.effects.push_back(Effect::Lost(reason));
            return;
        }
        let mut line = Vec::new();
        if let Err(reason) = command.encode(&mut line) {
            self.effects.push_back(Effect::Lost(reason));
            return;
        }
        let expect = expect(command);
        let waits = expect != Expect::Transfer;
        self.transferred |= !waits;
        let deadline = waits.then(|| now.after(self.patience.reply));
        self.pending = Some(Pending { expect, since: now, deadline });
        self.effects.push_back(Effect::Send(line));
    }

    fn read(&mut self, now: Time) {
        while self.closed.is_none() || self.pending.is_some() {
            let preliminary = self.pending.is_some_and(|pending| pending.expect.has_preliminary());
            match self.reader.next_reply(now, preliminary) {
                None => return,
                Some(Ok(reply)) => self.reply(now, reply),
                Some(Err(reason)) => return self.lose(reason),
            }
        }
    }

    fn reply(&mut self, now: Time, reply: Reply) {
        if let Some((earlier, _)) = self.parked.take() {
            self.effects.push_back(Effect::Stray(earlier));
        }
        let Some(pending) = self.pending else { return self.unasked(reply) };
        if reply.code.class() == Class::Preliminary {
            return self.preliminary(now, pending, reply);
        }
        if self.transferred && pending.expect.doubts(reply.code) {
            let until = now.after(replies::grace(self.round_trip));
            self.parked = Some((reply, until));
            return;
        }
        self.answer(now, reply);
    }

    /// RFC 959 §5.4: 120 comes before the 220, a 1yz of a transfer before its end; any other is
    /// left over from a transfer.
    fn preliminary(&mut self, now: Time, pending: Pending, reply: Reply) {
        match pending.expect {
            Expect::Greeting => {
                let deadline = Some(now.after(self.patience.greeting));
                self.pending = Some(Pending { deadline, ..pending });
                self.effects.push_back(Effect::Stray(reply));
            }
            Expect::Transfer => self.effects.push_back(Effect::Reply(reply)),
            Expect::Final { .. } | Expect::Abort => self.effects.push_back(Effect::Stray(reply)),
        }
    }

    fn answer(&mut self, now: Time, reply: Reply) {
        if let Some(Pending { expect: Expect::Final { .. }, since, .. }) = self.pending.take() {
            self.round_trip = self.round_trip.min(now.since(since));
            self.reader.set_grace(replies::grace(self.round_trip));
        }
        if reply.code == Code::SERVICE_CLOSING {
            self.closed = Some(Reason::ControlClosing);
        }
        self.effects.push_back(Effect::Reply(reply));
    }

    fn unasked(&mut self, reply: Reply) {
        if reply.code == Code::SERVICE_CLOSING {
            self.closed = Some(Reason::ControlClosing);
        }
        self.effects.push_back(Effect::Stray(reply));
    }

    /// Anything that is left of the clear text would be taken for a reply to a later command (curl
    /// 983): then the conversation is over. [`closed`](Self::closed) says so.
    fn secure(&mut self) {
        let silent = self.effects.is_empty() && self.parked.is_none() && !self.reader.has_noise();
        if !silent {
            self.effects.clear();
            self.lose(Reason::ClearBehindAuth);
        }
    }

    fn timer(&mut self, now: Time) {
        if self.parked.as_ref().is_some_and(|(_, until)| now >= *until)
            && let Some((reply, _)) = self.parked.take()
        {
            self.answer(now, reply);
        }
        let due = self.pending.and_then(|pending| pending.deadline);
        if due.is_some_and(|deadline| now >= deadline) {
            let noise = self.reader.has_noise();
            self.lose(if noise { Reason::ReplyMalformed } else { Reason::ReplyMissing });
        }
    }

    fn eof(&mut self, now: Time) {
        let preliminary = self.pending.is_some_and(|pending| pending.expect.has_preliminary());
        for reply in self.reader.finish(preliminary) {
            self.reply(now, reply);
        }
        if let Some((reply, _)) = self.parked.take() {
            self.answer(now, reply);
        }
        self.lose(Reason::ControlLost);
    }

    /// The first reason stays. It is reported at once only to who waits for a reply.
    fn lose(&mut self, reason: Reason) {
        let reason = *self.closed.get_or_insert(reason);
        self.parked = None;
        if self.pending.take().is_some() {
            self.effects.push_back(Effect::Lost(reason));
        }
    }
}

impl Expect {
    const fn has_preliminary(self) -> bool {
        matches!(self, Self::Greeting | Self::Transfer)
    }

    /// Whether a code rather is the double of a transfer's end than the answer to this.
    fn doubts(self, code: Code) -> bool {
        match self {
            Self::Greeting | Self::Transfer | Self::Abort => false,
            Self::Final { file_action } => match code {
                Code::NO_TRANSFER
                | Code::TRANSFER_COMPLETE
                | Code::NO_DATA_CONNECTION
                | Code::TRANSFER_ABORTED => true,
                Code::FILE_OK => !file_action,
                _ => false,
            },
        }
    }
}

const fn expect(command: &Command) -> Expect {
    match command {
        command if command.moves_data() => Expect::Transfer,
        Command::Abor => Expect::Abort,
        Command::Epsv(_)
        | Command::Pasv
        | Command::Eprt(_)
        | Command::Port(_)
        | Command::Rest(_)
        | Command::Size(_)
        | Command::Mdtm { .. } => Expect::Final { file_action: false },
        _ => Expect::Final { file_action: true },
    }
}

#[cfg(test)]
mod tests;
