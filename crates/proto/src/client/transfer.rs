//! One transfer: its two ends, the end of data and the final reply, which come in any order.
//!
//! It moves no byte itself. The data connection is set up before ([`Open`](super::Open)); what is
//! done with a part that came is decided by whoever reads the [`Outcome`].

mod terms;

use alloc::collections::VecDeque;
use core::time::Duration;

pub use self::terms::{Direction, Effect, Input, Outcome, Patience, Plan, Verdict};
use super::facts::length_in_150;
use crate::code::{Class, Code};
use crate::command::Command;
use crate::reason::Reason;
use crate::reply::Reply;
use crate::time::Time;

/// How long the final reply may take when the length says that all is here. Origin: a server sends
/// it at the moment it closes the data connection; most clients hang here for ever (a finding of
/// the odd-server measurements), lftp waits 8 s.
const CONFIRM_COMPLETE: Duration = Duration::from_secs(2);

/// How long the final reply of a download may take when no length is known.
const CONFIRM_DOWNLOAD: Duration = Duration::from_secs(10);

/// How long the data connection may stay silent after the final reply while bytes are missing.
/// Origin: servers that confirm 1.5 s before the data are measured; a lost packet takes a few more.
const TAIL: Duration = Duration::from_secs(10);

/// The same, where nothing is known to be missing: an empty listing that some servers confirm
/// without a word on the data connection.
const TAIL_EMPTY: Duration = Duration::from_millis(2500);

/// How often the bytes are looked at meanwhile: where the length says that all is here, and only
/// the close is missing, one look without a new byte is enough.
const LOOK: Duration = Duration::from_millis(500);

/// How long a failed data connection waits for the reply that explains it.
const EXPLAIN: Duration = Duration::from_secs(2);

/// An upload to a server that sends no 1yz begins after this time, or three round trips.
const START_UPLOAD: Duration = Duration::from_secs(1);

/// The machine.
#[derive(Debug)]
pub struct Transfer {
    plan: Plan,
    rest_sent: bool,
    opened: bool,
    in_150: Option<u64>,
    /// Whether the data connection resumed a TLS session; not known before its handshake.
    resumed: Option<bool>,
    data: Data,
    end: Option<Reply>,
    lost: Option<Reason>,
    /// The bytes at the last look, to tell a slow connection from a dead one.
    seen: u64,
    /// When `seen` last grew, or the final reply came.
    moved: Time,
    /// Whether an upload went on for long after its final reply.
    early: bool,
    deadline: Option<Time>,
    over: bool,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    Waiting,
    Running,
    Ended(u64),
    Failed(Reason, u64),
}

impl Transfer {
    /// Begins a transfer on a data connection that is set up.
    #[must_use]
    pub fn new(now: Time, plan: Plan) -> Self {
        let rest_sent = plan.restart > 0;
        let mut transfer = Self {
            plan,
            rest_sent,
            opened: false,
            in_150: None,
            resumed: None,
            data: Data::Waiting,
            end: None,
            lost: None,
            seen: 0,
            moved: now,
            early: false,
            deadline: None,
            over: false,
            effects: VecDeque::new(),
        };
        if rest_sent {
            // RFC 3659 §5.4: REST stands right before the transfer verb.
            let rest = Command::Rest(transfer.plan.restart);
            transfer.effects.push_back(Effect::Command(rest));
        } else {
            transfer.begin(now);
        }
        transfer
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Time, input: Input) {
        if self.over {
            return;
        }
        match input {
            Input::Reply(reply) if self.rest_sent => self.restarted(now, reply),
            Input::Reply(reply) => self.reply(now, reply),
            Input::Lost(reason) => self.lost(reason),
            Input::Secured { resumed } => self.resumed = Some(resumed),
            Input::DataEnded { bytes } => self.data_over(now, Data::Ended(bytes)),
            Input::DataFailed { reason, bytes } => {
                self.data_over(now, Data::Failed(reason, bytes));
            }
            Input::Timer { bytes } => self.timer(now, bytes),
        }
    }

    /// The next effect.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to be woken.
    #[must_use]
    pub const fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    fn begin(&mut self, now: Time) {
        self.effects.push_back(Effect::Command(self.plan.command.clone()));
        if self.plan.direction == Direction::Upload || self.plan.protected {
            let wait = self.plan.patience.round_trip.saturating_mul(3).max(START_UPLOAD);
            self.deadline = Some(now.after(wait));
        } else {
            // The bytes may come before the 150, or without one.
            self.start();
            self.deadline = Some(now.after(self.plan.patience.reply));
        }
    }

    fn start(&mut self) {
        self.data = Data::Running;
        self.effects.push_back(Effect::Start);
    }

