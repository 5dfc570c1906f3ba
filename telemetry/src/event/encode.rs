//! Encoding an event of a tool as its stored line of JSON.

use std::{borrow::Cow, io::Write as _, time::Duration};

use crate::event::id::EventId;
use crate::event::rfc3339::Timestamp;
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
    pub(crate) fn encode(&self, id: EventId, time: &Timestamp, record: &Record<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(&id.text());
        out.extend_from_slice(b"\",\"timestamp\":\"");
        out.extend_from_slice(time.bytes());
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

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
