//! What an answer means for the events of a request and for a probe, for all platforms alike.
//!
//! Only a status about the content of a request can reject an event. Any other status that is not one of success is a
//! failure of the platform, which would refuse other events, too. Those events wait.

use std::time::{Duration, SystemTime};

/// The longest wait that `Retry-After` of a server may ask for; a longer one counts as this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// What servers say in an answer of 400 to a request without TLS at a port for TLS: Go, nginx, Apache.
const SAID_AT_A_TLS_PORT: [&[u8]; 3] = [
    b"HTTP request to an HTTPS server",
    b"plain HTTP request was sent to HTTPS port",
    b"speaking plain HTTP to an SSL-enabled server port",
];

/// The meaning of an answer for the events of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusMeaning {
    /// They are delivered, unless the [platform](crate::Platform::accepted) reads something else in the body.
    Accepted,
    /// One of them is wrong: halves are sent, down to single events, which are rejected.
    WrongContent,
    /// They are too large for a request: the same.
    TooLarge,
    /// The platform has no time for them at the moment. `Retry-After` may say when it has.
    Busy,
    /// The platform refuses the credentials.
    RefusesCredentials,
    /// Nothing takes events at this address.
    TakesNothing,
    /// The port is one for TLS, and the request came without it.
    NeedsTls,
    /// The platform refuses every request of this backend for another reason.
    Refused,
}

impl StatusMeaning {
    /// The meaning of `status`, by RFC 9110, and by RFC 6585 for 429. HTTP counts a status of 600 and more as one of 5xx.
    pub(crate) const fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Accepted,
            400 | 409 | 422 => Self::WrongContent,
            413 => Self::TooLarge,
            401 | 403 => Self::RefusesCredentials,
            408 | 425 | 429 | 500.. => Self::Busy,
            0..=399 | 404 | 405 | 407 | 410 => Self::TakesNothing,
            _ => Self::Refused,
        }
    }

    /// The meaning of `status` with this `body`, when the request was sent with TLS or without.
    pub(crate) fn of_answer(status: u16, body: &[u8], tls: bool) -> Self {
        let says = |words: &&[u8]| body.windows(words.len()).any(|part| part == *words);
        if status == 400 && !tls && SAID_AT_A_TLS_PORT.iter().any(says) {
            return Self::NeedsTls;
        }
        Self::of(status)
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
            (&[400, 409, 422], StatusMeaning::WrongContent),
            (&[413], StatusMeaning::TooLarge),
            (&[408, 425, 429, 500, 501, 503, 599, 600], StatusMeaning::Busy),
            (&[401, 403], StatusMeaning::RefusesCredentials),
            (&[100, 300, 302, 304, 404, 405, 407, 410], StatusMeaning::TakesNothing),
            (&[402, 406, 411, 415, 431, 451], StatusMeaning::Refused),
        ] {
            for status in statuses {
                assert_eq!(StatusMeaning::of(*status), meaning, "{status}");
            }
        }
    }

    #[test]
    fn a_port_for_tls_rejects_no_event() {
        for body in [
            &b"Client sent an HTTP request to an HTTPS server.\n"[..],
            b"<html><center>The plain HTTP request was sent to HTTPS port</center></html>",
            b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
        ] {
            assert_eq!(StatusMeaning::of_answer(400, body, false), StatusMeaning::NeedsTls);
            assert_eq!(StatusMeaning::of_answer(400, body, true), StatusMeaning::WrongContent);
            assert_eq!(StatusMeaning::of_answer(422, body, false), StatusMeaning::WrongContent);
        }
        assert_eq!(StatusMeaning::of_answer(400, b"no such field", false), StatusMeaning::WrongContent);
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
