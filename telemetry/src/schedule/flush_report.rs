//! The report of a flush.

use std::{collections::BTreeMap, fmt, time::Duration};

use jackfield_loader::{ForeignText, count};

use crate::delivery::progress::{FlushState, FlushTicket};
use crate::error::DropReason;
use crate::instance::context::Context;
use crate::spool::handle::{Spool, Spools};

/// The result of a flush.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushReport {
    /// The number of delivered events, counted for each backend.
    pub delivered: u64,
    /// The number of rejected events, which are now dead letters.
    pub rejected: u64,
    /// Whether all events from before the flush are settled.
    pub emptied: bool,
    /// The backends for which events wait, and why. Empty when another process goes on with the delivery.
    pub waiting: Vec<Waiting>,
    /// The events that this process has lost since its last report, by reason: they could not be stored, had to make room, or
    /// could not be read. What the author's own rules keep out is no loss. [`Telemetry::status`](crate::Telemetry::status)
    /// has the losses of all processes.
    pub dropped: BTreeMap<DropReason, u64>,
}

/// The events that this process has lost since the last call, by reason.
pub(crate) fn take_losses(context: &Context) -> BTreeMap<DropReason, u64> {
    let mut dropped = BTreeMap::new();
    for (reason, number) in context.spools.iter().flat_map(Spools::both).flat_map(Spool::take_losses) {
        *dropped.entry(reason).or_default() += number;
    }
    dropped
}

/// The events that wait for one backend. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The name of the backend.
    pub backend: String,
    /// The number of events that wait for it, also those recorded since.
    pub events: u64,
    /// Why they wait: the last failure of the backend.
    pub reason: ForeignText,
    /// The time until the next attempt, if the backend is paused.
    pub again_in: Option<Duration>,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, events, reason, again_in } = self;
        write!(f, "{backend}: {} left: {reason}", count(*events, "event"))?;
        match again_in {
            Some(pause) => write!(f, "; tried again in {:.1} s", pause.as_secs_f64()),
            None => Ok(()),
        }
    }
}

/// The backends for which events wait, and why.
pub(crate) fn waiting(context: &Context, ticket: FlushTicket, state: FlushState) -> Vec<Waiting> {
    let info = context.select().info;
    let local = info.stays_here(context.consent.read().collection);
    let Some(spools) = &context.spools else { return Vec::new() };
    let stats = spools.get(local).stats();
    let mut backends = state.backends;
    for name in info.backends {
        backends.entry(name).or_default();
    }
    let unsettled = backends.into_iter().filter(|(_, progress)| !progress.is_emptied(ticket));
    let waiting = unsettled.map(|(backend, progress)| {
        // Before the first delivery all events wait for all backends.
        let events = stats.backends.get(&backend).map_or(stats.events, |its| its.events);
        let reason = match (progress.since, state.busy) {
            (Some(since), _) => {
                format!("it is being handed events, and has said nothing for {:.1?}", since.elapsed()).into()
            }
            (None, true) => "another process delivers".into(),
            (None, false) => progress.problem.clone().unwrap_or_else(|| "it was not asked".into()),
        };
        Waiting { backend, events, reason, again_in: progress.pause() }
    });
    waiting.filter(|waiting| waiting.events > 0).collect()
}
