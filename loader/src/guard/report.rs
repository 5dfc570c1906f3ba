//! The report of a guarded call.

use std::time::Duration;

use jackfield_plugin_api::Outcome;

/// The outcome of each event of a batch, and how the call ended.
#[derive(Clone, Debug)]
pub struct Report {
    len: usize,
    outcomes: Outcomes,
    failure: Option<Failure>,
    elapsed: Duration,
    entered: bool,
}

#[derive(Clone, Debug)]
enum Outcomes {
    All(Outcome),
    Each(Vec<Outcome>),
}

/// The outcomes that the plugin has reported so far.
#[derive(Clone, Debug, Default)]
pub(crate) enum Reported {
    #[default]
    Nothing,
    All(Outcome),
    Each(Vec<Option<Outcome>>),
}

impl Reported {
    /// Stores the outcome of `count` of `len` events, from `first` on. Ignores events out of range.
    pub(super) fn note(&mut self, len: usize, first: u64, count: u64, outcome: Outcome) {
        let first = usize::try_from(first).unwrap_or(usize::MAX).min(len);
        let last = first.saturating_add(usize::try_from(count).unwrap_or(usize::MAX)).min(len);
        if first == 0 && last == len {
            *self = Self::All(outcome);
            return;
        }
        if first == last {
            return;
        }
        let mut each = match std::mem::take(self) {
            Self::Nothing => vec![None; len],
            Self::All(outcome) => vec![Some(outcome); len],
            Self::Each(each) => each,
        };
        each[first..last].fill(Some(outcome));
        *self = Self::Each(each);
    }
}

/// Why a call failed. The events without a reported outcome are to be retried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The plugin panicked. Its instance is replaced before the next call.
    #[error("the plugin panicked{}: {message}", position_of(position))]
    Panicked {
        /// The message of the panic.
        message: String,
        /// Source position of the panic, or empty.
        position: String,
    },
    /// The child process of the plugin has ended. Another one is started before the next call.
    #[error("the plugin's process crashed: {how}")]
    Crashed {
        /// The end of the process, such as `ended by SIGSEGV`.
        how: String,
    },
    /// The deadline passed, and the circuit is open. The call continues, unless it was in a child process.
    #[error("no answer within {after:.1?}")]
    TimedOut {
        /// The time that the caller had waited.
        after: Duration,
    },
    /// The circuit is open. The call did not enter the plugin.
    #[error("circuit open for another {:.1} s: {reason}", retry_after.as_secs_f64())]
    CircuitOpen {
        /// The time until a call may pass as a probe.
        retry_after: Duration,
        /// Why the circuit is open.
        reason: String,
    },
    /// All worker threads were busy until the deadline or the end of the call. It did not enter the plugin.
    #[error("every worker of the backend was busy for {after:.1?}")]
    Busy {
        /// The time that the caller had waited.
        after: Duration,
    },
    /// The plugin returned a failure.
    #[error("{}", explanation_of(*status, message))]
    Failed {
        /// The status, one of the `STATUS_` numbers of [`jackfield_plugin_api::abi`].
        status: i32,
        /// The plugin's explanation, or empty.
        message: String,
    },
    /// The backend is closed. The call did not enter the plugin.
    #[error("the backend is closed")]
    Closed,
}

fn position_of(position: &str) -> String {
    if position.is_empty() { String::new() } else { format!(" at {position}") }
}

fn explanation_of(status: i32, message: &str) -> String {
    if message.is_empty() {
        return format!("the plugin answered with status {status} and no explanation");
    }
    message.to_owned()
}

