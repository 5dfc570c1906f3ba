//! Times as RFC 3339 writes them.
//!
//! The formulas between days and dates are those of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
//! `days_from_civil` and `civil_from_days`. Years begin with March, so that the leap day is the last one, and are counted in
//! eras of 400 years.

use std::time::{Duration, SystemTime};

const DAY: i64 = 24 * 60 * 60;
const DAYS_OF_ERA: i64 = 146_097;
/// The days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// The days from 1970 to a date.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (month * 153 + 2) / 5 + day - 1;
    era * DAYS_OF_ERA + year * 365 + year / 4 - year / 100 + day_of_year - EPOCH
}

/// Year, month and day.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, day) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let year = (day - day / 1460 + day / 36_524 - day / (DAYS_OF_ERA - 1)) / 365;
    let day_of_year = day - (year * 365 + year / 4 - year / 100);
    let month = (day_of_year * 5 + 2) / 153;
    let day = day_of_year - (month * 153 + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (era * 400 + year, month, day)
}

/// A point in time in UTC with exactly six digits of a second, so that it sorts as text. The text is kept from one event to
/// the next, because most of it stays the same.
#[derive(Debug, Clone)]
pub(crate) struct Timestamp {
    /// The time since 1970.
    since: Duration,
    text: [u8; 27],
}

impl Default for Timestamp {
    fn default() -> Self {
        Self { since: Duration::ZERO, text: *b"1970-01-01T00:00:00.000000Z" }
    }
}

impl Timestamp {
    /// The time now.
    pub(crate) fn now() -> Self {
        let mut now = Self::default();
        now.set(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        now
    }

    /// Sets the time, `since` 1970. A clock beyond the year 9999 gives the last second of that year.
    pub(crate) fn set(&mut self, since: Duration) {
        const LAST: u64 = 253_402_300_799;
        if since.as_secs() != self.since.as_secs() {
            let seconds = since.as_secs().min(LAST) as i64;
            let (year, month, day) = date_of(seconds / DAY);
            let second = seconds % DAY;
            self.digits(0, 4, year);
            for (at, number) in
                [(5, month), (8, day), (11, second / 3600), (14, second / 60 % 60), (17, second % 60)]
            {
                self.digits(at, 2, number);
            }
        }
        self.digits(20, 6, since.subsec_micros().into());
        self.since = since;
    }

    fn digits(&mut self, at: usize, count: usize, mut number: i64) {
        for digit in self.text[at..at + count].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }

    /// The text, which is ASCII.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The time that the text says, in nanoseconds since 1970; at most that of the year 2262.
    pub(crate) fn unix_nanos(&self) -> i64 {
        i64::try_from(self.since.as_micros()).unwrap_or(i64::MAX).saturating_mul(1000)
    }
}

/// `text` in nanoseconds since 1970; `None` when it is not RFC 3339, or when the number has more than 64 bits. A second has
/// at most 9 digits behind its point. A leap second counts as the second before it.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (local, rest) = text.as_bytes().split_at_checked(19)?;
    let is_mark = |(at, mark): (usize, u8)| local[at] == mark || (at == 10 && local[at] == b't');
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let (year, month, day) = (number(&local[..4])?, number(&local[5..7])?, number(&local[8..10])?);
    let (hour, minute, second) = (number(&local[11..13])?, number(&local[14..16])?, number(&local[17..])?);
    if !marks.into_iter().all(is_mark)
        || !(1..=12).contains(&month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let days = days_of(year, month, day);
    // A day that the month does not have is one of another month.
    if date_of(days) != (year, month, day) {
        return None;
    }
    let (nanoseconds, offset) = match rest {
        [b'.', rest @ ..] => {
            let (digits, offset) =
                rest.split_at(rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
            let scale = 9_usize.checked_sub(digits.len()).filter(|_| !digits.is_empty())?;
            (number(digits)? * 10_i64.pow(scale as u32), offset)
        }
        offset => (0, offset),
    };
    let offset = match *offset {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if sign == b'+' { 60 } else { -60 }
        }
        _ => return None,
    };
    let seconds = days * DAY + (hour * 60 + minute) * 60 + second.min(59) - offset;
    // A leap second comes at the end of a month in UTC (RFC 3339, 5.7).
    if second == 60 && ((seconds + 1) % DAY != 0 || date_of((seconds + 1) / DAY).2 != 1) {
        return None;
    }
    // Before 1970, the product can be below the range, and the sum within it.
    i64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)).ok()
}

/// The number that some decimal digits say, and nothing else.
fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a date library makes of the text.
    fn known(text: &str) -> Option<i64> {
        i64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_nanosecond()).ok()
    }

    #[test]
    fn a_timestamp_is_what_a_date_library_makes_of_it() {
        let mut time = Timestamp::default();
        for micros in [0, 1, 999_999, 1_000_000, 1_767_323_045_123_456, 1_767_323_045_000_001, 7] {
            time.set(Duration::from_micros(micros));
            let expected = jiff::Timestamp::from_microsecond(micros as i64).expect("in range");
            assert_eq!(time.text(), format!("{expected:.6}"));
            assert_eq!(time.unix_nanos(), micros as i64 * 1000);
        }
        time.set(Duration::from_secs(u64::MAX));
        assert_eq!(time.text(), "9999-12-31T23:59:59.000000Z");
    }

    #[test]
    fn every_day_of_400_years_has_its_date() {
        let first = days_of(1900, 1, 1);
        let mut expected = jiff::civil::date(1900, 1, 1);
        for days in first..first + DAYS_OF_ERA {
            let date = (expected.year().into(), expected.month().into(), expected.day().into());
            assert_eq!(date_of(days), date);
            assert_eq!(days_of(date.0, date.1, date.2), days);
            expected = expected.tomorrow().expect("in range");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_text_is_read_as_a_date_library_reads_it(
            text in "(0000|1[6-9][0-9]{2}|2[0-9]{3})-[01][0-9]-[0-3][0-9][Tt][0-2][0-9]:[0-6][0-9]:[0-5][0-9]\
                (\\.[0-9]{1,9})?([Zz]|[+-][01][0-9]:[0-5][0-9])"
        ) {
            proptest::prop_assert_eq!(parse(&text), known(&text));
        }

        #[test]
        fn a_written_time_is_read_again(micros in 0..9_000_000_000_000_000_u64) {
            let mut time = Timestamp::default();
            time.set(Duration::from_micros(micros));
            proptest::prop_assert_eq!(parse(time.text()), Some(time.unix_nanos()));
        }
    }
}
