//! The server's session against any client, any network and any outcome of its jobs.
//!
//! It never panics and never stalls; each command gets one final reply, none after the end; each
//! ticket is used once; a 227 or 229 stands alone; a timer that was obeyed is not due again.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use twoport_proto::code::{Class, Code};
use twoport_proto::line::LineError;
use twoport_proto::path::VirtualPath;
use twoport_proto::reason::Reason;
use twoport_proto::reply::Reply;
use twoport_proto::server::{
    DataEvent, Effect, Grant, Input, Job, Outcome, Policy, Requirement, Session, Ticket,
};
use twoport_proto::time::{Time, Timestamp};
use twoport_proto::verb::{Permissions, TABLE};

/// What the world does next.
#[derive(Arbitrary, Debug)]
enum Move {
    Line(Vec<u8>),
    Verb(u8, Vec<u8>),
    LogIn,
    /// All that comes before the bytes of a transfer.
    Transfer(u8),
    BadLine(bool),
    Answer(u8, Answer),
    AnswerWell(u8),
    Arrived,
    Stranger,
    Dialled,
    DialFailed(u8),
    Secured,
    SecureFailed(u8),
    Protect,
    Progress(u64),
    Wait(u16),
    EarlyTimer,
    Eof,
    Shutdown,
    Terminate,
}

/// Any outcome, fitting or not.
#[derive(Arbitrary, Debug)]
enum Answer {
    Done,
    Failed(u8),
    LoggedIn(u8),
    Listening(u16, bool),
    Number(u64),
    Date(i64),
    Lines(Vec<Vec<u8>>),
    Digest(u64, u64),
    Opened(Option<u64>, Option<Vec<u8>>),
    Moved(u64, Option<u8>),
    Broken(u8, u64),
}

#[derive(Debug)]
enum Work {
    Job(Job),
    Transfer,
}

struct World {
    session: Session,
    now: Time,
    work: BTreeMap<Ticket, Work>,
    used: u32,
    lines: usize,
    finals: usize,
    announced: bool,
    closed: bool,
    ends: bool,
    securing: Option<Securing>,
}

/// The connection on which TLS shall begin.
#[derive(Clone, Copy)]
enum Securing {
    Control,
    Data,
}

fn reason(number: u8) -> Reason {
    Reason::ALL[usize::from(number) % Reason::ALL.len()]
}

impl World {
    fn new() -> Self {
        let (local, peer) = ("192.0.2.1:21".parse().unwrap(), "192.0.2.7:40000".parse().unwrap());
        let now = Time::ZERO;
        let tls = Requirement::Optional;
        let policy = Policy { tls, clear_commands: true, ..Policy::default() };
        let session = Session::new(Arc::new(policy), local, peer, now);
        let mut world = Self {
            session,
            now,
            work: BTreeMap::new(),
            used: 0,
            lines: 0,
            finals: 0,
            announced: false,
            closed: false,
            ends: false,
            securing: None,
        };
        world.drain();
        world
    }

    fn give(&mut self, input: Input) {
        if matches!(input, Input::Line(_) | Input::BadLine(_)) {
            self.lines += 1;
        }
        self.session.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(effect) = self.session.poll() {
            count += 1;
            assert!(count < 64 + 8 * self.lines, "effects without end");
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Reply(reply) => self.reply(&reply),
            Effect::Run(ticket, job) => {
                assert!(!self.closed, "a job after the end: {job:?}");
                self.used += 1;
                assert_eq!(ticket, Ticket(self.used), "tickets count up");
                self.work.insert(ticket, Work::Job(job));
            }
            Effect::Transfer(ticket) => {
                assert!(self.announced, "data before the 150");
                assert!(self.work.insert(ticket, Work::Transfer).is_none(), "begun twice");
            }
            // A job is dropped in silence; a transfer will still say that it has ended.
            Effect::Cancel(ticket) => {
                if matches!(self.work.get(&ticket), Some(Work::Job(_))) {
                    self.work.remove(&ticket);
                }
            }
            Effect::Dial(target) => assert!(target.port() >= 1024 && !self.closed),
            Effect::Close => {
                assert!(!self.closed, "closed twice");
                self.closed = true;
            }
            Effect::StartTls => self.securing = Some(Securing::Control),
            Effect::Secure => {
                assert!(self.announced, "a handshake before the 150");
                self.securing = Some(Securing::Data);
            }
            Effect::StopTls | Effect::Unlisten | Effect::Doze => {}
            Effect::Note(note) => assert!(!note.to_string().chars().any(char::is_control)),
        }
    }

