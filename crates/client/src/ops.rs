//! Operations of one command and one reply: sizes, dates, directories, deleting, renaming.
//!
//! What moves data stands in `get`, `put` and `listing`.

use twoport_proto::client::{date_in, size_in};
use twoport_proto::code::{Class, Code};
use twoport_proto::command::Command;
use twoport_proto::path::{FtpPath, unquote};
use twoport_proto::reason::Reason;
use twoport_proto::reply::Reply;
use twoport_proto::text::escape;
use twoport_proto::time::Timestamp;

use crate::error::Error;
use crate::session::Session;

/// A name in a remote directory; the empty directory is the log-in directory.
#[must_use]
pub fn join(directory: &FtpPath, name: &[u8]) -> FtpPath {
    let mut path = directory.0.clone();
    if !path.is_empty() && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    FtpPath(path)
}

impl Session {
    /// The length of a file in TYPE I (RFC 3659 §4), or `None` if the server does not tell.
    ///
    /// # Errors
    /// The control connection failed; a refusal is `None`.
    pub async fn size(&mut self, path: &FtpPath) -> Result<Option<u64>, Error> {
        if !self.knows.size {
            return Ok(None);
        }
        let reply = self.command(&Command::Size(path.clone())).await?;
        self.knows.size = !is_unknown(&reply);
        Ok(size_in(&reply))
    }

    /// The date of a file in UTC (RFC 3659 §3), or `None` if the server does not tell.
    ///
    /// # Errors
    /// The control connection failed; a refusal is `None`.
    pub async fn modified(&mut self, path: &FtpPath) -> Result<Option<Timestamp>, Error> {
        if !self.knows.mdtm {
            return Ok(None);
        }
        let reply = self.command(&Command::Mdtm { set: None, path: path.clone() }).await?;
        self.knows.mdtm = !is_unknown(&reply);
        Ok(date_in(&reply))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// The server refused: also when it exists.
    pub async fn make_directory(&mut self, path: &FtpPath) -> Result<(), Error> {
        self.done(path, &Command::Mkd(path.clone())).await
    }

    /// Makes a directory and those above it. What exists is no error: servers answer 550 or 521
    /// to that, which they also answer to other troubles, so that only the first transfer shows.
    ///
    /// # Errors
    /// The control connection failed.
    pub async fn make_directories(&mut self, path: &FtpPath) -> Result<(), Error> {
        let ends = path.0.iter().enumerate().filter(|(at, b)| *at > 0 && **b == b'/');
        let ends: Vec<usize> = ends.map(|(at, _)| at).chain([path.0.len()]).collect();
        for end in ends {
            let above = path.0.get(..end).unwrap_or_default();
            if !above.is_empty() && !above.ends_with(b"/") {
                self.command(&Command::Mkd(FtpPath::from(above))).await?;
            }
        }
        Ok(())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// The server refused.
    pub async fn remove_directory(&mut self, path: &FtpPath) -> Result<(), Error> {
        self.done(path, &Command::Rmd(path.clone())).await
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// The server refused.
    pub async fn delete(&mut self, path: &FtpPath) -> Result<(), Error> {
        self.done(path, &Command::Dele(path.clone())).await
    }

    /// Renames or moves a file or directory.
    ///
    /// # Errors
    /// The server refused.
    pub async fn rename(&mut self, from: &FtpPath, to: &FtpPath) -> Result<(), Error> {
        let reply = self.command(&Command::Rnfr(from.clone())).await?;
        if reply.code.is_negative() {
            return Err(refused(from, reply));
        }
        self.done(to, &Command::Rnto(to.clone())).await
    }

    /// The log-in directory, if the server tells in a way that can be read.
    ///
    /// # Errors
    /// The control connection failed.
    pub async fn directory(&mut self) -> Result<Option<FtpPath>, Error> {
        let reply = self.command(&Command::Pwd).await?;
        let path = reply.lines().next().and_then(unquote).map(|path| FtpPath(path.into()));
        Ok(path.filter(|_| reply.code == Code::PATH))
    }

    /// Whether a path is a directory, by entering it and coming back. `false` where it cannot be
    /// told without losing the way back.
    pub(crate) async fn is_directory(&mut self, path: &FtpPath) -> Result<bool, Error> {
        let Some(home) = self.directory().await? else { return Ok(false) };
        let reply = self.command(&Command::Cwd(Some(path.clone()))).await?;
        if reply.code.class() != Class::Completion {
            return Ok(false);
        }
        let back = self.command(&Command::Cwd(Some(home.clone()))).await?;
        if back.code.class() != Class::Completion {
            return Err(refused(&home, back));
        }
        Ok(true)
    }

    async fn done(&mut self, path: &FtpPath, command: &Command) -> Result<(), Error> {
        let reply = self.command(command).await?;
        if reply.code.class() == Class::Completion { Ok(()) } else { Err(refused(path, reply)) }
    }
}

pub(crate) fn refused(path: &FtpPath, reply: Reply) -> Error {
    Error::why(escape(&path.0), Reason::ControlRefused, Some(reply))
}

/// Whether the server lacks the verb, rather than the file.
fn is_unknown(reply: &Reply) -> bool {
    [Code::UNKNOWN_COMMAND, Code::NOT_IMPLEMENTED].contains(&reply.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_with_one_slash() {
        for (directory, joined) in [("", "a"), ("pub", "pub/a"), ("pub/", "pub/a"), ("/", "/a")] {
            let directory = FtpPath::from(directory.as_bytes());
            assert_eq!(*join(&directory, b"a").0, *joined.as_bytes());
        }
    }
}
