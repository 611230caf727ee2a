//! The control connection of a client: the conversation's machine on a socket.
//!
//! It knows neither logins nor transfers: it sends a command and brings what comes back.

use std::time::Duration;

use tokio::time::sleep_until;

use twoport_net::clock;
use twoport_net::control::ControlStream;
use twoport_net::tls::TlsError;
use twoport_net::tls::connect::Guard;
use twoport_proto::client::Conversation;
use twoport_proto::client::conversation::{Effect, Input};
use twoport_proto::command::{Command, Redacted};
use twoport_proto::reason::Reason;
use twoport_proto::reply::Reply;
use twoport_proto::time::Time;

use crate::trace::{Observer, Trace};

/// The shortest password that is looked for in replies: a shorter one is part of many words.
const SHORTEST_SECRET: usize = 4;

/// What comes back.
#[derive(Debug)]
pub(crate) enum Event {
    /// A reply to the command.
    Reply(Reply),
    /// No reply will come.
    Lost(Reason),
    /// The caller's own time is reached.
    Due,
}

/// The machine on its socket.
pub(crate) struct Wire {
    pub(crate) control: ControlStream,
    pub(crate) conversation: Conversation,
    observer: Option<Observer>,
    /// What must not be shown even if the server repeats it.
    secret: Vec<u8>,
    /// Why the last command was not sent.
    unsent: Option<Reason>,
    ended: bool,
    /// What TLS said when the connection ended: an alert comes after the handshake, too.
    alert: Option<Reason>,
}

impl Wire {
    pub(crate) fn new(
        control: ControlStream,
        conversation: Conversation,
        observer: Option<Observer>,
        secret: &[u8],
    ) -> Self {
        let secret = if secret.len() < SHORTEST_SECRET { Vec::new() } else { secret.to_vec() };
        let (unsent, ended, alert) = (None, false, None);
        let wire = Self { control, conversation, observer, secret, unsent, ended, alert };
        wire.trace(Trace::Connected(wire.control.peer()));
        wire
    }

    pub(crate) fn trace(&self, event: Trace<'_>) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    /// Whether no command can be sent any more.
    pub(crate) const fn is_over(&self) -> bool {
        self.ended || self.conversation.closed().is_some()
    }

    /// Tells of something that has no event of its own.
    pub(crate) fn remark(&self, what: &str) {
        self.trace(Trace::Remark(what));
    }

    /// Sends a command. What goes wrong is told by [`next`](Self::next).
    pub(crate) async fn send(&mut self, command: &Command) {
        self.conversation.handle(clock::now(), Input::Command(command));
        match self.conversation.poll() {
            Some(Effect::Send(line)) => {
                self.trace(Trace::Sent(Redacted(line.trim_ascii_end())));
                if self.control.write(&line).await.is_err() {
                    self.eof();
                }
            }
            Some(Effect::Lost(reason)) => self.unsent = Some(reason),
            Some(Effect::Reply(_) | Effect::Stray(_)) | None => {}
        }
    }

    /// Begins TLS on the control connection. What came in clear before is no reply afterwards; what
    /// is still on its way spoils the handshake.
    pub(crate) async fn secure(
        &mut self,
        guard: &Guard,
        patience: Duration,
    ) -> Result<(), TlsError> {
        self.conversation.handle(clock::now(), Input::Secure);
        match self.conversation.closed() {
            Some(reason) => Err(TlsError::new(reason)),
            None => self.control.secure(|tcp| guard.connect(tcp, patience)).await,
        }
    }

    /// Sends a command and waits for its reply.
    pub(crate) async fn ask(&mut self, command: &Command) -> Result<Reply, Reason> {
        self.send(command).await;
        loop {
            match self.next(None).await {
                Event::Reply(reply) => return Ok(reply),
                Event::Lost(reason) => return Err(reason),
                Event::Due => {}
            }
        }
    }

    /// What comes next, at the latest at `until`. May be dropped while it waits.
    pub(crate) async fn next(&mut self, until: Option<Time>) -> Event {
        loop {
            if let Some(event) = self.pending() {
                return event;
            }
            let now = clock::now();
            if until.is_some_and(|until| now >= until) {
                return Event::Due;
            }
            if self.ended && until.is_none() {
                let reason = self.conversation.closed().unwrap_or(Reason::ControlLost);
                return Event::Lost(self.alert.unwrap_or(reason));
            }
            self.wait(until).await;
        }
    }

    fn pending(&mut self) -> Option<Event> {
        if let Some(reason) = self.unsent.take() {
            return Some(Event::Lost(reason));
        }
        loop {
            // Where no command waits, a lost conversation is told at the next one.
            return Some(match self.conversation.poll()? {
                Effect::Reply(reply) => {
                    let reply = self.without_secret(reply);
                    self.trace(Trace::Received(&reply));
                    Event::Reply(reply)
                }
                Effect::Stray(reply) => {
                    let reply = self.without_secret(reply);
                    self.trace(Trace::Stray(&reply));
                    continue;
                }
                Effect::Lost(reason) => Event::Lost(self.alert.unwrap_or(reason)),
                Effect::Send(_) => continue,
            });
        }
    }

    async fn wait(&mut self, until: Option<Time>) {
        let wake = [until, self.conversation.deadline()].into_iter().flatten().min();
        let timer = async {
            match wake {
                Some(wake) => sleep_until(clock::instant(wake)).await,
                None => std::future::pending().await,
            }
        };
        let mut bytes = Vec::new();
        tokio::select! {
            read = self.control.read(&mut bytes), if !self.ended => match read {
                Ok(1..) => self.conversation.handle(clock::now(), Input::Bytes(&bytes)),
                Ok(0) => self.eof(),
                Err(error) => {
                    let reason = TlsError::from(error).reason;
                    self.alert = Some(reason).filter(|reason| *reason != Reason::TlsFailed);
                    self.eof();
                }
            },
            () = timer => self.conversation.handle(clock::now(), Input::Timer),
        }
    }

    fn eof(&mut self) {
        self.ended = true;
        self.conversation.handle(clock::now(), Input::Eof);
    }

    /// Some servers repeat a wrong password in their refusal.
    fn without_secret(&self, reply: Reply) -> Reply {
        if self.secret.is_empty() {
            return reply;
        }
        reply.edited(|line| {
            while let Some(at) = find(line, &self.secret) {
                line.splice(at..at + self.secret.len(), *b"***");
            }
        })
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}
