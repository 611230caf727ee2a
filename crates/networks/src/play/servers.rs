//! THE TABLE of servers: how each is launched for what its side of the network lets in.
//!
//! It starts nothing. What differs from a server's own defaults is what runs it from a folder, lets one
//! user write, and tells it ports and address as its row of the table of sides has them.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use super::{Paper, Programs, Protection};
use crate::side::{Extra, Side};

/// The user and group `daemon` of Debian, as whom sessions of foreign servers run.
pub(super) const DAEMON: u32 = 1;

/// The port for TLS from the first byte.
pub(super) const IMPLICIT: u16 = 990;

const USER: &str = "ann";
const PASSWORD: &str = "twoport";

/// `twoport` in the way of crypt(3), `$1$`.
const HASH: &str = "$1$ab$Ols0EZ1j7xSgK5/zm3g7N/";

/// A load balancer's address as the server sees it.
const BALANCER: &str = "10.0.0.1/32";

/// How long vsftpd waits for data connections, in place of a minute: then the reply 425 comes in time
/// to be seen.
const PATIENCE: u32 = 5;

/// One row.
#[derive(Debug)]
pub struct Server {
    /// What it is called.
    pub name: &'static str,
    /// What it is: one line.
    pub about: &'static str,
    /// What it can do.
    pub protections: &'static [Protection],
    /// Who may log in.
    pub login: (&'static str, &'static str),
    /// Where below the log-in directory the served files are, with a slash.
    pub directory: &'static str,
    launch: fn(&Site<'_>) -> io::Result<Vec<Command>>,
}

/// Where a server is to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) programs: &'a Programs,
    /// Its own files.
    pub(super) work: &'a Path,
    /// What it serves; inside of `work`.
    pub(super) root: &'a Path,
    pub(super) side: &'a Side,
    /// The server's own addresses that are dialled, inside of any NAT.
    pub(super) addresses: &'a [IpAddr],
    pub(super) paper: &'a Paper,
}

const CLEAR_AND_EXPLICIT: &[Protection] = &[Protection::Plain, Protection::Explicit];

/// All servers.
pub static SERVERS: &[Server] = &[
    Server {
        name: "twoport",
        about: "twoport serve",
        protections: Protection::ALL,
        login: (USER, PASSWORD),
        directory: "",
        launch: twoport,
    },
    Server {
        name: "vsftpd",
        about: "vsftpd, the default of many distributions; active data from port 20",
        protections: Protection::ALL,
        login: ("anonymous", "twoport@"),
        directory: "root/",
        launch: vsftpd,
    },
    Server {
        name: "pure-ftpd",
        about: "Pure-FTPd",
        protections: CLEAR_AND_EXPLICIT,
        login: (USER, PASSWORD),
        directory: "",
        launch: pure_ftpd,
    },
    Server {
        name: "pyftpdlib",
        about: "pyftpdlib, a library of Python",
        protections: CLEAR_AND_EXPLICIT,
        login: (USER, PASSWORD),
        directory: "",
        launch: pyftpdlib,
    },
];

impl Server {
    /// A server by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SERVERS.iter().find(|server| server.name == name)
    }

    /// What to run, all of it in the foreground.
    pub(super) fn launch(&self, site: &Site<'_>) -> io::Result<Vec<Command>> {
        (self.launch)(site)
    }
}

fn twoport(site: &Site<'_>) -> io::Result<Vec<Command>> {
    let Site { side, paper, .. } = site;
    let mut command = Command::new(&site.programs.twoport);
    let (first, last) = side.passive.ports;
    command.arg("serve").arg(site.root).args(["--user", &format!("{USER}:{PASSWORD}")]);
    for any in ["0.0.0.0", "[::]"] {
        command.args(["--listen", &format!("{any}:{}", side.control)]);
        command.args(["--implicit-tls", &format!("{any}:{IMPLICIT}")]);
    }
    if side.lets_data_in() {
        command.args(["--passive-ports", &format!("{first}-{last}")]);
    } else {
        command.args(["--passive", "control-port"]);
    }
    if side.extra == Extra::Mapper {
        command.args(["--open-firewall", "pcp"]);
    }
    if let Some(address) = side.passive.address {
        command.args(["--public-address", &address.to_string()]);
    }
    if side.extra == Extra::ProxyBalancer {
        command.args(["--trusted-proxies", BALANCER]);
    }
    command.arg("--certificate").arg(&paper.certificate).arg("--key").arg(&paper.key);
    command.env("XDG_STATE_HOME", site.work);
    Ok(vec![command])
}

