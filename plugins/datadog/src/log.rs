//! The log of an event.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use jackfield_http_client::{typed_metadata, write_common, write_texts};
use jackfield_plugin_api::Event;
use serde::{Serialize, Serializer, ser::SerializeMap};

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
pub(crate) struct Log<'a> {
    pub(crate) event: Event<'a>,
    pub(crate) age: Age,
    pub(crate) options: &'a LogOptions,
}

impl Serialize for Log<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { event, age, options } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("message", &format_args!("{}: {}", event.kind(), event.name()))?;
        map.serialize_entry("ddsource", &options.source)?;
        let tags = all_tags(event, options);
        let texts = [
            ("ddtags", tags.as_str()),
            ("hostname", event.machine_id()),
            ("service", options.service.as_deref().unwrap_or(event.tool_name())),
            // Datadog takes `timestamp` as the log's own date. `event_timestamp` is an ordinary attribute.
            (if *age == Age::Taken { "timestamp" } else { "event_timestamp" }, event.timestamp()),
            ("id", event.id()),
            ("type", event.kind()),
            ("name", event.name()),
            ("os", event.os()),
        ];
        write_texts(&mut map, &texts)?;
        write_common(&mut map, event)?;
        let nanoseconds = event.duration().and_then(|duration| i64::try_from(duration.as_nanos()).ok());
        if let Some(nanoseconds) = nanoseconds {
            map.serialize_entry("duration", &nanoseconds)?;
        }
        if let Some(message) = event.error() {
            map.serialize_entry("error", &BTreeMap::from([("message", message)]))?;
        }
        if event.metadata().len() > 0 {
            map.serialize_entry("metadata", &typed_metadata(event).collect::<BTreeMap<_, _>>())?;
        }
        map.end()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_old_five_minutes_before_the_limit() {
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
