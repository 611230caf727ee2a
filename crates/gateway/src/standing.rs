//! What a seat has besides its doors until it retires: its claims, ports for hosts, and what it takes on a
//! router. Another process may have the first two.
//!
//! Sessions are none of it.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use twoport_net::nft::Router;

use crate::doors::{self, Doors};
use crate::gateway::Shared;
use crate::pcp;
use crate::sockets::Sockets;

/// What a seat has besides its doors, as long as it is not retired.
pub(crate) struct Standing {
    pub(crate) pcp: Option<Pcp>,
    pub(crate) claims: Vec<(String, UnixListener)>,
}

/// Where hosts ask for ports, and the task that answers them.
pub(crate) struct Pcp {
    socket: Arc<UdpSocket>,
    /// Its end is the end.
    goes_on: oneshot::Sender<()>,
    task: JoinHandle<Vec<String>>,
}

impl Pcp {
    pub(crate) fn begin(
        socket: Arc<UdpSocket>,
        current: &watch::Sender<Arc<Shared>>,
        former: Vec<String>,
    ) -> Self {
        let (goes_on, over) = oneshot::channel();
        let task = tokio::spawn(pcp::serve(Arc::clone(&socket), current.subscribe(), former, over));
        Self { socket, goes_on, task }
    }
}

impl Standing {
    /// For another process, all of it.
    pub(crate) fn offer(
        &self,
        doors: &Doors,
        current: &watch::Sender<Arc<Shared>>,
    ) -> io::Result<Sockets> {
        let mut sockets = doors.offer()?;
        for (name, claim) in &self.claims {
            sockets.add(name, claim.as_fd().try_clone_to_owned()?);
        }
        if let (Some(pcp), Some(interface)) = (&self.pcp, &current.borrow().config.pcp) {
            sockets.add(pcp::name(interface), pcp.socket.as_fd().try_clone_to_owned()?);
        }
        Ok(sockets)
    }

    /// What another process has to know.
    pub(crate) async fn end(&mut self, interface: Option<&str>) -> Vec<String> {
        self.claims.clear();
        let (Some(Pcp { socket, goes_on, task }), Some(interface)) = (self.pcp.take(), interface)
        else {
            return Vec::new();
        };
        drop((socket, goes_on));
        // All its sockets are closed then.
        let lines = task.await.unwrap_or_default();
        let name = pcp::name(interface);
        lines.into_iter().map(|line| format!("{name} {line}")).collect()
    }
}

/// Takes nobody any more, where the seat is on a router.
pub(crate) fn withdraw(shared: &Shared) {
    let withdrawn = shared.router.as_ref().map_or(Ok(()), Router::withdraw);
    if let Err(error) = withdrawn {
        let what = "clients are still taken by a seat that has retired";
        tracing::error!(target: "twoport", %error, "{what}");
    }
}

/// Ends what is not of a session, but only when another one that has taken the place has it in place, too.
pub(crate) async fn forget_late(shared: Arc<Shared>) {
    let Some(router) = &shared.router else { return };
    tokio::time::sleep(doors::LATE).await;
    if let Err(error) = router.forget() {
        tracing::error!(target: "twoport", %error, "ports of hosts stay until their time is over");
    }
}
