//! From an event of the tool to its line for the spool: redaction, merging, encoding.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::event::author_rules::{AuthorRules, CommonMetadata};
use crate::event::encode::{Encoder, Metadata, Record};
use crate::event::event::Event;
use crate::event::id::{EventId, Ids};
use crate::event::parse::MAX_LINE;
use crate::event::rfc3339::Timestamp;
use crate::event::value::Value;
use crate::redact::personal::PersonalNames;
use crate::redact::redact::{
    EventParts, RedactedParts, is_harmless_word, redact, redact_pair, redact_parts, redact_value,
};

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
    metadata: Vec<(String, Value<'static>)>,
    extended: bool,
    /// What takes personal data out of arguments and messages; `None` when they stay, or are not collected.
    personal: Option<PersonalNames>,
    rules: AuthorRules,
}

impl Recorder {
    pub(crate) fn new(
        encoder: Encoder,
        metadata: &CommonMetadata,
        extended: bool,
        personal: Option<PersonalNames>,
        rules: AuthorRules,
    ) -> Self {
        let redacted = metadata.iter().map(|(key, value)| redacted_value(key, value));
        let metadata = redacted.map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        Self { encoder, metadata, extended, personal, rules }
    }

    /// Whether the event is longer than any line. Asked before redaction, whose time grows with the length.
    pub(crate) fn is_too_long(&self, event: &Event<'_>) -> bool {
        let parts = &event.parts;
        let pairs: usize = parts.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        let values: usize = event.values.iter().map(|(key, value)| key.len() + value.len()).sum();
        let mut bytes = event.kind.as_str().len() + event.name.len() + pairs + values;
        if self.extended {
            bytes += parts.error.map_or(0, str::len);
            bytes += parts.args.unwrap_or_default().iter().map(|arg| arg.len()).sum::<usize>();
        }
        bytes > MAX_LINE
    }

    /// The pairs of all events and of this event. The last of two equal keys counts, at the position of the first.
    fn metadata<'a>(
        common: &'a CommonMetadata,
        own: &'a [(&'a str, &'a str)],
        values: &'a [(&'a str, Value<'a>)],
    ) -> Metadata<'a> {
        let is_first = |at: usize, key: &str| own[..at].iter().all(|(before, _)| *before != key);
        let is_plain = |(at, (key, _)): (usize, &(&str, &str))| is_harmless_word(key) && is_first(at, key);
        // Most tools have nothing to merge: this allocates nothing.
        let is_short = common.is_empty() && values.is_empty() && own.len() <= FEW;
        if is_short && own.iter().enumerate().all(is_plain) {
            return Metadata::Plain(own);
        }
        let mut merged: Vec<(Cow<'_, str>, Value<'_>)> =
            Vec::with_capacity(common.len() + own.len() + values.len());
        let all = common.iter().map(|(key, value)| (Cow::Borrowed(&**key), value.borrowed()));
        let texts = own.iter().map(|(key, value)| {
            let (key, value) = redact_pair(key, value);
            (key, Value::Text(value))
        });
        let values = values.iter().map(|(key, value)| redacted_value(key, value));
        // An index of the keys, when there are many.
        let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
        for (key, value) in all.chain(texts).chain(values) {
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

    /// Redacts and encodes an event of the tool, as its author wants it, and calls `then` with its id and its line. `None` when
    /// the author's rules keep the event out. `process` is the number of this process.
    pub(crate) fn record<T>(
        &self,
        process: u32,
        event: &Event<'_>,
        then: impl FnOnce(EventId, &[u8]) -> T,
    ) -> Option<T> {
        with_scratch(process, |scratch| {
            let id = scratch.begin(process);
            if !self.rules.keeps(id) {
                return None;
            }
            if self.rules.looks_at_events() {
                let draft = self.rules.apply(&self.metadata, self.extended, event)?;
                draft.with_event(|event| self.encode(id, &[], event, scratch));
            } else {
                self.encode(id, &self.metadata, event, scratch);
            }
            Some(then(id, &scratch.line))
        })
    }

    /// The same for an event that the author's rules do not apply to.
    pub(crate) fn record_as_is<T>(
        &self,
        process: u32,
        event: &Event<'_>,
        then: impl FnOnce(&[u8]) -> T,
    ) -> T {
        with_scratch(process, |scratch| {
            let id = scratch.begin(process);
            self.encode(id, &self.metadata, event, scratch);
            then(&scratch.line)
        })
    }

    fn encode(&self, id: EventId, common: &CommonMetadata, event: &Event<'_>, scratch: &mut Scratch) {
        // The encoder redacts the metadata.
        let parts = EventParts { extended: self.extended, metadata: &[], ..event.parts };
        let mut redacted = if self.extended { redact_parts(&parts) } else { RedactedParts::default() };
        if let Some(personal) = &self.personal {
            for text in redacted.args.iter_mut().flatten().chain(redacted.error.as_mut()) {
                if let Cow::Owned(changed) = personal.redact(text) {
                    *text = Cow::Owned(changed);
                }
            }
        }
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
            metadata: Self::metadata(common, event.parts.metadata, event.values),
        };
        self.encoder.encode(id, &scratch.time, &record, &mut scratch.line);
    }
}

/// The redacted name and value of metadata. A number under the name of a credential is one, too.
fn redacted_value<'a>(name: &'a str, value: &'a Value<'_>) -> (Cow<'a, str>, Value<'a>) {
    let digits = match value {
        Value::Text(text) => return (redact(name), Value::Text(redact_value(name, text))),
        Value::Boolean(_) => return (redact(name), value.borrowed()),
        Value::Integer(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
    };
    match redact_value(name, &digits) {
        Cow::Borrowed(same) if same == digits => (redact(name), value.borrowed()),
        redacted => (redact(name), Value::Text(redacted.into_owned().into())),
    }
}

impl Scratch {
    fn new(process: u32) -> Self {
        Self { ids: Ids::new(process), time: Timestamp::default(), line: Vec::with_capacity(512) }
    }

    /// Begins an event, which happens now.
    fn begin(&mut self, process: u32) -> EventId {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.time.set(now);
        self.line.clear();
        self.ids.next(process, now)
    }
}

/// Calls `work` with memory of this thread.
fn with_scratch<T>(process: u32, work: impl FnOnce(&mut Scratch) -> T) -> T {
    let mut work = Some(work);
    let mut with = |scratch: &mut Scratch| {
        let answer = work.take().map(|work| work(scratch));
        if scratch.line.capacity() > KEPT {
            scratch.line = Vec::new();
        }
        answer
    };
    let kept = SCRATCH.try_with(|scratch| {
        // Taken out of the thread's storage while in use: a call from here may track an event itself.
        let mut scratch_now = scratch.try_borrow_mut().ok()?.take().unwrap_or_else(|| Scratch::new(process));
        let answer = with(&mut scratch_now);
        if let Ok(mut scratch) = scratch.try_borrow_mut() {
            *scratch = Some(scratch_now);
        }
        answer
    });
    match kept {
        Ok(Some(answer)) => answer,
        // The thread ends, and its storage is gone.
        _ => with(&mut Scratch::new(process)).expect("called once"),
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
