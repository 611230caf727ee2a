//! A TCP connection with patience: every read ends in time, and says what did not come.
//!
//! It blocks: a session on sockets is played on a thread of its own.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::park_timeout;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::chop::Chop;
use crate::player::{Step, show};

/// How long anything may take that is to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// An end of a connection.
pub(super) struct Wire {
    stream: TcpStream,
    /// What was read behind the last line.
    ahead: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Step<Self> {
        let set = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
        set.map_err(|error| error.to_string())?;
        Ok(Self { stream, ahead: Vec::new() })
    }

    /// Sends in the pieces of a chop.
    pub(super) fn send(&mut self, bytes: &[u8], chop: &mut Chop) -> Step {
        for (delay, piece) in chop.pieces(bytes) {
            if !delay.is_zero() {
                park_timeout(delay);
            }
            self.stream.write_all(piece).map_err(|error| format!("it cannot be sent: {error}"))?;
        }
        Ok(())
    }

    /// Sends; a peer that has closed is no surprise to who sends what it cannot want.
    pub(super) fn send_as_far_as_it_goes(&mut self, bytes: &[u8], chop: &mut Chop) {
        let _refused = self.send(bytes, chop);
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> Step<Vec<u8>> {
        loop {
            if let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.ahead.drain(..=end).collect();
                line.truncate(line.len() - 1);
                let without = line.strip_suffix(b"\r").map(<[u8]>::len);
                return match without {
                    Some(length) => {
                        line.truncate(length);
                        Ok(line)
                    }
                    None => Err(format!("a line without CR: {}", show(&line))),
                };
            }
            match self.more()? {
                0 => return Err("nothing: the server has closed the connection".into()),
                _ => continue,
            }
        }
    }

    /// So many bytes, or fewer at the end of data.
    pub(super) fn read(&mut self, length: usize) -> Step<Vec<u8>> {
        while self.ahead.len() < length && self.more()? > 0 {}
        let length = length.min(self.ahead.len());
        Ok(self.ahead.drain(..length).collect())
    }

    /// The peer closes, and sends nothing before.
    pub(super) fn ended(&mut self) -> Step {
        if self.ahead.is_empty() && self.more()? == 0 {
            return Ok(());
        }
        Err(format!("it goes on: {}", show(&self.ahead)))
    }

    /// Nothing comes for a time.
    pub(super) fn silent(&mut self, time: Duration) -> Step {
        let patience = |time| self.stream.set_read_timeout(Some(time)).map_err(|e| e.to_string());
        patience(time)?;
        let came = self.more();
        self.stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        match came {
            _ if !self.ahead.is_empty() => Err(show(&self.ahead)),
            // Closed without a word, or silent.
            _ => Ok(()),
        }
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> Step {
        self.stream.shutdown(how).map_err(|error| error.to_string())
    }

    /// Breaks the connection off.
    pub(super) fn reset(self) -> Step {
        let linger = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        linger.map_err(|error| error.to_string())
    }

    /// Reads what there is; a reset is an end, too.
    fn more(&mut self) -> Step<usize> {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(length) => {
                self.ahead.extend_from_slice(buffer.get(..length).unwrap_or_default());
                Ok(length)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(0),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err("nothing: the server is silent".into())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Connects from an address of the loopback.
pub(super) fn connect(from: IpAddr, to: SocketAddr) -> Step<TcpStream> {
    let connect = || {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect_timeout(&to.into(), PATIENCE)?;
        Ok(TcpStream::from(socket))
    };
    connect().map_err(|error: std::io::Error| format!("{to} cannot be reached: {error}"))
}

/// The connection that comes, in time.
pub(super) fn accept(listener: &TcpListener) -> Step<TcpStream> {
    const PAUSE: Duration = Duration::from_millis(2);
    listener.set_nonblocking(true).map_err(|error| error.to_string())?;
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).map_err(|error| error.to_string())?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => park_timeout(PAUSE),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("the server does not connect".into())
}
