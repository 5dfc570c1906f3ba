//! Drives one backend over batches: tries again what is to be tried again, splits what is too large, and says what
//! became of each event.
//!
//! # When a backend is given up
//! Within a batch, the time that may pass without a single event being settled (delivered or rejected) is
//! [`DeliveryOptions::give_up_after`]; then the rest of the batch is undelivered. After that the backend is on probation:
//! the next batch gets one attempt, and if that settles nothing either, no further batch is attempted. So a backend that
//! is down costs its batches the time once, and not once each.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_loader::{Backend, Batch, plugin_api::Outcome};

use crate::delivery::backoff::{Backoff, CancellationToken};

/// What a [`Delivery`] sends through.
pub trait Sender {
    /// Sends `batch` once and says what became of each event, in the order of the batch.
    fn send(&self, batch: &Batch) -> Vec<Outcome>;
}

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

/// One backend, and what is known of its state.
#[derive(Debug)]
pub struct Delivery<S> {
    sender: S,
    options: DeliveryOptions,
    stop: CancellationToken,
    state: State,
    retried: u64,
}

#[derive(Debug)]
enum State {
    Trusted,
    /// The last batch was given up.
    Probation,
    /// Nothing is attempted any more; the last reason.
    GivenUp(Arc<str>),
}

const STOPPED: &str = "stopped before it was sent";

impl<S: Sender> Delivery<S> {
    /// A delivery through `sender`, which `stop` ends.
    pub fn new(sender: S, options: DeliveryOptions, stop: CancellationToken) -> Self {
        Self { sender, options, stop, state: State::Trusted, retried: 0 }
    }

    /// What it sends through.
    pub fn sender(&self) -> &S {
        &self.sender
    }

    /// Attempts after the first, counted for each event.
    pub fn retried(&self) -> u64 {
        self.retried
    }

    /// Whether nothing is attempted any more.
    pub fn is_given_up(&self) -> bool {
        matches!(self.state, State::GivenUp(_))
    }

    /// Sends a batch and says what became of each event, in the order of the batch. Blocks for about as long as one call
    /// may take beyond [`DeliveryOptions::give_up_after`].
    pub fn deliver(&mut self, batch: &Batch) -> Vec<EventOutcome> {
        if let State::GivenUp(reason) = &self.state {
            return vec![EventOutcome::Undelivered(Arc::clone(reason)); batch.len()];
        }
        let mut run = Run { fates: vec![None; batch.len()], again: Vec::new(), wait: None, progress: false };
        let mut backoff = Backoff::new(self.options.first_pause, self.options.longest_pause);
        let mut deadline = Instant::now() + self.options.give_up_after;
        let mut tried = false;
        let mut settled_any = false;
        let mut work = VecDeque::from([(0..batch.len()).collect::<Vec<_>>()]);
        loop {
            while let Some(group) = work.pop_front() {
                if self.stop.is_set() {
                    run.again.extend(group.into_iter().map(|index| (index, Arc::from(STOPPED))));
                    continue;
                }
                self.retried += if tried { group.len() as u64 } else { 0 };
                // A batch that nobody selected from is sent as it is.
                let outcomes = if group.len() == batch.len() {
                    self.sender.send(batch)
                } else {
                    self.sender.send(&batch.select(&group))
                };
                run.take(&group, outcomes, &mut work);
            }
            tried = true;
            if std::mem::take(&mut run.progress) {
                settled_any = true;
                self.state = State::Trusted;
                deadline = Instant::now() + self.options.give_up_after;
                backoff.reset();
            }
            if run.again.is_empty() {
                break;
            }
            let probation = matches!(self.state, State::Probation);
            let left = deadline.saturating_duration_since(Instant::now());
            let wish = run.wait.take();
            let pause = backoff.pause(wish, left);
            let goes_on = !probation && pause.is_some_and(|pause| self.stop.sleep(pause));
            if !goes_on {
                if let Some(wish) = wish.filter(|wish| *wish > left && !self.stop.is_set()) {
                    run.explain(&format!("; it wants {wish:.1?} before the next attempt"));
                }
                self.give_up(&run, settled_any);
                break;
            }
            work.push_back(run.again.drain(..).map(|(index, _)| index).collect());
        }
        run.into_fates()
    }

