//! Encoding an event of a tool as its stored line of JSON.

use std::{borrow::Cow, io::Write as _, time::Duration};

use uuid::Uuid;

use crate::redact::event_parts::redact_value;
use crate::redact::redact::{is_credential, is_harmless_word};

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
    Redacted(Vec<(Cow<'a, str>, Cow<'a, str>)>),
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
            let _ =
                write!(out, ",\"duration_ms\":{}", u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
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
                    string(out, value);
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

/// Appends text that needs no escapes.
fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Bytes that JSON does not escape.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = byte >= 0x20 && byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    plain
};

fn string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| PLAIN[usize::from(byte)]) {
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
mod tests {
    use super::*;

    fn encoder() -> Encoder {
        Encoder::new(Origin { machine_id: "m", tool_name: "to\"ol", version: "1", os_version: "6" })
    }

    #[test]
    fn an_event_is_one_line_that_the_reader_of_events_takes_as_it_is() {
        let args = [Cow::Borrowed("--name"), Cow::Borrowed("a\nb")];
        let metadata = [("k", "v"), ("l", "\u{1}")];
        let record = Record {
            kind: "command.error",
            name: "build",
            duration: Some(Duration::from_millis(1500)),
            exit_code: Some(-1),
            args: Some(&args),
            error: Some(Cow::Borrowed("no such \\ file")),
            metadata: Metadata::Plain(&metadata),
        };
        let mut line = Vec::new();
        let now = Duration::from_micros(1_767_323_045_000_089);
        let id = crate::event::encode::Ids::new(1).next(1, now);
        let mut time = Timestamp::default();
        time.set(now);
        encoder().encode(id, &time, &record, &mut line);
        assert!(!line.contains(&b'\n'));
        let mut buffer = crate::event::batch_buffer::EventBuffer::new(
            crate::event::defaults::EventDefaults::new("other", "2"),
        );
        buffer.push_line(&line).expect("an event");
        let batch = buffer.take();
        let event = batch.view().get(0).expect("one");
        assert_eq!(event.json().as_bytes(), line, "complete, so nothing is filled in");
        assert_eq!((event.id(), event.kind(), event.name()), (&*id.to_string(), "command.error", "build"));
        assert_eq!((event.tool_name(), event.machine_id(), event.tool_version()), ("to\"ol", "m", "1"));
        assert_eq!(event.duration(), Some(Duration::from_millis(1500)));
        assert_eq!((event.exit_code(), event.error()), (Some(-1), Some("no such \\ file")));
        assert_eq!(event.args().expect("there").collect::<Vec<_>>(), ["--name", "a\nb"]);
        assert_eq!(event.metadata().collect::<Vec<_>>(), [("k", "v"), ("l", "\u{1}")]);
        assert_eq!(event.timestamp(), "2026-01-02T03:04:05.000089Z");
        assert_eq!(event.time_unix_nanos(), 1_767_323_045_000_089_000);
    }

    #[test]
    fn a_timestamp_is_what_the_date_library_makes_of_it() {
        let mut time = Timestamp::default();
        for micros in [0, 1, 999_999, 1_000_000, 1_767_323_045_123_456, 1_767_323_045_000_001, 7] {
            time.set(Duration::from_micros(micros));
            let expected = jiff::Timestamp::from_microsecond(micros as i64).expect("in range");
            assert_eq!(std::str::from_utf8(&time.text), Ok(&*format!("{expected:.6}")));
        }
        time.set(Duration::from_secs(u64::MAX));
        assert_eq!(&time.text, b"9999-12-30T22:00:00.000000Z");
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let mut line = Vec::new();
        encoder().encode(
            uuid::Uuid::nil(),
            &Timestamp::default(),
            &Record { kind: "feature.used", name: "x", ..Record::default() },
            &mut line,
        );
        let event: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        for member in ["duration_ms", "exit_code", "args", "error", "metadata"] {
            assert!(event.get(member).is_none(), "{member}");
        }
    }

    const NOW: Duration = Duration::from_secs(1_767_323_045);

    #[test]
    fn ids_are_of_version_7_and_differ() {
        let mut ids = Ids::new(1);
        let some: std::collections::HashSet<_> = (0..10_000).map(|_| ids.next(1, NOW)).collect();
        assert_eq!(some.len(), 10_000);
        assert!(
            some.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122)
        );
    }

    #[test]
    fn a_fork_does_not_go_on_with_its_parents_numbers() {
        let mut parent = Ids::new(1);
        let mut child = Ids { process: 1, random: parent.random.clone() };
        let bits = |id: Uuid| id.as_u128() & ((1 << 62) - 1);
        assert_ne!(bits(parent.next(1, NOW)), bits(child.next(2, NOW)));
    }
}
