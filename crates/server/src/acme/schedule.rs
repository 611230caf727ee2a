//! When a certificate is asked for: well before the last one ends, and not too soon after a failure.
//!
//! It has no clock and no chance of its own but in [`chance`].

use std::time::Duration;

use twoport_proto::time::Timestamp;

use super::kept::Validity;

/// How long the first failure waits. Origin: Let's Encrypt allows five failed proofs an hour for a
/// name; 5, 10, 20 and 40 minutes make four in the first hour.
const FIRST: Duration = Duration::from_secs(300);

/// The longest that a failure waits. Origin: a month is left when renewing begins, and twice a day is
/// what certbot tries.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// A number in 0..=255 that nobody foretells: servers that began together do not come together.
pub(super) fn chance() -> u8 {
    let mut byte = [0];
    // Without it they come together, which is no harm to this server.
    let _: Result<(), _> = getrandom::fill(&mut byte);
    u8::from_ne_bytes(byte)
}

/// When to renew: when a third of the time is left, as Let's Encrypt asks, or up to a twentieth of
/// the time before that.
pub(super) fn renewal(Validity { begin, end }: Validity, chance: u8) -> i64 {
    let lifetime = end.saturating_sub(begin).max(0);
    begin + lifetime / 3 * 2 - lifetime / 20 * i64::from(chance) / 255
}

/// How long to wait after so many failures in a row: twice as long each time, and up to a quarter
/// more.
pub(super) fn pause(failures: u32, chance: u8) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    doubled + doubled / 4 * u32::from(chance) / 255
}

/// A date for people, such as `2026-11-22 17:05 UTC`.
pub(super) fn date(seconds: i64) -> String {
    let at = Timestamp::from_seconds(seconds).civil();
    let (year, month, day, hour, minute) = (at.year, at.month, at.day, at.hour, at.minute);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewed_with_a_third_of_the_time_left() {
        const DAY: i64 = 86_400;
        let quarter = Validity { begin: 0, end: 90 * DAY };
        assert_eq!(renewal(quarter, 0), 60 * DAY);
        assert_eq!(renewal(quarter, 255), 60 * DAY - 90 * DAY / 20);
        let wrong = Validity { begin: 5, end: 0 };
        assert_eq!(renewal(wrong, 7), 5, "at once");
    }

    #[test]
    fn failures_wait_longer_each_time() {
        let minutes = |failures| pause(failures, 0).as_secs() / 60;
        assert_eq!([1, 2, 3, 4].map(minutes), [5, 10, 20, 40]);
        assert_eq!((minutes(9), minutes(u32::MAX)), (720, 720));
        assert_eq!(pause(1, 255), Duration::from_secs(375));
    }

    #[test]
    fn dates_are_for_people() {
        assert_eq!(date(1_795_354_848), "2026-11-22 13:40 UTC");
    }
}
