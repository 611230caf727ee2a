//! The server: listens, counts sessions in, and ends them in good order.
//!
//! What happens on an accepted connection is the session's driver's matter.

mod renewal;
mod turning;

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use twoport_net::control::{self, ControlStream};
use twoport_net::data::desk::{Arrived, Desk};
use twoport_net::data::dial::canonical;
use twoport_net::data::ports::accept_now;
use twoport_net::proxy;
use twoport_proto::code::Code;
use twoport_proto::reason::Reason;
use twoport_proto::reply::Reply;
use twoport_proto::server::{Decision, Note};

use crate::accounts::Accounts;
use crate::acme;
use crate::config::Config;
use crate::config::listener::Door;
use crate::limits::Census;
use crate::log::{self, Who};
use crate::serving::Serving;
use crate::session::{At, Driver, Stop};

/// How many connections the kernel may keep until they are accepted. Origin: a burst of clients
/// that come back after a cut; Linux's own limit is 4096.
const BACKLOG: i32 = 1024;

/// How often leftovers of cut uploads are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// A server that listens. [`Server::run`] serves.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(TcpListener, Door)>,
    addresses: Vec<SocketAddr>,
    implicit_addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
}

/// A hold on a running server. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    serving: watch::Sender<Arc<Serving>>,
    stop: watch::Sender<Stop>,
    census: Census,
    sessions: AtomicU64,
    /// How often quiet connections are probed that have their options from their listener.
    inherited: Duration,
}

impl Server {
    /// Listens at the configured addresses; without any at port 21 of all addresses, or, without
    /// the right to it, at 2121.
    ///
    /// # Errors
    /// What the system says, with the address.
    pub fn bind(config: Config, accounts: Accounts) -> io::Result<Self> {
        let (mut listeners, inherited) = (Vec::new(), config.timeouts.keep_alive);
        for (door, _) in config.doors() {
            let opened = match door.address {
                Some(address) => vec![listen(address)?],
                None => listen_anywhere(21).or_else(|_| listen_anywhere(2121))?,
            };
            for listener in opened {
                control::set_options(&listener, inherited)?;
                listeners.push((listener, door));
            }
        }
        let bound = |implicit: bool| {
            let these = listeners.iter().filter(move |(_, door)| door.implicit == implicit);
            these.map(|(listener, _)| listener.local_addr()).collect::<io::Result<_>>()
        };
        let (addresses, implicit_addresses) = (bound(false)?, bound(true)?);
        let serving = Arc::new(Serving::new(config, accounts, None)?);
        let shared = Shared {
            serving: watch::Sender::new(serving),
            stop: watch::Sender::new(Stop::No),
            census: Census::default(),
            sessions: AtomicU64::new(0),
            inherited,
        };
        Ok(Self { listeners, addresses, implicit_addresses, shared: Arc::new(shared) })
    }

    /// The addresses it listens at.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses at which TLS comes first.
    #[must_use]
    pub fn implicit_addresses(&self) -> &[SocketAddr] {
        &self.implicit_addresses
    }

    /// The fingerprints (SHA-256) of the certificates that it shows.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        let serving = self.shared.serving.borrow();
        serving.tls.as_ref().map(|tls| tls.fingerprints.clone()).unwrap_or_default()
    }

    /// A hold on the server, to stop or reload it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Serves until it is stopped and the last session has ended.
    pub async fn run(self) {
        let mut accepting = JoinSet::new();
        for (listener, door) in self.listeners {
            accepting.spawn(accept(listener, door, Arc::clone(&self.shared)));
        }
        accepting.spawn(sweep(Arc::clone(&self.shared)));
        let listening = [self.addresses, self.implicit_addresses].concat();
        accepting.spawn(watch(Arc::clone(&self.shared), listening));
        accepting.spawn(renewal::run(Arc::clone(&self.shared)));
        accepting.spawn(turning::run(Arc::clone(&self.shared)));
        accepting.spawn(acme::run(self.shared.serving.subscribe()));
        let stop = &self.shared.stop;
        // An error would mean that the sender is gone, and `self` holds it.
        let _: Result<_, _> = stop.subscribe().wait_for(|stop| *stop != Stop::No).await;
        accepting.shutdown().await;
        let patience = self.shared.serving.borrow().config().timeouts.shutdown_timeout;
        // Each session holds a receiver, so that a channel without one is a server without one.
        if timeout(patience, stop.closed()).await.is_err() {
            stop.send_replace(Stop::Now);
            if timeout(LAST, stop.closed()).await.is_err() {
                let left = self.shared.census.sessions();
                tracing::warn!(target: "twoport", left, "sessions did not end in time");
            }
        }
        let outside = self.shared.serving.borrow().outside.clone();
        if timeout(LAST, outside.release()).await.is_err() {
            tracing::warn!(target: "twoport", "the router did not take back its mappings in time");
        }
    }
}

