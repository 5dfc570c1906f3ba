//! A flag that ends what waits for it.

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

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

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
