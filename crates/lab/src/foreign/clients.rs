//! Foreign FTP clients, each run as a process per operation against `twoport serve`.
//!
//! It decides nothing about what is right: [`cases`] has the operations and what must come of them.

pub mod cases;
pub mod files;
mod libraries;
pub mod openssl;
pub mod plain;
mod programs;
pub mod served;

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use twoport_proto::text::Escaped;

/// The exit code with which a driver says that its library cannot do something.
const UNSUPPORTED: i32 = 64;
/// The longest that one operation may take, in seconds. Origin: 10 MiB over loopback take one; 200
/// transfers in one session take curl four minutes, since it sleeps a second before each connection
/// whose port it learned at once (7.88).
const PATIENCE: &str = "600";

/// A foreign client: its name, which is also that of its program in `target/clients/bin`, and how
/// it is told what to do.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// As `tests/clients/install` spells it.
    pub name: &'static str,
    speak: Speak,
    /// Whether a text download arrives with the local end of lines; the others leave CRLF.
    converts: bool,
    /// Whether it is told here how to use TLS.
    secures: bool,
}

type Speak = fn(&Site<'_>, &str, &[&str]) -> Option<Run>;

/// All clients that the tests know.
pub const CLIENTS: [Client; 12] = [
    Client { name: "curl", speak: programs::curl, converts: true, secures: true },
    Client { name: "lftp", speak: programs::lftp, converts: true, secures: true },
    Client { name: "tnftp", speak: programs::tnftp, converts: true, secures: false },
    Client { name: "wget", speak: programs::wget, converts: false, secures: false },
    Client { name: "rclone", speak: programs::rclone, converts: false, secures: true },
    Client { name: "busybox", speak: programs::busybox, converts: false, secures: false },
    Client { name: "ftplib", speak: libraries::ftplib, converts: true, secures: true },
    Client { name: "aioftp", speak: libraries::aioftp, converts: false, secures: false },
    Client { name: "basic-ftp", speak: libraries::basic_ftp, converts: false, secures: true },
    Client { name: "net-ftp", speak: libraries::net_ftp, converts: true, secures: false },
    Client { name: "commons-net", speak: libraries::commons_net, converts: true, secures: true },
    Client { name: "jlaffaye", speak: libraries::jlaffaye, converts: false, secures: false },
];

/// How the data connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As the client does without being told.
    Default,
    /// Passive, by EPSV.
    Epsv,
    /// Passive, by PASV.
    Pasv,
    /// Active, by EPRT.
    Eprt,
    /// Active, by PORT.
    Port,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Default, Self::Epsv, Self::Pasv, Self::Eprt, Self::Port];

    /// The word that drivers take.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Epsv => "epsv",
            Self::Pasv => "pasv",
            Self::Eprt => "eprt",
            Self::Port => "port",
        }
    }
}

/// Where a client goes, and as whom.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The server's control port.
    pub address: SocketAddr,
    /// The account.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
    /// How data connections are made.
    pub mode: Mode,
    /// How TLS is used; in clear without it.
    pub tls: Option<Security<'a>>,
}

/// How a client uses TLS: always on data connections, too.
#[derive(Clone, Copy, Debug)]
pub struct Security<'a> {
    /// From the first byte, or by AUTH TLS.
    pub implicit: bool,
    /// The only version that it may speak: `1.2` or `1.3`.
    pub version: &'static str,
    /// The authority whose certificates it believes.
    pub authority: &'a str,
    /// The files of its certificate and key, where it shows one.
    pub certificate: Option<(&'a str, &'a str)>,
}

impl Site<'_> {
    fn host(&self) -> String {
        self.address.ip().to_string()
    }

    fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// The host as it stands in a URL.
    fn authority(&self) -> String {
        self.address.to_string()
    }

    const fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }
}

/// One run of a client.
#[derive(Debug)]
pub struct Run {
    program: &'static str,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
    stdin: Vec<u8>,
    /// Whether failures show in what it prints, as reply codes, and not in the exit code.
    tells_in_replies: bool,
}

impl Run {
    const fn new(program: &'static str) -> Self {
        Self {
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            stdin: Vec::new(),
            tells_in_replies: false,
        }
    }

    fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }
}

/// What came of an operation.
#[derive(Debug)]
pub enum Outcome {
    /// The client says that it worked; what it wrote to its standard output.
    Done(Vec<u8>),
    /// The client says that it failed; all that it wrote.
    Failed(String),
    /// The client has no way to do this.
    Unsupported,
}

impl Client {
    /// The client with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        CLIENTS.into_iter().find(|client| client.name == name)
    }

    /// Its program, or `None` where it is not installed.
    #[must_use]
    pub fn program(self) -> Option<PathBuf> {
        Some(directory()?.join("bin").join(self.name)).filter(|program| program.exists())
    }

    /// Does one operation. The words of operations and their arguments are those of the drivers:
    /// see `tests/clients/README.md`.
    ///
    /// # Errors
    ///
    /// The client cannot be started.
    pub fn run(self, site: &Site<'_>, operation: &str, args: &[&str]) -> Result<Outcome, String> {
        if site.tls.is_some() && !self.secures {
            return Ok(Outcome::Unsupported);
        }
        let Some(run) = (self.speak)(site, operation, args) else {
            return Ok(Outcome::Unsupported);
        };
        let program = self.program().ok_or("it is not installed")?;
        run.carry_out(&program)
    }
}

impl Run {
    fn carry_out(self, program: &Path) -> Result<Outcome, String> {
        let said = |error: std::io::Error| format!("{}: {error}", self.program);
        let mut child = Command::new("timeout")
            .arg(PATIENCE)
            .arg(program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", "/nonexistent")
            .env_remove("http_proxy")
            .env_remove("ftp_proxy")
            .env_remove("all_proxy")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(said)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A client that ends early does not read it all.
            let _early = stdin.write_all(&self.stdin);
        }
        let output = child.wait_with_output().map_err(said)?;
        let told = || {
            let (out, err) = (Escaped(&output.stdout), Escaped(&output.stderr));
            format!("{}: stdout {out} stderr {err}", output.status)
        };
        let refused = self.tells_in_replies && has_refusal(&output.stdout);
        Ok(match output.status.code() {
            Some(0) if !refused => Outcome::Done(output.stdout),
            Some(UNSUPPORTED) => Outcome::Unsupported,
            _ => Outcome::Failed(told()),
        })
    }
}

/// Whether one of the lines is a reply with a code of 400 or above.
fn has_refusal(lines: &[u8]) -> bool {
    lines.split(|&byte| byte == b'\n').any(|line| {
        matches!(line, [b'4' | b'5', tens, ones, b' ', ..] if tens.is_ascii_digit() && ones.is_ascii_digit())
            || line.starts_with(b"Not connected")
    })
}

/// Where `tests/clients/install` put the clients: `$TWOPORT_CLIENTS`, or `clients` in the target
/// directory.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    match std::env::var_os("TWOPORT_CLIENTS") {
        Some(directory) => Some(directory.into()),
        None => Some(repository()?.join("target").join("clients")),
    }
}

/// The root of the repository.
#[must_use]
pub fn repository() -> Option<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_owned)
}

/// Says aloud, past the capture of the test harness, that a client is not there.
pub fn skipped(name: &str) {
    say(&format!("skipped: {name} is not installed; run tests/clients/install"));
}

/// Writes a line to standard error, past the capture of the test harness.
pub fn say(line: &str) {
    // Nobody is left to be told where standard error is closed.
    let _closed = writeln!(std::io::stderr().lock(), "{line}");
}
