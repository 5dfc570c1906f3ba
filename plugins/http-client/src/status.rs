//! The meaning of a status for the events of a request.

use std::time::{Duration, SystemTime};

/// The longest wait that `Retry-After` of a server may ask for; a longer one counts as this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The meaning of an answer's status for the events of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMeaning {
    /// They are delivered, unless the [platform](crate::Platform::accepted) reads something else in the body.
    Accepted,
    /// They may be sent again, as `Retry-After` says.
    Retry,
    /// They will never be accepted.
    Rejected,
    /// The body is too large: halves are sent, down to single events, which are rejected.
    TooLarge,
}

/// The meaning of each status of a platform: a constant in the plugin.
#[derive(Clone, Copy, Debug)]
pub struct StatusTable {
    rows: &'static [(u16, u16, StatusMeaning)],
    otherwise: StatusMeaning,
}

impl StatusTable {
    /// `rows` are `(first, last, meaning)`; the first row that matches counts. `otherwise` is for statuses without a
    /// row.
    ///
    /// Two cases come before any table: the redirects 301, 302, 307 and 308 with a `Location`, and 407, which comes
    /// from a proxy and not from the platform (retry).
    #[must_use]
    pub const fn new(rows: &'static [(u16, u16, StatusMeaning)], otherwise: StatusMeaning) -> Self {
        Self { rows, otherwise }
    }

    /// The meaning of `status`.
    #[must_use]
    pub fn meaning(&self, status: u16) -> StatusMeaning {
        if status == 407 {
            return StatusMeaning::Retry;
        }
        self.rows
            .iter()
            .find(|(first, last, _)| (*first..=*last).contains(&status))
            .map_or(self.otherwise, |(_, _, meaning)| *meaning)
    }
}

/// The wait that a `Retry-After` header asks for at the time `now`: whole seconds, or a date, which means no wait once
/// it has passed. `None` when it is neither.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(LONGEST_RETRY_AFTER, Duration::from_secs)
    } else {
        httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_that_fits_counts() {
        const TABLE: StatusTable = StatusTable::new(
            &[
                (200, 299, StatusMeaning::Accepted),
                (429, 429, StatusMeaning::Retry),
                (400, 499, StatusMeaning::Rejected),
            ],
            StatusMeaning::Retry,
        );
        for (status, meaning) in [
            (200, StatusMeaning::Accepted),
            (299, StatusMeaning::Accepted),
            (429, StatusMeaning::Retry),
            (428, StatusMeaning::Rejected),
            (407, StatusMeaning::Retry),
            (599, StatusMeaning::Retry),
        ] {
            assert_eq!(TABLE.meaning(status), meaning, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let at = |seconds: u64| httpdate::fmt_http_date(now + Duration::from_secs(seconds));
        for (value, wait) in [
            ("7".to_owned(), Some(7)),
            (" 0 ".to_owned(), Some(0)),
            (at(90), Some(90)),
            ("Wed, 21 Oct 2015 07:28:00 GMT".to_owned(), Some(0)),
            (at(1_000_000), Some(86_400)),
            ("99999999999999999999999".to_owned(), Some(86_400)),
            ("soon".to_owned(), None),
            ("-1".to_owned(), None),
            ("1.5".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(retry_after(&value, now), wait.map(Duration::from_secs), "{value:?}");
        }
    }
}
