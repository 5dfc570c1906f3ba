//! One line of JSON Lines, read as an event.
//!
//! A line is one JSON object. `type` and `name` are strings that may not be empty. [`super::defaults`] gives the values of
//! other members that are missing or null. Members:
//!
//! | member | type | limits |
//! | --- | --- | --- |
//! | `id` | string | 1 to 256 bytes |
//! | `timestamp` | string | RFC 3339 with any offset, from 1677-09-21 to 2262-04-11 (64 bits of nanoseconds), at most 9 digits of a second |
//! | `type`, `name` | string | not empty; required |
//! | `machine_id`, `tool_name`, `version`, `os`, `arch`, `os_version`, `runtime_version`, `error` | string | |
//! | `duration_ms` | integer | 0 to 2^64 − 1 |
//! | `exit_code` | integer | −2^63 to 2^63 − 1 |
//! | `args` | list of strings | |
//! | `metadata` | object of strings, numbers and booleans | no key twice |
//!
//! Other members are allowed, and stay in the event's JSON byte for byte. They are read as strictly as the rest, so that a
//! reader behind a backend accepts every event that is accepted here. These make a line invalid: a string with half of a
//! surrogate pair, a number beyond the range of 64 bits of floating point, lists and objects nested deeper than
//! [`MAX_DEPTH`], and a duplicate member of the event, because readers disagree which of the two counts. A line has at most
//! [`MAX_LINE`] bytes.

use std::{borrow::Cow, fmt};

use jackfield_loader::files::is_utf16;
use serde::de::{DeserializeSeed as _, Deserializer as _, Error as _, MapAccess, Visitor};

use crate::error::Error;
use crate::event::json_value::{Found, Reader, Seen, Text, short, twice};
use crate::event::rfc3339;

/// The greatest length of a line, in bytes, without its line feed.
pub const MAX_LINE: usize = 1 << 20;

/// The greatest depth of nested lists and objects, the event included: the limit of the parser.
const MAX_DEPTH: usize = 127;

/// What `timestamp` can be.
const TIME: &str = "an RFC 3339 time from 1677-09-21 to 2262-04-11 with at most 9 digits of a second";

/// The greatest length of `id`, in bytes.
const MAX_ID: usize = 256;

/// The members that get a value when they are missing, in the order in which they are written.
pub(crate) const FILLED: [&str; 9] =
    ["id", "timestamp", "machine_id", "tool_name", "version", "os", "arch", "os_version", "runtime_version"];
/// Indexes in [`FILLED`].
pub(crate) const ID: usize = 0;
pub(crate) const TIMESTAMP: usize = 1;
pub(crate) const MACHINE_ID: usize = 2;
pub(crate) const TOOL_NAME: usize = 3;
pub(crate) const VERSION: usize = 4;
pub(crate) const OS: usize = 5;
pub(crate) const OS_VERSION: usize = 7;
pub(crate) const RUNTIME_VERSION: usize = 8;

/// The other known members.
const OTHERS: [&str; 7] = ["type", "name", "error", "duration_ms", "exit_code", "args", "metadata"];

/// The members of a line; a missing one is `None`.
#[derive(Debug, Default)]
pub(crate) struct Parsed<'a> {
    /// The members in [`FILLED`].
    pub(crate) filled: [Option<Cow<'a, str>>; FILLED.len()],
    pub(crate) kind: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) error: Option<Cow<'a, str>>,
    pub(crate) args: Option<Vec<Cow<'a, str>>>,
    pub(crate) metadata: Option<Pairs<'a>>,
    /// `timestamp`, or 0 when it is missing.
    pub(crate) time_unix_nanos: i64,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) exit_code: Option<i64>,
    /// Whether a member that gets a value is present with the value null.
    pub(crate) has_null: bool,
}

/// Reads a trimmed line that is not empty.
pub(crate) fn parse(line: &[u8]) -> Result<(&str, Parsed<'_>), Error> {
    if line.len() > MAX_LINE {
        return Err(Error::event(format!("line too long: {} bytes, limit {MAX_LINE}", line.len())));
    }
    let text = std::str::from_utf8(line).map_err(|e| {
        Error::event(format!("not UTF-8: byte {} is not a part of a character", e.valid_up_to() + 1))
    });
    text.and_then(|text| Ok((text, parse_text(text)?))).map_err(|refusal| {
        // The last line of UTF-16 is the second half of its line feed.
        if is_utf16(line) || line == b"\0" {
            return Error::event("UTF-16, expected UTF-8: convert the input (iconv -f UTF-16 -t UTF-8)");
        }
        if line.starts_with(b"\x1f\x8b") {
            return Error::event("compressed by gzip, expected lines of JSON: unpack the input (gzip -dc)");
        }
        refusal
    })
}

/// Like [`parse`], for a line of an allowed length.
pub(crate) fn parse_text(text: &str) -> Result<Parsed<'_>, Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = if text.starts_with('{') {
        json.deserialize_map(EventVisitor)
    } else {
        Reader::Any.deserialize(&mut json).and_then(|found| {
            Err(serde_json::Error::custom(format_args!("expected a JSON object, found {found}")))
        })
    };
    read.and_then(|parsed| json.end().map(|()| parsed)).map_err(|e| refusal(&e))
}

