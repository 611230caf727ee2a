//! Pinholes. In clear on a router the kernel lets data through; else a door is a leased port, and
//! who comes through it first, if it is the right peer, is joined with the other side. Once.
//!
//! When a pinhole may open and must close is the relay machine's to say.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use twoport_net::data::dial::{self, From};
use twoport_net::data::listen::accept_from;
use twoport_net::data::ports::{Lease, Ports};
use twoport_net::nft::{Pin, Pinhole, Router};
use twoport_net::proxy;
use twoport_net::tls::connect::Guard;
use twoport_proto::data::is_client;
use twoport_proto::reason::Reason;
use twoport_proto::relay::{Doors, Hole, HoleId, LIFETIME, Leg, Legs, Side, Subject};

use crate::board::Live;
use crate::carry::{Cover, carry};
use crate::front::Asking;
use crate::meeting::{Host, Meeting, meeting};
use crate::passes::{Holder, Pass, To};
use crate::rate::{Limits, Share};
use crate::scan::spool::Held;
use crate::scan::{Found, Scanning, upload};
use crate::seat;
use crate::upstream::Sparing;

/// What both ends of a session's data connections need.
pub(crate) struct Ends {
    pub(crate) ports: Ports,
    /// The client, and the gateway's own address on its leg.
    pub(crate) client: IpAddr,
    pub(crate) client_local: IpAddr,
    /// The load balancer through which the client comes, and its data connections, too.
    pub(crate) client_via: Option<IpAddr>,
    /// The server, and the gateway's own address on its leg.
    pub(crate) server: SocketAddr,
    pub(crate) server_local: IpAddr,
    /// Where the client has asked for the server, and asks for data connections.
    pub(crate) asking: Option<Asking>,
    /// What data connections to the server begin with.
    pub(crate) introduction: Option<Vec<u8>>,
    /// The server's address as the client knows it, and the client's as the server does.
    pub(crate) server_seen: IpAddr,
    pub(crate) client_seen: IpAddr,
    /// The rules of the router that it stands on.
    pub(crate) router: Option<Router>,
    /// TLS towards the client, bound to this session.
    pub(crate) accept: Option<Arc<ServerConfig>>,
    /// TLS towards the server, once its leg has it.
    pub(crate) connect: Mutex<Option<Guard>>,
    /// Whose data connections are under TLS now.
    pub(crate) private: Mutex<Legs>,
    pub(crate) sparing: Arc<Sparing>,
    /// Its place on the board.
    pub(crate) live: Arc<Live>,
    /// Bytes a second for each of them, and for all of the client's; the kernel's own way knows none.
    pub(crate) rate_limit: Option<NonZeroU64>,
    /// What scans uploads.
    pub(crate) scan: Option<Arc<Scanning>>,
    pub(crate) share: Option<Share>,
    /// Data connections that flow.
    pub(crate) flowing: AtomicUsize,
}

/// What has come of a pinhole.
pub(crate) enum Event {
    /// Somebody came through.
    Used(HoleId),
    /// What the client has sent was taken, and scanned.
    Scanned(HoleId, Found, Option<Held>),
    /// What was held is out, or cannot get out.
    Delivered(HoleId, Result<(), Reason>),
}

/// The pinholes of a session.
pub(crate) struct Holes {
    ends: Arc<Ends>,
    prepared: HashMap<HoleId, Prepared>,
    /// Those that wait for somebody: each ends when its sender is dropped, unless it is joined.
    waiting: HashMap<HoleId, oneshot::Sender<()>>,
    events: UnboundedSender<Event>,
    /// The pinhole by which an upload is taken, and the task that does so, or delivers it.
    taking: Option<HoleId>,
    upload: Option<AbortOnDrop>,
    /// An upload that was taken.
    held: Option<Held>,
    /// The server's door of a pinhole that the server was not asked to use. Some have connected when they
    /// were told of it (pyftpdlib), and speak out of turn if that breaks.
    unused: Option<Door>,
    /// The two that are about to meet, in active mode.
    meeting: Option<Meeting>,
    /// Whether the server was found to come before it has agreed to.
    admits: bool,
    /// What the kernel lets in.
    pins: HashMap<HoleId, Vec<Pinhole>>,
}

