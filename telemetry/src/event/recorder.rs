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
use crate::redact::event_parts::{EventParts, RedactedParts, redact_pair, redact_parts};
use crate::redact::redact::{is_harmless_word, redact};

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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::encode::Origin;
    use crate::event::event::EventKind;

    fn line(recorder: &Recorder, event: &Event<'_>) -> serde_json::Value {
        recorder.record(1, event, |line| serde_json::from_slice(line).expect("JSON"))
    }

    fn recorder(extended: bool) -> Recorder {
        let origin = Origin { machine_id: "m", tool_name: "t", version: "1", os_version: "6" };
        let all = [("channel", "beta"), ("proxy", "http://me:pw@host/")];
        let all: Vec<_> = all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Recorder::new(Encoder::new(origin), &all, extended)
    }

    #[test]
    fn what_an_event_says_wins_over_what_the_tool_says_of_all_and_secrets_go_from_both() {
        let event = Event::new(EventKind::FEATURE_USED, "export").metadata(&[
            ("channel", "stable"),
            ("token", "abc"),
            ("n", "1"),
            ("n", "2"),
        ]);
        let stored = line(&recorder(false), &event);
        assert_eq!(
            stored["metadata"],
            serde_json::json!({
                "channel": "stable", "proxy": "http://[redacted]@host/", "token": "[redacted]", "n": "2"
            })
        );
    }

    #[test]
    fn of_many_names_the_last_value_counts_in_the_place_of_the_first() {
        let names: Vec<String> = (0..40).map(|number| format!("n{number}")).collect();
        let mut pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "first")).collect();
        pairs.extend([
            ("channel", "stable"),
            ("n3", "second"),
            ("n39", "second"),
            ("new", "x"),
            ("new", "y"),
        ]);
        let recorder = recorder(false);
        let Metadata::Redacted(merged) = recorder.metadata(&pairs) else {
            panic!("there is something to merge")
        };
        let keys: Vec<&str> = merged.iter().map(|(key, _)| &**key).collect();
        let expected =
            ["channel", "proxy"].into_iter().chain(names.iter().map(|name| &**name)).chain(["new"]);
        assert_eq!(keys, expected.collect::<Vec<_>>());
        let value = |name: &str| &*merged.iter().find(|(key, _)| key == name).expect("there").1;
        assert_eq!(
            ["channel", "n3", "n39", "new", "n4"].map(value),
            ["stable", "second", "second", "y", "first"]
        );
    }

    #[test]
    fn the_time_that_many_names_take_is_linear() {
        let names: Vec<String> = (0..60_000).map(|number| format!("n{number}")).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "")).collect();
        let event = Event::new("a", "b").metadata(&pairs);
        let recorder = recorder(false);
        assert!(!recorder.is_too_long(&event));
        let started = std::time::Instant::now();
        recorder.record(1, &event, |line| assert!(line.len() < MAX_LINE));
        // A comparison of each with each takes some minutes.
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }

    #[test]
    fn what_no_line_can_hold_is_known_before_it_is_redacted() {
        let long = "x".repeat(MAX_LINE + 1);
        let pairs = [("k", &*long)];
        let args = [&*long];
        let short = Event::new("a", "b");
        for extended in [false, true] {
            let recorder = recorder(extended);
            assert!(!recorder.is_too_long(&short));
            assert!(recorder.is_too_long(&Event::new("a", &long)));
            assert!(recorder.is_too_long(&Event::new(long.clone(), "b")));
            assert!(recorder.is_too_long(&short.clone().metadata(&pairs)));
            // Parts that are not collected do not count.
            assert_eq!(recorder.is_too_long(&short.clone().args(&args)), extended);
            assert_eq!(recorder.is_too_long(&short.clone().error(&long)), extended);
        }
    }

    #[test]
    fn arguments_and_errors_need_extended_collection() {
        let args = ["--password", "hunter2", "-v"];
        let event = Event::new("deploy.failed", "deploy token=abcdef")
            .args(&args)
            .error("login with password=hunter2 failed");
        let stored = line(&recorder(false), &event);
        assert!(stored.get("args").is_none() && stored.get("error").is_none(), "{stored}");
        let stored = line(&recorder(true), &event);
        assert_eq!(stored["args"], serde_json::json!(["--password", "[redacted]", "-v"]));
        assert_eq!(stored["error"], "login with password=[redacted] failed");
        assert_eq!(stored["name"], "deploy token=[redacted]");
    }

    #[test]
    fn secrets_go_from_kinds_too() {
        let secret = format!("gh{}_{}", "p", "a1B2".repeat(9));
        for (kind, expected) in [
            (secret.clone(), "[redacted]".to_owned()),
            (format!("login.{secret}"), "login.[redacted]".to_owned()),
            ("deploy.failed".to_owned(), "deploy.failed".to_owned()),
        ] {
            assert_eq!(line(&recorder(false), &Event::new(kind, "b"))["type"], expected);
        }
    }

    #[test]
    fn an_event_without_kind_and_name_gets_both() {
        let stored = line(&recorder(false), &Event::new("", ""));
        assert_eq!((&stored["type"], &stored["name"]), (&"other".into(), &"unnamed".into()));
    }

    #[test]
    fn an_event_may_be_tracked_while_another_one_is() {
        let recorder = recorder(false);
        let event = Event::new("a", "outer");
        let ids = recorder.record(1, &event, |outer| {
            let outer: serde_json::Value = serde_json::from_slice(outer).expect("JSON");
            [outer["id"].clone(), line(&recorder, &event)["id"].clone()]
        });
        assert_ne!(ids[0], ids[1]);
    }
}
