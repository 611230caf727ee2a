//! Plays the matrix: each network once, its server once, and its cells side by side.
//!
//! It shows nothing; each cell is handed on as soon as it is known.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use twoport_net::clock;
use twoport_proto::text::escape;

use super::clients::{Client, Said};
use super::errand::Errand;
use super::servers::{DAEMON, IMPLICIT, Server, Site};
use super::{Cell, Gateways, Mode, Operation, Outcome, Paper, Programs, Protection};
use crate::address::Family;
use crate::network::Network;
use crate::process::Process;
use crate::scratch::Scratch;
use crate::topology::Topology;

/// Cells of one network that are played at a time: most of the time of those that fail is waiting.
const AT_ONCE: usize = 6;

/// How long a server may take until it listens. Origin: Python starts in a second on a busy machine.
const START: Duration = Duration::from_secs(30);

/// What a file holds: enough for many full packets, and every byte.
const SIZE: usize = 300_000;

/// The file that is there from the beginning, and is seen in listings.
const FILE: &str = "there.bin";

/// What is to be played.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where the programs are.
    pub programs: Programs,
    /// In which networks.
    pub topologies: Vec<Topology>,
    /// With which server.
    pub server: &'static Server,
    /// With which client.
    pub client: &'static Client,
    /// By which addresses.
    pub families: Vec<Family>,
    /// Under which protections.
    pub protections: Vec<Protection>,
    /// In which modes.
    pub modes: Vec<Mode>,
    /// Which operations.
    pub operations: Vec<Operation>,
    /// Gateways in the boxes.
    pub gateways: Gateways,
    /// Networks at a time.
    pub jobs: usize,
    /// How long a client waits for a reply or a connection, where it can be told; a cell that takes
    /// four times as long is ended.
    pub patience: Duration,
}

impl Order {
    /// The families to play a network by: those that were asked for, or what it has.
    #[must_use]
    pub fn families_in(&self, topology: &Topology) -> Vec<Family> {
        let asked: Vec<Family> =
            self.families.iter().copied().filter(|family| topology.has(*family)).collect();
        let only = [Family::V4, Family::V6].into_iter().filter(|family| topology.has(*family));
        if asked.is_empty() { only.collect() } else { asked }
    }

    /// What is played in a network.
    fn cells_in(&self, topology: &Topology) -> Vec<(Family, Protection, Mode, Operation)> {
        let mut cells = Vec::new();
        for family in self.families_in(topology) {
            for &protection in &self.protections {
                for &mode in &self.modes {
                    cells.extend(self.operations.iter().map(|&o| (family, protection, mode, o)));
                }
            }
        }
        cells
    }

    /// The cells of a network that cannot be played.
    fn lacking(&self, topology: Topology, why: &'static str) -> Vec<Cell> {
        let cells = self.cells_in(&topology).into_iter();
        cells
            .map(|(family, protection, mode, operation)| {
                let (outcome, took) = (Outcome::Lacks(why), Duration::ZERO);
                Cell { topology, family, protection, mode, operation, outcome, took }
            })
            .collect()
    }
}

/// Plays all of it; each cell is told as it is known, and all of them come back in order.
///
/// # Errors
/// A network that cannot be built, or a server that does not start.
pub fn play(order: &Order, told: &(dyn Fn(&Cell) + Sync)) -> io::Result<Vec<Cell>> {
    let at_a_time = order.jobs.max(1);
    let scratch = Scratch::new()?;
    let played = spread(&order.topologies, at_a_time, |topology| {
        let lacking = |why| {
            let cells = order.lacking(*topology, why);
            cells.iter().for_each(told);
            Ok(cells)
        };
        if order.gateways.client && !topology.has_client_box() {
            return lacking("there is no box on the client's side that a gateway could be in");
        }
        let played = match Network::build_with(*topology, &order.programs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return lacking("a program of its box is not installed: see tests/peers/install");
            }
            built => built.and_then(|network| Stage::set(order, network, &scratch)?.play(told)),
        };
        played.map_err(|error| io::Error::new(error.kind(), format!("{topology}: {error}")))
    });
    let cells: io::Result<Vec<Vec<Cell>>> = played.into_iter().collect();
    Ok(cells?.into_iter().flatten().collect())
}

