//! The gateway as a whole: where clients connect, how it takes another configuration, and how it ends.
//!
//! What a session does is in [`session`].

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use twoport_net::data::ports::Ports;
use twoport_net::nft::Router;
use twoport_net::proxy;
use twoport_proto::code::Code;
use twoport_proto::reason::Reason;
use twoport_proto::reply::Reply;

use crate::board::Board;
use crate::config::Config;
use crate::doors::{self, Doors, Listener};
use crate::front::{self, Front};
use crate::health;
use crate::hole::farewell;
use crate::passes::Passes;
use crate::pcp;
use crate::pool::Pool;
use crate::rate::Rates;
use crate::reach::Reach;
use crate::room::Room;
use crate::seat::{self, Seat, Stand};
use crate::session;
use crate::sockets::Sockets;
use crate::standing::{Pcp, Standing, forget_late, withdraw};
use crate::upstream::Sparing;

/// How many connections may wait to be accepted. Origin: Linux's `somaxconn`.
const BACKLOG: i32 = 4096;

/// What the sessions of a gateway have in common: of one configuration, and what outlives it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) ports: Ports,
    pub(crate) room: Room,
    pub(crate) rates: Rates,
    pub(crate) sparing: Arc<Sparing>,
    pub(crate) reach: Arc<Reach>,
    pub(crate) pool: Pool,
    pub(crate) passes: Passes,
    pub(crate) board: Board,
    /// The rules, where it stands on a router.
    pub(crate) router: Option<Router>,
}

/// A gateway that listens.
#[derive(Debug)]
pub struct Gateway {
    current: watch::Sender<Arc<Shared>>,
    listeners: Vec<Listener>,
    orders: (mpsc::Sender<Order>, mpsc::Receiver<Order>),
    /// Where hosts ask for ports.
    pcp: Option<Arc<UdpSocket>>,
    stop: watch::Sender<bool>,
    claims: Vec<(String, UnixListener)>,
    /// What hosts have been given by PCP.
    former: Vec<String>,
}

/// What a running gateway is told.
#[derive(Debug)]
enum Order {
    Reload(Box<Config>, oneshot::Sender<io::Result<()>>),
    Offer(oneshot::Sender<io::Result<Sockets>>),
    Retire(Vec<String>, oneshot::Sender<Vec<String>>),
}

/// Steers a running gateway.
#[derive(Clone, Debug)]
pub struct Handle {
    current: watch::Receiver<Arc<Shared>>,
    orders: mpsc::Sender<Order>,
    stop: watch::Sender<bool>,
}

impl Handle {
    /// No new sessions, and those there are end with 421. Data connections that flow go on.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether a configuration is for the place where this one stands: the same router's, or one that
    /// listens at an address where this listens.
    #[must_use]
    pub fn stands_like(&self, config: &Config) -> bool {
        let own = &self.current.borrow().config;
        match (&own.seat, &config.seat) {
            (Seat::Reverse | Seat::Forward, Seat::Reverse | Seat::Forward) => {
                own.places().any(|place| config.places().any(|other| place == other))
            }
            (own, other) => own == other,
        }
    }

