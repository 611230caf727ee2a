//! One line per decision, with its reason; transfers also in xferlog's form where that is wanted.
//!
//! It formats no lines: that is for the subscriber of `tracing`, human or JSON. No password gets
//! here, and what a peer sent is escaped.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tracing::{Level, enabled, info, warn};

use twoport_proto::server::{Decision, Note};
use twoport_proto::text::escape;
use twoport_proto::time::{Civil, Timestamp};

/// Where the lines about sessions come from.
pub const SESSIONS: &str = "twoport::session";

/// Who a line is about.
#[derive(Clone, Debug)]
pub struct Who {
    /// The number of the session since the server's start.
    pub session: u64,
    /// The client's address.
    pub peer: IpAddr,
    /// The account, once there is one.
    pub user: Option<Arc<str>>,
    /// Whether the account is that of visitors.
    pub anonymous: bool,
}

/// Logs a decision: refusals by the server's limits and broken transfers as warnings.
pub fn note(who: &Who, note: &Note) {
    if !note.decision.is_trouble() && !enabled!(target: SESSIONS, Level::INFO) {
        return;
    }
    let session = who.session;
    let peer = tracing::field::display(who.peer);
    let user = who.user.as_deref();
    let decision = note.decision.word();
    let subject = note.subject;
    let object = note.object.as_deref().map(escape);
    let object = object.as_deref();
    let reason = note.reason.map(|reason| reason.id());
    let why = note.reason.map(|reason| reason.describe());
    let bytes = note.bytes;
    if note.decision.is_trouble() {
        warn!(target: SESSIONS, session, peer, user, subject, object, bytes, reason, why, "{decision}");
    } else {
        info!(target: SESSIONS, session, peer, user, subject, object, bytes, reason, why, "{decision}");
    }
}

/// A file in the format of wu-ftpd, which programs of thirty years read: xferlog(5).
#[derive(Debug)]
pub struct Xferlog(File);

/// What a line of the xferlog tells.
#[derive(Clone, Copy, Debug)]
pub struct Transferred<'a> {
    /// When it ended.
    pub date: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Whether it was TYPE A.
    pub ascii: bool,
    /// The decision about it.
    pub note: &'a Note,
}

impl Xferlog {
    /// Opens the file to append to it.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        File::options().append(true).create(true).open(path).map(Self)
    }

    /// Appends a line, in one write, if the note is about a file that was sent or received.
    pub fn write(&self, who: &Who, transferred: Transferred<'_>) {
        if let Some(line) = line(who, transferred)
            && let Err(error) = (&self.0).write_all(line.as_bytes())
        {
            warn!(target: "twoport", %error, "the xferlog cannot be written");
        }
    }
}

fn line(who: &Who, Transferred { date, took, ascii, note }: Transferred<'_>) -> Option<String> {
    let direction = match note.subject {
        "Retrieve" => 'o',
        "Store" | "Append" | "StoreUnique" => 'i',
        _ => return None,
    };
    let path: String = note.object.as_deref().map(escape)?;
    let path = path.replace(char::is_whitespace, "_");
    let status = if note.decision == Decision::Complete { 'c' } else { 'i' };
    let user = who.user.as_deref().unwrap_or("-").replace(char::is_whitespace, "_");
    let date = ctime(date.civil());
    let (took, bytes) = (took.as_secs().max(1), note.bytes?);
    let kind = if ascii { 'a' } else { 'b' };
    let access = if who.anonymous { 'a' } else { 'r' };
    Some(format!(
        "{date} {took} {} {bytes} {path} {kind} _ {direction} {access} {user} ftp 0 * {status}\n",
        who.peer
    ))
}

/// `Sun Nov 22 13:40:48 2026`, in UTC.
fn ctime(civil: Civil) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let Civil { year, month, day, hour, minute, second } = civil;
    let days = Timestamp::from_civil(civil).map_or(0, |date| date.seconds.div_euclid(86_400));
    let name = |names: &[&'static str], index: i64| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or("?")
    };
    let weekday = name(&DAYS, days.rem_euclid(7));
    let month = name(&MONTHS, i64::from(month) - 1);
    format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_xferlog() {
        let who = Who {
            session: 1,
            peer: "192.0.2.7".parse().unwrap(),
            user: Some("ann".into()),
            anonymous: false,
        };
        let note = Note::good(Decision::Complete, "Retrieve").about(&b"/a b\x07"[..]).bytes(7);
        let date = Timestamp::from_seconds(1_795_354_848);
        let took = Duration::from_millis(20);
        let transferred = Transferred { date, took, ascii: false, note: &note };
        assert_eq!(
            line(&who, transferred).unwrap(),
            "Sun Nov 22 13:40:48 2026 1 192.0.2.7 7 /a_b\\x07 b _ o r ann ftp 0 * c\n"
        );
        let list = Note::good(Decision::Complete, "List").about(&b"/"[..]).bytes(7);
        assert_eq!(line(&who, Transferred { note: &list, ..transferred }), None);
    }
}
