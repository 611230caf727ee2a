//! THE TABLE of sides: each client side and each server side that a network is made of, one row each.
//! (A table of uniform rows: exempt from the length of files.)
//!
//! It builds nothing. A network is a pair of rows, see `topology`.

use crate::address;
use crate::rules::{
    BALANCED, BLACK_HOLE, FIREWALL, FORWARD_CONTROL, FORWARD_CONTROL_MAPPED, FORWARD_ONE,
    FORWARD_RANGE, HAIRPIN, HELPER, HELPER_2121, MAPPED, NAT, NAT_SYMMETRIC, NAT64, OPEN_CONTROL,
    OPEN_ONE, OPEN_RANGE,
};
use std::net::Ipv4Addr;

/// Which end of the network a side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client's.
    Client,
    /// The server's.
    Server,
}

/// What addresses the hosts of a side have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Public IPv4 and IPv6.
    Public,
    /// Private IPv4, and public IPv6.
    Private,
    /// IPv6 only.
    Ipv6,
}

/// What a side has besides its box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Nothing.
    Nothing,
    /// A carrier's NAT between the box and the public network.
    Carrier,
    /// No box: the client is in the server's own LAN, and dials its public address.
    Inside,
    /// A link towards the public network that takes smaller packets, and does not say so.
    BlackHole,
    /// A router that maps ports for those who ask: miniupnpd.
    Mapper,
    /// A translator from IPv6 to IPv4: tayga.
    Nat64,
    /// A load balancer: haproxy.
    Balancer,
    /// The same, which says by the PROXY protocol who the client is.
    ProxyBalancer,
    /// A load balancer in front of two servers, where a client stays with one of them.
    TwoBackends,
}

/// How a server on this side must be set up for what its box lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passive {
    /// The first and the last passive port.
    pub ports: (u16, u16),
    /// What 227 announces, where the server is told.
    pub address: Option<Ipv4Addr>,
}

/// One row.
#[derive(Debug)]
pub struct Side {
    /// What it is called: the half of a network's name.
    pub name: &'static str,
    /// Which end it is.
    pub end: End,
    /// What it does: one line without full stop.
    pub about: &'static str,
    /// The addresses inside.
    pub hosts: Hosts,
    /// The box's rules, for nftables.
    pub rules: &'static [&'static str],
    /// What the box is told besides, below `/proc/sys/net`.
    pub kernel: &'static [(&'static str, &'static str)],
    /// What else there is.
    pub extra: Extra,
    /// The control port in clear.
    pub control: u16,
    /// How a server here is set up.
    pub passive: Passive,
    /// Whether it is one of the five and eight sides of the base matrix.
    pub base: bool,
}

/// The passive ports where a range is open, and where none is.
const RANGE: Passive = Passive { ports: (50000, 50099), address: None };

const CLIENT: Side = Side {
    name: "",
    end: End::Client,
    about: "",
    hosts: Hosts::Private,
    rules: &[],
    kernel: &[],
    extra: Extra::Nothing,
    control: 21,
    passive: RANGE,
    base: false,
};

const SERVER: Side = Side { end: End::Server, ..CLIENT };

