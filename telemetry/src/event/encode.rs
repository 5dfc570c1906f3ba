//! Encoding an event of a tool as its stored line of JSON.

use std::{borrow::Cow, io::Write as _, time::Duration};

use uuid::Uuid;

use crate::event::value::Value;
use crate::process::milliseconds;
use crate::redact::redact::{is_credential, is_harmless_word, redact_value};

/// The parts of an event that the tool states.
#[derive(Debug, Default)]
pub(crate) struct Record<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) duration: Option<Duration>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) args: Option<&'a [Cow<'a, str>]>,
    pub(crate) error: Option<Cow<'a, str>>,
    pub(crate) metadata: Metadata<'a>,
}

/// Names and values of an event.
#[derive(Debug)]
pub(crate) enum Metadata<'a> {
    /// Redacted pairs, without a duplicate name.
    Redacted(Vec<(Cow<'a, str>, Value<'a>)>),
    /// Pairs whose names need no redaction, without a duplicate name. The values are not redacted yet.
    Plain(&'a [(&'a str, &'a str)]),
}

impl Default for Metadata<'_> {
    fn default() -> Self {
        Self::Plain(&[])
    }
}

/// Encodes the events of one tool on one machine.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// The encoded members that all events share, with their commas.
    constant: Vec<u8>,
}

/// The members that all events share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) machine_id: &'a str,
    pub(crate) tool_name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) os_version: &'a str,
}

impl Encoder {
    pub(crate) fn new(origin: Origin<'_>) -> Self {
        let mut constant = Vec::with_capacity(256);
        for (key, value) in [
            ("machine_id", origin.machine_id),
            ("tool_name", origin.tool_name),
            ("version", origin.version),
            ("os", std::env::consts::OS),
            ("arch", std::env::consts::ARCH),
            ("os_version", origin.os_version),
            ("runtime_version", jackfield_loader::plugin_api::metadata::COMPILER),
        ] {
            member(&mut constant, key, value);
        }
        Self { constant }
    }

    /// Appends the event with this id and time, without a line feed, to `out`.
    pub(crate) fn encode(&self, id: uuid::Uuid, time: &Timestamp, record: &Record<'_>, out: &mut Vec<u8>) {
        let mut text = uuid::Uuid::encode_buffer();
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
        out.extend_from_slice(b"\",\"timestamp\":\"");
        out.extend_from_slice(&time.text);
        out.push(b'"');
        member(out, "type", record.kind);
        member(out, "name", record.name);
        out.extend_from_slice(&self.constant);
        if let Some(duration) = record.duration {
            let _ = write!(out, ",\"duration_ms\":{}", milliseconds(duration));
        }
        if let Some(code) = record.exit_code {
            let _ = write!(out, ",\"exit_code\":{code}");
        }
        if let Some(args) = record.args {
            out.extend_from_slice(b",\"args\":[");
            separated(out, args, |out, arg| string(out, arg));
            out.push(b']');
        }
        if let Some(error) = &record.error {
            member(out, "error", error);
        }
        match &record.metadata {
            Metadata::Plain([]) => {}
            Metadata::Plain(pairs) => {
                out.extend_from_slice(b",\"metadata\":{\"");
                for (at, (key, value)) in pairs.iter().enumerate() {
                    if at > 0 {
                        out.extend_from_slice(b",\"");
                    }
                    out.extend_from_slice(key.as_bytes());
                    out.extend_from_slice(b"\":");
                    if is_harmless_word(value) && !is_credential(key) {
                        quoted(out, value);
                    } else {
                        string(out, &redact_value(key, value));
                    }
                }
                out.push(b'}');
            }
            Metadata::Redacted(pairs) if pairs.is_empty() => {}
            Metadata::Redacted(pairs) => {
                out.extend_from_slice(b",\"metadata\":{");
                separated(out, pairs, |out, (key, value)| {
                    string(out, key);
                    out.push(b':');
                    scalar(out, value);
                });
                out.push(b'}');
            }
        }
        out.push(b'}');
    }
}

fn separated<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
}

/// Appends `,"key":"value"`.
fn member(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    string(out, value);
}

/// Appends a value of metadata.
fn scalar(out: &mut Vec<u8>, value: &Value<'_>) {
    let written = match value {
        Value::Text(text) => return string(out, text),
        Value::Boolean(value) => write!(out, "{value}"),
        Value::Integer(value) => write!(out, "{value}"),
        Value::Unsigned(value) => write!(out, "{value}"),
        Value::Float(value) if !value.is_finite() => write!(out, "\"{value}\""),
        // As short as it can be, and still the same number.
        Value::Float(value) => return serde_json::to_writer(out, value).unwrap_or_default(),
    };
    // Writing to memory can't fail.
    written.unwrap_or_default();
}

/// Appends text that needs no escapes.
fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Appends text as a JSON string.
fn string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\')) {
        return quoted(out, text);
    }
    // Writing a string to memory can't fail.
    let _ = serde_json::to_writer(out, text);
}

/// A point in time in RFC 3339, UTC, with exactly six digits of a second, so that it sorts as text. The text is kept from
/// one event to the next, because most of it stays the same.
#[derive(Debug, Clone)]
pub(crate) struct Timestamp {
    /// The time since 1970.
    seconds: u64,
    text: [u8; 27],
}

impl Default for Timestamp {
    fn default() -> Self {
        Self { seconds: 0, text: *b"1970-01-01T00:00:00.000000Z" }
    }
}

impl Timestamp {
    /// Sets the time, `since` 1970. A clock beyond the year 9999 gives the last second of that year.
    pub(crate) fn set(&mut self, since: Duration) {
        if since.as_secs() != self.seconds {
            let seconds = i64::try_from(since.as_secs()).ok();
            let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
            let mut rest = &mut self.text[..20];
            let _ = write!(rest, "{:.0}", time.unwrap_or(jiff::Timestamp::MAX));
            self.text[19] = b'.';
            self.seconds = since.as_secs();
        }
        let mut micros = since.subsec_micros();
        for digit in self.text[20..26].iter_mut().rev() {
            *digit = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ids {
    /// The process of the seed: a forked child must not go on with its parent's numbers.
    process: u32,
    random: fastrand::Rng,
}

impl Ids {
    /// A generator for the process with this number.
    pub(crate) fn new(process: u32) -> Self {
        Self { process, random: seeded() }
    }

    /// The next id. `process` is the number of the process that asks, `now` the time since 1970.
    pub(crate) fn next(&mut self, process: u32, now: Duration) -> Uuid {
        if self.process != process {
            *self = Self::new(process);
        }
        let mut random = [0; 10];
        self.random.fill(&mut random);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(now.as_millis()).unwrap_or(0), &random)
            .into_uuid()
    }
}

fn seeded() -> fastrand::Rng {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    fastrand::Rng::with_seed(high ^ low.rotate_left(32))
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
