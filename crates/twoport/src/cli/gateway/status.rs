//! `twoport gateway status`: a running gateway tells how things stand, over a socket that has a name
//! only in its own network namespace.
//!
//! What is counted is the gateway crate's business.

use std::io::{self, Read as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener as Listener, UnixStream as Stream};
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use twoport_gateway::{Board, Sockets, Status};

use super::super::output::data;
use super::super::{Failure, Outcome};
use super::replace::is_trusted;

/// The name, in the abstract namespace: no file, and gone with the process.
pub(super) const NAME: &str = "twoport-gateway";

/// That of a process which has only sessions left; its number is behind it.
const DRAINING: &str = "twoport-gateway-draining ";

/// How long either end waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait after an error of the system before asking it again.
const PAUSE: Duration = Duration::from_millis(50);

/// How many may ask at a time. Origin: a person or two, and a collector.
const ASKING: usize = 8;

/// Where it is asked.
///
/// # Errors
/// Somebody has the name.
pub(super) fn open(sockets: &mut Sockets) -> io::Result<UnixListener> {
    match sockets.take(NAME) {
        Some(socket) => UnixListener::from_std(socket.into()),
        None => named(NAME),
    }
}

/// The same for a process that another one has replaced.
///
/// # Errors
/// Somebody has the name.
pub(super) fn open_draining() -> io::Result<UnixListener> {
    named(&format!("{DRAINING}{}", std::process::id()))
}

fn named(name: &str) -> io::Result<UnixListener> {
    let listener = Listener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Answers those who ask: for this process alone, or for those, too, that were replaced.
pub(super) async fn answer(listener: UnixListener, board: Board, is_alone: bool) {
    let room = Arc::new(Semaphore::new(ASKING));
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((mut asking, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        // Sessions tell who talks to whom: for its own user and root.
        if !is_own(&asking) {
            continue;
        }
        let board = board.clone();
        tokio::spawn(async move {
            let mut document = document(&board.status());
            let draining = if is_alone { Vec::new() } else { draining().await };
            if let (Some(all), false) = (document.as_object_mut(), draining.is_empty()) {
                all.insert("draining".into(), draining.into());
            }
            // Who does not take it has gone.
            let _gone = timeout(PATIENCE, asking.write_all(document.to_string().as_bytes())).await;
            drop(place);
        });
    }
}

fn is_own(other: &UnixStream) -> bool {
    other.peer_cred().is_ok_and(|peer| is_trusted(peer.uid()))
}

/// The other processes of this network that were replaced, with the sessions that they still have.
async fn draining() -> Vec<Value> {
    // Where it cannot be read none is known.
    let sockets = std::fs::read_to_string("/proc/self/net/unix").unwrap_or_default();
    let mut draining = Vec::new();
    for line in sockets.lines() {
        let Some((_, number)) = line.split_once(&format!("@{DRAINING}")) else { continue };
        // Connections to it have the same name.
        let Ok(process) = number.parse::<u32>() else { continue };
        let is_listed =
            |one: &Value| one.get("process").and_then(Value::as_u64) == Some(process.into());
        if draining.iter().any(is_listed) {
            continue;
        }
        // It may end at this moment.
        if let Ok(Some(sessions)) = timeout(PATIENCE, left(number)).await {
            draining.push(json!({ "process": process, "sessions": sessions }));
        }
    }
    draining
}

/// How many sessions a process has.
async fn left(number: &str) -> Option<usize> {
    let name = SocketAddr::from_abstract_name(format!("{DRAINING}{number}")).ok()?;
    let stream = Stream::connect_addr(&name).ok()?;
    stream.set_nonblocking(true).ok()?;
    let mut stream = UnixStream::from_std(stream).ok()?;
    let mut text = String::new();
    if !is_own(&stream) {
        return None;
    }
    stream.read_to_string(&mut text).await.ok()?;
    serde_json::from_str::<Value>(&text).ok()?.get("sessions")?.as_array().map(Vec::len)
}

/// Asks, and shows it.
pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let asked = || {
        let mut stream = Stream::connect_addr(&SocketAddr::from_abstract_name(NAME)?)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok::<_, io::Error>(text)
    };
    let text = asked().map_err(|error| {
        Failure::here(format!(
            "no gateway answers in this network: {error}; is `twoport gateway` running?"
        ))
    })?;
    if text.is_empty() {
        return Err(Failure::here("the gateway runs as another user: ask as that user or as root"));
    }
    if matches.get_flag("json") {
        return data(&(text + "\n"));
    }
    let status: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::here(format!("the gateway's answer makes no sense: {error}")))?;
    data(&if matches.get_flag("metrics") { metrics(&status) } else { table(&status) })
}

