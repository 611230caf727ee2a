//! One line per decision of a relay, with its reason.
//!
//! It formats no lines: that is for the subscriber of `tracing`. What a peer sent is escaped.

use std::net::SocketAddr;

use tracing::{info, warn};
use twoport_proto::relay::{Decision, Note};
use twoport_proto::text::escape;

/// Who a line is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    /// The number of the session since the gateway's start.
    pub(crate) session: u64,
    /// The client's address.
    pub(crate) client: SocketAddr,
    /// The server's address, once there is one.
    pub(crate) server: Option<SocketAddr>,
}

/// Logs a decision: what was refused or ended as a warning.
pub(crate) fn note(who: &Who, note: &Note) {
    let session = who.session;
    let (client, server) = (who.client.ip(), who.server.map(tracing::field::display));
    let (decision, subject) = (note.decision.word(), note.subject);
    let object = note.object.as_deref().map(escape);
    let object = object.as_deref();
    let reason = note.reason.map(|reason| reason.id());
    let why = note.reason.map(|reason| reason.describe());
    match note.decision {
        Decision::Refuse | Decision::Close => {
            warn!(target: "twoport", session, %client, server, subject, object, reason, why, "{decision}");
        }
        Decision::Rewrite
        | Decision::Ignore
        | Decision::Secure
        | Decision::Pass
        | Decision::Scan => {
            info!(target: "twoport", session, %client, server, subject, object, reason, why, "{decision}");
        }
    }
}
