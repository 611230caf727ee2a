//! A plan made real: each host a network namespace without a name, and everything in it gone with the
//! value, or with the process, however that ends.
//!
//! It needs root, and the programs `ip` and `nft`. Nothing of the machine's own network is touched:
//! two networks of the same name can stand side by side.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use twoport_proto::text::escape;
use twoport_sys::namespace;

use crate::address::Family;
use crate::daemon::start;
use crate::plan::{Host, Link, Plan};
use crate::play::Programs;
use crate::process::Process;
use crate::scratch::Scratch;
use crate::topology::Topology;

/// A network that stands.
#[derive(Debug)]
pub struct Network {
    /// What it was built from.
    pub topology: Topology,
    nodes: Vec<Node>,
    /// What runs in its boxes.
    daemons: Vec<Process>,
    /// Their files.
    scratch: Option<Scratch>,
}

/// A host or a box in it.
#[derive(Clone, Debug)]
pub struct Node {
    name: &'static str,
    space: Arc<namespace::Network>,
    processes: Arc<namespace::Processes>,
    addresses: Vec<IpAddr>,
}

/// Why no network can be built on this machine, or `None` where it can: for tests, which then say
/// `skipped: ...`.
#[must_use]
pub fn missing() -> Option<String> {
    if let Err(error) = namespace::Network::new() {
        return Some(format!("network namespaces need root: {error}"));
    }
    let runs = |program: &&str| {
        let mut command = Command::new(program);
        command.arg("-V").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let absent = ["ip", "nft"].into_iter().find(|program| !runs(program))?;
    Some(format!("the program {absent} is not there: apt-get install iproute2 nftables"))
}

impl Network {
    /// Builds a network. The programs that some boxes need are looked for as [`Programs::new`] says.
    ///
    /// # Errors
    /// What failed, with the words of the program that failed; `NotFound` for a program that is not
    /// there.
    pub fn build(topology: Topology) -> io::Result<Self> {
        Self::build_with(topology, &Programs::new("twoport".into()))
    }

    /// Builds a network, with the programs of its boxes where `programs` says.
    ///
    /// # Errors
    /// As of [`Network::build`].
    pub fn build_with(topology: Topology, programs: &Programs) -> io::Result<Self> {
        let plan = Plan::of(&topology);
        let processes = Arc::new(namespace::Processes::new()?);
        let nodes: io::Result<Vec<Node>> =
            plan.hosts.iter().map(|host| Node::new(host, &processes)).collect();
        let mut network = Self { topology, nodes: nodes?, daemons: Vec::new(), scratch: None };
        network.connect(&plan.links)?;
        for (node, host) in network.nodes.iter().zip(&plan.hosts) {
            node.set_up(host)?;
        }
        for host in &plan.hosts {
            let Some(daemon) = host.daemon else { continue };
            let scratch = Scratch::new()?;
            let running = start(daemon, network.node(host.name)?, programs, scratch.path())?;
            network.daemons.push(running);
            network.scratch = Some(scratch);
        }
        Ok(network)
    }

    /// Lays the cables, all in one run of `ip`.
    fn connect(&self, links: &[Link]) -> io::Result<()> {
        let mut lines = String::new();
        for Link { ends: [(one, its), (other, others)] } in links {
            let (one, other) = (self.node(one)?.path(), self.node(other)?.path());
            let _infallible = writeln!(
                lines,
                "link add name {its} netns {one} type veth peer name {others} netns {other}"
            );
        }
        let first = self.nodes.first().ok_or(io::ErrorKind::NotFound)?;
        first.feed(Command::new("ip").args(["-batch", "-"]), &lines)
    }

    /// A node by its name: `client`, `client-box`, `carrier`, `public`, `server-box`, `server`.
    ///
    /// # Errors
    /// There is none of that name; the message names those that there are.
    pub fn node(&self, name: &str) -> io::Result<&Node> {
        self.nodes.iter().find(|node| node.name == name).ok_or_else(|| {
            let names: Vec<_> = self.nodes.iter().map(|node| node.name).collect();
            let text = format!("{}: no node {name}; there are {}", self.topology, names.join(", "));
            io::Error::new(io::ErrorKind::NotFound, text)
        })
    }

    /// All nodes, from the client to the server.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Where the client is.
    ///
    /// # Errors
    /// As of [`Network::node`].
    pub fn client(&self) -> io::Result<&Node> {
        self.node("client")
    }

    /// Where the server is.
    ///
    /// # Errors
    /// As of [`Network::node`].
    pub fn server(&self) -> io::Result<&Node> {
        self.node("server")
    }
}

impl Node {
    fn new(host: &Host, processes: &Arc<namespace::Processes>) -> io::Result<Self> {
        let own = host.interfaces.iter().flat_map(|(_, addresses)| addresses);
        let space = namespace::Network::new()?;
        space.inside(|| kernel(host))??;
        Ok(Self {
            name: host.name,
            space: Arc::new(space),
            processes: Arc::clone(processes),
            addresses: own.map(|(address, _)| *address).collect(),
        })
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its own address, inside of any NAT.
    #[must_use]
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses(family).next()
    }

    /// All its own addresses, inside of any NAT.
    pub fn addresses(&self, family: Family) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied().filter(move |own| own.is_ipv6() == (family == Family::V6))
    }

    /// Starts a process there. It is killed when the value is dropped, when the network is, and when
    /// this process ends, even by SIGKILL.
    ///
    /// # Errors
    /// What the system says.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Process> {
        Ok(Process::new(self.processes.spawn(&self.space, command)?))
    }

    /// Runs a program there to its end.
    ///
    /// # Errors
    /// What the system says.
    pub fn output(&self, command: &mut Command) -> io::Result<Output> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn(command)?.output()
    }

    /// Runs code there, on a thread of its own: sockets opened by it stay there. (For a tokio socket
    /// enter the runtime inside, by `Handle::enter`.)
    ///
    /// # Errors
    /// What the system says of the entry; a panic is an error, too.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        self.space.inside(work)
    }

    /// How other processes of this machine find the namespace while this one lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.space.as_fd().as_raw_fd())
    }

    fn set_up(&self, host: &Host) -> io::Result<()> {
        self.feed(Command::new("ip").args(["-batch", "-"]), &interfaces(host))?;
        if host.rules.is_empty() {
            return Ok(());
        }
        self.feed(Command::new("nft").args(["-f", "-"]), &host.rules.concat())
    }

    /// Runs a program there that reads what to do.
    pub(crate) fn feed(&self, command: &mut Command, input: &str) -> io::Result<()> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = self.spawn(command)?;
        if let Some(mut stdin) = process.take_input() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = process.output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = escape(output.stderr.trim_ascii());
        let program = escape(command.get_program().as_encoded_bytes());
        Err(io::Error::other(format!("{}: {program}: {said}", self.name)))
    }
}

