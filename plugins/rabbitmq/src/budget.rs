//! Limits the unconfirmed events of all calls together to one window, however many threads send. When a broker dies, at
//! most one window of events is in doubt.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The budget that all calls of one backend share.
#[derive(Debug)]
pub(crate) struct Budget {
    window: usize,
    calls: AtomicUsize,
    taken: AtomicUsize,
}

/// One call's part of the budget, returned when it is dropped.
#[derive(Debug)]
pub(crate) struct Share<'b> {
    budget: &'b Budget,
    taken: usize,
}

impl Budget {
    pub(crate) fn new(window: usize) -> Self {
        Self { window, calls: AtomicUsize::new(0), taken: AtomicUsize::new(0) }
    }

    /// Makes the part of a new call.
    pub(crate) fn share(&self) -> Share<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Share { budget: self, taken: 0 }
    }
}

impl Share<'_> {
    /// Takes room for one more event, unless that would exceed the call's equal part or the window.
    pub(crate) fn take(&mut self) -> bool {
        let Budget { window, calls, taken } = self.budget;
        let part = (window / calls.load(Ordering::Relaxed).max(1)).max(1);
        let free = |taken: usize| (taken < *window).then_some(taken + 1);
        let took =
            self.taken < part && taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok();
        self.taken += usize::from(took);
        took
    }

    /// Sets the number of this call's unconfirmed events, and gives the rest of its room back.
    pub(crate) fn keep(&mut self, under_way: usize) {
        let done = self.taken.saturating_sub(under_way);
        self.budget.taken.fetch_sub(done, Ordering::Relaxed);
        self.taken -= done;
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.keep(0);
        self.budget.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_calls_together_have_one_window_in_equal_parts() {
        let budget = Budget::new(8);
        let mut first = budget.share();
        assert_eq!((0..10).filter(|_| first.take()).count(), 8, "one call may have all of it");
        let mut second = budget.share();
        assert!(!second.take(), "nothing is left yet");
        first.keep(6);
        assert!(!first.take(), "it has more than its part");
        assert_eq!((0..10).filter(|_| second.take()).count(), 2);
        first.keep(0);
        assert_eq!((0..10).filter(|_| second.take()).count(), 2, "up to its part");
        drop(first);
        assert_eq!((0..10).filter(|_| second.take()).count(), 4, "that of a call that has ended is free");
    }

    #[test]
    fn every_call_may_have_one_event_under_way_in_the_smallest_window() {
        let budget = Budget::new(1);
        let (mut first, mut second) = (budget.share(), budget.share());
        assert!(first.take() && !second.take());
        drop(first);
        assert!(second.take());
    }
}
