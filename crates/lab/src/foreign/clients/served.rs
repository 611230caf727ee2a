//! `twoport serve` and `twoport gateway` as processes of their own, for foreign clients and for those who
//! kill them.
//!
//! It is the program that users run; servers inside the test's process are the player's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use twoport_proto::text::Escaped;

/// A running server; it is killed when this is dropped.
#[derive(Debug)]
pub struct Served {
    child: Child,
    addresses: Vec<SocketAddr>,
    log: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Served {
    /// Serves `root` with these further arguments, on free ports of both families unless they say
    /// `--listen`. It accepts connections when this returns.
    ///
    /// # Errors
    ///
    /// The program cannot be built or started, or does not get ready.
    pub fn start(root: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut command = Command::new(program()?);
        command.arg("serve").arg(root).args(arguments);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
        }
        Self::ready(&mut command)
    }

    /// The same for `twoport gateway`, whose `--listen` is among the arguments or in its file.
    ///
    /// # Errors
    ///
    /// The program cannot be built or started, or does not get ready.
    pub fn gateway(arguments: &[&str]) -> Result<Self, String> {
        Self::ready(Command::new(program()?).arg("gateway").args(arguments))
    }

    fn ready(command: &mut Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("it has no standard error")?);
        let mut log = Vec::new();
        while !said(&log, b" ready") {
            match lines.read_until(b'\n', &mut log) {
                Ok(1..) => {}
                end => {
                    let _already_gone = child.kill();
                    let status = child.wait();
                    return Err(format!("not ready: {end:?} {status:?} {}", Escaped(&log)));
                }
            }
        }
        let addresses = addresses(&log);
        let log = Arc::new(Mutex::new(log));
        let shared = Arc::clone(&log);
        let reader = thread::spawn(move || {
            let mut line = Vec::new();
            while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).append(&mut line);
            }
        });
        Ok(Self { child, addresses, log, reader: Some(reader) })
    }

    /// Where it listens, in the order of the arguments.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether no session is left: it has no sockets but those it listens on and the runtime's
    /// three for signals.
    ///
    /// # Errors
    ///
    /// The system does not tell.
    pub fn is_idle(&self) -> std::io::Result<bool> {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.id()))?;
        let targets = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        let is_socket =
            |target: &PathBuf| target.as_os_str().as_encoded_bytes().starts_with(b"socket:");
        Ok(targets.filter(is_socket).count() <= self.addresses.len() + 3)
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        Escaped(&self.log.lock().unwrap_or_else(PoisonError::into_inner)).to_string()
    }

    /// Ends it as `kill -9` does, and waits until it has ended.
    pub fn kill(&mut self) {
        let _already_gone = self.child.kill();
        let _already_reaped = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _panicked = reader.join();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}

fn said(log: &[u8], word: &[u8]) -> bool {
    log.windows(word.len()).any(|window| window == word)
}

/// The addresses in the line that says `ready listen="127.0.0.1:43411 [::1]:38539"`.
fn addresses(log: &[u8]) -> Vec<SocketAddr> {
    let text = Escaped(log).to_string();
    text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\\' | '='))
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// Adds an account to a file by the program's own words; its password is `secret`.
///
/// # Errors
///
/// The program cannot be built or started, or refuses.
pub fn account(file: &Path, name: &str, more: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program()?);
    command.args(["account", "add", "--file"]).arg(file).arg(name).args(more);
    let added = command.stdin(Stdio::piped()).spawn().and_then(|mut child| {
        if let Some(mut input) = child.stdin.take() {
            input.write_all(b"secret\n")?;
        }
        child.wait()
    });
    match added.map_err(|error| error.to_string())? {
        status if status.success() => Ok(()),
        status => Err(format!("account add {name}: {status}")),
    }
}

/// The program `twoport` beside the running test, built first if it is missing or older than its
/// sources; or `$TWOPORT_PROGRAM` as it is.
///
/// # Errors
///
/// It cannot be built.
pub fn program() -> Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(find_program).clone()
}

fn find_program() -> Result<PathBuf, String> {
    if let Some(program) = std::env::var_os("TWOPORT_PROGRAM") {
        return Ok(program.into());
    }
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = test.ancestors().nth(2).ok_or("the test is in no target directory")?;
    let program = profile.join("twoport");
    let root = super::repository().ok_or("there is no repository")?;
    let built = modified(&program);
    if built.is_none() || newest(&root.join("crates")) > built {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--package", "twoport", "--bin", "twoport"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let status =
            cargo.current_dir(&root).status().map_err(|error| format!("cargo: {error}"))?;
        if !status.success() || !program.exists() {
            return Err("the program twoport cannot be built".into());
        }
    }
    Ok(program)
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// When the youngest source below `crates` that the program is made of changed.
fn newest(directory: &Path) -> Option<std::time::SystemTime> {
    let entries = std::fs::read_dir(directory).ok()?.flatten();
    entries
        .filter_map(|entry| match entry.file_type() {
            Ok(kind)
                if kind.is_dir()
                    && !["tests", "lab", "benches"]
                        .iter()
                        .any(|name| entry.file_name() == *name) =>
            {
                newest(&entry.path())
            }
            Ok(kind) if kind.is_file() => modified(&entry.path()),
            _ => None,
        })
        .max()
}