    /// Takes another configuration: for new sessions, while the others go on as they began.
    ///
    /// # Errors
    /// An address that cannot be listened at, or that it runs no more; then all stays as it was.
    pub async fn reload(&self, config: Config) -> io::Result<()> {
        let (answer, answered) = oneshot::channel();
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the seat has ended");
        self.orders.send(Order::Reload(Box::new(config), answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Whether its last session has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.orders.is_closed()
    }

    /// What it listens at, for another process that is to take its place; it goes on itself.
    ///
    /// # Errors
    /// It has ended, or the system has no more files.
    pub async fn offer(&self) -> io::Result<Sockets> {
        let (answer, answered) = oneshot::channel();
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the seat has ended");
        self.orders.send(Order::Offer(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Takes and listens no more, and ends once the last session has ended by itself. What another process
    /// has of its sockets, by these names, is that one's at once. It is done when this returns, with what
    /// that process has to know: see [`Gateway::learn`].
    pub async fn retire(&self, handed: &[String]) -> Vec<String> {
        let (answer, answered) = oneshot::channel();
        // It may have ended already.
        let _: Result<_, _> = self.orders.send(Order::Retire(handed.to_vec(), answer)).await;
        answered.await.unwrap_or_default()
    }
}

impl Gateway {
    /// Listens at every address of the configuration; what goes on there is shown on `board`.
    ///
    /// # Errors
    /// The one that cannot be listened at, and why.
    pub fn bind(config: Config, board: Board) -> io::Result<Self> {
        Self::succeed(config, board, &mut Sockets::default())
    }

    /// The same, with what another process has handed over of it: what is of use is taken from `sockets`.
    ///
    /// # Errors
    /// As for [`bind`](Self::bind).
    pub fn succeed(config: Config, board: Board, sockets: &mut Sockets) -> io::Result<Self> {
        let Stand { listeners: taken, router, claims } = config.seat.take(sockets)?;
        let own = |socket| Listener { name: config.seat.name(), place: None, socket };
        let mut listeners: Vec<_> = taken.into_iter().map(own).collect();
        for place in config.places() {
            let name = doors::name(place);
            let socket = match sockets.listener(&name)? {
                Some(socket) => socket,
                None => listen(place.1)?,
            };
            listeners.push(Listener { name, place: Some(place), socket });
        }
        let pcp =
            config.pcp.as_deref().map(|interface| pcp::bind(interface, sockets)).transpose()?;
        let pcp = pcp.map(Arc::new);
        let ports = Ports::new(config.data_ports.clone());
        let room = Room::new(config.max_sessions, config.max_sessions_per_ip);
        let (sparing, reach) = (Arc::default(), Arc::default());
        let (pool, passes, rates) = (Pool::default(), Passes::default(), Rates::default());
        let shared =
            Shared { config, ports, room, rates, sparing, reach, pool, passes, board, router };
        let current = watch::Sender::new(Arc::new(shared));
        let stop = watch::Sender::new(false);
        let (orders, former) = (mpsc::channel(1), Vec::new());
        Ok(Self { current, listeners, orders, pcp, stop, claims, former })
    }

    /// The addresses as bound.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.socket.local_addr().ok()).collect()
    }

    /// What steers it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        let (current, orders) = (self.current.subscribe(), self.orders.0.clone());
        Handle { current, orders, stop: self.stop.clone() }
    }

    /// On the servers' router, lets control connections through the host's own firewall.
    ///
    /// # Errors
    /// The kernel does not do that; then the firewall has to be told of them.
    pub async fn welcome(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.current.borrow());
        match &shared.router {
            Some(router) => seat::welcome(&shared.config, router).await,
            None => Ok(()),
        }
    }

    /// Takes from what a seat that has retired says what is for this one.
    pub fn learn(&mut self, told: &[String]) {
        let shared = Arc::clone(&self.current.borrow());
        let Some(interface) = &shared.config.pcp else { return };
        let own = format!("{} ", pcp::name(interface));
        let lines = told.iter().filter_map(|line| line.strip_prefix(&own));
        self.former.extend(lines.map(str::to_owned));
    }

    /// Relays until it is stopped, and until the last session has said so.
    pub async fn run(self) {
        let Self { current, listeners, orders: (_, mut orders), pcp, stop, claims, former } = self;
        let mut keepers = JoinSet::new();
        keepers.spawn(seat::keep_open(current.subscribe()));
        keepers.spawn(health::look_after(current.subscribe()));
        let (connections, mut arrived) = mpsc::channel(1);
        let mut doors = Doors::new(connections);
        for listener in listeners {
            doors.open(listener);
        }
        let mut stand =
            Standing { pcp: pcp.map(|socket| Pcp::begin(socket, &current, former)), claims };
        let mut sessions = JoinSet::new();
        let mut stopping = stop.subscribe();
        let (mut forgetting, mut is_closed) = (JoinSet::new(), false);
        while !(is_closed && sessions.is_empty() && forgetting.is_empty()) {
            let (front, client) = tokio::select! {
                client = arrived.recv(), if !is_closed => match client {
                    Some(client) => client,
                    None => {
                        is_closed = true;
                        continue;
                    }
                },
                () = stopped(&mut stopping) => break,
                Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
                Some(_) = forgetting.join_next(), if !forgetting.is_empty() => continue,
                Some(order) = orders.recv() => {
                    match order {
                        // Who asked may have gone.
                        Order::Reload(config, answer) => {
                            let _: Result<_, _> = answer.send(reload(&mut doors, &current, *config));
                        }
                        Order::Offer(answer) => {
                            let _: Result<_, _> = answer.send(stand.offer(&doors, &current));
                        }
                        Order::Retire(handed, answer) => {
                            let shared = Arc::clone(&current.borrow());
                            keepers.shutdown().await;
                            let told = stand.end(shared.config.pcp.as_deref()).await;
                            withdraw(&shared);
                            forgetting.spawn(forget_late(shared));
                            doors.close(|name| handed.iter().any(|other| other == name));
                            let _: Result<_, _> = answer.send(told);
                        }
                    }
                    continue;
                }
            };
            let shared = Arc::clone(&current.borrow());
            sessions.spawn(arrive(shared, front, client, stop.subscribe()));
        }
        doors.accepting.shutdown().await;
        while sessions.join_next().await.is_some() {}
        keepers.shutdown().await;
        stand.end(None).await;
        if let Some(router) = &current.borrow().router {
            router.end();
        }
    }
}

/// Puts another configuration in the place of the current one.
fn reload(
    doors: &mut Doors,
    current: &watch::Sender<Arc<Shared>>,
    config: Config,
) -> io::Result<()> {
    let old = Arc::clone(&current.borrow());
    let is_router = |seat: &Seat| matches!(seat, Seat::Client(_) | Seat::Server(_));
    if (is_router(&old.config.seat) || is_router(&config.seat)) && old.config.seat != config.seat {
        return Err(io::Error::other("what is taken on a router changes by a restart only"));
    }
    let mut fresh = Vec::new();
    for place in config.places().filter(|place| !doors.has(*place)) {
        let (name, socket) = (doors::name(place), listen(place.1)?);
        fresh.push(Listener { name, place: Some(place), socket });
    }
    doors.keep(|place| config.places().any(|wanted| wanted == place));
    for listener in fresh {
        doors.open(listener);
    }
    let ports = if old.config.data_ports == config.data_ports {
        old.ports.clone()
    } else {
        Ports::new(config.data_ports.clone())
    };
    current.send_replace(Arc::new(Shared {
        ports,
        room: old.room.resized(config.max_sessions, config.max_sessions_per_ip),
        rates: old.rates.clone(),
        config,
        sparing: Arc::clone(&old.sparing),
        reach: Arc::clone(&old.reach),
        pool: old.pool.clone(),
        passes: old.passes.clone(),
        board: old.board.clone(),
        router: old.router.clone(),
    }));
    Ok(())
}

/// A connection that was accepted: whose it is, and whether there is room for it.
async fn arrive(shared: Arc<Shared>, front: Front, client: TcpStream, stop: watch::Receiver<bool>) {
    // Else it is gone already.
    let Ok(peer) = client.peer_addr() else { return };
    let is_balancer =
        shared.config.trusted_proxies.iter().any(|net| net.contains(&peer.ip().to_canonical()));
    let told = if is_balancer {
        match proxy::read_header(&client, proxy::PATIENCE).await {
            // The balancer's own connection: it looks whether anybody is here.
            Ok(ends) => ends,
            Err(reason) => return refuse(&shared, client, peer, reason).await,
        }
    } else {
        None
    };
    if front != Front::Ftp {
        return Box::pin(front::arrive(shared, front, client, told, stop)).await;
    }
    if shared.config.drain {
        return refuse(&shared, client, peer, Reason::Draining).await;
    }
    match shared.room.enter(proxy::source(told, peer).ip()) {
        Ok(_place) => {
            let number = shared.board.number();
            session::run(Arc::clone(&shared), number, client, told, stop).await;
        }
        Err(reason) => refuse(&shared, client, peer, reason).await,
    }
}

async fn refuse(shared: &Shared, client: TcpStream, peer: SocketAddr, reason: Reason) {
    let (id, why) = (reason.id(), reason.describe());
    tracing::warn!(target: "twoport", client = %peer.ip(), reason = id, why, "refuse");
    shared.board.tell("refuse", reason);
    let mut bytes = Vec::new();
    Reply::why(Code::SERVICE_CLOSING, reason).encode(&mut bytes);
    farewell(client, &bytes).await;
}

/// Waits until the gateway is stopped, or is no more.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Its end is a stop, too.
    let _: Result<_, _> = stop.wait_for(|stop| *stop).await.map(drop);
}

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    twoport_net::listen::listen(address, BACKLOG).map_err(|error| {
        io::Error::new(error.kind(), format!("{error}; choose another address with --listen"))
    })
}
