//! The log of an event.

use std::time::{Duration, SystemTime};

use jackfield_http_client::OtherMembers;
use jackfield_plugin_api::Event;
use serde::{Serialize, Serializer};

use crate::tags;

/// The greatest age of an event when it is sent: Datadog's limit minus a reserve for the transport.
const OLDEST: Duration = Duration::from_secs(18 * 60 * 60 - 5 * 60);

/// The values that the configuration adds to each log.
pub(crate) struct LogOptions {
    pub(crate) source: String,
    pub(crate) service: Option<String>,
    /// Tags as they are sent, separated by commas.
    pub(crate) tags: String,
}

/// How Datadog treats an event's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Age {
    /// Datadog accepts it, or there is no time.
    Taken,
    /// Datadog does not accept it.
    Old {
        /// Hours from the event until now.
        hours: f64,
    },
}

impl Age {
    pub(crate) fn of(event: &Event<'_>, now: SystemTime) -> Self {
        if event.timestamp().is_empty() {
            return Self::Taken;
        }
        Self::at(event.time_unix_nanos(), now)
    }

    fn at(unix_nanos: i64, now: SystemTime) -> Self {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let age = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX) - i128::from(unix_nanos);
        if age <= OLDEST.as_nanos() as i128 {
            return Self::Taken;
        }
        Self::Old { hours: age as f64 / 3.6e12 }
    }
}

/// A log, in the shape of the intake's version 2.
#[derive(Serialize)]
pub(crate) struct Log<'a> {
    #[serde(serialize_with = "message")]
    message: (&'a str, &'a str),
    ddsource: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    ddtags: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    hostname: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    service: &'a str,
    /// Datadog takes it as the log's own date.
    #[serde(skip_serializing_if = "str::is_empty")]
    timestamp: &'a str,
    /// Replaces `timestamp` when that is too old. It is an ordinary attribute.
    #[serde(skip_serializing_if = "str::is_empty")]
    event_timestamp: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    tool_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    tool_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    os: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    arch: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    os_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    runtime_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    /// In nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<LogError<'a>>,
    #[serde(serialize_with = "args", skip_serializing_if = "no_args")]
    args: Event<'a>,
    #[serde(serialize_with = "metadata", skip_serializing_if = "no_metadata")]
    metadata: Event<'a>,
    #[serde(skip_serializing_if = "OtherMembers::is_empty")]
    extra: OtherMembers<'a>,
}

#[derive(Serialize)]
struct LogError<'a> {
    message: &'a str,
}

impl<'a> Log<'a> {
    pub(crate) fn of(event: &Event<'a>, age: Age, options: &'a LogOptions) -> Self {
        let duration_ms = event.duration().and_then(|duration| u64::try_from(duration.as_millis()).ok());
        let (timestamp, event_timestamp) = match age {
            Age::Taken => (event.timestamp(), ""),
            Age::Old { .. } => ("", event.timestamp()),
        };
        Self {
            message: (event.kind(), event.name()),
            ddsource: &options.source,
            ddtags: all_tags(event, options),
            hostname: event.machine_id(),
            service: options.service.as_deref().unwrap_or(event.tool_name()),
            timestamp,
            event_timestamp,
            id: event.id(),
            kind: event.kind(),
            name: event.name(),
            tool_name: event.tool_name(),
            tool_version: event.tool_version(),
            os: event.os(),
            arch: event.arch(),
            os_version: event.os_version(),
            runtime_version: event.runtime_version(),
            duration_ms,
            duration: duration_ms
                .and_then(|ms| ms.checked_mul(1_000_000))
                .and_then(|nanoseconds| i64::try_from(nanoseconds).ok()),
            exit_code: event.exit_code(),
            error: event.error().map(|message| LogError { message }),
            args: *event,
            metadata: *event,
            extra: OtherMembers::of(event.json()),
        }
    }
}

fn all_tags(event: &Event<'_>, options: &LogOptions) -> String {
    let mut all = String::with_capacity(128 + options.tags.len());
    for (key, value) in [
        ("event_type", event.kind()),
        ("tool_version", event.tool_version()),
        ("os", event.os()),
        ("arch", event.arch()),
    ] {
        tags::push(&mut all, key, value);
    }
    if !all.is_empty() && !options.tags.is_empty() {
        all.push(',');
    }
    all.push_str(&options.tags);
    all
}

fn message<S: Serializer>((kind, name): &(&str, &str), serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{kind}: {name}"))
}

fn args<S: Serializer>(event: &Event<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(event.args().into_iter().flatten())
}

fn no_args(event: &Event<'_>) -> bool {
    event.args().is_none()
}

fn metadata<S: Serializer>(event: &Event<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(event.metadata())
}

fn no_metadata(event: &Event<'_>) -> bool {
    event.metadata().len() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_old_five_minutes_before_datadog_says_so() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let at = |seconds_ago: i64| Age::at((1_700_000_000 - seconds_ago) * 1_000_000_000, now);
        for taken in [0, 3600, 17 * 3600, 18 * 3600 - 300, -3600] {
            assert_eq!(at(taken), Age::Taken, "{taken}");
        }
        for old in [18 * 3600 - 299, 18 * 3600, 19 * 3600] {
            assert!(matches!(at(old), Age::Old { .. }), "{old}");
        }
        assert_eq!(at(36 * 3600), Age::Old { hours: 36.0 });
        assert!(matches!(Age::at(i64::MIN, now), Age::Old { .. }));
        assert_eq!(Age::at(i64::MAX, now), Age::Taken);
    }
}
