//! The properties of an event, with the metadata among them.

use jackfield_http_client::OtherMembers;
use jackfield_plugin_api::Event;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The prefix for a key of the metadata that can't be the name of a property.
const PREFIX: &str = "metadata_";

/// Names of properties that the metadata must not set: those of this module, fields of PostHog's events, and names that
/// PostHog reads among the properties when a field is missing.
const RESERVED: [&str; 24] = [
    "event_name",
    "event_type",
    "event_id",
    "tool_name",
    "tool_version",
    "os",
    "arch",
    "os_version",
    "runtime_version",
    "duration_ms",
    "exit_code",
    "error",
    "args",
    "extra",
    "api_key",
    "token",
    "event",
    "uuid",
    "distinct_id",
    "timestamp",
    "sent_at",
    "offset",
    "properties",
    "ip",
];

/// Whether metadata with this key gets [`PREFIX`]. A key that begins with the prefix gets it once more, so no two keys
/// of the metadata become the same property.
fn is_reserved(key: &str) -> bool {
    key.starts_with('$') || key.starts_with(PREFIX) || RESERVED.contains(&key)
}

/// The properties of an event.
pub(crate) struct Properties<'a> {
    pub(crate) event: Event<'a>,
    /// Whether the id is sent in another form.
    pub(crate) keep_id: bool,
    /// Whether the type is sent in another form.
    pub(crate) keep_kind: bool,
}

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = &self.event;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("$lib", "jackfield")?;
        map.serialize_entry("$lib_version", env!("CARGO_PKG_VERSION"))?;
        map.serialize_entry("$geoip_disable", &true)?;
        map.serialize_entry("$process_person_profile", &false)?;
        for (name, text) in [
            ("event_name", event.name()),
            ("event_type", if self.keep_kind { event.kind() } else { "" }),
            ("event_id", if self.keep_id { event.id() } else { "" }),
            ("tool_name", event.tool_name()),
            ("tool_version", event.tool_version()),
            ("$os", event.os()),
            ("arch", event.arch()),
            ("os_version", event.os_version()),
            ("runtime_version", event.runtime_version()),
        ] {
            if !text.is_empty() {
                map.serialize_entry(name, text)?;
            }
        }
        if let Some(duration) = event.duration() {
            let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            map.serialize_entry("duration_ms", &milliseconds)?;
        }
        if let Some(exit_code) = event.exit_code() {
            map.serialize_entry("exit_code", &exit_code)?;
        }
        if let Some(error) = event.error() {
            map.serialize_entry("error", error)?;
        }
        if let Some(args) = event.args() {
            map.serialize_entry("args", &args.collect::<Vec<_>>())?;
        }
        for (key, value) in event.metadata() {
            if is_reserved(key) {
                map.serialize_entry(&format!("{PREFIX}{key}"), value)?;
            } else {
                map.serialize_entry(key, value)?;
            }
        }
        let extra = OtherMembers::of(event.json());
        if !extra.is_empty() {
            map.serialize_entry("extra", &extra)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_mean_something_are_reserved() {
        for reserved in ["$ip", "$set", "$", "tool_name", "extra", "token", "metadata_", "metadata_k"] {
            assert!(is_reserved(reserved), "{reserved}");
        }
        for free in ["", "k", "toolname", "Tool_Name", "metadata", "a$", " $ip", "name", "type"] {
            assert!(!is_reserved(free), "{free}");
        }
        assert!(!RESERVED.iter().any(|name| name.starts_with(PREFIX)));
    }
}
