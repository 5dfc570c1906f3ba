//! The pause before the next attempt.

use std::time::Duration;

/// A pause that doubles with each failure in a row, up to a longest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
}

impl Backoff {
    /// A backoff from `first` to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The pause after a failure that `earlier` failures in a row preceded.
    #[must_use]
    pub fn pause(self, earlier: u32) -> Duration {
        self.first.saturating_mul(1 << earlier.min(30)).min(self.longest)
    }

    /// The same pause, of which `random`, from 0 to 1, takes off up to a half, so that many senders do not come back at the
    /// same time.
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(SECOND, 5 * SECOND);
        let pauses: Vec<_> = [0, 1, 2, 3, u32::MAX].map(|earlier| backoff.pause(earlier)).into();
        assert_eq!(pauses, [1, 2, 4, 5, 5].map(|seconds| seconds * SECOND));
        let longest = Duration::from_secs(u64::MAX);
        assert_eq!(Backoff::new(longest, Duration::MAX).pause(30), Duration::MAX);
    }

    #[test]
    fn jitter_takes_off_at_most_a_half() {
        let backoff = Backoff::new(4 * SECOND, 60 * SECOND);
        let pauses = [0.0, 0.5, 1.0, 2.0].map(|random| backoff.jittered_pause(0, random));
        assert_eq!(pauses, [4, 3, 2, 2].map(|seconds| seconds * SECOND));
    }
}