/// Does the work on each item, some at a time; results are in the order of the items.
fn spread<I: Sync, T: Send>(
    items: &[I],
    at_a_time: usize,
    work: impl Fn(&I) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, T)> = thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { return done };
                done.push((index, work(item)));
            }
        };
        let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A network with its server, ready for the cells.
struct Stage<'a> {
    order: &'a Order,
    topology: Topology,
    network: Network,
    paper: Paper,
    content: Vec<u8>,
    root: PathBuf,
    work: TempDir,
    servers: Vec<Process>,
}

impl<'a> Stage<'a> {
    fn set(order: &'a Order, network: Network, scratch: &Scratch) -> io::Result<Self> {
        let topology = network.topology;
        let work = TempDir::new_in(scratch.path())?;
        let root = work.path().join("root");
        fs::create_dir(&root)?;
        // Servers change to a user of no rights and enter from there.
        for path in [work.path(), &root] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        let content: Vec<u8> =
            (0..SIZE).map(|index| index.to_le_bytes().iter().fold(7, mix)).collect();
        fs::write(root.join(FILE), &content)?;
        if order.server.name != "twoport" {
            chown(&root, Some(DAEMON), Some(DAEMON))?;
        }
        let families = [Family::V4, Family::V6];
        let names: Vec<String> = families.map(|family| topology.dialled(family).to_string()).into();
        let paper = Paper::make(work.path(), names)?;
        let mut stage =
            Self { order, topology, network, paper, content, root, work, servers: Vec::new() };
        stage.start()?;
        let (programs, work) = (&order.programs, stage.work.path());
        let gateways = order.gateways.start(&stage.network, programs, &stage.paper, work)?;
        stage.servers.extend(gateways);
        Ok(stage)
    }

    fn start(&mut self) -> io::Result<()> {
        let (programs, side) = (&self.order.programs, self.topology.server);
        let (work, root) = (self.work.path(), self.root.as_path());
        let node = self.network.server()?;
        let addresses: Vec<IpAddr> = self
            .order
            .families_in(&self.topology)
            .into_iter()
            .flat_map(|family| node.addresses(self.topology.reaches(family)))
            .collect();
        let site = Site { programs, work, root, side, addresses: &addresses, paper: &self.paper };
        let server = self.order.server;
        let log = File::create(work.join("server.log"))?;
        for mut command in server.launch(&site)? {
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
            self.servers.push(self.network.server()?.spawn(&mut command)?);
        }
        let mut ports = vec![side.control];
        if server.protections.contains(&Protection::Implicit) {
            ports.push(IMPLICIT);
        }
        let start = clock::now();
        for to in addresses.iter().flat_map(|ip| ports.iter().map(|p| SocketAddr::new(*ip, *p))) {
            while self.network.server()?.inside(|| TcpStream::connect(to))?.is_err() {
                let ended = self
                    .servers
                    .iter_mut()
                    .find_map(|server| server.wait(Duration::from_millis(20)).ok().flatten());
                if ended.is_some() || clock::now().since(start) > START {
                    let log = fs::read(work.join("server.log"))?;
                    let text = format!(
                        "{} does not listen on {to}: {}",
                        server.name,
                        escape(log.trim_ascii())
                    );
                    return Err(io::Error::other(text));
                }
            }
        }
        Ok(())
    }

    fn play(&self, told: &(dyn Fn(&Cell) + Sync)) -> io::Result<Vec<Cell>> {
        let numbered: Vec<_> =
            self.order.cells_in(&self.topology).into_iter().enumerate().collect();
        // On the control port, in clear, clients of one address disturb each other: each cell is to
        // show the network, not that.
        let on_control =
            self.order.server.name == "twoport" && !self.topology.server.lets_data_in();
        let at_once = if on_control { 1 } else { AT_ONCE };
        let played =
            spread(&numbered, at_once, |(number, (family, protection, mode, operation))| {
                let (family, protection) = (*family, *protection);
                let (mode, operation) = (*mode, *operation);
                let start = clock::now();
                let outcome = self.cell(*number, family, protection, mode, operation)?;
                let took = clock::now().since(start);
                let topology = self.topology;
                let cell = Cell { topology, family, protection, mode, operation, outcome, took };
                told(&cell);
                Ok(cell)
            });
        played.into_iter().collect()
    }

