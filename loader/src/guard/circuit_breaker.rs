//! When a backend may be called: a circuit breaker.
//!
//! Closed, calls pass. A missed deadline, or [`PANICS`] panics in a row, opens it: for a backoff that doubles with each
//! failure, nothing enters the plugin. Then one call passes as a probe (half-open); its success closes the breaker, its
//! failure opens it again.

use std::time::{Duration, Instant};

use crate::boundary::backoff::Backoff;

/// How many failed calls in a row that came back in time open the breaker. A call that did not come back opens it at once.
const PANICS: u32 = 3;

/// What a caller may do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Call.
    Pass,
    /// Call, and report the end: other callers wait for it.
    Probe,
    /// Don't.
    Refused { retry_after: Duration, reason: String },
}

#[derive(Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    Probing,
    /// For good.
    GivenUp,
}

#[derive(Debug)]
pub(super) struct CircuitBreaker {
    backoff: Backoff,
    state: State,
    /// How often it was opened in a row.
    opened: u32,
    reason: String,
}

impl CircuitBreaker {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, state: State::Closed { failures: 0 }, opened: 0, reason: String::new() }
    }

    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Pass,
            State::Open { until } if now >= until => {
                self.state = State::Probing;
                Admission::Probe
            }
            State::Open { until } => Admission::Refused {
                retry_after: until.saturating_duration_since(now),
                reason: self.reason.clone(),
            },
            State::GivenUp => {
                Admission::Refused { retry_after: self.backoff.longest, reason: self.reason.clone() }
            }
            // The probe takes at most its caller's deadline, which this caller does not know.
            State::Probing => {
                Admission::Refused { retry_after: self.backoff.first, reason: self.reason.clone() }
            }
        }
    }

    /// A call came back and the plugin is well.
    pub(super) fn succeeded(&mut self) {
        // A call that began before the circuit opened says nothing about the plugin since then.
        if !matches!(self.state, State::Open { .. } | State::GivenUp) {
            self.state = State::Closed { failures: 0 };
            self.opened = 0;
        }
    }

    /// A call came back, in a panic or because a fresh instance can't be opened.
    pub(super) fn failed(&mut self, now: Instant, reason: &str) {
        match &mut self.state {
            State::Closed { failures } if *failures + 1 < PANICS => *failures += 1,
            State::Open { .. } | State::GivenUp => {}
            State::Closed { .. } | State::Probing => self.trip(now, reason),
        }
    }

    /// A call did not come back.
    pub(super) fn trip(&mut self, now: Instant, reason: &str) {
        if matches!(self.state, State::GivenUp) {
            return;
        }
        reason.clone_into(&mut self.reason);
        self.state = State::Open { until: now + self.backoff.pause(self.opened) };
        self.opened = self.opened.saturating_add(1);
    }

    /// It is not to be tried again.
    pub(super) fn give_up(&mut self, now: Instant, reason: &str) {
        self.trip(now, reason);
        self.state = State::GivenUp;
    }

    /// The probe did not take place.
    pub(super) fn probe_again(&mut self, now: Instant) {
        if matches!(self.state, State::Probing) {
            self.state = State::Open { until: now };
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
    fn a_missed_deadline_opens_it_and_the_wait_doubles_up_to_the_longest() {
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
    fn one_probe_passes_at_a_time_and_its_success_closes_it() {
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
    fn panics_open_it_only_in_a_row() {
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
    fn a_late_success_of_an_old_call_does_not_close_it() {
        let now = Instant::now();
        let mut breaker = CircuitBreaker::new(Backoff::default());
        breaker.trip(now, "no answer");
        breaker.succeeded();
        refused(breaker.admit(now));
    }
}
