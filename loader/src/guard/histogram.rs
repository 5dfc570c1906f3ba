//! A histogram of durations with steps of constant relative width.
//!
//! Up to 127 ns each nanosecond has a slot. Above, each power of two has 64 slots, so that a slot is at most 1.6 % wide.

use std::time::Duration;

/// The number of bits that choose the slot within a power of two.
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;

/// It grows with the longest duration, to 20 KiB for an hour.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    longest: u64,
}

impl Histogram {
    /// Counts a duration in nanoseconds.
    pub(super) fn record(&mut self, nanoseconds: u64) {
        let slot = slot(nanoseconds);
        if slot >= self.counts.len() {
            self.counts.resize(slot + 1, 0);
        }
        self.counts[slot] += 1;
        self.longest = self.longest.max(nanoseconds);
    }

    /// A duration that `share` of the recorded ones do not exceed, at most 1.6 % too long; zero without any.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let all: u64 = self.counts.iter().sum();
        let rank = ((all as f64 * share).ceil() as u64).max(1);
        let mut so_far = 0;
        let found = self.counts.iter().position(|count| {
            so_far += count;
            so_far >= rank
        });
        Duration::from_nanos(found.map_or(0, |slot| end(slot).min(self.longest)))
    }

    /// The longest duration; zero without any.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }
}

/// The slot of a value.
fn slot(value: u64) -> usize {
    let octave = value.checked_ilog2().unwrap_or(0).saturating_sub(BITS);
    octave as usize * SLOTS + (value >> octave) as usize
}

/// The greatest value of a slot.
fn end(slot: usize) -> u64 {
    let octave = (slot / SLOTS).saturating_sub(1);
    (((slot - octave * SLOTS) as u64 + 1) << octave).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_each_other_and_are_narrow() {
        let edges = (0..64).flat_map(|bit| [-1_i128, 0, 1].map(|by| (1_i128 << bit) + by));
        let values: Vec<u64> = (0..5000)
            .chain(edges.chain([u64::MAX.into()]).filter_map(|value| value.try_into().ok()))
            .collect();
        for value in values {
            let slot = slot(value);
            assert!(end(slot) >= value, "{value}");
            assert!((end(slot) - value) as f64 <= value as f64 / 64.0, "{value}: {}", end(slot));
            assert!(slot == 0 || end(slot - 1) < value, "{value}");
        }
        assert_eq!(end(slot(u64::MAX)), u64::MAX);
    }

    #[test]
    fn a_quantile_is_the_duration_of_its_rank() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.longest()), (Duration::ZERO, Duration::ZERO));
        for value in [7, 1, 3, 100, 5] {
            histogram.record(value);
        }
        let shares = [0.0, 0.2, 0.5, 0.8, 0.81, 1.0].map(|share| histogram.quantile(share).as_nanos());
        assert_eq!(shares, [1, 1, 5, 7, 100, 100]);
        histogram.record(1_000_001);
        assert_eq!(histogram.quantile(1.0).as_nanos(), 1_000_001, "never above the longest");
    }
}
