//! A directory for files, removed with the value or with the process, however that ends.
//!
//! What is in it is its owner's business.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The directory.
#[derive(Debug)]
pub(crate) struct Scratch {
    directory: TempDir,
    /// Reads from a pipe whose other end is held here only, and removes the directory when the kernel
    /// closes it: for a run that is killed.
    remover: Child,
}

impl Scratch {
    /// An empty one, that every user may enter.
    pub(crate) fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("twoport-lab-").tempdir()?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let remover = Command::new("sh")
            .args(["-c", "cat; rm -rf -- \"$1\"", "sh"])
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C goes to the group of the run.
            .process_group(0)
            .spawn()?;
        Ok(Self { directory, remover })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        // An error means that it has been waited for.
        let _removed = self.remover.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_when_its_end_of_the_pipe_closes() {
        let mut scratch = Scratch::new().unwrap();
        fs::write(scratch.path().join("file"), "text").unwrap();
        // As after SIGKILL: nothing of ours runs any more.
        drop(scratch.remover.stdin.take());
        scratch.remover.wait().unwrap();
        assert!(!scratch.path().exists());
    }
}
