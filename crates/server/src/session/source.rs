//! Which ports a session's active connections come from.
//!
//! Whether one of them can be had is seen when it dials.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use twoport_net::clock;
use twoport_net::data::dial;
use twoport_proto::time::Time;

use crate::config::ports::Ports;
use crate::config::words::ActiveSource;

/// How many ports of a range a connection tries to come from. Origin: each can be in use towards this
/// client only; one that is not is found soon.
const TRIED: u16 = 8;

/// How long it is remembered whether a port may be bound. Origin: log-ins by the thousand a second share
/// the answer, and whoever took or left the port is noticed within a minute's tenth.
const REMEMBERED: Duration = Duration::from_secs(6);

/// Whether ports may be bound: asking takes five system calls, and a walk through all connections of
/// the port that are not forgotten yet.
#[derive(Debug, Default)]
pub(crate) struct Bindable(Mutex<HashMap<SocketAddr, (bool, Time)>>);

impl Bindable {
    fn may_dial_from(&self, local: SocketAddr) -> bool {
        let now = clock::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&local) {
            Some(&(may, until)) if until > now => may,
            _ => {
                let may = dial::may_dial_from(local);
                known.insert(local, (may, now.after(REMEMBERED)));
                may
            }
        }
    }
}

/// Where active connections come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// The system chooses.
    Any,
    /// The port below the control port (RFC 959 §3.2), where it may be bound.
    Below(u16),
    /// One of these.
    Range(Ports),
}

impl Source {
    /// For a session of which the control connection is at `own` on this machine.
    pub(super) fn new(wanted: ActiveSource, own: SocketAddr, bindable: &Bindable) -> Self {
        match (wanted, own.port().checked_sub(1)) {
            (ActiveSource::Range(ports), _) => Self::Range(ports),
            (ActiveSource::BelowControl, Some(port @ 1..))
                if bindable.may_dial_from(SocketAddr::new(own.ip(), port)) =>
            {
                Self::Below(port)
            }
            (ActiveSource::BelowControl | ActiveSource::Any, _) => Self::Any,
        }
    }

    /// The port that can be told beforehand.
    pub(super) const fn known(self) -> Option<u16> {
        match self {
            Self::Below(port) => Some(port),
            Self::Any | Self::Range(_) => None,
        }
    }

    /// The ports to try, best first.
    pub(super) fn ports(self) -> Vec<u16> {
        match self {
            Self::Any => Vec::new(),
            Self::Below(port) => vec![port],
            Self::Range(ports) => {
                let count = ports.high - ports.low + 1;
                let start = getrandom::u32().unwrap_or_default() % u32::from(count.max(1));
                let start = u16::try_from(start).unwrap_or_default();
                let port = |step: u16| ports.low + (start + step) % count.max(1);
                (0..TRIED.min(count)).map(port).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_port_may_be_bound_is_asked_once_in_a_while() {
        let local = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let bindable = Bindable::default();
        assert!(bindable.may_dial_from(local));
        let _holder = std::net::TcpListener::bind(local).unwrap();
        assert!(!Bindable::default().may_dial_from(local));
        assert!(bindable.may_dial_from(local));
    }

    #[test]
    fn ports_of_a_range_are_tried_each_once() {
        let mut ports = Source::Range(Ports { low: 50_000, high: 50_003 }).ports();
        ports.sort_unstable();
        assert_eq!(ports, [50_000, 50_001, 50_002, 50_003]);
        assert_eq!(Source::Range(Ports { low: 1024, high: 65_535 }).ports().len(), 8);
    }
}