/// Settings of the kernel, before there are interfaces: they begin with what they find.
fn kernel(host: &Host) -> io::Result<()> {
    // Addresses are used at once: nobody else can have them.
    let at_once = [("ipv6/conf/all/accept_dad", "0"), ("ipv6/conf/default/accept_dad", "0")];
    for (key, value) in at_once.iter().chain(&host.kernel) {
        fs::write(format!("/proc/sys/net/{key}"), value)
            .map_err(|error| io::Error::other(format!("{}: {key}: {error}", host.name)))?;
    }
    // A switch does not look into frames; kernels that can are told not to.
    let inspects = Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables");
    if inspects.exists() { fs::write(inspects, "0") } else { Ok(()) }
}

/// What `ip` is told of a host's interfaces and routes.
fn interfaces(host: &Host) -> String {
    let mut lines = vec!["link set lo up".to_owned()];
    if !host.switch.is_empty() {
        lines.push("link add lan type bridge".to_owned());
    }
    for port in &host.switch {
        lines.push(format!("link set {port} master lan"));
        lines.push(format!("link set {port} up"));
    }
    for (name, addresses) in &host.interfaces {
        let address = |(ip, length): &(IpAddr, u8)| {
            let at_once = if ip.is_ipv6() { " nodad" } else { "" };
            format!("addr add {ip}/{length} dev {name}{at_once}")
        };
        lines.extend(addresses.iter().map(address));
        lines.push(format!("link set {name} up"));
    }
    if let Some((name, bytes)) = &host.largest {
        lines.push(format!("link set {name} mtu {bytes}"));
    }
    for (prefix, router) in &host.routes {
        lines.push(format!("route add {prefix} via {router}"));
    }
    lines.join("\n") + "\n"
}
