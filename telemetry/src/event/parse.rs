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

use std::{borrow::Cow, fmt, ops::Range};

use jackfield_loader::files::is_utf16;
use serde::de::{DeserializeSeed as _, Deserializer as _, Error as _, MapAccess, Visitor};

use crate::error::Error;
use crate::event::json_value::{Found, Reader, Seen, Text, short, twice};

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
            event.time_unix_nanos = nanoseconds(timestamp).ok_or_else(|| {
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

/// `text` in nanoseconds since 1970; `None` when it is not RFC 3339, or out of range.
fn nanoseconds(text: &str) -> Option<i64> {
    if let Some(nanoseconds) = own_form(text.as_bytes()) {
        return Some(nanoseconds);
    }
    let time = is_rfc3339(text.as_bytes()).then(|| text.parse::<jiff::Timestamp>().ok()).flatten()?;
    // The date library takes second 60 of any minute for second 59.
    if text.get(17..19) == Some("60") && !ends_a_month(time) {
        return None;
    }
    i64::try_from(time.as_nanosecond()).ok()
}

/// Whether the second is the last one of a month in UTC, after which a leap second may come (RFC 3339, 5.7).
fn ends_a_month(time: jiff::Timestamp) -> bool {
    let next = jiff::Timestamp::from_second(time.as_second() + 1).map(|next| next.to_string());
    next.is_ok_and(|next| next.ends_with("-01T00:00:00Z"))
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
    let is_offset =
        || shaped(offset, b"+dd:dd") && &offset[1..3] < b"24".as_slice() && &offset[4..] < b"60".as_slice();
    shaped(seconds, b"dddd-dd-ddTdd:dd:dd") && (matches!(offset, b"Z" | b"z") || is_offset())
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
