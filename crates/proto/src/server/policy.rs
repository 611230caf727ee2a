//! What an administrator can decide about sessions, as a value that never changes.
//!
//! Limits that count sessions (how many, from where) are the server's, not a session's.

use alloc::vec::Vec;
use core::time::Duration;

use crate::data::ActivePrivate;

/// Whether TLS is there, and whether it must be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requirement {
    /// There is none.
    #[default]
    Off,
    /// The client may use it.
    Optional,
    /// The client must use it.
    Required,
}

/// The rules of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The text of the 220 greeting.
    pub greeting: Vec<u8>,
    /// How long a session may wait for a command. Origin: RFC 1123 §4.1.3.2 asks for 5 minutes at least.
    pub idle_timeout: Duration,
    /// How long a connection may take to log in. Origin: sshd's `LoginGraceTime`.
    pub login_timeout: Duration,
    /// How long a session may last in total; without end unless set.
    pub session_timeout: Option<Duration>,
    /// How long a data connection may take to come up. Origin: vsftpd's `accept_timeout` and
    /// `connect_timeout`, both 60 s; half of it, since clients give up at 30 s.
    pub data_timeout: Duration,
    /// How many wrong passwords end a connection. Origin: vsftpd's `max_login_fails`.
    pub login_attempts: u32,
    /// How long the first wrong password waits for its reply; each further one doubles it.
    pub login_delay: Duration,
    /// The longest that a wrong password waits.
    pub login_delay_max: Duration,
    /// How many unknown commands in a row end a connection. Origin: a person's typing errors are
    /// fewer, a port scanner's or an HTTP body's are more.
    pub unknown_limit: u32,
    /// Whether TLS is there, and whether a login needs it.
    pub tls: Requirement,
    /// Whether data connections must be under TLS.
    pub data_tls: Requirement,
    /// Whether CCC may take the control connection back to clear text.
    pub clear_commands: bool,
    /// Whether PORT and EPRT are served.
    pub active: bool,
    /// Whether PORT and EPRT may name another host than the client (FXP).
    pub foreign_data: bool,
    /// What is dialled where they name an address of the client's own network.
    pub active_private: ActivePrivate,
    /// Whether PASV and EPSV announce the control port.
    pub data_on_control_port: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            greeting: b"twoport ready.".to_vec(),
            idle_timeout: Duration::from_secs(300),
            login_timeout: Duration::from_secs(120),
            session_timeout: None,
            data_timeout: Duration::from_secs(30),
            login_attempts: 3,
            login_delay: Duration::from_secs(1),
            login_delay_max: Duration::from_secs(10),
            unknown_limit: 10,
            tls: Requirement::Off,
            data_tls: Requirement::Off,
            clear_commands: false,
            active: true,
            foreign_data: false,
            active_private: ActivePrivate::Refuse,
            data_on_control_port: false,
        }
    }
}
