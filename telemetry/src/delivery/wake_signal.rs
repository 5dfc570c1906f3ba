//! What wakes the thread that delivers for a service.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// Given by whoever records an event, by backends that have come to rest, and by who wants it to stop.
#[derive(Debug, Default)]
pub(crate) struct WakeSignal {
    /// Events recorded since the backends looked last.
    waiting: AtomicU32,
    pending: Mutex<Pending>,
    changed: Condvar,
    stop: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Pending {
    /// There is something to send, since then.
    since: Option<Instant>,
    /// There is enough not to wait any longer.
    enough: bool,
    /// Something else has happened.
    news: bool,
}

/// Why a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Stopped,
    /// It is time to look at what waits.
    Events,
    News,
    /// The wait was long enough.
    Late,
}

impl WakeSignal {
    /// An event was recorded, of which so many are enough. Gives whether the thread was told.
    pub(crate) fn event(&self, enough: u32) -> bool {
        // Whoever finds that others wait leaves the event to those who look next: they see it by `looking`.
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

    /// There is enough that waits.
    pub(crate) fn enough(&self) {
        self.pending().enough = true;
        self.changed.notify_one();
    }

    /// Something else has happened.
    pub(crate) fn news(&self) {
        self.pending().news = true;
        self.changed.notify_one();
    }

    /// Ends the thread's waiting for ever. Gives whether somebody has done so before.
    pub(crate) fn stop(&self) -> bool {
        let before = self.stop.swap(true, Ordering::Relaxed);
        let _pending = self.pending();
        self.changed.notify_all();
        before
    }

    pub(crate) fn stopped(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    /// All that waits is looked at now.
    pub(crate) fn looking(&self) {
        // A swap, so that what was recorded before an event that it takes back is seen by whoever looks now.
        self.waiting.swap(0, Ordering::AcqRel);
    }

    /// Waits until an event has waited for `interval` or enough of them do, there are news, or it is `until`.
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
            pending = match [due, until].into_iter().flatten().min() {
                Some(due) => {
                    self.changed.wait_timeout(pending, due - now).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_wait_for_the_interval_unless_there_are_enough_and_news_do_not_wait() {
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
        assert!(!signal.stop());
        assert!(signal.stop());
        assert_eq!(signal.wait(long, None), Woken::Stopped);
    }
}
