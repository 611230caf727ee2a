//! The dates of `ls -l` lines in their several orders: `Nov 22 13:40`, `22 Nov 2026`,
//! `2026-11-22 13:40`.
//!
//! It does not know the server's time zone: where the line names none, the date is taken as if it
//! were UTC, and a client that compares MDTM with LIST shifts it. Month names are English.

use super::Precision;
use crate::time::{Civil, Timestamp, decimal};

/// A date and what follows it.
pub(super) struct Found<'a> {
    pub(super) modified: Timestamp,
    pub(super) precision: Precision,
    /// What follows, with the blank that separates it.
    pub(super) rest: &'a [u8],
}

/// The day in front of a time or a year.
struct Day {
    year: Option<i64>,
    month: u8,
    day: u8,
    /// `Oct 08, 2002 09:47`: the comma announces a year and then a time (`VShell`).
    comma: bool,
}

struct Clock {
    hour: u8,
    minute: u8,
    second: u8,
    precision: Precision,
}

const MIDNIGHT: Clock = Clock { hour: 0, minute: 0, second: 0, precision: Precision::Day };

pub(super) const DAY: i64 = 86_400;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// The abbreviation of a month, 1 to 12.
pub(super) fn month_name(month: u8) -> &'static [u8; 3] {
    let index = usize::from(month).saturating_sub(1);
    MONTHS.get(index).copied().unwrap_or(b"Jan")
}

/// The first word of `text`, and what follows it with its blank. Blanks in front are skipped.
pub(super) fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = text.iter().position(|&byte| !is_blank(byte))?;
    let text = text.get(start..)?;
    let end = text.iter().position(|&byte| is_blank(byte)).unwrap_or(text.len());
    text.split_at_checked(end)
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Reads the date that `text` begins with, after any blanks.
pub(super) fn parse(text: &[u8], now: Timestamp) -> Option<Found<'_>> {
    let (day, rest) = day(text)?;
    match day.year {
        Some(year) => after_full_day(&day, year, rest),
        None => after_day_of_some_year(&day, rest, now),
    }
}

fn day(text: &[u8]) -> Option<(Day, &[u8])> {
    let (first, rest) = word(text)?;
    if let Some(day) = numeric_day(first) {
        return Some((day, rest));
    }
    let (second, rest) = word(rest)?;
    let (month, number) = match (month(first), month(second)) {
        (Some(month), _) => (month, second),
        (None, Some(month)) => (month, first),
        (None, None) => return None,
    };
    let comma = number.last() == Some(&b',');
    let day = small(if let [digits @ .., b',' | b'.'] = number { digits } else { number })?;
    Some((Day { year: None, month, day, comma }, rest))
}

/// `2026-11-22`, also with slashes or dots, or `11-22`.
fn numeric_day(word: &[u8]) -> Option<Day> {
    let mut parts = word.split(|byte| matches!(byte, b'-' | b'/' | b'.'));
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next());
    let (given, month, day) = match third {
        Some(third) => (Some(year(first)?), second, third),
        None => (None, first, second),
    };
    let (month, day) = (small(month)?, small(day)?);
    parts.next().is_none().then_some(Day { year: given, month, day, comma: false })
}

/// `2026-11-22` is followed by a time, by a time with seconds and a zone, or by neither.
fn after_full_day<'a>(day: &Day, year: i64, rest: &'a [u8]) -> Option<Found<'a>> {
    let Some((clock, after)) = word(rest).and_then(|(word, after)| Some((clock(word)?, after)))
    else {
        return found(day, year, &MIDNIGHT, rest);
    };
    let mut found = found(day, year, &clock, after)?;
    // Behind a time without seconds, `+0100` is the name.
    let behind = word(after).filter(|_| clock.precision == Precision::Second);
    if let Some((zone, rest)) = behind.and_then(|(word, rest)| Some((zone(word)?, rest))) {
        found.modified.seconds -= zone;
        found.rest = rest;
    }
    Some(found)
}

/// `Nov 22` is followed by a time (`ls -T`: then by the year) or by a year (VShell: then by a time).
fn after_day_of_some_year<'a>(day: &Day, rest: &'a [u8], now: Timestamp) -> Option<Found<'a>> {
    let (next, after) = word(rest)?;
    let behind = word(after);
    if let Some(clock) = clock(next) {
        // Behind a time without seconds, four digits are the name.
        let given = behind.filter(|_| clock.precision == Precision::Second);
        return match given.and_then(|(word, end)| Some((year(word)?, end))) {
            Some((year, end)) => found(day, year, &clock, end),
            None => latest(day, &clock, after, now),
        };
    }
    let year = year(next)?;
    let time = behind.filter(|_| day.comma);
    match time.and_then(|(word, end)| Some((clock(word)?, end))) {
        Some((clock, end)) => found(day, year, &clock, end),
        None => found(day, year, &MIDNIGHT, after_year(rest, after)),
    }
}

fn found<'a>(day: &Day, year: i64, clock: &Clock, rest: &'a [u8]) -> Option<Found<'a>> {
    let &Clock { hour, minute, second, precision } = clock;
    let civil = Civil { year, month: day.month, day: day.day, hour, minute, second };
    Some(Found { modified: Timestamp::from_civil(civil)?, precision, rest })
}

/// The latest such date that is at most a day ahead of `now`: the server's clock may be in another
/// zone. Nine years back there was a 29 February.
fn latest<'a>(day: &Day, clock: &Clock, rest: &'a [u8], now: Timestamp) -> Option<Found<'a>> {
    let newest = now.civil().year + 1;
    let mut years = (newest - 9..=newest).rev().filter_map(|year| found(day, year, clock, rest));
    years.find(|found| found.modified.seconds <= now.seconds.saturating_add(DAY))
}