/// A task that ends with its owner.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Doors that nobody gets through yet: who connects waits in the queue of the port.
pub(crate) struct Prepared {
    hole: Hole,
    client: Option<Door>,
    server: Option<Door>,
}

/// Where a peer comes in.
enum Door {
    /// At a port of the gateway.
    Port(Lease),
    /// Where it has asked for its server before, by this port of the server's.
    Asking(u16, Option<(Pass, mpsc::Receiver<TcpStream>)>),
}

impl Holes {
    pub(crate) fn new(ends: Arc<Ends>, events: UnboundedSender<Event>) -> Self {
        Self {
            ends,
            prepared: HashMap::new(),
            waiting: HashMap::new(),
            events,
            taking: None,
            upload: None,
            held: None,
            unused: None,
            meeting: None,
            admits: false,
            pins: HashMap::new(),
        }
    }

    /// Leases a door for each side that dials.
    pub(crate) fn prepare(&mut self, id: HoleId, hole: Hole) -> Result<Doors, Reason> {
        if let Some((doors, pin)) = self.ends.through_the_kernel(hole)? {
            self.pins.insert(id, vec![pin]);
            self.count();
            return Ok(doors);
        }
        let ends = &self.ends;
        let mut pins = Vec::new();
        let mut lease = |side, leg| match side {
            Side::Dials => {
                let (lease, pin) = ends.lease(leg)?;
                pins.extend(pin);
                Ok(Some(lease))
            }
            Side::Listens(_) | Side::Kept => Ok(None),
        };
        let server = lease(hole.server, Leg::Server)?;
        let client = match (&ends.asking, hole) {
            (Some(_), Hole { client: Side::Dials, server: Side::Listens(at) }) => {
                Some(Door::Asking(at.port(), None))
            }
            (Some(_), Hole { client: Side::Dials, server: Side::Dials }) => {
                server.as_ref().map(|lease| Door::Asking(lease.port(), None))
            }
            _ => lease(hole.client, Leg::Client)?.map(Door::Port),
        };
        let server = server.map(Door::Port);
        let door = |door: &Option<Door>, seen| {
            door.as_ref().map(|door| SocketAddr::new(seen, door.port()))
        };
        let doors = Doors {
            client: door(&client, ends.server_seen),
            server: door(&server, ends.client_seen),
        };
        self.pins.insert(id, pins);
        self.count();
        self.prepared.insert(id, Prepared { hole, client, server });
        Ok(doors)
    }

    /// Lets the server come before it has agreed to: it waits in the queue of a port of the gateway, and
    /// its data go through user space.
    pub(crate) fn admit(&mut self, id: HoleId, hole: Hole) {
        let Some(pin) = self.pins.get_mut(&id).and_then(|pins| pins.first_mut()) else { return };
        if !self.prepared.contains_key(&id) {
            let local = self.ends.server_local;
            let Ok(lease) = self.ends.ports.lease(local) else { return };
            pin.lead_to(SocketAddr::new(local, lease.port()));
            let server = Some(Door::Port(lease));
            self.prepared.insert(id, Prepared { hole, client: None, server });
        }
        let opened = pin.open(LIFETIME).and_then(|()| match self.admits {
            true => Ok(()),
            // It may stand there already.
            false => pin.knock_anew(),
        });
        self.admits = true;
        if let Err(error) = opened {
            tracing::warn!(target: "twoport", %error, "a pinhole cannot be opened");
        }
    }

