//! When events leave the spool: in the background, on demand, and at the end.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::delivery::backends::Backends;
use crate::delivery::open_backend::OpenError;
use crate::delivery::pass::{Service, SpoolDelivery};
use crate::delivery::progress::{FlushState, FlushTicket, PassResult};
use crate::delivery::wake_signal::{WakeSignal, Woken};
use crate::delivery::workers::UNKNOWN_PAUSE;
use crate::detached;
use crate::error::DropReason;
#[cfg(feature = "watch")]
use crate::files::Stamps;
use crate::instance::context::Context;
use crate::instance::settings::Deliver;
use crate::process::{ReentrancyGuard, left, lock, wait};
use crate::reload::reload::{ReloadError, ReloadReport, reload};
use crate::schedule::flush_report::{FlushReport, take_losses, waiting};
use crate::schedule::unclosed;
#[cfg(feature = "watch")]
use crate::schedule::watch;

/// The pause before a pass is repeated that found another process delivering. It polls, because the system does not report
/// that another process has released the claim.
const BUSY: Duration = Duration::from_millis(20);
/// The time limit of a pass that only the end of the tool ends.
const UNLIMITED: Duration = Duration::from_secs(24 * 60 * 60);
/// The time for closing the backends of a delivery that is replaced.
const CLOSING_OLD: Duration = Duration::from_millis(20);
/// The time, after the end of the tool has cancelled running calls, in which their outcomes are noted. A plugin has 350 ms to
/// leave a call.
const SETTLING: Duration = Duration::from_millis(500);
/// The time for closing the backends when no time is left.
const CLOSING: Duration = Duration::from_millis(2);

/// The delivery of one process, and its schedule.
#[derive(Default)]
pub(crate) struct Scheduler {
    delivery: Lease,
    /// Whether this process has recorded an event.
    used: AtomicBool,
    thread: Mutex<Thread>,
    signal: Arc<WakeSignal>,
    backends: Arc<Backends>,
    /// Whether the first close has ended.
    closed: Mutex<bool>,
    all_closed: Condvar,
    /// Held during a reload.
    reloading: Mutex<()>,
    last_reload: Mutex<Option<LastReload>>,
}

/// The thread that delivers in the background.
#[derive(Debug, Default, PartialEq, Eq)]
enum Thread {
    #[default]
    NotStarted,
    Started,
    Failed,
}

/// The result of the last reload of this process, by a call or by a watched file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastReload {
    /// The number of reloads so far, this one included.
    pub number: u64,
    /// The changes, or why nothing was changed.
    pub outcome: Result<ReloadReport, ReloadError>,
}

impl Scheduler {
    /// Notes an event that could not be stored. On a full disk, or with a full spool that refuses, only a delivery makes room.
    pub(crate) fn lost(self: &Arc<Self>, context: &Arc<Context>, reason: DropReason) {
        if matches!(reason, DropReason::DiskFull | DropReason::Size | DropReason::Count) {
            self.recorded(context);
        } else {
            self.use_by(context);
        }
    }

    /// Notes that there is something to do at the end of this process.
    fn use_by(&self, context: &Context) {
        let is_first = !self.used.swap(true, Ordering::Relaxed);
        if cfg!(debug_assertions) && is_first && context.settings.deliver != Deliver::ByHand {
            unclosed::note(&context.settings.tool, self.signal.stopped());
        }
    }

    /// Notes that other processes may have put events into the spool.
    pub(crate) fn look(self: &Arc<Self>, context: &Arc<Context>) {
        self.used.store(true, Ordering::Relaxed);
        if let Deliver::InBackground { interval, .. } = context.settings.deliver {
            self.signal.enough();
            self.start(context, interval);
        }
    }

    /// Notes a recorded event.
    pub(crate) fn recorded(self: &Arc<Self>, context: &Arc<Context>) {
        if !self.used.load(Ordering::Relaxed) {
            self.use_by(context);
        }
        let Deliver::InBackground { interval, events, .. } = context.settings.deliver else { return };
        if self.signal.event(events) {
            self.start(context, interval);
        }
    }

    fn start(self: &Arc<Self>, context: &Arc<Context>, interval: Duration) {
        let mut thread = lock(&self.thread);
        if *thread != Thread::NotStarted {
            return;
        }
        let (scheduler, of_thread) = (Arc::clone(self), Arc::clone(context));
        let started = thread::Builder::new()
            .name(format!("schedule-{}", context.settings.tool))
            .spawn(move || scheduler.work(&of_thread, interval));
        *thread = match started {
            Ok(_) => {
                #[cfg(feature = "watch")]
                if context.settings.watch {
                    watch::start(Arc::downgrade(self) as _, context);
                }
                Thread::Started
            }
            Err(error) => {
                tracing::warn!("telemetry is delivered at the end only: no thread for it: {error}");
                Thread::Failed
            }
        };
    }

