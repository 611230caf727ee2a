//! Which ports a session's active connections come from.
//!
//! Whether one of them can be had is seen when it dials.

use std::net::SocketAddr;

use twoport_net::data::dial;

use crate::config::ports::Ports;
use crate::config::words::ActiveSource;

/// How many ports of a range a connection tries to come from. Origin: each can be in use towards this
/// client only; one that is not is found soon.
const TRIED: u16 = 8;

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
    pub(super) fn new(wanted: ActiveSource, own: SocketAddr) -> Self {
        match (wanted, own.port().checked_sub(1)) {
            (ActiveSource::Range(ports), _) => Self::Range(ports),
            (ActiveSource::BelowControl, Some(port @ 1..))
                if dial::may_dial_from(SocketAddr::new(own.ip(), port)) =>
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
    fn ports_of_a_range_are_tried_each_once() {
        let mut ports = Source::Range(Ports { low: 50_000, high: 50_003 }).ports();
        ports.sort_unstable();
        assert_eq!(ports, [50_000, 50_001, 50_002, 50_003]);
        assert_eq!(Source::Range(Ports { low: 1024, high: 65_535 }).ports().len(), 8);
    }
}
