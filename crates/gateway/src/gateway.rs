//! The gateway as a whole: where clients connect, how many may, and how it ends.
//!
//! What a session does is in [`session`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use twoport_net::data::ports::Ports;
use twoport_net::nft::Router;
use twoport_proto::code::Code;
use twoport_proto::reply::Reply;

use crate::board::Board;
use crate::config::Config;
use crate::hole::farewell;
use crate::room::Room;
use crate::seat;
use crate::session;
use crate::upstream::Sparing;

/// How many connections may wait to be accepted. Origin: Linux's `somaxconn`.
const BACKLOG: i32 = 4096;

/// How long to wait after an error of the system before asking it again.
const PAUSE: Duration = Duration::from_millis(50);

/// What the sessions of a gateway have in common.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) ports: Ports,
    pub(crate) sparing: Arc<Sparing>,
    pub(crate) board: Board,
    /// The rules, where it stands on a router.
    pub(crate) router: Option<Router>,
}

/// A gateway that listens.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    listeners: Vec<TcpListener>,
    router: Option<Router>,
    board: Board,
    stop: watch::Sender<bool>,
}

/// Ends a gateway.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// No new sessions, and those there are end with 421. Data connections that flow go on.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Gateway {
    /// Listens at every address of the configuration; what goes on there is shown on `board`.
    ///
    /// # Errors
    /// The one that cannot be listened at, and why.
    pub fn bind(config: Config, board: Board) -> io::Result<Self> {
        let (mut listeners, router) = config.seat.take()?;
        for address in &config.listen {
            listeners.push(listen(*address)?);
        }
        Ok(Self { config, listeners, router, board, stop: watch::Sender::new(false) })
    }

    /// The addresses as bound.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// What ends it.
    #[must_use]
    pub fn stop(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// On the servers' router, lets control connections through the host's own firewall.
    ///
    /// # Errors
    /// The kernel does not do that; then the firewall has to be told of them.
    pub async fn welcome(&self) -> io::Result<()> {
        match &self.router {
            Some(router) => seat::welcome(&self.config, router).await,
            None => Ok(()),
        }
    }

    /// Relays until it is stopped, and until the last session has said so.
    pub async fn run(self) {
        let room = Room::new(self.config.max_sessions, self.config.max_sessions_per_ip);
        let ports = Ports::new(self.config.data_ports.clone());
        let router = self.router;
        let sparing = Arc::default();
        let (config, board) = (self.config, self.board);
        let shared = Arc::new(Shared { config, ports, sparing, board, router });
        let welcoming = tokio::spawn(seat::keep_open(Arc::clone(&shared)));
        let (connections, mut arrived) = tokio::sync::mpsc::channel(1);
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            let connections = connections.clone();
            accepting.spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok((client, _)) => {
                            if connections.send(client).await.is_err() {
                                return;
                            }
                        }
                        Err(error) => {
                            tracing::warn!(target: "twoport", %error, "a connection was not accepted");
                            tokio::time::sleep(PAUSE).await;
                        }
                    }
                }
            });
        }
        let mut sessions = JoinSet::new();
        let mut stop = self.stop.subscribe();
        loop {
            let client = tokio::select! {
                Some(client) = arrived.recv() => client,
                () = stopped(&mut stop) => break,
                Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
            };
            // Else it is gone already.
            let Ok(peer) = client.peer_addr() else { continue };
            let place = match room.enter(peer.ip()) {
                Ok(place) => place,
                Err(reason) => {
                    let (reason_id, why) = (reason.id(), reason.describe());
                    tracing::warn!(target: "twoport", client = %peer.ip(), reason = reason_id, why, "refuse");
                    let mut bytes = Vec::new();
                    Reply::why(Code::SERVICE_CLOSING, reason).encode(&mut bytes);
                    sessions.spawn(async move { farewell(client, &bytes).await });
                    continue;
                }
            };
            let (shared, number) = (Arc::clone(&shared), shared.board.number());
            let stop = self.stop.subscribe();
            sessions.spawn(async move {
                session::run(shared, number, client, stop).await;
                drop(place);
            });
        }
        accepting.shutdown().await;
        while sessions.join_next().await.is_some() {}
        welcoming.abort();
        if let Some(router) = &shared.router {
            router.weigh_anchor();
        }
    }
}

/// Waits until the gateway is stopped, or is no more.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Its end is a stop, too.
    let _: Result<_, _> = stop.wait_for(|stop| *stop).await.map(drop);
}

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    twoport_net::listen::listen(address, BACKLOG)
}