/// All of it, for those who ask.
pub(super) fn document(status: &Status) -> Value {
    let sessions = status.sessions.iter().map(|session| {
        json!({
            "session": session.number,
            "client": session.client.to_string(),
            "server": session.server.to_string(),
            "seconds": session.age.as_secs(),
            "pinholes": session.pinholes,
            "bytes": session.bytes,
        })
    });
    let decisions = status.decisions.iter().map(|(decision, reason, count)| {
        json!({ "decision": decision, "reason": reason, "count": count })
    });
    json!({
        "sessions": sessions.collect::<Vec<_>>(),
        "total-sessions": status.total_sessions,
        "total-bytes": status.total_bytes,
        "decisions": decisions.collect::<Vec<_>>(),
    })
}

fn list<'a>(status: &'a Value, key: &str) -> &'a [Value] {
    status.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A value as text, without quotes.
fn text(of: &Value, key: &str) -> String {
    match of.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn table(status: &Value) -> String {
    let mut shown = format!(
        "{} sessions, {} since the start; {} bytes relayed\n",
        list(status, "sessions").len(),
        text(status, "total-sessions"),
        text(status, "total-bytes"),
    );
    for session in list(status, "sessions") {
        let [number, client, server, seconds, pinholes, bytes] =
            ["session", "client", "server", "seconds", "pinholes", "bytes"]
                .map(|key| text(session, key));
        shown += &format!(
            "{number:>6}  {client} -> {server}  {seconds} s  {pinholes} pinholes  {bytes} bytes\n"
        );
    }
    for process in list(status, "draining") {
        let [process, sessions] = ["process", "sessions"].map(|key| text(process, key));
        shown += &format!("process {process}, which was replaced, has {sessions} sessions left\n");
    }
    for told in list(status, "decisions") {
        let [count, decision, reason] = ["count", "decision", "reason"].map(|key| text(told, key));
        shown += &format!("{count:>6}  {decision} {reason}\n");
    }
    shown
}

/// In the text format of Prometheus.
pub(super) fn metrics(status: &Value) -> String {
    let pinholes = list(status, "sessions")
        .iter()
        .filter_map(|session| session.get("pinholes").and_then(Value::as_u64))
        .sum::<u64>();
    let mut shown = String::new();
    for (name, kind, value) in [
        ("sessions", "gauge", list(status, "sessions").len().to_string()),
        ("pinholes", "gauge", pinholes.to_string()),
        ("sessions_total", "counter", text(status, "total-sessions")),
        ("relayed_bytes_total", "counter", text(status, "total-bytes")),
    ] {
        shown += &format!("# TYPE twoport_gateway_{name} {kind}\ntwoport_gateway_{name} {value}\n");
    }
    shown += "# TYPE twoport_gateway_decisions_total counter\n";
    for told in list(status, "decisions") {
        let [count, decision, reason] = ["count", "decision", "reason"].map(|key| text(told, key));
        shown += &format!(
            "twoport_gateway_decisions_total{{decision=\"{decision}\",reason=\"{reason}\"}} {count}\n"
        );
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_shown_in_both_forms() {
        let decisions = vec![("refuse", "foreign-address", 2)];
        let status = Status { sessions: vec![], total_sessions: 3, total_bytes: 9, decisions };
        let document = document(&status);
        let table = table(&document);
        assert!(table.starts_with("0 sessions, 3 since the start; 9 bytes relayed\n"), "{table}");
        assert!(table.contains("2  refuse foreign-address\n"), "{table}");
        let metrics = metrics(&document);
        let wanted =
            "twoport_gateway_decisions_total{decision=\"refuse\",reason=\"foreign-address\"} 2";
        assert!(metrics.contains(wanted), "{metrics}");
    }
}
