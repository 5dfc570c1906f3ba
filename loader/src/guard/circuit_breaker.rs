//! The circuit breaker of a backend, which decides whether a call may enter the plugin.
//!
//! While the circuit is closed, calls pass. A missed deadline, or [`PANICS`] panics in a row, opens it. While
//! it is open, no call passes, for a pause that doubles with each failure. Then it is half-open, and one call
//! passes as a probe. If the probe succeeds, the circuit is closed, otherwise it is open again.

use std::time::{Duration, Instant};

use crate::boundary::process::after;

/// A pause that doubles with each failure in a row, up to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Backoff {
    /// A backoff from `first` to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The pause after a failure that follows `earlier` failures in a row.
    #[must_use]
    pub fn pause(self, earlier: u32) -> Duration {
        self.first.saturating_mul(1 << earlier.min(30)).min(self.longest)
    }

    /// The same pause, shortened by up to a half. `random` from 0 to 1 decides how much.
    #[must_use]
    pub fn jittered_pause(self, earlier: u32, random: f64) -> Duration {
        self.pause(earlier).mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
    }
}

impl Default for Backoff {
    /// 1 s, up to 5 minutes.
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(300))
    }
}

/// Number of calls in a row that open the circuit if they fail in time. A call that hangs opens it at once.
const PANICS: u32 = 3;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The call passes.
    Pass,
    /// The call passes as the probe. Its end decides about the circuit.
    Probe,
    /// The call does not pass.
    Refused { retry_after: Duration, reason: String },
}

#[derive(Debug)]
enum Circuit {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    HalfOpen,
    /// Open permanently.
    GivenUp,
}

#[derive(Debug)]
pub(super) struct CircuitBreaker {
    backoff: Backoff,
    circuit: Circuit,
    /// Number of times that the circuit was opened in a row.
    opened: u32,
    reason: String,
}

impl CircuitBreaker {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, circuit: Circuit::Closed { failures: 0 }, opened: 0, reason: String::new() }
    }

    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match self.circuit {
            Circuit::Closed { .. } => Admission::Pass,
            Circuit::Open { until } if now >= until => {
                self.circuit = Circuit::HalfOpen;
                Admission::Probe
            }
            Circuit::Open { until } => Admission::Refused {
                retry_after: until.saturating_duration_since(now),
                reason: self.reason.clone(),
            },
            Circuit::GivenUp => {
                Admission::Refused { retry_after: self.backoff.longest, reason: self.reason.clone() }
            }
            // The probe ends at its caller's deadline, which is not known here.
            Circuit::HalfOpen => {
                Admission::Refused { retry_after: self.backoff.first, reason: self.reason.clone() }
            }
        }
    }

    /// Notes a call that returned from a healthy plugin.
    pub(super) fn succeeded(&mut self) {
        // A call that began before the circuit opened says nothing about the plugin since then.
        if !matches!(self.circuit, Circuit::Open { .. } | Circuit::GivenUp) {
            self.circuit = Circuit::Closed { failures: 0 };
            self.opened = 0;
        }
    }

    /// Notes a call that returned with a panic, or a fresh instance that did not open.
    pub(super) fn failed(&mut self, now: Instant, reason: &str) {
        match &mut self.circuit {
            Circuit::Closed { failures } if *failures + 1 < PANICS => *failures += 1,
            Circuit::Open { .. } | Circuit::GivenUp => {}
            Circuit::Closed { .. } | Circuit::HalfOpen => self.trip(now, reason),
        }
    }

    /// Opens the circuit, after a call that did not return.
    pub(super) fn trip(&mut self, now: Instant, reason: &str) {
        if matches!(self.circuit, Circuit::GivenUp) {
            return;
        }
        reason.clone_into(&mut self.reason);
        self.circuit = Circuit::Open { until: after(now, self.backoff.pause(self.opened)) };
        self.opened = self.opened.saturating_add(1);
    }

    /// Opens the circuit permanently.
    pub(super) fn give_up(&mut self, now: Instant, reason: &str) {
        self.trip(now, reason);
        self.circuit = Circuit::GivenUp;
    }

    /// Notes that the probe did not enter the plugin.
    pub(super) fn probe_again(&mut self, now: Instant) {
        if matches!(self.circuit, Circuit::HalfOpen) {
            self.circuit = Circuit::Open { until: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refused(admission: Admission) -> Duration {
        match admission {
            Admission::Refused { retry_after, .. } => retry_after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_missed_deadline_opens_the_circuit_for_a_doubling_pause() {
        let start = Instant::now();
        let mut breaker = CircuitBreaker::new(Backoff { first: SECOND, longest: 3 * SECOND });
        let mut now = start;
        for expected in [1, 2, 3, 3] {
            breaker.trip(now, "no answer");
            assert_eq!(refused(breaker.admit(now)), expected * SECOND);
            now += expected * SECOND;
            assert_eq!(breaker.admit(now), Admission::Probe);
        }
    }

    #[test]
    fn one_probe_passes_and_its_success_closes_the_circuit() {
        let start = Instant::now();
        let mut breaker = CircuitBreaker::new(Backoff::default());
        breaker.trip(start, "no answer");
        let later = start + 2 * SECOND;
        assert_eq!(breaker.admit(later), Admission::Probe);
        refused(breaker.admit(later));
        breaker.succeeded();
        assert_eq!(breaker.admit(later), Admission::Pass);
        breaker.trip(later, "no answer");
        assert_eq!(refused(breaker.admit(later)), SECOND);
    }

    #[test]
    fn only_panics_in_a_row_open_the_circuit() {
        let now = Instant::now();
        let mut breaker = CircuitBreaker::new(Backoff::default());
        for _ in 0..10 {
            breaker.failed(now, "panic");
            breaker.failed(now, "panic");
            breaker.succeeded();
            assert_eq!(breaker.admit(now), Admission::Pass);
        }
        for _ in 0..PANICS {
            breaker.failed(now, "panic");
        }
        refused(breaker.admit(now));
    }

    #[test]
    fn a_late_success_does_not_close_the_circuit() {
        let now = Instant::now();
        let mut breaker = CircuitBreaker::new(Backoff::default());
        breaker.trip(now, "no answer");
        breaker.succeeded();
        refused(breaker.admit(now));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(SECOND, 5 * SECOND);
        let pauses: Vec<_> = [0, 1, 2, 3, u32::MAX].map(|earlier| backoff.pause(earlier)).into();
        assert_eq!(pauses, [1, 2, 4, 5, 5].map(|seconds| seconds * SECOND));
        let longest = Duration::from_secs(u64::MAX);
        assert_eq!(Backoff::new(longest, Duration::MAX).pause(30), Duration::MAX);
    }

    #[test]
    fn jitter_shortens_a_pause_by_at_most_a_half() {
        let backoff = Backoff::new(4 * SECOND, 60 * SECOND);
        let pauses = [0.0, 0.5, 1.0, 2.0].map(|random| backoff.jittered_pause(0, random));
        assert_eq!(pauses, [4, 3, 2, 2].map(|seconds| seconds * SECOND));
    }
}