impl Report {
    pub(super) fn new(len: usize, reported: Reported, failure: Option<Failure>, elapsed: Duration) -> Self {
        let unsaid = || {
            let after = match &failure {
                Some(Failure::CircuitOpen { retry_after, .. }) => Some(*retry_after),
                _ => None,
            };
            let reason = failure
                .as_ref()
                .map_or_else(|| "the plugin said nothing of this event".to_owned(), Failure::to_string);
            Outcome::Retry { after, reason: reason.into() }
        };
        let outcomes = match reported {
            Reported::Nothing => Outcomes::All(unsaid()),
            Reported::All(outcome) => Outcomes::All(outcome),
            Reported::Each(each) => {
                let unsaid = unsaid();
                let each: Vec<_> =
                    each.into_iter().map(|outcome| outcome.unwrap_or_else(|| unsaid.clone())).collect();
                match each.split_first() {
                    Some((first, rest)) if rest.iter().all(|outcome| outcome == first) => {
                        Outcomes::All(first.clone())
                    }
                    _ => Outcomes::Each(each),
                }
            }
        };
        Self { len, outcomes, failure, elapsed, entered: true }
    }

    /// The same for a call that did not enter the plugin.
    pub(super) fn not_entered(self) -> Self {
        Self { entered: false, ..self }
    }

    pub(crate) fn delivered(len: usize) -> Self {
        Self::new(len, Reported::All(Outcome::Delivered), None, Duration::ZERO)
    }

    /// Number of events in the batch.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the batch was empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The outcome of the event at `index`.
    ///
    /// # Panics
    /// When `index` is out of range.
    #[must_use]
    pub fn outcome(&self, index: usize) -> &Outcome {
        assert!(index < self.len, "event {index} of {}", self.len);
        match &self.outcomes {
            Outcomes::All(outcome) => outcome,
            Outcomes::Each(each) => &each[index],
        }
    }

    /// The outcomes in the order of the batch.
    pub fn outcomes(&self) -> impl ExactSizeIterator<Item = &Outcome> {
        (0..self.len).map(|index| self.outcome(index))
    }

    /// The outcome of every event, if it is the same for all.
    #[must_use]
    pub const fn uniform(&self) -> Option<&Outcome> {
        match &self.outcomes {
            Outcomes::All(outcome) => Some(outcome),
            Outcomes::Each(_) => None,
        }
    }

    /// Why the call failed, if it did.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Whether the call entered the plugin. If not, no event can have arrived.
    #[must_use]
    pub const fn was_handed_over(&self) -> bool {
        self.entered
    }

    /// The time that the caller waited.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_outcome_in_range_counts() {
        let mut reported = Reported::default();
        reported.note(4, 0, 3, Outcome::Delivered);
        reported.note(4, 2, 1, Outcome::rejected("no"));
        reported.note(4, 4, 9, Outcome::rejected("past the end"));
        reported.note(4, u64::MAX, u64::MAX, Outcome::rejected("past the end"));
        let report = Report::new(4, reported, None, Duration::ZERO);
        let outcomes: Vec<_> = report.outcomes().cloned().collect();
        assert_eq!(outcomes[..3], [Outcome::Delivered, Outcome::Delivered, Outcome::rejected("no")]);
        assert!(matches!(&outcomes[3], Outcome::Retry { reason, .. } if reason.contains("said nothing")));
    }

    #[test]
    fn equal_outcomes_that_were_reported_one_by_one_are_uniform() {
        let report = |last| {
            let mut reported = Reported::default();
            reported.note(3, 0, 1, Outcome::Delivered);
            reported.note(3, 1, 2, last);
            Report::new(3, reported, None, Duration::ZERO)
        };
        assert_eq!(report(Outcome::Delivered).uniform(), Some(&Outcome::Delivered));
        assert_eq!(report(Outcome::rejected("no")).uniform(), None);
    }

    #[test]
    fn a_range_that_overflows_reaches_to_the_end() {
        let mut reported = Reported::default();
        reported.note(3, 1, u64::MAX, Outcome::Delivered);
        let report = Report::new(3, reported, Some(Failure::Closed), Duration::ZERO);
        assert!(matches!(report.outcome(0), Outcome::Retry { .. }));
        assert_eq!(report.outcome(2), &Outcome::Delivered);
    }
}
