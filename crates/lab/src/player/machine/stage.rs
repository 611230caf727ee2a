//! The machine as a stage: what the lines of a session file make happen to it.
//!
//! It compares nothing with the file: the player does.

use twoport_proto::reason::Reason;
use twoport_proto::server::{DataEvent, Input};

use super::{Feed, Machine, port_in};
use crate::player::{Stage, Step, difference, show};
use crate::script::{Captures, Event};

impl Stage for Machine {
    fn say(&mut self, bytes: &[u8]) -> Step {
        match self.feed {
            Feed::Whole => {
                self.reader.push(bytes);
                self.read_lines();
            }
            Feed::Bytewise => {
                self.reader.push(b"\xff\xf1");
                for byte in bytes {
                    self.reader.push(&[*byte]);
                    self.read_lines();
                }
            }
        }
        self.answer();
        Ok(())
    }

    fn line(&mut self) -> Step<Vec<u8>> {
        if self.replies.is_empty() {
            self.finish_download();
        }
        self.replies.pop_front().ok_or_else(|| match self.closed {
            true => "nothing: the server has closed the connection".into(),
            false => "nothing: the server is silent".into(),
        })
    }

    fn upload(&mut self, bytes: &[u8]) -> Step {
        let data = self.data.as_mut().ok_or("there is no data connection")?;
        data.up.extend_from_slice(bytes);
        self.receive();
        Ok(())
    }

    fn download(&mut self, length: usize) -> Step<Vec<u8>> {
        let data = self.data.as_mut().ok_or("there is no data connection")?;
        let length = length.min(data.down.len());
        Ok(data.down.drain(..length).collect())
    }

    fn event(&mut self, event: &Event, captures: &Captures) -> Step {
        match event {
            Event::LogsIn(_) => Ok(()),
            Event::ClientConnects(port) => self.connect(port_in(&port.fill(captures)?)?, false),
            Event::StrangerConnects(port) => self.connect(port_in(&port.fill(captures)?)?, true),
            Event::ServerConnects => self.dialled(DataEvent::Dialled),
            Event::ConnectRefused => self.dialled(DataEvent::DialFailed(Reason::DataRefused)),
            Event::ConnectUnreachable => {
                self.dialled(DataEvent::DialFailed(Reason::DataUnreachable))
            }
            Event::TlsBegins => self.handshake(Ok(None)),
            Event::TlsBeginsWith(name) => self.handshake(Ok(Some(name.clone()))),
            Event::TlsFails(reason) => self.handshake(Err(*reason)),
            Event::ClientClosesData => self.close_data(),
            Event::DataReset => self.fail(Reason::DataReset),
            Event::TransferFails(reason) => self.fail(*reason),
            Event::DataClosedByServer => {
                self.finish_download();
                match &self.data {
                    Some(data) if !data.down.is_empty() => {
                        let rest: Vec<u8> = data.down.iter().copied().collect();
                        Err(format!("more data: {}", show(&rest)))
                    }
                    Some(data) if !data.closed => Err("the data connection is open".into()),
                    _ => Ok(()),
                }
            }
            Event::ClientClosesControl => {
                self.give(Input::Eof);
                Ok(())
            }
            Event::ControlClosedByServer if self.closed => Ok(()),
            Event::ControlClosedByServer => Err("the control connection is open".into()),
            Event::Wait(time) => self.wait(*time),
            Event::Silence => match self.replies.front() {
                Some(line) => Err(show(line)),
                None => Ok(()),
            },
            Event::ServerStops => {
                self.give(Input::Shutdown);
                Ok(())
            }
            Event::ServerEnds => {
                self.give(Input::Terminate);
                Ok(())
            }
            Event::Stored(path, content) => match self.stored(path, captures)? {
                Some(found) if found == content.fill(captures)? => Ok(()),
                Some(found) => Err(difference(&content.fill(captures)?, &found)),
                None => Err("there is no such file".into()),
            },
            Event::Absent(path) => match self.stored(path, captures)? {
                Some(found) => Err(format!("the file is there: {}", show(&found))),
                None => Ok(()),
            },
        }
    }

    fn note(&mut self, words: &str) -> Step {
        let unread = self.notes.get(self.notes_read..).unwrap_or_default();
        match unread.iter().position(|note| note.starts_with(words)) {
            Some(at) => {
                self.notes_read += at + 1;
                Ok(())
            }
            None => Err(format!("{unread:?}")),
        }
    }

    fn finish(&mut self) -> Step {
        match self.replies.front() {
            Some(line) => Err(format!("one reply more: {}", show(line))),
            None => Ok(()),
        }
    }
}