/// All sides; those of the base matrix first.
pub static SIDES: &[Side] = &[
    Side {
        name: "routed",
        about: "a router that lets everything through",
        hosts: Hosts::Public,
        base: true,
        ..CLIENT
    },
    Side {
        name: "firewall",
        about: "a stateful firewall: only answers enter",
        hosts: Hosts::Public,
        rules: &[FIREWALL],
        base: true,
        ..CLIENT
    },
    Side {
        name: "firewall-helper",
        about: "a stateful firewall with the Linux FTP helper on port 21",
        hosts: Hosts::Public,
        rules: &[FIREWALL, HELPER],
        base: true,
        ..CLIENT
    },
    Side {
        name: "nat",
        about: "a masquerading NAT",
        rules: &[FIREWALL, NAT],
        base: true,
        ..CLIENT
    },
    Side {
        name: "nat-helper",
        about: "a masquerading NAT with the Linux FTP helper on port 21",
        rules: &[FIREWALL, NAT, HELPER],
        base: true,
        ..CLIENT
    },
    Side {
        name: "nat-helper-2121",
        about: "a masquerading NAT with the Linux FTP helper on ports 21 and 2121",
        rules: &[FIREWALL, NAT, HELPER_2121],
        ..CLIENT
    },
    Side {
        name: "nat-symmetric",
        about: "a NAT that gives each connection another, random port",
        rules: &[FIREWALL, NAT_SYMMETRIC],
        ..CLIENT
    },
    Side {
        name: "nat-idle",
        about: "a NAT that forgets connections idle for 5 seconds",
        rules: &[FIREWALL, NAT],
        kernel: IDLE,
        ..CLIENT
    },
    Side {
        name: "nat-carrier",
        about: "a masquerading NAT behind the NAT of its carrier (CGNAT)",
        rules: &[FIREWALL, NAT],
        extra: Extra::Carrier,
        ..CLIENT
    },
    Side {
        name: "nat-blackhole",
        about: "a NAT behind a link of 1400 bytes, where too big packets vanish without a word",
        rules: &[FIREWALL, NAT, BLACK_HOLE],
        extra: Extra::BlackHole,
        ..CLIENT
    },
    Side {
        name: "nat-upnp",
        about: "a NAT that maps ports by UPnP IGD, NAT-PMP and PCP (miniupnpd)",
        rules: &[FIREWALL, NAT, MAPPED],
        extra: Extra::Mapper,
        ..CLIENT
    },
    Side {
        name: "nat64",
        about: "a network of IPv6 only, with a NAT64 (tayga)",
        hosts: Hosts::Ipv6,
        rules: &[FIREWALL, NAT, NAT64],
        extra: Extra::Nat64,
        ..CLIENT
    },
    Side {
        name: "inside",
        about: "the server's own LAN, from which its public address is dialled",
        extra: Extra::Inside,
        ..CLIENT
    },
    Side {
        name: "routed",
        about: "a router that lets everything through",
        hosts: Hosts::Public,
        base: true,
        ..SERVER
    },
    Side {
        name: "firewall",
        about: "a firewall that lets in control connections only",
        hosts: Hosts::Public,
        rules: &[FIREWALL, OPEN_CONTROL],
        base: true,
        ..SERVER
    },
    Side {
        name: "firewall-helper",
        about: "a firewall that lets in control connections only, with the Linux FTP helper on port 21",
        hosts: Hosts::Public,
        rules: &[FIREWALL, OPEN_CONTROL, HELPER],
        base: true,
        ..SERVER
    },
    Side {
        name: "firewall-range",
        about: "a firewall that lets in control connections and a passive range",
        hosts: Hosts::Public,
        rules: &[FIREWALL, OPEN_CONTROL, OPEN_RANGE],
        base: true,
        ..SERVER
    },
    Side {
        name: "nat",
        about: "a NAT that forwards control connections only",
        rules: &[FIREWALL, OPEN_CONTROL, NAT, FORWARD_CONTROL],
        base: true,
        ..SERVER
    },
    Side {
        name: "nat-helper",
        about: "a NAT that forwards control connections only, with the Linux FTP helper on port 21",
        rules: &[FIREWALL, OPEN_CONTROL, NAT, FORWARD_CONTROL, HELPER],
        base: true,
        ..SERVER
    },
    Side {
        name: "nat-range",
        about: "a NAT that forwards control and a passive range; the server does not know its address",
        rules: &[FIREWALL, OPEN_CONTROL, OPEN_RANGE, NAT, FORWARD_CONTROL, FORWARD_RANGE],
        base: true,
        ..SERVER
    },
    Side {
        name: "nat-range-address",
        about: "a NAT that forwards control and a passive range; the server knows its address",
        rules: &[FIREWALL, OPEN_CONTROL, OPEN_RANGE, NAT, FORWARD_CONTROL, FORWARD_RANGE],
        passive: KNOWN,
        base: true,
        ..SERVER
    },
    Side {
        name: "nat-one-port",
        about: "a NAT that forwards control and one passive port; the server knows its address",
        rules: &[FIREWALL, OPEN_CONTROL, OPEN_ONE, NAT, FORWARD_CONTROL, FORWARD_ONE],
        passive: Passive { ports: (50000, 50000), ..KNOWN },
        ..SERVER
    },
    Side {
        name: "nat-2121",
        about: "a NAT that forwards control on port 2121, with the Linux FTP helper on port 21",
        rules: &[FIREWALL, OPEN_CONTROL, NAT, FORWARD_CONTROL, HELPER],
        control: 2121,
        ..SERVER
    },
    Side {
        name: "nat-helper-2121",
        about: "a NAT that forwards control on port 2121, with the Linux FTP helper on that port, too",
        rules: &[FIREWALL, OPEN_CONTROL, NAT, FORWARD_CONTROL, HELPER_2121],
        control: 2121,
        ..SERVER
    },
    Side {
        name: "nat-hairpin",
        about: "a NAT with a passive range that hosts inside can use, too; the server knows its address",
        rules: &[FIREWALL, OPEN_CONTROL, OPEN_RANGE, NAT, FORWARD_CONTROL, FORWARD_RANGE, HAIRPIN],
        passive: KNOWN,
        ..SERVER
    },
    Side {
        name: "nat-upnp",
        about: "a NAT that forwards control connections, and maps ports by UPnP IGD, NAT-PMP and PCP",
        rules: &[FIREWALL, OPEN_CONTROL, NAT, MAPPED, FORWARD_CONTROL_MAPPED],
        extra: Extra::Mapper,
        ..SERVER
    },
    Side {
        name: "balancer",
        about: "a load balancer (haproxy) for control and a passive range, whose address the server sees",
        rules: &[BALANCED, FIREWALL, NAT],
        extra: Extra::Balancer,
        passive: KNOWN,
        ..SERVER
    },
    Side {
        name: "balancer-proxy",
        about: "a load balancer (haproxy) for control and a passive range, with the PROXY protocol",
        rules: &[BALANCED, FIREWALL, NAT],
        extra: Extra::ProxyBalancer,
        passive: KNOWN,
        ..SERVER
    },
    Side {
        name: "balancer-two",
        about: "a load balancer (haproxy) for control and data of two servers, by the client's address",
        rules: &[BALANCED, FIREWALL, NAT],
        extra: Extra::TwoBackends,
        passive: KNOWN,
        ..SERVER
    },
    Side {
        name: "nat-idle",
        about: "a NAT with a passive range that forgets connections idle for 5 seconds",
        rules: &[FIREWALL, OPEN_CONTROL, OPEN_RANGE, NAT, FORWARD_CONTROL, FORWARD_RANGE],
        kernel: IDLE,
        passive: KNOWN,
        ..SERVER
    },
];

const KNOWN: Passive = Passive { address: Some(address::SERVER_OUTSIDE), ..RANGE };

/// Established connections are forgotten after 5 s, and not taken up again in their midst.
const IDLE: &[(&str, &str)] = &[
    ("netfilter/nf_conntrack_tcp_timeout_established", "5"),
    ("netfilter/nf_conntrack_tcp_loose", "0"),
];

impl Side {
    /// A side by its name.
    #[must_use]
    pub fn named(end: End, name: &str) -> Option<&'static Self> {
        SIDES.iter().find(|side| side.end == end && side.name == name)
    }

    /// Whether data connections can come in besides control connections, helpers left out.
    #[must_use]
    pub fn lets_data_in(&self) -> bool {
        let has = |rules: &[&str]| self.rules.iter().any(|rule| rules.contains(rule));
        !has(&[OPEN_CONTROL]) || has(&[OPEN_RANGE, OPEN_ONE, MAPPED])
    }

    /// The sides of an end.
    pub fn of(end: End) -> impl Iterator<Item = &'static Self> {
        SIDES.iter().filter(move |side| side.end == end)
    }
}
