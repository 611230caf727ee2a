//! The table of a [`Router`](super::Router) in the kernel's words, and in those of `nft`.
//!
//! It sends nothing. Five chains: one takes control connections, and can be emptied alone; one asks it
//! and lets data connections in, one hides the gateway's own connections behind the peers', one gives
//! ports to inner hosts (see [`forward`]), one marks the connections that expectations hang on.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::forward::{self, FIRST_OUT, OUT};
use super::message::{Attributes, Verb};
use super::router::{Disguise, Interception, Pin};
use super::rules::Family;
use super::words::{FIRST, FIRST_OF_FOUR, Header, equal, expression, meta, payload};

/// Before the host's own port forwards (-100), since they would send the connections past us.
const BEFORE: i32 = -110;

/// After the host's own masquerading (100): only what it leaves alone is hidden here.
const AFTER: i32 = 110;

/// What takes control connections.
const TAKING: &str = "taking";

const fn hiding(taken: &Interception) -> i32 {
    if taken.hides_first { FIRST_OUT } else { AFTER }
}

/// Behind a key of at most 36 bytes.
const RESULT: u32 = FIRST_OF_FOUR + 9;

/// `fin|syn|rst|ack` have no place here: netfilter asks a chain of NAT about first packets only.
const FLAG_MAP: u32 = 0x08;
const FLAG_TIMEOUT: u32 = 0x10;
const FLAG_DYNAMIC: u32 = 0x20;

const IPV4: u32 = 7;
const IPV6: u32 = 8;
const SERVICE: u32 = 13;

/// The names and sizes of one family.
struct Words {
    gate: &'static str,
    pin: &'static str,
    disguise: &'static str,
    address: u32,
    length: u32,
    /// Of the source and the destination in the header.
    offsets: (u32, u32),
}

impl Words {
    const fn of(family: Family) -> Self {
        match family {
            Family::V4 => Self {
                gate: "gate4",
                pin: "pin4",
                disguise: "as4",
                address: IPV4,
                length: 4,
                offsets: (12, 16),
            },
            Family::V6 => Self {
                gate: "gate6",
                pin: "pin6",
                disguise: "as6",
                address: IPV6,
                length: 16,
                offsets: (8, 24),
            },
        }
    }
}

/// The whole table. It is owned: gone when our socket closes, whatever closes it.
pub(super) fn table(name: &str, taken: &Interception, master: u16) -> Vec<(Verb, Attributes)> {
    const OWNER: u32 = 2;
    let mut batch = vec![(Verb::NewTable, Attributes::new().text(1, name).number(2, OWNER))];
    for (number, family) in (0..).zip(Family::BOTH) {
        batch.extend(sets(name, family, 1 + 3 * number));
    }
    batch.extend(forward::sets(name, 7));
    let helper = Attributes::new().text(1, "ftp").bytes(3, &[6]);
    let object = Attributes::new().text(1, name).text(2, "expects").number(3, 3);
    batch.push((Verb::NewObject, object.nest(4, &helper)));
    batch.push(chain(name, "prerouting", "nat", (0, BEFORE)));
    batch.push(chain(name, "postrouting", "nat", (4, hiding(taken))));
    batch.push(chain(name, "output", "filter", (3, 0)));
    batch.push((Verb::NewChain, Attributes::new().text(1, name).text(3, TAKING)));
    for port in &taken.ports {
        batch.push(rule(name, TAKING, &take(*port, taken)));
    }
    batch.push(rule(name, "prerouting", &[jump(TAKING)]));
    for family in Family::BOTH {
        batch.push(rule(name, "prerouting", &let_in(family)));
        batch.push(rule(name, "postrouting", &hide(family)));
    }
    batch.extend(forward::rules(name));
    batch.push(rule(name, "output", &expect(master)));
    batch
}

