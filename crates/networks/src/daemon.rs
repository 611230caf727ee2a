//! The programs that some boxes need: a router that maps ports, a translator, a load balancer.
//!
//! What is open beside them is said by the rules of the box.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use twoport_net::clock;
use twoport_proto::text::escape;

use crate::address::{self, CLIENT_LAN6};
use crate::network::Node;
use crate::plan::Daemon;
use crate::play::Programs;
use crate::process::Process;

/// How long one may take until it is ready. Origin: each starts in tens of milliseconds.
const START: Duration = Duration::from_secs(10);

/// Starts one in its node, with its files in `work`, and waits until it is ready.
pub(crate) fn start(
    daemon: Daemon,
    node: &Node,
    programs: &Programs,
    work: &Path,
) -> io::Result<Process> {
    let (mut command, ready) = match daemon {
        Daemon::Mapper(inside) => mapper(inside, programs, work)?,
        Daemon::Nat64 => translator(node, programs, work)?,
        Daemon::Balancer { proxy, servers } => balancer(proxy, servers, programs, work)?,
    };
    let log = File::create(work.join("log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut process = node.spawn(&mut command)?;
    let start = clock::now();
    loop {
        let is_ready = match ready {
            Ready::Says(words) => {
                let log = fs::read(work.join("log"))?;
                log.windows(words.len()).any(|window| window == words.as_bytes())
            }
            Ready::Carries(interface) => {
                let told = node.output(Command::new("ip").args(["link", "show", interface]))?;
                told.stdout.windows(8).any(|window| window == b"LOWER_UP")
            }
            Ready::Listens(port) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                node.inside(|| TcpStream::connect(address))?.is_ok()
            }
        };
        if is_ready {
            return Ok(process);
        }
        let ended = process.wait(Duration::from_millis(20))?.is_some();
        if ended || clock::now().since(start) > START {
            let log = fs::read(work.join("log"))?;
            let program = escape(command.get_program().as_encoded_bytes());
            return Err(io::Error::other(format!("{program}: {}", escape(log.trim_ascii()))));
        }
    }
}

/// Where haproxy is asked whether it runs.
const READY: u16 = 1;

/// How it is known that a program is ready.
enum Ready {
    /// It writes these words.
    Says(&'static str),
    /// It has taken an interface.
    Carries(&'static str),
    /// It listens on a port.
    Listens(u16),
}

/// miniupnpd, for whoever asks from inside, for itself only.
fn mapper(inside: &str, programs: &Programs, work: &Path) -> io::Result<(Command, Ready)> {
    let text = format!(
        "ext_ifname=wan\nlistening_ip=lan\nenable_natpmp=yes\nenable_upnp=yes\nsecure_mode=yes\n\
         min_lifetime=10\nmax_lifetime=86400\nuuid=8a5f3c1e-0001-4d2b-9a4e-2f1f6c9d1a01\n\
         upnp_table_name=box\nupnp_nat_table_name=box\nupnp_forward_chain=miniupnpd\n\
         upnp_nat_chain=prerouting_miniupnpd\nupnp_nat_postrouting_chain=postrouting_miniupnpd\n\
         allow 1024-65535 {inside} 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n"
    );
    let file = work.join("miniupnpd.conf");
    fs::write(&file, text)?;
    let mut command = off_the_console(&programs.peer("miniupnpd", "miniupnpd")?);
    command.arg("-d").arg("-f").arg(file).arg("-P").arg(work.join("pid"));
    Ok((command, Ready::Says("Listening for NAT-PMP/PCP traffic")))
}

/// Where there is no syslog, the C library writes what is for it to the console, too, and a serial one
/// takes 20 ms a line: long enough for clients to give the router up.
fn off_the_console(command: &Command) -> Command {
    let quiet = "mount --bind /dev/null /dev/console 2>/dev/null; exec \"$0\" \"$@\"";
    let mut apart = Command::new("unshare");
    apart.args(["--mount", "sh", "-c", quiet]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => apart.env(name, value),
            None => apart.env_remove(name),
        };
    }
    apart
}

/// tayga gives each client an IPv4 address of its own, which the NAT of the box then hides.
fn translator(node: &Node, programs: &Programs, work: &Path) -> io::Result<(Command, Ready)> {
    let file = work.join("tayga.conf");
    let own = CLIENT_LAN6.0.to_string().replace("::1", "::64");
    let text = format!(
        "tun-device nat64\nipv4-addr 192.168.255.1\nipv6-addr {own}\nprefix {}/96\n\
         dynamic-pool 192.168.255.0/24\ndata-dir {}\n",
        address::NAT64,
        work.display()
    );
    fs::write(&file, text)?;
    let tayga = || {
        let mut command = programs.peer("tayga", "tayga")?;
        command.arg("-c").arg(&file);
        Ok::<_, io::Error>(command)
    };
    let made = node.output(tayga()?.arg("--mktun"))?;
    if !made.status.success() {
        let said = escape(made.stderr.trim_ascii());
        return Err(io::Error::other(format!("tayga --mktun: {said}")));
    }
    let lines = format!(
        "link set nat64 up\nroute add 192.168.255.0/24 dev nat64\nroute add {}/96 dev nat64\n",
        address::NAT64
    );
    node.feed(Command::new("ip").args(["-batch", "-"]), &lines)?;
    let mut command = tayga()?;
    command.arg("-d");
    Ok((command, Ready::Carries("nat64")))
}

/// haproxy passes each port on to the same port of a server: of the same one for all connections of a
/// client.
fn balancer(
    proxy: bool,
    servers: &[Ipv4Addr],
    programs: &Programs,
    work: &Path,
) -> io::Result<(Command, Ready)> {
    let mut text = "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n \
                    timeout server 60s\nlisten ftp\n balance source\n"
        .to_owned();
    for ports in ["21", "990", "2121", "50000-50099"] {
        let _infallible = writeln!(text, " bind 0.0.0.0:{ports}");
    }
    let header = if proxy { " send-proxy-v2" } else { "" };
    for server in servers {
        let _infallible = writeln!(text, " server {server} {server}{header}");
    }
    // Asking at a port of its own does not make a connection to the server.
    let _infallible = writeln!(text, "listen ready\n bind 127.0.0.1:{READY}");
    let file = work.join("haproxy.cfg");
    fs::write(&file, text)?;
    let mut command = programs.peer("haproxy", "haproxy")?;
    command.arg("-db").arg("-f").arg(file);
    Ok((command, Ready::Listens(READY)))
}
