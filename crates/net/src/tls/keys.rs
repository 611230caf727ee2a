//! The keys that seal session tickets: a ring that turns, in memory or in a file that the nodes of
//! a service share.
//!
//! What is in a ticket, and for whom it opens, is the matter of [`tickets`](super::tickets).
//!
//! The file holds a key a line, `SECONDS KEY`: from when on it seals, in Unix time, and 32 bytes in
//! hexadecimal. Lines that begin with `#` are skipped. Whoever turns the ring replaces the file.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest;
use rustix::fs::FlockOperation;
use rustls::server::ProducesTickets;

use crate::clock;

/// For how many seconds a key seals. Origin: rustls's own ticketer.
const TURN: u64 = 6 * 60 * 60;

/// For how many seconds a ticket opens. Origin: rustls's own ticketer; a day and more would weaken
/// what TLS keeps secret of old sessions when a key is lost.
const LIFETIME: u32 = 12 * 60 * 60;

/// How long before it seals a new key is in the file. Origin: every node has read it by then, with
/// clocks that differ by seconds.
const AHEAD: u64 = 60;

/// The longest file that is read. Origin: a hundred keys.
const LONGEST: u64 = 16 * 1024;

/// The bytes of a key's name in front of a ticket.
const NAME: usize = 16;

/// The bytes of a key.
const KEY: usize = 32;

const HEAD: &str = "# twoport's keys for TLS session tickets, to be kept secret: from when on each \
                    seals (Unix time), and the key.\n";

/// The ring.
pub struct TicketKeys {
    ring: RwLock<Ring>,
    file: Option<PathBuf>,
}

/// Oldest first; never empty.
struct Ring {
    keys: Vec<Key>,
    /// The file as it was when it was read last.
    seen: Option<(u64, u64, i64, i64)>,
}

struct Key {
    since: u64,
    name: [u8; NAME],
    seal: RandomizedNonceKey,
}

impl TicketKeys {
    /// A ring in memory, or the one of `file`, which is made if it is missing. Blocks.
    ///
    /// # Errors
    /// The file cannot be read or made, or is wrong in itself; the system gives no random numbers.
    pub fn new(file: Option<PathBuf>) -> io::Result<Self> {
        let now = now();
        let (keys, seen) = match &file {
            Some(path) => {
                if !path.exists() {
                    create(path, now).map_err(in_file(path))?;
                }
                let seen = stamp(path);
                (read(path).map_err(in_file(path))?, seen)
            }
            None => (vec![Key::new(now, &random()?)?], None),
        };
        Ok(Self { ring: RwLock::new(Ring { keys, seen }), file })
    }

    /// The file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads the file if it has changed, and puts a new key on the ring if it is time. To be called
    /// every few seconds; blocks.
    ///
    /// # Errors
    /// As for [`TicketKeys::new`]; told once for each change. The keys stay.
    pub fn turn(&self) -> io::Result<()> {
        self.turn_at(now())
    }

    fn turn_at(&self, now: u64) -> io::Result<()> {
        let Some(path) = &self.file else {
            if self.ring().is_due(now) {
                let key = Key::new(now, &random()?)?;
                let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
                ring.keys.push(key);
                ring.drop_old(now);
            }
            return Ok(());
        };
        self.look(path)?;
        if self.ring().is_due(now) {
            match extend(path, now) {
                Ok(()) => self.look(path)?,
                // A file that somebody else turns: a secret mounted for reading, say.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                    ) => {}
                Err(error) => return Err(in_file(path)(error)),
            }
        }
        Ok(())
    }

    fn look(&self, path: &Path) -> io::Result<()> {
        let seen = stamp(path);
        if seen == self.ring().seen {
            return Ok(());
        }
        let keys = read(path).map_err(in_file(path));
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.seen = seen;
        ring.keys = keys?;
        Ok(())
    }

    fn ring(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn seal(&self, now: u64, plain: &[u8]) -> Option<Vec<u8>> {
        let ring = self.ring();
        let key = ring.current(now)?;
        let mut sealed = plain.to_vec();
        let nonce = key.seal.seal_in_place_append_tag(Aad::from(key.name), &mut sealed).ok()?;
        Some([&key.name[..], nonce.as_ref(), &sealed].concat())
    }

    fn open(&self, now: u64, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let ring = self.ring();
        let (number, key) = ring.keys.iter().enumerate().find(|(_, key)| key.name == *name)?;
        if !ring.opens(number, now) {
            return None;
        }
        let mut opened = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.seal.open_in_place(nonce, Aad::from(*name), &mut opened).ok()?;
        let length = plain.len();
        opened.truncate(length);
        Some(opened)
    }
}

impl ProducesTickets for TicketKeys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(now(), plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(now(), ticket)
    }
}

