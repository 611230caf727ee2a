//! The client's machines, one above the other, as one end that is told what happens and says what
//! it wants: a login, a data set-up and a transfer.
//!
//! It opens no connection and has no clock: session files and the pair drive it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use twoport_proto::client::conversation::{self, Conversation};
use twoport_proto::client::login::{self, Credentials, Login};
use twoport_proto::client::open::{self, Network, Open, Seen};
use twoport_proto::client::transfer::{self, Direction, Outcome, Plan, Transfer, Verdict};
use twoport_proto::command::Command;
use twoport_proto::reason::Reason;
use twoport_proto::time::Time;

use crate::script::Errand;

/// How long the client waits for a reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// The port at which the client listens in active mode: what session files announce as 195,101.
const LISTENING: u16 = 50021;

/// What the client wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Send this on the control connection.
    Send(Vec<u8>),
    /// Connect there, and say that it failed when this time has come.
    Dial(SocketAddr, Option<Time>),
    /// Close the control connection, and make another.
    Reconnect,
    /// Move the data.
    Start,
    /// Close the data connection.
    Stop,
    /// Something was decided, in the words of a session file.
    Note(String),
    /// The transfer is over.
    Done(Outcome),
}

/// Which machine is at work above the conversation.
#[derive(Debug)]
enum Work {
    /// Behind it, the set-up that goes on on the new connection.
    Login(Login, Option<Open>),
    Open(Open),
    Transfer(Transfer),
    Over,
}

/// The client's end.
#[derive(Debug)]
pub struct ClientEnd {
    errand: Errand,
    credentials: Credentials,
    server: SocketAddr,
    own: IpAddr,
    round_trip: Duration,
    now: Time,
    conversation: Conversation,
    work: Work,
    wishes: VecDeque<Wish>,
}

impl ClientEnd {
    /// A client at `own` whose connection to `server` is just up.
    #[must_use]
    pub fn new(
        errand: Errand,
        credentials: Credentials,
        server: SocketAddr,
        own: IpAddr,
        round_trip: Duration,
    ) -> Self {
        let work = Work::Login(Login::new(credentials.clone()), None);
        Self {
            errand,
            credentials,
            server,
            own,
            round_trip,
            now: Time::ZERO,
            conversation: connected(Time::ZERO, round_trip),
            work,
            wishes: VecDeque::new(),
        }
    }

    /// The next wish.
    pub fn poll(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// Whether nothing more will be wished.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.work, Work::Over)
    }

