//! Counters of one backend.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use jackfield_plugin_api::Outcome;

use super::report::{Failure, Report};
use crate::boundary::process::lock;
#[cfg(target_os = "linux")]
use crate::files::open::{Access, read};

/// What a backend has done since it was opened. Counts are of events unless they say calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls of `send` that entered the plugin.
    pub calls: u64,
    /// Calls that were refused without entering the plugin: circuit open, all workers busy, backend closed.
    pub refused_calls: u64,
    /// Events delivered.
    pub delivered: u64,
    /// Events that are to be sent again.
    pub retried: u64,
    /// Events rejected for good.
    pub rejected: u64,
    /// Events in batches that were too large.
    pub too_large: u64,
    /// Calls in which the plugin panicked.
    pub panics: u64,
    /// Calls in which the plugin's process ended.
    pub crashes: u64,
    /// Processes that were started after the first one.
    pub restarts: u64,
    /// The process that the plugin is in; `None` when that is this one, or none is running.
    pub process: Option<ProcessStats>,
    /// Calls that missed their deadline.
    pub timeouts: u64,
    /// Calls that are still inside the plugin though nobody waits for them.
    pub stuck_calls: u64,
    /// How long calls took that entered the plugin.
    pub latency: Latency,
}

/// A plugin's own process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessStats {
    /// Its number.
    pub id: u32,
    /// Resident memory in bytes, what it shares with others included; `None` where the system does not tell.
    pub resident: Option<u64>,
}

impl ProcessStats {
    pub(super) fn of(id: u32) -> Self {
        Self { id, resident: resident(id) }
    }
}

#[cfg(target_os = "linux")]
fn resident(id: u32) -> Option<u64> {
    let status = read(format!("/proc/{id}/status").as_ref(), Access::Read, 1 << 16).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(not(target_os = "linux"))]
const fn resident(_: u32) -> Option<u64> {
    None
}

/// Percentiles of durations, to two significant digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// Half of the calls were no slower.
    pub p50: Duration,
    /// 90 % of the calls were no slower.
    pub p90: Duration,
    /// 99 % of the calls were no slower.
    pub p99: Duration,
    /// The slowest call.
    pub max: Duration,
}

/// The counters behind [`Stats`].
pub(super) struct Counters {
    calls: AtomicU64,
    refused_calls: AtomicU64,
    delivered: AtomicU64,
    retried: AtomicU64,
    rejected: AtomicU64,
    too_large: AtomicU64,
    panics: AtomicU64,
    crashes: AtomicU64,
    timeouts: AtomicU64,
    stuck_calls: AtomicU64,
    /// Nanoseconds.
    latency: Mutex<Histogram<u64>>,
}

impl Counters {
    pub(super) fn new() -> Self {
        let mut histogram = Histogram::new(2).expect("2 significant digits are allowed");
        // It grows with the slowest call, to 40 KiB for one of an hour.
        histogram.auto(true);
        Self {
            calls: AtomicU64::new(0),
            refused_calls: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            too_large: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            crashes: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            stuck_calls: AtomicU64::new(0),
            latency: Mutex::new(histogram),
        }
    }

    /// Counts a call and its events.
    pub(super) fn count(&self, report: &Report) {
        let add = |counter: &AtomicU64, n: usize| counter.fetch_add(n as u64, Ordering::Relaxed);
        let counter = |outcome: &Outcome| match outcome {
            Outcome::Delivered => &self.delivered,
            Outcome::Retry { .. } => &self.retried,
            Outcome::Rejected { .. } => &self.rejected,
            Outcome::TooLarge { .. } => &self.too_large,
        };
        if let Some(outcome) = report.uniform() {
            add(counter(outcome), report.len());
        } else {
            for outcome in report.outcomes() {
                add(counter(outcome), 1);
            }
        }
        match report.failure() {
            Some(Failure::Panicked { .. }) => add(&self.panics, 1),
            Some(Failure::Crashed { .. }) => add(&self.crashes, 1),
            Some(Failure::TimedOut { .. }) => add(&self.timeouts, 1),
            Some(Failure::CircuitOpen { .. } | Failure::Busy { .. } | Failure::Closed) => {
                add(&self.refused_calls, 1);
                return;
            }
            Some(Failure::Failed { .. }) | None => 0,
        };
        add(&self.calls, 1);
        let nanos = u64::try_from(report.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // With automatic growth every value has a place but one that memory lacks.
        let _ = lock(&self.latency).record(nanos);
    }

    pub(super) fn stuck(&self) -> u64 {
        self.stuck_calls.load(Ordering::Acquire)
    }

    pub(super) fn call_got_stuck(&self) {
        self.stuck_calls.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn stuck_call_returned(&self) {
        self.stuck_calls.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn snapshot(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let latency = lock(&self.latency);
        let quantile = |q| Duration::from_nanos(latency.value_at_quantile(q));
        Stats {
            calls: get(&self.calls),
            refused_calls: get(&self.refused_calls),
            delivered: get(&self.delivered),
            retried: get(&self.retried),
            rejected: get(&self.rejected),
            too_large: get(&self.too_large),
            panics: get(&self.panics),
            crashes: get(&self.crashes),
            restarts: 0,
            process: None,
            timeouts: get(&self.timeouts),
            stuck_calls: self.stuck(),
            latency: Latency {
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                max: Duration::from_nanos(latency.max()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Reported;
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_calls_that_entered() {
        let counters = Counters::new();
        for millis in 1..=100 {
            let elapsed = Duration::from_millis(millis);
            counters.count(&Report::new(1, Reported::All(Outcome::Delivered), None, elapsed));
        }
        let refused = Report::new(1, Reported::Nothing, Some(Failure::Closed), Duration::from_secs(9));
        counters.count(&refused);
        let stats = counters.snapshot();
        let near = |found: Duration, millis: u64| {
            let expected = Duration::from_millis(millis);
            assert!(found >= expected && found <= expected.mul_f64(1.02), "{found:?}, not {expected:?}");
        };
        near(stats.latency.p50, 50);
        near(stats.latency.p90, 90);
        near(stats.latency.p99, 99);
        near(stats.latency.max, 100);
        assert_eq!((stats.calls, stats.refused_calls, stats.delivered, stats.retried), (100, 1, 100, 1));
    }
}
