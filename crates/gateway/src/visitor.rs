//! A client before it has a server: the lobby's driver.
//!
//! Without routes there is no lobby: the server is known by then.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use twoport_net::control::ControlStream;
use twoport_net::tls::accept;
use twoport_net::tls::tickets::SessionTls;
use twoport_proto::reason::Reason;
use twoport_proto::relay::{Auth, Desk, Heard, Introduction, Lobby, Opening, Task, Wish, farewell};

use crate::gateway::{Shared, stopped};
use crate::log::{self, Who};
use crate::seat::IMPLICIT;
use crate::session::HANDSHAKE;

/// How long a client may take to say for whom it is meant. Origin: the server's login-timeout.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that has connected.
pub(crate) struct Visitor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) who: Who,
    pub(crate) client: ControlStream,
    /// Whom it meant to reach.
    pub(crate) meant: SocketAddr,
    pub(crate) tls: Option<SessionTls>,
    /// Whether it has begun a handshake that passes: nothing in clear can be said to it.
    pub(crate) expects_tls: bool,
}

/// Whether TLS begins with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Implicit {
    /// It does not.
    No,
    /// It does, and ends in the gateway.
    EndsHere,
    /// It does, and passes.
    Passes,
}

/// What a lobby's task came to.
enum Next {
    Wait,
    Chosen(Wish),
    Gone,
}

impl Visitor {
    /// Learns for whom the client is meant. None: it has gone, or was sent away.
    pub(crate) async fn receive(
        &mut self,
        desk: Desk,
        mut stop: watch::Receiver<bool>,
    ) -> Option<(Wish, Introduction)> {
        let opening = match self.implicit() {
            Implicit::No => Opening::Clear,
            Implicit::Passes => {
                self.expects_tls = true;
                Opening::Unread
            }
            Implicit::EndsHere => match self.secure().await {
                Ok(name) => Opening::Secured(name),
                Err(reason) => {
                    self.send_away(reason).await;
                    return None;
                }
            },
        };
        let mut lobby = Lobby::new(desk, self.shared.config.policy.clone(), opening);
        let until = Instant::now() + PATIENCE;
        let mut bytes = Vec::new();
        loop {
            match self.drain(&mut lobby).await {
                Ok(Next::Wait) => {}
                Ok(Next::Chosen(wish)) => {
                    let introduction = lobby.introduce();
                    self.expects_tls = introduction.passes();
                    return Some((wish, introduction));
                }
                Ok(Next::Gone) | Err(_) => return None,
            }
            bytes.clear();
            tokio::select! {
                read = self.client.read(&mut bytes) => match read {
                    Ok(1..) => lobby.handle(Heard::Bytes(&bytes)),
                    Ok(0) | Err(_) => lobby.handle(Heard::Eof),
                },
                () = sleep_until(until) => {
                    self.dismiss(Reason::LoginDeadline, &lobby.farewell(Reason::LoginDeadline)).await;
                    return None;
                }
                () = stopped(&mut stop) => {
                    self.dismiss(Reason::ShuttingDown, &lobby.farewell(Reason::ShuttingDown)).await;
                    return None;
                }
            }
        }
    }

    async fn drain(&mut self, lobby: &mut Lobby) -> io::Result<Next> {
        while let Some(task) = lobby.poll() {
            match task {
                Task::Write(bytes) => self.client.write(&bytes).await?,
                Task::Secure => {
                    let secured = self.secure().await;
                    lobby.handle(Heard::Secured(
                        secured.as_ref().map(Option::as_deref).map_err(|reason| *reason),
                    ));
                }
                Task::Check(user, password) => {
                    let accounts = self.shared.config.accounts.clone();
                    let check = move || accounts.is_some_and(|it| it.has(&user, &password.0));
                    // A hash takes a tenth of a second on purpose.
                    let is_right = tokio::task::spawn_blocking(check).await.unwrap_or_default();
                    lobby.handle(Heard::Checked(is_right));
                }
                Task::Note(note) => {
                    self.shared.board.note(&note);
                    log::note(&self.who, &note);
                }
                Task::Choose(wish) => return Ok(Next::Chosen(wish)),
                Task::End => {
                    self.client.shutdown().await?;
                    return Ok(Next::Gone);
                }
            }
        }
        Ok(Next::Wait)
    }

    /// Puts the client's leg under TLS; the name is the one that it has asked for.
    async fn secure(&mut self) -> Result<Option<Vec<u8>>, Reason> {
        let tls = self.tls.as_ref().ok_or(Reason::TlsUnavailable)?;
        let config = Arc::clone(&tls.control);
        let secured = self.client.secure(|tcp| accept::control(tcp, config, HANDSHAKE)).await;
        secured.map_err(|error| error.reason)?;
        Ok(self.client.server_name().map(|name| name.as_bytes().to_vec()))
    }

    /// Whether TLS begins with its connection, and where that ends.
    pub(crate) fn implicit(&self) -> Implicit {
        let config = &self.shared.config;
        match config.policy.auth {
            _ if self.meant.port() != IMPLICIT => Implicit::No,
            _ if config.client_tls.is_some() => Implicit::EndsHere,
            Auth::Pass => Implicit::Passes,
            // Clear text towards clients, as upstream-tls "always" has it.
            Auth::Terminate | Auth::Refuse => Implicit::No,
        }
    }

    /// The session ends before it has begun: the client hears why.
    pub(crate) async fn send_away(&mut self, reason: Reason) {
        self.dismiss(reason, &farewell(reason, self.expects_tls)).await;
    }

    async fn dismiss(&mut self, reason: Reason, words: &[u8]) {
        let (session, client) = (self.who.session, self.who.client.ip());
        tracing::warn!(target: "twoport", session, %client, reason = reason.id(), why = reason.describe(), "close");
        self.shared.board.tell("close", reason);
        // The client may be gone.
        let _: io::Result<()> = self.client.write(words).await;
        let _: io::Result<()> = self.client.shutdown().await;
    }
}