    fn reply(&mut self, reply: &Reply) {
        assert!(!self.closed, "a reply after the end: {reply:?}");
        let mut wire = Vec::new();
        reply.encode(&mut wire);
        let lines: Vec<&[u8]> =
            wire.strip_suffix(b"\r\n").unwrap().split(|b| *b == b'\n').collect();
        assert_eq!(lines.len(), reply.lines().len());
        let code = reply.code.to_string();
        let own = |line: &&[u8]| line.starts_with(b" ") || line.starts_with(code.as_bytes());
        assert!(lines.iter().all(own));
        assert!(!wire.iter().any(|b| *b == 0));
        if reply.code == Code::PASSIVE || reply.code == Code::EXTENDED_PASSIVE {
            assert_eq!(lines.len(), 1);
        }
        if reply.code.class() == Class::Preliminary {
            assert!(self.session.is_transferring() && !self.announced, "a second 150");
            self.announced = true;
        } else {
            self.finals += 1;
            assert!(self.finals <= self.lines + 2, "more replies than commands: {reply:?}");
        }
    }

    /// Answers the job or transfer of this number; 255 is the last.
    fn answer(&mut self, which: u8, answer: Option<Answer>) {
        let Some(index) = usize::from(which).checked_rem(self.work.len()) else { return };
        let ticket = match which {
            u8::MAX => self.work.keys().next_back(),
            _ => self.work.keys().nth(index),
        };
        let Some(ticket) = ticket.copied() else { return };
        let Some(work) = self.work.remove(&ticket) else { return };
        let outcome = answer.map_or_else(|| fitting(&work), any);
        // What flowed, flowed behind a 150; the next transfer has its own.
        self.announced &= !matches!(work, Work::Transfer);
        self.give(Input::Done(ticket, outcome));
    }

