//! Delivery without a spool: one backend over batches, with attempts until each event is settled or the backend is given
//! up.
//!
//! # When a backend is given up
//! Within a batch, the time that may pass without a single event being settled (delivered or rejected) is
//! [`DeliveryOptions::give_up_after`]; then the rest of the batch is undelivered. After that the backend is on probation:
//! the next batch gets one attempt, and if that settles nothing either, no further batch is attempted. So a backend that
//! is down costs its batches the time once, and not once each.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use jackfield_loader::{Backend, Backoff, Batch};

use crate::delivery::attempt::{Called, attempt};
use crate::delivery::settle::{DeliveryMode, Settlement, Verdict, settle};
use crate::process::{left, lock, wait};

/// How a [`Delivery`] tries again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeliveryOptions {
    /// How long nothing may be settled before a batch is given up.
    pub give_up_after: Duration,
    /// The first pause; each further one is twice as long.
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

/// What became of an event in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOutcome {
    /// It arrived.
    Delivered,
    /// The backend will never take it; why.
    Rejected(Arc<str>),
    /// It was given up, or never attempted; why. It may be sent later.
    Undelivered(Arc<str>),
}

/// One backend, and whether it is still worth a try.
#[derive(Debug)]
pub struct Delivery {
    backend: Backend,
    options: DeliveryOptions,
    stop: CancellationToken,
    trust: Trust,
    retried: u64,
}

#[derive(Debug)]
enum Trust {
    Full,
    /// The last batch was given up.
    Probation,
    /// Nothing is attempted any more; the last reason.
    GivenUp(Arc<str>),
}

/// An event that is to be tried again: its place in the batch, and why the last attempt failed.
type Again = (usize, Arc<str>);

pub(super) const STOPPED: &str = "stopped before it was sent";

impl Delivery {
    /// A delivery through `backend`, which `stop` ends.
    #[must_use]
    pub const fn new(backend: Backend, options: DeliveryOptions, stop: CancellationToken) -> Self {
        Self { backend, options, stop, trust: Trust::Full, retried: 0 }
    }

    /// What it sends through.
    #[must_use]
    pub const fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Attempts after the first, counted for each event.
    #[must_use]
    pub const fn retried(&self) -> u64 {
        self.retried
    }

    /// Whether nothing is attempted any more.
    #[must_use]
    pub const fn is_given_up(&self) -> bool {
        matches!(self.trust, Trust::GivenUp(_))
    }

    /// Sends a batch and says what became of each event, in the order of the batch. Blocks for about as long as one call
    /// may take beyond [`DeliveryOptions::give_up_after`].
    pub fn deliver(&mut self, batch: &Batch) -> Vec<EventOutcome> {
        if let Trust::GivenUp(reason) = &self.trust {
            return vec![EventOutcome::Undelivered(Arc::clone(reason)); batch.len()];
        }
        let mut fates = vec![EventOutcome::Delivered; batch.len()];
        let mut again: Vec<Again> = (0..batch.len()).map(|index| (index, Arc::default())).collect();
        let mut pauses = RetryPauses::new(self.options.first_pause, self.options.longest_pause);
        let mut deadline = Instant::now() + self.options.give_up_after;
        let mut settled_any = false;
        for number in 0_u64.. {
            let settlement = self.attempt(batch, &mut again, &mut fates);
            let asked = settlement.verdicts.iter().filter(|verdict| !matches!(verdict, Verdict::NotAsked));
            self.retried += if number > 0 { asked.count() as u64 } else { 0 };
            if settlement.is_progress() {
                settled_any = true;
                self.trust = Trust::Full;
                deadline = Instant::now() + self.options.give_up_after;
                pauses.reset();
            }
            if again.is_empty() {
                break;
            }
            let wish = settlement.failure.and_then(|failure| failure.wish);
            let left = left(deadline);
            let pause = pauses.next(wish, left).filter(|_| !matches!(self.trust, Trust::Probation));
            if pause.is_some_and(|pause| self.stop.sleep(pause)) {
                continue;
            }
            let wish = wish.filter(|wish| *wish > left && !self.stop.is_set());
            self.give_up(&again, settled_any);
            explain(&mut again, wish);
            for (index, reason) in again {
                fates[index] = EventOutcome::Undelivered(reason);
            }
            break;
        }
        fates
    }

