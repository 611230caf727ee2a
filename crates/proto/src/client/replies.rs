//! Bytes to replies: finds where a reply of a peer ends, also where the peer breaks the rules.
//!
//! It does not know which command a reply belongs to, beyond whether a 1yz may come.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::code::{Class, Code};
use crate::line::LineReader;
use crate::reason::Reason;
use crate::reply::Reply;
use crate::time::Time;

/// The longest reply, all of its lines together. Origin: banners of 200 kB are seen (curl case
/// 1086 and its kin), and without a bound a hostile server fills the memory (basic-ftp 5.3.0).
pub const MAX_REPLY: usize = 1024 * 1024;

/// How many lines that are no reply are skipped before one. Origin: access wrappers and broken
/// firmware print a few; another protocol prints hundreds.
const MAX_NOISE: usize = 100;

/// How long a doubtful end is held at least. Origin: twice what a server of the measured ones lets
/// pass between two lines of one reply.
const GRACE_MIN: Duration = Duration::from_millis(300);
/// How long a doubtful end is held at most: a user notices more.
const GRACE_MAX: Duration = Duration::from_secs(1);

/// Greetings of other protocols, which never become a reply: HTTP, SSH, a TLS alert.
const OTHER_PROTOCOLS: [&[u8]; 3] = [b"HTTP/", b"SSH-", b"\x15\x03"];

/// The time that a doubtful end waits for more, from the round trip of the control connection.
#[must_use]
pub fn grace(round_trip: Duration) -> Duration {
    round_trip.saturating_mul(2).clamp(GRACE_MIN, GRACE_MAX)
}

/// Collects bytes and hands out replies.
///
/// Feed bytes with [`push`](Self::push), then call [`next_reply`](Self::next_reply) until it gives
/// `None`; call it again at [`deadline`](Self::deadline).
#[derive(Debug)]
pub struct ReplyReader {
    lines: LineReader,
    block: Option<Block>,
    noise: usize,
    telnet: [u8; 2],
    last_bytes: Time,
    grace: Duration,
}

/// A multi-line reply of which the end is not in yet.
#[derive(Debug)]
struct Block {
    code: Code,
    digits: [u8; 3],
    lines: Vec<Vec<u8>>,
    size: usize,
    /// The code of the last line, if that line may be the end after all.
    held: Option<Code>,
}

/// What a line looks like by its first four bytes.
enum Shape {
    End(Code, [u8; 3]),
    /// Three digits and nothing else.
    Bare(Code, [u8; 3]),
    Start(Code, [u8; 3]),
    Text,
}

impl Default for ReplyReader {
    fn default() -> Self {
        Self {
            lines: LineReader::new(MAX_REPLY),
            block: None,
            noise: 0,
            telnet: [0; 2],
            last_bytes: Time::ZERO,
            grace: GRACE_MAX,
        }
    }
}

impl ReplyReader {
    /// Sets how long a doubtful end waits, see [`grace`].
    pub const fn set_grace(&mut self, grace: Duration) {
        self.grace = grace;
    }

