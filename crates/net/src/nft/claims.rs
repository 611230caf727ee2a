//! Doors that no other gateway of this host may give out: each has a name in the network namespace as long
//! as it is in use. Where a gateway is alone there is none.
//!
//! It knows nothing of the kernel's rules.

use std::collections::HashMap;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use twoport_proto::time::Time;

use super::router::Pin;

/// How often it is looked whether the others are gone.
const LOOK: Duration = Duration::from_secs(10);

/// What is claimed.
#[derive(Debug)]
pub(super) struct Claims {
    /// None where no other gateway is there.
    held: Option<HashMap<Pin, UnixDatagram>>,
    looked: Time,
}

impl Claims {
    pub(super) fn new(is_alone: bool, now: Time) -> Self {
        Self { held: (!is_alone).then(HashMap::new), looked: now }
    }

    /// Another gateway is to come: these doors are in use.
    pub(super) fn share<'a>(&mut self, doors: impl Iterator<Item = &'a Pin>, now: Time) {
        self.looked = now;
        self.held.get_or_insert_default();
        for door in doors {
            // It is given out already, whoever has the name.
            let _is_own = self.take(door);
        }
    }

    /// Whether a door is free for this gateway, whose it is then.
    pub(super) fn take(&mut self, door: &Pin) -> bool {
        let Some(held) = &mut self.held else { return true };
        let name = format!("twoport-door {} {}", door.peer, door.door);
        let claim =
            SocketAddr::from_abstract_name(name).and_then(|name| UnixDatagram::bind_addr(&name));
        claim.map(|claim| held.insert(*door, claim)).is_ok()
    }

    pub(super) fn give_back(&mut self, door: &Pin) {
        if let Some(held) = &mut self.held {
            held.remove(door);
        }
    }

    /// Whether it is time to look for others.
    pub(super) fn is_due(&mut self, now: Time) -> bool {
        let is_due = self.held.is_some() && now >= self.looked.after(LOOK);
        if is_due {
            self.looked = now;
        }
        is_due
    }

    /// There is no other any more.
    pub(super) fn is_alone(&mut self) {
        self.held = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_gateways_one_has_a_door_and_one_alone_has_all() {
        let pin = |port: u16| Pin {
            peer: "192.0.2.1".parse().unwrap(),
            door: ([198, 51, 100, 1], port).into(),
        };
        let (now, later) = (Time::ZERO, Time::ZERO.after(LOOK));
        let (mut old, mut new) = (Claims::new(true, now), Claims::new(false, now));
        // What the old one has given out before.
        assert!(old.take(&pin(5000)) && !old.is_due(later));
        old.share([pin(5000)].iter(), now);
        assert!(!new.take(&pin(5000)) && new.take(&pin(5001)) && !old.take(&pin(5001)));
        old.give_back(&pin(5000));
        assert!(new.take(&pin(5000)) && !old.take(&pin(5000)));
        assert!(new.is_due(later) && !new.is_due(later));
        new.is_alone();
        assert!(old.take(&pin(5000)) && new.take(&pin(5000)));
    }
}
