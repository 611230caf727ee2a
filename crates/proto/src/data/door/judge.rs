//! The judgement itself: each connection that is held against the claims of its address.
//!
//! It changes no claim but those that it settles.

use alloc::vec::Vec;

use super::{
    Claim, Direction, Door, Guard, HELLO, Held, Kind, LONGEST_HOLD, Offer, Said, Stage, Verdict,
    overlap,
};
use crate::reason::Reason;
use crate::time::Time;

/// What becomes of a connection.
enum Judgement {
    Wait,
    Data {
        owner: u64,
    },
    Control,
    Close(Reason),
    /// The claim that it may have been meant for is refused.
    Doubt {
        owner: u64,
    },
}

impl<N: Copy + Eq> Door<N> {
    /// Judges all that can be judged now.
    pub(super) fn settle(&mut self, now: Time) {
        while let Some((at, judgement)) = self.next(now) {
            if let Judgement::Doubt { owner } = judgement {
                self.doubt(now, owner);
                continue;
            }
            let connection = self.held.swap_remove(at).connection;
            match judgement {
                Judgement::Wait | Judgement::Doubt { .. } => {}
                Judgement::Data { owner } => {
                    self.claims.retain(|claim| claim.offer.owner != owner);
                    self.verdicts.push_back(Verdict::Data { connection, owner });
                }
                Judgement::Control => self.verdicts.push_back(Verdict::Control { connection }),
                Judgement::Close(reason) => {
                    self.verdicts.push_back(Verdict::Close { connection, reason });
                }
            }
        }
    }

    /// Refuses a claim: one of the connections that are held may be its data, and its client will
    /// close that one.
    fn doubt(&mut self, now: Time, owner: u64) {
        if let Some(claim) = self.claims.iter().find(|claim| claim.offer.owner == owner) {
            let Offer { peer, patience, .. } = claim.offer;
            for held in self.held.iter_mut().filter(|held| overlap(peer, Some(held.from))) {
                held.doubtful = Some(now.after(patience));
            }
        }
        self.refuse(now, owner);
    }

    /// The first connection that need not wait, the oldest first.
    fn next(&mut self, now: Time) -> Option<(usize, Judgement)> {
        let mut order: Vec<usize> = (0..self.held.len()).collect();
        order.sort_by_key(|at| self.held.get(*at).map(|held| (held.since, held.connection)));
        let judged = order.into_iter().find_map(|at| {
            let held = *self.held.get(at)?;
            match self.judge(now, &held) {
                Judgement::Wait => None,
                judgement => Some((at, held, judgement)),
            }
        });
        let (at, held, judgement) = judged?;
        if matches!(judgement, Judgement::Control) {
            for claim in &mut self.claims {
                let meant = overlap(claim.offer.peer, Some(held.from));
                let in_clear = claim.offer.guard == Guard::Clear;
                let is_early = matches!(claim.stage, Stage::Offered { .. });
                claim.greeted |= meant && in_clear && is_early && !claim.sleeps(held.since);
            }
        }
        Some((at, judgement))
    }

    /// The claims that a connection may be meant for. On the control port an offer without its verb
    /// counts for a while only.
    fn candidates(&self, held: &Held<N>) -> impl Iterator<Item = &Claim<N>> {
        let (kind, from, since) = (self.kind, held.from, held.since);
        self.claims.iter().filter(move |claim| {
            (kind == Kind::Passive || !claim.sleeps(since)) && overlap(claim.offer.peer, Some(from))
        })
    }

    fn judge(&self, now: Time, held: &Held<N>) -> Judgement {
        if let Some(until) = held.doubtful {
            return match held.said {
                Some(Said::End) => Judgement::Close(Reason::DataDoubtful),
                None if until > now => Judgement::Wait,
                _ => Judgement::Control,
            };
        }
        let mut candidates = self.candidates(held);
        let Some(first) = candidates.next() else { return self.nobody(held) };
        match (self.kind, first.offer.guard) {
            (Kind::Passive, Guard::Clear) => Judgement::Data { owner: first.offer.owner },
            (_, Guard::Clear) => self.in_clear(now, held, first),
            (_, Guard::Private(_)) => self.named(now, held),
        }
    }

    /// No session waits for it.
    fn nobody(&self, held: &Held<N>) -> Judgement {
        match (self.kind, held.said) {
            (Kind::Passive, None) if self.claims.is_empty() => {
                Judgement::Close(Reason::DataUnclaimed)
            }
            (Kind::Passive, None) => Judgement::Close(Reason::StrangerRefused),
            (Kind::Passive, Some(_)) => Judgement::Close(Reason::DataUnclaimed),
            (Kind::Explicit | Kind::Implicit, _) => Judgement::Control,
        }
    }

