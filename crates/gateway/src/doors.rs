//! Where clients come in: a task for each listener, how it is closed, and what another process gets of it.
//!
//! Whose a connection is, and whether there is room for it, is not asked here.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::front::Front;
use crate::sockets::Sockets;

/// How long to wait after an error of the system before asking it again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a port is listened at that clients are no more sent to. Origin: those who were sent there have
/// said so by then, unless their first packet was lost (RFC 6298: a second).
pub(crate) const LATE: Duration = Duration::from_millis(1500);

/// What is spoken at an address.
pub(crate) type Place = (Front, SocketAddr);

/// A socket that is listened at.
#[derive(Debug)]
pub(crate) struct Listener {
    /// What another process knows it by.
    pub(crate) name: String,
    /// What it was asked for; none if the seat took it.
    pub(crate) place: Option<Place>,
    pub(crate) socket: TcpListener,
}

/// The name of an address.
pub(crate) fn name((front, address): Place) -> String {
    let front = match front {
        Front::Ftp => "ftp",
        Front::Socks => "socks",
        Front::Http => "http",
    };
    format!("{front} {address}")
}

/// All of them.
pub(crate) struct Doors {
    pub(crate) accepting: JoinSet<()>,
    open: Vec<Door>,
    /// None, once all are closed.
    connections: Option<mpsc::Sender<(Front, TcpStream)>>,
}

struct Door {
    name: String,
    place: Option<Place>,
    socket: Arc<TcpListener>,
    /// After so long; its own end is an end, too.
    close: oneshot::Sender<Duration>,
}

impl Doors {
    pub(crate) fn new(connections: mpsc::Sender<(Front, TcpStream)>) -> Self {
        Self { accepting: JoinSet::new(), open: Vec::new(), connections: Some(connections) }
    }

    pub(crate) fn open(&mut self, listener: Listener) {
        let Some(connections) = self.connections.clone() else { return };
        let Listener { name, place, socket } = listener;
        let socket = Arc::new(socket);
        let (close, closed) = oneshot::channel();
        let front = place.map_or(Front::Ftp, |(front, _)| front);
        self.accepting.spawn(accept(Arc::clone(&socket), front, connections, closed));
        self.open.push(Door { name, place, socket, close });
    }

    pub(crate) fn has(&self, place: Place) -> bool {
        self.open.iter().any(|door| door.place == Some(place))
    }

    /// Closes those that were asked for and are so no more.
    pub(crate) fn keep(&mut self, is_wanted: impl Fn(Place) -> bool) {
        let is_wanted = |door: &mut Door| door.place.is_some_and(|place| !is_wanted(place));
        for door in self.open.extract_if(.., is_wanted) {
            // It may have ended.
            let _: Result<_, _> = door.close.send(Duration::ZERO);
        }
    }

    /// For another process: what comes meanwhile, either may accept.
    pub(crate) fn offer(&self) -> io::Result<Sockets> {
        let mut sockets = Sockets::default();
        for door in &self.open {
            sockets.add(&door.name, door.socket.as_fd().try_clone_to_owned()?);
        }
        Ok(sockets)
    }

    /// Closes all: at once what another process has; what clients were sent to a little later.
    pub(crate) fn close(&mut self, has_other: impl Fn(&str) -> bool) {
        for door in self.open.drain(..) {
            let is_late = door.place.is_none() && !has_other(&door.name);
            // It may have ended.
            let _: Result<_, _> = door.close.send(if is_late { LATE } else { Duration::ZERO });
        }
        self.connections = None;
    }
}

/// Hands on who comes, until it is closed: nobody who was accepted is dropped.
async fn accept(
    socket: Arc<TcpListener>,
    front: Front,
    connections: mpsc::Sender<(Front, TcpStream)>,
    closed: oneshot::Receiver<Duration>,
) {
    let over = async {
        if let Ok(late) = closed.await {
            sleep(late).await;
        }
    };
    let mut over = std::pin::pin!(over);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut over => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((client, _)) => {
                if connections.send((front, client)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(target: "twoport", %error, "a connection was not accepted");
                sleep(PAUSE).await;
            }
        }
    }
}
