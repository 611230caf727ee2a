//! THE TABLE of clients: how each is told what to do, and what its last words mean.
//!
//! It runs nothing.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use twoport_proto::reason::Reason;

use super::errand::Errand;
use super::{Mode, Operation, Protection};
use crate::address::Family;

/// One row.
#[derive(Debug)]
pub struct Client {
    /// What it is called.
    pub name: &'static str,
    /// What it is: one line.
    pub about: &'static str,
    /// What it cannot do, and why.
    pub lacks: fn(Family, Protection, Mode) -> Option<&'static str>,
    command: fn(&Errand<'_>) -> io::Result<Command>,
    reason: fn(&Said<'_>) -> Option<String>,
    /// By which mode it worked, where it tells.
    pub(super) used: fn(&Said<'_>) -> Option<String>,
}

/// How a client ended, and what it said.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// The exit code, unless it was killed.
    pub exit: Option<i32>,
    /// On standard output.
    pub out: &'a str,
    /// On standard error.
    pub err: &'a str,
}

/// All clients.
pub static CLIENTS: &[Client] = &[
    Client {
        name: "twoport",
        about: "twoport get, put and ls",
        lacks: |family, _, mode| without_ipv6(family, mode),
        command: twoport,
        reason: |said| {
            let step =
                object(said).and_then(|object| match object.get("steps")?.as_array()?.as_slice() {
                    [step] => Some(step.get("reason")?.as_str()?.to_owned()),
                    _ => None,
                });
            step.or_else(|| json(said, "reason")).or_else(|| json(said, "outcome"))
        },
        used: |said| json(said, "mode"),
    },
    Client {
        name: "ftplib",
        about: "Python's ftplib in all four modes, dialling what is announced",
        lacks: |family, _, mode| match mode {
            Mode::Auto => Some("it has no mode of its own choice"),
            Mode::Punch => Some(NO_PUNCH),
            _ => without_ipv6(family, mode),
        },
        command: ftplib,
        reason: |said| {
            let told = said.err.lines().rev().find_map(|line| line.strip_prefix("reason: "));
            told.map(str::to_owned)
        },
        used: |_| None,
    },
    Client {
        name: "curl",
        about: "curl; it ignores the address of a 227",
        lacks: |family, protection, mode| match (mode, protection) {
            (Mode::Punch, _) => Some(NO_PUNCH),
            (Mode::Eprt | Mode::Port, Protection::Explicit | Protection::Implicit) => {
                Some("before 8.0.1 it cannot do active FTPS: curl/curl#10666")
            }
            _ => without_ipv6(family, mode),
        },
        command: curl,
        reason: |said| Some(curl_reason(said).to_string()),
        used: |_| None,
    },
    Client {
        name: "lftp",
        about: "lftp; it replaces a private address in a 227",
        lacks: |family, _, mode| match mode {
            Mode::Punch => Some(NO_PUNCH),
            Mode::Eprt => Some("over IPv4 it has no EPRT, over IPv6 it names no address in it"),
            _ => without_ipv6(family, mode),
        },
        command: lftp,
        reason: |said| Some(lftp_reason(said.err).to_string()),
        used: |_| None,
    },
];

impl Client {
    /// A client by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        CLIENTS.iter().find(|client| client.name == name)
    }

    /// What to run.
    pub(super) fn command(&self, errand: &Errand<'_>) -> io::Result<Command> {
        (self.command)(errand)
    }

    /// Why it failed, by a reason of twoport's, or the name of one of its exit codes.
    pub(super) fn reason(&self, said: &Said<'_>) -> String {
        let known = if said.exit.is_none() { Some(Reason::DataStalled.to_string()) } else { None };
        let told = known.or_else(|| (self.reason)(said));
        told.unwrap_or_else(|| "failed".to_owned())
    }
}

/// What only twoport does.
const NO_PUNCH: &str = "it does not punch";

fn without_ipv6(family: Family, mode: Mode) -> Option<&'static str> {
    let is_old = matches!(mode, Mode::Pasv | Mode::Port);
    (family == Family::V6 && is_old).then_some("PASV and PORT carry IPv4 addresses only")
}

/// A word of the last object that it printed.
fn json(said: &Said<'_>, key: &str) -> Option<String> {
    Some(object(said)?.get(key)?.as_str()?.to_owned())
}

fn object(said: &Said<'_>) -> Option<serde_json::Value> {
    let line = said.out.lines().rev().find(|line| line.starts_with('{'))?;
    serde_json::from_str(line).ok()
}

fn twoport(errand: &Errand<'_>) -> io::Result<Command> {
    let scheme = match errand.protection {
        Protection::Plain => "ftp",
        Protection::Explicit => "ftpes",
        Protection::Implicit => "ftps",
    };
    let (user, password) = errand.login;
    let password = password.replace('@', "%40");
    let url = format!("{scheme}://{user}:{password}@{}/{}", errand.to, errand.remote);
    let mut command = Command::new(&errand.programs.twoport);
    let verb = match errand.operation {
        Operation::List => "ls",
        Operation::Retr => "get",
        Operation::Stor => "put",
    };
    command.args([verb, "--json", "--mode", errand.mode.word()]);
    match errand.protection {
        Protection::Plain => command.args(["--tls", "off"]),
        Protection::Explicit | Protection::Implicit => command.arg("--ca").arg(errand.authority),
    };
    match errand.operation {
        Operation::List => command.arg(url),
        Operation::Retr => command.arg(url).arg(errand.local),
        Operation::Stor => command.arg(errand.local).arg(url),
    };
    Ok(command)
}

