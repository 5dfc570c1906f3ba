//! Warnings that would repeat with each pass: one at first, and then at most one a minute, with their number.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use jackfield_loader::count;

use crate::delivery::outage::REPEAT_MS;
use crate::process::lock;

/// The least time between two equal warnings.
const REPEAT: Duration = Duration::from_millis(REPEAT_MS);
/// The number of different warnings that are remembered.
const MOST: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct RepeatedWarnings(Mutex<BTreeMap<String, Written>>);

#[derive(Debug)]
struct Written {
    at: Instant,
    /// The number of equal warnings since then.
    left_out: u64,
}

impl RepeatedWarnings {
    /// Warns why telemetry waits.
    pub(crate) fn telemetry_waits(&self, reason: &str) {
        if let Some(line) = self.line(reason, Instant::now()) {
            tracing::warn!("telemetry waits: {line}");
        }
    }

    /// The reason, with the number of warnings that were left out; `None` when this one is left out.
    fn line(&self, reason: &str, now: Instant) -> Option<String> {
        let mut written = lock(&self.0);
        if let Some(written) = written.get_mut(reason) {
            if now.saturating_duration_since(written.at) < REPEAT {
                written.left_out += 1;
                return None;
            }
            let left_out = std::mem::replace(written, Written { at: now, left_out: 0 }).left_out;
            return Some(match left_out {
                0 => reason.to_owned(),
                times => format!("{reason} (and {} since the last report)", count(times, "time")),
            });
        }
        if written.len() == MOST {
            written.clear();
        }
        written.insert(reason.to_owned(), Written { at: now, left_out: 0 });
        Some(reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_warning_is_written_once_a_minute_with_its_number() {
        let (warnings, start) = (RepeatedWarnings::default(), Instant::now());
        let at = |reason: &str, second| warnings.line(reason, start + Duration::from_secs(second));
        assert_eq!(at("a", 0).as_deref(), Some("a"));
        assert_eq!(at("b", 1).as_deref(), Some("b"));
        assert!((5..60).all(|second| at("a", second).is_none()));
        assert_eq!(at("a", 60).as_deref(), Some("a (and 55 times since the last report)"));
        assert_eq!(at("a", 61), None);
        assert_eq!(at("b", 62).as_deref(), Some("b"), "none was left out");
        assert!((0..100).all(|number| at(&number.to_string(), 62).is_some()));
        assert!(lock(&warnings.0).len() <= MOST);
    }
}