    /// One attempt at the events in `again`, which keeps those that are to be tried once more.
    fn attempt(&self, batch: &Batch, again: &mut Vec<Again>, fates: &mut [EventOutcome]) -> Settlement {
        let indices: Vec<_> = again.iter().map(|(index, _)| *index).collect();
        let part = if indices.len() == batch.len() { batch.clone() } else { batch.select(&indices) };
        // A call that runs is not cancelled: what it was handed would be sent again later.
        let attempt = attempt(&part, &mut |part| {
            (!self.stop.is_set()).then(|| Called { report: self.backend.send(part), cancelled: false })
        });
        let settlement = settle(&attempt, DeliveryMode::AtLeastOnce, &str::to_owned);
        let not_asked: Arc<str> = match &attempt.cut_short {
            Some(reason) => reason.as_str().into(),
            None => STOPPED.into(),
        };
        again.clear();
        for (&index, verdict) in indices.iter().zip(&settlement.verdicts) {
            match verdict {
                Verdict::Delivered => fates[index] = EventOutcome::Delivered,
                Verdict::Rejected(reason) => fates[index] = EventOutcome::Rejected(Arc::clone(reason)),
                Verdict::Retry(reason) => again.push((index, Arc::clone(reason))),
                Verdict::NotAsked | Verdict::Lost => again.push((index, Arc::clone(&not_asked))),
            }
        }
        settlement
    }

    /// Draws the conclusion for the batches to come.
    fn give_up(&mut self, again: &[Again], settled_any: bool) {
        let Some((_, reason)) = again.first() else { return };
        if self.stop.is_set() {
            self.trust = Trust::GivenUp(STOPPED.into());
        } else if settled_any || !matches!(self.trust, Trust::Probation) {
            self.trust = Trust::Probation;
        } else {
            self.trust = Trust::GivenUp(format!("not attempted, the backend was given up: {reason}").into());
        }
    }
}

/// Appends to the reasons what the backend wants that it can't have.
fn explain(again: &mut [Again], wish: Option<Duration>) {
    let Some(wish) = wish else { return };
    let mut last: Option<(Arc<str>, Arc<str>)> = None;
    for (_, reason) in again {
        let longer = match &last {
            Some((short, long)) if short == reason => Arc::clone(long),
            _ => format!("{reason}; it wants {wish:.1?} before the next attempt").into(),
        };
        last = Some((std::mem::replace(reason, Arc::clone(&longer)), longer));
    }
}

/// Pauses that grow, within a budget of time.
#[derive(Debug)]
pub(super) struct RetryPauses {
    backoff: Backoff,
    /// Failures in a row.
    failures: u32,
}

impl RetryPauses {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        let first = first.max(Duration::from_millis(1));
        Self { backoff: Backoff::new(first, longest.max(first)), failures: 0 }
    }

    /// Starts again with the first pause.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next pause, which is at least `wish`. `None` when nothing is left of the budget `left`, or when the wish does not
    /// fit into it; a pause that is only too long is cut to fit.
    pub(super) fn next(&mut self, wish: Option<Duration>, left: Duration) -> Option<Duration> {
        let pause = self.backoff.jittered_pause(self.failures, fastrand::f64());
        self.failures = self.failures.saturating_add(1);
        let wish = wish.unwrap_or_default();
        (!left.is_zero() && wish <= left).then(|| pause.max(wish).min(left))
    }
}

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
        *lock(flag) = true;
        changed.notify_all();
    }

    /// Whether the flag is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *lock(&self.0.0)
    }

    /// Sleeps for `pause`, or until the flag is set. Answers whether it is not.
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
