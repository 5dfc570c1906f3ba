//! How far each backend has come, for whoever waits for it: a flush.
//!
//! A flush takes a *ticket* with a number. Whoever looks at what waits for a backend notes the last number before it
//! looks; when all that it saw is settled, that number is answered. So the answer covers what was recorded before the
//! flush, whatever comes meanwhile. A backend that is left alone for a while needs no answer.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::process::left;

/// How far one backend has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The last ticket that was answered, in whatever way.
    answered: u64,
    /// The last ticket that found nothing left.
    emptied: u64,
    /// Since when it is being handed events.
    pub(crate) since: Option<Instant>,
    /// Why it did not take the last ones.
    pub(crate) problem: Option<String>,
    /// Until when it is left alone.
    until: Option<Instant>,
}

impl Progress {
    /// Whether a flush needs not wait for it.
    pub(super) fn is_settled(&self, ticket: FlushTicket) -> bool {
        self.is_answered(ticket) || (self.since.is_none() && self.pause().is_some())
    }

    /// Whether the ticket was answered.
    pub(super) fn is_answered(&self, ticket: FlushTicket) -> bool {
        self.answered >= ticket.number
    }

    /// Whether all was settled that was there when the ticket was taken.
    pub(crate) fn is_emptied(&self, ticket: FlushTicket) -> bool {
        self.emptied >= ticket.number
    }

    /// How long it is left alone yet.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.until.map(left).filter(|left| !left.is_zero())
    }

    /// A pass is about to give it events, unless it has a pause, for which there is a problem.
    pub(super) fn begin(&mut self, pause: Option<Duration>, problem: Option<String>) {
        (self.since, self.problem, self.until) = (None, problem, pause.map(|pause| Instant::now() + pause));
    }

    /// It is being handed events from now on.
    pub(super) fn starts(&mut self) {
        self.since.get_or_insert_with(Instant::now);
        self.until = None;
    }

    /// It took or refused events.
    pub(super) fn advances(&mut self) {
        self.since = Some(Instant::now());
    }

    /// All that was there at the ticket is settled; whether it has nothing else to do.
    pub(super) fn empties(&mut self, ticket: u64, rests: bool) {
        (self.answered, self.emptied, self.problem) = (ticket, ticket, None);
        if rests {
            self.since = None;
        }
    }

    /// It is left alone for so long.
    pub(super) fn pauses(&mut self, pause: Duration) {
        self.until = Some(Instant::now() + pause);
    }

    /// It gets nothing more for now, for `pause` if that is known. No ticket until `asked` waits for it.
    pub(super) fn fails(&mut self, asked: u64, problem: Option<String>, pause: Option<Duration>) {
        (self.answered, self.problem, self.since) = (asked, problem, None);
        self.until = pause.map(|pause| Instant::now() + pause);
    }
}

/// What flushes have to know of passes.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    /// The last ticket.
    pub(super) asked: u64,
    /// The last ticket before the beginning of a pass that has ended, and how that one did.
    pub(super) ended: (u64, PassResult),
    /// Whether a pass is under way.
    pub(super) under_way: bool,
    /// Events that any backend took or refused.
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    /// The thread that delivers in the background has ended.
    pub(super) left: bool,
}

/// What a flush waits for, and what was done until it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlushTicket {
    pub(super) number: u64,
    pub(super) delivered: u64,
    pub(super) rejected: u64,
}

/// What is so when a flush needs no further waiting.
#[derive(Clone, Debug)]
pub(crate) struct FlushState {
    pub(crate) delivered: u64,
    pub(crate) rejected: u64,
    pub(crate) emptied: bool,
    /// Whether somebody else delivered all the time.
    pub(crate) busy: bool,
    /// Whether the thread that was to answer has ended.
    pub(crate) left: bool,
    pub(crate) backends: BTreeMap<String, Progress>,
}

impl Flushes {
    /// A new ticket.
    pub(super) fn take_ticket(&mut self) -> FlushTicket {
        self.asked += 1;
        FlushTicket { number: self.asked, delivered: self.delivered, rejected: self.rejected }
    }
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PassResult {
    /// Events that backends took, each counted once for each backend.
    pub(crate) delivered: u64,
    /// Events that backends refused for good.
    pub(crate) rejected: u64,
    /// Whether everything that was in the spool at the start is settled.
    pub(crate) emptied: bool,
    /// Whether somebody else delivers at this moment.
    pub(crate) busy: bool,
    /// How soon a backend that failed is to be tried again.
    pub(crate) again_in: Option<Duration>,
}