    /// Opens what was prepared; what is open already stays so. A pinhole through which the gateway
    /// itself connects waits for [`dial`](Self::dial).
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn commit(&mut self, id: HoleId) -> io::Result<()> {
        for pin in self.pins.get_mut(&id).into_iter().flatten() {
            pin.open(LIFETIME)?;
        }
        if self.ends.scan.is_some() {
            // Which way the data go is known with the verb.
            let door = self.prepared.get_mut(&id).and_then(|prepared| prepared.client.as_mut());
            door.into_iter().for_each(|door| self.ends.unlock(door));
            return Ok(());
        }
        if !self.prepared.get(&id).is_some_and(|prepared| prepared.hole.is_dialled()) {
            self.dial(id);
        }
        Ok(())
    }

    /// Lets data through.
    pub(crate) fn dial(&mut self, id: HoleId) {
        let Some(mut prepared) = self.prepared.remove(&id) else { return };
        if let Some(door) = &mut prepared.client {
            self.ends.unlock(door);
        }
        let (open, closed) = oneshot::channel();
        self.waiting.insert(id, open);
        self.unused = None;
        let (ends, events) = (Arc::clone(&self.ends), self.events.clone());
        if prepared.hole.client != Side::Kept {
            let (host, meeting) = prepared.hole.is_active().then(meeting).unzip();
            self.meeting = meeting;
            tokio::spawn(through(ends, prepared, id, (closed, host), events));
        } else if let Some(held) = self.held.take() {
            let task = tokio::spawn(upload::deliver(ends, prepared, id, held, closed, events));
            self.upload = Some(AbortOnDrop(task.abort_handle()));
        }
    }

    /// What the server says of data for which it has connected is heard after the client is connected, too:
    /// some clients take the end of a transfer without data for an error (curl).
    pub(crate) async fn meet(&mut self) {
        if let Some(mut meeting) = self.meeting.take()
            && !meeting.is_over().await
        {
            self.meeting = Some(meeting);
        }
    }

    /// Takes what the client sends, and has it scanned.
    pub(crate) fn take(&mut self, id: HoleId, subject: Subject) {
        let (prepared, scanning) = (self.prepared.remove(&id), self.ends.scan.clone());
        let (Some(mut prepared), Some(scanning)) = (prepared, scanning) else {
            let found = Found::Broken(Reason::LocalError);
            // The session is there: it has asked.
            let _: Result<(), _> = self.events.send(Event::Scanned(id, found, None));
            return;
        };
        let (open, closed) = oneshot::channel();
        self.waiting.insert(id, open);
        let (ends, events) = (Arc::clone(&self.ends), self.events.clone());
        self.unused = prepared.server.take();
        let work = upload::take(ends, scanning, prepared, (id, subject), closed, events);
        self.taking = Some(id);
        self.upload = Some(AbortOnDrop(tokio::spawn(work).abort_handle()));
    }

    /// Keeps what was taken by a pinhole, unless it is wanted no more.
    pub(crate) fn keep(&mut self, id: HoleId, held: Option<Held>) {
        if self.taking == Some(id) {
            self.held = held;
        }
    }

    /// Forgets an upload: what is connected for it is reset.
    pub(crate) fn discard(&mut self) {
        (self.taking, self.upload, self.held) = (None, None, None);
    }

    /// Somebody came through: what flows is no longer a pinhole's matter.
    pub(crate) fn used(&mut self, id: HoleId) {
        self.forget(id);
        self.waiting.remove(&id);
    }

    fn forget(&mut self, id: HoleId) {
        self.pins.remove(&id);
        self.count();
    }

    fn count(&self) {
        self.ends.live.pinholes.store(self.pins.len(), Ordering::Relaxed);
    }

    /// Lets nobody through any more. Who has come through already is not touched.
    pub(crate) fn close(&mut self, id: HoleId) {
        self.forget(id);
        self.prepared.remove(&id);
        self.waiting.remove(&id);
    }
}

impl Door {
    fn port(&self) -> u16 {
        match self {
            Self::Port(lease) => lease.port(),
            Self::Asking(port, _) => *port,
        }
    }
}

