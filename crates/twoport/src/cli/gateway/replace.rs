//! `twoport gateway --replace`: a process takes the place of the one that runs in this network. It gets
//! that one's sockets before it begins, so that nobody is refused in between; the other keeps its
//! sessions until they end.
//!
//! What the sockets are for is said by their names, which the gateway crate gives them.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use twoport_gateway::Sockets;
use twoport_sys::passing::{Dialogue, open};

use super::super::Failure;

/// The name of the door, which the process has whose status is told.
pub(super) const DOOR: &str = "twoport-gateway-replace";

/// What each says first. Another number is another dialogue.
const GREETING: &str = "twoport gateway replace 1";

/// How long either waits for a word of the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the new one may take to begin. Origin: it looks up the names of servers, at ten seconds each.
const BEGINNING: Duration = Duration::from_secs(60);

/// How long to wait after an error of the system before asking it again.
const PAUSE: Duration = Duration::from_millis(50);

/// What another process wants of the seats.
#[derive(Debug)]
pub(super) enum Wish {
    /// All sockets; the seats go on.
    Offer(oneshot::Sender<io::Result<Sockets>>),
    /// That they retire: sockets of these names are in other hands. How many sessions are left, and what has
    /// the other process to know?
    Retire(Vec<String>, oneshot::Sender<(usize, Vec<String>)>),
}

/// Answers those who knock at the door, one after the other.
pub(super) async fn answer(door: UnixListener, wishes: mpsc::Sender<Wish>) {
    loop {
        let knocked = async {
            let stream = door.accept().await?.0.into_std()?;
            Dialogue::with(stream, BEGINNING)
        };
        let dialogue = match knocked.await {
            Ok(dialogue) => dialogue,
            Err(error) => {
                tracing::warn!(target: "twoport", %error, "one who would replace this gateway");
                sleep(PAUSE).await;
                continue;
            }
        };
        let (wishes, (ended, end)) = (wishes.clone(), oneshot::channel());
        // A thread of its own: the end of the process does not wait for it.
        std::thread::spawn(move || {
            if let Err(error) = hand_over(&dialogue, &wishes) {
                tracing::warn!(target: "twoport", %error, "this gateway goes on: it was not replaced");
            }
            // Who waits for it may be gone.
            let _: Result<_, _> = ended.send(());
        });
        let _: Result<_, _> = end.await;
    }
}

