//! Busy waiting for an event before sleeping until it.
//!
//! A wake-up by the kernel takes some microseconds on one processor, and some 50 across two idle processors
//! of a virtual machine. A call of a plugin that works in memory takes a fraction of that. So each side polls
//! for a while before it sleeps: longer than the slowest wake-up, because a late wake-up would make the other
//! side sleep too; and longer than a request to a server on the same machine. Other threads may use the
//! processor meanwhile. Where polling keeps failing, because the plugin takes longer, it is rarely tried.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest time to poll.
const LIMIT: Duration = Duration::from_micros(250);
/// After this many failures in a row, only one wait in `RARELY` begins with polling.
const PATIENCE: u32 = 8;
const RARELY: u32 = 32;

/// One place that waits, and how often polling has failed there.
pub(crate) struct Spin {
    failures: AtomicU32,
}

impl Spin {
    pub(crate) const fn new() -> Self {
        Self { failures: AtomicU32::new(0) }
    }

    /// Returns when `done` returns `true`, or when it is time to sleep.
    pub(crate) fn until(&self, done: impl Fn() -> bool) {
        if done() {
            return;
        }
        let failures = self.failures.load(Ordering::Relaxed);
        if failures >= PATIENCE && !failures.is_multiple_of(RARELY) {
            self.failures.store(failures.wrapping_add(1), Ordering::Relaxed);
            return;
        }
        for _ in 0..64 {
            std::hint::spin_loop();
            if done() {
                self.failures.store(0, Ordering::Relaxed);
                return;
            }
        }
        let started = Instant::now();
        while started.elapsed() < LIMIT {
            // The other thread may share this processor.
            thread::yield_now();
            if done() {
                self.failures.store(0, Ordering::Relaxed);
                return;
            }
        }
        self.failures.store(failures.wrapping_add(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn polling_that_keeps_failing_becomes_rare_until_it_succeeds() {
        let spin = Spin::new();
        let looks = Cell::new(0_u32);
        let look = |answer| {
            looks.set(0);
            spin.until(|| {
                looks.set(looks.get() + 1);
                answer && looks.get() > 1
            });
            looks.get() > 1
        };
        assert!((0..PATIENCE).all(|_| look(false)));
        assert!((PATIENCE..RARELY).all(|_| !look(false)));
        assert!(look(true));
        assert!(look(false));
    }
}
