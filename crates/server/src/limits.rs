//! How many sessions there are, in total and from each address, before and after the login.
//!
//! What a single session may do is its policy's matter, in the protocol core.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use twoport_proto::reason::Reason;

/// The most of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Sessions.
    pub sessions: u32,
    /// Sessions from one address.
    pub sessions_per_ip: u32,
    /// Sessions that are not logged in.
    pub unauthenticated: u32,
    /// Sessions from one address that are not logged in.
    pub unauthenticated_per_ip: u32,
}

/// The sessions of a server. Cloning shares the count.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: Count,
    by_address: HashMap<IpAddr, Count>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    sessions: u32,
    unauthenticated: u32,
}

/// A counted session; it leaves the count when it is dropped.
#[derive(Debug)]
pub struct Place {
    census: Census,
    address: IpAddr,
    authenticated: bool,
}

impl Census {
    /// Counts a new session, unless there are too many.
    ///
    /// # Errors
    /// Whether the server is full, or full for this address.
    pub fn enter(&self, address: IpAddr, most: &Most) -> Result<Place, Reason> {
        let address = network(address);
        self.with(|counts| {
            let here = counts.by_address.get(&address).copied().unwrap_or_default();
            if counts.all.sessions >= most.sessions
                || counts.all.unauthenticated >= most.unauthenticated
            {
                return Err(Reason::ServerFull);
            }
            if here.sessions >= most.sessions_per_ip
                || here.unauthenticated >= most.unauthenticated_per_ip
            {
                return Err(Reason::ServerFullForAddress);
            }
            counts.change(address, |count| {
                count.sessions += 1;
                count.unauthenticated += 1;
            });
            Ok(Place { census: self.clone(), address, authenticated: false })
        })
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> u32 {
        self.with(|counts| counts.all.sessions)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Counts) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counts {
    fn change(&mut self, address: IpAddr, change: impl Fn(&mut Count)) {
        change(&mut self.all);
        let here = self.by_address.entry(address).or_default();
        change(here);
        if here.sessions == 0 {
            self.by_address.remove(&address);
        }
    }
}

impl Place {
    /// The session is logged in.
    pub fn authenticated(&mut self) {
        if !std::mem::replace(&mut self.authenticated, true) {
            let address = self.address;
            self.census.with(|counts| counts.change(address, |count| count.unauthenticated -= 1));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let waits = u32::from(!self.authenticated);
        let address = self.address;
        self.census.with(|counts| {
            counts.change(address, |count| {
                count.sessions -= 1;
                count.unauthenticated -= waits;
            });
        });
    }
}

/// What counts as one address: for IPv6 the /64 that a single host usually has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most =
        Most { sessions: 4, sessions_per_ip: 3, unauthenticated: 3, unauthenticated_per_ip: 2 };

    #[test]
    fn each_limit_holds_and_leaving_makes_room() {
        let census = Census::default();
        let enter = |address: &str| census.enter(address.parse().unwrap(), &MOST);
        let mut first = enter("192.0.2.1").unwrap();
        let second = enter("::ffff:192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), Reason::ServerFullForAddress);
        first.authenticated();
        first.authenticated();
        let third = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), Reason::ServerFullForAddress);
        let fourth = enter("2001:db8::1").unwrap();
        assert_eq!(enter("192.0.2.9").unwrap_err(), Reason::ServerFull);
        assert_eq!(census.sessions(), 4);
        drop((second, third, fourth));
        let fifth = enter("2001:db8::1").unwrap();
        let sixth = enter("2001:db8::2").unwrap();
        assert_eq!(enter("2001:db8::3").unwrap_err(), Reason::ServerFullForAddress);
        drop((first, fifth, sixth));
        assert_eq!(census.sessions(), 0);
        assert!(census.with(|counts| counts.by_address.is_empty()));
    }
}
