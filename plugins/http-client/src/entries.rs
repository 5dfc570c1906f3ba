//! Encoded events, and how many of them go into one body.

use std::{
    num::{NonZeroU32, NonZeroU64},
    ops::Range,
};

use jackfield_plugin_api::{Batch, Event};

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

/// The events of a batch, encoded into one buffer.
#[derive(Debug, Default)]
pub struct Entries<S = ()> {
    bytes: Vec<u8>,
    encoded: Vec<(usize, Range<usize>)>,
    /// The events that can't be sent, each with the reason.
    pub(crate) failed: Vec<(usize, String)>,
    /// What the platform needs in addition to the entries to make a body.
    pub shared: S,
}

impl Entries {
    /// Encodes the events of a batch. `encode` appends an event to the buffer. Its error is the reason why the event
    /// is rejected.
    pub fn encode<'b>(
        batch: &Batch<'b>,
        mut encode: impl FnMut(Event<'b>, &mut Vec<u8>) -> Result<(), String>,
    ) -> Self {
        let mut entries = Self {
            bytes: Vec::with_capacity(batch.len().saturating_mul(USUAL_EVENT_BYTES)),
            encoded: Vec::with_capacity(batch.len()),
            ..Self::default()
        };
        for (at, event) in batch.iter().enumerate() {
            entries.push(at, |entry| encode(event, entry));
        }
        entries
    }

    fn push(&mut self, event: usize, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), String>) {
        let start = self.bytes.len();
        match encode(&mut self.bytes) {
            Ok(()) => self.encoded.push((event, start..self.bytes.len())),
            Err(reason) => {
                self.bytes.truncate(start);
                self.failed.push((event, reason));
            }
        }
    }

    /// The same entries with something that their bodies share.
    #[must_use]
    pub fn sharing<S>(self, shared: S) -> Entries<S> {
        let Self { bytes, encoded, failed, .. } = self;
        Entries { bytes, encoded, failed, shared }
    }
}

impl<S> Entries<S> {
    /// The entries in the order of the batch.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.encoded.iter().map(|(event, range)| Entry { event: *event, bytes: &self.bytes[range.clone()] })
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
        let mut entries = Entries::default();
        for (at, (text, result)) in
            [("one", Ok(())), ("hal", Err("f".to_owned())), ("two", Ok(()))].into_iter().enumerate()
        {
            entries.push(at, |out| {
                out.extend_from_slice(text.as_bytes());
                result
            });
        }
        let encoded: Vec<_> = entries.iter().map(|entry| (entry.event, entry.bytes)).collect();
        assert_eq!(encoded, [(0, b"one".as_slice()), (2, b"two")]);
        assert_eq!(entries.failed, [(1, "f".to_owned())]);
    }
}
