//! The only clock: the machines' `Time` from the system's monotonic clock, and the date of today.
//!
//! Everything else is handed the time as an argument.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use twoport_proto::time::{Time, Timestamp};

static START: OnceLock<Instant> = OnceLock::new();

/// The monotonic time since the process first asked.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
#[must_use]
pub fn now() -> Time {
    Time(START.get_or_init(Instant::now).elapsed())
}

/// The tokio instant at which `time` is reached, for `sleep_until`.
#[must_use]
pub fn instant(time: Time) -> tokio::time::Instant {
    let start = tokio::time::Instant::now();
    start + time.since(now())
}

/// The date and time of day in UTC.
#[must_use]
pub fn today() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: since.subsec_nanos(),
    }
}