/// How long the sessions may take for their last reply.
const LAST: Duration = Duration::from_secs(5);

impl Handle {
    /// Stops the server: no new sessions; transfers may finish within the configured time, if
    /// `gracefully`; each session is told why.
    pub fn stop(&self, gracefully: bool) {
        let stop = if gracefully { Stop::Gracefully } else { Stop::Now };
        self.0.stop.send_replace(stop);
    }

    /// Puts another configuration into force for new sessions. Those under way keep the old one,
    /// and so do the addresses the server listens at.
    ///
    /// # Errors
    /// A file of the configuration cannot be opened; the old one stays in force.
    pub fn reload(&self, config: Config, accounts: Accounts) -> io::Result<()> {
        let former = self.0.serving.borrow().clone();
        let doors = |config: &Config| config.doors().into_iter().map(|(door, _)| door).collect();
        let (new, old): (HashSet<Door>, HashSet<Door>) = (doors(&config), doors(former.config()));
        if new != old {
            tracing::warn!(target: "twoport", "other addresses to listen at take effect at the next start");
        }
        let serving = Serving::new(config, accounts, Some(&former))?;
        self.0.serving.send_replace(Arc::new(serving));
        Ok(())
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> u32 {
        self.0.census.sessions()
    }
}

async fn accept(listener: TcpListener, door: Door, shared: Arc<Shared>) {
    let listener = Arc::new(listener);
    // Sessions hold the desk, and must not keep a port open that the server has closed.
    let waiting = Arc::downgrade(&listener);
    let (sessions, others) = (Arc::clone(&shared), Arc::clone(&shared));
    let desk = Desk::control(
        door.implicit,
        move |desk, arrived| admit(arrived, door, &sessions, desk),
        move |desk| {
            let Some(waiting) = waiting.upgrade() else { return };
            while let Some((stream, peer)) = accept_now(&waiting) {
                welcome(stream, peer, door, &others, desk);
            }
        },
    );
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => welcome(stream, canonical(peer), door, &shared, &desk),
            // Descriptors ran out, most likely: serving those who are in frees some.
            Err(error) => {
                tracing::error!(target: "twoport", %error, "a connection was not accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Finds out whose connection it is: a trusted load balancer says so before anything else.
fn welcome(
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    shared: &Arc<Shared>,
    desk: &Arc<Desk>,
) {
    if !shared.serving.borrow().trusted_proxies.contain(peer.ip()) {
        return desk.arrive(stream, peer, None);
    }
    let (shared, desk) = (Arc::clone(shared), Arc::clone(desk));
    tokio::spawn(async move {
        match proxy::read_header(&stream, proxy::PATIENCE).await {
            Ok(ends) => desk.arrive(stream, proxy::source(ends, peer), ends),
            Err(reason) => {
                let number = shared.sessions.fetch_add(1, Ordering::Relaxed) + 1;
                refuse(stream, peer, number, door.implicit, reason);
            }
        }
    });
}

fn admit(
    Arrived { stream, from: peer, ends }: Arrived,
    door: Door,
    shared: &Arc<Shared>,
    desk: &Arc<Desk>,
) {
    let serving = Arc::clone(&shared.serving.borrow());
    let number = shared.sessions.fetch_add(1, Ordering::Relaxed) + 1;
    match shared.census.enter(peer.ip(), &serving.most) {
        Ok(place) => {
            let stop = shared.stop.subscribe();
            // A connection that is gone before it began is nobody's loss.
            let taken = match serving.keep_alive {
                keep_alive if keep_alive == shared.inherited => ControlStream::inheriting(stream),
                keep_alive => ControlStream::new(stream, keep_alive),
            };
            if let Ok(stream) = taken {
                let stream = stream.on_behalf_of(ends);
                let (local, client) = (stream.local().ip(), stream.peer().ip());
                // Each open socket is a door of the configuration in force, which takes over those
                // of the last.
                let Some(policy) = serving.policy(&door, local, client) else { return };
                let at = At { stream, door, policy, desk: Arc::clone(desk) };
                let driver = Box::new(Driver::new(at, number, serving, place, stop));
                tokio::spawn(driver.run());
            }
        }
        Err(reason) => refuse(stream, peer, number, door.implicit, reason),
    }
}

/// No session comes of it. Where TLS comes first nothing can be said in clear.
fn refuse(stream: TcpStream, peer: SocketAddr, number: u64, implicit: bool, reason: Reason) {
    let who = Who { session: number, peer: peer.ip(), user: None, anonymous: false };
    log::note(&who, &Note::why(Decision::Close, "session", reason));
    if !implicit {
        tokio::spawn(turn_away(stream, reason));
    }
}

/// Says why, and closes.
async fn turn_away(mut stream: TcpStream, reason: Reason) {
    let mut reply = Vec::new();
    Reply::why(Code::SERVICE_CLOSING, reason).encode(&mut reply);
    // A client that does not take it has gone its own way.
    let _: Result<_, _> = timeout(LAST, async {
        stream.write_all(&reply).await?;
        stream.shutdown().await
    })
    .await;
}

/// Watches the outside of the configuration that is in force.
async fn watch(shared: Arc<Shared>, listening: Vec<SocketAddr>) {
    let mut servings = shared.serving.subscribe();
    loop {
        let serving = Arc::clone(&servings.borrow_and_update());
        tokio::select! {
            () = serving.outside.watch(serving.config(), &listening) => {}
            changed = servings.changed() => if changed.is_err() { return },
        }
    }
}

/// Removes what was kept of cut uploads for long enough, now and every hour.
async fn sweep(shared: Arc<Shared>) {
    loop {
        let serving = Arc::clone(&shared.serving.borrow());
        let disks = twoport_net::pump::blocking(move || {
            let keep = serving.partial_keep();
            serving.disks().into_iter().map(|disk| disk.sweep(keep)).collect::<Vec<_>>()
        });
        for mut walk in disks.await {
            loop {
                let (entries, next) = twoport_net::pump::blocking(move || {
                    let swept = walk.step(SWEEP_STEP);
                    (swept.entries, walk)
                })
                .await;
                walk = next;
                if entries < SWEEP_STEP {
                    break;
                }
                sleep(Duration::from_millis(10)).await;
            }
        }
        sleep(SWEEP).await;
    }
}

/// How many entries are looked at in one go, between pauses that leave the disk to others.
const SWEEP_STEP: usize = 1000;

/// Listens at a port of all addresses, IPv6 and IPv4 apart: each connection then has the family
/// that its client sees. A host without one of the two serves the other.
pub(crate) fn listen_anywhere(port: u16) -> io::Result<Vec<TcpListener>> {
    let v6 = listen(SocketAddr::from(([0_u16; 8], port)));
    let v4 = listen(SocketAddr::from(([0_u8; 4], port)));
    match (v6, v4) {
        (Ok(v6), Ok(v4)) => Ok(vec![v6, v4]),
        (Err(v6), Ok(v4)) if no_such_family(&v6) => Ok(vec![v4]),
        (Ok(v6), Err(v4)) if no_such_family(&v4) => Ok(vec![v6]),
        (_, Err(error)) | (Err(error), _) => Err(error),
    }
}

fn no_such_family(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

/// Listens at an address; an IPv6 one takes no IPv4.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    twoport_net::listen::listen(address, BACKLOG)
}