impl fmt::Debug for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ends = f.debug_struct("Ends");
        ends.field("client", &self.client).field("server", &self.server).finish_non_exhaustive()
    }
}

impl Ends {
    /// From now on the client may ask for a door that is no port of the gateway.
    fn unlock(&self, door: &mut Door) {
        if let (Door::Asking(port, pass @ None), Some(asking)) = (door, &self.asking) {
            let (sender, comes) = mpsc::channel(1);
            let issued = asking.passes.issue(self.holder(asking), To::Hole(*port, sender));
            *pass = Some((issued, comes));
        }
    }

    /// Lets the client reach any port of its server, where it asks for one.
    pub(crate) fn open_all(self: &Arc<Self>) -> Option<Pass> {
        let asking = self.asking.as_ref()?;
        Some(asking.passes.issue(self.holder(asking), To::Server(Arc::clone(self))))
    }

    fn holder(&self, asking: &Asking) -> Holder {
        Holder { client: self.client, name: asking.name.clone(), server: self.server.ip() }
    }

    /// How fast data may be.
    pub(crate) const fn limits(&self) -> Limits<'_> {
        Limits { each: self.rate_limit, share: self.share.as_ref() }
    }

    /// The cheapest way: data in clear between two peers of one family need nothing but a rule. None
    /// where that is not so.
    fn through_the_kernel(&self, hole: Hole) -> Result<Option<(Doors, Pinhole)>, Reason> {
        let private = *lock(&self.private);
        let is_translated = self.client.is_ipv4() != self.server.is_ipv4();
        let Some(router) = &self.router else { return Ok(None) };
        let is_watched = !self.limits().are_none() || self.scan.is_some();
        if private.client || private.server || is_translated || is_watched {
            return Ok(None);
        }
        let (peer, listening, seen) = match (hole.client, hole.server) {
            (Side::Dials, Side::Listens(server)) => (self.client, server, self.server_seen),
            (Side::Listens(client), Side::Dials) => (self.server.ip(), client, self.client_seen),
            _ => return Ok(None),
        };
        let pin = self.pin(router, peer, listening, seen).ok_or(Reason::PassiveRangeFull)?;
        let door = Some(pin.door());
        let doors = match hole.client {
            Side::Dials => Doors { client: door, server: None },
            Side::Listens(_) | Side::Kept => Doors { client: None, server: door },
        };
        Ok(Some((doors, pin)))
    }

    /// TLS towards the client, if its data are under it.
    pub(crate) fn cover_of_client(&self) -> Option<Arc<ServerConfig>> {
        self.accept.clone().filter(|_| lock(&self.private).client)
    }

    /// The same towards the server.
    pub(crate) fn cover_of_server(&self) -> Option<Guard> {
        let connect = lock(&self.connect).clone().filter(|_| lock(&self.private).server);
        if connect.as_ref().is_some_and(Guard::is_spent) {
            self.sparing.note(self.server);
        }
        connect
    }

    /// A port for the peer on a leg, and on a router the pin that leads there. A pin may still be there
    /// from whoever had the port before: then it is another one.
    fn lease(&self, leg: Leg) -> Result<(Lease, Option<Pinhole>), Reason> {
        /// Each is free by chance; that so many are not is none.
        const TRIES: usize = 8;
        let (local, seen, peer) = match leg {
            Leg::Client => (self.client_local, self.server_seen, self.client),
            Leg::Server => (self.server_local, self.client_seen, self.server.ip()),
        };
        // Held, or they would be leased again.
        let mut taken = Vec::new();
        for _ in 0..TRIES {
            let lease = self.ports.lease(local).map_err(|error| error.reason)?;
            let Some(router) = &self.router else { return Ok((lease, None)) };
            let door = SocketAddr::new(seen, lease.port());
            let to = Some(SocketAddr::new(local, door.port())).filter(|to| *to != door);
            match router.reserve(Pin { peer, door }, to) {
                Some(pin) => return Ok((lease, Some(pin))),
                None => taken.push(lease),
            }
        }
        Err(Reason::DataListenFailed)
    }

    /// Connects to a peer that listens, which sees `seen`.
    async fn dial(&self, at: SocketAddr, local: IpAddr, seen: IpAddr) -> Result<TcpStream, Reason> {
        if self.router.is_none() || seen == local {
            let from = From { address: local, port: None };
            return dial::dial(at, from, LIFETIME).await.map_err(|error| error.reason);
        }
        let connected = seat::connect(self.router.as_ref(), at, Some(seen), LIFETIME).await;
        connected.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => Reason::DataRefused,
            io::ErrorKind::TimedOut => Reason::DataDialTimeout,
            _ => Reason::DataUnreachable,
        })
    }

    async fn to_client(&self, at: SocketAddr) -> Result<TcpStream, Reason> {
        self.dial(at, self.client_local, self.server_seen).await
    }

    async fn to_server(&self, at: SocketAddr) -> Result<TcpStream, Reason> {
        let mut server = self.dial(at, self.server_local, self.client_seen).await?;
        if let Some(header) = &self.introduction {
            server.write_all(header).await.map_err(|_| Reason::DataReset)?;
        }
        Ok(server)
    }

    /// A door for a peer at the address that it knows: with the listener's own port if that is free.
    fn pin(
        &self,
        router: &Router,
        peer: IpAddr,
        listening: SocketAddr,
        seen: IpAddr,
    ) -> Option<Pinhole> {
        /// Doors are many and tried at random.
        const TRIES: usize = 64;
        let to = Some(listening).filter(|listening| listening.ip() != seen);
        let own = std::iter::once(listening.port());
        let others = (0..TRIES).filter_map(|_| self.ports.any());
        let ports: Box<dyn Iterator<Item = u16>> =
            if to.is_some() { Box::new(own.chain(others)) } else { Box::new(own) };
        ports
            .into_iter()
            .find_map(|port| router.reserve(Pin { peer, door: SocketAddr::new(seen, port) }, to))
    }
}

