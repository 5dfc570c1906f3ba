//! The data in the shared memory: requests with their events from the host, records from the child.
//!
//! The host writes events as the structs of the contract, with offsets instead of pointers, which the child
//! replaces in place. Host and child are of the same build or, with a helper, of the same version.
//!
//! A record is a head of [`HEAD`] bytes (kind, code, two lengths, three numbers; little-endian) and two
//! texts.

use std::mem::{align_of, size_of};
use std::path::PathBuf;
use std::ptr;

use jackfield_plugin_api::abi;
use serde::{Deserialize, Serialize};

use super::shared_memory::{DATA_AT, SharedMemory};
use crate::boundary::batch::strings_mut;
use crate::boundary::text::REASON_LIMIT;
use crate::sandbox::Sandbox;
use crate::sandbox::limits::Limits;

/// The data that a child needs before it loads the plugin.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Setup {
    /// [`BUILD`] of the host.
    pub(super) build: String,
    /// Process number of the host.
    pub(super) parent: u32,
    /// The file with the plugin's code, for messages and the sandbox.
    pub(super) path: PathBuf,
    /// The name of a plugin that is built in.
    pub(super) built_in: Option<String>,
    pub(super) backend: String,
    pub(super) tool_name: String,
    pub(super) tool_version: String,
    /// The plugin's configuration, JSON.
    pub(super) config: String,
    pub(super) limits: Limits,
    pub(super) sandbox: Option<Sandbox>,
    /// Whether the child ends before it loads the plugin.
    pub(super) rehearsal: bool,
}

/// Must be the same in host and child.
pub(super) const BUILD: &str = concat!("jackfield ", env!("CARGO_PKG_VERSION"), " child 2");

/// Bytes before the texts of a record.
pub(super) const HEAD: usize = 40;

/// Longest message of a preview, in bytes.
pub(super) const LONGEST: usize = 64 << 20;

/// Longest other text of a record, in bytes. The child sends no more of a text than the host shows.
pub(super) const LONGEST_TEXT: usize = 2 * REASON_LIMIT;

pub(super) mod record {
    /// Outcome `code` of `y` events from `x` on, to be retried after `z` ms. The first text is the reason.
    pub(crate) const REPORT: u32 = 1;
    pub(crate) const EXPLAIN: u32 = 2;
    /// A message of a preview: label and bytes. `x` is the length of bytes that are not passed on.
    pub(crate) const MESSAGE: u32 = 3;
    /// The answer `x` to a request for deletion or a probe.
    pub(crate) const NUMBER: u32 = 4;
    /// The plugin was not loaded. `code` is the number of the stage, the first text the reason.
    pub(crate) const STAGE: u32 = 5;
    /// The end of the call: the status `x` and, for `open`, the plugin's abilities `y`.
    pub(crate) const DONE: u32 = 6;
}

/// Invalid data from the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotARecord;

/// A record. Its texts are arbitrary bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: u32,
    pub(super) code: u32,
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) z: u64,
    pub(super) first: &'a [u8],
    pub(super) second: &'a [u8],
}

impl<'a> Record<'a> {
    pub(super) fn head(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let words = [self.kind, self.code, self.first.len() as u32, self.second.len() as u32];
        for (place, word) in head.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        for (place, number) in head[16..].chunks_exact_mut(8).zip([self.x, self.y, self.z]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        head
    }

    /// The record at the start of `bytes` and its length; `Ok(None)` while it is incomplete. Its kind decides how
    /// long its texts may be; only in a preview may there be messages.
    pub(super) fn parse(bytes: &'a [u8], in_preview: bool) -> Result<Option<(Self, usize)>, NotARecord> {
        let Some((head, rest)) = bytes.split_at_checked(HEAD) else { return Ok(None) };
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap_or_default());
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
        let (first, second) = (word(8) as usize, word(12) as usize);
        let longest = match word(0) {
            record::MESSAGE if in_preview => LONGEST,
            record::REPORT | record::EXPLAIN | record::NUMBER | record::STAGE | record::DONE => LONGEST_TEXT,
            _ => return Err(NotARecord),
        };
        if first > LONGEST_TEXT || second > longest {
            return Err(NotARecord);
        }
        let Some((texts, _)) = rest.split_at_checked(first + second) else { return Ok(None) };
        let (first, second) = texts.split_at(first);
        let record = Record {
            kind: word(0),
            code: word(4),
            x: number(16),
            y: number(24),
            z: number(32),
            first,
            second,
        };
        Ok(Some((record, HEAD + texts.len())))
    }
}

