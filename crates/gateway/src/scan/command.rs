//! A program as a scanner: it reads the upload at its standard input, and its exit status is the
//! verdict.
//!
//! No shell is involved, and nothing that a client has said is an argument.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use twoport_proto::text::escape;

use super::About;
use super::spool::Held;

/// How much of what a program writes is kept. Origin: the first line counts, and names are short.
const KEPT: usize = 512;

/// A program, and how it is called.
#[derive(Debug)]
pub struct CommandScanner {
    pub(super) program: PathBuf,
    arguments: Vec<String>,
}

/// A process and its children; they are killed when this is dropped before the process has ended.
struct Group {
    child: Child,
    is_over: bool,
}

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.child.id().filter(|_| !self.is_over);
        let id = id.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = id {
            // It may have ended just now.
            let _: Result<(), _> = kill_process_group(group, Signal::KILL);
        }
    }
}

impl CommandScanner {
    /// Calls `program` with `arguments`. Exit status 0: nothing was found; 1: something was, and the
    /// first line on standard output is its name; any other is no answer.
    #[must_use]
    pub const fn new(program: PathBuf, arguments: Vec<String>) -> Self {
        Self { program, arguments }
    }

    /// Whether it is a program.
    ///
    /// # Errors
    /// What the system says, or that it may not be executed.
    pub fn examine(&self) -> io::Result<()> {
        let facts = std::fs::metadata(&self.program)?;
        if facts.is_file() && facts.permissions().mode() & 0o111 != 0 {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is no program"))
    }

    /// The name of what was found.
    pub(super) async fn scan(&self, held: &Held, about: &About) -> io::Result<Option<Vec<u8>>> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("TWOPORT_NAME", escape(&about.subject.name))
            .env("TWOPORT_USER", escape(&about.subject.user))
            .env("TWOPORT_VERB", about.subject.verb)
            .env("TWOPORT_CLIENT", about.client.to_string())
            .env("TWOPORT_SERVER", about.server.to_string())
            .env("TWOPORT_SIZE", held.length.to_string())
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::from(held.reopen()?))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut group = Group { child: command.spawn()?, is_over: false };
        let (out, err) = (group.child.stdout.take(), group.child.stderr.take());
        let (out, err, status) = tokio::join!(first(out), first(err), group.child.wait());
        let status: ExitStatus = status?;
        group.is_over = true;
        match status.code() {
            Some(0) => Ok(None),
            Some(1) => {
                let line = line(&out);
                Ok(Some(if line.is_empty() { b"no name".to_vec() } else { line }))
            }
            _ => {
                let said = if err.is_empty() { out } else { err };
                Err(io::Error::other(format!("{status}: {}", escape(&line(&said)))))
            }
        }
    }
}

/// The beginning of what a program writes; all of it is read, so that it is not kept from its end.
async fn first(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut from) = from else { return kept };
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        let room = KEPT.saturating_sub(kept.len());
        kept.extend(chunk.iter().take(read.min(room)));
    }
    kept
}

/// The first line that says something.
fn line(text: &[u8]) -> Vec<u8> {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.find(|line| !line.is_empty()).unwrap_or_default().to_vec()
}
