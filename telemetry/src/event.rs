//! One line of JSON Lines, read as an event.
//!
//! A line is one JSON object. `type` and `name` are strings that may not be empty; [`fill`](crate::fill) says what the
//! others become when they are missing or null. Members:
//!
//! | member | type | limits |
//! | --- | --- | --- |
//! | `id` | string | 1 to 256 bytes |
//! | `timestamp` | string | RFC 3339 with any offset, from 1677-09-21 to 2262-04-11 (64 bits of nanoseconds) |
//! | `type`, `name` | string | not empty; required |
//! | `machine_id`, `tool_name`, `version`, `os`, `arch`, `os_version`, `runtime_version`, `error` | string | |
//! | `duration_ms` | integer | 0 to 2^64 − 1 |
//! | `exit_code` | integer | −2^63 to 2^63 − 1 |
//! | `args` | list of strings | |
//! | `metadata` | object of strings | no key twice |
//!
//! Other members are allowed and stay in the event's JSON, byte for byte. They are read as strictly as the rest, so that no
//! reader behind a backend refuses what was taken for an event here: a string with half of a surrogate pair, a number
//! beyond the range of 64 bits of floating point, and lists and objects nested deeper than [`MAX_DEPTH`] make the line a bad
//! one. So does a member of the event that comes twice, because readers disagree which of the two counts. A line is at most
//! [`MAX_LINE`] bytes.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed as _, Deserializer as _, Error as _, MapAccess, Visitor};

use crate::{
    Error,
    value::{Any, Args, Found, Metadata, Seen, Strict, Text, short},
};

/// Longest line that is taken for an event, in bytes, without its line feed.
pub const MAX_LINE: usize = 1 << 20;

/// Most lists and objects within each other, the event itself included. The parser has the limit.
const MAX_DEPTH: usize = 127;

/// Longest `id`, in bytes.
const MAX_ID: usize = 256;

/// What a line says of itself; what it leaves out is `None`.
#[derive(Debug, Default)]
pub(crate) struct Parsed<'a> {
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) timestamp: Option<Cow<'a, str>>,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) machine_id: Option<Cow<'a, str>>,
    pub(crate) tool_name: Option<Cow<'a, str>>,
    pub(crate) tool_version: Option<Cow<'a, str>>,
    pub(crate) os: Option<Cow<'a, str>>,
    pub(crate) arch: Option<Cow<'a, str>>,
    pub(crate) os_version: Option<Cow<'a, str>>,
    pub(crate) runtime_version: Option<Cow<'a, str>>,
    pub(crate) error: Option<Cow<'a, str>>,
    pub(crate) args: Option<Vec<Cow<'a, str>>>,
    pub(crate) metadata: Option<Vec<(Cow<'a, str>, Cow<'a, str>)>>,
    /// `timestamp`, or 0 when it is missing.
    pub(crate) time_unix_nanos: i64,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) exit_code: Option<i64>,
    /// Whether a member that gets filled in is there, with the value null.
    pub(crate) has_null: bool,
}

/// The members that get filled in, in the order in which they are written.
pub(crate) const FILLED: [&str; 9] =
    ["id", "timestamp", "machine_id", "tool_name", "version", "os", "arch", "os_version", "runtime_version"];

/// Reads a trimmed line that is not empty.
pub(crate) fn parse(line: &[u8]) -> Result<(&str, Parsed<'_>), Error> {
    if line.len() > MAX_LINE {
        return Err(Error::event(format!("line too long: {} bytes, limit {MAX_LINE}", line.len())));
    }
    let text = std::str::from_utf8(line).map_err(|e| {
        Error::event(format!("not UTF-8: byte {} is not a part of a character", e.valid_up_to() + 1))
    })?;
    let mut json = serde_json::Deserializer::from_str(text);
    let read = if text.starts_with('{') {
        json.deserialize_map(EventVisitor)
    } else {
        Any.deserialize(&mut json).and_then(|found| {
            Err(serde_json::Error::custom(format_args!("expected a JSON object, found {found}")))
        })
    };
    let parsed = read.and_then(|parsed| json.end().map(|()| parsed)).map_err(|e| refusal(&e))?;
    Ok((text, parsed))
}

