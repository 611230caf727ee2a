//! What runs beside a session's control connection: a job, and a transfer step by step.
//!
//! Blocking work runs on the runtime's threads for it. What comes back is a [`Finished`].

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use twoport_net::clock;
use twoport_net::data::desk::Claim;
use twoport_net::data::dial::Dialled;
use twoport_net::data::ports::LeaseError;
use twoport_net::pump::{self, Progress, PumpError, blocking};
use twoport_net::stream::Stream;
use twoport_net::tls::TlsError;
use twoport_proto::command::Password;
use twoport_proto::reason::Reason;
use twoport_proto::server::{Outcome, Ticket};
use twoport_proto::time::Time;

use super::connection::Connection;
use crate::accounts::Account;
use crate::listing::Rows;
use crate::log::Who;
use crate::serving::Serving;
use crate::transfer::{Opened, Reading, Receiving};
use crate::world::World;

/// What work came to.
pub(super) enum Finished {
    /// A job or a transfer ended.
    Job { ticket: Ticket, outcome: Outcome, opened: Option<Opened> },
    /// The password was right, and the account's files are there.
    LoggedIn { ticket: Ticket, account: Arc<Account>, world: World },
    /// The turn of an offer at a shared port has come, or has not.
    Claimed { ticket: Ticket, claim: Result<Claim, LeaseError> },
    /// The client's data port answered or did not.
    Dialled(Result<Dialled, Reason>),
    /// TLS is on the data connection, or is not.
    Secured(Result<Stream, TlsError>),
    /// The end of an upload's data came, and the moment in which it can turn out to be a cut is over.
    Received { ticket: Ticket, receiving: Receiving },
}

/// A place for one piece of work.
#[derive(Default)]
pub(super) struct Slot(Option<Pin<Box<dyn Future<Output = Finished> + Send>>>);

impl Slot {
    pub(super) fn new(work: impl Future<Output = Finished> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }

    pub(super) fn blocking(work: impl FnOnce() -> Finished + Send + 'static) -> Self {
        Self::new(blocking(work))
    }

    /// Waits for the work, if there is any. Nothing is lost if the future is dropped.
    pub(super) async fn finished(&mut self) -> Finished {
        let Some(work) = &mut self.0 else { return pending().await };
        let finished = work.await;
        self.0 = None;
        finished
    }
}

/// How far the bytes of a transfer are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing moves, or only out: it can be dropped at any time.
    #[default]
    Droppable,
    /// In: what came must be taken care of.
    Receiving,
    /// An upload becomes the file.
    Committing,
}

/// A transfer from its opened file to its end.
#[derive(Default)]
pub(super) struct Moving {
    pub(super) opened: Option<Box<(Ticket, Opened)>>,
    pub(super) received: Option<Box<(Ticket, Receiving)>>,
    pub(super) phase: Phase,
    pub(super) progress: Progress,
    pub(super) ascii: bool,
    pub(super) began: Time,
    /// Who began it: somebody else may have logged in when it ends.
    pub(super) who: Option<Who>,
    cancel: Option<oneshot::Sender<()>>,
}

impl Moving {
    pub(super) fn begin(&mut self, opened: &Opened, who: &Who) {
        self.who = Some(who.clone());
        self.progress.restart();
        self.began = clock::now();
        self.ascii = opened.is_ascii();
        self.phase = match opened {
            Opened::Write(_) => Phase::Receiving,
            Opened::Read(_) | Opened::List(_) => Phase::Droppable,
        };
    }

    /// Whether what is open takes a file in.
    pub(super) fn is_upload(&self) -> bool {
        matches!(self.opened.as_deref(), Some((_, Opened::Write(_))))
    }

    /// Whether what is open can be over before anybody waits for it.
    pub(super) fn may_be_short(&self) -> bool {
        match self.opened.as_deref() {
            Some((_, Opened::Read(reading))) => reading.is_short(),
            Some((_, Opened::Write(_))) => true,
            Some((_, Opened::List(_))) | None => false,
        }
    }

    /// What ends the reception when [`Moving::cancel`] is called.
    pub(super) fn cancellation(&mut self) -> oneshot::Receiver<()> {
        let (cancel, cancelled) = oneshot::channel();
        self.cancel = Some(cancel);
        cancelled
    }

    /// Whether it was called. The end of the data may have come in the same moment, and won.
    pub(super) const fn is_cancelled(&self) -> bool {
        self.cancel.is_none()
    }

    pub(super) fn cancel(&mut self) {
        if let Some(cancel) = self.cancel.take() {
            // Its end may have come by itself.
            let _: Result<(), ()> = cancel.send(());
        }
    }
}

/// Who came before waits for nobody: neither for those who guess, nor for a thread.
pub(super) fn recalled(
    ticket: Ticket,
    serving: &Serving,
    user: &[u8],
    password: &Password,
) -> Option<Finished> {
    let account = serving.accounts.recall(user, &password.0).filter(|account| account.enabled)?;
    let world = serving.known_world(&account)?;
    Some(Finished::LoggedIn { ticket, account, world })
}

/// Looks at a password and opens the account's files.
pub(super) fn log_in(
    ticket: Ticket,
    serving: Arc<Serving>,
    user: Vec<u8>,
    password: Password,
) -> Slot {
    Slot::new(async move {
        let checks = Arc::clone(&serving.checks);
        let Ok(_permit) = checks.acquire_owned().await else { return pending().await };
        blocking(move || match serving.accounts.verify(&user, &password.0) {
            Some(account) => open(ticket, &serving, account),
            None => ended(ticket, Outcome::Failed(Reason::LoginFailed)),
        })
        .await
    })
}