/// A log record for the control socket.
pub(super) fn log_record(level: u32, target: &str, message: &str) -> Vec<u8> {
    let cut = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX);
    let (target_len, message_len) = (cut(target), cut(message));
    let mut record = vec![u8::try_from(level).unwrap_or(u8::MAX), 0];
    record.extend(target_len.to_le_bytes());
    record.extend(message_len.to_le_bytes());
    record.extend([0, 0]);
    record.extend(&target.as_bytes()[..usize::from(target_len)]);
    record.extend(&message.as_bytes()[..usize::from(message_len)]);
    record
}

/// # Safety
/// `list` is null and `len` is 0, or `list` leads to `len` valid values.
const unsafe fn slice<'a, T>(list: *const T, len: usize) -> &'a [T] {
    // SAFETY: the caller vouches for a list that is not empty.
    if len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(list, len) } }
}

struct Writer {
    base: *mut u8,
    list: usize,
    text: usize,
    end: usize,
    /// The JSON of the event, and its offset.
    json: (abi::Str, usize),
    /// The other strings of the last event, in the host and with their offsets.
    last: [(abi::Str, abi::Str); 12],
}

impl Writer {
    /// Copies a text behind the earlier ones. The pointer of the returned view is the offset.
    fn copy(&mut self, text: abi::Str) -> abi::Str {
        if text.len == 0 {
            return abi::Str::EMPTY;
        }
        assert!(text.len <= self.end - self.text, "the memory was found large enough");
        // SAFETY: the batch promises a readable text, and the assertion has found room for it.
        unsafe { ptr::copy_nonoverlapping(text.ptr, self.base.add(self.text), text.len) };
        let at = self.text;
        self.text += text.len;
        abi::Str { ptr: ptr::without_provenance(at), len: text.len }
    }

    /// As [`copy`](Self::copy), unless the text is a part of the event's JSON, which was copied already.
    fn place(&mut self, text: abi::Str) -> abi::Str {
        let (json, at) = self.json;
        let start = text.ptr.addr().wrapping_sub(json.ptr.addr());
        if text.len > 0 && start < json.len && text.len <= json.len - start {
            return abi::Str { ptr: ptr::without_provenance(at + start), len: text.len };
        }
        self.copy(text)
    }

    /// As [`place`](Self::place), and once for consecutive events that share the text.
    fn place_shared(&mut self, number: usize, text: abi::Str) -> abi::Str {
        let (last, placed) = self.last[number];
        if last.ptr == text.ptr && last.len == text.len {
            return placed;
        }
        let placed = self.place(text);
        self.last[number] = (text, placed);
        placed
    }

    fn push<T>(&mut self, value: T) {
        self.put(self.list, value);
        self.list += size_of::<T>();
    }

    /// Writes a value at an offset.
    fn put<T>(&mut self, at: usize, value: T) {
        assert!(at + size_of::<T>() <= self.end && at.is_multiple_of(align_of::<T>()));
        // SAFETY: the assertion has found the place aligned and within the mapping.
        unsafe { self.base.add(at).cast::<T>().write(value) };
    }
}

/// A request with more text and events than the shared memory takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes, of which {room} fit into the memory that is shared with the plugin's process")]
pub(super) struct DoesNotFit {
    bytes: usize,
    room: usize,
}

