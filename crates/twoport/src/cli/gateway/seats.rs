//! The seats that run, and the signals that they obey: SIGHUP reads the file again, SIGUSR2 starts the
//! process that replaces this one, SIGTERM and Ctrl-C end them.
//!
//! What a file says is in [`file`](super::file).

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use twoport_gateway::{Board, Config, Gateway, Handle, Sockets};
use twoport_server::config::problem::Problems;

use super::replace::Wish;
use super::shown::Answering;
use super::{Source, supervisor};

/// What a gateway is told from outside.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    upgrade: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }
}

/// The seats of a process.
pub(super) struct Seats {
    board: Board,
    answering: Answering,
    handles: Vec<Handle>,
    /// Those that have only sessions left.
    retired: Vec<Handle>,
    running: JoinSet<()>,
    /// Whether another process has taken its place.
    is_replaced: bool,
}

/// Lets control connections through the host's own firewall, where it stands on the servers' router.
pub(super) async fn welcome(gateway: &Gateway) {
    if let Err(error) = gateway.welcome().await {
        let advice = "let control connections in by the host's own firewall";
        tracing::warn!(target: "twoport", %error, "{advice}");
    }
}

impl Seats {
    /// None yet.
    pub(super) fn new(board: Board, answering: Answering) -> Self {
        let (handles, retired) = (Vec::new(), Vec::new());
        Self { board, answering, handles, retired, running: JoinSet::new(), is_replaced: false }
    }

    pub(super) fn begin(&mut self, gateway: Gateway) {
        self.handles.push(gateway.handle());
        self.running.spawn(gateway.run());
    }

    /// Until the last seat has ended.
    pub(super) async fn obey(
        &mut self,
        mut signals: Signals,
        mut wishes: mpsc::Receiver<Wish>,
        source: Arc<Source>,
    ) {
        loop {
            tokio::select! {
                ended = self.running.join_next() => if ended.is_none() {
                    return;
                },
                _ = signals.hang_up.recv() => self.reload(Arc::clone(&source)).await,
                _ = signals.upgrade.recv() => self.upgrade(),
                _ = signals.terminate.recv() => self.stop(),
                _ = signals.interrupt.recv() => self.stop(),
                Some(wish) = wishes.recv() => match wish {
                    // Who asked may have gone.
                    Wish::Offer(answer) => {
                        let _: Result<_, _> = answer.send(self.offer().await);
                    }
                    Wish::Retire(handed, answer) => {
                        let told = self.retire(&handed).await;
                        let sessions = self.board.status().sessions.len();
                        let _: Result<_, _> = answer.send((sessions, told));
                    }
                },
            }
        }
    }

    /// All that is listened at, for another process.
    async fn offer(&self) -> io::Result<Sockets> {
        let mut sockets = self.answering.offer()?;
        for handle in &self.handles {
            sockets.extend(handle.offer().await?);
        }
        Ok(sockets)
    }

    /// Another process has taken the place of this one; what has it to know?
    async fn retire(&mut self, handed: &[String]) -> Vec<String> {
        self.is_replaced = true;
        let mut told = Vec::new();
        for handle in std::mem::take(&mut self.handles) {
            told.extend(handle.retire(handed).await);
            self.retired.push(handle);
        }
        self.answering.end(&self.board).await;
        told
    }

    fn stop(&self) {
        for handle in self.handles.iter().chain(&self.retired) {
            handle.stop();
        }
    }

    /// Whether it is too late to tell this process anything but its end.
    fn is_replaced(&self) -> bool {
        if self.is_replaced {
            let what = "another process has taken the place of this one: tell that";
            tracing::warn!(target: "twoport", "{what}");
        }
        self.is_replaced
    }

    /// Starts the process that is to take the place of this one.
    fn upgrade(&self) {
        if self.is_replaced() {
            return;
        }
        if let Err(error) = supervisor::start_successor() {
            let what = "no process to take the place of this one";
            tracing::error!(target: "twoport", %error, "{what}");
        }
    }

    /// Reads the file again; one with mistakes changes nothing.
    async fn reload(&mut self, source: Arc<Source>) {
        if self.is_replaced() {
            return;
        }
        let read = tokio::task::spawn_blocking(move || source.resolve()).await;
        match read {
            Ok(Ok((configs, _))) => self.take(configs).await,
            Ok(Err(Problems(problems))) => {
                for problem in &problems {
                    tracing::error!(target: "twoport", "{problem}; the old configuration stays");
                }
            }
            Err(error) => tracing::error!(target: "twoport", %error, "the old configuration stays"),
        }
    }

    /// Each configuration goes to the seat that stands where it is for; seats without any retire.
    async fn take(&mut self, configs: Vec<Config>) {
        let mut rest = std::mem::take(&mut self.handles);
        let mut is_whole = true;
        let mut fresh = Vec::new();
        for config in configs {
            match rest.iter().position(|handle| handle.stands_like(&config)) {
                Some(at) => {
                    let handle = rest.swap_remove(at);
                    if let Err(error) = handle.reload(config).await {
                        is_whole = false;
                        tracing::error!(target: "twoport", %error, "a seat stays as it was");
                    }
                    self.handles.push(handle);
                }
                None => fresh.push(config),
            }
        }
        self.retired.retain(|handle| !handle.has_ended());
        let mut told = Vec::new();
        for handle in rest {
            told.extend(handle.retire(&[]).await);
            self.retired.push(handle);
        }
        for config in fresh {
            match Gateway::bind(config, self.board.clone()) {
                Ok(mut gateway) => {
                    welcome(&gateway).await;
                    gateway.learn(&told);
                    self.begin(gateway);
                }
                Err(error) => {
                    is_whole = false;
                    tracing::error!(target: "twoport", %error, "a new seat cannot begin");
                }
            }
        }
        if is_whole {
            tracing::info!(target: "twoport", "the configuration was read again");
        }
    }
}
