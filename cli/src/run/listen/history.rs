//! What a run did in the last hour, in samples of a fixed number.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use jackfield_loader::ForeignText;

use crate::run_state::{Snapshot, SpoolNow};

/// The time of a sample.
const STEP: Duration = Duration::from_secs(15);
/// Samples of an hour.
const MOST: usize = 240;

/// What a run did between two moments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) from: Instant,
    pub(super) until: Instant,
    pub(super) read_per_s: f64,
    /// Events that backends have accepted; an event counts once for each backend.
    pub(super) delivered_per_s: f64,
    /// The largest number of events that waited.
    pub(super) waiting: u64,
    /// Whether the circuit of a backend was open.
    pub(super) was_open: bool,
}

#[derive(Default)]
pub(super) struct History {
    /// Complete samples.
    past: VecDeque<Sample>,
    /// Where the sample begins that is not complete.
    base: Option<Base>,
    current: Option<Sample>,
}

struct Base {
    at: Instant,
    read: u64,
    delivered: BTreeMap<(String, ForeignText), u64>,
    waiting: u64,
    was_open: bool,
}

impl History {
    pub(super) fn add(&mut self, now: &Snapshot, at: Instant) {
        let next = Base::of(now, at);
        let Some(base) = &mut self.base else {
            self.base = Some(next);
            return;
        };
        base.waiting = base.waiting.max(next.waiting);
        base.was_open |= next.was_open;
        let sample = base.until(&next);
        if sample.until - sample.from < STEP {
            self.current = Some(sample);
            return;
        }
        (self.base, self.current) = (Some(next), None);
        self.past.push_back(sample);
        if self.past.len() > MOST {
            self.past.pop_front();
        }
    }

    pub(super) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.past.iter().chain(&self.current)
    }
}

impl Base {
    fn of(now: &Snapshot, at: Instant) -> Self {
        let backends =
            || now.spools.iter().flat_map(|spool| spool.backends.iter().map(move |backend| (spool, backend)));
        let key = |spool: &SpoolNow| spool.folder.as_ref().map_or_else(String::new, ToString::to_string);
        Self {
            at,
            read: now.events,
            delivered: backends()
                .map(|(spool, backend)| ((key(spool), backend.name.clone()), backend.delivered))
                .collect(),
            waiting: now.spools.iter().map(|spool| spool.waiting).sum(),
            was_open: backends().any(|(_, backend)| backend.paused_s.is_some()),
        }
    }

    fn until(&self, next: &Self) -> Sample {
        // A backend that comes brings the numbers of earlier runs along, and one that leaves takes its numbers away.
        let delivered = next.delivered.iter().filter_map(|(name, number)| {
            self.delivered.get(name).map(|before| number.saturating_sub(*before))
        });
        let seconds = (next.at - self.at).as_secs_f64().max(0.001);
        let per_s = |events: u64| f64::from(u32::try_from(events).unwrap_or(u32::MAX)) / seconds;
        Sample {
            from: self.at,
            until: next.at,
            read_per_s: per_s(next.read.saturating_sub(self.read)),
            delivered_per_s: per_s(delivered.sum()),
            waiting: self.waiting,
            was_open: self.was_open,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A status with these numbers of read and waiting events, and of delivered events and a pause for each backend.
    fn snapshot(read: u64, waiting: u64, backends: &[(&str, u64, Option<u64>)]) -> Snapshot {
        let backend = |&(name, delivered, paused_s): &(&str, u64, Option<u64>)| {
            json!({
                "name": name, "plugin": null, "isolation": "thread", "open": true, "events_per_s": 0.0, "p50_ms": 0.0,
                "p99_ms": 0.0, "calls": 0, "waiting": 0, "delivered": delivered, "rejected": 0, "circuit": "closed",
                "paused_s": paused_s, "last_error": null, "last_error_s": null, "last_delivery_s": null, "swaps": 0,
                "not_swapped": null,
            })
        };
        let spool = json!({
            "tool": "t", "folder": "/f", "waiting": waiting, "bytes": 0, "oldest_s": null, "dropped": {},
            "dead_letters": 0, "problems": [], "backends": backends.iter().map(backend).collect::<Vec<_>>(),
        });
        let run = json!({
            "state": "running", "version": "1", "pid": 1, "started_ms": 0, "at_ms": 0, "config": "c", "input": "i",
            "lines": read, "events": read, "bad_lines": 0, "not_stored": 0, "mapped_images": 0, "image_limit": 0,
            "last_reload": null, "spools": [spool],
        });
        serde_json::from_value(run).expect("a status")
    }

    #[test]
    fn an_hour_is_kept_in_samples_of_a_fixed_number() {
        let (mut history, start) = (History::default(), Instant::now());
        // Twice a second for two hours, with 10 events in each second.
        for half in 0..2 * 7200 {
            let events = half * 5;
            history
                .add(&snapshot(events, 0, &[("a", events, None)]), start + Duration::from_millis(500 * half));
        }
        let samples: Vec<_> = history.samples().collect();
        assert!((MOST..=MOST + 1).contains(&samples.len()), "{}", samples.len());
        for pair in samples.windows(2) {
            assert_eq!(pair[0].until, pair[1].from);
        }
        for sample in samples {
            let rates = [sample.read_per_s, sample.delivered_per_s];
            assert!(rates.iter().all(|rate| (rate - 10.0).abs() < 1e-6), "{sample:?}");
        }
    }

    #[test]
    fn a_sample_has_the_most_of_its_time_and_only_what_backends_did_in_it() {
        let (mut history, start) = (History::default(), Instant::now());
        let second = |number| start + Duration::from_secs(number);
        assert_eq!(history.samples().count(), 0);
        history.add(&snapshot(100, 0, &[("a", 1000, None)]), second(0));
        history.add(&snapshot(110, 7, &[("a", 1005, Some(3))]), second(1));
        // It brings the numbers of an earlier run along.
        history.add(&snapshot(120, 2, &[("a", 1010, None), ("b", 1_000_000, None)]), second(2));
        let samples: Vec<_> = history.samples().cloned().collect();
        let expected = Sample {
            from: second(0),
            until: second(2),
            read_per_s: 10.0,
            delivered_per_s: 5.0,
            waiting: 7,
            was_open: true,
        };
        assert_eq!(samples, [expected]);
    }
}