    fn cell(
        &self,
        number: usize,
        family: Family,
        protection: Protection,
        mode: Mode,
        operation: Operation,
    ) -> io::Result<Outcome> {
        let order = self.order;
        if !order.server.protections.contains(&protection) {
            return Ok(Outcome::Lacks("the server has no such protection"));
        }
        if let Some(why) = (order.client.lacks)(family, protection, mode) {
            return Ok(Outcome::Lacks(why));
        }
        let port = match protection {
            Protection::Implicit => IMPLICIT,
            Protection::Plain | Protection::Explicit => self.topology.server.control,
        };
        let directory = order.server.directory;
        let stored = format!("stored-{number}.bin");
        let remote = match operation {
            Operation::List => directory.to_owned(),
            Operation::Retr => format!("{directory}{FILE}"),
            Operation::Stor => format!("{directory}{stored}"),
        };
        let local = match operation {
            Operation::Stor => self.root.join(FILE),
            Operation::List | Operation::Retr => self.work.path().join(format!("got-{number}")),
        };
        let errand = Errand {
            programs: &order.programs,
            to: SocketAddr::new(self.topology.dialled(family), port),
            protection,
            mode,
            operation,
            local: &local,
            remote: &remote,
            authority: &self.paper.authority,
            login: order.server.login,
            patience: order.patience,
        };
        let (exit, out, err) = self.run(number, &errand)?;
        let arrived = match operation {
            Operation::List => exit == Some(0) && contains(&out, FILE.as_bytes()),
            Operation::Retr => exit == Some(0) && self.is_whole(&local),
            Operation::Stor => exit == Some(0) && self.is_whole(&self.root.join(&stored)),
        };
        let (out, err) = (lines(&out), lines(&err));
        let said = Said { exit, out: &out, err: &err };
        if arrived {
            return Ok(Outcome::Works((order.client.used)(&said)));
        }
        if exit == Some(0) {
            let said = "the client reports success, but the bytes are not those that were sent";
            return Ok(Outcome::Fails { reason: "length-short".into(), said: said.into() });
        }
        Ok(Outcome::Fails { reason: order.client.reason(&said), said: last_words(&said) })
    }

    /// Runs a client to its end, or to the end of patience. Gives its exit code and what it said.
    fn run(
        &self,
        number: usize,
        errand: &Errand<'_>,
    ) -> io::Result<(Option<i32>, Vec<u8>, Vec<u8>)> {
        let file = |what: &str| self.work.path().join(format!("said-{number}.{what}"));
        let mut command = self.order.client.command(errand)?;
        command
            .stdin(Stdio::null())
            .stdout(File::create(file("out"))?)
            .stderr(File::create(file("err"))?)
            .env("HOME", self.work.path())
            .env("XDG_STATE_HOME", self.work.path())
            .env("XDG_CACHE_HOME", self.work.path());
        let mut process = self.network.client()?.spawn(&mut command)?;
        let ended = process.wait(self.order.patience.saturating_mul(4))?;
        drop(process);
        let exit = ended.and_then(|status| status.code());
        Ok((exit, fs::read(file("out"))?, fs::read(file("err"))?))
    }

    fn is_whole(&self, path: &Path) -> bool {
        fs::read(path).is_ok_and(|bytes| bytes == self.content)
    }
}

/// Bytes without a pattern that a shifted or shortened file would hide in.
fn mix(sum: u8, byte: &u8) -> u8 {
    sum.wrapping_mul(167).wrapping_add(*byte)
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// Text of many lines, each made safe to show.
fn lines(text: &[u8]) -> String {
    let lines: Vec<String> =
        text.split(|byte| *byte == b'\n').map(|line| escape(line.trim_ascii_end())).collect();
    lines.join("\n")
}

/// What a person is shown of it: the last line that is not empty.
fn last_words(said: &Said<'_>) -> String {
    let told =
        |text: &str| text.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned);
    let (err, out) = (said.err, said.out);
    let before = err.rsplit_once("reason: ").map_or(err, |(before, _)| before);
    told(before).or_else(|| told(out)).unwrap_or_else(|| "nothing".to_owned())
}
