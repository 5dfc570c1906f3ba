//! The metadata of a plugin.

use std::borrow::Cow;
use std::fmt;

use jackfield_plugin_api::metadata::FORMAT;
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::error::{InspectError, starts_with};
use crate::boundary::text::ForeignText;

/// Most entries in a list of capabilities.
const LIST_LIMIT: usize = 64;

/// The metadata of a plugin. No text has a control character.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Metadata {
    /// Name.
    #[serde(deserialize_with = "named")]
    pub name: ForeignText,
    /// Version.
    #[serde(deserialize_with = "printable")]
    pub version: ForeignText,
    /// Vendor, or empty.
    #[serde(deserialize_with = "printable")]
    pub vendor: ForeignText,
    /// Description, or empty.
    #[serde(deserialize_with = "printable")]
    pub description: ForeignText,
    /// The ABI that it was built against.
    pub abi: Abi,
    /// Digest of the surface that it was built against, 16 hexadecimal digits.
    #[serde(deserialize_with = "digest")]
    pub digest: String,
    /// Capabilities that the host must have.
    #[serde(deserialize_with = "list")]
    pub requires: Vec<ForeignText>,
    /// Capabilities of the plugin.
    #[serde(deserialize_with = "list")]
    pub offers: Vec<ForeignText>,
    /// Whether only one call at a time may enter it.
    pub serial: bool,
    /// Whether "delivered" means that the platform has acknowledged the event. A backend that can't know says no.
    #[serde(default = "yes")]
    pub acknowledges: bool,
    /// Target triple.
    #[serde(deserialize_with = "printable")]
    pub target: ForeignText,
    /// The effect of a panic.
    pub panic: PanicStrategy,
    /// The process that it has to run in.
    #[serde(default)]
    pub isolation: IsolationNeed,
    /// Language of the source.
    #[serde(deserialize_with = "printable")]
    pub language: ForeignText,
    /// Compiler.
    #[serde(deserialize_with = "printable")]
    pub compiler: ForeignText,
    /// JSON Schema of the backend's configuration, as JSON text.
    #[serde(deserialize_with = "schema")]
    pub config_schema: Option<Box<RawValue>>,
}

const fn yes() -> bool {
    true
}

/// A version of the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct Abi {
    /// Decides whether a plugin can be loaded.
    pub major: u32,
    /// Decides which optional tables the plugin may have.
    pub minor: u32,
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The effect of a panic in a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PanicStrategy {
    /// It unwinds, and the plugin catches it.
    Unwind,
    /// It ends the process.
    Abort,
    /// The language has none.
    None,
}

/// The process that a plugin has to run in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum IsolationNeed {
    /// The tool's process, or one of its own.
    #[default]
    Thread,
    /// One of its own.
    Process,
}

pub(crate) fn parse(json: &str) -> Result<Metadata, InspectError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    must_be_an_object(json)?;
    // The format decides which members there are.
    let Format { format } = deserialize(json)?;
    if format != FORMAT {
        return Err(InspectError::MetadataMember {
            member: "format".into(),
            detail: format!("expected {FORMAT}, found {format}, which takes a newer host").into(),
        });
    }
    deserialize(json)
}

/// Fails unless the text is one JSON object. What fails later is a member of it.
fn must_be_an_object(json: &str) -> Result<(), InspectError> {
    let refused = |detail: &str| InspectError::MetadataNotJson {
        detail: ForeignText::cut(detail, 300),
        start: starts_with(json.as_bytes()),
    };
    serde_json::from_str::<IgnoredAny>(json).map_err(|error| refused(&error.to_string()))?;
    if json.trim_start().starts_with('{') { Ok(()) } else { Err(refused("it is another value")) }
}