fn sets(table: &str, family: Family, first: u32) -> [(Verb, Attributes); 3] {
    let words = Words::of(family);
    let set = |name: &str, flags: u32, number: u32| {
        Attributes::new().text(1, table).text(2, name).number(3, flags).number(10, number)
    };
    let peer = (words.address << 12) | (words.address << 6) | SERVICE;
    let peer = |set: Attributes| set.number(4, peer).number(5, 2 * words.length + 4);
    let own = (words.address << 12) | (SERVICE << 6) | SERVICE;
    let gate = peer(set(words.gate, FLAG_TIMEOUT | FLAG_DYNAMIC, first));
    let pin = peer(set(words.pin, FLAG_TIMEOUT | FLAG_MAP, first + 1));
    let pin = pin.number(6, (words.address << 6) | SERVICE).number(7, words.length + 4);
    let disguise = set(words.disguise, FLAG_TIMEOUT | FLAG_MAP, first + 2);
    let disguise = disguise.number(4, own).number(5, words.length + 8);
    let disguise = disguise.number(6, words.address).number(7, words.length);
    [gate, pin, disguise].map(|set| (Verb::NewSet, set))
}

pub(super) fn chain(
    table: &str,
    name: &str,
    kind: &str,
    (hook, priority): (u32, i32),
) -> (Verb, Attributes) {
    let hook = Attributes::new().number(1, hook).bytes(2, &priority.to_be_bytes());
    let chain = Attributes::new().text(1, table).text(3, name).nest(4, &hook);
    (Verb::NewChain, chain.number(5, 1).text(7, kind))
}

/// Takes no control connections any more.
pub(super) fn take_none(name: &str) -> (Verb, Attributes) {
    (Verb::DeleteRule, Attributes::new().text(1, name).text(2, TAKING))
}

/// The end of a table.
pub(super) fn end(name: &str) -> (Verb, Attributes) {
    (Verb::DeleteTable, Attributes::new().text(1, name))
}

/// A chain of NAT that nobody owns: as long as one is there, the kernel goes on translating connections
/// whose rules are gone. Its one rule does nothing but ask for a connection's state: without any such
/// rule the kernel would not even follow connections. Where the chain is there already it stays as it is.
pub(super) fn anchor(name: &str) -> [(Verb, Attributes); 4] {
    const CT_STATE: u32 = 0;
    const INVALID: u32 = 1;
    let table = (Verb::NewTable, Attributes::new().text(1, name).number(2, 0));
    let state = expression("ct", &Attributes::new().number(1, FIRST).number(2, CT_STATE));
    let asks = rule(name, "prerouting", &[state, equal(&INVALID.to_ne_bytes())]);
    let former = Attributes::new().text(1, name).text(2, "prerouting");
    let chain = chain(name, "prerouting", "nat", (0, BEFORE));
    [table, chain, (Verb::DeleteRule, former), asks]
}

pub(super) fn rule(table: &str, chain: &str, parts: &[Attributes]) -> (Verb, Attributes) {
    let all = parts.iter().fold(Attributes::new(), |all, expression| all.nest(1, expression));
    (Verb::NewRule, Attributes::new().text(1, table).text(2, chain).nest(4, &all))
}

/// `jump CHAIN`.
fn jump(chain: &str) -> Attributes {
    const JUMP: u32 = (-3_i32).cast_unsigned();
    let verdict = Attributes::new().number(1, JUMP).text(2, chain);
    let verdict = Attributes::new().nest(2, &verdict);
    expression("immediate", &Attributes::new().number(1, 0).nest(2, &verdict))
}

pub(super) fn tcp() -> [Attributes; 2] {
    const L4PROTO: u32 = 16;
    [meta(L4PROTO), equal(&[6])]
}

pub(super) fn of(family: Family) -> [Attributes; 2] {
    const NFPROTO: u32 = 15;
    [meta(NFPROTO), equal(&[family.protocol()])]
}

pub(super) fn port(offset: u32, register: u32) -> Attributes {
    payload(Header::Transport, offset, 2, register)
}

/// `iifname LAN tcp dport PORT redirect to :GATEWAY`.
fn take(dport: u16, taken: &Interception) -> Vec<Attributes> {
    const IIFNAME: u32 = 6;
    let mut parts = Vec::new();
    if let Some(from) = &taken.from {
        let mut name = from.as_bytes().to_vec();
        name.resize(16, 0);
        parts.extend([meta(IIFNAME), equal(&name)]);
    }
    parts.extend(tcp());
    parts.extend([port(2, FIRST), equal(&dport.to_be_bytes())]);
    let to = taken.to.unwrap_or(dport);
    let number = Attributes::new().bytes(1, &to.to_be_bytes());
    parts.push(expression("immediate", &Attributes::new().number(1, FIRST).nest(2, &number)));
    parts.push(expression("redir", &Attributes::new().number(1, FIRST)));
    parts
}