/// Writes a request's text and events into a memory. Returns their offsets.
///
/// # Safety
/// The views in `events` are valid.
pub(super) unsafe fn encode(
    memory: &SharedMemory,
    message: &str,
    events: &[abi::Event],
) -> Result<(usize, usize), DoesNotFit> {
    // SAFETY: the caller vouches for the views.
    let lists = |event: &abi::Event| unsafe {
        (slice(event.args.ptr, event.args.len), slice(event.metadata.ptr, event.metadata.len))
    };
    let (mut list_bytes, mut text_bytes) = (0, message.len());
    for event in events {
        let (args, metadata) = lists(event);
        list_bytes += size_of_val(args) + size_of_val(metadata);
        text_bytes += strings_mut(&mut event.clone()).iter().map(|text| text.len).sum::<usize>();
        text_bytes += args.iter().map(|text| text.len).sum::<usize>();
        text_bytes += metadata.iter().map(|pair| pair.key.len + pair.value.len).sum::<usize>();
    }
    let list = DATA_AT + size_of_val(events);
    let (bytes, room) = (size_of_val(events) + list_bytes + text_bytes, memory.len() - DATA_AT);
    if bytes > room {
        return Err(DoesNotFit { bytes, room });
    }
    let mut writer = Writer {
        base: memory.base(),
        list,
        text: list + list_bytes,
        end: memory.len(),
        json: (abi::Str::EMPTY, 0),
        last: [(abi::Str::EMPTY, abi::Str::EMPTY); 12],
    };
    let message = writer.copy(abi::Str::new(message)).ptr.addr();
    for (number, event) in events.iter().enumerate() {
        let (args, metadata) = lists(event);
        let mut placed = *event;
        let [json, others @ ..] = strings_mut(&mut placed);
        *json = writer.copy(event.json);
        writer.json = (event.json, json.ptr.addr());
        for (number, text) in others.into_iter().enumerate() {
            *text = writer.place_shared(number, *text);
        }
        placed.args.ptr = ptr::without_provenance(writer.list);
        for text in args {
            let text = writer.place(*text);
            writer.push(text);
        }
        placed.metadata.ptr = ptr::without_provenance(writer.list);
        for pair in metadata {
            let pair = abi::Pair { key: writer.place(pair.key), value: writer.place(pair.value) };
            writer.push(pair);
        }
        writer.put(DATA_AT + number * size_of::<abi::Event>(), placed);
    }
    Ok((message, DATA_AT))
}

