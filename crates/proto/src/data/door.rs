//! Whose is the connection that has come? Sessions claim the next connection from their client's
//! address; this tells data from strangers, and on the control port from log-ins.
//!
//! It accepts nothing and waits for nothing: a driver tells it what happened and what a connection
//! said first, drains [`Door::poll`], and comes back at [`Door::deadline`].
//!
//! The rules. In clear a connection has no name, so one address has one claim at a time at a door.
//! Under TLS the ticket in a client's hello names the session, and any number may wait. On the
//! control port a client that waits for the 220 is a log-in: it is held for a moment while a claim of
//! its address is open, and then greeted. What is in doubt is never data of a session: the transfer is
//! refused, the client given the time to close its data connection, and what is left is greeted. (A
//! greeting on a data connection would become the beginning of somebody's file.)

mod judge;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::reason::Reason;
use crate::time::Time;

/// How long a claim that nobody answered keeps its place free of other sessions: its connection may
/// be on the way. Origin: a SYN that was lost is sent again after one second. On the control port,
/// where the others wait for this place alone, it is the offer's patience: who gave up has closed its
/// socket, and that sends no SYN again.
const GHOST: Duration = Duration::from_secs(2);

/// How long an offer on the control port counts without its transfer verb. Origin: clients send the
/// verb with the connection or right before it.
const AWAKE: Duration = Duration::from_secs(5);

/// How long an offer of a passive port keeps the port from others without being answered. Origin:
/// the data time-out.
const AWAKE_PASSIVE: Duration = Duration::from_secs(30);

/// The longest that a connection to the control port is held, but for a doubt. Origin: a SYN that was
/// lost is sent again after one second, and the data connection of a client may be such a one.
pub const LONGEST_HOLD: Duration = Duration::from_millis(1200);

/// How long a connection to a passive port may leave its hello unsaid. Origin: a client says it
/// when it has read the 150, and opening a file may take its time; the data time-out is as long.
const HELLO: Duration = Duration::from_secs(30);

/// What comes in by a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Data connections only.
    Passive,
    /// The control port: log-ins that wait for the greeting, and data.
    Explicit,
    /// The control port with TLS first: log-ins that begin with a hello that names no session, and
    /// data.
    Implicit,
}

/// How a data connection can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard<N> {
    /// In clear: by its address.
    Clear,
    /// Under TLS: by the session's name.
    Private(N),
}

/// A session's wish for the next connection of its client.
#[derive(Clone, Copy, Debug)]
pub struct Offer<N> {
    /// The session.
    pub owner: u64,
    /// The address that the connection must come from; none if any will do (FXP).
    pub peer: Option<IpAddr>,
    /// How it can be known.
    pub guard: Guard<N>,
    /// What the network between needs for an answer: some round trips. On the control port a
    /// connection is held for so long; at most [`LONGEST_HOLD`].
    pub patience: Duration,
    /// How long a silent connection must have been alone, when the verb has come, to be believed to
    /// be data in clear.
    pub alone: Duration,
}

/// Another session waits for a connection that could not be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// When the place is free again, if nothing happens before; unknown while a transfer verb waits
    /// for its connection.
    pub until: Option<Time>,
}

/// Which way the bytes go. Who sends is heard before anything is given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// RETR, LIST: the client says nothing in clear.
    Download,
    /// STOR: the client speaks.
    Upload,
}

/// What a connection said first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<N> {
    /// A client's hello, and the session that it names.
    Hello(Option<N>),
    /// Something else.
    Other,
    /// Nothing any more: it is closed.
    End,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The connection is the data connection of this session, whose claim is settled.
    Data {
        /// The connection.
        connection: u64,
        /// The session.
        owner: u64,
    },
    /// The connection is a new control connection.
    Control {
        /// The connection.
        connection: u64,
    },
    /// The connection is to be closed without a word.
    Close {
        /// The connection.
        connection: u64,
        /// Why.
        reason: Reason,
    },
    /// The session's claim is gone: its connection cannot be told from others.
    Refuse {
        /// The session.
        owner: u64,
        /// Why.
        reason: Reason,
    },
}

/// The claims and the connections in doubt at one address and port.
#[derive(Clone, Debug)]
pub struct Door<N> {
    kind: Kind,
    claims: Vec<Claim<N>>,
    ghosts: Vec<Ghost>,
    held: Vec<Held<N>>,
    verdicts: VecDeque<Verdict>,
}

#[derive(Clone, Copy, Debug)]
struct Claim<N> {
    offer: Offer<N>,
    stage: Stage,
    /// Whether a connection that may have been its data was greeted before the verb came.
    greeted: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Announced. Behind that time it sleeps: another session may have its place, and on the control
    /// port it counts again only when its verb has come.
    Offered { until: Time },
    /// The transfer verb has come.
    Due { since: Time, direction: Direction },
}

/// A claim that was given up before its connection came.
#[derive(Clone, Copy, Debug)]
struct Ghost {
    owner: u64,
    peer: Option<IpAddr>,
    clear: bool,
    until: Time,
}

#[derive(Clone, Copy, Debug)]
struct Held<N> {
    connection: u64,
    from: IpAddr,
    since: Time,
    said: Option<Said<N>>,
    /// It may have been the data of a transfer that was refused: until then its client may close it.
    doubtful: Option<Time>,
}

