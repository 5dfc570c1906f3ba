//! Encoded events, and their division among bodies.

use std::{
    num::{NonZeroU32, NonZeroU64},
    ops::Range,
};

use jackfield_plugin_api::{Batch, Call, Event, Outcome};

/// One event in the encoding of the platform, and its place in the batch.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Index of the event in the batch.
    pub event: usize,
    /// The event, encoded.
    pub bytes: &'a [u8],
}

/// Bytes for which a buffer has room from the start, for each event.
const USUAL_EVENT_BYTES: usize = 768;

/// Encoded events in one buffer, for plugins that do not forward the event's own JSON.
#[derive(Debug, Default)]
pub struct EntryBuffer {
    bytes: Vec<u8>,
    entries: Vec<(usize, Range<usize>)>,
}

impl EntryBuffer {
    /// The events of a batch, each appended by `encode`. An event for which `encode` fails is reported as rejected, with
    /// the reason.
    pub fn of_batch(
        batch: &Batch<'_>,
        call: &Call<'_>,
        encode: impl Fn(Event<'_>, &mut Vec<u8>) -> Result<(), String>,
    ) -> Self {
        let mut entries = Self {
            bytes: Vec::with_capacity(batch.len().saturating_mul(USUAL_EVENT_BYTES)),
            entries: Vec::with_capacity(batch.len()),
        };
        for (at, event) in batch.iter().enumerate() {
            if let Err(reason) = entries.push(at, |entry| encode(event, entry)) {
                call.report(at..at + 1, &Outcome::rejected(reason));
            }
        }
        entries
    }

    /// Adds the event at `event` in the batch, which `encode` appends to the buffer. When `encode` fails, the bytes that
    /// it has written are removed.
    fn push<E>(&mut self, event: usize, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.bytes.len();
        match encode(&mut self.bytes) {
            Ok(()) => {
                self.entries.push((event, start..self.bytes.len()));
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(start);
                Err(error)
            }
        }
    }

    /// The entries in the order in which they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.entries.iter().map(|(event, range)| Entry { event: *event, bytes: &self.bytes[range.clone()] })
    }
}

/// The platform's limits for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body, before compression.
    pub body_bytes: usize,
    /// Entries in a body.
    pub entries: usize,
    /// Bytes of one entry; an event whose entry is larger is rejected and not sent.
    pub entry_bytes: usize,
}

impl Limits {
    /// The limits that the options of a plugin state. An entry has none of its own.
    #[must_use]
    pub fn from_options(max_body_bytes: NonZeroU64, max_events: NonZeroU32) -> Self {
        Self {
            body_bytes: usize::try_from(max_body_bytes.get()).unwrap_or(usize::MAX),
            entries: usize::try_from(max_events.get()).unwrap_or(usize::MAX),
            entry_bytes: usize::MAX,
        }
    }
}

/// The next body: how many of `sizes`, from the first, go into it. 0 when the first alone is too large.
pub(crate) fn next_part(
    sizes: impl Iterator<Item = usize>,
    limits: &Limits,
    overhead: impl Fn(usize) -> usize,
) -> usize {
    let (mut count, mut bytes) = (0_usize, 0_usize);
    for size in sizes {
        bytes = bytes.saturating_add(size);
        let body = bytes.saturating_add(overhead(count + 1));
        if size > limits.entry_bytes || body > limits.body_bytes || count == limits.entries.max(1) {
            break;
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(sizes: &[usize], limits: Limits) -> Vec<usize> {
        let (mut parts, mut at) = (Vec::new(), 0);
        while at < sizes.len() {
            let count = next_part(sizes[at..].iter().copied(), &limits, |count| 1 + count);
            parts.push(count);
            at += count.max(1);
        }
        parts
    }

    #[test]
    fn a_body_takes_what_fits_in_bytes_and_entries() {
        let limits = Limits { body_bytes: 100, entries: 3, entry_bytes: 90 };
        assert_eq!(parts(&[10; 7], limits), [3, 3, 1]);
        // Two entries of 48 bytes with 3 bytes around them are 99, of 49 are 101.
        assert_eq!(parts(&[48, 48], limits), [2]);
        assert_eq!(parts(&[49, 49], limits), [1, 1]);
        assert_eq!(parts(&[90, 1, 91, 1], limits), [2, 0, 1]);
        assert_eq!(parts(&[99], Limits { entry_bytes: usize::MAX, ..limits }), [0]);
        assert_eq!(parts(&[], limits), [] as [usize; 0]);
        assert_eq!(parts(&[1, 1], Limits { entries: 0, ..limits }), [1, 1], "at least one at a time");
    }

    #[test]
    fn an_entry_that_could_not_be_encoded_leaves_nothing() {
        let mut buffer = EntryBuffer::default();
        buffer
            .push(0, |out| {
                out.extend_from_slice(b"one");
                Ok::<_, ()>(())
            })
            .expect("encoded");
        buffer
            .push(1, |out| {
                out.extend_from_slice(b"hal");
                Err("f")
            })
            .expect_err("not encoded");
        buffer
            .push(2, |out| {
                out.extend_from_slice(b"two");
                Ok::<_, ()>(())
            })
            .expect("encoded");
        let entries: Vec<_> = buffer.iter().map(|entry| (entry.event, entry.bytes)).collect();
        assert_eq!(entries, [(0, b"one".as_slice()), (2, b"two")]);
    }
}
