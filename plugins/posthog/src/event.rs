//! Writes an event in PostHog's form.

use std::borrow::Cow;

use jackfield_http_client::{typed_metadata, write_common, write_texts};
use jackfield_plugin_api::Event;
use serde::{Serialize, Serializer, ser::SerializeMap};
use uuid::Uuid;

/// Characters of `event` and of `distinct_id` that PostHog keeps.
const LONGEST_NAME: usize = 200;

#[derive(Serialize)]
struct Captured<'a> {
    uuid: Uuid,
    event: &'a str,
    distinct_id: &'a str,
    properties: Properties<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    timestamp: &'a str,
}

/// Appends the event in PostHog's form.
///
/// # Errors
/// Why PostHog would drop or change it without a message.
pub(crate) fn encode(event: Event<'_>, entry: &mut Vec<u8>) -> Result<(), String> {
    let distinct_id = event.machine_id();
    if distinct_id.trim().is_empty() {
        return Err("the event has no machine_id, without which PostHog drops it".to_owned());
    }
    let length = distinct_id.chars().count();
    if length > LONGEST_NAME {
        return Err(format!("machine_id has {length} characters; PostHog keeps {LONGEST_NAME}"));
    }
    let (uuid, id_is_uuid) = uuid(event.id());
    let name = name(event.kind());
    if name.trim().is_empty() {
        return Err("the event has no type, without which PostHog drops it".to_owned());
    }
    let captured = Captured {
        uuid,
        event: &name,
        distinct_id,
        properties: Properties { event, keep_id: !id_is_uuid, keep_kind: *name != *event.kind() },
        timestamp: event.timestamp(),
    };
    serde_json::to_writer(entry, &captured).map_err(|error| error.to_string())
}

/// The UUID for an id, and whether its text is the id.
fn uuid(id: &str) -> (Uuid, bool) {
    match Uuid::try_parse(id) {
        Ok(uuid) => (uuid, uuid.hyphenated().to_string() == id),
        Err(_) => {
            let name = format!("jackfield:event:{id}");
            (Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()), false)
        }
    }
}

/// PostHog's name of an event of this type. Names that begin with a dollar sign are PostHog's own; it drops some of
/// them when no person profile is made.
fn name(kind: &str) -> Cow<'_, str> {
    let name = if kind.starts_with('$') { Cow::Owned(format!("event_{kind}")) } else { Cow::Borrowed(kind) };
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => Cow::Owned(name[..end].to_owned()),
        None => name,
    }
}

/// The prefix for a key of the metadata that can't be the name of a property.
const PREFIX: &str = "metadata_";

/// Names of properties that the metadata must not set: those of this file, fields of PostHog's events, and names that
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
struct Properties<'a> {
    event: Event<'a>,
    /// Whether the id is sent in another form.
    keep_id: bool,
    /// Whether the type is sent in another form.
    keep_kind: bool,
}

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = &self.event;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("$lib", "jackfield")?;
        map.serialize_entry("$lib_version", env!("CARGO_PKG_VERSION"))?;
        map.serialize_entry("$geoip_disable", &true)?;
        map.serialize_entry("$process_person_profile", &false)?;
        let texts = [
            ("event_name", event.name()),
            ("event_type", if self.keep_kind { event.kind() } else { "" }),
            ("event_id", if self.keep_id { event.id() } else { "" }),
            ("$os", event.os()),
        ];
        write_texts(&mut map, &texts)?;
        write_common(&mut map, event)?;
        if let Some(error) = event.error() {
            map.serialize_entry("error", error)?;
        }
        for (key, value) in typed_metadata(event) {
            if is_reserved(key) {
                map.serialize_entry(&format!("{PREFIX}{key}"), &value)?;
            } else {
                map.serialize_entry(key, &value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_other_id_becomes_a_stable_uuid() {
        let id = "01920000-0000-7000-8000-000000000001";
        assert_eq!(uuid(id), (Uuid::try_parse(id).expect("a UUID"), true));
        // Another spelling is the same UUID with another text.
        assert_eq!(uuid("01920000000070008000000000000001"), (Uuid::try_parse(id).expect("a UUID"), false));
        assert!(!uuid("01920000-0000-7000-8000-00000000000A").1);
        let made = |id| uuid(id).0.to_string();
        // The result of Python's `uuid.uuid5(uuid.NAMESPACE_URL, "jackfield:event:evt-1")`.
        assert_eq!(made("evt-1"), "b6906dfa-9a7b-5aac-bc69-bdc5cb504d62");
        assert_ne!(made("evt-1"), made("evt-2"));
    }

    #[test]
    fn a_type_is_the_name_unless_posthog_would_change_it() {
        assert_eq!(name("command.invocation"), "command.invocation");
        assert_eq!(name("$identify"), "event_$identify");
        assert_eq!(name(&"ü".repeat(300)), "ü".repeat(200));
        assert_eq!(name(&"x".repeat(200)), "x".repeat(200));
    }

    #[test]
    fn only_keys_with_a_meaning_are_reserved() {
        for reserved in ["$ip", "$set", "$", "tool_name", "extra", "token", "metadata_", "metadata_k"] {
            assert!(is_reserved(reserved), "{reserved}");
        }
        for free in ["", "k", "toolname", "Tool_Name", "metadata", "a$", " $ip", "name", "type"] {
            assert!(!is_reserved(free), "{free}");
        }
        assert!(!RESERVED.iter().any(|name| name.starts_with(PREFIX)));
    }
}
