//! The page of metrics, for a collector that comes and asks over HTTP.
//!
//! What is on it is written in [`status`](super::status). It knows no users and no TLS: who may ask
//! is a matter of the address that it listens at.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use twoport_gateway::{Board, Sockets};
use twoport_server::config::problem::Problem;

use super::status;
use super::words::Words;

/// How long one who asks may take. Origin: collectors ask every 15 seconds and give up after ten.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many may ask at a time. Origin: a few collectors, and a person or two.
const ASKING: usize = 16;

/// How long to wait after an error of the system before asking it again.
const PAUSE: Duration = Duration::from_millis(50);

/// Where the page is; a port alone is one of this host for itself.
///
/// # Errors
/// Not an address.
pub(super) fn address(words: &Words) -> Result<Option<SocketAddr>, Problem> {
    let Some(text) = words.word("metrics") else { return Ok(None) };
    let own = || text.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let address = text.parse().ok().or_else(own);
    let wrong = || {
        let what = format!("{text:?} is no address");
        words.wrong("metrics", what, "write a port, or an address such as 127.0.0.1:9402")
    };
    address.map(Some).ok_or_else(wrong)
}

/// Listens at these addresses, at each but once; each has a name for another process.
///
/// # Errors
/// One of them cannot be listened at.
pub(super) fn open(
    addresses: impl Iterator<Item = SocketAddr>,
    sockets: &mut Sockets,
) -> io::Result<Vec<(String, TcpListener)>> {
    /// Collectors come one by one. Origin: that of the standard library.
    const BACKLOG: i32 = 128;
    let mut pages = Vec::new();
    for address in addresses.collect::<BTreeSet<_>>() {
        let name = format!("metrics {address}");
        let listener = match sockets.take(&name) {
            Some(socket) => TcpListener::from_std(socket.into())?,
            None => twoport_net::listen::listen(address, BACKLOG).map_err(|error| {
                let what = format!("no metrics at {error}; choose another with --metrics");
                io::Error::new(error.kind(), what)
            })?,
        };
        pages.push((name, listener));
    }
    Ok(pages)
}

/// Answers who comes.
pub(super) async fn answer(listener: TcpListener, board: Board) {
    if let Ok(address) = listener.local_addr() {
        let page = format!("http://{address}/metrics");
        tracing::info!(target: "twoport", page, "metrics");
    }
    let room = Arc::new(Semaphore::new(ASKING));
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let board = board.clone();
        tokio::spawn(async move {
            show(stream, &board).await;
            drop(place);
        });
    }
}

async fn show(stream: TcpStream, board: &Board) {
    let page = service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(page(request.method(), request.uri().path(), board))
    });
    let mut connection = http1::Builder::new();
    connection.keep_alive(false);
    // Nobody misses who stays too long, or goes early.
    let _: Result<_, _> =
        timeout(PATIENCE, connection.serve_connection(TokioIo::new(stream), page)).await;
}

fn page(method: &Method, path: &str, board: &Board) -> Response<Full<Bytes>> {
    let (status, text) = match (path, method) {
        ("/metrics", &Method::GET | &Method::HEAD) => {
            (StatusCode::OK, status::metrics(&status::document(&board.status())))
        }
        ("/metrics", _) => (StatusCode::METHOD_NOT_ALLOWED, "GET\n".into()),
        _ => (StatusCode::NOT_FOUND, "The page is /metrics.\n".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
