//! Who carries events from the spool to the backends, and when.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    Deliver, Flushed, detached,
    outbox::{Outbox, RoundEnd, left},
    quiet::Quiet,
    spool::DropReason,
    telemetry::Inner,
};

/// Between two looks at a lock that somebody else has.
const TICK: Duration = Duration::from_millis(2);
/// How soon a round is tried again that another process kept us from.
const BUSY: Duration = Duration::from_millis(20);
/// The end of the tool ends a round of the thread.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the thread waits after a round that failed and did not say when to try again.
const UNKNOWN: Duration = Duration::from_secs(5);

/// What one process delivers with.
#[derive(Debug, Default)]
pub(crate) struct Courier {
    outbox: Mutex<Option<Outbox>>,
    /// Events recorded since the thread looked last.
    waiting: AtomicU32,
    /// Whether this process has had an event to record.
    used: AtomicBool,
    thread: Mutex<Worker>,
    signals: Arc<Signals>,
}

#[derive(Debug, Default)]
enum Worker {
    #[default]
    NotStarted,
    Runs(thread::JoinHandle<()>),
    /// It could not be started, or has ended.
    Gone,
}

/// What the thread waits for.
#[derive(Debug, Default)]
struct Signals {
    state: Mutex<Wake>,
    changed: Condvar,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Wake {
    /// There is something to send, since then.
    since: Option<Instant>,
    /// There is enough not to wait any longer.
    enough: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Courier {
    /// An event could not be stored. What waits is to be delivered all the same: from a full disk nothing else makes room.
    pub(crate) fn lost(&self, inner: &Arc<Inner>, reason: DropReason) {
        if reason == DropReason::DiskFull {
            self.recorded(inner);
        } else {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// An event was recorded.
    pub(crate) fn recorded(&self, inner: &Arc<Inner>) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        let Deliver::InBackground { interval, events, .. } = inner.settings.deliver else { return };
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        if before != 0 && before + 1 != events {
            return;
        }
        let mut wake = lock(&self.signals.state);
        wake.since.get_or_insert_with(Instant::now);
        wake.enough |= before + 1 >= events;
        drop(wake);
        self.signals.changed.notify_one();
        self.start(inner, interval);
    }

    fn start(&self, inner: &Arc<Inner>, interval: Duration) {
        let mut worker = lock(&self.thread);
        if !matches!(*worker, Worker::NotStarted) {
            return;
        }
        let (signals, of_thread) = (Arc::clone(&self.signals), Arc::clone(inner));
        let started = thread::Builder::new()
            .name(format!("{}-telemetry", inner.settings.tool))
            .spawn(move || work(&of_thread, &signals, interval));
        *worker = match started {
            Ok(thread) => Worker::Runs(thread),
            Err(error) => {
                tracing::warn!("telemetry is delivered at the end only: no thread for it: {error}");
                Worker::Gone
            }
        };
    }

    /// Lets backends have what waits for them, once.
    fn round(&self, inner: &Inner, deadline: Instant, stop: &AtomicBool) -> RoundEnd {
        self.waiting.store(0, Ordering::Relaxed);
        let Some(mut outbox) = lock_until(&self.outbox, deadline) else {
            return RoundEnd { busy: true, ..RoundEnd::default() };
        };
        let collection = inner.consent.read().collection;
        let fresh = |outbox: &Outbox| outbox.collection() == collection;
        if !outbox.as_ref().is_some_and(fresh) {
            if let Some(mut old) = outbox.take() {
                old.close(left(deadline).min(BUSY));
            }
            *outbox = inner.outbox(collection);
        }
        outbox.as_mut().map(|outbox| outbox.round(deadline, stop)).unwrap_or_default()
    }

    /// Rounds until all is delivered that can be, or `deadline` comes. Waits for backends whose time comes before it.
    pub(crate) fn flush(&self, inner: &Inner, deadline: Instant) -> Flushed {
        let mut flushed = Flushed::default();
        loop {
            let end = self.round(inner, deadline, &self.signals.stop);
            flushed.delivered += end.delivered;
            flushed.rejected += end.rejected;
            flushed.emptied = end.emptied;
            let pause = match (end.busy, end.again_in) {
                (true, _) => BUSY,
                (false, Some(pause)) => pause,
                (false, None) => return flushed,
            };
            if end.emptied || pause >= left(deadline) || self.signals.stop.load(Ordering::Relaxed) {
                return flushed;
            }
            thread::sleep(pause);
        }
    }

    /// Ends the thread, delivers for the last time, and closes the backends. A second time there is nothing to do.
    pub(crate) fn close(&self, inner: &Inner, deadline: Instant) -> Flushed {
        if self.signals.stop.swap(true, Ordering::Relaxed) || !self.used.load(Ordering::Relaxed) {
            return Flushed { emptied: true, ..Flushed::default() };
        }
        {
            let _wake = lock(&self.signals.state);
            self.signals.changed.notify_all();
        }
        if let Worker::Runs(thread) = std::mem::replace(&mut *lock(&self.thread), Worker::Gone) {
            while !thread.is_finished() && !left(deadline).is_zero() {
                thread::sleep(TICK);
            }
        }
        let left_to_others = match inner.settings.deliver {
            Deliver::ByHand => Some(RoundEnd::default()),
            Deliver::Detached { lifetime, .. } => detached::leave(inner, lifetime),
            _ => None,
        };
        let end = left_to_others.unwrap_or_else(|| self.round(inner, deadline, &AtomicBool::new(false)));
        // Whoever still has it is inside a plugin that does not answer.
        if let Some(mut outbox) = lock_until(&self.outbox, deadline)
            && let Some(mut outbox) = outbox.take()
        {
            outbox.close(left(deadline).max(TICK));
        }
        Flushed { delivered: end.delivered, rejected: end.rejected, emptied: end.emptied }
    }
}

fn lock_until<T>(mutex: &Mutex<T>, deadline: Instant) -> Option<MutexGuard<'_, T>> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if left(deadline).is_zero() => return None,
            Err(TryLockError::WouldBlock) => thread::sleep(TICK.min(left(deadline))),
        }
    }
}

/// What the thread does until the tool ends.
fn work(inner: &Inner, signals: &Signals, interval: Duration) {
    let _quiet = Quiet::enter();
    let courier = inner.courier();
    let mut again_at: Option<Instant> = None;
    loop {
        let mut wake = lock(&signals.state);
        loop {
            if signals.stop.load(Ordering::Relaxed) {
                return;
            }
            let due = [wake.since.map(|since| since + interval), again_at].into_iter().flatten().min();
            let now = Instant::now();
            if wake.enough || due.is_some_and(|due| due <= now) {
                break;
            }
            wake = match due {
                Some(due) => {
                    signals.changed.wait_timeout(wake, due - now).unwrap_or_else(PoisonError::into_inner).0
                }
                None => signals.changed.wait(wake).unwrap_or_else(PoisonError::into_inner),
            };
        }
        *wake = Wake::default();
        drop(wake);
        let end = courier.round(inner, Instant::now() + FOR_EVER, &signals.stop);
        let pause = if end.busy { Some(BUSY.max(interval)) } else { end.again_in };
        again_at = (!end.emptied).then(|| Instant::now() + pause.unwrap_or(UNKNOWN));
        if let Err(error) = inner.enforce_limits() {
            tracing::debug!("{error}");
        }
    }
}