    /// When it wants to be woken. A dial's end is the driver's to know.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let work = match &self.work {
            Work::Open(open) => open.deadline(),
            Work::Transfer(transfer) => transfer.deadline(),
            Work::Login(..) | Work::Over => None,
        };
        [work, self.conversation.deadline()].into_iter().flatten().min()
    }

    /// The control connection brought bytes, or nothing any more.
    pub fn control(&mut self, now: Time, input: conversation::Input<'_>) {
        self.now = now;
        self.conversation.handle(now, input);
        self.drain();
    }

    /// A dial led nowhere.
    pub fn dial_failed(&mut self, now: Time, to: SocketAddr, reason: Reason) {
        self.open(now, open::Input::DialFailed(vec![(to, reason)]));
    }

    /// Something became of a dial.
    pub fn open(&mut self, now: Time, input: open::Input) {
        self.now = now;
        if let Work::Open(open) = &mut self.work {
            open.handle(now, input);
        }
        self.drain();
    }

    /// Something became of the data connection.
    pub fn transfer(&mut self, now: Time, input: transfer::Input) {
        self.now = now;
        if let Work::Transfer(transfer) = &mut self.work {
            transfer.handle(now, input);
        }
        self.drain();
    }

    /// The deadline has come; so many bytes were moved.
    pub fn wake(&mut self, now: Time, bytes: u64) {
        self.control(now, conversation::Input::Timer);
        self.open(now, open::Input::Timer);
        self.transfer(now, transfer::Input::Timer { bytes });
    }

    /// Effects of the conversation, then of the machine above it, until none is left.
    fn drain(&mut self) {
        loop {
            if let Some(effect) = self.conversation.poll() {
                self.conversed(effect);
            } else if !self.work() {
                return;
            }
        }
    }

    fn conversed(&mut self, effect: conversation::Effect) {
        use conversation::Effect;
        match effect {
            Effect::Send(bytes) => self.wishes.push_back(Wish::Send(bytes)),
            Effect::Stray(reply) => self.note(format!("stray {}", reply.code)),
            Effect::Reply(reply) => match &mut self.work {
                Work::Login(login, _) => login.handle(self.now, login::Input::Reply(reply)),
                Work::Open(open) => open.handle(self.now, open::Input::Reply(reply)),
                Work::Transfer(transfer) => {
                    transfer.handle(self.now, transfer::Input::Reply(reply));
                }
                Work::Over => {}
            },
            Effect::Lost(reason) => match &mut self.work {
                Work::Login(login, _) => login.handle(self.now, login::Input::Lost(reason)),
                Work::Open(open) => open.handle(self.now, open::Input::Lost(reason)),
                Work::Transfer(transfer) => {
                    transfer.handle(self.now, transfer::Input::Lost(reason));
                }
                Work::Over => {}
            },
        }
    }

    /// The next effect of the machine at work; whether there was one.
    fn work(&mut self) -> bool {
        match &mut self.work {
            Work::Login(login, _) => {
                let effect = login.poll();
                effect.map(|effect| self.logged_in(effect)).is_some()
            }
            Work::Open(open) => {
                let effect = open.poll();
                effect.map(|effect| self.opened(effect)).is_some()
            }
            Work::Transfer(transfer) => {
                let effect = transfer.poll();
                effect.map(|effect| self.transferred(effect)).is_some()
            }
            Work::Over => false,
        }
    }

    fn command(&mut self, command: &Command) {
        self.conversation.handle(self.now, conversation::Input::Command(command));
    }

    fn note(&mut self, words: String) {
        self.wishes.push_back(Wish::Note(words));
    }

    fn logged_in(&mut self, effect: login::Effect) {
        match effect {
            login::Effect::Command(command) => self.command(&command),
            login::Effect::Done(_) => {
                let (now, mode) = (self.now, self.errand.mode);
                let waiting = match std::mem::replace(&mut self.work, Work::Over) {
                    Work::Login(_, open) => open,
                    _ => None,
                };
                self.work = Work::Open(match waiting {
                    Some(mut open) => {
                        open.handle(now, open::Input::Reconnected);
                        open
                    }
                    None => Open::new(now, mode, self.network()),
                });
            }
            login::Effect::Failed(reason, _) => {
                self.note(format!("login reason={reason}"));
                self.work = Work::Over;
            }
        }
    }

    fn opened(&mut self, effect: open::Effect) {
        match effect {
            open::Effect::Command(command) => self.command(&command),
            open::Effect::Dial { to, patience } => {
                let until = patience.map(|patience| self.now.after(patience));
                let likeliest = to.first().copied();
                self.wishes.extend(likeliest.map(|to| Wish::Dial(to, until)));
            }
            // The two are neighbours: no packet ends between them.
            open::Effect::Punch => {
                self.open(self.now, open::Input::ListenFailed(Reason::PunchNoRoom));
            }
            open::Effect::Map => {
                self.open(self.now, open::Input::ListenFailed(Reason::RouterSilent));
            }
            open::Effect::Listen => {
                let at = SocketAddr::new(self.own, LISTENING);
                self.open(self.now, open::Input::Listening(at));
            }
            open::Effect::Reconnect => self.reconnect(),
            open::Effect::Ready(step) => {
                if let Work::Open(open) = &self.work {
                    let tried: Vec<String> = open.failures().iter().map(tried).collect();
                    self.wishes.extend(tried.into_iter().map(Wish::Note));
                }
                self.note(format!("ready {}", step.name()));
                self.work = Work::Transfer(Transfer::new(self.now, self.plan()));
            }
            open::Effect::Failed(failures) => {
                self.wishes.extend(failures.iter().map(tried).map(Wish::Note));
                self.note("failed".into());
                self.work = Work::Over;
            }
        }
    }

    fn network(&self) -> Network {
        Network {
            peer: self.server,
            local: SocketAddr::new(self.own, LISTENING - 1),
            round_trip: self.round_trip,
            worked: None,
            external: None,
            seen: Some(Seen { address: None, port: None }),
            can_listen: true,
        }
    }

    fn reconnect(&mut self) {
        if let Work::Open(open) = std::mem::replace(&mut self.work, Work::Over) {
            self.work = Work::Login(Login::new(self.credentials.clone()), Some(open));
        }
        self.conversation = connected(self.now, self.round_trip);
        self.note("reconnect".into());
        self.wishes.push_back(Wish::Reconnect);
    }

    fn transferred(&mut self, effect: transfer::Effect) {
        match effect {
            transfer::Effect::Command(command) => self.command(&command),
            transfer::Effect::Start => self.wishes.push_back(Wish::Start),
            transfer::Effect::Stop => self.wishes.push_back(Wish::Stop),
            transfer::Effect::Done(outcome) => {
                self.note(format!("{} bytes={}", words(outcome.verdict), outcome.bytes));
                self.wishes.push_back(Wish::Done(outcome));
                self.work = Work::Over;
            }
        }
    }

    fn plan(&self) -> Plan {
        let direction = match self.errand.command {
            Command::Retr(_) => Direction::Download,
            Command::Stor(_) | Command::Appe(_) | Command::Stou(_) => Direction::Upload,
            _ => Direction::Listing,
        };
        let round_trip = self.round_trip;
        let patience = transfer::Patience { reply: PATIENCE, confirm: PATIENCE, round_trip };
        let (restart, size) = (self.errand.restart, self.errand.size);
        let (command, protected) = (self.errand.command.clone(), false);
        Plan { command, direction, restart, size, protected, patience }
    }
}

fn connected(now: Time, round_trip: Duration) -> Conversation {
    let patience = conversation::Patience { greeting: PATIENCE, reply: PATIENCE };
    Conversation::new(now, round_trip, patience)
}

/// A step of the ladder that led nowhere.
fn tried(failure: &open::Failure) -> String {
    format!("tried {} reason={}", failure.step.name(), failure.reason)
}

fn words(verdict: Verdict) -> String {
    let why = |word: &str, reason: Reason| format!("{word} reason={reason}");
    match verdict {
        Verdict::Confirmed => "confirmed".into(),
        Verdict::Unconfirmed(reason) => why("unconfirmed", reason),
        Verdict::Truncated(reason) => why("truncated", reason),
        Verdict::Refused(reason) => why("refused", reason),
    }
}
