//! SOCKS5 (RFC 1928, passwords by RFC 1929) and HTTP CONNECT (RFC 9110 §9.3.6) before FTP: a client says
//! whom it wants to reach, and what it gets is a relayed session, or a data connection of one.
//!
//! It is no general proxy: nothing else is ever connected.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use twoport_net::proxy;
use twoport_proto::proxy::Ends as Told;
use twoport_proto::reason::Reason;
use twoport_proto::relay::destination;

use crate::carry::{Cover, carry};
use crate::config::Accounts;
use crate::gateway::Shared;
use crate::passes::{Passes, To};
use crate::seat::{self, IMPLICIT};
use crate::session;
use crate::upstream;

/// What is spoken at an address of the forward seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Front {
    /// FTP: the server is named in the log-in.
    Ftp,
    /// SOCKS5.
    Socks,
    /// HTTP CONNECT.
    Http,
}

/// How long a client may take to say whom it wants to reach. Origin: HAProxy's `timeout client-hs` and
/// the like are a few seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest request of HTTP. Origin: Apache's and nginx's limit for one line.
const LONGEST_REQUEST: usize = 8192;

/// Whom a client wants to reach.
struct Wanted {
    host: String,
    port: u16,
}

/// Why a client gets nothing.
#[derive(Clone, Copy)]
enum No {
    /// It speaks something else.
    Nonsense,
    /// It asks for what is not there: BIND, UDP, GET.
    Unsupported,
    /// It has no right to.
    Forbidden,
    /// It must log in.
    LoginRequired,
    /// The server cannot be reached.
    Unreachable,
}

/// From the first byte of a connection to its end.
pub(crate) async fn arrive(
    shared: Arc<Shared>,
    front: Front,
    mut client: TcpStream,
    told: Option<Told>,
    stop: watch::Receiver<bool>,
) {
    // Else it is gone already.
    let Ok(peer) = client.peer_addr() else { return };
    let from = proxy::source(told, peer).ip().to_canonical();
    let accounts = shared.config.accounts.clone();
    let asked = async {
        match front {
            Front::Socks => socks(&mut client, accounts).await,
            Front::Http | Front::Ftp => connect(&mut client, accounts).await,
        }
    };
    let wanted = match timeout(PATIENCE, asked).await {
        Ok(Ok(Ok(wanted))) => wanted,
        Ok(Ok(Err(no))) => return refuse(front, client, no).await,
        // It has gone, or says nothing.
        Ok(Err(_)) | Err(_) => return,
    };
    match shared.passes.show(from, &wanted.host, wanted.port) {
        Some(To::Hole(_, door)) => {
            if accept(front, &mut client).await.is_ok() {
                // Else the session has just ended.
                let _: Result<_, _> = door.send(client).await;
            }
        }
        Some(To::Server(ends)) => {
            let at = To::address(&ends, wanted.port);
            let Ok(server) = seat::connect(None, at, None, shared.config.connect_timeout).await
            else {
                return refuse(front, client, No::Unreachable).await;
            };
            if accept(front, &mut client).await.is_ok() {
                let limits = ends.limits();
                let cover = Cover { accept: None, connect: None, limits, takes_all: true };
                ends.flowing.fetch_add(1, Ordering::Relaxed);
                // What passes unread ends as it ends.
                let _: Result<_, _> = carry(client, server, cover, &ends.live.bytes).await;
                ends.flowing.fetch_sub(1, Ordering::Relaxed);
            }
        }
        None => control(shared, front, (client, told, from), wanted, stop).await,
    }
}

/// A control connection.
async fn control(
    shared: Arc<Shared>,
    front: Front,
    (mut client, told, from): (TcpStream, Option<Told>, IpAddr),
    wanted: Wanted,
    stop: watch::Receiver<bool>,
) {
    let entered = if shared.config.drain { Err(Reason::Draining) } else { shared.room.enter(from) };
    // Nothing of it could be scanned.
    let is_unread = wanted.port == IMPLICIT && shared.config.client_tls.is_none();
    if is_unread && shared.config.scan.is_some() {
        note(&shared, from, &wanted, Reason::TlsNotScanned);
        return refuse(front, client, No::Forbidden).await;
    }
    let _place = match entered {
        Ok(place) => place,
        Err(reason) => {
            note(&shared, from, &wanted, reason);
            return refuse(front, client, No::Unreachable).await;
        }
    };
    let server = match upstream::forward(&shared, from, &wanted.host, wanted.port).await {
        Ok(server) => {
            let asking = Asking { passes: shared.passes.clone(), name: wanted.host };
            upstream::Upstream { asking: Some(asking), ..server }
        }
        Err((reason, error)) => {
            note(&shared, from, &wanted, reason);
            tracing::debug!(target: "twoport", client = %from, %error, "no server");
            let is_refused = reason == Reason::DestinationRefused;
            let no = if is_refused { No::Forbidden } else { No::Unreachable };
            return refuse(front, client, no).await;
        }
    };
    if accept(front, &mut client).await.is_ok() {
        session::run_to(shared, (client, told), server, stop).await;
    }
}

fn note(shared: &Shared, client: IpAddr, wanted: &Wanted, reason: Reason) {
    let (id, why) = (reason.id(), reason.describe());
    shared.board.tell("refuse", reason);
    let (host, port) = (&wanted.host, wanted.port);
    tracing::warn!(target: "twoport", %client, host, port, reason = id, why, "refuse");
}

/// Says that what was asked for is there.
async fn accept(front: Front, client: &mut TcpStream) -> io::Result<()> {
    match front {
        Front::Socks => client.write_all(&socks_reply(0)).await,
        Front::Http | Front::Ftp => {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await
        }
    }
}