    /// Delivers until the tool ends.
    fn work(&self, context: &Context, interval: Duration) {
        let _quiet = ReentrancyGuard::enter();
        let _leaves = Leaves(&self.backends);
        let signal = &self.signal;
        let mut again_at: Option<Instant> = None;
        loop {
            match signal.wait(interval, again_at) {
                Woken::Stopped => return,
                // The news is the end of a pass, unless backends have changed.
                Woken::News if !self.backends.take_news() => continue,
                Woken::News | Woken::Events | Woken::Late => {}
            }
            let service = Service { signal, interval };
            let result = self.pass(context, Instant::now() + UNLIMITED, signal.stopped(), Some(service));
            let pause = if result.busy { Some(BUSY.max(interval)) } else { result.again_in };
            again_at = (!result.emptied).then(|| Instant::now() + pause.unwrap_or(UNKNOWN_PAUSE));
            if let Err(error) = context.enforce_limits() {
                tracing::debug!("{error}");
            }
        }
    }

    /// Makes one pass.
    fn pass(
        &self,
        context: &Context,
        deadline: Instant,
        stop: &Arc<AtomicBool>,
        service: Option<Service<'_>>,
    ) -> PassResult {
        self.signal.looking();
        let Some(mut taken) = self.delivery.take(deadline) else {
            return PassResult { busy: true, ..PassResult::default() };
        };
        let asked = self.backends.asked();
        let delivery = self.renew(context, &mut taken.delivery, deadline);
        let result = delivery.map(|delivery| delivery.pass(deadline, stop, service)).unwrap_or_default();
        self.backends.pass_ended(asked, result);
        result
    }

