//! The two halves of an upload that is scanned: the client's data are taken, and what was found clean
//! goes to the server.
//!
//! The first half ends before the second begins; what is said meanwhile is the relay machine's.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::timeout;

use twoport_net::pump::{self, Progress, PumpError, Sink as _};
use twoport_net::stream::Stream;
use twoport_net::tls::accept::{self, Reuse};
use twoport_proto::reason::Reason;
use twoport_proto::relay::{HoleId, Subject};

use super::spool::{self, Held, Outgoing, Spool};
use super::{About, Found, Scanning};
use crate::carry::HANDSHAKE;
use crate::hole::{Ends, Event, Prepared};
use crate::rate::Pace;

/// How long a data connection may be still. Origin: the server's stall-timeout, in whose place this
/// stands.
const STALL: Duration = Duration::from_secs(300);

/// Takes what the client sends, and shows it to the scanners.
pub(crate) async fn take(
    ends: Arc<Ends>,
    scanning: Arc<Scanning>,
    prepared: Prepared,
    (id, subject): (HoleId, Subject),
    closed: oneshot::Receiver<()>,
    events: UnboundedSender<Event>,
) {
    // Closed before anybody came: the relay knows.
    let Some(client) = prepared.client(&ends, closed).await else { return };
    // The session may have ended meanwhile; then nobody counts.
    let _: Result<(), _> = events.send(Event::Used(id));
    let taken = match client {
        Ok(client) => receive(&ends, &scanning, client).await,
        Err(reason) => Err(reason),
    };
    let (found, held) = match taken {
        Ok(held) => {
            let about = About { subject, client: ends.client, server: ends.server };
            let found = scanning.scan(&held, &about).await;
            (found, Some(held))
        }
        Err(reason) => (Found::Broken(reason), None),
    };
    let _: Result<(), _> = events.send(Event::Scanned(id, found, held));
}

/// All that the client sends, to its end.
async fn receive(ends: &Ends, scanning: &Scanning, client: TcpStream) -> Result<Held, Reason> {
    let stream = match ends.cover_of_client() {
        Some(config) => {
            let accepted = accept::data(client, config, Reuse::Prefer, HANDSHAKE).await;
            accepted.map_err(|error| error.reason)?
        }
        None => Stream::from(client),
    };
    let directory = scanning.directory.clone();
    let file = pump::blocking(move || spool::create(&directory)).await.map_err(|error| {
        tracing::warn!(target: "twoport", %error, "an upload cannot be kept");
        Reason::LocalError
    })?;
    let spool = Spool::new(file, scanning.max_size);
    let limits = ends.limits();
    let _running = limits.begin();
    let (spool, result) = match limits.are_none() {
        false => slowly(stream, spool, Pace::new(limits)).await,
        true => {
            let never = std::future::pending();
            let (spool, result) =
                pump::receive(stream, spool, STALL, &Progress::default(), never).await;
            let result = result.map(drop).map_err(|error| match error {
                PumpError::Data(reason, _) | PumpError::Storage(reason) => reason,
            });
            (spool, result)
        }
    };
    ends.live.bytes.fetch_add(spool.length(), Ordering::Relaxed);
    result.map(|()| spool.held())
}

/// The same at so many bytes a second.
async fn slowly(
    mut stream: Stream,
    mut spool: Spool,
    mut pace: Pace<'_>,
) -> (Spool, Result<(), Reason>) {
    loop {
        let mut chunk = Vec::with_capacity(pace.chunk(pump::CHUNK));
        let read = match timeout(STALL, stream.read_buf(&mut chunk)).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return (spool, Err(Reason::TlsTruncated));
            }
            Ok(Err(_)) => return (spool, Err(Reason::DataReset)),
            Err(_) => return (spool, Err(Reason::DataStalled)),
        };
        if read == 0 {
            return (spool, Ok(()));
        }
        let taken = pump::blocking(move || {
            let taken = spool.take(&chunk);
            (spool, taken)
        });
        let taken = taken.await;
        spool = taken.0;
        if let Err(reason) = taken.1 {
            return (spool, Err(reason));
        }
        pace.keep(read).await;
    }
}

/// Takes what was held to the server. If it ends before its end, the server's connection is reset:
/// half a file must not pass for a whole one.
pub(crate) async fn deliver(
    ends: Arc<Ends>,
    prepared: Prepared,
    id: HoleId,
    held: Held,
    closed: oneshot::Receiver<()>,
    events: UnboundedSender<Event>,
) {
    // Closed before the server came: the relay knows.
    let Some(server) = prepared.server(&ends, closed).await else { return };
    let _: Result<(), _> = events.send(Event::Used(id));
    let delivered = match server {
        Ok(server) => send(&ends, server, &held).await,
        Err(reason) => Err(reason),
    };
    if let Err(reason) = delivered {
        let client = ends.client;
        tracing::warn!(target: "twoport", %client, reason = reason.id(), why = reason.describe(), "break");
    }
    let _: Result<(), _> = events.send(Event::Delivered(id, delivered));
}

async fn send(ends: &Ends, server: TcpStream, held: &Held) -> Result<(), Reason> {
    let socket = reset_unless_done(&server).map_err(|_| Reason::DataReset)?;
    let stream = match ends.cover_of_server() {
        Some(guard) => guard.connect(server, HANDSHAKE).await.map_err(|error| error.reason)?,
        None => Stream::from(server),
    };
    let outgoing = Outgoing::new(held).map_err(|_| Reason::LocalError)?;
    let sent = pump::send(stream, outgoing, STALL, &Progress::default()).await;
    sent.map_err(|error| match error {
        PumpError::Data(reason, _) => reason,
        PumpError::Storage(_) => Reason::LocalError,
    })?;
    ends.live.bytes.fetch_add(held.length, Ordering::Relaxed);
    SockRef::from(&socket).set_linger(None).map_err(|_| Reason::DataReset)
}

/// From here on whatever closes the connection resets it, were it the end of this process, until that
/// is taken back on what this gives.
fn reset_unless_done(server: &TcpStream) -> io::Result<OwnedFd> {
    let socket = SockRef::from(server);
    socket.set_linger(Some(Duration::ZERO))?;
    Ok(socket.try_clone()?.into())
}
