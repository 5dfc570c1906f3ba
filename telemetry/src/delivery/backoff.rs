//! Pauses between attempts, which somebody can end.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A flag that ends all that waits for it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct CancellationToken(Arc<(Mutex<bool>, Condvar)>);

impl CancellationToken {
    /// A flag that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag; it stays set.
    pub fn set(&self) {
        let (flag, changed) = &*self.0;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether the flag is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps for `pause`, or until the flag is set. Answers whether it is not.
    #[must_use]
    pub fn sleep(&self, pause: Duration) -> bool {
        let (flag, changed) = &*self.0;
        let end = Instant::now() + pause;
        let mut set = flag.lock().unwrap_or_else(PoisonError::into_inner);
        while !*set {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            set = changed.wait_timeout(set, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }
}

/// Pauses that grow, with jitter so that many senders do not come back at the same time.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        let first = first.max(Duration::from_millis(1));
        Self { first, longest: longest.max(first), next: first }
    }

    /// Starts again with the first pause.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next pause: from half of the current step to all of it, and at least `wish`. `None` when nothing is left of
    /// the budget `left`, or when the wish does not fit into it; a pause that is only too long is cut to fit.
    pub(crate) fn pause(&mut self, wish: Option<Duration>, left: Duration) -> Option<Duration> {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        let wish = wish.unwrap_or_default();
        if left.is_zero() || wish > left {
            return None;
        }
        Some(step.mul_f64(0.5 + fastrand::f64() / 2.0).max(wish).min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_double_up_to_the_longest_with_at_most_half_taken_off() {
        let mut backoff = Backoff::new(100 * MS, 350 * MS);
        for step in [100, 200, 350, 350] {
            let pause = backoff.pause(None, Duration::MAX).expect("time is left");
            assert!(pause >= MS * step / 2 && pause <= MS * step, "{pause:?} of {step}");
        }
        backoff.reset();
        assert!(backoff.pause(None, Duration::MAX).expect("time is left") <= 100 * MS);
    }

    #[test]
    fn a_wish_is_the_least_and_one_beyond_the_budget_ends_it() {
        let mut backoff = Backoff::new(MS, MS);
        assert_eq!(backoff.pause(Some(70 * MS), 100 * MS), Some(70 * MS));
        assert_eq!(backoff.pause(Some(170 * MS), 100 * MS), None);
    }

    #[test]
    fn a_pause_ends_with_the_budget_and_none_follows() {
        let mut backoff = Backoff::new(500 * MS, 500 * MS);
        assert_eq!(backoff.pause(None, 20 * MS), Some(20 * MS));
        assert_eq!(backoff.pause(None, Duration::ZERO), None);
    }

    #[test]
    fn a_sleeper_wakes_when_the_flag_is_set() {
        let stop = CancellationToken::new();
        assert!(stop.sleep(MS), "slept to the end");
        let sleeper = stop.clone();
        let started = Instant::now();
        std::thread::scope(|scope| {
            let woken = scope.spawn(move || sleeper.sleep(Duration::from_secs(60)));
            stop.set();
            assert!(!woken.join().expect("no panic"), "woken early");
        });
        assert!(started.elapsed() < Duration::from_secs(30));
        assert!(stop.is_set() && !stop.sleep(Duration::from_secs(60)));
    }
}
