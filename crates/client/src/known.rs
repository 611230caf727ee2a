//! Servers whose certificates were believed because they were the first: a file with a line for each.
//!
//! It decides nothing about a handshake: what is known goes into it, and what came out is remembered.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use twoport_net::clock;
use twoport_net::tls::trust::Fingerprint;

const HEADER: &str = "# Servers that twoport believed at first sight (--trust-on-first-use), and the SHA-256 of\n\
                      # their certificates. Remove a line to believe that server anew.\n";

/// A server and a port, as the file has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

/// What the file says of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) fingerprint: Fingerprint,
    /// The day, as the file has it.
    pub(crate) since: String,
}

impl Place<'_> {
    /// One word: no host that was connected to has a blank.
    fn word(self) -> String {
        let host = self.host.trim_end_matches('.').to_ascii_lowercase();
        if host.contains(':') {
            format!("[{host}]:{}", self.port)
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// What is known of a server.
///
/// # Errors
/// The file cannot be read, or a line in it is none of ours: then nobody is believed.
pub(crate) fn look_up(file: &Path, place: Place<'_>) -> io::Result<Option<Known>> {
    let text = read(file)?;
    let wanted = place.word();
    let mut found = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, known) = parse(line).ok_or_else(|| {
            let what =
                format!("line {} is not HOST:PORT SHA256 DATE; correct or remove it", number + 1);
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        if word == wanted {
            found = Some(known);
        }
    }
    Ok(found)
}

fn parse(line: &str) -> Option<(&str, Known)> {
    let mut words = line.split_whitespace();
    let (place, fingerprint, since) = (words.next()?, words.next()?, words.next()?);
    let known = Known { fingerprint: Fingerprint::parse(fingerprint)?, since: since.to_owned() };
    (place.contains(':') && words.next().is_none()).then_some((place, known))
}

/// Adds a server to the file, which is for its owner only and replaced in one step.
///
/// # Errors
/// What the system says.
pub(crate) fn remember(file: &Path, place: Place<'_>, fingerprint: Fingerprint) -> io::Result<()> {
    let directory = file.parent().filter(|path| !path.as_os_str().is_empty());
    if let Some(directory) = directory {
        fs::create_dir_all(directory)?;
    }
    // Two clients that meet new servers at the same time lose neither.
    let lock = private(&beside(file, "lock"), false)?;
    lock.lock()?;
    let mut text = read(file)?;
    if text.is_empty() {
        text.push_str(HEADER);
    } else if !text.ends_with('\n') {
        text.push('\n');
    }
    let day = clock::today().civil();
    let word = place.word();
    writeln!(text, "{word} {fingerprint} {:04}-{:02}-{:02}", day.year, day.month, day.day)
        .map_err(io::Error::other)?;
    let new = beside(file, "new");
    let mut written = private(&new, true)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    fs::rename(new, file)
}

fn read(file: &Path) -> io::Result<String> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn private(path: &Path, truncate: bool) -> io::Result<File> {
    File::options().create(true).write(true).truncate(truncate).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const fn place(host: &str) -> Place<'_> {
        Place { host, port: 21 }
    }

    #[test]
    fn what_is_remembered_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/known-hosts");
        assert_eq!(look_up(&file, place("h")).unwrap(), None, "there is no file yet");
        for (at, host) in ["h", "Other.Example.", "2001:db8::1"].into_iter().enumerate() {
            let fingerprint = Fingerprint([u8::try_from(at).unwrap(); 32]);
            remember(&file, place(host), fingerprint).unwrap();
            let known = look_up(&file, place(host)).unwrap().unwrap();
            assert_eq!((known.fingerprint, known.since.len()), (fingerprint, 10));
        }
        assert!(look_up(&file, place("other.example")).unwrap().is_some(), "names have no case");
        let elsewhere = Place { host: "h", port: 990 };
        assert_eq!(look_up(&file, elsewhere).unwrap(), None, "another port is another server");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(fs::read_to_string(&file).unwrap().contains("[2001:db8::1]:21 0202"));
    }

    #[test]
    fn clients_that_remember_at_the_same_time_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known-hosts");
        std::thread::scope(|scope| {
            for port in 0..20 {
                let file = &file;
                let place = Place { host: "h", port };
                scope.spawn(move || remember(file, place, Fingerprint([0; 32])).unwrap());
            }
        });
        for port in 0..20 {
            let place = Place { host: "h", port };
            assert!(look_up(&file, place).unwrap().is_some(), "{port}");
        }
    }

    #[test]
    fn a_file_that_is_not_understood_believes_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known-hosts");
        let good = format!("h:21 {} 2026-01-01", Fingerprint([1; 32]));
        for bad in ["h:21", "h:21 12 2026-01-01", "h 21 2026-01-01", &format!("{good} more")] {
            fs::write(&file, format!("# comment\n\n{good}\n{bad}\n")).unwrap();
            let error = look_up(&file, place("h")).unwrap_err();
            assert!(error.to_string().contains("line 4"), "{error}");
        }
    }
}
