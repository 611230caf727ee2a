//! Where a gateway answers those who ask about it: its status, its metrics, and the door of one that would
//! take its place. All of it goes to that one.
//!
//! What is answered is written in [`status`], [`metrics`] and [`replace`].

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use twoport_gateway::{Board, Sockets};

use super::replace::{self, Wish};
use super::{metrics, status};

/// The sockets; nobody is answered yet.
pub(super) struct Shown {
    status: Option<UnixListener>,
    pages: Vec<(String, TcpListener)>,
    door: Option<UnixListener>,
}

/// Who answers.
#[derive(Debug, Default)]
pub(super) struct Answering {
    sockets: Vec<(String, OwnedFd)>,
    tasks: JoinSet<()>,
}

impl Shown {
    /// Takes them from what was handed over, or opens them. Another gateway of the same network may have
    /// the names; then nobody is answered here.
    ///
    /// # Errors
    /// The metrics' address cannot be listened at.
    pub(super) fn open(
        pages: impl Iterator<Item = SocketAddr>,
        sockets: &mut Sockets,
    ) -> io::Result<Self> {
        let pages = metrics::open(pages, sockets)?;
        let status = status::open(sockets)
            .inspect_err(|error| {
                tracing::warn!(target: "twoport", %error, "no status: the name is taken");
            })
            .ok();
        let door = status.as_ref().and_then(|_| replace::door(sockets).ok());
        Ok(Self { status, pages, door })
    }

    /// Answers.
    ///
    /// # Errors
    /// The system has no more files.
    pub(super) fn answer(self, board: &Board, wishes: mpsc::Sender<Wish>) -> io::Result<Answering> {
        let mut answering = Answering::default();
        let Answering { sockets, tasks } = &mut answering;
        if let Some(listener) = self.status {
            sockets.push((status::NAME.into(), listener.as_fd().try_clone_to_owned()?));
            tasks.spawn(status::answer(listener, board.clone(), false));
        }
        for (name, listener) in self.pages {
            sockets.push((name, listener.as_fd().try_clone_to_owned()?));
            tasks.spawn(metrics::answer(listener, board.clone()));
        }
        if let Some(door) = self.door {
            sockets.push((replace::DOOR.into(), door.as_fd().try_clone_to_owned()?));
            tasks.spawn(replace::answer(door, wishes));
        }
        Ok(answering)
    }
}

impl Answering {
    /// For another process.
    ///
    /// # Errors
    /// The system has no more files.
    pub(super) fn offer(&self) -> io::Result<Sockets> {
        let mut sockets = Sockets::default();
        for (name, socket) in &self.sockets {
            sockets.add(name, socket.try_clone()?);
        }
        Ok(sockets)
    }

    /// It is for the other one to answer, but for one question: how many sessions are left here.
    pub(super) async fn end(&mut self, board: &Board) {
        self.sockets.clear();
        self.tasks.shutdown().await;
        // Then nobody hears of them.
        if let Ok(listener) = status::open_draining() {
            self.tasks.spawn(status::answer(listener, board.clone(), true));
        }
    }
}
