//! A client of a few lines that does what it is told, also what no client should.
//!
//! It waits for every reply and takes any; what a reply means is for the test to say.

use std::io::{self, BufRead as _, BufReader, Error, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A control connection.
#[derive(Debug)]
pub struct Plain {
    control: BufReader<TcpStream>,
}

impl Plain {
    /// Connects, and reads the greeting.
    ///
    /// # Errors
    ///
    /// The network's, or a greeting that is none.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut client = Self { control: BufReader::new(stream) };
        client.expect(220)?;
        Ok(client)
    }

    /// Connects, logs in, and takes binary mode.
    ///
    /// # Errors
    ///
    /// The network's, or a refusal.
    pub fn log_in(address: SocketAddr, user: &str, password: &str) -> io::Result<Self> {
        let mut client = Self::connect(address)?;
        client.ask(&format!("USER {user}"), 331)?;
        client.ask(&format!("PASS {password}"), 230)?;
        client.ask("TYPE I", 200)?;
        Ok(client)
    }

    /// Sends a command, and reads a reply that must have this code.
    ///
    /// # Errors
    ///
    /// The network's, or another reply.
    pub fn ask(&mut self, line: &str, code: u16) -> io::Result<String> {
        self.control.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
        self.expect(code)
    }

    /// Reads a reply that must have this code.
    ///
    /// # Errors
    ///
    /// The network's, or another reply.
    pub fn expect(&mut self, code: u16) -> io::Result<String> {
        let (found, text) = self.reply()?;
        let other = || Error::other(format!("expected {code}, got {text}"));
        if found == code { Ok(text) } else { Err(other()) }
    }

    /// Reads a reply.
    ///
    /// # Errors
    ///
    /// The network's, or what is no reply.
    pub fn reply(&mut self) -> io::Result<(u16, String)> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if self.control.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let end = line.as_bytes().get(3) == Some(&b' ');
            let code = line.get(..3).and_then(|code| code.parse().ok());
            text.push_str(&line);
            if let (true, Some(code)) = (end, code) {
                return Ok((code, text));
            }
        }
    }

    /// Asks for a passive port, and connects to it.
    ///
    /// # Errors
    ///
    /// The network's, or a refusal.
    pub fn passive(&mut self) -> io::Result<TcpStream> {
        let text = self.ask("EPSV", 229)?;
        let port = text.split('|').nth(3).and_then(|port| port.parse().ok());
        let port: u16 = port.ok_or_else(|| Error::other(text))?;
        TcpStream::connect((self.control.get_ref().peer_addr()?.ip(), port))
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        self.control.get_ref()
    }
}

/// Closes a connection with a reset, as a crashed peer or a middlebox does.
///
/// # Errors
///
/// The system's.
pub fn reset(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}
