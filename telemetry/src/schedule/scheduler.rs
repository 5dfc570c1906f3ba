//! Who carries events from the spool to the backends, and when.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::delivery::open_backend::OpenError;
use crate::delivery::pass::{Outbox, RoundEnd};
use crate::delivery::plan::Plans;
use crate::delivery::progress::{Question, Reply, Standings};
use crate::delivery::reload_report::{LastReload, ReloadReport};
use crate::delivery::supervisor::{Service, UNKNOWN};
use crate::delivery::wake_signal::{Bell, Woken};
use crate::detached;
use crate::error::drop_reason::DropReason;
use crate::error::error::Error;
use crate::instance::context::Context;
use crate::instance::settings::Deliver;
use crate::process::deadline::left;
use crate::process::reentrancy::ReentrancyGuard;
use crate::reload::reload::reload;
use crate::schedule::flush_report::{FlushReport, waiting};
#[cfg(feature = "watch")]
use crate::schedule::watch;

/// Between two looks at a lock that somebody else has.
const TICK: Duration = Duration::from_millis(2);
/// How soon a round is tried again that another process kept us from.
const BUSY: Duration = Duration::from_millis(20);
/// The end of the tool ends a round of the thread.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
/// What one process delivers with.
#[derive(Debug, Default)]
pub(crate) struct Courier {
    outbox: Mutex<Option<Outbox>>,
    /// Whether this process has had an event to record.
    used: AtomicBool,
    thread: Mutex<Worker>,
    bell: Arc<Bell>,
    plans: Arc<Plans>,
    standings: Arc<Standings>,
    /// Held by whoever reloads.
    reloading: Mutex<()>,
}

