//! Pinholes in user space: a door is a leased port, and who comes through it first, if it is the
//! right peer, is joined with the other side. Once.
//!
//! When a pinhole may open and must close is the relay machine's to say.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use twoport_net::data::dial::{self, From};
use twoport_net::data::listen::accept_from;
use twoport_net::data::ports::{Lease, Ports};
use twoport_net::stream::Stream;
use twoport_net::tls::accept::{self, Reuse};
use twoport_net::tls::connect::Guard;
use twoport_proto::reason::Reason;
use twoport_proto::relay::{Doors, Hole, HoleId, LIFETIME, Legs, Side};

/// How much is moved at a time. Origin: the pump's.
const CHUNK: usize = twoport_net::pump::CHUNK;

/// How long a handshake on a data connection may take. Origin: the server's data-timeout.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// What both ends of a session's data connections need.
pub(crate) struct Ends {
    pub(crate) ports: Ports,
    /// The client, and the gateway's own address on its leg.
    pub(crate) client: IpAddr,
    pub(crate) client_local: IpAddr,
    /// The server, and the gateway's own address on its leg.
    pub(crate) server: IpAddr,
    pub(crate) server_local: IpAddr,
    /// TLS towards the client, bound to this session.
    pub(crate) accept: Option<Arc<ServerConfig>>,
    /// TLS towards the server, once its leg has it.
    pub(crate) connect: Mutex<Option<Guard>>,
    /// Whose data connections are under TLS now.
    pub(crate) private: Mutex<Legs>,
}

/// The pinholes of a session.
pub(crate) struct Holes {
    ends: Arc<Ends>,
    prepared: HashMap<HoleId, Prepared>,
    waiting: HashMap<HoleId, JoinHandle<()>>,
    used: UnboundedSender<HoleId>,
}

/// Doors that nobody gets through yet: who connects waits in the queue of the port.
struct Prepared {
    hole: Hole,
    client: Option<Lease>,
    server: Option<Lease>,
}

impl Holes {
    pub(crate) fn new(ends: Arc<Ends>, used: UnboundedSender<HoleId>) -> Self {
        Self { ends, prepared: HashMap::new(), waiting: HashMap::new(), used }
    }

    /// Leases a door for each side that dials.
    pub(crate) fn prepare(&mut self, id: HoleId, hole: Hole) -> Result<Doors, Reason> {
        let lease = |side, local| match side {
            Side::Dials => self.ends.ports.lease(local).map(Some).map_err(|error| error.reason),
            Side::Listens(_) => Ok(None),
        };
        let client = lease(hole.client, self.ends.client_local)?;
        let server = lease(hole.server, self.ends.server_local)?;
        let door = |lease: &Option<Lease>, local| {
            lease.as_ref().map(|lease| SocketAddr::new(local, lease.port()))
        };
        let doors = Doors {
            client: door(&client, self.ends.client_local),
            server: door(&server, self.ends.server_local),
        };
        self.prepared.insert(id, Prepared { hole, client, server });
        Ok(doors)
    }

    /// Opens what was prepared; what is open already stays so. A pinhole through which the gateway
    /// itself connects waits for [`dial`](Self::dial).
    pub(crate) fn commit(&mut self, id: HoleId) {
        let is_dialled = |prepared: &Prepared| {
            matches!((prepared.hole.client, prepared.hole.server), (Side::Listens(_), Side::Listens(_)))
        };
        if !self.prepared.get(&id).is_some_and(is_dialled) {
            self.dial(id);
        }
    }

    /// Lets data through.
    pub(crate) fn dial(&mut self, id: HoleId) {
        if let Some(prepared) = self.prepared.remove(&id) {
            let (ends, used) = (Arc::clone(&self.ends), self.used.clone());
            self.waiting.insert(id, tokio::spawn(carry(ends, prepared, id, used)));
        }
    }

    /// Somebody came through: what flows is no longer a pinhole's matter.
    pub(crate) fn used(&mut self, id: HoleId) {
        self.waiting.remove(&id);
    }

