//! `twoport gateway status`: a running gateway tells how things stand, over a socket that has a name
//! only in its own network namespace.
//!
//! What is counted is the gateway crate's business.

use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use clap::ArgMatches;
use serde_json::{Value, json};

use twoport_gateway::{Board, Status};

use super::super::output::data;
use super::super::{Failure, Outcome};

/// The name, in the abstract namespace: no file, and gone with the process.
const NAME: &str = "twoport-gateway";

/// How long either end waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers those who ask, on a thread of its own. Another gateway in the same network may have the
/// name; then nobody is answered here.
pub(super) fn answer(board: Board) {
    let listener =
        SocketAddr::from_abstract_name(NAME).and_then(|name| UnixListener::bind_addr(&name));
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(target: "twoport", %error, "no status: the name is taken");
            return;
        }
    };
    std::thread::spawn(move || {
        for asking in listener.incoming() {
            let Ok(mut asking) = asking else { return };
            // Sessions tell who talks to whom: for its own user and root.
            if !is_allowed(&asking) {
                continue;
            }
            let text = document(&board.status()).to_string();
            // Who does not take it has gone.
            let _gone = asking
                .set_write_timeout(Some(PATIENCE))
                .and_then(|()| asking.write_all(text.as_bytes()));
        }
    });
}

fn is_allowed(asking: &UnixStream) -> bool {
    let own = rustix::process::getuid();
    rustix::net::sockopt::socket_peercred(asking)
        .is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
}

/// Asks, and shows it.
pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let asked = || {
        let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(NAME)?)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
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