#[derive(Debug, Default)]
enum Worker {
    #[default]
    NotStarted,
    Runs(thread::JoinHandle<()>),
    /// It could not be started, or has ended.
    Gone,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Courier {
    /// An event could not be stored. What waits is to be delivered all the same: nothing else makes room on a full disk, or
    /// in a spool that refuses.
    pub(crate) fn lost(self: &Arc<Self>, context: &Arc<Context>, reason: DropReason) {
        if matches!(reason, DropReason::DiskFull | DropReason::Size | DropReason::Count) {
            self.recorded(context);
        } else {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Others have put events into the spool.
    pub(crate) fn look(self: &Arc<Self>, context: &Arc<Context>) {
        self.used.store(true, Ordering::Relaxed);
        if let Deliver::InBackground { interval, .. } = context.settings.deliver {
            self.bell.enough();
            self.start(context, interval);
        }
    }

    /// An event was recorded.
    pub(crate) fn recorded(self: &Arc<Self>, context: &Arc<Context>) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        let Deliver::InBackground { interval, events, .. } = context.settings.deliver else { return };
        if self.bell.event(events) {
            self.start(context, interval);
        }
    }

    fn start(self: &Arc<Self>, context: &Arc<Context>, interval: Duration) {
        let mut worker = lock(&self.thread);
        if !matches!(*worker, Worker::NotStarted) {
            return;
        }
        let (courier, of_thread) = (Arc::clone(self), Arc::clone(context));
        let started = thread::Builder::new()
            .name(format!("{}-telemetry", context.settings.tool))
            .spawn(move || work(&of_thread, &courier, interval));
        *worker = match started {
            Ok(thread) => {
                #[cfg(feature = "watch")]
                if context.settings.watch {
                    watch::start(Arc::downgrade(self) as _, context);
                }
                Worker::Runs(thread)
            }
            Err(error) => {
                tracing::warn!("telemetry is delivered at the end only: no thread for it: {error}");
                Worker::Gone
            }
        };
    }

    /// Lets backends have what waits for them, once.
    fn round(
        &self,
        context: &Context,
        deadline: Instant,
        stop: &AtomicBool,
        service: Option<Service<'_>>,
    ) -> RoundEnd {
        self.bell.looking();
        let Some(mut outbox) = lock_until(&self.outbox, deadline) else {
            return RoundEnd { busy: true, ..RoundEnd::default() };
        };
        let asked = self.standings.asked();
        self.make_right(context, &mut outbox, deadline);
        let end = outbox.as_mut().map(|outbox| {
            let end = outbox.round(deadline, stop, service);
            outbox.catch_up();
            end
        });
        let end = end.unwrap_or_default();
        self.standings.ended(asked, end);
        end
    }

    /// Sees to it that the outbox is that for what may be done now.
    fn make_right(&self, context: &Context, outbox: &mut Option<Outbox>, deadline: Instant) {
        let collection = context.consent.read().collection;
        if let Some(outbox) = outbox {
            outbox.catch_up();
        }
        if outbox.as_ref().is_some_and(|outbox| outbox.is_for(collection)) {
            return;
        }
        if let Some(mut old) = outbox.take() {
            old.close(left(deadline).min(BUSY));
        }
        *outbox = context.outbox(collection);
        if let Some(outbox) = outbox {
            outbox.follow(&self.plans, &self.standings);
        }
    }

    /// Opens every backend. Gives those that can't be opened, and why.
    pub(crate) fn open_backends(&self, context: &Context) -> Vec<(String, OpenError)> {
        let mut outbox = lock(&self.outbox);
        self.make_right(context, &mut outbox, Instant::now());
        outbox.as_mut().map(Outbox::open_backends).unwrap_or_default()
    }

    pub(crate) fn plans(&self) -> &Arc<Plans> {
        &self.plans
    }

    /// Other backends from the next batch on, where the configuration says so.
    pub(crate) fn reload(&self, context: &Context) -> Result<ReloadReport, Error> {
        let _quiet = ReentrancyGuard::enter();
        let _one = lock(&self.reloading);
        let reloaded = reload(context, &self.plans);
        {
            let mut last = self.plans.last_reload();
            *last = Some(LastReload {
                number: last.as_ref().map_or(0, |last| last.number) + 1,
                outcome: reloaded.as_ref().map_err(ToString::to_string).cloned(),
            });
        }
        // Whoever is in a round does it there.
        if let Ok(mut outbox) = self.outbox.try_lock()
            && let Some(outbox) = &mut *outbox
        {
            outbox.catch_up();
        }
        self.bell.news();
        reloaded
    }

    /// Whether the thread delivers.
    fn is_in_background(&self) -> bool {
        matches!(&*lock(&self.thread), Worker::Runs(_)) && !self.standings.is_left()
    }

    /// Lets every backend that can get anywhere have what waits for it, by `deadline`.
    pub(crate) fn flush(&self, context: &Context, deadline: Instant) -> FlushReport {
        let mut question = self.standings.ask();
        loop {
            if self.bell.stopped().load(Ordering::Relaxed) {
                let reply = self.standings.reply_of(question, RoundEnd::default());
                return self.flushed(context, question, reply);
            }
            let reply = if self.is_in_background() {
                self.bell.enough();
                self.standings.wait(question, deadline)
            } else {
                let end = self.round(context, deadline, self.bell.stopped(), None);
                self.standings.reply_of(question, end)
            };
            if left(deadline).is_zero() || !(reply.busy || reply.left) {
                return self.flushed(context, question, reply);
            }
            // Somebody else delivers, or the thread has just ended.
            thread::sleep(BUSY.min(left(deadline)));
            question = self.standings.ask_again(question);
        }
    }

    /// What came of a question.
    fn flushed(&self, context: &Context, question: Question, reply: Reply) -> FlushReport {
        let (delivered, rejected, emptied) = (reply.delivered, reply.rejected, reply.emptied);
        let waiting = if emptied { Vec::new() } else { waiting(context, question, reply) };
        FlushReport { delivered, rejected, emptied, waiting }
    }

    /// Ends the thread, delivers for the last time, and closes the backends. A second time there is nothing to do.
    pub(crate) fn close(&self, context: &Context, deadline: Instant) -> FlushReport {
        if self.bell.stop() {
            return FlushReport { emptied: true, ..FlushReport::default() };
        }
        if !self.used.load(Ordering::Relaxed) {
            self.close_backends(deadline);
            return FlushReport { emptied: true, ..FlushReport::default() };
        }
        // Nobody waits for the thread any more, which may be inside a plugin.
        self.standings.leave();
        let question = self.standings.ask();
        if let Worker::Runs(thread) = std::mem::replace(&mut *lock(&self.thread), Worker::Gone) {
            while !thread.is_finished() && !left(deadline).is_zero() {
                thread::sleep(TICK);
            }
        }
        let left_to_others = match context.settings.deliver {
            Deliver::ByHand => Some(RoundEnd::default()),
            Deliver::Detached { lifetime, .. } => detached::spawn::leave(context, lifetime),
            _ => None,
        };
        let flushed = match left_to_others {
            Some(RoundEnd { delivered, rejected, emptied, .. }) => {
                FlushReport { delivered, rejected, emptied, ..FlushReport::default() }
            }
            None => {
                let end = self.round(context, deadline, &AtomicBool::new(false), None);
                self.flushed(context, question, self.standings.reply_of(question, end))
            }
        };
        self.close_backends(deadline);
        flushed
    }

    fn close_backends(&self, deadline: Instant) {
        // Whoever still has it is inside a plugin that does not answer.
        if let Some(mut outbox) = lock_until(&self.outbox, deadline)
            && let Some(mut outbox) = outbox.take()
        {
            outbox.close(left(deadline).max(TICK));
        }
        self.plans.wait_for_closing(deadline);
    }
}

#[cfg(feature = "watch")]
impl watch::Reload for Courier {
    fn is_closed(&self) -> bool {
        self.bell.stopped().load(Ordering::Relaxed)
    }

    fn reload(&self, context: &Context) {
        // What is wrong is in the log.
        let _ = Self::reload(self, context);
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

/// Says that the thread has ended, however it does.
struct Leaves<'a>(&'a Standings);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// What the thread does until the tool ends.
fn work(context: &Context, courier: &Courier, interval: Duration) {
    let _quiet = ReentrancyGuard::enter();
    let bell = &*courier.bell;
    let _leaves = Leaves(&courier.standings);
    let mut again_at: Option<Instant> = None;
    loop {
        match bell.wait(interval, again_at) {
            Woken::Stopped => return,
            // What is new is tried at once; else a round has ended.
            Woken::News if !courier.plans.has_news() => continue,
            Woken::News | Woken::Events | Woken::Late => {}
        }
        let service = Service { bell, interval };
        let end = courier.round(context, Instant::now() + FOR_EVER, bell.stopped(), Some(service));
        let pause = if end.busy { Some(BUSY.max(interval)) } else { end.again_in };
        again_at = (!end.emptied).then(|| Instant::now() + pause.unwrap_or(UNKNOWN));
        if let Err(error) = context.enforce_limits() {
            tracing::debug!("{error}");
        }
    }
}