fn deserialize<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, InspectError> {
    serde_json::from_str(json).map_err(|error| {
        let path = path_at(json, offset(json, error.line(), error.column()));
        let mut detail = error.to_string();
        if let Some(position) = detail.rfind(" at line ") {
            detail.truncate(position);
        }
        // A missing member has no path. The message names it.
        let member = if path.is_empty() { "the object".to_owned() } else { format!("`{path}`") };
        InspectError::MetadataMember {
            member: ForeignText::cut(&member, 100),
            detail: ForeignText::cut(&detail, 300),
        }
    })
}

/// The index of the byte at a place of an error, whose line and column count from 1.
fn offset(json: &str, line: usize, column: usize) -> usize {
    let before: usize = json.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    before + column.saturating_sub(1)
}

/// The path of the innermost value that has the byte at `offset`, such as `abi.major` or `requires[0]`; empty for the object.
fn path_at(json: &str, offset: usize) -> String {
    let (mut path, mut value) = (String::new(), json);
    while value.starts_with(['{', '[']) {
        let mut deserializer = serde_json::Deserializer::from_str(value);
        let Ok(Some((step, inner))) = deserializer.deserialize_any(ValueAt { json, offset }) else { break };
        path += if path.is_empty() { step.trim_start_matches('.') } else { &step };
        value = inner.get();
    }
    path
}

/// Finds the member or item that has the byte at `offset` of `json`, and the step to it. Keeps no other one.
struct ValueAt<'a> {
    json: &'a str,
    offset: usize,
}

impl ValueAt<'_> {
    fn is_in(&self, value: &RawValue) -> bool {
        let start = value.get().as_ptr() as usize - self.json.as_ptr() as usize;
        (start..start + value.get().len()).contains(&self.offset)
    }
}

impl<'de> Visitor<'de> for ValueAt<'_> {
    type Value = Option<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some((name, value)) = members.next_entry::<Cow<'_, str>, &RawValue>()? {
            if self.is_in(value) {
                found = Some((format!(".{name}"), value));
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut at, mut found) = (0, None);
        while let Some(value) = items.next_element::<&RawValue>()? {
            if self.is_in(value) {
                found = Some((format!("[{at}]"), value));
            }
            at += 1;
        }
        Ok(found)
    }
}

/// Reads a string by `check`, which returns what is wrong with it. The visitor makes the error one of the string's place.
struct Checked<T>(fn(&str) -> Result<T, String>);

impl<T> Visitor<'_> for Checked<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

fn check_printable(text: &str) -> Result<ForeignText, String> {
    if text.chars().any(char::is_control) {
        return Err("a control character in text that people read".to_owned());
    }
    Ok(text.into())
}

fn printable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ForeignText, D::Error> {
    deserializer.deserialize_str(Checked(check_printable))
}

fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ForeignText, D::Error> {
    deserializer.deserialize_str(Checked(|text| match text {
        "" => Err("expected a name, found an empty string".to_owned()),
        name => check_printable(name),
    }))
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_str(Checked(|digest| {
        let hex = digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digest.len() == 16 && hex {
            return Ok(digest.to_owned());
        }
        Err(format!("expected 16 hexadecimal digits (0-9, a-f), found {:?}", ForeignText::cut(digest, 40)))
    }))
}

fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ForeignText>, D::Error> {
    #[derive(Deserialize)]
    struct Entry(#[serde(deserialize_with = "printable")] ForeignText);

    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<ForeignText>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {LIST_LIMIT} strings")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(Entry(entry)) = seq.next_element()? {
                if list.len() == LIST_LIMIT {
                    return Err(de::Error::invalid_length(LIST_LIMIT + 1, &self));
                }
                list.push(entry);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(List)
}

fn schema<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    match raw.get().as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'{' | b't' | b'f') => Ok(Some(raw.to_owned())),
        _ => Err(de::Error::custom("expected a JSON Schema (an object or a boolean) or null")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in super::super) fn good() -> Value {
        json!({
            "format": 1, "name": "x", "version": "1.0.0", "vendor": "", "description": "d",
            "abi": {"major": 1, "minor": 0}, "digest": "0123456789abcdef", "requires": ["log"], "offers": [],
            "serial": false, "target": "t", "panic": "unwind", "language": "rust", "compiler": "c",
            "config_schema": {"type": "object"}, "of_a_later_version": [1, {"a": 2}],
        })
    }

    fn error(value: &Value) -> String {
        parse(&value.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn every_member_is_read_and_unknown_ones_are_ignored() {
        let metadata = parse(&good().to_string()).unwrap();
        assert_eq!(metadata.name, "x");
        assert_eq!(metadata.abi, Abi { major: 1, minor: 0 });
        assert_eq!(metadata.requires, ["log"]);
        assert_eq!(metadata.panic, PanicStrategy::Unwind);
        assert_eq!(metadata.isolation, IsolationNeed::Thread, "absent, it runs in any process");
        assert_eq!(metadata.config_schema.unwrap().get(), r#"{"type":"object"}"#);
        let mut value = good();
        value["config_schema"] = Value::Null;
        assert!(parse(&value.to_string()).unwrap().config_schema.is_none());
    }

    #[test]
    fn a_missing_member_is_named() {
        for member in good().as_object().unwrap().keys().filter(|key| *key != "of_a_later_version") {
            let mut value = good();
            value.as_object_mut().unwrap().remove(member);
            let line = error(&value);
            assert!(
                line.starts_with("metadata, ") && line.contains(&format!("`{member}`")),
                "{member}: {line}"
            );
            assert!(!line.contains('\n'));
        }
    }

    #[test]
    fn an_ill_typed_member_is_named() {
        for (member, wrong, said) in [
            ("format", json!(2), "expected 1, found 2"),
            ("name", json!(5), "metadata, `name`: invalid type"),
            ("name", json!(""), "metadata, `name`: expected a name"),
            ("version", json!("1\u{1b}[2J"), "metadata, `version`: a control character"),
            ("abi", json!({"major": -1, "minor": 0}), "metadata, `abi.major`: invalid value"),
            ("digest", json!("0123456789ABCDEF"), "metadata, `digest`: expected 16 hexadecimal digits"),
            ("digest", json!("0123"), "metadata, `digest`: expected 16 hexadecimal digits"),
            ("requires", json!("log"), "metadata, `requires`: invalid type"),
            ("requires", json!(["log", 1]), "metadata, `requires[1]`: invalid type"),
            ("requires", json!(["log", "\u{7}"]), "metadata, `requires[1]`: a control character"),
            ("requires", json!(vec![""; 65]), "metadata, `requires`: invalid length 65"),
            ("serial", json!("no"), "metadata, `serial`: invalid type"),
            ("panic", json!("explode"), "metadata, `panic`: unknown variant `explode`, expected one of"),
            ("panic", json!([]), "metadata, `panic`: expected value"),
            (
                "isolation",
                json!("vm"),
                "metadata, `isolation`: unknown variant `vm`, expected `thread` or `process`",
            ),
            ("config_schema", json!([1]), "metadata, `config_schema`: expected a JSON Schema"),
        ] {
            let mut value = good();
            value[member] = wrong;
            let line = error(&value);
            assert!(line.contains(said), "{line}");
            let pretty = parse(&serde_json::to_string_pretty(&value).unwrap()).unwrap_err().to_string();
            assert_eq!(pretty, line, "on several lines");
        }
    }

    #[test]
    fn metadata_must_be_one_json_object() {
        for (json, said) in [
            ("", "it starts with \"\""),
            ("hello", "it starts with \"hello\""),
            ("[1]", "it is another value, it starts with \"[1]\""),
            ("1e999", "it is another value"),
            ("{\"format\": 1,", "EOF while parsing"),
        ] {
            let line = parse(json).unwrap_err().to_string();
            assert!(line.starts_with("metadata is not a JSON object: ") && line.contains(said), "{line}");
        }
        let line = parse(&format!("{} {}", good(), "{}")).unwrap_err().to_string();
        assert!(line.contains("trailing characters"), "{line}");
    }
}
