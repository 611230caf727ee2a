//! `twoport serve` in a node of a network, and a client spoken by hand in another.
//!
//! Who may connect to whom is the tests' matter.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use twoport_lab::foreign::clients::served;
use twoport_networks::{Network, Node, Process, Topology, missing};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The network of a name, or a word about why the test is skipped.
pub(crate) fn network(name: &str) -> Option<Network> {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return None;
    }
    Some(Network::build(Topology::named(name).unwrap()).unwrap())
}

/// A server and what it said.
pub(crate) struct Served {
    pub(crate) process: Process,
    work: TempDir,
}

impl Served {
    /// Serves, to visitors who may write, at port 21 of all addresses.
    pub(crate) fn start(node: &Node, arguments: &[&str]) -> Self {
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

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.work.path().join("log")).unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.work.path().join("root").join(name)
    }

    pub(crate) fn kill(&self) {
        let id = i32::try_from(self.process.id().unwrap()).unwrap();
        let process = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    }
}

pub(crate) fn wait_for(mut fact: impl FnMut() -> bool) -> bool {
    (0..400).any(|_| {
        let is_so = fact();
        if !is_so {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        is_so
    })
}

/// Connects from a node; what is not answered in the time given is an error.
pub(crate) fn connect(node: &Node, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let stream = node.inside(|| TcpStream::connect_timeout(&to, patience))??;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A session that is logged in.
pub(crate) struct Client(pub(crate) BufReader<TcpStream>);

impl Client {
    pub(crate) fn log_in(node: &Node, server: IpAddr) -> Self {
        let stream = connect(node, (server, 21).into(), PATIENCE).unwrap();
        let mut client = Self(BufReader::new(stream));
        client.says("220");
        client.asks("USER anonymous", "331");
        client.asks("PASS x", "230");
        client.asks("TYPE I", "200");
        client
    }

    #[track_caller]
    pub(crate) fn says(&mut self, code: &str) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.starts_with(code), "expected {code}, got {line:?}");
        line
    }

    #[track_caller]
    pub(crate) fn asks(&mut self, line: &str, code: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.says(code)
    }

    /// The port of EPSV.
    #[track_caller]
    pub(crate) fn epsv(&mut self) -> u16 {
        self.asks("EPSV", "229").split('|').nth(3).unwrap().parse().unwrap()
    }

    /// The address of PASV.
    #[track_caller]
    pub(crate) fn pasv(&mut self) -> SocketAddr {
        let reply = self.asks("PASV", "227");
        let numbers = reply.split(['(', ')']).nth(1).unwrap();
        let numbers: Vec<u16> = numbers.split(',').map(|n| n.parse().unwrap()).collect();
        let &[a, b, c, d, high, low] = numbers.first_chunk().unwrap();
        format!("{a}.{b}.{c}.{d}:{}", high * 256 + low).parse().unwrap()
    }
}
