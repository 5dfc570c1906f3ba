//! The progress of each backend, for a flush that waits for it.
//!
//! A flush takes a *ticket* with a number. A worker reads the number of the last ticket before it reads the events of its
//! backend. When all these events are settled, it answers that number. So the answer covers the events that were recorded
//! before the flush. A paused backend needs no answer.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jackfield_loader::ForeignText;

use crate::process::left;

/// The progress of one backend.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The last ticket that was answered in any way.
    answered: u64,
    /// The last ticket whose events were all settled.
    emptied: u64,
    /// The time since when the backend has been given events.
    pub(crate) since: Option<Instant>,
    /// Why the backend did not take the last events.
    pub(crate) problem: Option<ForeignText>,
    /// The end of the pause.
    until: Option<Instant>,
}

impl Progress {
    /// The last of the tickets up to `asked` whose flush need not wait for the backend.
    pub(super) fn settled(&self, asked: u64) -> u64 {
        let is_paused = self.since.is_none() && self.pause().is_some();
        if is_paused { asked } else { self.answered }
    }

    /// The last ticket that was answered in any way.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// Whether all events before the ticket are settled.
    pub(crate) fn is_emptied(&self, ticket: FlushTicket) -> bool {
        self.emptied >= ticket.number
    }

    /// The rest of the pause.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.until.map(left).filter(|left| !left.is_zero())
    }

    /// Notes that a pass begins. With a pause, the backend gets no event because of the problem.
    pub(super) fn begin(&mut self, pause: Option<Duration>, problem: Option<ForeignText>) {
        (self.since, self.problem, self.until) = (None, problem, pause.map(|pause| Instant::now() + pause));
    }

    /// Notes that the backend is given events from now on.
    pub(super) fn starts(&mut self) {
        self.since.get_or_insert_with(Instant::now);
        self.until = None;
    }

    /// Notes that the backend has taken or rejected events.
    pub(super) fn advances(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Notes that all events before the ticket are settled. `rests`: the backend has nothing else to do.
    pub(super) fn empties(&mut self, ticket: u64, rests: bool) {
        (self.answered, self.emptied, self.problem) = (ticket, ticket, None);
        if rests {
            self.since = None;
        }
    }

    /// Notes that the backend is paused.
    pub(super) fn pauses(&mut self, pause: Duration) {
        self.until = Some(Instant::now() + pause);
    }

    /// Notes that the backend gets no event for now, and answers the tickets up to `asked`.
    pub(super) fn fails(&mut self, asked: u64, problem: Option<ForeignText>, pause: Option<Duration>) {
        (self.answered, self.problem, self.since) = (asked, problem, None);
        self.until = pause.map(|pause| Instant::now() + pause);
    }
}

/// The result of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PassResult {
    /// The number of delivered events, counted for each backend.
    pub(crate) delivered: u64,
    /// The number of rejected events.
    pub(crate) rejected: u64,
    /// Whether all events that were in the spool at the start are settled.
    pub(crate) emptied: bool,
    /// Whether another process delivers.
    pub(crate) busy: bool,
    /// The time until a failed backend may be tried again.
    pub(crate) again_in: Option<Duration>,
}

/// What flushes need to know of passes.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    /// The last ticket.
    pub(super) asked: u64,
    /// The last ticket before the beginning of the last pass that has ended, and the result of that pass.
    pub(super) ended: (u64, PassResult),
    /// The last ticket for which that pass left no backend to wait for.
    pub(super) settled: u64,
    /// Whether a pass is under way.
    pub(super) under_way: bool,
    /// The numbers of events that backends have taken and rejected.
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    /// Whether the background thread has ended.
    pub(super) left: bool,
}

impl Flushes {
    /// A new ticket.
    pub(super) fn take_ticket(&mut self) -> FlushTicket {
        self.asked += 1;
        FlushTicket { number: self.asked, delivered: self.delivered, rejected: self.rejected }
    }
}

/// The ticket of a flush, with the numbers of events at its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlushTicket {
    pub(super) number: u64,
    pub(super) delivered: u64,
    pub(super) rejected: u64,
}

/// The state of a flush that need not wait any longer.
#[derive(Clone, Debug)]
pub(crate) struct FlushState {
    pub(crate) delivered: u64,
    pub(crate) rejected: u64,
    pub(crate) emptied: bool,
    /// Whether another process delivered all the time.
    pub(crate) busy: bool,
    /// Whether the background thread has ended without an answer.
    pub(crate) left: bool,
    pub(crate) backends: BTreeMap<String, Progress>,
}
