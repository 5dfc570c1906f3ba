//! One attempt to deliver a batch: a call, further calls with the halves of what is too large, and an answer for each event.

use std::{
    collections::VecDeque,
    mem,
    time::{Duration, Instant},
};

use jackfield_loader::{Backend, Batch, Failure, Report, plugin_api::Outcome};

use crate::process::left;

/// The result of an attempt for one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `None` when the backend was not asked, or its call was cancelled before it answered.
    pub(crate) outcome: Option<Outcome>,
    /// Whether the plugin got the event and has not returned it as too large. If not, the event can't have arrived.
    pub(crate) handed_over: bool,
}

/// The result of an attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    /// An answer for each event, in the order of the batch.
    pub(crate) answers: Vec<Answer>,
    /// The failure of a call after which the backend was not asked about the other events.
    pub(crate) cut_short: Option<String>,
    /// Whether the attempt has ended so that its answers are noted. The other events are for the next one.
    pub(crate) to_be_noted: bool,
}

impl Attempt {
    /// The number of events that may arrive, or have arrived, although the backend has not said so; `None` when it was given
    /// none.
    pub(super) fn unconfirmed(&self) -> Option<u64> {
        let is_final = |outcome: &Outcome| matches!(outcome, Outcome::Delivered | Outcome::Rejected { .. });
        let given = self.answers.iter().filter(|answer| answer.handed_over);
        let is_open = |answer: &&Answer| !answer.outcome.as_ref().is_some_and(is_final);
        (given.clone().next().is_some()).then(|| given.filter(is_open).count() as u64)
    }
}

/// The result of one call.
pub(crate) struct Called {
    pub(crate) report: Report,
    /// Whether the host has cancelled the call.
    pub(crate) cancelled: bool,
}

/// Sends a batch once. `call` makes one call with the batch or a part of it; it returns `None` when no further call may be
/// made.
pub(crate) fn attempt(batch: &Batch, call: &mut dyn FnMut(&Batch) -> Option<Called>) -> Attempt {
    let mut attempt = Attempt { answers: vec![Answer::default(); batch.len()], ..Attempt::default() };
    let mut work = VecDeque::from([(0..batch.len()).collect::<Vec<_>>()]);
    while let Some(group) = work.pop_front() {
        let whole = group.len() == batch.len();
        let called = if whole { call(batch) } else { call(&batch.select(&group)) };
        let Some(Called { report, cancelled }) = called else { break };
        let mut too_large = Vec::new();
        for (&index, outcome) in group.iter().zip(report.outcomes()) {
            let mut handed_over = report.was_handed_over();
            let outcome = match outcome {
                _ if matches!(report.failure(), Some(Failure::Busy { .. })) => None,
                Outcome::Retry { .. } if cancelled => None,
                Outcome::TooLarge { .. } if group.len() > 1 => {
                    too_large.push(index);
                    handed_over = false;
                    None
                }
                Outcome::TooLarge { reason } => {
                    Some(Outcome::rejected(format!("too large even alone: {reason}")))
                }
                outcome => Some(outcome.clone()),
            };
            attempt.answers[index] = Answer { outcome, handed_over };
        }
        // At the front, so that the events keep their order.
        let second = too_large.split_off(too_large.len().div_ceil(2));
        for part in [second, too_large] {
            if !part.is_empty() {
                work.push_front(part);
            }
        }
        // Further calls would probably fail in the same way.
        if let Some(failure) = report.failure() {
            attempt.cut_short = Some(failure.to_string());
            break;
        }
    }
    attempt
}

/// Sends a batch once, until `deadline` and while it is `wanted`. `wanted` is checked during a call and before each further
/// call; the caller has checked it before the first.
///
/// Once an event has a final answer and `note_after` has passed, no further call is made: a batch of many wrong events would
/// otherwise keep all its answers for as long as it takes to halve it.
pub(crate) fn attempt_while(
    backend: &Backend,
    batch: &Batch,
    timeout: Duration,
    deadline: Instant,
    wanted: &dyn Fn() -> bool,
    note_after: Duration,
) -> Attempt {
    let begun = Instant::now();
    let (mut is_first, mut is_final, mut to_be_noted) = (true, false, false);
    let attempt = attempt(batch, &mut |part| {
        if is_final && begun.elapsed() >= note_after {
            to_be_noted = true;
            return None;
        }
        let limit = timeout.min(left(deadline));
        if limit.is_zero() || !(mem::take(&mut is_first) || wanted()) {
            return None;
        }
        let report = backend.send_while(part, limit, wanted);
        is_final |= report.outcomes().any(|outcome| match outcome {
            Outcome::Delivered | Outcome::Rejected { .. } => true,
            Outcome::TooLarge { .. } => part.len() == 1,
            Outcome::Retry { .. } => false,
        });
        let complete = report.outcomes().all(|outcome| !matches!(outcome, Outcome::Retry { .. }));
        Some(Called { cancelled: !complete && !wanted(), report })
    });
    Attempt { to_be_noted, ..attempt }
}