/// Our own words come without a position, the parser's with the column.
fn refusal(error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    Error::event(match error.classify() {
        serde_json::error::Category::Data => text[..end].to_owned(),
        _ if text.starts_with("recursion limit exceeded") => {
            format!("nested too deep: limit {MAX_DEPTH} levels, at column {}", error.column())
        }
        _ => format!("not JSON: {} at column {}", &text[..end], error.column()),
    })
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
        let mut seen = Seen::default();
        while let Some(key) = map.next_key_seed(Text)? {
            let filled = match &*key {
                "id" => &mut event.id,
                "timestamp" => &mut event.timestamp,
                "machine_id" => &mut event.machine_id,
                "tool_name" => &mut event.tool_name,
                "version" => &mut event.tool_version,
                "os" => &mut event.os,
                "arch" => &mut event.arch,
                "os_version" => &mut event.os_version,
                "runtime_version" => &mut event.runtime_version,
                other => {
                    match other {
                        "type" => kind = text(other, map.next_value_seed(Any)?)?,
                        "name" => name = text(other, map.next_value_seed(Any)?)?,
                        "error" => event.error = text(other, map.next_value_seed(Any)?)?,
                        "duration_ms" => event.duration_ms = unsigned(other, &map.next_value_seed(Any)?)?,
                        "exit_code" => event.exit_code = signed(other, &map.next_value_seed(Any)?)?,
                        "args" => event.args = map.next_value_seed(Args)?,
                        "metadata" => event.metadata = map.next_value_seed(Metadata)?,
                        _ => map.next_value_seed(Strict)?,
                    }
                    seen.first_time(key)?;
                    continue;
                }
            };
            *filled = text(&key, map.next_value_seed(Any)?)?;
            event.has_null |= filled.is_none();
            seen.first_time(key)?;
        }
        event.kind = required("type", kind)?;
        event.name = required("name", name)?;
        if let Some(id) = &event.id
            && (id.is_empty() || id.len() > MAX_ID)
        {
            let len = id.len();
            return Err(A::Error::custom(format_args!("`id`: expected 1 to {MAX_ID} bytes, found {len}")));
        }
        if let Some(timestamp) = &event.timestamp {
            event.time_unix_nanos = nanoseconds(timestamp).map_err(|found| {
                A::Error::custom(format_args!(
                    "`timestamp`: expected an RFC 3339 time between the years 1678 and 2262, {found}"
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

fn text<'de, E: serde::de::Error>(member: &str, value: Found<'de>) -> Result<Option<Cow<'de, str>>, E> {
    match value {
        Found::Null => Ok(None),
        Found::Text(text) => Ok(Some(text)),
        other => Err(E::custom(format_args!("`{member}`: expected a string, found {other}"))),
    }
}

fn unsigned<E: serde::de::Error>(member: &str, value: &Found<'_>) -> Result<Option<u64>, E> {
    match value {
        Found::Null => Ok(None),
        Found::Unsigned(number) => Ok(Some(*number)),
        other => Err(E::custom(format_args!("`{member}`: expected a non-negative integer, found {other}"))),
    }
}

fn signed<E: serde::de::Error>(member: &str, value: &Found<'_>) -> Result<Option<i64>, E> {
    let number = match value {
        Found::Null => return Ok(None),
        Found::Unsigned(number) => i64::try_from(*number).ok(),
        Found::Signed(number) => Some(*number),
        _ => None,
    };
    number.map(Some).ok_or_else(|| E::custom(format_args!("`{member}`: expected an integer, found {value}")))
}

/// `text` in nanoseconds since 1970, or what is wrong with it.
fn nanoseconds(text: &str) -> Result<i64, String> {
    let time = is_rfc3339(text.as_bytes()).then(|| text.parse::<jiff::Timestamp>().ok()).flatten();
    time.and_then(|time| i64::try_from(time.as_nanosecond()).ok())
        .ok_or_else(|| format!("found string {:?}", short(text)))
}

/// The date library reads more than RFC 3339, such as a time zone's name in brackets.
fn is_rfc3339(text: &[u8]) -> bool {
    let shaped = |part: &[u8], shape: &[u8]| {
        part.len() == shape.len()
            && part.iter().zip(shape).all(|(byte, &shape)| match shape {
                b'd' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't'),
                b'+' => matches!(byte, b'+' | b'-'),
                exact => *byte == exact,
            })
    };
    let Some((seconds, rest)) = text.split_at_checked(19) else { return false };
    let offset = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            &fraction[digits..]
        }
        _ => rest,
    };
    shaped(seconds, b"dddd-dd-ddTdd:dd:dd") && (matches!(offset, b"Z" | b"z") || shaped(offset, b"+dd:dd"))
}

#[cfg(test)]
mod tests;
