//! What a status means for the events of a request, for all platforms alike.
//!
//! Only a status about the content of a request can reject an event. Any other status that is not one of success is a
//! failure of the platform, which would refuse other events, too. Those events wait.

use std::time::{Duration, SystemTime};

/// The longest wait that `Retry-After` of a server may ask for; a longer one counts as this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The meaning of a status for the events of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusMeaning {
    /// They are delivered, unless the [platform](crate::Platform::accepted) reads something else in the body.
    Accepted,
    /// One of them is wrong, or they are too large: halves are sent, down to single events, which are rejected.
    WrongContent,
    /// The platform has no time for them at the moment. `Retry-After` may say when it has.
    Busy,
    /// The platform refuses every request of this backend, until a person changes something.
    Refused,
}

impl StatusMeaning {
    /// The meaning of `status`, by RFC 9110, and by RFC 6585 for 429. HTTP counts a status of 600 and more as one of 5xx.
    pub(crate) const fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Accepted,
            400 | 409 | 413 | 422 => Self::WrongContent,
            408 | 425 | 429 | 500.. => Self::Busy,
            _ => Self::Refused,
        }
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
    fn only_a_status_about_the_content_rejects_events() {
        for (statuses, meaning) in [
            (&[200, 202, 204, 299][..], StatusMeaning::Accepted),
            (&[400, 409, 413, 422], StatusMeaning::WrongContent),
            (&[408, 425, 429, 500, 501, 503, 599, 600], StatusMeaning::Busy),
            (&[100, 300, 302, 304, 401, 402, 403, 404, 405, 407, 410, 415, 431, 451], StatusMeaning::Refused),
        ] {
            for status in statuses {
                assert_eq!(StatusMeaning::of(*status), meaning, "{status}");
            }
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
