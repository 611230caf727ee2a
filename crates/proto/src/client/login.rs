//! From the greeting to a session in TYPE I: USER, PASS, ACCT, under TLS the protection of data
//! connections (PBSZ, PROT), then FEAT and UTF-8 where they are offered.
//!
//! TLS itself begins before it, see [`Secure`](super::Secure).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::facts::Features;
use super::secure::{Policy, Start};
use crate::code::{Class, Code};
use crate::command::{Command, Opts, Password, Protection, Representation};
use crate::reason::Reason;
use crate::reply::Reply;
use crate::time::Time;

/// Who logs in. The default is the anonymous user of RFC 1635.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The name for USER.
    pub user: Vec<u8>,
    /// The password for PASS.
    pub password: Password,
    /// The account for ACCT, which few servers ask for.
    pub account: Option<Password>,
}

impl Default for Credentials {
    /// `anonymous` with `anonymous@`: RFC 1635 §2.4 asks for a mail address, and servers that look
    /// at the password are content with an `@`.
    fn default() -> Self {
        let password = Password(b"anonymous@".to_vec());
        Self { user: b"anonymous".to_vec(), password, account: None }
    }
}

/// What a login is told.
#[derive(Debug)]
pub enum Input {
    /// A reply: first the greeting, then one a command.
    Reply(Reply),
    /// The conversation is over.
    Lost(Reason),
}

/// What a login wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this and bring the reply.
    Command(Command),
    /// Logged in. The login is done.
    Done(Welcome),
    /// Not logged in: why, and the reply that said so. The login is done.
    Failed(Reason, Option<Reply>),
}

/// What a login found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Welcome {
    /// What FEAT listed.
    pub features: Features,
    /// Whether the server took TYPE I.
    pub image: bool,
    /// Whether data connections are under TLS.
    pub protected: bool,
    /// Whether that is so though the server does not know PROT: it is what implicit TLS means.
    pub assumed: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Login {
    credentials: Credentials,
    /// For data connections.
    protection: Policy,
    /// Whether the connection was under TLS from its first byte.
    implicit: bool,
    state: State,
    welcome: Welcome,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ExpectGreeting,
    ExpectUser,
    ExpectPass,
    ExpectAcct,
    ExpectPbsz,
    ExpectProt,
    ExpectFeat,
    ExpectOpts,
    ExpectType,
    Over,
}

impl Login {
    /// A login on a connection of which the greeting is still to come.
    #[must_use]
    pub fn new(credentials: Credentials) -> Self {
        let (state, welcome) = (State::ExpectGreeting, Welcome::default());
        let (protection, implicit) = (Policy::Off, false);
        Self { credentials, protection, implicit, state, welcome, effects: VecDeque::new() }
    }

    /// A login behind [`Secure`](super::Secure). `protection` is what is wanted for data
    /// connections: off where the control connection is in clear (RFC 4217 §9).
    #[must_use]
    pub fn behind(start: Start, credentials: Credentials, protection: Policy) -> Self {
        let mut login = Self { protection, ..Self::new(credentials) };
        match start {
            Start::Greeted(reply) => login.greeting(reply),
            Start::Implicit(reply) => {
                login.implicit = true;
                login.greeting(reply);
            }
            Start::Anew => login.user(),
        }
        login
    }

    /// Takes one input.
    pub fn handle(&mut self, _now: Time, input: Input) {
        match input {
            Input::Lost(reason) => self.fail(reason, None),
            Input::Reply(reply) if reply.code == Code::SERVICE_CLOSING => self.refused(reply),
            Input::Reply(reply) => match self.state {
                State::ExpectGreeting => self.greeting(reply),
                State::ExpectUser | State::ExpectPass | State::ExpectAcct => self.step(reply),
                // Its answer decides nothing: who wants none says 5yz and takes PROT.
                State::ExpectPbsz => {
                    self.send(State::ExpectProt, Command::Prot(Protection::Private));
                }
                State::ExpectProt => self.prot(reply),
                State::ExpectFeat => self.feat(&reply),
                State::ExpectOpts => self.send(State::ExpectType, TYPE_I),
                State::ExpectType => self.done(&reply),
                State::Over => {}
            },
        }
    }

    /// The next effect.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Its deadlines are those of the conversation.
    #[must_use]
    pub const fn deadline(&self) -> Option<Time> {
        None
    }

