//! Members of an event in the JSON of a platform.

use std::{borrow::Cow, fmt};

use jackfield_plugin_api::Event;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::RawValue;

/// Writes the texts that are not empty as members of `map`.
///
/// # Errors
/// Those of the serializer.
pub fn write_texts<M: SerializeMap>(map: &mut M, texts: &[(&str, &str)]) -> Result<(), M::Error> {
    let mut filled = texts.iter().filter(|(_, text)| !text.is_empty());
    filled.try_for_each(|(name, text)| map.serialize_entry(name, text))
}

/// Writes those fields of an event that are members of the same name in several platforms: tool, architecture, versions,
/// duration, exit code and arguments. The members of the event's JSON that have no field become the member `extra`.
///
/// # Errors
/// Those of the serializer.
pub fn write_common<M: SerializeMap>(map: &mut M, event: &Event<'_>) -> Result<(), M::Error> {
    let texts = [
        ("tool_name", event.tool_name()),
        ("tool_version", event.tool_version()),
        ("arch", event.arch()),
        ("os_version", event.os_version()),
        ("runtime_version", event.runtime_version()),
    ];
    write_texts(map, &texts)?;
    if let Some(duration) = event.duration() {
        map.serialize_entry("duration_ms", &u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))?;
    }
    if let Some(exit_code) = event.exit_code() {
        map.serialize_entry("exit_code", &exit_code)?;
    }
    if let Some(args) = event.args() {
        map.serialize_entry("args", &args.collect::<Vec<_>>())?;
    }
    let extra = OtherMembers::of(event.json());
    if !extra.is_empty() {
        map.serialize_entry("extra", &extra)?;
    }
    Ok(())
}

/// The value of a name of an event's metadata.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum MetadataValue<'a> {
    /// A text.
    Text(&'a str),
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(serde_json::Number),
}

/// The metadata of an event, in order, with the types of its JSON. [`Event::metadata`] has the text of each value.
pub fn typed_metadata<'a>(event: &Event<'a>) -> impl Iterator<Item = (&'a str, MetadataValue<'a>)> {
    // Most events have texts alone, and their JSON need not be read for that.
    let may_be_other = |(_, text): (&str, &str)| {
        matches!(text, "true" | "false")
            || text.starts_with(|first: char| first.is_ascii_digit() || first == '-')
    };
    let mut types = match event.metadata().any(may_be_other) {
        true => serde_json::from_str::<Types>(event.json()).unwrap_or_default().metadata,
        false => serde_json::Map::new(),
    };
    event.metadata().map(move |(name, text)| {
        let value = match types.remove(name) {
            Some(serde_json::Value::Bool(value)) => MetadataValue::Boolean(value),
            Some(serde_json::Value::Number(number)) => MetadataValue::Number(number),
            _ => MetadataValue::Text(text),
        };
        (name, value)
    })
}

/// The member of an event's JSON that has types of its own.
#[derive(Default, Deserialize)]
struct Types {
    metadata: serde_json::Map<String, serde_json::Value>,
}

/// The members that [`Event`] has accessors for.
const FIELDS: [&str; 16] = [
    "id",
    "timestamp",
    "type",
    "name",
    "machine_id",
    "tool_name",
    "version",
    "os",
    "arch",
    "os_version",
    "runtime_version",
    "duration_ms",
    "exit_code",
    "args",
    "error",
    "metadata",
];

/// The other members of an event, which tools add as they like. A plugin that maps fields to a platform's own fields
/// passes these on, too, so no part of an event is lost. Serialized as an object.
#[derive(Debug, Default)]
pub struct OtherMembers<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> OtherMembers<'a> {
    /// Reads them from an event's JSON. There are none when it is not a JSON object, which a host never sends.
    #[must_use]
    pub fn of(json: &'a str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// Whether there are none, as with most events.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for OtherMembers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for OtherMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = OtherMembers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut others = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            if FIELDS.contains(&&*name) {
                map.next_value::<IgnoredAny>()?;
            } else {
                others.push((name, map.next_value()?));
            }
        }
        Ok(OtherMembers(others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_members_are_kept_as_they_are() {
        let json =
            r#"{"id":"1","x":1.50,"type":"t","metadata":{"x":"y"},"qu\"ote":[{"a":null}],"error":null}"#;
        let others = OtherMembers::of(json);
        assert!(!others.is_empty());
        assert_eq!(serde_json::to_string(&others).expect("JSON"), r#"{"x":1.50,"qu\"ote":[{"a":null}]}"#);
        for none in [r#"{"id":"1","version":"2"}"#, "{}", "", "[1]", r#"{"x":"#] {
            assert!(OtherMembers::of(none).is_empty(), "{none}");
        }
    }
}
