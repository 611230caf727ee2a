//! A scripted server that misbehaves: every reply and every step of a transfer can be replaced.
//!
//! It serves one file of 100 kB to whoever asks, and checks nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};

/// The file.
pub(crate) fn content() -> Vec<u8> {
    (0..100_000_u32).map(|n| (n % 251) as u8).collect()
}

/// One step of what the server does for a transfer verb.
#[derive(Clone)]
pub(crate) enum Step {
    /// Writes to the control connection, in one write.
    Say(&'static str),
    /// Sends that much of the file from the restart point.
    Send(usize),
    /// Closes the data connection.
    Close,
    /// Resets it.
    Reset,
    /// Closes the control connection.
    Hang,
    Wait(u64),
}

pub(crate) use Step::{Close, Hang, Reset, Say, Send, Wait};

/// What the passive port is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Open,
    /// Nobody listens.
    Refused,
    /// Connections are neither accepted nor refused.
    BlackHole,
    /// It listens on another address of this machine.
    Elsewhere,
}

/// The whole behaviour. In replies `{port}` is the passive port, `{p}` the same in two numbers.
/// A reply that is empty is not sent; one that ends with `!close` closes the control connection.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) greeting: Vec<u8>,
    pub(crate) replies: HashMap<&'static str, &'static str>,
    pub(crate) port: HashMap<&'static str, Port>,
    pub(crate) retr: Vec<Step>,
    /// Whether replies are written a byte at a time.
    pub(crate) slowly: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            greeting: b"220 Hello.\r\n".to_vec(),
            replies: HashMap::from([
                ("USER", "331 Password?\r\n"),
                ("PASS", "230 In.\r\n"),
                ("FEAT", "211-Features:\r\n SIZE\r\n MDTM\r\n REST STREAM\r\n211 End\r\n"),
                ("TYPE", "200 Done.\r\n"),
                ("SIZE", "213 100000\r\n"),
                ("MDTM", "213 20260102030405\r\n"),
                ("REST", "350 Go on.\r\n"),
                ("EPSV", "229 Entering Extended Passive Mode (|||{port}|)\r\n"),
                ("PASV", "227 Entering Passive Mode (127,0,0,1,{p}).\r\n"),
                ("EPRT", "200 Done.\r\n"),
                ("PORT", "200 Done.\r\n"),
                ("PWD", "257 \"/\"\r\n"),
                ("CWD", "250 Done.\r\n"),
                ("QUIT", "221 Bye.\r\n"),
            ]),
            port: HashMap::new(),
            retr: vec![Say("150 Here.\r\n"), Send(100_000), Close, Say("226 Done.\r\n")],
            slowly: false,
        }
    }
}

impl Script {
    pub(crate) fn reply(mut self, verb: &'static str, reply: &'static str) -> Self {
        self.replies.insert(verb, reply);
        self
    }

    pub(crate) fn port(mut self, verb: &'static str, port: Port) -> Self {
        self.port.insert(verb, port);
        self
    }

    pub(crate) fn retr(mut self, steps: &[Step]) -> Self {
        self.retr = steps.to_vec();
        self
    }

    pub(crate) fn greeting(mut self, greeting: impl Into<Vec<u8>>) -> Self {
        self.greeting = greeting.into();
        self
    }

