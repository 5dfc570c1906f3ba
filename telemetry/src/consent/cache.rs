//! A cached answer in one atomic word.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::consent::consent::Collection;

/// An answer, and the time at which it expires.
///
/// The word holds, from its highest bit: the number of invalidations (14 bits, it wraps), the time at which the
/// answer expires, in microseconds since `start` (48 bits, nine years; 0 is no answer), and the answer (2 bits).
#[derive(Debug)]
pub(super) struct Recent {
    start: Duration,
    word: AtomicU64,
}

const ANSWER: u64 = 0b11;
const UNTIL: u64 = ((1 << 48) - 1) << 2;
const FORGOTTEN: u64 = 1 << 50;

impl Recent {
    pub(super) const MAX_AGE: Duration = Duration::from_millis(100);

    pub(super) fn new() -> Self {
        Self { start: monotonic(), word: AtomicU64::new(0) }
    }

    /// The answer. `read` is called when there is none, or when it has expired.
    pub(super) fn get(&self, read: impl FnOnce() -> Collection) -> Collection {
        self.get_at(monotonic().saturating_sub(self.start), read)
    }

    /// The same at a time since the start.
    fn get_at(&self, now: Duration, read: impl FnOnce() -> Collection) -> Collection {
        let word = self.word.load(Ordering::Acquire);
        let now = now.as_micros() as u64;
        if now < (word & UNTIL) >> 2 {
            return decoded(word & ANSWER);
        }
        let answer = read();
        // The age counts from before the read. An answer that was read before an invalidation is not kept.
        let until = now + (Self::MAX_AGE - GRAIN).as_micros() as u64;
        let new = (word & !(UNTIL | ANSWER)) | ((until << 2) & UNTIL) | answer as u64;
        let _ = self.word.compare_exchange(word, new, Ordering::AcqRel, Ordering::Relaxed);
        answer
    }

    /// Invalidates the answer. Call it after a change of what the answer depends on.
    pub(super) fn forget(&self) {
        let forgotten = |word: u64| Some((word & !(UNTIL | ANSWER)).wrapping_add(FORGOTTEN));
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, forgotten);
    }
}

/// The greatest delay of the clock.
const GRAIN: Duration = Duration::from_millis(10);

/// A monotonic clock, at a quarter of the cost of the exact one.
#[cfg(target_os = "linux")]
fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(not(target_os = "linux"))]
fn monotonic() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

fn decoded(answer: u64) -> Collection {
    let all = [Collection::Off, Collection::LocalOnly, Collection::On];
    all.into_iter().find(|known| *known as u64 == answer).unwrap_or(Collection::Off)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time since the start.
    const NOW: Duration = Duration::from_secs(7);

    #[test]
    fn each_answer_is_held_as_it_is_until_it_is_forgotten() {
        for answer in [Collection::Off, Collection::LocalOnly, Collection::On] {
            let recent = Recent::new();
            assert_eq!(recent.get_at(NOW, || answer), answer);
            assert_eq!(recent.get_at(NOW, || panic!("asked again")), answer);
            recent.forget();
            assert_eq!(recent.get_at(NOW, || Collection::LocalOnly), Collection::LocalOnly);
        }
    }

    #[test]
    fn an_answer_expires_in_time_although_the_clock_is_late() {
        let recent = Recent::new();
        let stale = NOW + Recent::MAX_AGE - GRAIN;
        assert_eq!(recent.get_at(NOW, || Collection::On), Collection::On);
        assert_eq!(recent.get_at(stale - Duration::from_micros(1), || panic!("asked again")), Collection::On);
        assert_eq!(recent.get_at(stale, || Collection::Off), Collection::Off);
    }

    #[test]
    fn the_age_of_an_answer_counts_from_before_the_read() {
        let recent = Recent::new();
        let slow = || {
            std::thread::sleep(Recent::MAX_AGE);
            Collection::On
        };
        assert_eq!(recent.get(slow), Collection::On);
        assert_eq!(recent.get(|| Collection::Off), Collection::Off);
    }

    #[test]
    fn an_answer_from_before_it_was_forgotten_is_not_kept() {
        let recent = Recent::new();
        // The old answer has been read when the new one is written.
        let overtaken = || {
            recent.forget();
            Collection::On
        };
        assert_eq!(recent.get_at(NOW, overtaken), Collection::On);
        assert_eq!(recent.get_at(NOW, || Collection::Off), Collection::Off);
    }

    #[test]
    fn forgetting_so_often_that_the_count_wraps_leaves_no_answer_behind() {
        let recent = Recent::new();
        for _ in 0..=(1 << 14) {
            recent.get_at(NOW, || Collection::On);
            recent.forget();
        }
        assert_eq!(recent.get_at(NOW, || Collection::Off), Collection::Off);
    }
}