async fn refuse(front: Front, mut client: TcpStream, no: No) {
    let bytes = match (front, no) {
        (Front::Socks, No::Unsupported) => socks_reply(7).to_vec(),
        (Front::Socks, No::Forbidden) => socks_reply(2).to_vec(),
        (Front::Socks, No::Unreachable) => socks_reply(4).to_vec(),
        // It was said already, or there is no word for it.
        (Front::Socks, No::Nonsense | No::LoginRequired) => Vec::new(),
        (_, No::Nonsense) => http_reply("400 Bad Request", ""),
        (_, No::Unsupported) => http_reply("405 Method Not Allowed", "Allow: CONNECT\r\n"),
        (_, No::Forbidden) => http_reply("403 Forbidden", ""),
        (_, No::LoginRequired) => http_reply(
            "407 Proxy Authentication Required",
            "Proxy-Authenticate: Basic realm=\"twoport\"\r\n",
        ),
        (_, No::Unreachable) => http_reply("502 Bad Gateway", ""),
    };
    // Who does not take it has gone.
    let _: io::Result<()> = client.write_all(&bytes).await;
    let _: io::Result<()> = client.shutdown().await;
}

fn http_reply(status: &str, header: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// RFC 1928 §6. The address is of no use to a client.
const fn socks_reply(code: u8) -> [u8; 10] {
    [5, code, 0, 1, 0, 0, 0, 0, 0, 0]
}

type Asked = io::Result<Result<Wanted, No>>;

/// RFC 1928 §3 and §4.
async fn socks(client: &mut TcpStream, accounts: Option<Accounts>) -> Asked {
    const NONE: u8 = 0;
    const PASSWORD: u8 = 2;
    const NO_METHOD: u8 = 0xff;
    if client.read_u8().await? != 5 {
        return Ok(Err(No::Nonsense));
    }
    let mut methods = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut methods).await?;
    let method = if accounts.is_some() { PASSWORD } else { NONE };
    if !methods.contains(&method) {
        client.write_all(&[5, NO_METHOD]).await?;
        return Ok(Err(No::LoginRequired));
    }
    client.write_all(&[5, method]).await?;
    if let Some(accounts) = accounts {
        // RFC 1929 §2.
        let version = client.read_u8().await?;
        let (name, password) = (socks_text(client).await?, socks_text(client).await?);
        let is_right = version == 1 && knows(accounts, name, password).await;
        client.write_all(&[1, u8::from(!is_right)]).await?;
        if !is_right {
            return Ok(Err(No::LoginRequired));
        }
    }
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    let [version, command, _, kind] = head;
    let host = match kind {
        1 => IpAddr::from(Ipv4Addr::from(client.read_u32().await?)).to_string(),
        4 => IpAddr::from(Ipv6Addr::from(client.read_u128().await?)).to_string(),
        3 => match String::from_utf8(socks_text(client).await?) {
            Ok(name) => name,
            Err(_) => return Ok(Err(No::Nonsense)),
        },
        _ => return Ok(Err(No::Nonsense)),
    };
    let port = client.read_u16().await?;
    Ok(match (version, command) {
        (5, 1) => named(&host, port),
        (5, _) => Err(No::Unsupported),
        _ => Err(No::Nonsense),
    })
}

/// A text with its length before it.
async fn socks_text(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut text = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut text).await?;
    Ok(text)
}

/// CONNECT with its headers. What is behind them is the session's, so that no byte more is read.
async fn connect(client: &mut TcpStream, accounts: Option<Accounts>) -> Asked {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await?);
        if request.len() > LONGEST_REQUEST {
            return Ok(Err(No::Nonsense));
        }
    }
    let Ok(request) = String::from_utf8(request) else { return Ok(Err(No::Nonsense)) };
    let mut lines = request.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else { return Ok(Err(No::Nonsense)) };
    if !version.starts_with("HTTP/1.") {
        return Ok(Err(No::Nonsense));
    }
    if let Some(accounts) = accounts {
        let (name, password) = lines.find_map(credentials).unwrap_or_default();
        if !knows(accounts, name, password).await {
            return Ok(Err(No::LoginRequired));
        }
    }
    if method != "CONNECT" {
        return Ok(Err(No::Unsupported));
    }
    let has_port = target.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    Ok(match destination(target.as_bytes()) {
        Some((host, port)) if has_port => Ok(Wanted { host, port }),
        _ => Err(No::Nonsense),
    })
}

/// The name and the password of a header (RFC 7617).
fn credentials(line: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, value) = line.split_once(':')?;
    let (scheme, text) = value.trim().split_once(' ')?;
    let is_it =
        name.eq_ignore_ascii_case("proxy-authorization") && scheme.eq_ignore_ascii_case("basic");
    let both = BASE64.decode(text.trim().as_bytes()).ok().filter(|_| is_it)?;
    let colon = both.iter().position(|&byte| byte == b':')?;
    let (name, password) = both.split_at_checked(colon)?;
    Some((name.to_vec(), password.get(1..)?.to_vec()))
}

fn named(host: &str, port: u16) -> Result<Wanted, No> {
    let is_v6 = host.parse::<Ipv6Addr>().is_ok();
    let text = if is_v6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let found = destination(text.as_bytes());
    found.map(|(host, port)| Wanted { host, port }).ok_or(No::Nonsense)
}

/// A hash takes a tenth of a second on purpose.
async fn knows(accounts: Accounts, name: Vec<u8>, password: Vec<u8>) -> bool {
    let check = move || accounts.has(&name, &password);
    tokio::task::spawn_blocking(check).await.unwrap_or_default()
}

/// Where a session's client has asked for its server.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) passes: Passes,
    pub(crate) name: String,
}
