//! Who serves: ours, made for one session, or a server of others, given the session's files.
//!
//! A foreign server has a user and a place for files of its own; lines and paths are adapted.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::address::Places;
use super::served::Served;
use crate::foreign::servers;
use crate::player::Step;
use crate::player::ledger::{self, Ledger};
use crate::script::{Captures, Script, Setup};

/// A server and its files.
pub(super) enum Host<'a> {
    Ours(Box<Ledger>, Served),
    Foreign(&'a servers::Server),
}

impl<'a> Host<'a> {
    pub(super) fn ours(script: &Script) -> Step<Self> {
        let ledger = Ledger::on_disk(script)?;
        let places = Places::new(ledger.local, ledger.peer);
        let served = Served::new(&ledger, places.local)?;
        Ok(Self::Ours(Box::new(ledger), served))
    }

    /// What an earlier session left is removed.
    pub(super) fn foreign(script: &Script, server: &'a servers::Server) -> Step<Self> {
        let root = server.root();
        let filled = clear(&root).and_then(|()| {
            script.setup().try_for_each(|item| match item {
                Setup::File(path, content) => {
                    let content = content.fill(&Captures::new()).map_err(std::io::Error::other)?;
                    let name = below(path).into_os_string().into_string();
                    let name = name.map_err(|_| std::io::Error::other("a name in no UTF-8"))?;
                    server.add(&name, &content)
                }
                _ => Ok(()),
            })
        });
        filled.map_err(|error| error.to_string())?;
        Ok(Self::Foreign(server))
    }

    pub(super) fn places(&self) -> Places {
        match self {
            Self::Ours(ledger, _) => Places::new(ledger.local, ledger.peer),
            Self::Foreign(_) => {
                Places::new(IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 7]))
            }
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Ours(_, served) => served.address,
            Self::Foreign(server) => server.address,
        }
    }

    pub(super) const fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign(_))
    }

    /// The directory of the files, where it is not the one that a login leads to.
    pub(super) fn directory(&self) -> Option<Vec<u8>> {
        match self {
            Self::Ours(..) => None,
            Self::Foreign(server) => {
                Some(server.path("").0.into_vec()).filter(|path| !path.is_empty())
            }
        }
    }

    /// USER and PASS with the names that the server knows.
    pub(super) fn login(&self, line: Vec<u8>) -> Vec<u8> {
        let Self::Foreign(server) = self else { return line };
        match line.get(..5) {
            Some(b"USER ") => format!("USER {}", server.user).into_bytes(),
            Some(b"PASS ") => format!("PASS {}", server.password).into_bytes(),
            _ => line,
        }
    }

    /// What a file holds now, if there is one.
    pub(super) fn content(&self, path: &[u8]) -> Step<Option<Vec<u8>>> {
        match self {
            Self::Ours(ledger, _) => ledger.content(&ledger::path(path)?),
            Self::Foreign(server) => match fs::read(server.root().join(below(path))) {
                Ok(content) => Ok(Some(content)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.to_string()),
            },
        }
    }

    pub(super) fn stop(&self, gracefully: bool) {
        if let Self::Ours(_, served) = self {
            served.handle.stop(gracefully);
        }
    }
}

fn below(path: &[u8]) -> PathBuf {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    Path::new(std::ffi::OsStr::from_bytes(path)).to_path_buf()
}

fn clear(root: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}
