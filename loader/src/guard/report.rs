//! What a guarded call answers.

use std::{fmt, time::Duration};

use jackfield_plugin_api::Outcome;

/// What became of a batch.
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

/// What the plugin has said so far of the events of a batch.
#[derive(Clone, Debug, Default)]
pub(super) enum Reported {
    #[default]
    Nothing,
    All(Outcome),
    Each(Vec<Option<Outcome>>),
}

impl Reported {
    /// Notes the outcome of `count` events from `first`, of `len` in all. What is out of range is ignored.
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

/// Why a call did not do what it is for. The events of which the plugin had said nothing by then are to be retried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The plugin panicked. Its instance is replaced before the next call.
    Panicked {
        /// What the panic said.
        message: String,
        /// Source position of the panic, or empty.
        position: String,
    },
    /// The process that the plugin was in has ended. Another is started before the next call.
    Crashed {
        /// How, such as `ended by SIGSEGV`.
        how: String,
    },
    /// The deadline passed, and the circuit is open. The call goes on inside the plugin, unless the plugin is in a
    /// process of its own: that process was ended.
    TimedOut {
        /// How long the caller had waited.
        after: Duration,
    },
    /// The circuit is open: nothing entered the plugin.
    CircuitOpen {
        /// When a probe will be let through.
        retry_after: Duration,
        /// Why the circuit is open.
        reason: String,
    },
    /// All worker threads were busy until the deadline: nothing entered the plugin.
    Busy {
        /// How long the caller had waited.
        after: Duration,
    },
    /// The plugin answered that the call failed.
    Failed {
        /// The status, one of the `STATUS_` numbers of [`jackfield_plugin_api::abi`].
        status: i32,
        /// What the plugin said about it.
        message: String,
    },
    /// The backend is closed: nothing entered the plugin.
    Closed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { message, position } if position.is_empty() => {
                write!(f, "the plugin panicked: {message}")
            }
            Self::Panicked { message, position } => {
                write!(f, "the plugin panicked at {position}: {message}")
            }
            Self::Crashed { how } => write!(f, "the plugin's process crashed: {how}"),
            Self::TimedOut { after } => write!(f, "no answer within {after:.1?}"),
            Self::CircuitOpen { retry_after, reason } => {
                write!(f, "circuit open for another {:.1} s: {reason}", retry_after.as_secs_f64())
            }
            Self::Busy { after } => write!(f, "every worker of the backend was busy for {after:.1?}"),
            Self::Failed { status, message } if message.is_empty() => {
                write!(f, "the plugin answered with status {status} and no explanation")
            }
            Self::Failed { message, .. } => f.write_str(message),
            Self::Closed => f.write_str("the backend is closed"),
        }
    }
}

impl std::error::Error for Failure {}

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

    /// The same of a call that was never made.
    pub(super) fn not_entered(self) -> Self {
        Self { entered: false, ..self }
    }

    /// A report of `len` delivered events.
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

    /// What became of the event at `index`.
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

    /// The outcome of every event, when it is the same for all.
    #[must_use]
    pub const fn uniform(&self) -> Option<&Outcome> {
        match &self.outcomes {
            Outcomes::All(outcome) => Some(outcome),
            Outcomes::Each(_) => None,
        }
    }

    /// Why the call did not do what it is for, if so.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Whether the plugin was handed the batch. If not, no event can have arrived: the call was refused, or its time was
    /// over before it could enter.
    #[must_use]
    pub const fn was_handed_over(&self) -> bool {
        self.entered
    }

    /// How long the caller waited.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_an_event_counts_and_what_is_out_of_range_is_ignored() {
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
    fn outcomes_that_were_reported_one_by_one_and_are_the_same_are_one() {
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
