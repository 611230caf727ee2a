//! What a user may set, with the origin of each default.
//!
//! It reads no file and no environment: the command line fills it in.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use twoport_net::reflect::Reflector;
use twoport_net::tunnel::Proxy;
use twoport_proto::client::open::Mode;

use crate::tls::Tls;
use crate::trace::Observer;

/// The settings of a session. Cheap to clone.
#[derive(Clone)]
pub struct Config {
    /// How data connections are set up. Default: the whole ladder.
    pub mode: Mode,
    /// Whether TLS is used, whom it trusts, and what it shows.
    pub tls: Tls,
    /// For name lookup and each connection. Default 20 s: a lost SYN is repeated after 1, 3, 7 and
    /// 15 s, so that four losses are survived.
    pub connect_timeout: Duration,
    /// For the greeting and each reply. Default 30 s: servers that look up names of their clients
    /// before the greeting take up to 20 s.
    pub reply_timeout: Duration,
    /// For the final reply of an upload. Default 60 s: the server may flush a big file to a slow
    /// disk, or let a virus scanner see it, before it confirms.
    pub confirm_timeout: Duration,
    /// How long a transfer may move no byte. Default 60 s: TCP survives an outage of that length.
    pub stall_timeout: Duration,
    /// For a data connection in a mode that is the only one, or the last. Default 8 s: a lost SYN is
    /// repeated after 1, 3 and 7 s, so that three losses are survived; in mode auto it is given up
    /// earlier where another mode is left.
    pub dial_timeout: Duration,
    /// How long a server may take to connect in active mode. Default 8 s, as for a dial.
    pub accept_timeout: Duration,
    /// The ports to listen on in active mode. Default: the dynamic ports of RFC 6335 §6.
    pub active_ports: RangeInclusive<u16>,
    /// The own address as the server sees it, which is announced in active mode. Default none: the
    /// server is asked (STAT).
    pub external_address: Option<IpAddr>,
    /// Who is asked for that address when a session begins. Default nobody.
    pub reflector: Option<Reflector>,
    /// The hop at which the packets that open the own NAT end, in punched active mode. Default none:
    /// the farthest of the first six that answers.
    pub punch_hops: Option<u8>,
    /// The local address to connect from. Default: the system's choice. Data connections always
    /// use the address that the control connection has.
    pub local_address: Option<IpAddr>,
    /// Whether a download is flushed to the disk before it gets its name. Default no: see the crate.
    pub durable: bool,
    /// The most bytes of a listing. Default 64 MiB, some half a million entries: without a bound a
    /// hostile server fills the memory (basic-ftp 5.3.1).
    pub listing_limit: usize,
    /// A proxy for both connections. Default none.
    pub proxy: Option<Proxy>,
    /// Whether the control connection leaves TLS after the login (CCC, RFC 4217 §12.3), so that FTP
    /// helpers in the network can read its commands. Everybody else can, too: names of files and
    /// directories become readable, data do not. Default no.
    pub clear_commands: bool,
    /// The file in which it is remembered which step worked in which network. Default none: the
    /// command line has one.
    pub memory: Option<PathBuf>,
    /// Sees every command and reply, passwords left out. Default: nobody.
    pub observer: Option<Observer>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            tls: Tls::default(),
            connect_timeout: Duration::from_secs(20),
            reply_timeout: Duration::from_secs(30),
            confirm_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(60),
            dial_timeout: Duration::from_secs(8),
            accept_timeout: Duration::from_secs(8),
            active_ports: 49152..=65535,
            external_address: None,
            reflector: None,
            punch_hops: None,
            local_address: None,
            durable: false,
            proxy: None,
            clear_commands: false,
            memory: None,
            listing_limit: 64 << 20,
            observer: None,
        }
    }
}

impl Config {
    /// One time for everything that is waited for: what `--timeout` sets.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self.reply_timeout = timeout;
        self.confirm_timeout = timeout;
        self.stall_timeout = timeout;
        self.dial_timeout = timeout;
        self.accept_timeout = timeout;
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("mode", &self.mode)
            .field("tls", &self.tls)
            .field("connect_timeout", &self.connect_timeout)
            .field("reply_timeout", &self.reply_timeout)
            .field("confirm_timeout", &self.confirm_timeout)
            .field("stall_timeout", &self.stall_timeout)
            .field("dial_timeout", &self.dial_timeout)
            .field("accept_timeout", &self.accept_timeout)
            .field("active_ports", &self.active_ports)
            .field("external_address", &self.external_address)
            .field("reflector", &self.reflector)
            .field("punch_hops", &self.punch_hops)
            .field("local_address", &self.local_address)
            .field("durable", &self.durable)
            .field("proxy", &self.proxy)
            .field("clear_commands", &self.clear_commands)
            .field("memory", &self.memory)
            .field("listing_limit", &self.listing_limit)
            .finish_non_exhaustive()
    }
}
