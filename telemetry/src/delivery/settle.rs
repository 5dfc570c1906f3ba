//! What the answers of an attempt mean: for each event, and for the backend.

use std::{sync::Arc, time::Duration};

use jackfield_loader::plugin_api::Outcome;

use crate::delivery::attempt::{Answer, Attempt};

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Delivered,
    /// The backend will never take it; why.
    Rejected(Arc<str>),
    /// It is to be sent again; why.
    Retry(Arc<str>),
    /// It is to be sent again. That says nothing of the backend.
    NotAsked,
    /// With *at most once*: it may have arrived, and is not sent again.
    Lost,
}

/// Why a backend is to be left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendFailure {
    /// The longest pause that the backend has asked for.
    pub(crate) wish: Option<Duration>,
    /// The last reason.
    pub(crate) reason: Arc<str>,
}

/// What an attempt means.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    /// For each event, in the order of the batch.
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) delivered: u64,
    pub(crate) rejected: u64,
    pub(crate) lost: u64,
    /// The reason of the last event that was rejected.
    pub(crate) last_rejection: Option<Arc<str>>,
    pub(crate) failure: Option<BackendFailure>,
    /// Whether nothing is known of some events because they were not asked about, or their call was cancelled.
    pub(crate) not_asked: bool,
}

/// Says what becomes of each event that was attempted. Reasons come from a plugin and go through `conceal`.
pub(crate) fn settle(attempt: &Attempt, mode: DeliveryMode, conceal: &dyn Fn(&str) -> String) -> Settlement {
    let mut settlement = Settlement::default();
    let mut reasons = Reasons { conceal, last: None };
    settlement.verdicts =
        attempt.answers.iter().map(|answer| settlement.settle(answer, mode, &mut reasons)).collect();
    settlement
}

impl Settlement {
    /// Whether the backend took or refused anything: it is there.
    pub(crate) fn is_progress(&self) -> bool {
        self.delivered + self.rejected > 0
    }

    fn settle(&mut self, answer: &Answer, mode: DeliveryMode, reasons: &mut Reasons<'_>) -> Verdict {
        let Answer { outcome, handed_over } = answer;
        let (wish, reason) = match outcome {
            Some(Outcome::Delivered) => {
                self.delivered += 1;
                return Verdict::Delivered;
            }
            Some(Outcome::Rejected { reason }) => {
                let reason = reasons.share(reason);
                self.rejected += 1;
                self.last_rejection = Some(Arc::clone(&reason));
                return Verdict::Rejected(reason);
            }
            Some(Outcome::Retry { after, reason }) => (*after, Some(reasons.share(reason))),
            // Does not occur: an attempt splits such a batch, and rejects an event that is too large alone.
            Some(Outcome::TooLarge { reason }) => (None, Some(reasons.share(reason))),
            None => (None, None),
        };
        if let Some(reason) = &reason {
            let wish = self.failure.as_ref().and_then(|failure| failure.wish).max(wish);
            self.failure = Some(BackendFailure { wish, reason: Arc::clone(reason) });
        } else {
            self.not_asked = true;
        }
        if *handed_over && mode == DeliveryMode::AtMostOnce {
            self.lost += 1;
            return Verdict::Lost;
        }
        reason.map_or(Verdict::NotAsked, Verdict::Retry)
    }

    /// The events that were rejected can't be put aside: they come again rather than be lost.
    pub(crate) fn keep_rejected(&mut self, why: &str) {
        let why: Arc<str> = why.into();
        for verdict in &mut self.verdicts {
            if matches!(verdict, Verdict::Rejected(_)) {
                *verdict = Verdict::Retry(Arc::clone(&why));
            }
        }
        (self.rejected, self.last_rejection) = (0, None);
        self.failure.get_or_insert(BackendFailure { wish: None, reason: why });
    }
}

/// Reasons repeat for thousands of events: one copy serves those in a row.
struct Reasons<'a> {
    conceal: &'a dyn Fn(&str) -> String,
    /// As the plugin wrote it, and as it is shown.
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

/// What delivery promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryMode {
    /// An event leaves the spool after a backend has settled it. A crash in between sends it again, with the same id.
    #[default]
    AtLeastOnce,
    /// An event leaves the spool before it is sent. A failure or a crash loses it.
    AtMostOnce,
}