    fn restarted(&mut self, now: Time, reply: Reply) {
        self.rest_sent = false;
        if reply.code.is_negative() {
            self.done(Verdict::Refused(Reason::RestartRefused), Some(reply));
        } else {
            self.begin(now);
        }
    }

    fn reply(&mut self, now: Time, reply: Reply) {
        match reply.code.class() {
            // A final reply before it was the double of an earlier transfer's.
            Class::Preliminary => {
                self.end = None;
                self.opened = true;
                self.in_150 = length_in_150(&reply);
                self.deadline = None;
                if self.data == Data::Waiting {
                    self.start();
                }
                self.settle(now);
            }
            // 3yz has no meaning here; some servers send 350 for 250.
            Class::Completion | Class::Intermediate => {
                self.end = Some(reply);
                if self.data == Data::Waiting {
                    self.start();
                }
                self.settle(now);
            }
            Class::TransientNegative | Class::PermanentNegative => self.refused(reply),
        }
    }

    /// A 4yz or 5yz counts at once, also while data flow.
    fn refused(&mut self, reply: Reply) {
        let closing = reply.code == Code::SERVICE_CLOSING;
        let reason = if closing { Reason::ControlClosing } else { Reason::ControlRefused };
        let nothing = self.bytes() == 0 && self.seen == 0;
        let no_data = reply.code == Code::NO_DATA_CONNECTION;
        let verdict = match self.data {
            _ if self.unproven(&reply) => Verdict::Refused(Reason::TlsNotResumed),
            // These two codes only repeat what the data connection has shown; it knows why.
            Data::Failed(cause, bytes) if self.opened && restates(reply.code) => match bytes {
                0 => Verdict::Refused(cause),
                _ => Verdict::Truncated(cause),
            },
            _ if nothing && (no_data || !self.opened) => Verdict::Refused(reason),
            _ => Verdict::Truncated(reason),
        };
        self.done(verdict, Some(reply));
    }

    /// Whether the server misses the session of the control connection on a data connection that
    /// resumed none. It looks only after the handshake: vsftpd then says 522, ProFTPD 425 as for
    /// any data connection that failed; others say it in words (450 of Pure-FTPd, 425 of FileZilla).
    fn unproven(&self, reply: &Reply) -> bool {
        if self.resumed != Some(false) {
            return false;
        }
        let said = reply.lowercase();
        let says = |word: &[u8]| said.windows(word.len()).any(|window| window == word);
        let of_data = [Code::NO_DATA_CONNECTION, Code::DATA_SECURITY].contains(&reply.code);
        let untouched = self.plan.direction == Direction::Upload || self.bytes() == 0;
        of_data && untouched || says(b"reuse") || says(b"resum")
    }

    fn lost(&mut self, reason: Reason) {
        self.lost = Some(reason);
        self.deadline = None;
        match self.data {
            Data::Waiting => self.done(Verdict::Refused(reason), None),
            // The data may still come to their end: control connections die of idle timers.
            Data::Running => {}
            Data::Ended(_) => self.unconfirmed(reason),
            Data::Failed(why, _) => self.failed(why),
        }
    }

    fn data_over(&mut self, now: Time, data: Data) {
        self.data = data;
        self.deadline = None;
        self.settle(now);
    }

    /// Looks at both ends and decides, or sets the time to wait for the other.
    fn settle(&mut self, now: Time) {
        let answered = self.end.is_some();
        match self.data {
            Data::Waiting => {}
            Data::Running if answered => {
                self.moved = now;
                self.deadline = Some(now.after(self.look()));
            }
            Data::Running => {}
            Data::Ended(_) if answered => self.both_ends(),
            Data::Ended(_) => match self.lost {
                Some(reason) => self.unconfirmed(reason),
                None => self.deadline = Some(now.after(self.confirm())),
            },
            Data::Failed(..) if answered && self.complete() => self.both_ends(),
            // Nothing explains it better: the server still tries, and answers when it gives up.
            Data::Failed(reason, _) if is_unconnected(reason) => self.failed(reason),
            Data::Failed(reason, _) if answered || self.lost.is_some() => self.failed(reason),
            Data::Failed(..) if self.complete() => {
                self.deadline = Some(now.after(self.confirm()));
            }
            Data::Failed(..) => self.deadline = Some(now.after(EXPLAIN)),
        }
    }