/// Opens the files of an account whose certificate was shown.
pub(super) fn enter(ticket: Ticket, serving: Arc<Serving>, account: Arc<Account>) -> Slot {
    Slot::blocking(move || open(ticket, &serving, account))
}

fn open(ticket: Ticket, serving: &Serving, account: Arc<Account>) -> Finished {
    if !account.enabled {
        return ended(ticket, Outcome::Failed(Reason::AccountDisabled));
    }
    match serving.world(&account) {
        Ok(world) => Finished::LoggedIn { ticket, account, world },
        Err(error) => {
            let root = account.root.display();
            tracing::error!(target: "twoport", %root, %error, "an account's root is gone");
            ended(ticket, Outcome::Failed(Reason::LocalError))
        }
    }
}

fn ended(ticket: Ticket, outcome: Outcome) -> Finished {
    Finished::Job { ticket, outcome, opened: None }
}

fn broken(ticket: Ticket, error: &PumpError<Reason>, progress: &Progress) -> Finished {
    let reason = match error {
        PumpError::Data(reason, _) | PumpError::Storage(reason) => *reason,
    };
    ended(ticket, Outcome::Broken { reason, bytes: progress.bytes() })
}

/// Sends a file; at once, where that is all there is to do.
pub(super) fn send_file(
    ticket: Ticket,
    connection: Connection,
    mut reading: Reading,
    (stall, progress): (Duration, Progress),
) -> Result<Finished, Slot> {
    let is_file = pump::Source::file(&reading).is_some();
    let begun = match &connection {
        Connection::Fresh(socket) if is_file => pump::begin(socket, &mut reading, &progress),
        Connection::Known(Stream::Plain(tcp)) if is_file => {
            pump::begin(tcp, &mut reading, &progress)
        }
        Connection::Fresh(_) | Connection::Known(_) => Ok(pump::Begun::default()),
    };
    let begun = match begun {
        Ok(begun) if begun.is_done() => {
            return Ok(ended(ticket, Outcome::Moved { bytes: progress.bytes(), cut: None }));
        }
        Ok(begun) => begun,
        Err(error) => return Ok(broken(ticket, &error, &progress)),
    };
    let stream = connection.known();
    Err(Slot::new(async move {
        let sent = match stream {
            Ok(Stream::Plain(tcp)) if is_file => {
                pump::go_on(tcp, reading, begun, stall, &progress).await
            }
            Ok(stream) => pump::send(stream, reading, stall, &progress).await,
            Err(_) => return unregistered(ticket),
        };
        match sent {
            Ok(_) => ended(ticket, Outcome::Moved { bytes: progress.bytes(), cut: None }),
            Err(error) => broken(ticket, &error, &progress),
        }
    }))
}

/// Sends a listing.
pub(super) fn send_list(
    ticket: Ticket,
    connection: Connection,
    rows: Rows,
    (stall, progress): (Duration, Progress),
) -> Slot {
    let stream = connection.known();
    Slot::new(async move {
        let Ok(stream) = stream else { return unregistered(ticket) };
        match pump::send(stream, rows, stall, &progress).await {
            Ok(rows) => ended(ticket, Outcome::Moved { bytes: progress.bytes(), cut: rows.cut() }),
            Err(error) => broken(ticket, &error, &progress),
        }
    })
}

/// The runtime cannot wait for any more connections.
fn unregistered(ticket: Ticket) -> Finished {
    ended(ticket, Outcome::Broken { reason: Reason::LocalError, bytes: 0 })
}

/// Receives a file to the end of its data. What came before a break is kept for resume.
pub(super) fn receive(
    ticket: Ticket,
    connection: Connection,
    receiving: Receiving,
    (stall, progress): (Duration, Progress),
    cancelled: oneshot::Receiver<()>,
) -> Slot {
    Slot::new(async move {
        let cancelled = async {
            if cancelled.await.is_err() {
                pending::<()>().await;
            }
        };
        let (receiving, end) = match connection {
            Connection::Fresh(socket) => {
                pump::receive_fresh(socket, receiving, stall, &progress, cancelled).await
            }
            Connection::Known(stream) => {
                pump::receive(stream, receiving, stall, &progress, cancelled).await
            }
        };
        match end {
            Ok(true) if receiving.is_stored() => {
                ended(ticket, Outcome::Moved { bytes: progress.bytes(), cut: None })
            }
            Ok(true) => {
                // Gives the end of the control connection the time to arrive.
                let settling = receiving.settling();
                if !settling.is_zero() {
                    sleep(settling).await;
                }
                Finished::Received { ticket, receiving }
            }
            end => {
                blocking(move || receiving.keep()).await;
                let error = end.err().unwrap_or(PumpError::Storage(Reason::Aborted));
                broken(ticket, &error, &progress)
            }
        }
    })
}

/// Makes what was received the file.
pub(super) fn commit(ticket: Ticket, receiving: Receiving, progress: Progress) -> Slot {
    Slot::blocking(move || match receiving.commit() {
        Ok(()) => ended(ticket, Outcome::Moved { bytes: progress.bytes(), cut: None }),
        Err(reason) => broken(ticket, &PumpError::Storage(reason), &progress),
    })
}

/// Keeps what was received of a transfer that was stopped.
pub(super) fn keep(ticket: Ticket, receiving: Receiving, progress: Progress) -> Slot {
    Slot::blocking(move || {
        receiving.keep();
        broken(ticket, &PumpError::Storage(Reason::Aborted), &progress)
    })
}
