//! What a flush tells.

use std::{fmt, time::Duration};

use jackfield_loader::count;

use crate::delivery::progress::{FlushState, FlushTicket};
use crate::instance::context::Context;

/// What became of events by one flush.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushReport {
    /// Events that backends took, each counted once for each backend.
    pub delivered: u64,
    /// Events that backends refused for good; they are dead letters.
    pub rejected: u64,
    /// Whether nothing waits any more that was recorded before.
    pub emptied: bool,
    /// The backends for which something waits, and why. Empty when it was left to another process, which delivers on.
    pub waiting: Vec<Waiting>,
}

/// What a flush has left, of one backend. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// What it is called.
    pub backend: String,
    /// Events that wait for it, those that came meanwhile among them.
    pub events: u64,
    /// Why they do: what the backend said or did last.
    pub reason: String,
    /// How long it is left alone yet, if it is.
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

/// The backends that are not done, and why.
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
        // Before the first delivery everything waits for everybody.
        let events = stats.backends.get(&backend).map_or(stats.events, |its| its.events);
        let reason = match (progress.since, state.busy) {
            (Some(since), _) => {
                format!("it is being handed events, and has said nothing for {:.1?}", since.elapsed())
            }
            (None, true) => "another process delivers".to_owned(),
            (None, false) => progress.problem.clone().unwrap_or_else(|| "it was not asked".to_owned()),
        };
        Waiting { backend, events, reason, again_in: progress.pause() }
    });
    waiting.filter(|waiting| waiting.events > 0).collect()
}