    fn timer(&mut self, now: Time, bytes: u64) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        let moves = bytes > self.seen;
        self.seen = bytes;
        match self.data {
            Data::Waiting => {
                self.start();
                self.deadline = Some(now.after(self.plan.patience.reply));
            }
            Data::Running if self.end.is_some() => self.look_for_close(now, moves),
            Data::Running if moves => {
                self.deadline = Some(now.after(self.plan.patience.reply));
            }
            Data::Running => self.done(Verdict::Refused(Reason::ReplyMissing), None),
            Data::Ended(_) => self.unconfirmed(Reason::FinalReplyMissing),
            Data::Failed(reason, _) => self.failed(reason),
        }
    }

    fn look_for_close(&mut self, now: Time, moves: bool) {
        if moves {
            self.moved = now;
        }
        if self.plan.direction == Direction::Upload {
            // Whether it stalls is the driver's to see; it still sends.
            self.early = true;
            self.deadline = None;
        } else if !moves && (self.complete() || now.since(self.moved) >= self.tail()) {
            self.never_closed();
        } else {
            self.deadline = Some(now.after(self.look()));
        }
    }

    fn both_ends(&mut self) {
        let verdict = match () {
            () if self.short() => Verdict::Truncated(Reason::LengthShort),
            () if self.early => Verdict::Unconfirmed(Reason::FinalReplyEarly),
            () => Verdict::Confirmed,
        };
        let reply = self.end.take();
        self.done(verdict, reply);
    }

    /// The final reply came, the data connection hangs.
    fn never_closed(&mut self) {
        let empty = self.plan.direction == Direction::Listing && self.seen == 0;
        let verdict = match () {
            () if self.complete() || empty => Verdict::Confirmed,
            () if self.short() => Verdict::Truncated(Reason::LengthShort),
            () => Verdict::Unconfirmed(Reason::DataStalled),
        };
        let reply = self.end.take();
        self.done(verdict, reply);
    }

    fn unconfirmed(&mut self, reason: Reason) {
        let verdict = if self.short() {
            Verdict::Truncated(Reason::LengthShort)
        } else {
            let lost = matches!(reason, Reason::ControlLost | Reason::ReplyMissing);
            Verdict::Unconfirmed(if lost { Reason::FinalReplyMissing } else { reason })
        };
        self.done(verdict, None);
    }

    fn failed(&mut self, reason: Reason) {
        let nothing = self.bytes() == 0 && (!self.opened || reason.is_of_handshake());
        let verdict = if nothing || is_unconnected(reason) {
            Verdict::Refused(reason)
        } else {
            Verdict::Truncated(reason)
        };
        let reply = self.end.take();
        self.done(verdict, reply);
    }

    fn done(&mut self, verdict: Verdict, reply: Option<Reply>) {
        if self.data == Data::Running {
            self.effects.push_back(Effect::Stop);
        }
        self.over = true;
        self.deadline = None;
        let (bytes, complete) = (self.bytes(), self.complete());
        let warning = match (self.data, verdict) {
            (Data::Failed(reason @ Reason::TlsTruncated, _), Verdict::Confirmed) => Some(reason),
            _ => None,
        };
        self.effects.push_back(Effect::Done(Outcome { verdict, bytes, complete, warning, reply }));
    }

    const fn bytes(&self) -> u64 {
        match self.data {
            Data::Ended(bytes) | Data::Failed(_, bytes) => bytes,
            Data::Waiting | Data::Running => self.seen,
        }
    }

    /// The bytes to expect from this connection. A 150 counts the whole file on some servers and
    /// the rest on others: only what falls short of both is short.
    fn announced(&self) -> Option<u64> {
        if self.plan.direction != Direction::Download {
            return None;
        }
        let rest = |size: u64| size.saturating_sub(self.plan.restart);
        let size = self.plan.size.filter(|size| *size > 0);
        size.or(self.in_150).map(rest)
    }

    fn short(&self) -> bool {
        self.announced().is_some_and(|announced| self.bytes() < announced)
    }

    fn complete(&self) -> bool {
        self.announced().is_some_and(|announced| announced > 0 && self.bytes() >= announced)
    }

    fn confirm(&self) -> Duration {
        let trips = self.plan.patience.round_trip.saturating_mul(4);
        match self.plan.direction {
            Direction::Upload => self.plan.patience.confirm,
            _ if self.complete() => trips.max(CONFIRM_COMPLETE),
            _ => trips.max(CONFIRM_DOWNLOAD),
        }
    }

    fn tail(&self) -> Duration {
        let trips = self.plan.patience.round_trip.saturating_mul(4);
        let missing = self.announced().is_some() || self.opened || self.seen > 0;
        trips.max(if missing { TAIL } else { TAIL_EMPTY })
    }

    fn look(&self) -> Duration {
        self.plan.patience.round_trip.saturating_mul(2).max(LOOK)
    }
}

/// Whether no data connection came up in active mode.
const fn is_unconnected(reason: Reason) -> bool {
    matches!(reason, Reason::ActiveNotConnected | Reason::PunchReachedServer)
}

fn restates(code: Code) -> bool {
    code == Code::NO_DATA_CONNECTION || code == Code::TRANSFER_ABORTED
}

#[cfg(test)]
mod tests;
