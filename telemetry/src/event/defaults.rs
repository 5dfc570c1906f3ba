//! The values of members that a line lacks.
//!
//! | member | value |
//! | --- | --- |
//! | `id` | a new UUIDv7 |
//! | `timestamp` | now, to the microsecond, in UTC |
//! | `machine_id` | the tool's [`MachineId`]; the derived one of another tool that the line names |
//! | `tool_name` | the tool's name |
//! | `version`, `runtime_version` | the tool's; empty when the line names a tool |
//! | `os`, `arch` | this machine's |
//! | `os_version` | this machine's; empty when the line names an `os` |
//!
//! A line that names another tool or system does not get the version of this one, which would be wrong. It does not get
//! the machine id of this tool, because that would link the events of two tools on one machine.

use std::{array, borrow::Cow};

use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::id::EventId;
use crate::event::json_value::Text;
use crate::event::parse::{
    FILLED, ID, MACHINE_ID, OS, OS_VERSION, Parsed, RUNTIME_VERSION, TIMESTAMP, TOOL_NAME, VERSION,
};
use crate::event::rfc3339::Timestamp;
use crate::identity::machine_id;
use crate::identity::machine_id::MachineId;

/// The values for missing members.
#[derive(Debug, Clone)]
pub struct EventDefaults {
    /// The values of the members from [`CONSTANT`] on.
    values: [Value; FILLED.len() - CONSTANT],
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

/// The index of the first member that is the same for every event.
const CONSTANT: usize = 2;

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
        Self { values: array::from_fn(|at| Value::new(FILLED[CONSTANT + at], &constants[at])) }
    }

    /// The same values, with an id that the tool's folder stores: see [`MachineIdFile`](crate::MachineIdFile).
    #[must_use]
    pub fn with_machine_id(mut self, id: &MachineId) -> Self {
        self.values[MACHINE_ID - CONSTANT] = Value::new(FILLED[MACHINE_ID], &id.id);
        self
    }

    /// Appends the JSON object `text` to `out` with the members that it lacks, and sets these in `parsed`, which was read from
    /// `text`. Returns by how many bytes the members of `text` have moved.
    pub(crate) fn complete<'a>(&'a self, text: &str, parsed: &mut Parsed<'a>, out: &mut String) -> usize {
        let start = out.len();
        out.push('{');
        let filled = &mut parsed.filled;
        if filled[ID].is_none() {
            let id = EventId::now().to_string();
            push(out, &["\"id\":\"", &id, "\","]);
            filled[ID] = Some(Cow::Owned(id));
        }
        if filled[TIMESTAMP].is_none() {
            let now = Timestamp::now();
            let timestamp = now.text().to_owned();
            push(out, &["\"timestamp\":\"", &timestamp, "\","]);
            filled[TIMESTAMP] = Some(Cow::Owned(timestamp));
            parsed.time_unix_nanos = now.unix_nanos();
        }
        if let (None, Some(tool)) = (&filled[MACHINE_ID], &filled[TOOL_NAME])
            && *tool != self.values[TOOL_NAME - CONSTANT].text
        {
            let id = machine_id::id(tool);
            push(out, &["\"machine_id\":\"", &id, "\","]);
            filled[MACHINE_ID] = Some(Cow::Owned(id));
        }
        let (own_tool, own_os) = (filled[TOOL_NAME].is_none(), filled[OS].is_none());
        for (at, value) in (CONSTANT..).zip(&self.values) {
            if filled[at].is_some() {
                continue;
            }
            let known = match at {
                VERSION | RUNTIME_VERSION => own_tool,
                OS_VERSION => own_os,
                _ => true,
            };
            if known {
                out.push_str(&value.member);
                filled[at] = Some(Cow::Borrowed(&value.text));
            } else {
                push(out, &["\"", FILLED[at], "\":\"\","]);
                filled[at] = Some(Cow::Borrowed(""));
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

/// The version of the operating system, as its first two numbers: more of it tells machines apart.
#[cfg(unix)]
pub(crate) fn os_version() -> String {
    major_minor(&rustix::system::uname().release().to_string_lossy()).to_owned()
}

/// `6.18` of `6.18.5-custom+`.
#[cfg(unix)]
fn major_minor(release: &str) -> &str {
    let is_part = |char: char| char.is_ascii_digit() || char == '.';
    let numbers = &release[..release.find(|char| !is_part(char)).unwrap_or(release.len())];
    let end = numbers.match_indices('.').nth(1).map_or(numbers.len(), |(at, _)| at);
    numbers[..end].trim_end_matches('.')
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_operating_system_has_two_numbers() {
        for (release, expected) in [
            ("6.18.5-custom+", "6.18"),
            ("6.1", "6.1"),
            ("23.4.0", "23.4"),
            ("5.15.153.1-microsoft-standard-WSL2", "5.15"),
            ("14-RELEASE", "14"),
            ("6.", "6"),
            ("", ""),
        ] {
            assert_eq!(major_minor(release), expected);
        }
        assert!(os_version().matches('.').count() <= 1);
    }
}