/// The part of the one that was there.
fn hand_over(dialogue: &Dialogue, wishes: &mpsc::Sender<Wish>) -> io::Result<()> {
    let peer = dialogue.peer()?;
    if !is_trusted(peer.user) {
        return dialogue.send("no: this gateway runs as another user", None);
    }
    match dialogue.receive()? {
        Some((said, _)) if said == GREETING => {}
        Some(_) => {
            return dialogue.send("no: this gateway speaks otherwise: stop it instead", None);
        }
        None => return Ok(()),
    }
    // Who has opened the door may be another one.
    dialogue.send(&format!("process {}", std::process::id()), None)?;
    let gone = || io::Error::other("it ends");
    let (answer, answered) = oneshot::channel();
    wishes.blocking_send(Wish::Offer(answer)).map_err(|_| gone())?;
    for (name, socket) in answered.blocking_recv().map_err(|_| gone())?? {
        dialogue.send(&format!("socket {name}"), Some(socket.as_fd()))?;
    }
    dialogue.send("all", None)?;
    let mut handed = Vec::new();
    loop {
        let Some((said, _)) = dialogue.receive()? else {
            return Err(io::Error::other(format!("process {} did not begin", peer.process)));
        };
        match said.split_once(' ') {
            Some(("took", name)) => handed.push(name.to_owned()),
            _ if said == "begin" => break,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    let (answer, answered) = oneshot::channel();
    wishes.blocking_send(Wish::Retire(handed, answer)).map_err(|_| gone())?;
    let (sessions, told) = answered.blocking_recv().map_err(|_| gone())?;
    tracing::info!(target: "twoport", by = peer.process, sessions, "replaced");
    // It goes on without knowing.
    let tell = || {
        for line in told {
            dialogue.send(&format!("knows {line}"), None)?;
        }
        dialogue.send(&format!("over {sessions}"), None)
    };
    let _: io::Result<()> = tell();
    Ok(())
}

/// Whether it is the own user or root, to whom and from whom sockets are given.
pub(super) fn is_trusted(user: u32) -> bool {
    user == 0 || user == rustix::process::getuid().as_raw()
}

/// A process that would begin, and the one whose place it takes, if there is one.
#[derive(Debug, Default)]
pub(super) struct Taking {
    former: Option<(Dialogue, String)>,
    /// What it has got and not yet taken.
    pub(super) sockets: Sockets,
    names: Vec<String>,
}

impl Taking {
    /// Asks the one that runs for its sockets; there may be none.
    ///
    /// # Errors
    /// It does not give them.
    pub(super) fn begin() -> Result<Self, Failure> {
        let Ok(dialogue) = Dialogue::begin(DOOR, PATIENCE) else { return Ok(Self::default()) };
        let (mut process, mut sockets) = ("?".to_owned(), Sockets::default());
        let mut ask = || {
            let peer = dialogue.peer()?;
            if !is_trusted(peer.user) {
                let whose = format!("it belongs to user {}", peer.user);
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, whose));
            }
            dialogue.send(GREETING, None)?;
            loop {
                let said = dialogue.receive()?.ok_or(io::ErrorKind::ConnectionReset)?;
                match said {
                    (said, Some(socket)) => match said.strip_prefix("socket ") {
                        Some(name) => sockets.add(name, socket),
                        None => return Err(io::ErrorKind::InvalidData.into()),
                    },
                    (said, None) if said == "all" => return Ok(()),
                    (said, None) => {
                        if let Some(number) = said.strip_prefix("process ") {
                            number.clone_into(&mut process);
                            continue;
                        }
                        let why =
                            said.strip_prefix("no: ").unwrap_or("it says what makes no sense");
                        return Err(io::Error::other(why));
                    }
                }
            }
        };
        match ask() {
            Ok(()) => {
                let names = sockets.names();
                Ok(Self { former: Some((dialogue, process)), sockets, names })
            }
            Err(error) => Err(Failure::here(format!(
                "process {process}, which is to be replaced, does not hand over: {error}; it goes on"
            ))),
        }
    }

    /// What is to be said where this process cannot begin.
    pub(super) fn failed(&self, error: &io::Error) -> Failure {
        let is_there = || Dialogue::begin(DOOR, PATIENCE).is_ok();
        Failure::here(match &self.former {
            Some((_, process)) => {
                format!("{error}; process {process}, which was to be replaced, goes on")
            }
            None if error.kind() == io::ErrorKind::AddrInUse && is_there() => {
                format!("{error}; a gateway runs here already, whose place --replace takes")
            }
            None => error.to_string(),
        })
    }

    /// This process is ready: the other one retires, and when this returns it has. What does it say that is
    /// to be known?
    pub(super) fn complete(self) -> Vec<String> {
        let mut told = Vec::new();
        let Self { former: Some((dialogue, process)), sockets, names } = self else { return told };
        let mut left = sockets.names();
        drop(sockets);
        let tell = || {
            for name in names {
                match left.iter().position(|other| *other == name) {
                    Some(at) => drop(left.swap_remove(at)),
                    None => dialogue.send(&format!("took {name}"), None)?,
                }
            }
            dialogue.send("begin", None)?;
            loop {
                // It had no sessions, and has ended.
                let Some((said, _)) = dialogue.receive()? else { return Ok("0".to_owned()) };
                match said.split_once(' ') {
                    Some(("knows", line)) => told.push(line.to_owned()),
                    Some(("over", sessions)) => return Ok(sessions.to_owned()),
                    _ => return Err(io::Error::from(io::ErrorKind::InvalidData)),
                }
            }
        };
        match tell() {
            Ok(sessions) => tracing::info!(target: "twoport", process, sessions, "took the place"),
            Err(error) => {
                let what = "the other one does not say that it has retired";
                tracing::warn!(target: "twoport", process, %error, "{what}");
            }
        }
        told
    }
}

/// The door: as it was handed over, or a new one.
///
/// # Errors
/// Somebody has the name.
pub(super) fn door(sockets: &mut Sockets) -> io::Result<UnixListener> {
    let door = match sockets.take(DOOR) {
        Some(door) => door.into(),
        None => open(DOOR)?,
    };
    door.set_nonblocking(true)?;
    UnixListener::from_std(door)
}
