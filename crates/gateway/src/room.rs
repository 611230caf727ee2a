//! How many sessions there may be: in all, and of one client.
//!
//! It closes none.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use twoport_proto::reason::Reason;

use crate::hole::lock;

/// The room there is. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    total: usize,
    per_client: usize,
}

/// A place in it, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Room,
    client: IpAddr,
}

impl Room {
    pub(crate) fn new(total: usize, per_client: usize) -> Self {
        Self { taken: Arc::default(), total, per_client }
    }

    /// The same room with other limits.
    pub(crate) fn resized(&self, total: usize, per_client: usize) -> Self {
        Self { taken: Arc::clone(&self.taken), total, per_client }
    }

    /// A place for a client, or why there is none.
    pub(crate) fn enter(&self, client: IpAddr) -> Result<Place, Reason> {
        let client = client.to_canonical();
        let mut taken = lock(&self.taken);
        if taken.values().sum::<usize>() >= self.total {
            return Err(Reason::ServerFull);
        }
        let own = taken.entry(client).or_default();
        if *own >= self.per_client {
            return Err(Reason::ServerFullForAddress);
        }
        *own += 1;
        drop(taken);
        Ok(Place { room: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.room.taken);
        if let Some(own) = taken.get_mut(&self.client) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_leaves_room_for_others_and_all_together_fill_it() {
        let room = Room::new(3, 2);
        let [ann, bob]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let first = room.enter(ann).unwrap();
        let _second = room.enter("::ffff:192.0.2.1".parse().unwrap()).unwrap();
        assert_eq!(room.enter(ann).unwrap_err(), Reason::ServerFullForAddress);
        let _third = room.enter(bob).unwrap();
        assert_eq!(room.enter(bob).unwrap_err(), Reason::ServerFull);
        drop(first);
        room.enter(ann).unwrap();
    }
}
