//! One line of JSON Lines, read as an event.
//!
//! A line is one JSON object. `type` and `name` are strings that may not be empty. [`super::defaults`] gives the values of
//! other members that are missing or null. Members:
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
//! Other members are allowed, and stay in the event's JSON byte for byte. They are read as strictly as the rest, so that a
//! reader behind a backend accepts every event that is accepted here. These make a line invalid: a string with half of a
//! surrogate pair, a number beyond the range of 64 bits of floating point, lists and objects nested deeper than
//! [`MAX_DEPTH`], and a duplicate member of the event, because readers disagree which of the two counts. A line has at most
//! [`MAX_LINE`] bytes.

use std::{borrow::Cow, fmt, ops::Range};

use serde::de::{DeserializeSeed as _, Deserializer as _, Error as _, MapAccess, Visitor};

use crate::error::Error;
use crate::event::json_value::{Any, Args, Found, Metadata, Seen, Strict, Text, short, twice};

/// The greatest length of a line, in bytes, without its line feed.
pub const MAX_LINE: usize = 1 << 20;

/// The greatest depth of nested lists and objects, the event included: the limit of the parser.
const MAX_DEPTH: usize = 127;

/// The greatest length of `id`, in bytes.
const MAX_ID: usize = 256;

/// The members of a line; a missing one is `None`.
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
    /// Whether a member that gets a value is present with the value null.
    pub(crate) has_null: bool,
}

/// The members that get a value when they are missing, in the order in which they are written.
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
    Ok((text, parse_text(text)?))
}

/// Like [`parse`], for a line of an allowed length.
pub(crate) fn parse_text(text: &str) -> Result<Parsed<'_>, Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = if text.starts_with('{') {
        json.deserialize_map(EventVisitor)
    } else {
        Any.deserialize(&mut json).and_then(|found| {
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
        // Members that are known have a bit each.
        let (mut known, mut others) = (0_u32, Seen::default());
        while let Some(key) = map.next_key_seed(Text)? {
            let (bit, filled) = match &*key {
                "id" => (0, Some(&mut event.id)),
                "timestamp" => (1, Some(&mut event.timestamp)),
                "machine_id" => (2, Some(&mut event.machine_id)),
                "tool_name" => (3, Some(&mut event.tool_name)),
                "version" => (4, Some(&mut event.tool_version)),
                "os" => (5, Some(&mut event.os)),
                "arch" => (6, Some(&mut event.arch)),
                "os_version" => (7, Some(&mut event.os_version)),
                "runtime_version" => (8, Some(&mut event.runtime_version)),
                "type" => (9, None),
                "name" => (10, None),
                "error" => (11, None),
                "duration_ms" => (12, None),
                "exit_code" => (13, None),
                "args" => (14, None),
                "metadata" => (15, None),
                _ => {
                    map.next_value_seed(Strict)?;
                    others.first_time(key)?;
                    continue;
                }
            };
            match (bit, filled) {
                (_, Some(filled)) => {
                    *filled = text(&key, map.next_value_seed(Any)?)?;
                    event.has_null |= filled.is_none();
                }
                (9, _) => kind = text(&key, map.next_value_seed(Any)?)?,
                (10, _) => name = text(&key, map.next_value_seed(Any)?)?,
                (11, _) => event.error = text(&key, map.next_value_seed(Any)?)?,
                (12, _) => event.duration_ms = unsigned(&key, &map.next_value_seed(Any)?)?,
                (13, _) => event.exit_code = signed(&key, &map.next_value_seed(Any)?)?,
                (14, _) => event.args = map.next_value_seed(Args)?,
                _ => event.metadata = map.next_value_seed(Metadata)?,
            }
            if known & (1 << bit) != 0 {
                return Err(twice(&key));
            }
            known |= 1 << bit;
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
            event.time_unix_nanos = nanoseconds(timestamp).ok_or_else(|| {
                A::Error::custom(format_args!(
                    "`timestamp`: expected an RFC 3339 time between the years 1678 and 2262, found string {:?}",
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

/// `text` in nanoseconds since 1970; `None` when it is not RFC 3339, or out of range.
fn nanoseconds(text: &str) -> Option<i64> {
    if let Some(nanoseconds) = own_form(text.as_bytes()) {
        return Some(nanoseconds);
    }
    let time = is_rfc3339(text.as_bytes()).then(|| text.parse::<jiff::Timestamp>().ok()).flatten();
    time.and_then(|time| i64::try_from(time.as_nanosecond()).ok())
}

/// Reads a time in the form that this crate writes, `2026-01-02T03:04:05.000089Z`; `None` for any other text. Nearly all
/// times have this form, and the date library takes ten times as long.
fn own_form(text: &[u8]) -> Option<i64> {
    let text: &[u8; 27] = text.try_into().ok()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')];
    if !marks.iter().all(|&(at, mark)| text[at] == mark) {
        return None;
    }
    let number = |range: Range<usize>| {
        text[range].iter().try_fold(0_i64, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
        })
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // The date library judges other years and days.
    if !(1970..2262).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=28).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    // Years from March on, so that the leap day is the last one; 719,468 days lie between that year 0 and 1970.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some((seconds * 1_000_000 + number(20..26)?) * 1000)
}

/// The date library accepts more than RFC 3339, such as the name of a time zone in brackets.
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
#[path = "parse_tests.rs"]
mod tests;