/// Never shown.
impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Ring {
    /// The youngest key whose time has come.
    fn current(&self, now: u64) -> Option<&Key> {
        let come = self.keys.iter().rfind(|key| key.since <= now);
        come.or_else(|| self.keys.first())
    }

    fn is_due(&self, now: u64) -> bool {
        self.keys.last().is_none_or(|key| key.since.saturating_add(TURN) <= now)
    }

    /// Whether a key opens still: for as long as the last ticket that it sealed lives.
    fn opens(&self, number: usize, now: u64) -> bool {
        let successor = self.keys.get(number.saturating_add(1));
        successor.is_none_or(|next| next.since.saturating_add(LIFETIME.into()) > now)
    }

    fn drop_old(&mut self, now: u64) {
        let old = (0..self.keys.len()).take_while(|number| !self.opens(*number, now)).count();
        self.keys.drain(..old);
    }
}

impl Key {
    fn new(since: u64, bytes: &[u8; KEY]) -> io::Result<Self> {
        let digest =
            digest::digest(&digest::SHA256, &[b"twoport ticket key ", &bytes[..]].concat());
        let name = digest.as_ref().first_chunk().copied();
        let seal = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes).ok();
        match (name, seal) {
            (Some(name), Some(seal)) => Ok(Self { since, name, seal }),
            _ => Err(io::Error::other("the key is of no use to the cipher")),
        }
    }
}

fn now() -> u64 {
    u64::try_from(clock::today().seconds).unwrap_or_default()
}

fn random() -> io::Result<[u8; KEY]> {
    let mut bytes = [0; KEY];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn stamp(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let facts = fs::metadata(path).ok()?;
    Some((facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec()))
}

fn read(path: &Path) -> io::Result<Vec<Key>> {
    let file = File::open(path)?;
    let facts = file.metadata()?;
    if facts.len() > LONGEST {
        return Err(io::Error::other("it is too long for a file of ticket keys"));
    }
    if facts.mode() & 0o077 != 0 {
        let path = path.display();
        tracing::warn!(target: "twoport", %path, "others can read the ticket keys: chmod 600");
    }
    parse(&io::read_to_string(file)?)
}

/// The keys of a file's text, by their time.
fn parse(text: &str) -> io::Result<Vec<Key>> {
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(entry) = entry(line) {
            let wrong = || {
                let line = number.saturating_add(1);
                io::Error::other(format!("line {line} is not `SECONDS KEY` with 64 hex digits"))
            };
            let (since, bytes) = entry.ok_or_else(wrong)?;
            keys.push(Key::new(since, &bytes)?);
        }
    }
    if keys.is_empty() {
        return Err(io::Error::other("there is no key in it"));
    }
    keys.sort_by_key(|key| key.since);
    Ok(keys)
}

/// The key of a line; no entry for a line that says nothing, an empty one for a wrong line.
fn entry(line: &str) -> Option<Option<(u64, [u8; KEY])>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let read = || {
        let (since, digits) = line.split_once(' ')?;
        let mut bytes = [0; KEY];
        let (pairs, odd) = digits.trim().as_bytes().as_chunks::<2>();
        if pairs.len() != KEY || !odd.is_empty() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from(high? << 4 | low?).ok()?;
        }
        Some((since.parse().ok()?, bytes))
    };
    Some(read())
}

fn line(since: u64) -> io::Result<String> {
    let mut line = format!("{since} ");
    for byte in random()? {
        // Writing into a string cannot fail.
        let _: fmt::Result = write!(line, "{byte:02x}");
    }
    line.push('\n');
    Ok(line)
}

/// Makes the file with one key. Of several nodes that do so at a time one wins.
fn create(path: &Path, now: u64) -> io::Result<()> {
    let new = beside(path, &format!("{HEAD}{}", line(now)?))?;
    let linked = fs::hard_link(&new, path);
    fs::remove_file(&new)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

/// Adds a key that will seal in a while, unless another node did, and takes out those that open
/// nothing any more.
fn extend(path: &Path, now: u64) -> io::Result<()> {
    // A link stays a link.
    let path = &fs::canonicalize(path)?;
    let locked = File::open(path)?;
    rustix::fs::flock(&locked, FlockOperation::LockExclusive)?;
    let text = fs::read_to_string(path)?;
    let mut ring = Ring { keys: parse(&text)?, seen: None };
    if locked.metadata()?.ino() != fs::metadata(path)?.ino() || !ring.is_due(now) {
        return Ok(());
    }
    ring.drop_old(now);
    let oldest = ring.keys.first().map_or(0, |key| key.since);
    let mut new = HEAD.to_owned();
    for line in text.lines() {
        if entry(line).flatten().is_some_and(|(since, _)| since >= oldest) {
            new.push_str(line.trim());
            new.push('\n');
        }
    }
    new.push_str(&line(now.saturating_add(AHEAD))?);
    fs::rename(beside(path, &new)?, path)
}

/// Writes a file of a new name beside another, for its owner alone.
fn beside(path: &Path, text: &str) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}", getrandom::u64().map_err(io::Error::other)?));
    let new = path.with_file_name(name);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(new)
}

fn in_file(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
#[path = "keys/tests.rs"]
mod tests;
