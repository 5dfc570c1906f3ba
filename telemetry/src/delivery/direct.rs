//! Delivery without a spool: batches for one backend, with attempts until each event is settled or the backend is given up.
//!
//! # When a backend is given up
//! When no event of a batch is settled (delivered or rejected) for [`DeliveryOptions::give_up_after`], the rest of the batch
//! is undelivered, and the backend is on probation: the next batch gets one attempt. When that attempt settles no event
//! either, no further batch is attempted. So a backend that is down delays only one batch for that time.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use jackfield_loader::{Backend, Backoff, Batch};

use crate::delivery::attempt::{Called, attempt};
use crate::delivery::settle::{Decision, DeliveryMode, Settlement, settle};
use crate::process::{left, lock, wait};
use crate::random;

/// How a [`Delivery`] tries again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeliveryOptions {
    /// The time without a settled event after which a batch is given up.
    pub give_up_after: Duration,
    /// The first pause. Each further pause is twice as long.
    pub first_pause: Duration,
    /// The longest pause, unless the backend asks for more.
    pub longest_pause: Duration,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            give_up_after: Duration::from_secs(30),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
        }
    }
}

/// The final result for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOutcome {
    /// The event was delivered.
    Delivered,
    /// The backend never takes the event, for this reason.
    Rejected(Arc<str>),
    /// The event was given up or never attempted, for this reason. It may be sent later.
    Undelivered(Arc<str>),
}

/// A delivery to one backend.
#[derive(Debug)]
pub struct Delivery {
    backend: Backend,
    options: DeliveryOptions,
    stop: CancellationToken,
    standing: Standing,
    retried: u64,
}

/// Whether a backend gets further attempts.
#[derive(Debug)]
enum Standing {
    Good,
    /// The last batch was given up.
    Probation,
    /// Nothing is attempted any more, for this reason.
    GivenUp(Arc<str>),
}

/// An event that is tried again: its index in the batch, and the reason why the last attempt failed.
type Again = (usize, Arc<str>);

pub(super) const STOPPED: &str = "stopped before it was sent";

impl Delivery {
    /// A delivery to `backend`. `stop` ends it.
    #[must_use]
    pub const fn new(backend: Backend, options: DeliveryOptions, stop: CancellationToken) -> Self {
        Self { backend, options, stop, standing: Standing::Good, retried: 0 }
    }

    /// The backend.
    #[must_use]
    pub const fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The number of attempts after the first, counted for each event.
    #[must_use]
    pub const fn retried(&self) -> u64 {
        self.retried
    }

    /// Whether nothing is attempted any more.
    #[must_use]
    pub const fn is_given_up(&self) -> bool {
        matches!(self.standing, Standing::GivenUp(_))
    }

    /// Sends a batch, and returns the outcome of each event in the order of the batch. Blocks for at most
    /// [`DeliveryOptions::give_up_after`] after the last settled event, plus the time of one call.
    pub fn deliver(&mut self, batch: &Batch) -> Vec<EventOutcome> {
        if let Standing::GivenUp(reason) = &self.standing {
            return vec![EventOutcome::Undelivered(Arc::clone(reason)); batch.len()];
        }
        let mut outcomes = vec![EventOutcome::Delivered; batch.len()];
        let mut again: Vec<Again> = (0..batch.len()).map(|index| (index, Arc::default())).collect();
        let mut pauses = RetryPauses::new(self.options.first_pause, self.options.longest_pause);
        let mut deadline = Instant::now() + self.options.give_up_after;
        let mut settled_any = false;
        for number in 0_u64.. {
            let settlement = self.attempt(batch, &mut again, &mut outcomes);
            let asked =
                settlement.decisions.iter().filter(|decision| !matches!(decision, Decision::NotAsked));
            self.retried += if number > 0 { asked.count() as u64 } else { 0 };
            if settlement.is_progress() {
                settled_any = true;
                self.standing = Standing::Good;
                deadline = Instant::now() + self.options.give_up_after;
                pauses.reset();
            }
            if again.is_empty() {
                break;
            }
            let retry_after = settlement.failure.and_then(|failure| failure.retry_after);
            let left = left(deadline);
            let pause = pauses.next(retry_after, left);
            let pause = pause.filter(|_| !matches!(self.standing, Standing::Probation));
            if pause.is_some_and(|pause| self.stop.sleep(pause)) {
                continue;
            }
            self.give_up(&again, settled_any);
            if let Some(after) = retry_after.filter(|after| *after > left && !self.stop.is_set()) {
                explain(&mut again, after);
            }
            for (index, reason) in again {
                outcomes[index] = EventOutcome::Undelivered(reason);
            }
            break;
        }
        outcomes
    }

