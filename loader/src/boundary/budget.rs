//! How much of a plugin's text goes into the tool's log.

use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(60);

/// The bytes of one kind of text that are logged in each [`PERIOD`]. The others are counted.
pub(crate) struct Budget {
    what: &'static str,
    most: usize,
    /// The start of the period; `None` before the first text.
    since: Option<Instant>,
    used: usize,
    /// How many texts and bytes were left out.
    left_out: (u64, u64),
}

impl Budget {
    pub(crate) const fn new(what: &'static str, most: usize) -> Self {
        Self { what, most, since: None, used: 0, left_out: (0, 0) }
    }

    /// Whether a new period begins. Then ask what was [left out](Self::left_out) of the last one.
    pub(crate) fn turns(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let turns = now.duration_since(since) >= PERIOD;
        if turns {
            (self.since, self.used) = (Some(now), 0);
        }
        turns
    }

    /// Whether a text of `len` bytes may be logged.
    pub(crate) fn admits(&mut self, len: usize) -> bool {
        let admitted = len <= self.most - self.used;
        if admitted {
            self.used += len;
        } else {
            self.left_out.0 += 1;
            self.left_out.1 += len as u64;
        }
        admitted
    }

    /// Notes that texts that were left out are logged nevertheless.
    pub(crate) fn readmit(&mut self, texts: usize, bytes: usize) {
        self.left_out.0 -= texts as u64;
        self.left_out.1 -= bytes as u64;
    }

    /// A line about what was left out since this was asked the last time.
    pub(crate) fn left_out(&mut self) -> Option<String> {
        let (texts, bytes) = std::mem::take(&mut self.left_out);
        let Self { what, most, .. } = self;
        (texts > 0).then(|| {
            format!("({bytes} more bytes of {what} are not shown, in {texts} lines: {most} a minute are)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_period_has_the_whole_budget_again() {
        let start = Instant::now();
        let mut budget = Budget::new("noise", 100);
        assert!(!budget.turns(start));
        assert_eq!([60, 60, 40, 1].map(|len| budget.admits(len)), [true, false, true, false]);
        assert!(!budget.turns(start + PERIOD / 2));
        assert!(budget.turns(start + PERIOD) && budget.admits(100));
        let said = budget.left_out().unwrap();
        assert_eq!(said, "(61 more bytes of noise are not shown, in 2 lines: 100 a minute are)");
        assert_eq!(budget.left_out(), None);
    }
}