/// The anonymous user may write: local users would need accounts of the system. Its root may not be
/// writable, so that the files are a directory below it.
fn vsftpd(site: &Site<'_>) -> io::Result<Vec<Command>> {
    let empty = site.work.join("empty");
    fs::create_dir(&empty)?;
    let (first, last) = site.side.passive.ports;
    let address = site.side.passive.address.map(|a| format!("pasv_address={a}\n"));
    let yes = "anonymous_enable no_anon_password write_enable anon_upload_enable \
               anon_mkdir_write_enable anon_other_write_enable connect_from_port_20 ssl_enable \
               allow_anon_ssl";
    let no = "background local_enable xferlog_enable anon_world_readable_only isolate \
              isolate_network seccomp_sandbox require_ssl_reuse force_anon_logins_ssl \
              force_anon_data_ssl";
    let set = |keys: &str, value: &str| -> String {
        keys.split_ascii_whitespace().map(|key| format!("{key}={value}\n")).collect()
    };
    let text = format!(
        "anon_root={}\nftp_username=daemon\nsecure_chroot_dir={}\nanon_umask=022\n\
         pasv_min_port={first}\npasv_max_port={last}\nconnect_timeout={PATIENCE}\n\
         accept_timeout={PATIENCE}\nssl_ciphers=HIGH\nrsa_cert_file={}\nrsa_private_key_file={}\n{}{}{}",
        site.work.display(),
        empty.display(),
        site.paper.certificate.display(),
        site.paper.key.display(),
        address.unwrap_or_default(),
        set(yes, "YES"),
        set(no, "NO"),
    );
    // One process for each family: on a socket for both, it announces 0.0.0.0 for pasv_address.
    let start = |address: &IpAddr, port: u16, implicit: &str| {
        let listen = match address {
            IpAddr::V4(address) => format!("listen=YES\nlisten_address={address}\n"),
            IpAddr::V6(address) => {
                format!("listen=NO\nlisten_ipv6=YES\nlisten_address6={address}\n")
            }
        };
        let file = site.work.join(format!("vsftpd-{address}-{port}.conf"));
        fs::write(&file, format!("{text}{listen}listen_port={port}\nimplicit_ssl={implicit}\n"))?;
        let mut command = site.programs.peer("vsftpd", "vsftpd")?;
        command.arg(file);
        Ok(command)
    };
    let clear = site.addresses.iter().map(|address| start(address, site.side.control, "NO"));
    clear.chain(site.addresses.iter().map(|address| start(address, IMPLICIT, "YES"))).collect()
}

fn pure_ftpd(site: &Site<'_>) -> io::Result<Vec<Command>> {
    let users = site.work.join("users");
    let database = site.work.join("users.pdb");
    let root = site.root.display();
    fs::write(&users, format!("{USER}:{HASH}:{DAEMON}:{DAEMON}::{root}/./::::::::::::\n"))?;
    let mut maker = site.programs.peer("pure-ftpd", "pure-pw")?;
    let made = maker.arg("mkdb").arg(&database).arg("-f").arg(&users).status()?;
    if !made.success() {
        return Err(io::Error::other(format!("pure-pw ended with {made}")));
    }
    let mut command = site.programs.peer("pure-ftpd", "pure-ftpd")?;
    let (first, last) = site.side.passive.ports;
    command
        .args(["-S", &format!(",{}", site.side.control)])
        .args(["-l", &format!("puredb:{}", database.display()), "-E", "-H", "-u", "1"])
        .args(["-f", "none", "-p", &format!("{first}:{last}"), "--tls=1"])
        .arg(format!("--certfile={}", site.paper.both.display()))
        .arg("-g")
        .arg(site.work.join("pid"));
    if let Some(address) = site.side.passive.address {
        command.args(["-P", &address.to_string()]);
    }
    Ok(vec![command])
}

fn pyftpdlib(site: &Site<'_>) -> io::Result<Vec<Command>> {
    const PROGRAM: &str = "\
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler as handler
from pyftpdlib.servers import FTPServer
port, root, user, password, certificate, first, last, address = sys.argv[1:]
handler.certfile = certificate
handler.passive_ports = range(int(first), int(last) + 1)
handler.masquerade_address = address or None
handler.authorizer = DummyAuthorizer()
handler.authorizer.add_user(user, password, root, perm='elradfmwMT')
FTPServer(('::', int(port)), handler).serve_forever()
";
    let file = site.work.join("server.py");
    fs::write(&file, PROGRAM)?;
    let mut command = site.programs.peer("venv", "python")?;
    let (first, last) = site.side.passive.ports;
    command
        .arg(file)
        .arg(site.side.control.to_string())
        .arg(site.root)
        .args([USER, PASSWORD])
        .arg(&site.paper.both)
        .args([first.to_string(), last.to_string()])
        .arg(site.side.passive.address.map(|a| a.to_string()).unwrap_or_default());
    Ok(vec![command])
}
