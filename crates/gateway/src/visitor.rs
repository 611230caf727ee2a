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
use twoport_proto::code::Code;
use twoport_proto::reason::Reason;
use twoport_proto::relay::{Desk, Heard, Introduction, Lobby, Task, Wish};
use twoport_proto::reply::Reply;

use crate::gateway::{Shared, stopped};
use crate::log::{self, Who};
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
        is_implicit: bool,
        mut stop: watch::Receiver<bool>,
    ) -> Option<(Wish, Introduction)> {
        let handshake = match is_implicit {
            true => match self.secure().await {
                Ok(name) => Some(name),
                Err(reason) => {
                    self.send_away(reason).await;
                    return None;
                }
            },
            false => None,
        };
        let mut lobby = Lobby::new(desk, self.shared.config.policy.clone(), handshake);
        let until = Instant::now() + PATIENCE;
        let mut bytes = Vec::new();
        loop {
            match self.drain(&mut lobby).await {
                Ok(Next::Wait) => {}
                Ok(Next::Chosen(wish)) => return Some((wish, lobby.introduce())),
                Ok(Next::Gone) | Err(_) => return None,
            }
            bytes.clear();
            tokio::select! {
                read = self.client.read(&mut bytes) => match read {
                    Ok(1..) => lobby.handle(Heard::Bytes(&bytes)),
                    Ok(0) | Err(_) => lobby.handle(Heard::Eof),
                },
                () = sleep_until(until) => {
                    self.send_away(Reason::LoginDeadline).await;
                    return None;
                }
                () = stopped(&mut stop) => {
                    self.send_away(Reason::ShuttingDown).await;
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

    /// The session ends before it has begun: the client hears why.
    pub(crate) async fn send_away(&mut self, reason: Reason) {
        let mut bytes = Vec::new();
        Reply::why(Code::SERVICE_CLOSING, reason).encode(&mut bytes);
        let (session, client) = (self.who.session, self.who.client.ip());
        tracing::warn!(target: "twoport", session, %client, reason = reason.id(), why = reason.describe(), "close");
        self.shared.board.tell("close", reason);
        // The client may be gone.
        let _: io::Result<()> = self.client.write(&bytes).await;
        let _: io::Result<()> = self.client.shutdown().await;
    }
}
