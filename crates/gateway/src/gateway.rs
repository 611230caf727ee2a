//! The gateway as a whole: where clients connect, how it takes another configuration, and how it ends.
//!
//! What a session does is in [`session`].

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use twoport_net::data::ports::Ports;
use twoport_net::nft::Router;
use twoport_net::proxy;
use twoport_proto::code::Code;
use twoport_proto::reason::Reason;
use twoport_proto::reply::Reply;

use crate::board::Board;
use crate::config::Config;
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
use crate::upstream::Sparing;

/// How many connections may wait to be accepted. Origin: Linux's `somaxconn`.
const BACKLOG: i32 = 4096;

/// How long to wait after an error of the system before asking it again.
const PAUSE: Duration = Duration::from_millis(50);

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
    /// Each with what it was asked for; none if the seat took it.
    listeners: Vec<(Option<Place>, TcpListener)>,
    orders: (mpsc::Sender<Order>, mpsc::Receiver<Order>),
    /// Where hosts ask for ports.
    pcp: Option<UdpSocket>,
    stop: watch::Sender<bool>,
    /// Held as long as it runs.
    _claims: Vec<UnixListener>,
}

/// What is spoken at an address.
type Place = (Front, SocketAddr);

/// What a running gateway is told.
#[derive(Debug)]
enum Order {
    Reload(Box<Config>, oneshot::Sender<io::Result<()>>),
    Retire,
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

    /// Listens no more, and ends once the last session has ended by itself.
    pub async fn retire(&self) {
        // It may have ended already.
        let _: Result<_, _> = self.orders.send(Order::Retire).await;
    }
}

impl Gateway {
    /// Listens at every address of the configuration; what goes on there is shown on `board`.
    ///
    /// # Errors
    /// The one that cannot be listened at, and why.
    pub fn bind(config: Config, board: Board) -> io::Result<Self> {
        let Stand { listeners: taken, router, claims } = config.seat.take()?;
        let mut listeners: Vec<_> = taken.into_iter().map(|listener| (None, listener)).collect();
        for place in config.places() {
            listeners.push((Some(place), listen(place.1)?));
        }
        let pcp = config.pcp.as_deref().map(pcp::bind).transpose()?;
        let ports = Ports::new(config.data_ports.clone());
        let room = Room::new(config.max_sessions, config.max_sessions_per_ip);
        let (sparing, reach) = (Arc::default(), Arc::default());
        let (pool, passes, rates) = (Pool::default(), Passes::default(), Rates::default());
        let shared =
            Shared { config, ports, room, rates, sparing, reach, pool, passes, board, router };
        let current = watch::Sender::new(Arc::new(shared));
        let stop = watch::Sender::new(false);
        Ok(Self { current, listeners, orders: mpsc::channel(1), pcp, stop, _claims: claims })
    }

    /// The addresses as bound.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|(_, listener)| listener.local_addr().ok()).collect()
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

    /// Relays until it is stopped, and until the last session has said so.
    pub async fn run(self) {
        let Self { current, listeners, orders: (_, mut orders), pcp, stop, _claims } = self;
        let mut keepers = JoinSet::new();
        keepers.spawn(seat::keep_open(current.subscribe()));
        keepers.spawn(health::look_after(current.subscribe()));
        if let Some(socket) = pcp {
            keepers.spawn(pcp::serve(socket, current.subscribe()));
        }
        let (connections, mut arrived) = mpsc::channel(1);
        let mut doors = Doors { accepting: JoinSet::new(), by_place: HashMap::new(), connections };
        for (place, listener) in listeners {
            doors.open(place, listener);
        }
        let mut sessions = JoinSet::new();
        let mut stopping = stop.subscribe();
        let mut is_retired = false;
        while !(is_retired && sessions.is_empty()) {
            let (front, client) = tokio::select! {
                Some(client) = arrived.recv() => client,
                () = stopped(&mut stopping) => break,
                Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
                Some(order) = orders.recv() => {
                    match order {
                        Order::Reload(config, answer) => {
                            // Who asked may have gone.
                            let _: Result<_, _> = answer.send(doors.reload(&current, *config));
                        }
                        Order::Retire => {
                            doors.accepting.shutdown().await;
                            is_retired = true;
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
        if let Some(router) = &current.borrow().router {
            router.weigh_anchor();
        }
    }
}

/// Where clients come in.
struct Doors {
    accepting: JoinSet<()>,
    by_place: HashMap<Place, AbortHandle>,
    connections: mpsc::Sender<(Front, TcpStream)>,
}

impl Doors {
    fn open(&mut self, place: Option<Place>, listener: TcpListener) {
        let front = place.map_or(Front::Ftp, |(front, _)| front);
        let connections = self.connections.clone();
        let accepting = self.accepting.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => {
                        if connections.send((front, client)).await.is_err() {
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
        if let Some(place) = place {
            self.by_place.insert(place, accepting);
        }
    }

    /// Puts another configuration in the place of the current one.
    fn reload(&mut self, current: &watch::Sender<Arc<Shared>>, config: Config) -> io::Result<()> {
        let old = Arc::clone(&current.borrow());
        let is_router = |seat: &Seat| matches!(seat, Seat::Client(_) | Seat::Server(_));
        if (is_router(&old.config.seat) || is_router(&config.seat))
            && old.config.seat != config.seat
        {
            return Err(io::Error::other("what is taken on a router changes by a restart only"));
        }
        let mut fresh = Vec::new();
        for place in config.places().filter(|place| !self.by_place.contains_key(place)) {
            fresh.push((Some(place), listen(place.1)?));
        }
        self.by_place.retain(|place, accepting| {
            let stays = config.places().any(|wanted| wanted == *place);
            if !stays {
                accepting.abort();
            }
            stays
        });
        for (place, listener) in fresh {
            self.open(place, listener);
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