/// `ip saddr . ip daddr . tcp dport @gate4 delete @gate4 { the same } dnat ip to the same map @pin4`:
/// who passes closes the gate behind itself.
fn let_in(family: Family) -> Vec<Attributes> {
    const DELETE: u32 = 2;
    let words = Words::of(family);
    let step = words.length / 4;
    let mut parts: Vec<Attributes> = of(family).into_iter().chain(tcp()).collect();
    parts.extend([
        payload(Header::Network, words.offsets.0, words.length, FIRST),
        payload(Header::Network, words.offsets.1, words.length, FIRST_OF_FOUR + step),
        port(2, FIRST_OF_FOUR + 2 * step),
        expression("lookup", &Attributes::new().text(1, words.gate).number(2, FIRST)),
        expression(
            "dynset",
            &Attributes::new().text(1, words.gate).number(3, DELETE).number(4, FIRST),
        ),
        expression(
            "lookup",
            &Attributes::new().text(1, words.pin).number(2, FIRST).number(3, RESULT),
        ),
        translation(family, 1, RESULT, Some(RESULT + step)),
    ]);
    parts
}

/// `snat ip to ip daddr . tcp dport . tcp sport map @as4`.
fn hide(family: Family) -> Vec<Attributes> {
    let words = Words::of(family);
    let step = words.length / 4;
    let mut parts: Vec<Attributes> = of(family).into_iter().chain(tcp()).collect();
    let lookup = Attributes::new().text(1, words.disguise).number(2, FIRST).number(3, RESULT);
    parts.extend([
        payload(Header::Network, words.offsets.1, words.length, FIRST),
        port(2, FIRST_OF_FOUR + step),
        port(0, FIRST_OF_FOUR + step + 1),
        expression("lookup", &lookup),
        translation(family, 0, RESULT, None),
    ]);
    parts
}

pub(super) fn translation(
    family: Family,
    kind: u32,
    address: u32,
    port: Option<u32>,
) -> Attributes {
    let nat = Attributes::new().number(1, kind).number(2, family.protocol().into());
    let nat = nat.number(3, address);
    expression(
        "nat",
        &match port {
            Some(register) => nat.number(5, register),
            None => nat,
        },
    )
}