/// Turns the offsets of `count` events at `at` into pointers, once. Returns the first event.
///
/// # Safety
/// [`encode`] has written them there, and no other code has read them yet.
pub(super) unsafe fn relocate(memory: &SharedMemory, at: usize, count: usize) -> *const abi::Event {
    let base = memory.base();
    let lead = |text: &mut abi::Str| {
        if text.len > 0 {
            // SAFETY: an offset within the mapping, by the function's contract.
            text.ptr = unsafe { base.add(text.ptr.addr()) };
        }
    };
    // SAFETY: `encode` has placed an aligned array there.
    let events = unsafe { std::slice::from_raw_parts_mut(base.add(at).cast::<abi::Event>(), count) };
    for event in &mut *events {
        for text in strings_mut(event) {
            lead(text);
        }
        // SAFETY: as above, for the lists.
        unsafe {
            let args = base.add(event.args.ptr.addr()).cast::<abi::Str>();
            event.args.ptr = args;
            std::slice::from_raw_parts_mut(args, event.args.len).iter_mut().for_each(lead);
            let pairs = base.add(event.metadata.ptr.addr()).cast::<abi::Pair>();
            event.metadata.ptr = pairs;
            for pair in std::slice::from_raw_parts_mut(pairs, event.metadata.len) {
                lead(&mut pair.key);
                lead(&mut pair.value);
            }
        }
    }
    events.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::batch::{Batch, EventFields};

    #[test]
    fn events_read_in_the_area_as_in_the_batch() {
        let lines: Vec<String> = (0..if cfg!(miri) { 50 } else { 1000 })
            .map(|n| format!(r#"{{"id":"{n}","é":"ü{n}"}}"#))
            .collect();
        let batch = Batch::build::<_, std::convert::Infallible>(lines, |lines, writer| {
            for (n, line) in lines.iter().enumerate() {
                writer.push(&EventFields {
                    json: line,
                    id: &line[7..8],
                    machine_id: "machine",
                    tool_name: "tool",
                    error: (n % 3 == 0).then_some("it broke"),
                    args: (n % 2 == 0).then_some(&["--one", "", &line[..3]]),
                    metadata: (n % 5 == 0).then_some(&[("key", &line[2..4]), ("", "")]),
                    duration_ms: (n % 7 == 0).then_some(n as u64),
                    exit_code: Some(-1),
                    ..EventFields::default()
                });
            }
            Ok(())
        })
        .unwrap();
        let [memory, _] = SharedMemory::ends();
        // SAFETY: the batch lives.
        let (message, events) = unsafe { encode(&memory, "mächine", batch.events()) }.unwrap();
        // SAFETY: within the mapping, where `encode` has placed it.
        let message = unsafe { std::slice::from_raw_parts(memory.base().add(message), "mächine".len()) };
        assert_eq!(message, "mächine".as_bytes());
        // SAFETY: written just now. The memory outlives the view.
        let copy = unsafe {
            let first = relocate(&memory, events, batch.len());
            jackfield_plugin_api::Batch::from_events(std::slice::from_raw_parts(first, batch.len()))
        };
        let show = |event: jackfield_plugin_api::Event<'_>| {
            let args: Option<Vec<_>> = event.args().map(|args| args.map(str::to_owned).collect());
            let metadata: Vec<_> = event.metadata().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            format!(
                "{} {} {} {} {:?} {args:?} {metadata:?} {:?} {:?}",
                event.json(),
                event.id(),
                event.machine_id(),
                event.tool_name(),
                event.error(),
                event.duration(),
                event.exit_code(),
            )
        };
        for (copied, original) in copy.iter().zip(batch.view().iter()) {
            assert_eq!(show(copied), show(original));
        }
    }

    #[test]
    fn a_record_is_read_once_it_is_all_there() {
        let record =
            Record { kind: record::REPORT, code: 3, x: 7, y: 9, z: u64::MAX, first: b"why", second: b"" };
        let mut bytes = record.head().to_vec();
        bytes.extend(b"why");
        for part in 0..bytes.len() {
            assert_eq!(Record::parse(&bytes[..part], false), Ok(None), "{part} bytes");
        }
        bytes.push(1);
        assert_eq!(Record::parse(&bytes, false), Ok(Some((record, HEAD + 3))));
    }

    #[test]
    fn a_text_longer_than_the_host_shows_is_no_record() {
        let text = vec![b'x'; LONGEST_TEXT + 1];
        let head = |kind, first, second| Record { kind, first, second, ..Record::default() }.head();
        let (short, long) = (&text[1..], &text[..]);
        for (head, in_preview, is_one) in [
            (head(record::REPORT, short, b""), false, true),
            (head(record::REPORT, long, b""), false, false),
            (head(record::EXPLAIN, b"", long), true, false),
            (head(record::MESSAGE, short, long), true, true),
            (head(record::MESSAGE, long, b""), true, false),
            (head(record::MESSAGE, b"", b""), false, false),
        ] {
            // Before its texts are there.
            assert_eq!(Record::parse(&head, in_preview).is_ok(), is_one, "{head:?}");
        }
    }

    #[test]
    fn whatever_bytes_a_child_sends_no_record_reaches_beyond_them() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        for _ in 0..if cfg!(miri) { 500 } else { 20_000 } {
            let mut bytes: Vec<u8> = (0..next() % 120).map(|_| next() as u8).collect();
            // Small numbers for kind and lengths, so that most records get past these checks.
            for at in [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15] {
                if let Some(byte) = bytes.get_mut(at) {
                    let small = u8::from(at % 4 == 0) * (next() % 24) as u8;
                    *byte = if next() % 50 == 0 { *byte } else { small };
                }
            }
            if let Ok(Some((record, length))) = Record::parse(&bytes, false) {
                assert!(length <= bytes.len());
                assert_eq!(length, HEAD + record.first.len() + record.second.len());
                assert!((record::REPORT..=record::DONE).contains(&record.kind));
            }
        }
        let large = Record { kind: record::MESSAGE, ..Record::default() };
        let mut head = large.head();
        head[12..16].copy_from_slice(&(LONGEST as u32 + 1).to_le_bytes());
        assert_eq!(Record::parse(&head, true), Err(NotARecord), "a length that nobody waits for");
    }
}
