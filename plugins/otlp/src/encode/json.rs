//! Writes OTLP's JSON: names in lowerCamelCase, 64-bit integers as text, enumerations as numbers.

use std::io::Write as _;

use jackfield_plugin_api::Event;

use super::{
    SCOPE,
    record::{Attributes, Key, Severity, Tool, attributes, body, time},
};

const OPEN: &[u8] = br#"{"resourceLogs":["#;
const CLOSE: &[u8] = b"]}";
const CLOSE_GROUP: &[u8] = b"]}]}";

/// Bytes of a body without groups, of a group of one tool without records (with its comma), and of the comma of a
/// record.
pub(crate) const OVERHEAD: (usize, usize, usize) = (OPEN.len() + CLOSE.len(), CLOSE_GROUP.len() + 1, 1);

/// A `LogRecord`.
pub(crate) fn record(event: &Event<'_>, observed: u64, out: &mut Vec<u8>) {
    let severity = Severity::of(event);
    out.extend_from_slice(br#"{"timeUnixNano":""#);
    number(time(event), out);
    out.extend_from_slice(br#"","observedTimeUnixNano":""#);
    number(observed, out);
    out.extend_from_slice(br#"","severityNumber":"#);
    number(severity as u8, out);
    out.extend_from_slice(br#","severityText":""#);
    out.extend_from_slice(severity.text().as_bytes());
    out.extend_from_slice(br#"","body":{"stringValue":"#);
    string(&body(event), out);
    out.extend_from_slice(br#"},"attributes":"#);
    list(out, |out| attributes(event, &mut Pairs { first: true, out }));
    out.extend_from_slice(br#","eventName":"#);
    string(&[event.kind()], out);
    out.push(b'}');
}

/// A `ResourceLogs` up to its first record.
pub(crate) fn group(tool: &Tool<'_>, extra: &[(String, String)], version: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"resource":{"attributes":"#);
    list(out, |out| tool.attributes(extra, &mut Pairs { first: true, out }));
    out.extend_from_slice(br#"},"scopeLogs":[{"scope":{"name":"#);
    string(&[SCOPE], out);
    out.extend_from_slice(br#","version":"#);
    string(&[version], out);
    out.extend_from_slice(br#"},"logRecords":["#);
}

/// An `ExportLogsServiceRequest` of `(group, records)`.
pub(crate) fn frame<'a, R: Iterator<Item = &'a [u8]>>(
    groups: impl Iterator<Item = (&'a [u8], R)>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(OPEN);
    for (at, (group, records)) in groups.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(group);
        for (at, record) in records.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(record);
        }
        out.extend_from_slice(CLOSE_GROUP);
    }
    out.extend_from_slice(CLOSE);
}

/// `KeyValue`s in a list.
struct Pairs<'o> {
    first: bool,
    out: &'o mut Vec<u8>,
}

impl Pairs<'_> {
    fn pair(&mut self, Key(first, second): Key<'_>, value: impl FnOnce(&mut Vec<u8>)) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(br#"{"key":"#);
        string(&[first, second], self.out);
        self.out.extend_from_slice(br#","value":"#);
        value(self.out);
        self.out.push(b'}');
    }
}

impl Attributes for Pairs<'_> {
    fn text(&mut self, key: Key<'_>, value: &str) {
        self.pair(key, |out| text(value, out));
    }

    fn int(&mut self, key: Key<'_>, value: i64) {
        self.pair(key, |out| {
            out.extend_from_slice(br#"{"intValue":""#);
            number(value, out);
            out.extend_from_slice(br#""}"#);
        });
    }

    fn boolean(&mut self, key: Key<'_>, value: bool) {
        self.pair(key, |out| {
            out.extend_from_slice(br#"{"boolValue":"#);
            number(value, out);
            out.push(b'}');
        });
    }

    fn double(&mut self, key: Key<'_>, value: f64) {
        self.pair(key, |out| {
            out.extend_from_slice(br#"{"doubleValue":"#);
            number(value, out);
            out.push(b'}');
        });
    }

    fn list<'e, I: Iterator<Item = &'e str>>(&mut self, key: Key<'_>, values: impl Fn() -> I) {
        self.pair(key, |out| {
            out.extend_from_slice(br#"{"arrayValue":{"values":"#);
            list(out, |out| {
                for (at, value) in values().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    text(value, out);
                }
            });
            out.extend_from_slice(b"}}");
        });
    }
}

/// An `AnyValue` with text in it.
fn text(value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"stringValue":"#);
    string(&[value], out);
    out.push(b'}');
}

fn list(out: &mut Vec<u8>, items: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'[');
    items(out);
    out.push(b']');
}

fn number(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(out, "{value}");
}

/// Writes all parts as one JSON string.
fn string(parts: &[&str], out: &mut Vec<u8>) {
    out.push(b'"');
    for part in parts {
        escaped(part, out);
    }
    out.push(b'"');
}

fn escaped(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => br#"\""#,
            b'\\' => br"\\",
            b'\n' => br"\n",
            b'\r' => br"\r",
            b'\t' => br"\t",
            0..0x20 => b"",
            _ => continue,
        };
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.extend_from_slice(escape);
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}
