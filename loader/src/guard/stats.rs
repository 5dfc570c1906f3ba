//! Counters of one backend.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jackfield_plugin_api::Outcome;

use super::histogram::Histogram;
use super::report::{Failure, Report};
use crate::boundary::process::{lock, nanoseconds};
#[cfg(target_os = "linux")]
use crate::files::open::{Access, read};

/// Counts of a backend since it was opened: of events, unless the text says calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls of `send` that entered the plugin.
    pub calls: u64,
    /// Calls that were refused without entering the plugin: circuit open, all workers busy, backend closed.
    pub refused_calls: u64,
    /// Events delivered.
    pub delivered: u64,
    /// Events to be sent again.
    pub retried: u64,
    /// Events rejected permanently.
    pub rejected: u64,
    /// Events in batches that were too large.
    pub too_large: u64,
    /// Calls in which the plugin panicked.
    pub panics: u64,
    /// Calls in which the plugin's process ended.
    pub crashes: u64,
    /// Child processes that were started after the first one.
    pub restarts: u64,
    /// The plugin's child process, if there is one.
    pub process: Option<ProcessStats>,
    /// Calls that missed their deadline.
    pub timeouts: u64,
    /// Calls that are inside the plugin although no caller waits for them.
    pub stuck_calls: u64,
    /// The duration of the calls that entered the plugin.
    pub latency: Latency,
}

/// The bounds of [`Latency::at_most`], in ascending order.
pub const LATENCY_BOUNDS: [Duration; 16] = [
    Duration::from_micros(100),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// The child process of a plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessStats {
    /// The number of the process.
    pub id: u32,
    /// Resident memory in bytes, including shared memory; `None` where the system does not tell.
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

/// Durations of calls: percentiles, at most 1.6 % too long, a histogram, and their sum.
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
    /// For each of the [`LATENCY_BOUNDS`], the number of calls that were no slower.
    pub at_most: [u64; LATENCY_BOUNDS.len()],
    /// The durations of all calls together.
    pub sum: Duration,
}

impl Latency {
    /// Counts a call, but not for the percentiles.
    fn count(&mut self, took: Duration) {
        self.sum += took;
        let from = LATENCY_BOUNDS.partition_point(|bound| *bound < took);
        self.at_most[from..].iter_mut().for_each(|calls| *calls += 1);
    }

    fn with_percentiles(self, times: &Histogram) -> Self {
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| times.quantile(share));
        Self { p50, p90, p99, max: times.longest(), ..self }
    }
}

/// A number of stuck calls. A call can return just before it is counted, so that the number is negative for a
/// moment.
struct Stuck(AtomicI64);

impl Stuck {
    const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    fn add(&self, calls: i64) {
        self.0.fetch_add(calls, Ordering::AcqRel);
    }

    fn get(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Acquire)).unwrap_or(0)
    }
}

/// The stuck calls of all backends.
static STUCK: Stuck = Stuck::new();

/// How many calls of this process are inside a plugin although no caller waits for them, those of closed
/// backends included. Each keeps its thread, its batch and its instance.
#[must_use]
pub fn stuck_calls() -> usize {
    usize::try_from(STUCK.get()).unwrap_or(usize::MAX)
}

/// The counters behind [`Stats`].
pub(super) struct Counters {
    /// The counts, and the time of each call in nanoseconds.
    counted: Mutex<(Stats, Histogram)>,
    stuck_calls: Stuck,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self { counted: Mutex::default(), stuck_calls: Stuck::new() }
    }

    pub(super) fn count(&self, report: &Report) {
        let mut counted = lock(&self.counted);
        let (stats, times) = &mut *counted;
        let mut add = |outcome: &Outcome, events: usize| {
            let counter = match outcome {
                Outcome::Delivered => &mut stats.delivered,
                Outcome::Retry { .. } => &mut stats.retried,
                Outcome::Rejected { .. } => &mut stats.rejected,
                Outcome::TooLarge { .. } => &mut stats.too_large,
            };
            *counter += events as u64;
        };
        match report.uniform() {
            Some(outcome) => add(outcome, report.len()),
            None => report.outcomes().for_each(|outcome| add(outcome, 1)),
        }
        match report.failure() {
            Some(Failure::Panicked { .. }) => stats.panics += 1,
            Some(Failure::Crashed { .. }) => stats.crashes += 1,
            Some(Failure::TimedOut { .. }) => stats.timeouts += 1,
            Some(Failure::CircuitOpen { .. } | Failure::Busy { .. } | Failure::Closed) => {
                stats.refused_calls += 1;
                return;
            }
            Some(Failure::Failed { .. }) | None => {}
        }
        stats.calls += 1;
        stats.latency.count(report.elapsed());
        times.record(nanoseconds(report.elapsed()));
    }

    pub(super) fn stuck(&self) -> u64 {
        self.stuck_calls.get()
    }

    pub(super) fn call_got_stuck(&self) {
        self.stuck_calls.add(1);
        STUCK.add(1);
    }

    pub(super) fn stuck_call_returned(&self) {
        self.stuck_calls.add(-1);
        STUCK.add(-1);
    }

    /// All but `restarts` and `process`.
    pub(super) fn snapshot(&self) -> Stats {
        let counted = lock(&self.counted);
        let (stats, times) = &*counted;
        Stats { stuck_calls: self.stuck(), latency: stats.latency.with_percentiles(times), ..stats.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Reported;
    use super::*;

    #[test]
    fn only_calls_that_entered_count_for_the_percentiles() {
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
        assert_eq!(stats.latency.sum, Duration::from_millis(5050));
        let within = |millis| {
            let at = LATENCY_BOUNDS.iter().position(|bound| *bound == Duration::from_millis(millis));
            stats.latency.at_most[at.expect("a bound")]
        };
        assert_eq!([1, 5, 50, 250, 60_000].map(within), [1, 5, 50, 100, 100]);
        assert_eq!((stats.calls, stats.refused_calls, stats.delivered, stats.retried), (100, 1, 100, 1));
    }
}