/// `oifname lo tcp dport MASTER ct helper set "expects"`.
fn expect(master: u16) -> Vec<Attributes> {
    const OIFNAME: u32 = 7;
    let mut name = b"lo".to_vec();
    name.resize(16, 0);
    let mut parts = vec![meta(OIFNAME), equal(&name)];
    parts.extend(tcp());
    parts.extend([port(2, FIRST), equal(&master.to_be_bytes())]);
    parts.push(expression("objref", &Attributes::new().number(1, 3).text(2, "expects")));
    parts
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Padded to four bytes.
pub(super) fn padded(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

pub(super) fn at(address: SocketAddr) -> Vec<u8> {
    [&octets(address.ip())[..], &padded(address.port())].concat()
}

/// An element: a key, perhaps a value, perhaps a time.
fn element(
    (table, set): (&str, &str),
    key: &[u8],
    value: Option<&[u8]>,
    lifetime: Option<Duration>,
) -> Attributes {
    let one = Attributes::new().nest(1, &Attributes::new().bytes(1, key));
    let one = match value {
        Some(value) => one.nest(2, &Attributes::new().bytes(1, value)),
        None => one,
    };
    let one = match lifetime {
        Some(time) => one.long(4, u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        None => one,
    };
    Attributes::new().text(1, table).text(2, set).nest(3, &Attributes::new().nest(1, &one))
}

fn key(pin: &Pin) -> Vec<u8> {
    [octets(pin.peer), at(pin.door)].concat()
}

/// The gate of a pin, open; the pin itself.
pub(super) fn open(
    table: &str,
    pin: &Pin,
    to: SocketAddr,
    lifetime: Duration,
) -> [(Verb, Attributes); 2] {
    let words = Words::of(Family::of(pin.peer));
    let (key, to) = (key(pin), at(to));
    [
        (Verb::NewElement, element((table, words.pin), &key, Some(&to), Some(lifetime))),
        (Verb::NewElement, element((table, words.gate), &key, None, Some(lifetime))),
    ]
}

/// Closes the gate of a pin: an error where somebody has passed, or its time is over.
pub(super) fn shut(table: &str, pin: &Pin) -> (Verb, Attributes) {
    let words = Words::of(Family::of(pin.peer));
    (Verb::DeleteElement, element((table, words.gate), &key(pin), None, None))
}

/// Takes the pin away.
pub(super) fn unpin(table: &str, pin: &Pin) -> (Verb, Attributes) {
    let words = Words::of(Family::of(pin.peer));
    (Verb::DeleteElement, element((table, words.pin), &key(pin), None, None))
}

fn own(disguise: &Disguise) -> Vec<u8> {
    [at(disguise.target), padded(disguise.port).to_vec()].concat()
}

/// Hides a connection that is about to be made.
pub(super) fn put_on(table: &str, disguise: &Disguise, lifetime: Duration) -> (Verb, Attributes) {
    let words = Words::of(Family::of(disguise.seen));
    let seen = octets(disguise.seen);
    let set = (table, words.disguise);
    (Verb::NewElement, element(set, &own(disguise), Some(&seen), Some(lifetime)))
}

/// Ends it; a connection that is made stays hidden.
pub(super) fn take_off(table: &str, disguise: &Disguise) -> (Verb, Attributes) {
    let words = Words::of(Family::of(disguise.seen));
    (Verb::DeleteElement, element((table, words.disguise), &own(disguise), None, None))
}

/// The same table as `nft` would write it. The number of the master port is not known before the
/// gateway runs.
pub(super) fn text(name: &str, taken: &Interception) -> String {
    let mut text = format!("table inet {name} {{\n\tflags owner\n");
    for (digit, address) in [(4, "ipv4_addr"), (6, "ipv6_addr")] {
        let peer = format!("{address} . {address} . inet_service");
        let own = format!("{address} . inet_service . inet_service");
        let _infallible = write!(
            text,
            "\tset gate{digit} {{ type {peer}; flags dynamic,timeout; }}\n\
             \tmap pin{digit} {{ type {peer} : {address} . inet_service; flags timeout; }}\n\
             \tmap as{digit} {{ type {own} : {address}; flags timeout; }}\n"
        );
    }
    text += forward::SETS;
    text += "\tct helper expects { type \"ftp\" protocol tcp; }\n";
    let _infallible = writeln!(text, "\tchain {TAKING} {{");
    for port in &taken.ports {
        let from = taken.from.as_ref().map(|from| format!("iifname \"{from}\" "));
        let to = taken.to.map_or_else(|| "GATEWAY".into(), |to| to.to_string());
        let _infallible =
            writeln!(text, "\t\t{}tcp dport {port} redirect to :{to}", from.unwrap_or_default());
    }
    let _infallible = writeln!(
        text,
        "\t}}\n\tchain prerouting {{\n\t\ttype nat hook prerouting priority {BEFORE}; policy accept;\n\
         \t\tjump {TAKING}"
    );
    let families = [(4, "ip"), (6, "ip6")];
    for (digit, ip) in families {
        let key = format!("{ip} saddr . {ip} daddr . tcp dport");
        let _infallible = writeln!(
            text,
            "\t\t{key} @gate{digit} delete @gate{digit} {{ {key} }} dnat {ip} to {key} map @pin{digit}"
        );
    }
    text += forward::IN;
    let _infallible = write!(
        text,
        "\t}}\n\tchain postrouting {{\n\t\ttype nat hook postrouting priority {}; policy accept;\n",
        hiding(taken)
    );
    for (digit, ip) in families {
        let _infallible =
            writeln!(text, "\t\tsnat {ip} to {ip} daddr . tcp dport . tcp sport map @as{digit}");
    }
    let _infallible = write!(
        text,
        "\t}}\n\tchain outbound {{\n\t\ttype nat hook postrouting priority {FIRST_OUT}; policy accept;\n{OUT}"
    );
    text + "\t}\n\tchain output {\n\t\ttype filter hook output priority 0; policy accept;\n\
            \t\toifname \"lo\" tcp dport MASTER ct helper set \"expects\"\n\t}\n}\n"
}