    /// Makes one attempt at the events in `again`, which then holds the events for the next attempt.
    fn attempt(&self, batch: &Batch, again: &mut Vec<Again>, outcomes: &mut [EventOutcome]) -> Settlement {
        let indices: Vec<_> = again.iter().map(|(index, _)| *index).collect();
        let part = if indices.len() == batch.len() { batch.clone() } else { batch.select(&indices) };
        // A running call is not cancelled, because its events would be sent twice.
        let attempt = attempt(&part, &mut |part| {
            (!self.stop.is_set()).then(|| Called { report: self.backend.send(part), cancelled: false })
        });
        let settlement = settle(&attempt, DeliveryMode::AtLeastOnce, &str::to_owned);
        let not_asked: Arc<str> = attempt.cut_short.as_deref().unwrap_or(STOPPED).into();
        again.clear();
        for (&index, decision) in indices.iter().zip(&settlement.decisions) {
            match decision {
                Decision::Delivered => outcomes[index] = EventOutcome::Delivered,
                Decision::Rejected(reason) => outcomes[index] = EventOutcome::Rejected(Arc::clone(reason)),
                Decision::Retry(reason) => again.push((index, Arc::clone(reason))),
                Decision::NotAsked | Decision::Lost => again.push((index, Arc::clone(&not_asked))),
            }
        }
        settlement
    }

    /// Sets the standing of the backend after a batch that was given up.
    fn give_up(&mut self, again: &[Again], settled_any: bool) {
        let Some((_, reason)) = again.first() else { return };
        self.standing = if self.stop.is_set() {
            Standing::GivenUp(STOPPED.into())
        } else if settled_any || !matches!(self.standing, Standing::Probation) {
            Standing::Probation
        } else {
            Standing::GivenUp(format!("not attempted, the backend was given up: {reason}").into())
        };
    }
}

/// Appends to the reasons the pause that the backend asks for. Equal reasons in a row share one text.
fn explain(again: &mut [Again], after: Duration) {
    let mut last: Option<(Arc<str>, Arc<str>)> = None;
    for (_, reason) in again {
        let longer = match &last {
            Some((short, long)) if short == reason => Arc::clone(long),
            _ => format!("{reason}; it wants {after:.1?} before the next attempt").into(),
        };
        last = Some((mem::replace(reason, Arc::clone(&longer)), longer));
    }
}

/// Growing pauses between the attempts, within a budget of time.
#[derive(Debug)]
pub(super) struct RetryPauses {
    backoff: Backoff,
    /// The number of failures in a row.
    failures: u32,
}

impl RetryPauses {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        let first = first.max(Duration::from_millis(1));
        Self { backoff: Backoff::new(first, longest.max(first)), failures: 0 }
    }

    /// Begins again with the first pause.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next pause: at least `retry_after`, and at most `left`, the rest of the budget. `None` when nothing is left, or
    /// when `retry_after` is longer.
    pub(super) fn next(&mut self, retry_after: Option<Duration>, left: Duration) -> Option<Duration> {
        let pause = self.backoff.jittered_pause(self.failures, random::fraction());
        self.failures = self.failures.saturating_add(1);
        let least = retry_after.unwrap_or_default();
        (!left.is_zero() && least <= left).then(|| pause.max(least).min(left))
    }
}

/// A flag that ends everything that waits for it. Clones share the flag.
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
        *lock(flag) = true;
        changed.notify_all();
    }

    /// Whether the flag is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *lock(&self.0.0)
    }

    /// Sleeps for `pause`, or until the flag is set; `false` when it is set.
    #[must_use]
    pub fn sleep(&self, pause: Duration) -> bool {
        let (flag, changed) = &*self.0;
        let end = Instant::now() + pause;
        let mut set = lock(flag);
        while !*set && !left(end).is_zero() {
            set = wait(changed, set, Some(end));
        }
        !*set
    }
}
