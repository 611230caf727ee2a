//! Any session as the client's end of the control connection sees it: each command goes out as it
//! stands, and what comes back is read as its reply and nothing else.
//!
//! It moves no data. Sessions in which more than one command is under way at a time are not a
//! client's of ours, and are left out from there on.

use std::time::Duration;

use twoport_proto::client::conversation::{Conversation, Effect, Input, Patience};
use twoport_proto::code::{Class, Code};
use twoport_proto::command::Command;
use twoport_proto::reply::Reply;
use twoport_proto::time::Time;

use super::{Failure, Step, show};
use crate::script::{Says, Script, Wire};

/// Plays the control connection of a script, the server's lines read out of it.
///
/// # Errors
/// The first line that the client's end does not send, or reads as something else.
pub fn control(script: &Script) -> Result<(), Failure> {
    let patience =
        Patience { greeting: Duration::from_secs(3600), reply: Duration::from_secs(3600) };
    let round_trip = Duration::from_millis(10);
    let conversation = Conversation::new(Time::ZERO, round_trip, patience);
    let mut end = End { conversation, now: Time::ZERO, waits: true, over: false };
    for line in &script.lines {
        end.line(&line.says).map_err(|found| Failure::at(script, line, found))?;
        if end.over {
            break;
        }
    }
    Ok(())
}

struct End {
    conversation: Conversation,
    now: Time,
    /// Whether a reply is due.
    waits: bool,
    over: bool,
}

impl End {
    fn line(&mut self, says: &Says) -> Step {
        match says {
            Says::Client(text, _) => self.say(&text.sketch()),
            Says::Server(wire) => self.hear(wire),
            // The replies to the login are not in the file.
            Says::Event(crate::script::Event::LogsIn(_)) => {
                self.hear_bytes(b"220 Ready.\r\n", Some(Code::READY))
            }
            _ => Ok(()),
        }
    }

    fn say(&mut self, line: &[u8]) -> Step {
        let Ok((_, command)) = Command::parse(line) else {
            self.over = true;
            return Ok(());
        };
        if self.waits {
            self.over = true;
            return Ok(());
        }
        let mut wanted = Vec::new();
        if command.encode(&mut wanted).is_err() {
            self.over = true;
            return Ok(());
        }
        self.conversation.handle(self.now, Input::Command(&command));
        self.waits = true;
        match self.conversation.poll() {
            Some(Effect::Send(bytes)) if bytes == wanted => Ok(()),
            Some(Effect::Send(bytes)) => Err(show(&bytes)),
            other => Err(format!("{other:?}")),
        }
    }

    fn hear(&mut self, wire: &Wire) -> Step {
        let (line, code) = match wire {
            Wire::First(code, text) => {
                ([format!("{code}-").as_bytes(), &text.sketch()].concat(), None)
            }
            Wire::Body(text) => ([b" ", &text.sketch()[..]].concat(), None),
            Wire::Bodies => return Ok(()),
            Wire::Last(code, text) => {
                ([format!("{code} ").as_bytes(), &text.sketch()].concat(), Some(*code))
            }
        };
        self.hear_bytes(&[&line[..], b"\r\n"].concat(), code)
    }

    /// A reply has come whole when its code is given.
    fn hear_bytes(&mut self, bytes: &[u8], code: Option<Code>) -> Step {
        self.conversation.handle(self.now, Input::Bytes(bytes));
        let Some(code) = code else { return self.nothing() };
        let reply = match self.conversation.poll() {
            Some(Effect::Reply(reply)) => reply,
            // What could be the second end of a transfer is held back for a while.
            None => self.held()?,
            // Nobody waits for a reply: 421, or the second end of ABOR.
            Some(Effect::Stray(reply)) if !self.waits => reply,
            Some(other) => return Err(format!("{other:?}")),
        };
        if reply.code.class() != Class::Preliminary {
            self.waits = false;
        }
        if reply.code == code { self.nothing() } else { Err(format!("{reply:?}")) }
    }

    fn held(&mut self) -> Step<Reply> {
        self.now = self.now.after(Duration::from_secs(2));
        self.conversation.handle(self.now, Input::Timer);
        match self.conversation.poll() {
            Some(Effect::Reply(reply)) => Ok(reply),
            other => Err(format!("no reply, but {other:?}")),
        }
    }

    fn nothing(&mut self) -> Step {
        match self.conversation.poll() {
            None => Ok(()),
            Some(effect) => Err(format!("{effect:?} beside it")),
        }
    }
}
