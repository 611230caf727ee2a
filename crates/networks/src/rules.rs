//! What the boxes do, as rules of nftables: pieces that a row of the table of sides puts together.
//!
//! Each piece is whole; pieces that name the same chain add to it, in their order. Inside is the
//! interface `lan`, outside `wan`. FTP is on ports 21 and 2121, and under TLS from the first byte on
//! 990: what is open for one is open for all three.

/// Only what belongs to a connection from inside may enter; what is refused is dropped in silence.
pub(crate) const FIREWALL: &str = r#"
table inet box {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct state invalid drop
    iifname "lan" accept
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "wan" meta l4proto { tcp, udp } ct state new drop
  }
}"#;

/// One address for all that leaves; the source port is kept where it is free.
pub(crate) const NAT: &str = r#"
table inet box {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" meta nfproto ipv4 masquerade
  }
}"#;

/// The same, with another, random source port for each connection.
pub(crate) const NAT_SYMMETRIC: &str = r#"
table inet box {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" meta nfproto ipv4 masquerade fully-random
  }
}"#;

/// The Linux FTP helper on port 21: it reads PORT, EPRT, 227 and 229, opens what they name and
/// rewrites addresses where there is NAT.
pub(crate) const HELPER: &str = r#"
table inet box {
  ct helper ftp { type "ftp" protocol tcp; }
  chain helper {
    type filter hook prerouting priority filter; policy accept;
    tcp dport 21 ct helper set "ftp"
  }
}"#;

/// The same on another control port, too.
pub(crate) const HELPER_2121: &str = r#"
table inet box {
  ct helper ftp { type "ftp" protocol tcp; }
  chain helper {
    type filter hook prerouting priority filter; policy accept;
    tcp dport { 21, 2121 } ct helper set "ftp"
  }
}"#;

/// Control connections may enter.
pub(crate) const OPEN_CONTROL: &str = r#"
table inet box {
  chain forward { tcp dport { 21, 990, 2121 } accept; }
}"#;

/// Connections to the passive range may enter.
pub(crate) const OPEN_RANGE: &str = r#"
table inet box {
  chain forward { tcp dport 50000-50099 accept; }
}"#;

/// Connections to one passive port may enter.
pub(crate) const OPEN_ONE: &str = r#"
table inet box {
  chain forward { tcp dport 50000 accept; }
}"#;

/// What hosts inside ask for by UPnP, NAT-PMP or PCP may enter: miniupnpd fills the three chains.
pub(crate) const MAPPED: &str = r#"
table inet box {
  chain miniupnpd { }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
  chain forward { jump miniupnpd; }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "wan" jump prerouting_miniupnpd
  }
  chain postrouting { jump postrouting_miniupnpd; }
}"#;

/// No word about packets that are too big for the next link.
pub(crate) const BLACK_HOLE: &str = r#"
table inet box {
  chain errors {
    type filter hook output priority filter; policy accept;
    icmp type destination-unreachable icmp code frag-needed drop
    icmpv6 type packet-too-big drop
  }
}"#;

/// The translator's interface counts as inside.
pub(crate) const NAT64: &str = r#"
table inet box {
  chain forward { iifname "nat64" accept; }
}"#;

/// The box itself takes control and passive connections. Must come before the firewall.
pub(crate) const BALANCED: &str = r#"
table inet box {
  chain input {
    type filter hook input priority filter; policy accept;
    tcp dport { 21, 990, 2121, 50000-50099 } accept
  }
}"#;

/// Control connections to the box go on to the server.
pub(crate) const FORWARD_CONTROL: &str = r#"
table inet box {
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr 203.0.113.10 tcp dport { 21, 990, 2121 } dnat ip to 10.0.0.10
  }
}"#;

/// The same at the address of a box that maps ports.
pub(crate) const FORWARD_CONTROL_MAPPED: &str = r#"
table inet box {
  chain prerouting { ip daddr 218.2.136.10 tcp dport { 21, 990, 2121 } dnat ip to 10.0.0.10; }
}"#;

/// Connections to the passive range of the box go on to the server.
pub(crate) const FORWARD_RANGE: &str = r#"
table inet box {
  chain prerouting { ip daddr 203.0.113.10 tcp dport 50000-50099 dnat ip to 10.0.0.10; }
}"#;

/// Connections to one passive port of the box go on to the server.
pub(crate) const FORWARD_ONE: &str = r#"
table inet box {
  chain prerouting { ip daddr 203.0.113.10 tcp dport 50000 dnat ip to 10.0.0.10; }
}"#;

/// Hosts inside reach the server by the box's outer address, too.
pub(crate) const HAIRPIN: &str = r#"
table inet box {
  chain postrouting { ip saddr 10.0.0.0/24 ip daddr 10.0.0.10 masquerade; }
}"#;