/// From the open door to the end of the data.
async fn through(
    ends: Arc<Ends>,
    prepared: Prepared,
    id: HoleId,
    (closed, host): (oneshot::Receiver<()>, Option<Host>),
    events: UnboundedSender<Event>,
) {
    let joined = join(&ends, prepared, closed, host.as_ref()).await;
    drop(host);
    // The session may have ended meanwhile; then nobody counts.
    let _: Result<(), _> = events.send(Event::Used(id));
    let moved = match joined {
        Some(Ok((client, server))) => {
            let (accept, connect) = (ends.cover_of_client(), ends.cover_of_server());
            let takes_all = ends.scan.is_none();
            let cover = Cover { accept, connect, limits: ends.limits(), takes_all };
            ends.flowing.fetch_add(1, Ordering::Relaxed);
            let carried = carry(client, server, cover, &ends.live.bytes).await;
            ends.flowing.fetch_sub(1, Ordering::Relaxed);
            carried
        }
        Some(Err(reason)) => Err(reason),
        None => Ok(()),
    };
    if let Err(reason) = moved {
        let client = ends.client;
        tracing::warn!(target: "twoport", %client, reason = reason.id(), why = reason.describe(), "break");
    }
}

/// The two connections, in whichever direction each is made; none if the door was closed before
/// anybody came.
async fn join(
    ends: &Ends,
    prepared: Prepared,
    mut closed: oneshot::Receiver<()>,
    host: Option<&Host>,
) -> Option<Result<(TcpStream, TcpStream), Reason>> {
    let Prepared { hole, client, server } = prepared;
    let both = |client: Result<TcpStream, Reason>, server: Result<TcpStream, Reason>| {
        Ok((client?, server?))
    };
    Some(match (hole.client, hole.server) {
        // Who has to come first: the other one is dialled for nobody else.
        (Side::Listens(_), Side::Dials) => {
            let server = server_side(ends, hole.server, server, &mut closed).await?;
            host.into_iter().for_each(Host::server_is_there);
            both(client_side(ends, hole.client, client, &mut closed).await?, server)
        }
        (Side::Listens(client), Side::Listens(server)) => {
            let (client, server) = tokio::join!(ends.to_client(client), ends.to_server(server));
            both(client, server)
        }
        _ => {
            let client = client_side(ends, hole.client, client, &mut closed).await?;
            both(client, server_side(ends, hole.server, server, &mut closed).await?)
        }
    })
}