    fn handshake(&mut self, end: Result<(), Reason>) {
        match (self.securing.take(), end) {
            (Some(Securing::Control), end) => self.give(Input::Tls(end)),
            (Some(Securing::Data), Ok(())) => self.give(Input::Data(DataEvent::Secured)),
            (Some(Securing::Data), Err(reason)) => {
                self.give(Input::Data(DataEvent::SecureFailed(reason)));
            }
            (None, _) => {}
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
        for _ in 0..8 {
            if self.session.deadline().is_none_or(|deadline| deadline > self.now) {
                return;
            }
            self.give(Input::Timer);
            self.announced &= self.session.is_transferring();
        }
        panic!("a timer stays due");
    }

    fn step(&mut self, step: Move) {
        match step {
            Move::Line(line) => self.give(Input::Line(line.into())),
            Move::Verb(verb, argument) => {
                let name = TABLE[usize::from(verb) % TABLE.len()].name.as_bytes();
                let gap: &[u8] = if argument.is_empty() { b"" } else { b" " };
                self.give(Input::Line([name, gap, &argument].concat().into()));
            }
            Move::LogIn => {
                self.give(Input::Line("USER ann".into()));
                self.give(Input::Line("PASS secret".into()));
                self.answer(u8::MAX, None);
            }
            Move::Transfer(how) => {
                self.give(Input::Line("EPSV".into()));
                self.answer(u8::MAX, None);
                let lines = [&b"RETR a"[..], b"STOR a", b"STOU", b"LIST"];
                self.give(Input::Line(lines[usize::from(how) % lines.len()].into()));
                self.answer(u8::MAX, None);
                if how & 0x80 != 0 {
                    self.give(Input::Data(DataEvent::Arrived));
                }
            }
            Move::BadLine(nul) => {
                let error = if nul { LineError::Nul } else { LineError::TooLong };
                self.give(Input::BadLine(error));
            }
            Move::Answer(which, answer) => self.answer(which, Some(answer)),
            Move::AnswerWell(which) => self.answer(which, None),
            Move::Arrived => self.give(Input::Data(DataEvent::Arrived)),
            Move::Stranger => {
                let stranger = "198.51.100.9:4711".parse().unwrap();
                self.give(Input::Data(DataEvent::Stranger(stranger, Reason::StrangerRefused)));
            }
            Move::Dialled => self.give(Input::Data(DataEvent::Dialled)),
            Move::DialFailed(why) => self.give(Input::Data(DataEvent::DialFailed(reason(why)))),
            Move::Secured => self.handshake(Ok(())),
            Move::SecureFailed(why) => self.handshake(Err(reason(why))),
            Move::Protect => {
                self.give(Input::Line("AUTH TLS".into()));
                self.handshake(Ok(()));
                self.give(Input::Line("PBSZ 0".into()));
                self.give(Input::Line("PROT P".into()));
            }
            Move::Progress(bytes) => self.give(Input::Progress(bytes)),
            Move::Wait(seconds) => self.wait(Duration::from_secs(u64::from(seconds) % 400)),
            Move::EarlyTimer => self.give(Input::Timer),
            Move::Eof => {
                self.ends = true;
                self.give(Input::Eof);
            }
            Move::Shutdown => {
                self.ends = true;
                self.give(Input::Shutdown);
            }
            Move::Terminate => {
                self.ends = true;
                self.give(Input::Terminate);
            }
        }
        self.announced &= self.session.is_transferring();
    }

    /// All jobs are answered and all short deadlines pass: then nothing is left to say.
    fn settle(mut self) {
        for _ in 0..4 * self.lines + 16 {
            self.handshake(Ok(()));
            while !self.work.is_empty() {
                self.answer(0, None);
                self.announced &= self.session.is_transferring();
            }
            // The longest of them is the one for the data connection.
            match self.session.deadline() {
                Some(at) if at <= self.now.after(Duration::from_secs(30)) => {
                    self.wait(at.since(self.now));
                }
                _ => break,
            }
        }
        if self.closed {
            return assert_eq!(self.session.deadline(), None);
        }
        assert!(!self.session.is_transferring(), "a transfer without end");
        assert!(!self.ends, "the session outlives its end");
        assert_eq!(self.finals, self.lines + 1, "each command has one final reply");
    }
}

fn any(answer: Answer) -> Outcome {
    match answer {
        Answer::Done => Outcome::Done,
        Answer::Failed(why) => Outcome::Failed(reason(why)),
        Answer::LoggedIn(0) => Outcome::LoggedIn(Grant::of(Permissions::NONE)),
        Answer::LoggedIn(1) => Outcome::LoggedIn(Grant::of(Permissions::READ_ONLY)),
        Answer::LoggedIn(_) => Outcome::LoggedIn(Grant::of(Permissions::ALL)),
        Answer::Listening(port, true) => Outcome::Listening(([192, 0, 2, 1], port).into()),
        Answer::Listening(port, false) => {
            Outcome::Listening(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], port).into())
        }
        Answer::Number(number) => Outcome::Number(number),
        Answer::Date(seconds) => Outcome::Date(Timestamp::from_seconds(seconds)),
        Answer::Lines(lines) => Outcome::Lines(lines),
        Answer::Digest(first, behind) => {
            Outcome::Digest { hex: b"0123456789abcdef".to_vec(), first, behind }
        }
        Answer::Opened(size, name) => {
            let path = |name: Vec<u8>| VirtualPath::root().join(&name).ok();
            Outcome::Opened { size, name: name.and_then(path) }
        }
        Answer::Moved(bytes, cut) => Outcome::Moved { bytes, cut: cut.map(reason) },
        Answer::Broken(why, bytes) => Outcome::Broken { reason: reason(why), bytes },
    }
}

fn fitting(work: &Work) -> Outcome {
    let job = match work {
        Work::Job(job) => job,
        Work::Transfer => return Outcome::Moved { bytes: 7, cut: None },
    };
    match job {
        Job::LogIn { .. } => Outcome::LoggedIn(Grant::of(Permissions::ALL)),
        Job::Listen(_) => Outcome::Listening(([192, 0, 2, 1], 61_007).into()),
        Job::OpenRead { .. } => Outcome::Opened { size: Some(7), name: None },
        Job::OpenWrite { path, .. } => Outcome::Opened { size: None, name: Some(path.clone()) },
        Job::OpenList(_) => Outcome::Opened { size: None, name: None },
        Job::Size { .. } | Job::SpaceLeft(_) => Outcome::Number(7),
        Job::Modified(_) => Outcome::Date(Timestamp::from_seconds(1_795_354_848)),
        Job::Facts(..) | Job::Status(_) => Outcome::Lines(vec![b"type=file; a".to_vec()]),
        Job::Hash { .. } => Outcome::Digest { hex: b"00".to_vec(), first: 0, behind: 7 },
        _ => Outcome::Done,
    }
}

fuzz_target!(|moves: Vec<Move>| {
    let mut world = World::new();
    for step in moves.into_iter().take(200) {
        world.step(step);
    }
    world.settle();
});
