//! `twoport serve` in a node of a network, and a client spoken by hand in another.
//!
//! Who may connect to whom is the tests' matter.

#![expect(clippy::unwrap_used, reason = "called by tests: it fails them")]

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use twoport_net::clock;
use twoport_networks::{Network, Node, Process, Topology, missing};

use super::clients::served;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The network of a name, or a word about why the test is skipped.
#[must_use]
pub fn network(name: &str) -> Option<Network> {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return None;
    }
    Some(Network::build(Topology::named(name).unwrap()).unwrap())
}

/// A server and what it said.
#[derive(Debug)]
pub struct Served {
    /// Its process.
    pub process: Process,
    work: TempDir,
}

impl Served {
    /// Serves, to visitors who may write, at port 21 of all addresses.
    #[must_use]
    pub fn start(node: &Node, arguments: &[&str]) -> Self {
        let work = TempDir::new().unwrap();
        let root = work.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let mut command = Command::new(served::program().unwrap());
        command.arg("serve").arg(&root).args(["--anonymous=write", "--listen", "0.0.0.0:21"]);
        command.args(["--listen", "[::]:21"]).args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::null());
        command.stderr(std::fs::File::create(work.path().join("log")).unwrap());
        let process = node.spawn(&mut command).unwrap();
        let served = Self { process, work };
        assert!(wait_for(|| served.log().contains(" ready")), "{}", served.log());
        served
    }

    /// What it said so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.work.path().join("log")).unwrap()
    }

    /// A file of those it serves.
    #[must_use]
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.work.path().join("root").join(name)
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }
}

/// Whether something comes true within twenty seconds.
pub fn wait_for(mut fact: impl FnMut() -> bool) -> bool {
    let until = clock::now().after(PATIENCE);
    loop {
        if fact() {
            return true;
        }
        if clock::now() >= until {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Connects from a node; what is not answered in the time given is an error.
///
/// # Errors
/// What the system says.
pub fn connect(node: &Node, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let stream = node.inside(|| TcpStream::connect_timeout(&to, patience))??;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A session that is logged in.
#[derive(Debug)]
pub struct Client(pub BufReader<TcpStream>);

impl Client {
    /// Connects and logs in.
    #[must_use]
    pub fn log_in(node: &Node, server: IpAddr) -> Self {
        Self(BufReader::new(connect(node, (server, 21).into(), PATIENCE).unwrap())).logged_in()
    }

    /// The same on a connection that has just been made.
    #[must_use]
    pub fn logged_in(mut self) -> Self {
        self.says("220");
        self.asks("USER anonymous", "331");
        self.asks("PASS x", "230");
        self.asks("TYPE I", "200");
        self
    }

    /// Sends a line.
    pub fn send(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    /// The next line.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// The next line, which begins with the code.
    #[track_caller]
    pub fn says(&mut self, code: &str) -> String {
        let line = self.line();
        assert!(line.starts_with(code), "expected {code}, got {line:?}");
        line
    }

    /// The reply to a command, which begins with the code.
    #[track_caller]
    pub fn asks(&mut self, line: &str, code: &str) -> String {
        self.send(line);
        self.says(code)
    }

    /// The port of EPSV.
    #[track_caller]
    pub fn epsv(&mut self) -> u16 {
        self.asks("EPSV", "229").split('|').nth(3).unwrap().parse().unwrap()
    }

    /// The address of PASV.
    #[track_caller]
    pub fn pasv(&mut self) -> SocketAddr {
        let reply = self.asks("PASV", "227");
        let numbers = reply.split(['(', ')']).nth(1).unwrap();
        let numbers: Vec<u16> = numbers.split(',').map(|n| n.parse().unwrap()).collect();
        let &[a, b, c, d, high, low] = numbers.first_chunk().unwrap();
        format!("{a}.{b}.{c}.{d}:{}", high * 256 + low).parse().unwrap()
    }
}