async fn client_side(
    ends: &Ends,
    side: Side,
    door: Option<Door>,
    closed: &mut oneshot::Receiver<()>,
) -> Option<Result<TcpStream, Reason>> {
    match (side, door) {
        (Side::Listens(at), _) => Some(ends.to_client(at).await),
        (Side::Dials, Some(door)) => {
            Some(Ok(guest(door, ends.client, ends.client_via, closed).await?))
        }
        (Side::Dials, None) | (Side::Kept, _) => Some(Err(Reason::LocalError)),
    }
}

async fn server_side(
    ends: &Ends,
    side: Side,
    door: Option<Door>,
    closed: &mut oneshot::Receiver<()>,
) -> Option<Result<TcpStream, Reason>> {
    match (side, door) {
        (Side::Listens(at), _) => Some(ends.to_server(at).await),
        (Side::Dials, Some(door)) => Some(Ok(guest(door, ends.server.ip(), None, closed).await?)),
        (Side::Dials, None) | (Side::Kept, _) => Some(Err(Reason::LocalError)),
    }
}

impl Prepared {
    /// The client alone; none if the door was closed before it came.
    pub(crate) async fn client(
        self,
        ends: &Ends,
        mut closed: oneshot::Receiver<()>,
    ) -> Option<Result<TcpStream, Reason>> {
        client_side(ends, self.hole.client, self.client, &mut closed).await
    }

    /// The server alone.
    pub(crate) async fn server(
        self,
        ends: &Ends,
        mut closed: oneshot::Receiver<()>,
    ) -> Option<Result<TcpStream, Reason>> {
        server_side(ends, self.hole.server, self.server, &mut closed).await
    }
}

/// The one who may come through a door, which is no more once somebody has. When it is closed, who
/// waits in its queue has come in time: a short file is sent and confirmed before anybody looks.
async fn guest(
    door: Door,
    peer: IpAddr,
    via: Option<IpAddr>,
    closed: &mut oneshot::Receiver<()>,
) -> Option<TcpStream> {
    let door = match door {
        Door::Port(lease) => lease,
        Door::Asking(_, pass) => {
            let (_pass, mut comes) = pass?;
            return tokio::select! {
                biased;
                came = comes.recv() => came,
                _ = closed => comes.try_recv().ok(),
            };
        }
    };
    let maker = via.unwrap_or(peer);
    loop {
        let stream = tokio::select! {
            biased;
            // Its time is the relay's to measure, from each command anew.
            accepted = accept_from(&door, maker, Duration::MAX) => accepted.ok()?,
            _ = &mut *closed => {
                let mut waiting = std::iter::from_fn(|| door.accept_now());
                waiting.find(|(_, from)| is_client(from.ip(), maker, false))?.0
            }
        };
        if via.is_none() || is_for(&stream, peer).await {
            return Some(stream);
        }
    }
}

/// Whether a load balancer has made a connection for this client.
async fn is_for(stream: &TcpStream, peer: IpAddr) -> bool {
    let told = proxy::read_header(stream, proxy::PATIENCE).await;
    matches!(told, Ok(Some(ends)) if is_client(ends.source.ip(), peer, false))
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes a connection that was not used, politely.
pub(crate) async fn farewell(mut stream: TcpStream, bytes: &[u8]) {
    // A peer that does not take it has gone its own way.
    let _: Result<_, _> = timeout(Duration::from_secs(1), async {
        stream.write_all(bytes).await?;
        stream.shutdown().await
    })
    .await;
}
