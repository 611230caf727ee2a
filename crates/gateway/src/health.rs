//! Looks after the servers behind a gateway: those that do not greet are left out until they do.
//!
//! It logs in nowhere.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use twoport_proto::proxy;
use twoport_proto::reason::Reason;

use crate::gateway::Shared;
use crate::pool::Server;

/// The longest that a check waits. Origin: HAProxy's `timeout check` is seldom more.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often is looked whether checks are wanted, where they are not.
const IDLE: Duration = Duration::from_secs(5);

/// Looks at each server again and again, as the configuration of the moment has it.
pub(crate) async fn look_after(mut current: watch::Receiver<Arc<Shared>>) {
    loop {
        let shared = Arc::clone(&current.borrow_and_update());
        let Some(interval) = shared.config.health.interval else {
            if timeout(IDLE, current.changed()).await.is_ok_and(|gone| gone.is_err()) {
                return;
            }
            continue;
        };
        let mut checks = JoinSet::new();
        for server in shared.config.servers.clone() {
            checks.spawn(async move {
                let greeted = timeout(PATIENCE.min(interval), greets(&server)).await;
                let greeted = greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                (server.at, greeted)
            });
        }
        while let Some(Ok((at, greeted))) = checks.join_next().await {
            met(&shared, &at, &greeted);
        }
        if timeout(interval, current.changed()).await.is_ok_and(|gone| gone.is_err()) {
            return;
        }
    }
}

/// Notes what was met at a server, and tells of it where that changes what it gets.
pub(crate) fn met<T>(shared: &Shared, at: &str, met: &io::Result<T>) {
    let Some(is_down) = shared.pool.met(at, met.is_ok(), &shared.config.health) else { return };
    let reason = if is_down { Reason::UpstreamDown } else { Reason::UpstreamUp };
    shared.board.tell("health", reason);
    let (id, why) = (reason.id(), reason.describe());
    match met {
        Err(error) => {
            tracing::warn!(target: "twoport", server = at, reason = id, why, %error, "health");
        }
        Ok(_) => tracing::info!(target: "twoport", server = at, reason = id, why, "health"),
    }
}

/// Whether a server greets with 220. Under implicit TLS it says nothing in clear: there it is enough
/// that it is connected.
async fn greets(server: &Server) -> io::Result<()> {
    let mut stream = TcpStream::connect(&server.at).await?;
    if let Some(proxy) = server.proxy {
        stream.write_all(&proxy::header(proxy.version, None)).await?;
    }
    if stream.peer_addr()?.port() == crate::seat::IMPLICIT {
        return Ok(());
    }
    let (mut said, mut space) = (Vec::new(), [0; 512]);
    loop {
        let length = stream.read(&mut space).await?;
        said.extend_from_slice(space.get(..length).unwrap_or_default());
        // 120 says that 220 will come (RFC 959 §5.4).
        let mut lines = said.split(|&byte| byte == b'\n');
        match lines.find(|line| line.len() >= 3 && !line.starts_with(b"120")) {
            Some(line) if line.starts_with(b"220") => break,
            None if length > 0 && said.len() < 4096 => {}
            Some(_) | None => return Err(io::Error::other("it does not greet with 220")),
        }
    }
    // It was a greeting; whether the server hears the good-bye is no matter.
    let _: io::Result<()> = stream.write_all(b"QUIT\r\n").await;
    let _: io::Result<()> = stream.shutdown().await;
    Ok(())
}