    /// Replaces the delivery if it is not for the consent of this moment.
    fn renew<'a>(
        &self,
        context: &Context,
        delivery: &'a mut Option<SpoolDelivery>,
        deadline: Instant,
    ) -> Option<&'a mut SpoolDelivery> {
        let collection = context.consent.read().collection;
        if delivery.as_ref().is_none_or(|delivery| !delivery.is_for(collection)) {
            if let Some(mut old) = delivery.take() {
                old.close(left(deadline).min(CLOSING_OLD));
            }
            *delivery = context.delivery(collection, &self.backends);
        }
        delivery.as_mut()
    }

    /// Opens every backend. Returns the names of those that can't be opened, and the reasons.
    pub(crate) fn open_backends(&self, context: &Context) -> Vec<(String, OpenError)> {
        let now = Instant::now();
        let Some(mut taken) = self.delivery.take(now + UNLIMITED) else { return Vec::new() };
        match self.renew(context, &mut taken.delivery, now) {
            Some(_) => self.backends.open_all(),
            None => Vec::new(),
        }
    }

    pub(crate) fn backends(&self) -> &Arc<Backends> {
        &self.backends
    }

    /// The result of the last reload.
    pub(crate) fn last_reload(&self) -> Option<LastReload> {
        lock(&self.last_reload).clone()
    }

    /// Evaluates the configuration again. Changed backends get the next batch.
    pub(crate) fn reload(&self, context: &Context) -> Result<ReloadReport, ReloadError> {
        let _quiet = ReentrancyGuard::enter();
        let _one = lock(&self.reloading);
        let reloaded = reload(context, &self.backends);
        let mut last = lock(&self.last_reload);
        *last = Some(LastReload {
            number: last.as_ref().map_or(0, |last| last.number) + 1,
            outcome: reloaded.clone(),
        });
        drop(last);
        self.retry(context);
        reloaded
    }

    /// Ends the pause of every backend.
    pub(crate) fn retry(&self, context: &Context) {
        if let Some(states) = context.states() {
            states.retry();
        }
        self.backends.retry();
        self.signal.news();
    }

    /// Whether the background thread delivers.
    fn is_in_background(&self) -> bool {
        *lock(&self.thread) == Thread::Started && !self.backends.is_left()
    }

    /// Delivers to every backend what waits for it, until `deadline`.
    pub(crate) fn flush(&self, context: &Context, deadline: Instant) -> FlushReport {
        let mut ticket = self.backends.take_ticket();
        loop {
            if self.signal.stopped().load(Ordering::Relaxed) {
                let state = self.backends.flush_state(ticket, PassResult::default());
                return self.flushed(context, ticket, state);
            }
            let state = if self.is_in_background() {
                self.signal.enough();
                self.backends.wait_for_flush(ticket, deadline)
            } else {
                let result = self.pass(context, deadline, self.signal.stopped(), None);
                self.backends.flush_state(ticket, result)
            };
            if left(deadline).is_zero() || !(state.busy || state.left) {
                return self.flushed(context, ticket, state);
            }
            // Another process delivers, or the background thread has just ended.
            thread::sleep(BUSY.min(left(deadline)));
            ticket = self.backends.renew_ticket(ticket);
        }
    }

    /// The report of a flush.
    fn flushed(&self, context: &Context, ticket: FlushTicket, state: FlushState) -> FlushReport {
        let (delivered, rejected, emptied) = (state.delivered, state.rejected, state.emptied);
        let waiting = if emptied { Vec::new() } else { waiting(context, ticket, state) };
        FlushReport { delivered, rejected, emptied, waiting, dropped: take_losses(context) }
    }

    /// Ends the thread, delivers for the last time, and closes the backends. A second call waits for the first one.
    pub(crate) fn close(&self, context: &Context, deadline: Instant) -> FlushReport {
        let nothing = FlushReport { emptied: true, ..FlushReport::default() };
        if self.signal.stop(deadline) {
            self.wait_until_closed(deadline);
            return nothing;
        }
        let _closed = Closes(self);
        if !self.is_used() {
            self.close_backends(deadline);
            return nothing;
        }
        // Flushes no longer wait for the thread, which may be inside a plugin.
        self.backends.leave();
        let ticket = self.backends.take_ticket();
        let left_to_others = match context.settings.deliver {
            Deliver::ByHand => Some(PassResult::default()),
            Deliver::Detached { lifetime, .. } => detached::spawn::spawn_child(context, lifetime),
            _ => None,
        };
        let flushed = match left_to_others {
            Some(PassResult { delivered, rejected, emptied, .. }) => {
                let dropped = take_losses(context);
                FlushReport { delivered, rejected, emptied, dropped, ..FlushReport::default() }
            }
            None => {
                let result = self.pass(context, deadline, &Arc::default(), None);
                self.flushed(context, ticket, self.backends.flush_state(ticket, result))
            }
        };
        self.close_backends(deadline);
        flushed
    }

    /// Whether there is something to do at the end of this process.
    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    fn wait_until_closed(&self, deadline: Instant) {
        let mut closed = lock(&self.closed);
        while !*closed && !left(deadline).is_zero() {
            closed = wait(&self.all_closed, closed, Some(deadline));
        }
    }

    fn close_backends(&self, deadline: Instant) {
        // A thread that still has it waits for a plugin.
        let taken = self.delivery.take(deadline).or_else(|| self.delivery.take(Instant::now() + SETTLING));
        if let Some(mut taken) = taken
            && let Some(mut delivery) = taken.delivery.take()
        {
            delivery.close(left(deadline).max(CLOSING));
        }
        self.backends.end();
        self.backends.wait_for_closing(deadline);
    }
}

#[cfg(feature = "watch")]
impl watch::Reload for Scheduler {
    fn inputs(&self) -> Stamps {
        self.backends.inputs()
    }

    fn is_closed(&self) -> bool {
        self.signal.stopped().load(Ordering::Relaxed)
    }

    fn reload(&self, context: &Context) {
        // The log has the error.
        let _ = Self::reload(self, context);
    }
}

/// Notes the end of the thread, also after a panic.
struct Leaves<'a>(&'a Backends);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Notes the end of a close, also after a panic.
struct Closes<'a>(&'a Scheduler);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        *lock(&self.0.closed) = true;
        self.0.all_closed.notify_all();
    }
}

/// The delivery, which one thread at a time uses.
#[derive(Default)]
struct Lease {
    place: Mutex<Place>,
    returned: Condvar,
}

#[derive(Default)]
struct Place {
    is_taken: bool,
    /// `None` before the first pass, and while it is taken.
    delivery: Option<SpoolDelivery>,
}

/// The delivery of a thread, which is returned at the drop.
struct Taken<'a> {
    lease: &'a Lease,
    delivery: Option<SpoolDelivery>,
}

impl Lease {
    /// Waits until no other thread uses it; `None` when one still does at `deadline`.
    fn take(&self, deadline: Instant) -> Option<Taken<'_>> {
        let mut place = lock(&self.place);
        while place.is_taken {
            if left(deadline).is_zero() {
                return None;
            }
            place = wait(&self.returned, place, Some(deadline));
        }
        place.is_taken = true;
        Some(Taken { lease: self, delivery: place.delivery.take() })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut place = lock(&self.lease.place);
        (place.is_taken, place.delivery) = (false, self.delivery.take());
        self.lease.returned.notify_one();
    }
}
