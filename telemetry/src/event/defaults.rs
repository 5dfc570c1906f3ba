//! The values of members that a line lacks.
//!
//! | member | becomes |
//! | --- | --- |
//! | `id` | a new UUIDv7 |
//! | `timestamp` | now, to the microsecond, in UTC |
//! | `machine_id` | the tool's [`MachineId`]; the derived one of another tool that the line names |
//! | `tool_name` | the tool's name |
//! | `version`, `runtime_version` | the tool's, or empty when the line names a tool itself |
//! | `os`, `arch` | this machine's |
//! | `os_version` | this machine's, or empty when the line names an `os` itself |
//!
//! A line that names another tool or system does not get the version of this one: that would be a false statement. Nor does
//! it get the machine id of this tool, because that would link the events of two tools on one machine.

use std::borrow::Cow;

use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::json_value::Text;
use crate::event::parse::{FILLED, Parsed};
use crate::identity::machine_id;
use crate::identity::machine_id::MachineId;

/// The values for missing members.
#[derive(Debug, Clone)]
pub struct EventDefaults {
    /// In the order of [`FILLED`], without `id` and `timestamp`.
    values: [Value; 7],
    /// The value of a version that this tool can't know.
    unknown: [Value; 7],
}

/// A string, and the JSON member `"name":"string",`.
#[derive(Debug, Clone)]
struct Value {
    text: String,
    member: String,
}

impl Value {
    fn new(key: &str, text: &str) -> Self {
        Self { text: text.to_owned(), member: format!("\"{key}\":{},", serde_json::Value::from(text)) }
    }
}

/// Index of the first member that is the same for every event.
const CONSTANT: usize = 2;

/// Indexes of values.
const MACHINE_ID: usize = 0;
const TOOL_NAME: usize = 1;

impl EventDefaults {
    /// Values for events of the tool `name`, on this machine, with its [derived](MachineId::derived) id. A tool that stores
    /// its id calls [`with_machine_id`](Self::with_machine_id).
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        let constants = [
            machine_id::id(name),
            name.to_owned(),
            version.to_owned(),
            std::env::consts::OS.to_owned(),
            std::env::consts::ARCH.to_owned(),
            os_version(),
            jackfield_loader::plugin_api::metadata::COMPILER.to_owned(),
        ];
        let unknown = std::array::from_fn(|at| Value::new(FILLED[CONSTANT + at], ""));
        let values = std::array::from_fn(|at| Value::new(FILLED[CONSTANT + at], &constants[at]));
        Self { values, unknown }
    }

    /// The same values, with an id that the tool's folder stores: see [`MachineIdFile`](crate::MachineIdFile).
    #[must_use]
    pub fn with_machine_id(mut self, id: &MachineId) -> Self {
        self.values[MACHINE_ID] = Value::new(FILLED[CONSTANT + MACHINE_ID], &id.id);
        self
    }

    /// Appends the JSON object `text` to `out`, with the members that it lacks, and sets these in `parsed`, which was read
    /// from `text`. Returns by how many bytes the members of `text` have moved.
    pub(crate) fn complete<'a>(&'a self, text: &str, parsed: &mut Parsed<'a>, out: &mut String) -> usize {
        let start = out.len();
        out.push('{');
        if parsed.id.is_none() {
            let id = uuid::Uuid::now_v7().to_string();
            push(out, &["\"id\":\"", &id, "\","]);
            parsed.id = Some(Cow::Owned(id));
        }
        if parsed.timestamp.is_none() {
            let now = jiff::Timestamp::now();
            let micros = now.as_microsecond();
            let timestamp = format!("{now:.6}");
            push(out, &["\"timestamp\":\"", &timestamp, "\","]);
            parsed.timestamp = Some(Cow::Owned(timestamp));
            parsed.time_unix_nanos = micros.saturating_mul(1000);
        }
        if let (None, Some(tool)) = (&parsed.machine_id, &parsed.tool_name)
            && *tool != self.values[TOOL_NAME].text
        {
            let id = machine_id::id(tool);
            push(out, &["\"machine_id\":\"", &id, "\","]);
            parsed.machine_id = Some(Cow::Owned(id));
        }
        let (own_tool, own_os) = (parsed.tool_name.is_none(), parsed.os.is_none());
        let fields = [
            (&mut parsed.machine_id, true),
            (&mut parsed.tool_name, true),
            (&mut parsed.tool_version, own_tool),
            (&mut parsed.os, true),
            (&mut parsed.arch, true),
            (&mut parsed.os_version, own_os),
            (&mut parsed.runtime_version, own_tool),
        ];
        for (at, (field, ours)) in fields.into_iter().enumerate() {
            if field.is_none() {
                let value = if ours { &self.values[at] } else { &self.unknown[at] };
                out.push_str(&value.member);
                *field = Some(Cow::Borrowed(&value.text));
            }
        }
        let moved = out.len() - start - 1;
        out.push_str(&text[1..]);
        moved
    }
}

fn push(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}

#[cfg(unix)]
pub(crate) fn os_version() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
pub(crate) fn os_version() -> String {
    String::new()
}

/// The object `text` without the members that are null and get a value; all others keep their bytes and order.
pub(crate) fn without_nulls(text: &str) -> Result<String, serde_json::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = String;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
            let mut out = String::from("{");
            while let Some(key) = map.next_key_seed(Text)? {
                let value: &RawValue = map.next_value()?;
                if value.get() == "null" && FILLED.contains(&&*key) {
                    continue;
                }
                if out.len() > 1 {
                    out.push(',');
                }
                let key = serde_json::to_string(&key).map_err(A::Error::custom)?;
                push(&mut out, &[&key, ":", value.get()]);
            }
            out.push('}');
            Ok(out)
        }
    }

    serde_json::Deserializer::from_str(text).deserialize_map(Members)
}