/// A year stands right-aligned in five columns, after two blanks. Some `ls` put it left-aligned,
/// after one; then its second blank behind is not the name's (lftp knows them too).
fn after_year<'a>(year_and_rest: &[u8], after: &'a [u8]) -> &'a [u8] {
    let left_aligned = !year_and_rest.get(1).copied().is_some_and(is_blank);
    if left_aligned && after.starts_with(b"  ") { after.get(1..).unwrap_or(after) } else { after }
}

fn month(word: &[u8]) -> Option<u8> {
    let name = word.get(..3)?;
    let index = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    let letters =
        word.iter().all(|&byte| byte.is_ascii_alphabetic() || matches!(byte, b'.' | b','));
    u8::try_from(index + 1).ok().filter(|_| letters)
}

fn year(word: &[u8]) -> Option<i64> {
    if word.len() != 4 {
        return None;
    }
    i64::try_from(decimal(word)?).ok().filter(|&year| year >= 1900)
}

/// A number of one or two digits.
fn small(word: &[u8]) -> Option<u8> {
    if word.len() > 2 {
        return None;
    }
    u8::try_from(decimal(word)?).ok()
}

/// `13:40`, `9:05`, `13:40:48`, `13:40:48.123456789`; the fraction is not kept.
fn clock(word: &[u8]) -> Option<Clock> {
    let whole = word.split(|&byte| byte == b'.').next()?;
    let mut parts = whole.split(|&byte| byte == b':');
    let (hour, minute) = (small(parts.next()?)?, small(parts.next()?)?);
    let (second, precision) = match parts.next() {
        Some(second) => (small(second)?, Precision::Second),
        None => (0, Precision::Minute),
    };
    let fits = parts.next().is_none() && hour < 24 && minute < 60;
    fits.then_some(Clock { hour, minute, second, precision })
}

/// `+0100`: how many seconds the clock on the line is ahead of UTC.
fn zone(word: &[u8]) -> Option<i64> {
    let (sign, digits) = match word {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2).filter(|_| digits.len() == 4)?;
    Some(sign * (i64::from(small(hours)?) * 3600 + i64::from(small(minutes)?) * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    /// 2026-03-01 12:00.
    const NOW: Timestamp = Timestamp::from_seconds(1_772_366_400);

    #[test]
    fn every_order_of_a_date() {
        use Precision::{Day, Minute, Second};
        for (text, date, precision, rest) in [
            ("Nov 22 13:40 a", "20251122134000", Minute, " a"),
            ("Feb  9 03:05  a", "20260209030500", Minute, "  a"),
            ("feb  9 3:05 2024", "20260209030500", Minute, " 2024"),
            ("Nov 22  2024 a", "20241122000000", Day, " a"),
            ("Nov 22  2024  a", "20241122000000", Day, "  a"),
            ("Nov 22 2024  a", "20241122000000", Day, " a"),
            ("Nov 22 2024 13:40 a", "20241122000000", Day, " 13:40 a"),
            ("Oct 08, 2002 09:47 a", "20021008094700", Minute, " a"),
            ("Nov 22 13:40:48 2024 a", "20241122134048", Second, " a"),
            ("Nov 22 13:40:48 a", "20251122134048", Second, " a"),
            ("22 Nov 13:40 a", "20251122134000", Minute, " a"),
            ("22. Nov. 2024 a", "20241122000000", Day, " a"),
            ("4 July 2024 a", "20240704000000", Day, " a"),
            ("2024-11-22 13:40 a", "20241122134000", Minute, " a"),
            ("2024-11-22 13:40 +0100", "20241122134000", Minute, " +0100"),
            ("2024/11/22 13:40 a", "20241122134000", Minute, " a"),
            ("2024.11.22 a", "20241122000000", Day, " a"),
            ("2024-11-22 13:40:48.987654321 +0130 a", "20241122121048", Second, " a"),
            ("2024-11-22 00:10:00 -0100 a", "20241122011000", Second, " a"),
            ("02-09 03:05 a", "20260209030500", Minute, " a"),
            ("02-09  2024 a", "20240209000000", Day, " a"),
        ] {
            let found = parse(text.as_bytes(), NOW).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(found.modified.to_string(), date, "{text}");
            assert_eq!(found.precision, precision, "{text}");
            assert_eq!(found.rest, rest.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_date() {
        for text in [
            "",
            "a",
            "Nov",
            "Nov 22",
            "Nov 22 a",
            "Nov 32 13:40 a",
            "Nov 22 24:00 a",
            "Nov 22 1:60 a",
            "Now 22 13:40 a",
            "22 22 13:40 a",
            "2024-13-22 a",
            "1-2-3 a",
            "2024-1-2-3 a",
            "Nov3 2 13:40",
            "Nov 22 13:40:48:1 a",
            "99999999999999999999 Nov 13:40",
        ] {
            assert!(parse(text.as_bytes(), NOW).is_none(), "{text}");
        }
    }

    #[test]
    fn the_year_that_ls_leaves_out() {
        for (text, date) in [
            ("Mar  2 11:59", "20260302115900"), // less than a day ahead: the server's zone
            ("Mar  2 12:01", "20250302120100"),
            ("Feb 29 12:00", "20240229120000"),
        ] {
            assert_eq!(parse(text.as_bytes(), NOW).unwrap().modified.to_string(), date);
        }
        let new_year_s_eve = Timestamp::parse(b"20261231230000").unwrap();
        let found = parse(b"Jan  1 01:00", new_year_s_eve).unwrap();
        assert_eq!(found.modified.to_string(), "20270101010000");
    }
}
