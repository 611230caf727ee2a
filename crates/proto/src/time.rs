//! The two notions of time in FTP: a monotonic instant for deadlines, and a date for files.
//!
//! Neither is ever read from a clock here: both are handed in by the driver.

use core::fmt;
use core::time::Duration;

/// A monotonic instant: how long ago the driver's clock started. The driver owns the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl Time {
    /// The start of the driver's clock.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The instant `after` later; saturates at the end of time.
    #[must_use]
    pub const fn after(self, after: Duration) -> Self {
        Self(self.0.saturating_add(after))
    }

    /// How long ago `earlier` was; zero if it is still to come.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A file's date: seconds and nanoseconds since 1970 in UTC, as RFC 3659 §2.3 wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    pub seconds: i64,
    /// Nanoseconds within the second, below 1_000_000_000.
    pub nanoseconds: u32,
}

/// A timestamp taken apart in the proleptic Gregorian calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year, such as 2026.
    pub year: i64,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The second, 0 to 59.
    pub second: u8,
}

const DAY: i64 = 86_400;

impl Timestamp {
    /// A whole second.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }

    /// The calendar date and time of day in UTC.
    #[must_use]
    pub fn civil(self) -> Civil {
        let (days, rest) = (self.seconds.div_euclid(DAY), self.seconds.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        let part = |value: i64| u8::try_from(value).unwrap_or(0);
        Civil {
            year,
            month: part(month),
            day: part(day),
            hour: part(rest / 3600),
            minute: part(rest / 60 % 60),
            second: part(rest % 60),
        }
    }

    /// The timestamp of a date, or `None` if there is no such date (month 13, 30 February, 25:00).
    /// A leap second is read as the second before it.
    #[must_use]
    pub fn from_civil(civil: Civil) -> Option<Self> {
        let Civil { year, month, day, hour, minute, second } = civil;
        let fits = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        if !fits {
            return None;
        }
        let days = days_from_civil(year, i64::from(month), i64::from(day));
        let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second.min(59));
        Some(Self::from_seconds(days * DAY + of_day))
    }

    /// Reads `YYYYMMDDHHMMSS` with an optional `.sss` fraction (RFC 3659 §2.3).
    ///
    /// The fifteen digits that servers with the year-2000 bug write (`19126...` for 2026) are not
    /// dates here: the caller gets `None` and can fall back to another source.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (digits, fraction) = match text.iter().position(|&b| b == b'.') {
            Some(dot) => (text.get(..dot)?, Some(text.get(dot + 1..)?)),
            None => (text, None),
        };
        if digits.len() != 14 {
            return None;
        }
        let number = |from: usize, to: usize| decimal(digits.get(from..to)?);
        let part = |from: usize, to: usize| u8::try_from(number(from, to)?).ok();
        let whole = Self::from_civil(Civil {
            year: i64::try_from(number(0, 4)?).ok()?,
            month: part(4, 6)?,
            day: part(6, 8)?,
            hour: part(8, 10)?,
            minute: part(10, 12)?,
            second: part(12, 14)?,
        })?;
        let nanoseconds = match fraction {
            None => 0,
            Some(fraction) => nanoseconds(fraction)?,
        };
        Some(Self { nanoseconds, ..whole })
    }
}

/// Writes `YYYYMMDDHHMMSS`, and `.sss` where the fraction of the second is not zero.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second } = self.civil();
        write!(f, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")?;
        match self.nanoseconds / 1_000_000 {
            0 => Ok(()),
            milliseconds => write!(f, ".{milliseconds:03}"),
        }
    }
}

fn nanoseconds(fraction: &[u8]) -> Option<u32> {
    if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().copied().chain(core::iter::repeat(b'0')).take(9);
    Some(digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

/// An unsigned decimal number of any length that fits: digits only, no sign, no blank.
#[must_use]
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

const fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

// Both conversions count in eras of 400 years that begin on 1 March, so that the leap day comes last.

const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as i64;
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn writes_and_reads_the_dates_of_rfc_3659() {
        for (seconds, text) in [
            (0, "19700101000000"),
            (951_782_400, "20000229000000"),
            (1_795_354_848, "20261122134048"),
            (-1, "19691231235959"),
        ] {
            let date = Timestamp::from_seconds(seconds);
            assert_eq!(date.to_string(), text);
            assert_eq!(Timestamp::parse(text.as_bytes()), Some(date));
        }
        let fraction = Timestamp { seconds: 0, nanoseconds: 120_000_000 };
        assert_eq!(Timestamp::parse(b"19700101000000.12"), Some(fraction));
        assert_eq!(fraction.to_string(), "19700101000000.120");
    }

    #[test]
    fn refuses_what_is_not_a_date() {
        for text in ["", "20250229000000", "20251301000000", "2025010100000", "19126010100000x"] {
            assert_eq!(Timestamp::parse(text.as_bytes()), None, "{text}");
        }
        for text in ["20250101000000.", "20250101000000.x", "+0250101000000", "20250101240000"] {
            assert_eq!(Timestamp::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_eight_centuries_comes_back() {
        for day in -150_000..150_000 {
            let date = Timestamp::from_seconds(day * DAY + 12_345);
            assert_eq!(Timestamp::from_civil(date.civil()), Some(date));
        }
    }
}
