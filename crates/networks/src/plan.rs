//! What a network is made of: hosts, links, addresses, routes and rules, as a value.
//!
//! It touches no system: `network` carries it out and `picture` shows it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::{
    self, CARRIER6, CLIENT_LAN6, CLIENT_OUTSIDE, CLIENT_OUTSIDE6, CLIENT_PREFIX6, CLIENT_PRIVATE,
    CLIENT_PUBLIC, CLIENT_UPSTREAM, Lan, SERVER_LAN6, SERVER_MAPPED, SERVER_MAPPED_UPSTREAM,
    SERVER_OUTSIDE, SERVER_OUTSIDE6, SERVER_PREFIX6, SERVER_PRIVATE, SERVER_PUBLIC,
    SERVER_UPSTREAM, SHARED_OUTSIDE, SHARED_UPSTREAM,
};
use crate::rules::{BLACK_HOLE, FIREWALL, NAT};
use crate::side::{Extra, Hosts, Side};
use crate::topology::Topology;

/// A host, or a box.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) name: &'static str,
    /// Each interface with its addresses, as `ip` takes them.
    pub(crate) interfaces: Vec<(&'static str, Vec<(IpAddr, u8)>)>,
    /// The ports of a switch, where `lan` is one and not a cable's end.
    pub(crate) switch: Vec<&'static str>,
    /// Prefix and next router.
    pub(crate) routes: Vec<(&'static str, IpAddr)>,
    pub(crate) rules: Vec<&'static str>,
    /// The largest packet of an interface, where it is not 1500 bytes.
    pub(crate) largest: Option<(&'static str, u16)>,
    /// What runs there.
    pub(crate) daemon: Option<Daemon>,
    /// Beneath `/proc/sys/net`.
    pub(crate) kernel: Vec<(&'static str, &'static str)>,
}

/// A program that a box needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    /// miniupnpd, for the network inside.
    Mapper(&'static str),
    /// tayga.
    Nat64,
    /// haproxy, with or without PROXY headers, before one or two servers.
    Balancer { proxy: bool, servers: &'static [Ipv4Addr] },
}

/// A cable between two interfaces.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) ends: [(&'static str, &'static str); 2],
}

/// A network.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// From the client to the server; a client beside the server comes last.
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: Vec<Link>,
}

const ANY4: &str = "0.0.0.0/0";
const ANY6: &str = "::/0";

impl Host {
    fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    fn router(name: &'static str) -> Self {
        let kernel = vec![("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")];
        Self { kernel, ..Self::new(name) }
    }

    fn interface(
        &mut self,
        name: &'static str,
        v4: impl Into<Option<(Ipv4Addr, u8)>>,
        v6: impl Into<Option<(Ipv6Addr, u8)>>,
    ) {
        let v4 = v4.into().map(|(address, length)| (address.into(), length));
        let v6 = v6.into().map(|(address, length)| (address.into(), length));
        self.interfaces.push((name, v4.into_iter().chain(v6).collect()));
    }

    fn default_routes(&mut self, v4: Option<Ipv4Addr>, v6: Ipv6Addr) {
        self.routes.extend(v4.map(|router| (ANY4, router.into())));
        self.routes.push((ANY6, v6.into()));
    }
}

impl Plan {
    /// The plan of a network.
    pub(crate) fn of(topology: &Topology) -> Self {
        let mut plan = Self::default();
        let mut public = Host::router("public");
        public.interface("lo", (address::PUBLIC.0, 32), (address::PUBLIC.1, 128));
        let inside = topology.client.extra == Extra::Inside;
        if !inside {
            plan.client_side(topology.client, &mut public);
        }
        let at = plan.hosts.len();
        plan.server_side(topology.server, &mut public);
        plan.hosts.insert(at, public);
        if inside {
            plan.neighbour();
        }
        plan
    }

    fn link(&mut self, one: (&'static str, &'static str), other: (&'static str, &'static str)) {
        self.links.push(Link { ends: [one, other] });
    }

    fn client_side(&mut self, side: &Side, public: &mut Host) {
        let lan = match side.hosts {
            Hosts::Public => Some(CLIENT_PUBLIC),
            Hosts::Private => Some(CLIENT_PRIVATE),
            Hosts::Ipv6 => None,
        };
        self.hosts.push(host("client", lan, CLIENT_LAN6));
        let mut gate = gate("client-box", side, lan, CLIENT_LAN6.0);
        match side.extra {
            Extra::Mapper => gate.daemon = Some(Daemon::Mapper(CLIENT_PRIVATE.prefix)),
            Extra::Nat64 => gate.daemon = Some(Daemon::Nat64),
            Extra::BlackHole => {
                gate.largest = Some(("wan", NARROW));
                public.largest = Some(("clients", NARROW));
                public.rules.push(BLACK_HOLE);
            }
            _ => {}
        }
        self.link(("client", "eth0"), ("client-box", "lan"));
        if side.extra == Extra::Carrier {
            gate.interface("wan", (SHARED_OUTSIDE, 30), (CARRIER6.0, 64));
            gate.default_routes(Some(SHARED_UPSTREAM), CARRIER6.1);
            self.hosts.push(gate);
            let mut carrier = Host::router("carrier");
            carrier.rules = vec![FIREWALL, NAT];
            carrier.interface("lan", (SHARED_UPSTREAM, 30), (CARRIER6.1, 64));
            carrier.routes.push((CLIENT_PREFIX6, CARRIER6.0.into()));
            self.link(("client-box", "wan"), ("carrier", "lan"));
            self.towards_public(carrier, public);
        } else {
            self.towards_public(gate, public);
        }
        public.routes.push((CLIENT_PREFIX6, CLIENT_OUTSIDE6.0.into()));
        if side.hosts == Hosts::Public {
            public.routes.push((CLIENT_PUBLIC.prefix, CLIENT_OUTSIDE.into()));
        }
    }

    /// The last box of the client's side, and the public network's interface to it.
    fn towards_public(&mut self, mut last: Host, public: &mut Host) {
        last.interface("wan", (CLIENT_OUTSIDE, 30), (CLIENT_OUTSIDE6.0, 64));
        last.default_routes(Some(CLIENT_UPSTREAM), CLIENT_OUTSIDE6.1);
        public.interface("clients", (CLIENT_UPSTREAM, 30), (CLIENT_OUTSIDE6.1, 64));
        self.link((last.name, "wan"), ("public", "clients"));
        self.hosts.push(last);
    }

    fn server_side(&mut self, side: &Side, public: &mut Host) {
        let lan = if side.hosts == Hosts::Public { SERVER_PUBLIC } else { SERVER_PRIVATE };
        let mut gate = gate("server-box", side, Some(lan), SERVER_LAN6.0);
        let (own, upstream) = match side.extra {
            Extra::Mapper => (SERVER_MAPPED, SERVER_MAPPED_UPSTREAM),
            _ => (SERVER_OUTSIDE, SERVER_UPSTREAM),
        };
        gate.daemon = match side.extra {
            Extra::Mapper => Some(Daemon::Mapper(SERVER_PRIVATE.prefix)),
            Extra::Balancer => Some(Daemon::Balancer { proxy: false, servers: ONE }),
            Extra::ProxyBalancer => Some(Daemon::Balancer { proxy: true, servers: ONE }),
            Extra::TwoBackends => Some(Daemon::Balancer { proxy: false, servers: TWO }),
            _ => None,
        };
        gate.interface("wan", (own, 30), (SERVER_OUTSIDE6.0, 64));
        gate.default_routes(Some(upstream), SERVER_OUTSIDE6.1);
        public.interface("servers", (upstream, 30), (SERVER_OUTSIDE6.1, 64));
        public.routes.push((SERVER_PREFIX6, SERVER_OUTSIDE6.0.into()));
        if side.hosts == Hosts::Public {
            public.routes.push((SERVER_PUBLIC.prefix, SERVER_OUTSIDE.into()));
        }
        self.link(("public", "servers"), ("server-box", "wan"));
        self.link(("server-box", "lan"), ("server", "eth0"));
        self.hosts.push(gate);
        let mut server = host("server", Some(lan), SERVER_LAN6);
        if let (Extra::TwoBackends, Some((_, own))) = (side.extra, server.interfaces.first_mut()) {
            own.push((SECOND_SERVER.into(), lan.router.1));
        }
        self.hosts.push(server);
    }

    /// A client in the server's LAN, where the box then is a switch for both.
    fn neighbour(&mut self) {
        let lan = Lan { host: NEIGHBOUR, ..SERVER_PRIVATE };
        let mut client = Host::new("client");
        client.interface("eth0", (lan.host, lan.router.1), None);
        client.routes.push((ANY4, lan.router.0.into()));
        self.hosts.push(client);
        for end in self.links.iter_mut().flat_map(|link| &mut link.ends) {
            if *end == ("server-box", "lan") {
                end.1 = "lan1";
            }
        }
        self.link(("client", "eth0"), ("server-box", "lan2"));
        for gate in self.hosts.iter_mut().filter(|host| host.name == "server-box") {
            gate.switch = vec!["lan1", "lan2"];
        }
    }
}

/// The largest packet of the narrow link: a tunnel's within DSL, below the 1460 bytes of data that both
/// ends believe in.
const NARROW: u16 = 1400;

/// What a load balancer has behind it. The second server is a second address of the same host: what
/// waits at the one is not to be had at the other.
const ONE: &[Ipv4Addr] = &[SERVER_PRIVATE.host];
const TWO: &[Ipv4Addr] = &[SERVER_PRIVATE.host, SECOND_SERVER];
const SECOND_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);

/// A client beside the server.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 107);

fn host(name: &'static str, lan: Option<Lan>, v6: (Ipv6Addr, Ipv6Addr)) -> Host {
    let mut host = Host::new(name);
    host.interface("eth0", lan.map(|lan| (lan.host, lan.router.1)), (v6.1, 64));
    host.default_routes(lan.map(|lan| lan.router.0), v6.0);
    host
}

fn gate(name: &'static str, side: &Side, lan: Option<Lan>, v6: Ipv6Addr) -> Host {
    let mut gate = Host::router(name);
    gate.rules = side.rules.to_vec();
    gate.kernel.extend(side.kernel);
    gate.interface("lan", lan.map(|lan| lan.router), (v6, 64));
    gate
}
