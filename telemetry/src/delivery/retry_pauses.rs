//! The pauses between the attempts of a delivery without a spool.

use std::time::Duration;

use jackfield_loader::Backoff;

/// Pauses that grow, within a budget of time.
#[derive(Debug)]
pub(super) struct RetryPauses {
    backoff: Backoff,
    /// Failures in a row.
    failures: u32,
}

impl RetryPauses {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        let first = first.max(Duration::from_millis(1));
        Self { backoff: Backoff::new(first, longest.max(first)), failures: 0 }
    }

    /// Starts again with the first pause.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next pause, which is at least `wish`. `None` when nothing is left of the budget `left`, or when the wish does not
    /// fit into it; a pause that is only too long is cut to fit.
    pub(super) fn next(&mut self, wish: Option<Duration>, left: Duration) -> Option<Duration> {
        let pause = self.backoff.jittered_pause(self.failures, fastrand::f64());
        self.failures = self.failures.saturating_add(1);
        let wish = wish.unwrap_or_default();
        (!left.is_zero() && wish <= left).then(|| pause.max(wish).min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_double_up_to_the_longest_with_at_most_half_taken_off() {
        let mut pauses = RetryPauses::new(100 * MS, 350 * MS);
        for step in [100, 200, 350, 350] {
            let pause = pauses.next(None, Duration::MAX).expect("time is left");
            assert!(pause >= MS * step / 2 && pause <= MS * step, "{pause:?} of {step}");
        }
        pauses.reset();
        assert!(pauses.next(None, Duration::MAX).expect("time is left") <= 100 * MS);
    }

    #[test]
    fn a_wish_is_the_least_and_one_beyond_the_budget_ends_it() {
        let mut pauses = RetryPauses::new(MS, MS);
        assert_eq!(pauses.next(Some(70 * MS), 100 * MS), Some(70 * MS));
        assert_eq!(pauses.next(Some(170 * MS), 100 * MS), None);
    }

    #[test]
    fn a_pause_ends_with_the_budget_and_none_follows() {
        let mut pauses = RetryPauses::new(500 * MS, 500 * MS);
        assert_eq!(pauses.next(None, 20 * MS), Some(20 * MS));
        assert_eq!(pauses.next(None, Duration::ZERO), None);
    }
}