impl<N: Copy + Eq> Door<N> {
    /// A door without claims.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            claims: Vec::new(),
            ghosts: Vec::new(),
            held: Vec::new(),
            verdicts: VecDeque::new(),
        }
    }

    /// Claims the next connection for a session, in place of its former claim.
    ///
    /// # Errors
    /// It could not be told from the connection of another session; nothing is claimed.
    pub fn claim(&mut self, now: Time, offer: Offer<N>) -> Result<(), Conflict> {
        self.claims.retain(|claim| claim.offer.owner != offer.owner);
        self.settle(now);
        let clear = offer.guard == Guard::Clear;
        let clashes = |owner: u64, peer, other_is_clear: bool| {
            owner != offer.owner && overlap(offer.peer, peer) && (clear || other_is_clear)
        };
        let with_claim = |claim: &Claim<N>| {
            clashes(claim.offer.owner, claim.offer.peer, claim.offer.guard == Guard::Clear)
        };
        let awake = |claim: &&Claim<N>| with_claim(claim) && !claim.sleeps(now);
        if let Some(other) = self.claims.iter().find(awake) {
            let until = match other.stage {
                Stage::Offered { until } => Some(until),
                Stage::Due { .. } => None,
            };
            return Err(Conflict { until });
        }
        let ghosts = self.ghosts.iter().filter(|ghost| ghost.until > now);
        let ghosts = ghosts.filter(|ghost| clashes(ghost.owner, ghost.peer, ghost.clear));
        if let Some(until) = ghosts.map(|ghost| ghost.until).max() {
            return Err(Conflict { until: Some(until) });
        }
        for sleeper in self.claims.extract_if(.., |claim| with_claim(claim)) {
            let (owner, reason) = (sleeper.offer.owner, Reason::DataNotConnected);
            self.verdicts.push_back(Verdict::Refuse { owner, reason });
        }
        let stage = self.offered(now);
        self.claims.push(Claim { offer, stage, greeted: false });
        Ok(())
    }

    fn offered(&self, now: Time) -> Stage {
        let awake = if self.kind == Kind::Passive { AWAKE_PASSIVE } else { AWAKE };
        Stage::Offered { until: now.after(awake) }
    }

    /// The session's transfer verb has come, and its data will be guarded so.
    pub fn verb(&mut self, now: Time, owner: u64, guard: Guard<N>, direction: Direction) {
        let Some(claim) = self.claims.iter_mut().find(|claim| claim.offer.owner == owner) else {
            return;
        };
        if claim.offer.guard != guard || claim.greeted {
            return self.refuse(now, owner);
        }
        claim.stage = Stage::Due { since: now, direction };
        self.settle(now);
    }

    /// The transfer came to nothing before its connection did; the offer stands.
    pub fn verb_over(&mut self, now: Time, owner: u64) {
        let stage = self.offered(now);
        if let Some(claim) = self.claims.iter_mut().find(|claim| claim.offer.owner == owner) {
            claim.stage = stage;
        }
        self.settle(now);
    }

    /// Another command came: on the control port the offer counts again when its verb has come.
    pub fn sleep(&mut self, now: Time, owner: u64) {
        if self.kind != Kind::Passive
            && let Some(claim) = self.claims.iter_mut().find(|claim| claim.offer.owner == owner)
        {
            claim.stage = Stage::Offered { until: now };
        }
        self.settle(now);
    }

    /// The session no longer waits: another command came, or its end.
    pub fn withdraw(&mut self, now: Time, owner: u64) {
        if let Some(at) = self.claims.iter().position(|claim| claim.offer.owner == owner) {
            let Offer { peer, guard, patience, .. } = self.claims.swap_remove(at).offer;
            let clear = guard == Guard::Clear;
            let lingers = if self.kind == Kind::Passive { GHOST } else { patience };
            self.ghosts.retain(|ghost| ghost.until > now);
            self.ghosts.push(Ghost { owner, peer, clear, until: now.after(lingers) });
        }
        self.settle(now);
    }

    /// A connection has come. If it can be judged at once there is a verdict; else it is held, and
    /// what it says first is wanted.
    pub fn arrive(&mut self, now: Time, connection: u64, from: IpAddr) {
        let from = from.to_canonical();
        self.held.push(Held { connection, from, since: now, said: None, doubtful: None });
        self.settle(now);
    }

    /// A connection that is held has said its first words.
    pub fn say(&mut self, now: Time, connection: u64, said: Said<N>) {
        if let Some(held) = self.held.iter_mut().find(|held| held.connection == connection) {
            held.said = Some(said);
        }
        self.settle(now);
    }

    /// The deadline has come.
    pub fn handle_timer(&mut self, now: Time) {
        self.settle(now);
    }

    /// When to come back with [`Door::handle_timer`] if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.held.iter().filter_map(|held| self.until(held)).min()
    }

    /// The next thing to do, or `None` when it is time to wait.
    pub fn poll(&mut self) -> Option<Verdict> {
        self.verdicts.pop_front()
    }

    /// Whether nobody waits for anything here.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.held.is_empty()
    }

    fn refuse(&mut self, now: Time, owner: u64) {
        self.verdicts.push_back(Verdict::Refuse { owner, reason: Reason::DataDoubtful });
        self.withdraw(now, owner);
    }
}

impl<N> Claim<N> {
    fn sleeps(&self, now: Time) -> bool {
        matches!(self.stage, Stage::Offered { until } if until <= now)
    }
}

/// Whether a connection can be meant by both.
fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.to_canonical() == other.to_canonical(),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
