//! The meaning of an attempt's answers, for each event and for the backend.

use std::{sync::Arc, time::Duration};

use jackfield_loader::plugin_api::Outcome;

use crate::delivery::attempt::{Answer, Attempt};

/// The promise of a delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryMode {
    /// An event leaves the spool after a backend has settled it. A crash in between sends it again, with the same id.
    #[default]
    AtLeastOnce,
    /// An event leaves the spool before it is sent. A failure or a crash loses it.
    AtMostOnce,
}

/// What happens to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Delivered,
    /// The backend never takes the event, for this reason.
    Rejected(Arc<str>),
    /// The event is sent again, for this reason.
    Retry(Arc<str>),
    /// The event is sent again. The backend was not asked.
    NotAsked,
    /// The event may have arrived, and is not sent again, with *at most once*.
    Lost,
}

/// Why a backend gets no event for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendFailure {
    /// The longest pause that the backend has asked for.
    pub(crate) retry_after: Option<Duration>,
    /// The last reason.
    pub(crate) reason: Arc<str>,
}

/// The meaning of an attempt.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    /// A decision for each event, in the order of the batch.
    pub(crate) decisions: Vec<Decision>,
    pub(crate) delivered: u64,
    pub(crate) rejected: u64,
    pub(crate) lost: u64,
    /// The reason of the last rejected event. `send.rs` stores rejected events as dead letters (`spool/dead_letters.rs`).
    pub(crate) last_rejection: Option<Arc<str>>,
    pub(crate) failure: Option<BackendFailure>,
    /// Whether the backend was not asked about some events, or their call was cancelled.
    pub(crate) not_asked: bool,
}

/// Decides what happens to each event of an attempt. Reasons come from a plugin, and pass through `conceal`.
pub(crate) fn settle(attempt: &Attempt, mode: DeliveryMode, conceal: &dyn Fn(&str) -> String) -> Settlement {
    let mut settlement = Settlement::default();
    let mut reasons = Reasons { conceal, last: None };
    let decide = |answer| settlement.settle(answer, mode, &mut reasons);
    settlement.decisions = attempt.answers.iter().map(decide).collect();
    settlement
}

impl Settlement {
    /// Whether the backend has taken or rejected an event, so that its platform can be reached.
    pub(crate) fn is_progress(&self) -> bool {
        self.delivered + self.rejected > 0
    }

    fn settle(&mut self, answer: &Answer, mode: DeliveryMode, reasons: &mut Reasons<'_>) -> Decision {
        let Answer { outcome, handed_over } = answer;
        let (retry_after, reason) = match outcome {
            Some(Outcome::Delivered) => {
                self.delivered += 1;
                return Decision::Delivered;
            }
            Some(Outcome::Rejected { reason }) => {
                let reason = reasons.share(reason);
                self.rejected += 1;
                self.last_rejection = Some(Arc::clone(&reason));
                return Decision::Rejected(reason);
            }
            Some(Outcome::Retry { after, reason }) => (*after, Some(reasons.share(reason))),
            // Does not occur: an attempt splits the batch, and rejects an event that is too large alone.
            Some(Outcome::TooLarge { reason }) => (None, Some(reasons.share(reason))),
            None => (None, None),
        };
        if let Some(reason) = &reason {
            let known = self.failure.as_ref().and_then(|failure| failure.retry_after);
            let retry_after = known.max(retry_after);
            self.failure = Some(BackendFailure { retry_after, reason: Arc::clone(reason) });
        } else {
            self.not_asked = true;
        }
        if *handed_over && mode == DeliveryMode::AtMostOnce {
            self.lost += 1;
            return Decision::Lost;
        }
        reason.map_or(Decision::NotAsked, Decision::Retry)
    }

    /// Turns rejections into retries, because the rejected events can't be stored as dead letters.
    pub(crate) fn keep_rejected(&mut self, why: &str) {
        let why: Arc<str> = why.into();
        for decision in &mut self.decisions {
            if matches!(decision, Decision::Rejected(_)) {
                *decision = Decision::Retry(Arc::clone(&why));
            }
        }
        (self.rejected, self.last_rejection) = (0, None);
        self.failure.get_or_insert(BackendFailure { retry_after: None, reason: why });
    }
}

/// Shares one copy of a reason among events in a row that have the same reason.
struct Reasons<'a> {
    conceal: &'a dyn Fn(&str) -> String,
    /// The last reason as the plugin wrote it, and as it is shown.
    last: Option<(String, Arc<str>)>,
}

impl Reasons<'_> {
    fn share(&mut self, reason: &str) -> Arc<str> {
        if let Some((written, shown)) = &self.last
            && written == reason
        {
            return Arc::clone(shown);
        }
        let shown: Arc<str> = (self.conceal)(reason).into();
        self.last = Some((reason.to_owned(), Arc::clone(&shown)));
        shown
    }
}
