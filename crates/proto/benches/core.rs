//! How fast the protocol core is: lines, commands, replies, and steps of a server's session:
//! `cargo bench -p twoport-proto --bench core`.
//!
//! It measures no socket and no storage: outcomes of jobs are given at once.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at what it did not expect")]

use std::net::SocketAddr;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use twoport_proto::addr;
use twoport_proto::code::Code;
use twoport_proto::command::Command;
use twoport_proto::line::{LineReader, MAX_COMMAND};
use twoport_proto::reply::Reply;
use twoport_proto::server::{DataEvent, Effect, Grant, Input, Job, Outcome, Policy, Session};
use twoport_proto::time::Time;
use twoport_proto::verb::Permissions;

fn main() {
    divan::main();
}

/// What clients send most, one of each.
const LINES: [&str; 10] = [
    "TYPE I",
    "EPSV",
    "RETR pub/data/file-000123.dat",
    "SIZE pub/data/file-000123.dat",
    "MDTM pub/data/file-000123.dat",
    "CWD /pub/data/2026",
    "PWD",
    "MLSD",
    "PORT 192,0,2,7,195,101",
    "NOOP",
];

const REPEATED: usize = 1000;

fn stream() -> Vec<u8> {
    let once: Vec<u8> = LINES.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
    once.repeat(REPEATED)
}

/// Bytes to lines, in pieces of this many bytes as they come from the network.
#[divan::bench(args = [16, 1460, 65536])]
fn lines(bencher: Bencher<'_, '_>, piece: usize) {
    let stream = stream();
    let count = LINES.len() * REPEATED;
    bencher.counter(ItemsCount::new(count)).counter(BytesCount::of_slice(&stream)).bench(|| {
        let mut reader = LineReader::new(MAX_COMMAND);
        let mut lines = 0;
        for piece in stream.chunks(piece) {
            reader.push(piece);
            while reader.next_line().is_some() {
                lines += 1;
            }
        }
        assert_eq!(lines, count);
    });
}

#[divan::bench]
fn commands_parsed(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(LINES.len())).bench(|| {
        for line in LINES {
            divan::black_box(Command::parse(divan::black_box(line.as_bytes())).unwrap());
        }
    });
}

#[divan::bench]
fn commands_written(bencher: Bencher<'_, '_>) {
    let commands = LINES.map(|line| Command::parse(line.as_bytes()).unwrap().1);
    let mut out = Vec::with_capacity(1 << 10);
    bencher.counter(ItemsCount::new(LINES.len())).bench_local(|| {
        out.clear();
        for command in &commands {
            command.encode(&mut out).unwrap();
        }
        out.len()
    });
}

#[divan::bench]
fn replies_made_and_written(bencher: Bencher<'_, '_>) {
    let address = "192.0.2.1:61007".parse().unwrap();
    let mut out = Vec::with_capacity(1 << 10);
    bencher.counter(ItemsCount::new(4_usize)).bench_local(|| {
        out.clear();
        Reply::line(Code::OK, "Type set to: Binary.").encode(&mut out);
        Reply::line(Code::PASSIVE, addr::format_227(address)).encode(&mut out);
        Reply::line(Code::EXTENDED_PASSIVE, addr::format_229(61007)).encode(&mut out);
        Reply::line(Code::TRANSFER_COMPLETE, "Transfer complete.").encode(&mut out);
        out.len()
    });
}

/// A session and all that its driver does, at once.
struct Driven {
    session: Session,
    replies: Vec<u8>,
    steps: usize,
}

impl Driven {
    fn new(policy: &Arc<Policy>) -> Self {
        let (local, peer): (SocketAddr, SocketAddr) =
            ("192.0.2.1:21".parse().unwrap(), "192.0.2.7:40000".parse().unwrap());
        let session = Session::new(Arc::clone(policy), local, peer, Time::ZERO);
        let mut driven = Self { session, replies: Vec::with_capacity(1 << 12), steps: 0 };
        driven.drain();
        driven
    }

    fn give(&mut self, input: Input) {
        self.steps += 1;
        self.session.handle(Time::ZERO, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.session.poll() {
            let (ticket, outcome) = match effect {
                Effect::Reply(reply) => {
                    reply.encode(&mut self.replies);
                    continue;
                }
                Effect::Run(ticket, job) => (ticket, outcome(&job)),
                Effect::Transfer(ticket) => (ticket, Outcome::Moved { bytes: 7, cut: None }),
                _ => continue,
            };
            self.steps += 1;
            self.session.handle(Time::ZERO, Input::Done(ticket, outcome));
        }
    }

    fn say(&mut self, line: &str) {
        self.give(Input::Line(line.into()));
    }

    fn log_in(&mut self) {
        self.say("USER ann");
        self.say("PASS secret");
        self.say("TYPE I");
    }

    fn retrieve(&mut self) {
        self.say("EPSV");
        self.give(Input::Data(DataEvent::Arrived));
        self.say("RETR a.txt");
    }
}

fn outcome(job: &Job) -> Outcome {
    match job {
        Job::LogIn { .. } => Outcome::LoggedIn(Grant::of(Permissions::ALL)),
        Job::Listen(_) => Outcome::Listening(([192, 0, 2, 1], 61_007).into()),
        Job::OpenRead { .. } => Outcome::Opened { size: Some(7), name: None },
        _ => Outcome::Done,
    }
}

/// Inputs of a whole session: greeting, login, one transfer, QUIT.
#[divan::bench]
fn session_from_login_to_quit(bencher: Bencher<'_, '_>) {
    let policy = Arc::new(Policy::default());
    let whole = || {
        let mut driven = Driven::new(&policy);
        driven.log_in();
        driven.retrieve();
        driven.say("QUIT");
        driven
    };
    assert!(whole().replies.ends_with(b"221 Goodbye.\r\n"));
    bencher.counter(ItemsCount::new(whole().steps)).bench(whole);
}

/// Inputs of one more transfer in a session that is logged in.
#[divan::bench]
fn session_steps_of_a_transfer(bencher: Bencher<'_, '_>) {
    let mut driven = Driven::new(&Arc::new(Policy::default()));
    driven.log_in();
    driven.steps = 0;
    driven.retrieve();
    assert!(driven.replies.ends_with(b"226 Transfer complete.\r\n"));
    let steps = driven.steps;
    bencher.counter(ItemsCount::new(steps)).bench_local(|| {
        driven.replies.clear();
        driven.retrieve();
        driven.replies.len()
    });
}
