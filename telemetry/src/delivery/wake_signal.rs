//! The signal that wakes the delivery thread of a service.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use crate::process::{lock, wait};

/// Set by threads that record events, by workers that have nothing more to do, and by the end of the tool.
#[derive(Debug, Default)]
pub(crate) struct WakeSignal {
    /// The number of events since the delivery last looked at the spool.
    waiting: AtomicU32,
    pending: Mutex<Pending>,
    changed: Condvar,
    stop: Arc<AtomicBool>,
    /// The time when running calls are cancelled, once the tool ends.
    calls_end: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Pending {
    /// The time of the first event that waits.
    since: Option<Instant>,
    /// Whether enough events wait.
    enough: bool,
    /// Whether something else has happened.
    news: bool,
}

/// Why a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Stopped,
    /// It is time to deliver the events that wait.
    Events,
    News,
    /// The time given to the wait is over.
    Late,
}

impl WakeSignal {
    /// Notes an event. `enough` events end the wait. Returns whether the thread was told.
    pub(crate) fn event(&self, enough: u32) -> bool {
        // When other events wait, the thread finds this one with them: see `looking`.
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        if before != 0 && before + 1 != enough {
            return false;
        }
        let mut pending = self.pending();
        pending.since.get_or_insert_with(Instant::now);
        pending.enough |= before + 1 >= enough;
        drop(pending);
        self.changed.notify_one();
        true
    }

    /// Ends the wait: enough events wait.
    pub(crate) fn enough(&self) {
        self.pending().enough = true;
        self.changed.notify_one();
    }

    /// Ends the wait for another reason than events.
    pub(crate) fn news(&self) {
        self.pending().news = true;
        self.changed.notify_one();
    }

    /// Ends this wait and every later one, and running calls at `calls_end`. Returns whether it was ended before.
    pub(crate) fn stop(&self, calls_end: Instant) -> bool {
        lock(&self.calls_end).get_or_insert(calls_end);
        let before = self.stop.swap(true, Ordering::Relaxed);
        let _pending = self.pending();
        self.changed.notify_all();
        before
    }

    /// Whether running calls may go on.
    pub(crate) fn lets_calls_run(&self) -> bool {
        lock(&self.calls_end).is_none_or(|end| Instant::now() < end)
    }

    /// The flag that [`stop`](Self::stop) sets.
    pub(crate) fn stopped(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    /// Notes that the delivery looks at the spool now.
    pub(crate) fn looking(&self) {
        // A swap, not a store: the delivery then sees everything that was written before the events that are reset.
        self.waiting.swap(0, Ordering::AcqRel);
    }

    /// Waits until an event has waited for `interval`, until enough events wait, until there is news, or until `until`.
    pub(crate) fn wait(&self, interval: Duration, until: Option<Instant>) -> Woken {
        let mut pending = self.pending();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Woken::Stopped;
            }
            let now = Instant::now();
            let due = pending.since.map(|since| since + interval);
            if pending.enough || due.is_some_and(|due| due <= now) {
                (pending.since, pending.enough) = (None, false);
                return Woken::Events;
            }
            if std::mem::take(&mut pending.news) {
                return Woken::News;
            }
            if until.is_some_and(|until| until <= now) {
                return Woken::Late;
            }
            pending = wait(&self.changed, pending, [due, until].into_iter().flatten().min());
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        lock(&self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_few_events_wait_for_the_interval() {
        let (signal, long) = (WakeSignal::default(), Duration::from_secs(3600));
        let soon = || Some(Instant::now() + Duration::from_millis(1));
        assert!(signal.event(3));
        assert!(!signal.event(3));
        assert_eq!(signal.wait(long, soon()), Woken::Late);
        signal.news();
        assert_eq!(signal.wait(long, None), Woken::News);
        assert!(signal.event(3));
        assert_eq!(signal.wait(long, None), Woken::Events);
        signal.looking();
        assert!(signal.event(3));
        assert_eq!(signal.wait(Duration::ZERO, None), Woken::Events);
        signal.enough();
        assert_eq!(signal.wait(long, None), Woken::Events);
        assert!(signal.lets_calls_run());
        assert!(!signal.stop(Instant::now()));
        assert!(signal.stop(Instant::now() + long));
        assert!(!signal.lets_calls_run(), "the first end holds");
        assert_eq!(signal.wait(long, None), Woken::Stopped);
    }
}
