//! One session, as either kind of server runs it.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::net::RecvFlags;

use crate::Floor;
use crate::dialogue::{self, Form, Step};
use crate::disk::{self, CHUNK, Reading, Writing};
use crate::socket::{self, Kind, Socket};

pub struct Session {
    floor: &'static Floor,
    control: Socket<TcpStream>,
    /// Kept from the first PASV on.
    passive: Option<(Socket<TcpListener>, u16)>,
    port: Option<SocketAddr>,
}

impl Session {
    pub fn new(floor: &'static Floor, control: TcpStream) -> Self {
        Self { floor, control: Socket::new(control), passive: None, port: None }
    }

    pub async fn run(mut self) -> io::Result<()> {
        self.control.send(b"220 Ready\r\n").await?;
        let mut lines = Vec::new();
        loop {
            let Some(step) = dialogue::next(&mut lines) else {
                if !self.control.receive_later(self.floor.kind, &mut lines).await? {
                    return Ok(());
                }
                continue;
            };
            match step {
                Step::Reply(reply) => self.control.send(reply).await?,
                Step::Quit => return self.control.send(b"221 Bye\r\n").await,
                // Boxed, so that who is idle does not hold the memory of a transfer.
                step => {
                    if Box::pin(self.transfer(step)).await.is_err() {
                        self.control.send(b"550 Failed\r\n").await?;
                    }
                }
            }
        }
    }

    async fn transfer(&mut self, step: Step) -> io::Result<()> {
        match step {
            Step::Passive { extended } => {
                let port = match &self.passive {
                    Some((_, port)) => *port,
                    None => self.passive.insert(socket::listener()?).1,
                };
                self.control.send(dialogue::passive(extended, port).as_bytes()).await
            }
            Step::Port(address) => {
                self.port = Some(address);
                self.control.send(b"200 OK\r\n").await
            }
            Step::Retrieve(name) => self.retrieve(&name).await,
            Step::Store(name) => self.store(&name).await,
            Step::List(form, name) => self.list(form, &name).await,
            Step::Reply(_) | Step::Quit => Ok(()),
        }
    }

    /// The data connection; and whether 150 had to be said before it came.
    async fn open(&mut self) -> io::Result<(Socket<TcpStream>, bool)> {
        let kind = self.floor.kind;
        if let Some(address) = self.port.take() {
            return Ok((Socket::new(socket::connect(address, kind)?), false));
        }
        let (listener, _) = self.passive.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        if let Some(data) = listener.accept_at_once(kind)? {
            return Ok((Socket::new(data), false));
        }
        self.control.send(dialogue::OPENING).await?;
        Ok((Socket::new(listener.accept(kind).await?), true))
    }

    /// Says what is still to be said.
    async fn close(&mut self, said: bool) -> io::Result<()> {
        self.control.send(if said { dialogue::DONE } else { dialogue::BOTH }).await
    }

    async fn retrieve(&mut self, name: &str) -> io::Result<()> {
        let mut file = Reading::open(&self.floor.path(name))?;
        let mut chunk = Vec::with_capacity(CHUNK);
        file.next(&mut chunk)?;
        let (mut data, mut said) = self.open().await?;
        if !said && !file.is_over() {
            self.control.send(dialogue::OPENING).await?;
            said = true;
        }
        while !chunk.is_empty() {
            data.send(&chunk).await?;
            file.next(&mut chunk)?;
        }
        drop(data);
        self.close(said).await
    }

    async fn store(&mut self, name: &str) -> io::Result<()> {
        let (mut data, mut said) = self.open().await?;
        let mut file = Writing::open(self.floor.path(name), self.floor.whole)?;
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut is_open = data.receive_at_once(&mut chunk, RecvFlags::DONTWAIT)?;
        if is_open.is_none() && !said {
            // Some clients begin when they have read it.
            self.control.send(dialogue::OPENING).await?;
            said = true;
        }
        while is_open != Some(false) {
            file.write(&chunk)?;
            chunk.clear();
            is_open = Some(data.receive(&mut chunk).await?);
        }
        file.commit()?;
        drop(data);
        self.close(said).await
    }

    async fn list(&mut self, form: Form, name: &str) -> io::Result<()> {
        self.control.send(dialogue::OPENING).await?;
        let (mut data, _) = self.open().await?;
        let path = self.floor.path(name);
        let text = match self.floor.kind {
            Kind::Threads => disk::list(&path, form)?,
            Kind::Tasks => {
                let listed = tokio::task::spawn_blocking(move || disk::list(&path, form)).await;
                listed.map_err(io::Error::other)??
            }
        };
        data.send(text.as_bytes()).await?;
        drop(data);
        self.close(true).await
    }
}
