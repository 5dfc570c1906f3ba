//! From an event of the tool to its line for the spool: redaction, merging, encoding.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::event::encode::{Encoder, Ids, Metadata, Record, Timestamp};
use crate::event::event::Event;
use crate::event::parse::MAX_LINE;
use crate::redact::redact::{EventParts, RedactedParts, is_harmless_word, redact, redact_pair, redact_parts};

/// Memory that a thread uses again for the next event, of any instance.
struct Scratch {
    ids: Ids,
    time: Timestamp,
    line: Vec<u8>,
}

/// Memory for a longer line is freed after the event.
const KEPT: usize = 16 << 10;

/// Up to this number pairs are compared each with each.
const FEW: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Makes lines of events.
#[derive(Debug)]
pub(crate) struct Recorder {
    encoder: Encoder,
    /// The metadata of every event, redacted.
    metadata: Vec<(String, String)>,
    extended: bool,
}

impl Recorder {
    pub(crate) fn new(encoder: Encoder, metadata: &[(String, String)], extended: bool) -> Self {
        let plain: Vec<(&str, &str)> = metadata.iter().map(|(key, value)| (&**key, &**value)).collect();
        let redacted = redact_parts(&EventParts { metadata: &plain, ..EventParts::default() });
        let metadata =
            redacted.metadata.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned()));
        Self { encoder, metadata: metadata.collect(), extended }
    }

    /// Whether the event is longer than any line. Asked before redaction, whose time grows with the length.
    pub(crate) fn is_too_long(&self, event: &Event<'_>) -> bool {
        let parts = &event.parts;
        let pairs: usize = parts.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        let mut bytes = event.kind.as_str().len() + event.name.len() + pairs;
        if self.extended {
            bytes += parts.error.map_or(0, str::len);
            bytes += parts.args.unwrap_or_default().iter().map(|arg| arg.len()).sum::<usize>();
        }
        bytes > MAX_LINE
    }

    /// The pairs of all events and of this event. The last of two equal keys counts, at the position of the first.
    fn metadata<'a>(&'a self, own: &'a [(&'a str, &'a str)]) -> Metadata<'a> {
        let is_first = |at: usize, key: &str| own[..at].iter().all(|(before, _)| *before != key);
        let is_plain = |(at, (key, _)): (usize, &(&str, &str))| is_harmless_word(key) && is_first(at, key);
        // Most tools have nothing to merge: this allocates nothing.
        if self.metadata.is_empty() && own.len() <= FEW && own.iter().enumerate().all(is_plain) {
            return Metadata::Plain(own);
        }
        let mut merged: Vec<(Cow<'_, str>, Cow<'_, str>)> =
            Vec::with_capacity(self.metadata.len() + own.len());
        let all = self.metadata.iter().map(|(key, value)| (Cow::Borrowed(&**key), Cow::Borrowed(&**value)));
        // An index of the keys, when there are many.
        let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
        for (key, value) in all.chain(own.iter().map(|(key, value)| redact_pair(key, value))) {
            if merged.len() == FEW && places.is_empty() {
                places = merged.iter().map(|(key, _)| key.clone()).zip(0..).collect();
            }
            let known = if places.is_empty() {
                merged.iter().position(|(known, _)| *known == key)
            } else {
                places.get(&key).copied()
            };
            match known {
                Some(at) => merged[at].1 = value,
                None => {
                    if !places.is_empty() {
                        places.insert(key.clone(), merged.len());
                    }
                    merged.push((key, value));
                }
            }
        }
        Metadata::Redacted(merged)
    }

    /// Redacts and encodes an event, and calls `then` with its line. `process` is the number of this process.
    pub(crate) fn record<T>(&self, process: u32, event: &Event<'_>, then: impl FnOnce(&[u8]) -> T) -> T {
        // The encoder redacts the metadata.
        let parts = EventParts { extended: self.extended, metadata: &[], ..event.parts };
        let redacted = if self.extended { redact_parts(&parts) } else { RedactedParts::default() };
        // A reader of events refuses an empty name.
        let name: Cow<'_, str> = redact(if event.name.is_empty() { "unnamed" } else { event.name });
        let kind = event.kind.redacted();
        let record = Record {
            kind: &kind,
            name: &name,
            duration: event.duration,
            exit_code: event.exit_code,
            args: redacted.args.as_deref(),
            error: redacted.error,
            metadata: self.metadata(event.parts.metadata),
        };
        let mut then = Some(then);
        let mut with = |scratch: &mut Scratch| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            scratch.time.set(now);
            scratch.line.clear();
            self.encoder.encode(scratch.ids.next(process, now), &scratch.time, &record, &mut scratch.line);
            let answer = then.take().map(|then| then(&scratch.line));
            if scratch.line.capacity() > KEPT {
                scratch.line = Vec::new();
            }
            answer
        };
        let fresh =
            || Scratch { ids: Ids::new(process), time: Timestamp::default(), line: Vec::with_capacity(512) };
        let kept = SCRATCH.try_with(|scratch| {
            // Taken out of the thread's storage while in use: a call from here may track an event itself.
            let mut scratch_now = scratch.try_borrow_mut().ok()?.take().unwrap_or_else(fresh);
            let answer = with(&mut scratch_now);
            if let Ok(mut scratch) = scratch.try_borrow_mut() {
                *scratch = Some(scratch_now);
            }
            answer
        });
        match kept {
            Ok(Some(answer)) => answer,
            // The thread ends, and its storage is gone.
            _ => with(&mut fresh()).expect("called once"),
        }
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