    /// Starts it on a free port. It ends with the runtime.
    pub(crate) async fn start(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(self);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let script = Arc::clone(&script);
                tokio::spawn(async move { script.serve(socket).await });
            }
        });
        address
    }

    async fn serve(&self, socket: TcpStream) -> Option<()> {
        let (read, mut write) = socket.into_split();
        let mut lines = BufReader::new(read);
        self.say(&mut write, &self.greeting).await?;
        let mut data = Data::default();
        loop {
            let mut line = Vec::new();
            lines.read_until(b'\n', &mut line).await.ok().filter(|read| *read > 0)?;
            let line = line.trim_ascii_end().to_vec();
            let text = line.escape_ascii().to_string();
            let (verb, argument) = text.split_once(' ').unwrap_or((&text, ""));
            match verb {
                "EPSV" | "PASV" => {
                    let port = self.port.get(verb).copied().unwrap_or(Port::Open);
                    data.listen(port).await;
                }
                "EPRT" => data.dial = argument.rsplit('|').nth(1).map(|p| p.parse().unwrap()),
                "PORT" => {
                    let numbers: Vec<u16> =
                        argument.split(',').map(|n| n.parse().unwrap()).collect();
                    data.dial = Some(numbers[4] * 256 + numbers[5]);
                }
                "REST" => data.restart = argument.parse().unwrap(),
                "RETR" | "LIST" | "MLSD" => {
                    if let Some(reply) = self.replies.get(verb) {
                        self.say(&mut write, reply.as_bytes()).await?;
                        continue;
                    }
                    self.transfer(&mut write, &mut data).await?;
                    continue;
                }
                _ => {}
            }
            let reply = self.replies.get(verb).copied().unwrap_or("500 What?\r\n");
            let (high, low) = (data.port / 256, data.port % 256);
            let reply = reply
                .replace("{port}", &data.port.to_string())
                .replace("{p}", &format!("{high},{low}"));
            let (reply, close) = match reply.strip_suffix("!close") {
                Some(reply) => (reply.to_owned(), true),
                None => (reply, false),
            };
            self.say(&mut write, reply.as_bytes()).await?;
            if close || verb == "QUIT" && !reply.is_empty() {
                return None;
            }
        }
    }

    async fn transfer(&self, control: &mut OwnedWriteHalf, data: &mut Data) -> Option<()> {
        let mut socket = None;
        for step in &self.retr {
            match step {
                Say(reply) => self.say(control, reply.as_bytes()).await?,
                Send(count) => {
                    if socket.is_none() {
                        socket = data.connect().await;
                    }
                    let content = content();
                    let rest = &content[data.restart.min(content.len())..];
                    let bytes = &rest[..(*count).min(rest.len())];
                    let _client_may_be_gone = socket.as_mut()?.write_all(bytes).await;
                }
                Close => {
                    if socket.is_none() {
                        socket = data.connect().await;
                    }
                    socket.as_mut()?.shutdown().await.ok()?;
                    let mut rest = [0];
                    let _until_the_client_closes = socket.as_mut()?.read(&mut rest).await;
                    socket = None;
                }
                Reset => {
                    // What is on its way arrives before the reset does.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    SockRef::from(socket.as_ref()?).set_linger(Some(Duration::ZERO)).ok()?;
                    socket = None;
                }
                Hang => return None,
                Wait(milliseconds) => {
                    tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
                }
            }
        }
        data.restart = 0;
        Some(())
    }

    async fn say(&self, control: &mut OwnedWriteHalf, bytes: &[u8]) -> Option<()> {
        if !self.slowly {
            return control.write_all(bytes).await.ok();
        }
        for byte in bytes {
            control.write_all(&[*byte]).await.ok()?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Some(())
    }
}

#[derive(Default)]
struct Data {
    listener: Option<TcpListener>,
    port: u16,
    dial: Option<u16>,
    restart: usize,
    /// What fills the queue of a black hole.
    full: Vec<Socket>,
}

impl Data {
    async fn listen(&mut self, kind: Port) {
        self.dial = None;
        let address = if kind == Port::Elsewhere { "127.0.0.2:0" } else { "127.0.0.1:0" };
        let listener = TcpListener::bind(address).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        self.listener = Some(listener);
        match kind {
            Port::Open | Port::Elsewhere => {}
            Port::Refused => self.listener = None,
            Port::BlackHole => {
                self.listener = None;
                let hole = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
                hole.bind(&any.into()).unwrap();
                hole.listen(0).unwrap();
                let address = hole.local_addr().unwrap();
                self.port = address.as_socket().unwrap().port();
                self.full = vec![hole];
                for _ in 0..4 {
                    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                    socket.set_nonblocking(true).unwrap();
                    let _in_progress = socket.connect(&address);
                    self.full.push(socket);
                }
            }
        }
    }

    async fn connect(&mut self) -> Option<TcpStream> {
        match (self.dial.take(), &self.listener) {
            (Some(port), _) => TcpStream::connect(("127.0.0.1", port)).await.ok(),
            (None, Some(listener)) => Some(listener.accept().await.ok()?.0),
            (None, None) => None,
        }
    }
}