fn ftplib(errand: &Errand<'_>) -> io::Result<Command> {
    let mut command = errand.programs.client("python3")?;
    let (user, password) = errand.login;
    command
        .args(["-E", "-S", "-c", include_str!("reference.py")])
        .arg(errand.to.ip().to_string())
        .arg(errand.to.port().to_string())
        .args([errand.protection.word(), errand.mode.word(), errand.operation.word()])
        .arg(errand.local)
        .arg(errand.remote)
        .arg(errand.authority)
        .arg(errand.patience.as_secs_f64().to_string())
        .args([user, password]);
    Ok(command)
}

fn curl(errand: &Errand<'_>) -> io::Result<Command> {
    let mode: &[&str] = match errand.mode {
        Mode::Auto | Mode::Punch => &[],
        Mode::Epsv => &["--ftp-pasv"],
        Mode::Pasv => &["--disable-epsv"],
        Mode::Eprt => &["--ftp-port", "-"],
        Mode::Port => &["--ftp-port", "-", "--disable-eprt"],
    };
    let (user, password) = errand.login;
    let patience = errand.patience.as_secs().to_string();
    let mut command = errand.programs.client("curl")?;
    command.args(["-q", "-sS", "-g", "-v", "--user", &format!("{user}:{password}")]).args(mode);
    command.args(["--connect-timeout", &patience]);
    command.args(["--max-time", &errand.patience.saturating_mul(2).as_secs().to_string()]);
    let scheme = match errand.protection {
        Protection::Plain | Protection::Explicit => "ftp",
        Protection::Implicit => "ftps",
    };
    match errand.protection {
        Protection::Plain => {}
        Protection::Explicit => _ = command.arg("--ssl-reqd").arg("--cacert").arg(errand.authority),
        Protection::Implicit => _ = command.arg("--cacert").arg(errand.authority),
    }
    match errand.operation {
        Operation::List => {}
        Operation::Retr => _ = command.arg("-o").arg(errand.local),
        Operation::Stor => _ = command.arg("-T").arg(errand.local),
    }
    command.arg(errand.url(scheme));
    Ok(command)
}

/// By its exit codes (curl(1)): 28 is any time limit, 30 a failed PORT, 10 a failed accept, 12 its time
/// limit. It tries PASV after EPSV and PORT after EPRT by itself: the last one is told of.
fn curl_reason(said: &Said<'_>) -> Reason {
    let passive = said.err.contains("229 ") || said.err.contains("227 ");
    match said.exit {
        Some(30) => Reason::ForeignAddress,
        Some(10 | 12) => Reason::ActiveNotConnected,
        Some(28) if passive => Reason::PassiveSilent,
        Some(28) if said.err.contains("> PORT") || said.err.contains("> EPRT") => {
            Reason::ActiveNotConnected
        }
        Some(7) if passive => Reason::PassiveRefused,
        Some(28) => Reason::ReplyMissing,
        Some(35 | 60) => Reason::TlsFailed,
        Some(18) => Reason::LengthShort,
        Some(67) => Reason::LoginRefused,
        Some(25 | 19) if said.err.contains("< 425") => Reason::DataDialTimeout,
        _ => Reason::ControlRefused,
    }
}

fn lftp(errand: &Errand<'_>) -> io::Result<Command> {
    let mode = match errand.mode {
        Mode::Auto | Mode::Eprt | Mode::Punch => "",
        Mode::Epsv => "set ftp:prefer-epsv on; set ftp:passive-mode on;",
        Mode::Pasv => "set ftp:prefer-epsv off; set ftp:passive-mode on;",
        Mode::Port => "set ftp:passive-mode off; set ftp:auto-passive-mode off;",
    };
    let (scheme, tls) = match errand.protection {
        Protection::Plain => ("ftp", "set ftp:ssl-allow no;"),
        Protection::Explicit => (
            "ftp",
            "set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set ftp:ssl-protect-list yes;",
        ),
        Protection::Implicit => ("ftps", "set ftp:ssl-protect-data yes;"),
    };
    let local = errand.local.display();
    let remote = errand.remote;
    let action = match errand.operation {
        Operation::List => format!("ls {remote}"),
        Operation::Retr => format!("get {remote} -o {local}"),
        Operation::Stor => format!("put {local} -o {remote}"),
    };
    let (user, password) = errand.login;
    let script = format!(
        "set cmd:fail-exit yes; set net:max-retries 1; set net:timeout {}; set xfer:clobber on; \
         set ssl:ca-file {}; {tls} {mode} open -u {user},{password} {scheme}://{}:{}; {action}",
        errand.patience.as_secs(),
        errand.authority.display(),
        errand.host(),
        errand.to.port(),
    );
    let mut command = errand.programs.client("lftp")?;
    command.args(["--norc", "-d", "-c"]).arg(OsString::from(script));
    Ok(command)
}

/// By its debug lines.
fn lftp_reason(err: &str) -> Reason {
    let said = |text: &str| err.contains(text);
    if said("---> PORT") || said("---> EPRT") {
        return if said("<--- 500") || said("<--- 501") {
            Reason::ForeignAddress
        } else if said("<--- 425") {
            Reason::DataDialTimeout
        } else {
            Reason::ActiveNotConnected
        };
    }
    match () {
        () if said("Certificate verification") || said("gnutls") => Reason::TlsFailed,
        () if said("Data connection timed out") => Reason::PassiveSilent,
        () if said("<--- 227") || said("<--- 229") => {
            if said("refused") {
                Reason::PassiveRefused
            } else {
                Reason::PassiveSilent
            }
        }
        () if said("Login failed") => Reason::LoginRefused,
        () => Reason::ReplyMissing,
    }
}
