//! Where the programs are that play: twoport itself, and servers and clients of others.
//!
//! It installs nothing: `tests/peers/install` and `tests/clients/install` do, and what the system has
//! is used, too.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The program `twoport`.
    pub twoport: PathBuf,
    /// Where servers were unpacked: a directory each.
    pub peers: Option<PathBuf>,
    /// Where clients were: `bin` has them all.
    pub clients: Option<PathBuf>,
}

impl Programs {
    /// With the unpacked ones where the environment says: `TWOPORT_PEERS` and `TWOPORT_CLIENTS`.
    #[must_use]
    pub fn new(twoport: PathBuf) -> Self {
        let place = |name| env::var_os(name).map(PathBuf::from);
        Self { twoport, peers: place("TWOPORT_PEERS"), clients: place("TWOPORT_CLIENTS") }
    }

    /// A command that runs a client: the unpacked one, else the system's.
    ///
    /// # Errors
    /// It is not there.
    pub fn client(&self, name: &str) -> io::Result<Command> {
        let unpacked = self.clients.iter().map(|place| place.join("bin"));
        Ok(Command::new(first(unpacked, name)?))
    }

    /// A command that runs a program of a peer, with the libraries that were unpacked beside it.
    ///
    /// # Errors
    /// It is not there.
    pub fn peer(&self, peer: &str, name: &str) -> io::Result<Command> {
        let place = self.peers.as_ref().map(|peers| peers.join(peer));
        let unpacked = place
            .iter()
            .flat_map(|place| ["usr/sbin", "usr/bin", "bin"].map(|folder| place.join(folder)));
        let program = first(unpacked, name)?;
        let mut command = Command::new(&program);
        if let Some(place) = place.filter(|place| program.starts_with(place)) {
            command.env("LD_LIBRARY_PATH", libraries(&place));
        }
        Ok(command)
    }
}

/// A program: in one of the folders, on the path of the user, or where servers are on Debian.
fn first(folders: impl Iterator<Item = PathBuf>, name: &str) -> io::Result<PathBuf> {
    let system = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let mut all = folders.chain(env::split_paths(&system)).chain(usual);
    all.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file())).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("the program {name} is not there"))
    })
}

/// The folders of an unpacked peer that hold shared libraries.
fn libraries(place: &Path) -> String {
    let mut found = Vec::new();
    for folder in ["usr/lib", "lib"] {
        let folder = place.join(folder);
        let inside = fs::read_dir(&folder).into_iter().flatten().flatten();
        let paths = inside.map(|entry| entry.path());
        found.extend(paths.filter(|path| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(b"-linux-gnu"))
        }));
        found.push(folder);
    }
    let paths: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
    paths.join(":")
}