    /// Takes in bytes as they came. A NUL is left out: it means nothing in a Telnet stream (RFC
    /// 854), and some servers end their lines with it. As the option of a negotiation it stays.
    pub fn push(&mut self, now: Time, bytes: &[u8]) {
        const IAC: u8 = 255;
        const WILL_TO_DONT: core::ops::RangeInclusive<u8> = 251..=254;
        self.last_bytes = now;
        let mut kept = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            let [before, last] = self.telnet;
            let option = before == IAC && WILL_TO_DONT.contains(&last);
            if byte != 0 || option {
                kept.push(byte);
            }
            // A doubled IAC is text: it begins no negotiation.
            let doubled = last == IAC && byte == IAC;
            self.telnet = if doubled || option { [0; 2] } else { [last, byte] };
        }
        self.lines.push(&kept);
    }

    /// The next whole reply. `preliminary` says whether a 1yz may answer the command.
    ///
    /// # Errors
    /// A reply too long, or a peer that speaks another protocol: nothing sensible follows.
    pub fn next_reply(&mut self, now: Time, preliminary: bool) -> Option<Result<Reply, Reason>> {
        while let Some(line) = self.lines.next_line() {
            let Ok(line) = line.map(<[u8]>::to_vec) else {
                return Some(Err(Reason::ReplyTooLong));
            };
            match self.line(line) {
                None => {}
                end => return end,
            }
        }
        let pending = self.lines.partial().len();
        let block = self.block.as_mut()?;
        if block.size.saturating_add(pending) > MAX_REPLY {
            return Some(Err(Reason::ReplyTooLong));
        }
        if pending > 0 {
            block.held = None;
        }
        let held = block.held?;
        (now >= self.last_bytes.after(self.grace)).then_some(())?;
        if !fits(held, preliminary) {
            // Nothing but another line can end the block now; nobody need be woken for it.
            block.held = None;
            return None;
        }
        self.block.take().map(|block| Ok(Reply::heard(held, block.lines)))
    }

    /// The peer closed: a line without its end is a line, and a doubtful end is the end.
    pub fn finish(&mut self, preliminary: bool) -> VecDeque<Reply> {
        let mut replies = VecDeque::new();
        self.lines.push(b"\n");
        while let Some(Ok(line)) = self.lines.next_line().map(|line| line.map(<[u8]>::to_vec)) {
            if line.is_empty() && self.block.is_some() {
                continue;
            }
            replies.extend(self.line(line).and_then(Result::ok));
        }
        if let Some(Block { held: Some(code), lines, .. }) = self.block.take()
            && fits(code, preliminary)
        {
            replies.push_back(Reply::heard(code, lines));
        }
        replies
    }

    /// When [`next_reply`](Self::next_reply) may give a reply though no byte came.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.block.as_ref()?.held.map(|_| self.last_bytes.after(self.grace))
    }

    /// Whether anything came that is no reply: then silence means nonsense rather than absence.
    #[must_use]
    pub fn has_noise(&self) -> bool {
        self.noise > 0 || self.block.is_some() || !self.lines.is_empty()
    }

    fn line(&mut self, line: Vec<u8>) -> Option<Result<Reply, Reason>> {
        match self.block.take() {
            None => self.first_line(line),
            Some(block) => self.next_line_of(block, line),
        }
    }

    fn first_line(&mut self, line: Vec<u8>) -> Option<Result<Reply, Reason>> {
        match shape(&line) {
            Shape::End(code, _) | Shape::Bare(code, _) => {
                self.noise = 0;
                Some(Ok(Reply::heard(code, alloc::vec![text(line)])))
            }
            Shape::Start(code, digits) => {
                self.noise = 0;
                let size = line.len();
                let lines = alloc::vec![text(line)];
                self.block = Some(Block { code, digits, lines, size, held: None });
                None
            }
            Shape::Text => {
                self.noise += usize::from(!line.is_empty());
                let foreign = OTHER_PROTOCOLS.iter().any(|start| line.starts_with(start));
                (foreign || self.noise > MAX_NOISE).then_some(Err(Reason::NotFtp))
            }
        }
    }

    fn next_line_of(&mut self, mut block: Block, line: Vec<u8>) -> Option<Result<Reply, Reason>> {
        block.size = block.size.saturating_add(line.len());
        if block.size > MAX_REPLY {
            return Some(Err(Reason::ReplyTooLong));
        }
        let shape = shape(&line);
        let own = matches!(&shape, Shape::End(_, digits) | Shape::Start(_, digits)
            if *digits == block.digits);
        block.held = match shape {
            Shape::End(code, _) if !own => Some(code),
            Shape::Bare(code, digits) if digits == block.digits => Some(code),
            _ => None,
        };
        let ends = own && matches!(shape, Shape::End(..));
        block.lines.push(if own || block.held.is_some() { text(line) } else { line });
        if ends {
            return Some(Ok(Reply::heard(block.code, block.lines)));
        }
        self.block = Some(block);
        None
    }
}

/// A 1yz ends a block only where the command may have one; every other class may always come.
fn fits(code: Code, preliminary: bool) -> bool {
    preliminary || code.class() != Class::Preliminary
}

fn shape(line: &[u8]) -> Shape {
    let Some((&digits, rest)) = line.split_first_chunk::<3>() else { return Shape::Text };
    let Some(code) = Code::parse(digits) else { return Shape::Text };
    match rest {
        [] => Shape::Bare(code, digits),
        [b' ' | b'\t', ..] => Shape::End(code, digits),
        [b'-', ..] => Shape::Start(code, digits),
        _ => Shape::Text,
    }
}

/// The line without its code.
fn text(mut line: Vec<u8>) -> Vec<u8> {
    line.drain(..line.len().min(4));
    line
}

#[cfg(test)]
mod tests;