    /// One or more sessions under TLS wait for it.
    fn named(&self, now: Time, held: &Held<N>) -> Judgement {
        match (held.said, self.kind) {
            (Some(Said::Hello(Some(name))), kind) => {
                let named = Guard::Private(name);
                let own = self.candidates(held).find(|claim| claim.offer.guard == named);
                match (own, kind) {
                    (Some(claim), _) => Judgement::Data { owner: claim.offer.owner },
                    // A ticket of an earlier session, say.
                    (None, Kind::Implicit) => Judgement::Control,
                    (None, _) => Judgement::Close(Reason::DataUnclaimed),
                }
            }
            (Some(Said::Hello(None)), Kind::Passive | Kind::Explicit) => self.nameless(now, held),
            (Some(Said::Other | Said::End), Kind::Passive) => Judgement::Close(Reason::TlsFailed),
            (Some(_), _) => Judgement::Control,
            (None, _) => match self.until(held) {
                Some(until) if until > now => Judgement::Wait,
                _ if self.kind == Kind::Passive => Judgement::Close(Reason::TlsSilent),
                _ => Judgement::Control,
            },
        }
    }

    /// A hello without a name is believed only where no other session can be meant.
    fn nameless(&self, now: Time, held: &Held<N>) -> Judgement {
        let mut candidates = self.candidates(held);
        match (candidates.next(), candidates.next()) {
            (Some(only), None) if !self.is_haunted(now, held, only) => {
                Judgement::Data { owner: only.offer.owner }
            }
            _ => Judgement::Close(Reason::DataDoubtful),
        }
    }

    /// Whether another session gave its claim up a moment ago.
    fn is_haunted(&self, now: Time, held: &Held<N>, only: &Claim<N>) -> bool {
        self.ghosts.iter().any(|ghost| {
            ghost.until > now
                && ghost.owner != only.offer.owner
                && overlap(ghost.peer, Some(held.from))
        })
    }

    /// On the control port, and one session waits for it in clear: a silent connection is its data
    /// if it is alone; who speaks is the data of an upload, and of nothing else.
    fn in_clear(&self, now: Time, held: &Held<N>, claim: &Claim<N>) -> Judgement {
        let owner = claim.offer.owner;
        if self.kind == Kind::Implicit && matches!(held.said, Some(Said::Hello(_))) {
            return Judgement::Control;
        }
        let speaks = matches!(held.said, Some(Said::Other | Said::Hello(_)));
        let is_over = self.until(held).is_none_or(|until| until <= now);
        match claim.stage {
            Stage::Due { direction: Direction::Upload, .. } if speaks => Judgement::Data { owner },
            Stage::Offered { .. } if is_over => Judgement::Control,
            Stage::Due { .. } if speaks => Judgement::Control,
            Stage::Offered { .. } => Judgement::Wait,
            Stage::Due { direction, .. } => {
                let others = self.held.iter().filter(|other| {
                    other.connection != held.connection
                        && other.doubtful.is_none()
                        && overlap(Some(other.from), Some(held.from))
                });
                match (direction, others.count()) {
                    (_, 0) if is_over => Judgement::Data { owner },
                    (Direction::Download, 1..) => Judgement::Doubt { owner },
                    (Direction::Upload, 1..) if is_over => Judgement::Doubt { owner },
                    _ => Judgement::Wait,
                }
            }
        }
    }

    /// How long a connection is held: from its coming or from the verb, whichever is later, since
    /// the client may have to read the 150 first.
    pub(super) fn until(&self, held: &Held<N>) -> Option<Time> {
        if held.doubtful.is_some() {
            return held.doubtful;
        }
        if self.kind == Kind::Passive {
            return Some(held.since.after(HELLO));
        }
        let of = |claim: &Claim<N>| {
            let Offer { guard, patience, alone, .. } = claim.offer;
            match (guard, claim.stage) {
                (Guard::Private(_), Stage::Offered { .. }) => held.since.after(patience),
                (Guard::Private(_), Stage::Due { since, .. }) => {
                    since.max(held.since).after(patience)
                }
                // Clients connect before they send the verb, or with it.
                (Guard::Clear, Stage::Due { since, .. }) if held.since <= since => {
                    since.after(alone)
                }
                (Guard::Clear, _) => held.since.after(LONGEST_HOLD),
            }
        };
        let latest = self.candidates(held).map(of).max()?;
        Some(latest.min(held.since.after(LONGEST_HOLD)))
    }
}
