//! Five hundred sessions that are logged in and idle while others transfer: nobody notices, and
//! what an idle session costs is told.
//!
//! The memory is that of the server's process; the kernel's for the sockets comes on top.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::thread;

use tempfile::TempDir;
use twoport_lab::foreign::clients::cases::ACCOUNT;
use twoport_lab::foreign::clients::files::seeded;
use twoport_lab::foreign::clients::plain::Plain;
use twoport_lab::foreign::clients::say;
use twoport_lab::foreign::clients::served::Served;

const SESSIONS: u64 = 500;
const THREADS: u64 = 10;
/// What an idle session may cost, in bytes. Origin: what is measured is below 10 KiB.
const BOUND: u64 = 24 * 1024;

/// The proportional set size of a process, in bytes.
fn memory(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn log_in(address: SocketAddr) -> Plain {
    Plain::log_in(address, "ann", "secret").unwrap()
}

/// Uploads and downloads on a session of its own.
fn transfers(address: SocketAddr, number: u64) {
    let mut client = log_in(address);
    for round in 0..10 {
        let bytes = seeded(number * 100 + round, 500_000);
        let mut data = client.passive().unwrap();
        client.ask(&format!("STOR file-{number}"), 150).unwrap();
        data.write_all(&bytes).unwrap();
        drop(data);
        client.expect(226).unwrap();
        let mut data = client.passive().unwrap();
        client.ask(&format!("RETR file-{number}"), 150).unwrap();
        let mut got = Vec::new();
        data.read_to_end(&mut got).unwrap();
        client.expect(226).unwrap();
        assert!(got == bytes);
    }
    client.ask("QUIT", 221).unwrap();
}

fn in_threads<T: Send + 'static>(work: impl Fn(u64) -> T + Copy + Send + 'static) -> Vec<T> {
    let threads: Vec<_> = (0..THREADS).map(|number| thread::spawn(move || work(number))).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn five_hundred_sessions_idle_while_transfers_run() {
    let root = TempDir::new().unwrap();
    let settings = ["--user", ACCOUNT, "--anonymous", "--listen", "127.0.0.1:0"];
    let served = Served::start(root.path(), &settings).unwrap();
    let address = *served.addresses().first().unwrap();
    // Checking a password takes 19 MiB for a moment, in which hundreds of sessions then fit unseen:
    // so the idle ones are those who need none.
    let idler = move || Plain::log_in(address, "anonymous", "x").unwrap();
    drop(idler());
    let before = memory(served.id());
    let mut idle: Vec<Plain> =
        in_threads(move |_| (0..SESSIONS / THREADS).map(|_| idler()).collect::<Vec<_>>())
            .into_iter()
            .flatten()
            .collect();
    let after = memory(served.id());
    in_threads(move |number| transfers(address, number));
    let busy = memory(served.id());
    for client in &mut idle {
        client.ask("NOOP", 200).unwrap();
    }
    let each = after.saturating_sub(before) / SESSIONS;
    say(&format!(
        "{SESSIONS} idle sessions: {each} bytes each; the server {} KiB without them, {} KiB with them \
         ({} KiB each), {} KiB after log-ins with passwords and transfers",
        before / 1024,
        after / 1024,
        after / 1024 / SESSIONS,
        busy / 1024,
    ));
    assert!(each < BOUND, "{each} bytes for each idle session");
}