    /// Draws the conclusion for the batches to come.
    fn give_up(&mut self, run: &Run, settled_any: bool) {
        let Some((_, reason)) = run.again.first() else { return };
        if self.stop.is_set() {
            self.state = State::GivenUp(Arc::from(STOPPED));
        } else if settled_any || !matches!(self.state, State::Probation) {
            self.state = State::Probation;
        } else {
            self.state = State::GivenUp(format!("not attempted, the backend was given up: {reason}").into());
        }
    }
}

/// The state of one batch.
struct Run {
    fates: Vec<Option<EventOutcome>>,
    /// Events to try again, and why the last attempt failed.
    again: Vec<(usize, Arc<str>)>,
    /// The longest wait that the backend asked for.
    wait: Option<Duration>,
    /// Whether an event was settled.
    progress: bool,
}

impl Run {
    /// Takes in what an attempt at the events `group` brought; parts of it that were too large become new work.
    fn take(&mut self, group: &[usize], outcomes: Vec<Outcome>, work: &mut VecDeque<Vec<usize>>) {
        let mut too_large = Vec::new();
        let mut last: Arc<str> = Arc::from("");
        // Reasons repeat for thousands of events: one copy serves those in a row.
        let mut share = |reason: &str| {
            if *last != *reason {
                last = Arc::from(reason);
            }
            Arc::clone(&last)
        };
        let mut outcomes = outcomes.into_iter();
        for &index in group {
            match outcomes.next() {
                Some(Outcome::Delivered) => self.settle(index, EventOutcome::Delivered),
                Some(Outcome::Rejected { reason }) => {
                    self.settle(index, EventOutcome::Rejected(share(&reason)))
                }
                Some(Outcome::TooLarge { reason }) if group.len() == 1 => {
                    let reason = format!("too large even alone: {reason}");
                    self.settle(index, EventOutcome::Rejected(reason.into()));
                }
                Some(Outcome::TooLarge { .. }) => too_large.push(index),
                Some(Outcome::Retry { after, reason }) => {
                    self.wait = self.wait.max(after);
                    self.again.push((index, share(&reason)));
                }
                None => self.again.push((index, share("the backend did not say what became of it"))),
            }
        }
        if !too_large.is_empty() {
            let second = too_large.split_off(too_large.len().div_ceil(2));
            // In front, so that the order of the events is kept.
            for part in [second, too_large] {
                if !part.is_empty() {
                    work.push_front(part);
                }
            }
        }
    }

    fn settle(&mut self, index: usize, fate: EventOutcome) {
        self.fates[index] = Some(fate);
        self.progress = true;
    }

    /// Appends to the reasons of what is to be tried again.
    fn explain(&mut self, more: &str) {
        let mut last: Option<(Arc<str>, Arc<str>)> = None;
        for (_, reason) in &mut self.again {
            let longer = match &last {
                Some((short, long)) if short == reason => Arc::clone(long),
                _ => Arc::from(format!("{reason}{more}")),
            };
            last = Some((std::mem::replace(reason, Arc::clone(&longer)), longer));
        }
    }

    fn into_fates(mut self) -> Vec<EventOutcome> {
        for (index, reason) in self.again {
            self.fates[index] = Some(EventOutcome::Undelivered(reason));
        }
        let unsaid = || EventOutcome::Undelivered(Arc::from("never attempted"));
        self.fates.into_iter().map(|fate| fate.unwrap_or_else(unsaid)).collect()
    }
}

impl Sender for Backend {
    /// A backend in quarantine answers with a retry after its end, so it is waited for like one that asks for time.
    fn send(&self, batch: &Batch) -> Vec<Outcome> {
        Self::send(self, batch).outcomes().cloned().collect()
    }
}

#[cfg(test)]
#[path = "direct_tests.rs"]
mod tests;
