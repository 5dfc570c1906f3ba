//! Writes OTLP's protobuf. The numbers of the fields are those of `logs.proto`, `common.proto` and `resource.proto` in
//! version 1.
//!
//! Each length is computed from the borrowed text before the field is written, so nothing is allocated and nothing is
//! moved.

use jackfield_plugin_api::Event;

use super::{
    SCOPE,
    record::{Attributes, Key, Severity, Tool, attributes, body, time},
};

/// Bytes of a body without groups, of a group of one tool without records, and around a record.
pub(crate) const OVERHEAD: (usize, usize, usize) = (0, 2 * MOST_PREFIX, MOST_PREFIX);

/// A field's key and a length in 32 bits.
const MOST_PREFIX: usize = 1 + 5;

/// The key of field `number` whose value has a length.
const fn delimited(number: u8) -> u8 {
    number << 3 | 2
}

/// The key of field `number` whose value is a varint.
const fn integer(number: u8) -> u8 {
    number << 3
}

/// The key of field `number` whose value has 64 bits.
const fn fixed64(number: u8) -> u8 {
    number << 3 | 1
}

/// A `LogRecord`, without key and length.
pub(crate) fn record(event: &Event<'_>, observed: u64, out: &mut Vec<u8>) {
    let severity = Severity::of(event);
    nanoseconds(fixed64(1), time(event), out);
    out.extend_from_slice(&[integer(2), severity as u8]);
    text(delimited(3), severity.text(), out);
    let parts = body(event);
    let length = parts.iter().map(|part| part.len()).sum();
    prefix(delimited(5), delimited_len(length), out);
    prefix(delimited(1), length, out);
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    attributes(event, &mut Fields { field: delimited(6), out });
    nanoseconds(fixed64(11), observed, out);
    if !event.kind().is_empty() {
        text(delimited(12), event.kind(), out);
    }
}

/// The field `resource` of a `ResourceLogs`, followed by the field `scope` of a `ScopeLogs`. [`frame`] finds the end of
/// the first by its length.
pub(crate) fn group(tool: &Tool<'_>, extra: &[(String, String)], version: &str, out: &mut Vec<u8>) {
    let mut resource = Vec::with_capacity(256);
    tool.attributes(extra, &mut Fields { field: delimited(1), out: &mut resource });
    bytes(delimited(1), &resource, out);
    prefix(delimited(1), delimited_len(SCOPE.len()) + delimited_len(version.len()), out);
    text(delimited(1), SCOPE, out);
    text(delimited(2), version, out);
}

/// An `ExportLogsServiceRequest` of `(group, records)`.
pub(crate) fn frame<'a, R>(groups: impl Iterator<Item = (&'a [u8], R)>, out: &mut Vec<u8>)
where
    R: Iterator<Item = &'a [u8]> + Clone,
{
    for (group, records) in groups {
        let (resource, scope) = group.split_at(first_field(group));
        let records_length: usize = records.clone().map(|record| delimited_len(record.len())).sum();
        let scope_logs = scope.len() + records_length;
        prefix(delimited(1), resource.len() + delimited_len(scope_logs), out);
        out.extend_from_slice(resource);
        prefix(delimited(2), scope_logs, out);
        out.extend_from_slice(scope);
        for record in records {
            bytes(delimited(2), record, out);
        }
    }
}

/// Bytes of the first field of a group, with its key.
fn first_field(group: &[u8]) -> usize {
    let (mut length, mut at) = (0_usize, 1);
    loop {
        let byte = group[at];
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte < 0x80 {
            return at + length;
        }
    }
}

/// `KeyValue`s as the repeated field with the key `field`.
struct Fields<'o> {
    field: u8,
    out: &'o mut Vec<u8>,
}

impl Fields<'_> {
    /// Writes a `KeyValue` up to the value of its `AnyValue`, which has this length.
    fn begin(&mut self, Key(first, second): Key<'_>, value: usize) {
        let key = first.len() + second.len();
        prefix(self.field, delimited_len(key) + delimited_len(value), self.out);
        prefix(delimited(1), key, self.out);
        self.out.extend_from_slice(first.as_bytes());
        self.out.extend_from_slice(second.as_bytes());
        prefix(delimited(2), value, self.out);
    }
}

impl Attributes for Fields<'_> {
    #[inline]
    fn text(&mut self, key: Key<'_>, value: &str) {
        self.begin(key, delimited_len(value.len()));
        text(delimited(1), value, self.out);
    }

    fn int(&mut self, key: Key<'_>, value: i64) {
        let value = value as u64;
        self.begin(key, 1 + varint_len(value));
        self.out.push(integer(3));
        varint(value, self.out);
    }

    fn boolean(&mut self, key: Key<'_>, value: bool) {
        self.begin(key, 2);
        self.out.push(integer(2));
        self.out.push(u8::from(value));
    }

    fn double(&mut self, key: Key<'_>, value: f64) {
        self.begin(key, 9);
        self.out.push(fixed64(4));
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn list<'e, I: Iterator<Item = &'e str>>(&mut self, key: Key<'_>, values: impl Fn() -> I) {
        let length: usize = values().map(|value| delimited_len(delimited_len(value.len()))).sum();
        self.begin(key, delimited_len(length));
        prefix(delimited(5), length, self.out);
        for value in values() {
            prefix(delimited(1), delimited_len(value.len()), self.out);
            text(delimited(1), value, self.out);
        }
    }
}

fn nanoseconds(key: u8, value: u64, out: &mut Vec<u8>) {
    // In protobuf a field of the value 0 is left out.
    if value != 0 {
        out.push(key);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn text(key: u8, value: &str, out: &mut Vec<u8>) {
    bytes(key, value.as_bytes(), out);
}

fn bytes(key: u8, value: &[u8], out: &mut Vec<u8>) {
    prefix(key, value.len(), out);
    out.extend_from_slice(value);
}

#[inline]
fn prefix(key: u8, length: usize, out: &mut Vec<u8>) {
    out.push(key);
    varint(length as u64, out);
}

/// Bytes of a field whose value is of this length.
#[inline]
const fn delimited_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

#[inline]
const fn varint_len(value: u64) -> usize {
    // Seven bits a byte, and one byte for 0.
    ((63 - (value | 1).leading_zeros() as usize) * 9 + 73) / 64
}

#[inline]
fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