/// A message of this module has no position; a message of the parser has the column.
fn refusal(error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    Error::event(match error.classify() {
        serde_json::error::Category::Data => text[..end].to_owned(),
        _ if text.starts_with("recursion limit exceeded") => {
            format!("nested too deep: limit {MAX_DEPTH} levels, at column {}", error.column())
        }
        _ => format!("not JSON: {} at column {}", in_words(&text[..end]), error.column()),
    })
}

/// A message of the parser for people who do not write parsers.
fn in_words(message: &str) -> String {
    match message {
        "expected value" | "expected ident" => "expected a value".to_owned(),
        "trailing characters" => "more behind the value".to_owned(),
        "key must be a string" => "expected a name in double quotes".to_owned(),
        other => other.replace("EOF while parsing", "the line ends in"),
    }
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Parsed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut event = Parsed::default();
        let (mut kind, mut name) = (None, None);
        // Known members have a bit each.
        let (mut known, mut others) = (0_u32, Seen::default());
        while let Some(key) = map.next_key_seed(Text)? {
            let Some(at) = FILLED.iter().chain(&OTHERS).position(|member| *member == key) else {
                map.next_value_seed(Reader::Any)?;
                others.first_time(key)?;
                continue;
            };
            let reader = match &*key {
                "args" => Reader::Args,
                "metadata" => Reader::Metadata,
                _ => Reader::Any,
            };
            let found = map.next_value_seed(reader)?;
            match &*key {
                "type" => kind = text(&key, found)?,
                "name" => name = text(&key, found)?,
                "error" => event.error = text(&key, found)?,
                "duration_ms" => event.duration_ms = unsigned(&key, &found)?,
                "exit_code" => event.exit_code = signed(&key, &found)?,
                "args" => event.args = args(&key, found)?,
                "metadata" => event.metadata = metadata(&key, found)?,
                _ => {
                    event.filled[at] = text(&key, found)?;
                    event.has_null |= event.filled[at].is_none();
                }
            }
            if known & (1 << at) != 0 {
                return Err(twice(&key));
            }
            known |= 1 << at;
        }
        event.kind = required("type", kind)?;
        event.name = required("name", name)?;
        if let Some(id) = &event.filled[ID]
            && (id.is_empty() || id.len() > MAX_ID)
        {
            let len = id.len();
            return Err(A::Error::custom(format_args!("`id`: expected 1 to {MAX_ID} bytes, found {len}")));
        }
        if let Some(timestamp) = &event.filled[TIMESTAMP] {
            event.time_unix_nanos = rfc3339::parse(timestamp).ok_or_else(|| {
                A::Error::custom(format_args!(
                    "`timestamp`: expected {TIME}, found string {:?}",
                    short(timestamp)
                ))
            })?;
        }
        Ok(event)
    }
}

fn required<'de, E: serde::de::Error>(
    member: &str,
    value: Option<Cow<'de, str>>,
) -> Result<Cow<'de, str>, E> {
    match value {
        Some(text) if text.is_empty() => {
            Err(E::custom(format_args!("`{member}`: expected a string that is not empty, found \"\"")))
        }
        Some(text) => Ok(text),
        None => Err(E::custom(format_args!("`{member}`: expected a string, found nothing"))),
    }
}

fn wrong<T, E: serde::de::Error>(member: &str, expected: &str, found: &Found<'_>) -> Result<T, E> {
    Err(E::custom(format_args!("`{member}`: expected {expected}, found {found}")))
}

fn text<'de, E: serde::de::Error>(member: &str, value: Found<'de>) -> Result<Option<Cow<'de, str>>, E> {
    match value {
        Found::Null => Ok(None),
        Found::Text(text) => Ok(Some(text)),
        other => wrong(member, "a string", &other),
    }
}

fn unsigned<E: serde::de::Error>(member: &str, value: &Found<'_>) -> Result<Option<u64>, E> {
    match value {
        Found::Null => Ok(None),
        Found::Unsigned(number) => Ok(Some(*number)),
        other => wrong(member, "an integer from 0 to 2^64 - 1", other),
    }
}

fn signed<E: serde::de::Error>(member: &str, value: &Found<'_>) -> Result<Option<i64>, E> {
    let number = match value {
        Found::Null => return Ok(None),
        Found::Unsigned(number) => i64::try_from(*number).ok(),
        Found::Signed(number) => Some(*number),
        _ => None,
    };
    number
        .map_or_else(|| wrong(member, "an integer from -2^63 to 2^63 - 1", value), |number| Ok(Some(number)))
}

fn args<'de, E: serde::de::Error>(member: &str, value: Found<'de>) -> Result<Option<Vec<Cow<'de, str>>>, E> {
    match value {
        Found::Null => Ok(None),
        Found::Args(args) => Ok(Some(args)),
        other => wrong(member, "a list of strings", &other),
    }
}

/// The pairs of `metadata`.
type Pairs<'de> = Vec<(Cow<'de, str>, Cow<'de, str>)>;

fn metadata<'de, E: serde::de::Error>(member: &str, value: Found<'de>) -> Result<Option<Pairs<'de>>, E> {
    match value {
        Found::Null => Ok(None),
        Found::Metadata(pairs) => Ok(Some(pairs)),
        other => wrong(member, "an object of strings, numbers and booleans", &other),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
