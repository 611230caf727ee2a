//! What a `[[listener]]` table says: addresses of its own, and what differs there from `[tls]`.
//!
//! It opens no socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use super::Config;
use super::problem::{Place, Problem};
use super::settings::{self, Setting, TABLE};
use super::value::Wrong;

/// The keys of a `[[listener]]` table: rows of the table of settings. Those but the addresses stand
/// in `[tls]` for all listeners that do not have them.
pub static LISTENER_KEYS: &[&str] = &[
    "listen",
    "implicit-tls",
    "tls",
    "data-tls",
    "require-reuse",
    "client-ca",
    "client-certificates",
    "clear-commands",
];

/// The rows of [`LISTENER_KEYS`].
pub(super) fn rows() -> impl Iterator<Item = &'static Setting> {
    TABLE.iter().filter(|setting| LISTENER_KEYS.contains(&setting.key))
}

/// A `[[listener]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where commands come first.
    pub listen: Vec<SocketAddr>,
    /// `[tls]` as it is here; its `implicit_tls` is where TLS comes first.
    pub tls: settings::Tls,
    /// Where it was written, and each of its keys.
    places: (Place, BTreeMap<&'static str, Place>),
}

impl Listener {
    /// Where a key was written, or else the table that lacks it.
    #[must_use]
    pub fn place(&self, key: &str) -> Place {
        self.places.1.get(key).unwrap_or(&self.places.0).clone()
    }
}

/// One way in: what a socket listens at, and whether TLS comes first there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Door {
    /// The configured address; none where port 21 or 2121 of all addresses is taken.
    pub address: Option<SocketAddr>,
    /// Whether TLS comes before the greeting.
    pub implicit: bool,
    /// How many were like it before: port 0 is another port each time.
    pub nth: usize,
}

/// A table as it was written: what it leaves out is known only when all has been read.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) settings: Vec<(&'static Setting, String, Place)>,
    pub(super) place: Place,
}

impl Written {
    /// The listener, with all that it leaves out from `config`; `base` is where relative paths
    /// start.
    pub(super) fn resolve(&self, config: &Config, base: &Path) -> Result<Listener, Problem> {
        let mut own = config.clone();
        own.server.listen = Some(Vec::new());
        own.tls.implicit_tls = Vec::new();
        for (setting, text, place) in &self.settings {
            setting
                .apply(&mut own, text, base)
                .map_err(|wrong| Problem::new(Some(place.clone()), setting.key, wrong))?;
        }
        let listen = own.server.listen.unwrap_or_default();
        if listen.is_empty() && own.tls.implicit_tls.is_empty() {
            let wrong = Wrong::new(
                "it listens nowhere",
                "name an address and a port with listen or implicit-tls",
            );
            return Err(Problem::new(Some(self.place.clone()), "listener", wrong));
        }
        let keys = self.settings.iter().map(|(setting, _, place)| (setting.key, place.clone()));
        Ok(Listener { listen, tls: own.tls, places: (self.place.clone(), keys.collect()) })
    }
}

impl Config {
    /// Every way in, with the TLS that holds there. Left alone, `listen` means port 21 or 2121 of
    /// all addresses, unless `[[listener]]` tables say where else.
    #[must_use]
    pub fn doors(&self) -> Vec<(Door, &settings::Tls)> {
        let clear = |address| Door { address, implicit: false, nth: 0 };
        let mut doors = Vec::new();
        match &self.server.listen {
            Some(listen) => doors.extend(listen.iter().map(|at| (clear(Some(*at)), &self.tls))),
            None if self.listener.is_empty() => doors.push((clear(None), &self.tls)),
            None => {}
        }
        doors.extend(implicit(&self.tls));
        for listener in &self.listener {
            doors.extend(listener.listen.iter().map(|at| (clear(Some(*at)), &listener.tls)));
            doors.extend(implicit(&listener.tls));
        }
        let mut known = BTreeMap::new();
        for (door, _) in &mut doors {
            let count: &mut usize = known.entry((door.address, door.implicit)).or_default();
            door.nth = *count;
            *count += 1;
        }
        doors.extend(self.kept.iter().map(|(door, tls)| (*door, tls)));
        doors
    }

    /// The same with the doors of `former` that it does not have, as they were: sockets are opened
    /// at the start only, and closed at the end.
    #[must_use]
    pub fn with_doors_of(mut self, former: &Self) -> Self {
        let own: Vec<_> = self.doors().into_iter().map(|(door, _)| door).collect();
        let kept = former.doors().into_iter().filter(|(door, _)| !own.contains(door));
        self.kept = kept.map(|(door, tls)| (door, tls.clone())).collect();
        self
    }
}

fn implicit(tls: &settings::Tls) -> impl Iterator<Item = (Door, &settings::Tls)> {
    let door = |at: &SocketAddr| Door { address: Some(*at), implicit: true, nth: 0 };
    tls.implicit_tls.iter().map(move |at| (door(at), tls))
}
