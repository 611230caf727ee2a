//! Servers of others, started for a test and ended with it.
//!
//! It installs nothing: `tests/peers/install` does. What is not there is said aloud and skipped.

pub(super) mod launch;
pub mod paper;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use twoport_proto::path::FtpPath;

use self::paper::Paper;

/// The servers that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// vsftpd, the default of many distributions.
    Vsftpd,
    /// Pure-FTPd.
    PureFtpd,
    /// ProFTPD.
    Proftpd,
    /// pyftpdlib, a library of Python.
    Pyftpdlib,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Vsftpd, Self::PureFtpd, Self::Proftpd, Self::Pyftpdlib];

    /// The name, which is also that of its folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vsftpd => "vsftpd",
            Self::PureFtpd => "pure-ftpd",
            Self::Proftpd => "proftpd",
            Self::Pyftpdlib => "pyftpdlib",
        }
    }
}

/// Whether a server has TLS. Those that can want sessions resumed, and ends of data told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// No TLS.
    Clear,
    /// AUTH TLS is required before the login, and PROT P where the server can require it.
    Explicit,
    /// The same, with a client certificate: vsftpd only.
    Mutual,
    /// TLS from the first byte: vsftpd only.
    Implicit,
}

/// A running server. It is killed when dropped, and its files are removed.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who may log in, and write.
    pub user: &'static str,
    /// The password.
    pub password: &'static str,
    /// What stands before a path that may be written to.
    directory: &'static str,
    /// The certificates, where it has TLS.
    pub paper: Option<Paper>,
    security: Security,
    child: Child,
    work: TempDir,
}

impl Server {
    /// Starts a server on a free port of `host`.
    ///
    /// # Errors
    /// Why it cannot be started: it is not installed, or it needs root.
    pub fn start(kind: Kind, host: IpAddr) -> io::Result<Self> {
        Self::start_with(kind, host, Security::Clear)
    }

    /// Starts a server on a free port of `host`, with TLS or without.
    ///
    /// # Errors
    /// Why it cannot be started: it is not installed, or it needs root.
    pub fn start_with(kind: Kind, host: IpAddr, security: Security) -> io::Result<Self> {
        let work = TempDir::new()?;
        let root = work.path().join("root");
        fs::create_dir(&root)?;
        // The servers change to a user of no rights and enter from there.
        make_enterable(work.path())?;
        make_enterable(&root)?;
        give_away(&root)?;
        let port = TcpListener::bind((host, 0))?.local_addr()?.port();
        let names = [host.to_string()];
        let paper = match security {
            Security::Clear => None,
            Security::Explicit | Security::Mutual | Security::Implicit => {
                Some(Paper::make(work.path(), names)?)
            }
        };
        let tls = paper.as_ref().map(|paper| (paper, security));
        let place = launch::Place { work: work.path(), root: &root, host, port, tls };
        let launch = launch::of(kind, &place)?;
        let child = Command::new(&launch.program)
            .args(&launch.arguments)
            .env("LD_LIBRARY_PATH", &launch.libraries)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(fs::File::create(work.path().join("log"))?)
            .stderr(fs::File::options().append(true).open(work.path().join("log"))?)
            .spawn()?;
        let address = (host, port).into();
        let (user, password) = launch.login;
        let directory = launch.directory;
        let mut server = Self { address, user, password, directory, paper, security, child, work };
        server.await_ready()?;
        Ok(server)
    }

    /// The remote path of a name in [`root`](Self::root).
    #[must_use]
    pub fn path(&self, name: &str) -> FtpPath {
        format!("{}{name}", self.directory).as_bytes().into()
    }

    /// The directory that may be read and written.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.work.path().join("root")
    }

    /// The beginning of URLs: `ftp://user:password@host:port/`, or what asks for its TLS.
    #[must_use]
    pub fn url(&self) -> String {
        let user = self.user;
        let scheme = match self.security {
            Security::Clear => "ftp",
            Security::Explicit | Security::Mutual => "ftpes",
            Security::Implicit => "ftps",
        };
        format!("{scheme}://{user}:{}@{}/", self.password, self.address)
    }

    /// Puts a file below the root, so that the server may read and replace it.
    ///
    /// # Errors
    /// What the system says.
    pub fn add(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let path = self.root().join(path);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
            let mut below = directory.ancestors().take_while(|above| **above != self.root());
            below.try_for_each(give_away)?;
        }
        fs::write(&path, content)?;
        give_away(&path)
    }

    /// Waits until it greets; what it logged stands in the error if it does not.
    fn await_ready(&mut self) -> io::Result<()> {
        const TRIES: u32 = 100;
        const PAUSE: Duration = Duration::from_millis(100);
        for _ in 0..TRIES {
            if self.security == Security::Implicit && listens(self.address) || greets(self.address)
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(&format!("it ended with {status}")));
            }
            pause(PAUSE);
        }
        Err(self.failed("it does not greet"))
    }

    fn failed(&self, why: &str) -> io::Error {
        let mut text = why.to_owned();
        if let Ok(log) = fs::read_to_string(self.work.path().join("log")) {
            let written = write!(text, ": {}", log.trim());
            debug_assert!(written.is_ok(), "a string takes every character");
        }
        io::Error::other(text)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The whole group: a session whose master is gone may wait for a client for minutes.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _gone_already = kill_process_group(group, Signal::KILL);
        }
        let _reaped = (self.child.kill(), self.child.wait());
    }
}

/// Starts a server, or says aloud why the test is skipped.
///
/// # Panics
/// A server that is there and does not start is a failure, no reason to skip.
#[must_use]
pub fn start_or_skip(kind: Kind, host: IpAddr) -> Option<Server> {
    start_with_or_skip(kind, host, Security::Clear)
}

/// The same, with TLS or without.
///
/// # Panics
/// A server that is there and does not start is a failure, no reason to skip.
#[must_use]
#[expect(clippy::panic, reason = "called by tests: it fails them")]
pub fn start_with_or_skip(kind: Kind, host: IpAddr, security: Security) -> Option<Server> {
    match Server::start_with(kind, host, security) {
        Ok(server) => Some(server),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => {
                eprintln!("skipped: {} is not installed; run tests/peers/install", kind.name());
                None
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::AddrNotAvailable => {
                eprintln!("skipped: {} on {host}: {error}", kind.name());
                None
            }
            _ => panic!("{} on {host}: {error}", kind.name()),
        },
    }
}

/// Where `tests/peers/install` puts things.
pub(crate) fn peers() -> PathBuf {
    std::env::var_os("TWOPORT_PEERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers"),
        PathBuf::from,
    )
}

/// A greeting under TLS is not read here.
fn listens(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
}

fn greets(address: SocketAddr) -> bool {
    const PATIENCE: Duration = Duration::from_secs(2);
    let Ok(mut socket) = TcpStream::connect_timeout(&address, PATIENCE) else { return false };
    let mut start = [0; 3];
    socket.set_read_timeout(Some(PATIENCE)).is_ok()
        && socket.read_exact(&mut start).is_ok()
        && start == *b"220"
}

#[expect(clippy::disallowed_methods, reason = "a test waits for a process, on no runtime's thread")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn make_enterable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// To the user that the servers run their sessions as, where that can be done.
fn give_away(path: &Path) -> io::Result<()> {
    if launch::is_root() {
        let daemon = Some(launch::DAEMON);
        std::os::unix::fs::chown(path, daemon, daemon)?;
    }
    Ok(())
}
