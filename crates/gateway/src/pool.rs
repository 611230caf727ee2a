//! The servers behind a gateway: which of a group is next, who of them is down, and how many sessions
//! each has.
//!
//! It connects to none: that is for [`upstream`](crate::upstream) and [`health`](crate::health).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use twoport_proto::proxy::Version;

use crate::hole::lock;

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is, as `host:port`.
    pub at: String,
    /// The group it belongs to; the ordinary one has no name.
    pub group: String,
    /// The header by which it is told who the client is.
    pub proxy: Option<Proxy>,
    /// Whether it gets no new sessions.
    pub drain: bool,
}

/// PROXY headers towards a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Their version.
    pub version: Version,
    /// Whether data connections begin with one, too.
    pub on_data: bool,
}

/// Which server of a group a client gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The one that its address falls upon: the same one again.
    #[default]
    Address,
    /// The one that has the fewest sessions.
    Sessions,
}

/// How servers are looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// How often; none: only what sessions meet counts.
    pub interval: Option<Duration>,
    /// How many failures in a row take it out.
    pub fall: u32,
    /// How many successes in a row take it in again.
    pub rise: u32,
}

/// What is known of the servers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<HashMap<String, Condition>>>);

#[derive(Debug, Default)]
struct Condition {
    sessions: usize,
    is_down: bool,
    /// How often in a row it was otherwise than `is_down` says.
    surprises: u32,
}

/// One more session of a server, until it is dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    pool: Pool,
    at: String,
}

impl Pool {
    /// The servers of a group, the first choice first. Those that are down come last, and not at all
    /// while another is up: if all are, each is worth a try.
    pub(crate) fn turn<'a>(
        &self,
        servers: &'a [Server],
        group: &str,
        client: IpAddr,
        balance: Balance,
    ) -> Vec<&'a Server> {
        let of_group = servers.iter().filter(|server| server.group == group && !server.drain);
        let mut turn: Vec<&Server> = of_group.collect();
        let conditions = lock(&self.0);
        let condition = |server: &Server| conditions.get(&server.at);
        let is_up = |server: &Server| condition(server).is_none_or(|known| !known.is_down);
        if turn.iter().any(|server| is_up(server)) {
            turn.retain(|server| is_up(server));
        }
        turn.sort_by_cached_key(|server| {
            let sessions = condition(server).map_or(0, |known| known.sessions);
            let sessions = if balance == Balance::Sessions { sessions } else { 0 };
            (sessions, weight(&server.at, client))
        });
        turn
    }

    /// A session begins.
    pub(crate) fn enter(&self, at: &str) -> Guest {
        lock(&self.0).entry(at.to_owned()).or_default().sessions += 1;
        Guest { pool: self.clone(), at: at.to_owned() }
    }

    /// What was met at a server. Tells whether it is down now, where that changes.
    pub(crate) fn met(&self, at: &str, is_well: bool, health: &Health) -> Option<bool> {
        let mut conditions = lock(&self.0);
        let known = conditions.entry(at.to_owned()).or_default();
        if is_well != known.is_down {
            known.surprises = 0;
            return None;
        }
        known.surprises += 1;
        let needed = if is_well { health.rise } else { health.fall };
        if known.surprises < needed {
            return None;
        }
        known.surprises = 0;
        known.is_down = !is_well;
        Some(known.is_down)
    }
}

/// How a client falls upon a server: the others keep their clients when one goes (rendezvous
/// hashing).
fn weight(at: &str, client: IpAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    (at, client.to_canonical()).hash(&mut hasher);
    hasher.finish()
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(known) = lock(&self.pool.0).get_mut(&self.at) {
            known.sessions = known.sessions.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTH: Health = Health { interval: None, fall: 2, rise: 2 };

    fn servers(names: &[&str]) -> Vec<Server> {
        let server = |at: &&str| Server {
            at: (*at).to_owned(),
            group: String::new(),
            proxy: None,
            drain: false,
        };
        names.iter().map(server).collect()
    }

    fn turn(pool: &Pool, servers: &[Server], client: &str, balance: Balance) -> Vec<String> {
        let turn = pool.turn(servers, "", client.parse().unwrap(), balance);
        turn.into_iter().map(|server| server.at.clone()).collect()
    }

    #[test]
    fn a_client_keeps_its_server_and_the_others_keep_theirs_when_one_goes() {
        let pool = Pool::default();
        let mut servers = servers(&["a:21", "b:21", "c:21"]);
        let first = |servers: &[Server], n: u8| {
            turn(&pool, servers, &format!("192.0.2.{n}"), Balance::Address).remove(0)
        };
        let before: Vec<String> = (0..64).map(|n| first(&servers, n)).collect();
        for at in ["a:21", "b:21", "c:21"] {
            assert!(before.iter().any(|first| first == at), "{at} has clients");
        }
        assert_eq!(turn(&pool, &servers, "::ffff:192.0.2.1", Balance::Address)[0], before[1]);
        servers[1].drain = true;
        for (n, before) in (0..64).zip(&before) {
            let after = first(&servers, n);
            assert!(after != "b:21" && (before == "b:21" || *before == after));
        }
    }

    #[test]
    fn the_least_busy_is_first() {
        let pool = Pool::default();
        let servers = servers(&["a:21", "b:21"]);
        let next = || turn(&pool, &servers, "192.0.2.1", Balance::Sessions).remove(0);
        let (one, other) = (next(), pool.enter(&next()));
        assert_ne!(next(), one);
        drop(other);
        assert_eq!(next(), one);
    }

    #[test]
    fn who_fails_as_often_as_the_limit_is_left_out_until_it_rises() {
        let pool = Pool::default();
        let servers = servers(&["a:21", "b:21"]);
        let count = || turn(&pool, &servers, "192.0.2.1", Balance::Address).len();
        assert_eq!(pool.met("a:21", false, &HEALTH), None);
        assert_eq!(pool.met("a:21", true, &HEALTH), None);
        assert_eq!(pool.met("a:21", false, &HEALTH), None);
        assert_eq!((pool.met("a:21", false, &HEALTH), count()), (Some(true), 1));
        assert_eq!(pool.met("b:21", false, &HEALTH), None);
        assert_eq!((pool.met("b:21", false, &HEALTH), count()), (Some(true), 2));
        assert_eq!(pool.met("a:21", true, &HEALTH), None);
        assert_eq!((pool.met("a:21", true, &HEALTH), count()), (Some(false), 1));
    }
}
