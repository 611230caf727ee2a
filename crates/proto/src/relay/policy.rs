//! What the owner of a gateway decides about the sessions that pass it, as a value.
//!
//! Which client may reach which server at all is the driver's matter.

use alloc::vec::Vec;

use super::rules::Names;
use crate::verb::Permissions;

/// What happens at AUTH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// It passes, and from the 234 on so does everything, unread: no pinhole is opened any more.
    #[default]
    Pass,
    /// The gateway answers: TLS ends here, and begins again towards the server.
    Terminate,
    /// It is refused: what cannot be read may not pass.
    Refuse,
}

/// Whether TLS is used towards the server, where the gateway terminates it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upstream {
    /// When the client asks for it and the server has it; else the server is spoken to in clear.
    #[default]
    Offered,
    /// When the client asks for it, and never without.
    Required,
    /// Always, also for clients that know nothing of it: before the greeting is passed on.
    Always,
    /// Never: the server has none.
    Off,
}

/// Who connects on the server's leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As the client asked.
    #[default]
    AsAsked,
    /// As the client asked; but where nobody gets to the port at which the server listens, it
    /// connects.
    Auto,
    /// The server listens, whatever the client asked.
    Passive,
    /// The server connects, whatever the client asked.
    Active,
}

/// What becomes of uploads where they are scanned before the server hears of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Whether an upload passes that could not be scanned.
    pub pass_unscanned: bool,
    /// Whether files may be put together on the server from parts, each scanned by itself.
    pub pass_parts: bool,
}

/// The rules of a relay.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What happens at AUTH.
    pub auth: Auth,
    /// TLS towards the server.
    pub upstream: Upstream,
    /// Whether a client must be under TLS before USER and, where the gateway terminates it, for data.
    pub client_tls: bool,
    /// Who connects on the server's leg.
    pub mode: Mode,
    /// What clients may do.
    pub permissions: Permissions,
    /// Verbs that do not pass, or the first words of lines such as `SITE CHMOD`.
    pub denied_verbs: Vec<Vec<u8>>,
    /// Which names may be touched.
    pub names: Names,
    /// Whether uploads are held back until they are scanned; AUTH is then refused where it would pass.
    pub scan: Option<Scan>,
    /// How many unknown commands in a row a session survives. Origin: a person's typing errors are fewer,
    /// the body of an HTTP request has more.
    pub unknown_limit: u32,
}

impl Policy {
    /// Whether AUTH never ends the reading.
    pub(super) const fn reads_all(&self) -> bool {
        self.scan.is_some() || !matches!(self.auth, Auth::Pass)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            auth: Auth::default(),
            upstream: Upstream::default(),
            client_tls: false,
            mode: Mode::default(),
            permissions: Permissions::ALL,
            denied_verbs: Vec::new(),
            names: Names::default(),
            scan: None,
            unknown_limit: 10,
        }
    }
}