    /// Lets nobody through any more.
    pub(crate) fn close(&mut self, id: HoleId) {
        self.prepared.remove(&id);
        if let Some(waiting) = self.waiting.remove(&id) {
            waiting.abort();
        }
    }
}

impl Drop for Holes {
    fn drop(&mut self) {
        self.waiting.values().for_each(JoinHandle::abort);
    }
}

async fn carry(ends: Arc<Ends>, prepared: Prepared, id: HoleId, used: UnboundedSender<HoleId>) {
    let joined = join(&ends, &prepared).await;
    // The session may have ended meanwhile; then nobody counts.
    let _: Result<(), _> = used.send(id);
    drop(prepared);
    let moved = match joined {
        Ok((client, server)) => secure_and_copy(&ends, client, server).await,
        Err(reason) => Err(reason),
    };
    if let Err(reason) = moved {
        let client = ends.client;
        tracing::warn!(target: "twoport", %client, reason = reason.id(), why = reason.describe(), "break");
    }
}

/// The two connections, in whichever direction each is made.
async fn join(ends: &Ends, prepared: &Prepared) -> Result<(TcpStream, TcpStream), Reason> {
    let from = |address| From { address, port: None };
    let to_client = |at| dial::dial(at, from(ends.client_local), LIFETIME);
    let to_server = |at| dial::dial(at, from(ends.server_local), LIFETIME);
    let refused = |error: dial::DialError| error.reason;
    match (prepared.hole.client, prepared.hole.server, &prepared.client, &prepared.server) {
        (_, Side::Listens(server), Some(door), _) => {
            let client = accept_from(door, ends.client, LIFETIME).await?;
            Ok((client, to_server(server).await.map_err(refused)?))
        }
        (Side::Listens(client), _, _, Some(door)) => {
            let server = accept_from(door, ends.server, LIFETIME).await?;
            Ok((to_client(client).await.map_err(refused)?, server))
        }
        (Side::Listens(client), Side::Listens(server), ..) => {
            let (client, server) = tokio::join!(to_client(client), to_server(server));
            Ok((client.map_err(refused)?, server.map_err(refused)?))
        }
        (_, _, Some(client), Some(server)) => {
            let client = accept_from(client, ends.client, LIFETIME);
            let server = accept_from(server, ends.server, LIFETIME);
            let (client, server) = tokio::join!(client, server);
            Ok((client?, server?))
        }
        _ => Err(Reason::LocalError),
    }
}

async fn secure_and_copy(ends: &Ends, client: TcpStream, server: TcpStream) -> Result<(), Reason> {
    let private = *lock(&ends.private);
    let guard = lock(&ends.connect).clone();
    let accepted = async {
        match &ends.accept {
            Some(config) if private.client => {
                accept::data(client, Arc::clone(config), Reuse::Prefer, HANDSHAKE).await
            }
            _ => Ok(Stream::from(client)),
        }
    };
    let connected = async {
        match guard {
            Some(guard) if private.server => guard.connect(server, HANDSHAKE).await,
            _ => Ok(Stream::from(server)),
        }
    };
    // Each peer begins when it likes: some only after they have read the 150.
    let (client, server) = tokio::try_join!(accepted, connected).map_err(|error| error.reason)?;
    copy(client, server).await
}

/// Both ways until both have ended. An end that is no end (a reset, TLS without `close_notify`) is
/// handed on as a reset: nobody takes half a file for a whole one.
async fn copy(mut client: Stream, mut server: Stream) -> Result<(), Reason> {
    match copy_bidirectional_with_sizes(&mut client, &mut server, CHUNK, CHUNK).await {
        Ok(_) => Ok(()),
        Err(error) => {
            for stream in [&client, &server] {
                // What cannot be reset is gone.
                let _: Result<(), _> = SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO));
            }
            let is_cut = error.kind() == std::io::ErrorKind::UnexpectedEof;
            Err(if is_cut { Reason::TlsTruncated } else { Reason::DataReset })
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
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
