//! What a data set-up is asked for, what it is told and wants done, and why steps fail.
//!
//! No behaviour: that is the machine's.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::seen::Seen;
use crate::command::Command;
use crate::reason::Reason;
use crate::reply::Reply;

/// Which modes may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The whole ladder.
    #[default]
    Auto,
    /// EPSV only.
    Epsv,
    /// PASV only.
    Pasv,
    /// EPRT only.
    Eprt,
    /// PORT only.
    Port,
    /// Punched active mode only, by EPRT or PORT.
    Punch,
}

impl Mode {
    /// Each with its word on a command line.
    pub const ALL: [(&'static str, Self); 6] = [
        ("auto", Self::Auto),
        ("epsv", Self::Epsv),
        ("pasv", Self::Pasv),
        ("eprt", Self::Eprt),
        ("port", Self::Port),
        ("punch", Self::Punch),
    ];
}

/// A step of the ladder. They are in the order of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Extended passive (RFC 2428 §3), to the address of the control connection.
    Epsv,
    /// Passive (RFC 959 §4.1.2), to the address of the control connection, then to the announced
    /// one where that is allowed.
    Pasv,
    /// Extended active, after the own NAT or firewall was opened from inside.
    PunchEprt,
    /// Active, after the own NAT or firewall was opened from inside.
    PunchPort,
    /// Extended active (RFC 2428 §2).
    Eprt,
    /// Active (RFC 959 §4.1.2).
    Port,
    /// Extended active, to a port that the router maps to an own one.
    MapEprt,
    /// Active, to a port that the router maps to an own one.
    MapPort,
}

impl Step {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::Epsv,
        Self::Pasv,
        Self::PunchEprt,
        Self::PunchPort,
        Self::Eprt,
        Self::Port,
        Self::MapEprt,
        Self::MapPort,
    ];

    /// The verb, and how, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epsv => "EPSV",
            Self::Pasv => "PASV",
            Self::PunchEprt => "punched EPRT",
            Self::PunchPort => "punched PORT",
            Self::Eprt => "EPRT",
            Self::Port => "PORT",
            Self::MapEprt => "mapped EPRT",
            Self::MapPort => "mapped PORT",
        }
    }

    /// The stable name in JSON and files.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Epsv => "epsv",
            Self::Pasv => "pasv",
            Self::PunchEprt => "punch-eprt",
            Self::PunchPort => "punch-port",
            Self::Eprt => "eprt",
            Self::Port => "port",
            Self::MapEprt => "map-eprt",
            Self::MapPort => "map-port",
        }
    }

    /// The step of a stable name.
    #[must_use]
    pub fn of(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.id() == id)
    }

    /// Whether the client connects.
    #[must_use]
    pub const fn is_passive(self) -> bool {
        matches!(self, Self::Epsv | Self::Pasv)
    }

    /// Whether the own NAT is opened from inside.
    #[must_use]
    pub const fn is_punched(self) -> bool {
        matches!(self, Self::PunchEprt | Self::PunchPort)
    }

    /// Whether the router maps a port.
    #[must_use]
    pub const fn is_mapped(self) -> bool {
        matches!(self, Self::MapEprt | Self::MapPort)
    }

    /// Whether the address goes out in a PORT, which carries IPv4 only.
    pub(super) const fn says_port(self) -> bool {
        matches!(self, Self::PunchPort | Self::Port | Self::MapPort)
    }
}

/// The network that data are set up in.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// The other end of the control connection.
    pub peer: SocketAddr,
    /// The own end of it.
    pub local: SocketAddr,
    /// How long a reply takes.
    pub round_trip: Duration,
    /// The step that worked last, which is tried first.
    pub worked: Option<Step>,
    /// The own address as others see it, if that is known for certain.
    pub external: Option<IpAddr>,
    /// The own end as the server sees it, if it was asked before.
    pub seen: Option<Seen>,
    /// Whether a server can connect here at all: not through a proxy.
    pub can_listen: bool,
}

/// Why a step led nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// Why.
    pub reason: Reason,
    /// The address that was dialled, or not dialled on purpose.
    pub address: Option<SocketAddr>,
    /// The reply that said no.
    pub reply: Option<Reply>,
}

/// What is told to the machine.
#[derive(Debug)]
pub enum Input {
    /// The reply to the command.
    Reply(Reply),
    /// The conversation is over: why.
    Lost(Reason),
    /// The dial succeeded.
    Connected,
    /// The dial failed, for each address: [`Reason::DataRefused`], [`Reason::DataDialTimeout`] or
    /// [`Reason::DataUnreachable`].
    DialFailed(Vec<(SocketAddr, Reason)>),
    /// A listener is up at this address; for a mapped one, the address outside.
    Listening(SocketAddr),
    /// There can be no listener, or no hole: why.
    ListenFailed(Reason),
    /// A new control connection is logged in.
    Reconnected,
    /// After `Ready`: the transfer found that no byte passes this way.
    Unusable {
        /// Why.
        reason: Reason,
        /// The final reply to the transfer's verb. If there is none, the server still tries, and the
        /// control connection is of no use.
        reply: Option<Reply>,
    },
    /// The deadline is reached.
    Timer,
}

/// What the machine wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this and bring the reply.
    Command(Command),
    /// Connect to whichever answers first, the addresses of one listener, the likeliest first. Give
    /// up after `patience` if one is given, else after the driver's own.
    Dial {
        /// Where to.
        to: Vec<SocketAddr>,
        /// How long.
        patience: Option<Duration>,
    },
    /// Listen on the local address of the control connection.
    Listen,
    /// The same, and make ready to open the own NAT from that port towards the server's data port.
    Punch,
    /// The same, and have the router send connections to an outer port there.
    Map,
    /// The control connection is useless: close it, and log in on a new one.
    Reconnect,
    /// Set up: send the transfer verb. The machine is done unless `Unusable` comes. A hole is opened
    /// now, just before the verb.
    Ready(Step),
    /// No step is left. The machine is done.
    Failed(Vec<Failure>),
}