    /// A 230 in place of the 220 needs no login at all (some printers and bouncers).
    fn greeting(&mut self, reply: Reply) {
        match reply.code.class() {
            Class::Completion if reply.code == Code::LOGGED_IN => self.logged_in(),
            Class::Completion => self.user(),
            Class::TransientNegative | Class::PermanentNegative => self.refused(reply),
            Class::Preliminary | Class::Intermediate => {
                self.fail(Reason::ReplyMalformed, Some(reply));
            }
        }
    }

    /// RFC 959 §5.4 and §6, and what servers send beyond: any 2yz lets in (230, 202, 232 of RFC
    /// 2228), any 3yz asks for the next of the three.
    fn step(&mut self, reply: Reply) {
        match (reply.code.class(), self.state) {
            (Class::Completion, _) => self.logged_in(),
            (Class::Intermediate, State::ExpectUser) if reply.code != Code::NEED_ACCOUNT => {
                let password = Command::Pass(self.credentials.password.clone());
                self.send(State::ExpectPass, password);
            }
            (Class::Intermediate, State::ExpectUser | State::ExpectPass) => {
                match self.credentials.account.clone() {
                    Some(Password(account)) => {
                        self.send(State::ExpectAcct, Command::Acct(account));
                    }
                    None => self.fail(Reason::AccountNeeded, Some(reply)),
                }
            }
            (Class::Preliminary | Class::Intermediate, _) => {
                self.fail(Reason::ReplyMalformed, Some(reply));
            }
            (Class::TransientNegative | Class::PermanentNegative, _) => self.refused(reply),
        }
    }

    fn user(&mut self) {
        let user = Command::User(self.credentials.user.clone());
        self.send(State::ExpectUser, user);
    }

    /// RFC 4217 §9: data connections begin in clear, and PBSZ comes before PROT.
    fn logged_in(&mut self) {
        if self.protection == Policy::Off {
            self.send(State::ExpectFeat, Command::Feat);
        } else {
            self.send(State::ExpectPbsz, Command::Pbsz(0));
        }
    }

    /// Old devices with implicit TLS know neither PBSZ nor PROT and protect data all the same:
    /// implicit TLS was there before both (a draft of RFC 4217 had it so, for port 989 and 990).
    /// Data that are in clear after all fail in their handshake.
    fn prot(&mut self, reply: Reply) {
        let unknown =
            [Code::UNKNOWN_COMMAND, Code::NOT_IMPLEMENTED, Code::BAD_SEQUENCE, Code::BAD_PARAMETER];
        self.welcome.assumed = self.implicit && unknown.contains(&reply.code);
        self.welcome.protected = self.welcome.assumed || reply.code.class() == Class::Completion;
        if self.protection == Policy::Required && !self.welcome.protected {
            self.fail(Reason::ProtectionRefused, Some(reply));
        } else {
            self.send(State::ExpectFeat, Command::Feat);
        }
    }

    /// RFC 2640 §3.2 has UTF-8 on where it is listed; some servers want to be asked.
    fn feat(&mut self, reply: &Reply) {
        self.welcome.features = Features::read(reply);
        if self.welcome.features.has("UTF8") {
            self.send(State::ExpectOpts, Command::Opts(Opts::Utf8(true)));
        } else {
            self.send(State::ExpectType, TYPE_I);
        }
    }

    fn done(&mut self, reply: &Reply) {
        self.welcome.image = reply.code.class() == Class::Completion;
        self.state = State::Over;
        self.effects.push_back(Effect::Done(self.welcome.clone()));
    }

    fn refused(&mut self, reply: Reply) {
        self.fail(why(&reply), Some(reply));
    }

    fn fail(&mut self, reason: Reason, reply: Option<Reply>) {
        if self.state != State::Over {
            self.state = State::Over;
            self.effects.push_back(Effect::Failed(reason, reply));
        }
    }

    fn send(&mut self, state: State, command: Command) {
        self.state = state;
        self.effects.push_back(Effect::Command(command));
    }
}

const TYPE_I: Command = Command::Type(Representation::Image);

/// A 530 is not always a wrong password: the words tell more than the code.
fn why(reply: &Reply) -> Reason {
    let text = reply.lowercase();
    let says = |words: &[&[u8]]| {
        words.iter().any(|word| text.windows(word.len()).any(|window| window == *word))
    };
    if says(&[b"tls", b"ssl", b"encrypt", b"auth first", b"secure connection"]) {
        Reason::LoginNeedsTls
    } else if says(&[b"too many", b"maximum", b"limit", b"server full", b"server is full"]) {
        Reason::ServerBusy
    } else if reply.code == Code::SERVICE_CLOSING {
        Reason::ControlClosing
    } else {
        Reason::LoginRefused
    }
}

#[cfg(test)]
mod tests;
