//! One call: its end, and what is reported in it.

use std::{
    future::{Future, poll_fn},
    ops::Range,
    pin::pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use jackfield_plugin_api::{self as api, Outcome};
use tokio::{sync::Notify, time::sleep_until};

use crate::runtimes::{CLOSED, Lease, Local};

/// How often a waiting call asks whether the host still waits for it: the contract has no call back for that.
const TICK: Duration = Duration::from_millis(50);

/// A call without a deadline gets one after a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// One call of the host, as an async backend sees it.
///
/// Its deadline is the host's minus a reserve of a twentieth (5 ms to 250 ms), so that the answer is on time.
pub struct Call<'a> {
    host: &'a api::Call<'a>,
    deadline: Instant,
    /// From the start of the call to its deadline.
    time: Duration,
    local: &'a Local,
    /// `None` of a call to close the backend.
    lease: Option<&'a Lease<'a>>,
    /// Set once, when the call is cancelled.
    over: AtomicBool,
    told: Notify,
    /// The events that have an outcome.
    reported: Mutex<Vec<Range<usize>>>,
}

impl<'a> Call<'a> {
    /// A call that has this runtime.
    pub(crate) fn new(host: &'a api::Call<'a>, lease: &'a Lease<'_>) -> Self {
        Self::with(host, lease.local(), Some(lease), 1)
    }

    /// A call to close the backend. It has half of the time.
    pub(crate) fn to_close(host: &'a api::Call<'a>, local: &'a Local) -> Self {
        Self::with(host, local, None, 2)
    }

    fn with(host: &'a api::Call<'a>, local: &'a Local, lease: Option<&'a Lease<'a>>, part: u32) -> Self {
        let left = host.remaining();
        let reserve = (left / 20).clamp(Duration::from_millis(5), Duration::from_millis(250));
        let time = left.saturating_sub(reserve).min(LONGEST) / part;
        Self {
            host,
            deadline: Instant::now() + time,
            time,
            local,
            lease,
            over: AtomicBool::new(false),
            told: Notify::new(),
            reported: Mutex::default(),
        }
    }

    /// The time at which the call is dropped.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long the call may still take; zero when its time is up.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether the call's time is up, the host has stopped waiting for it, or it closes the backend.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.over.load(Ordering::Acquire)
            || self.remaining().is_zero()
            || self.is_closed()
            || self.host.is_cancelled()
    }

    fn is_closed(&self) -> bool {
        self.lease.is_some_and(Lease::is_closed)
    }

    /// Waits until [`is_cancelled`](Self::is_cancelled). What waits for it is polled once more before the call is dropped,
    /// so it can do at once what is left to do; it can't wait for anything else.
    pub async fn cancelled(&self) {
        let told = self.told.notified();
        if !self.over.load(Ordering::Acquire) {
            told.await;
        }
    }

    /// Runs `work`; `None` when the call is cancelled before it is done.
    pub async fn run_until_cancelled<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut cancelled) = (pin!(work), pin!(self.cancelled()));
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => cancelled.as_mut().poll(context).map(|()| None),
        })
        .await
    }

    /// Why the call is cancelled, for the reason of an outcome.
    #[must_use]
    pub fn why_cancelled(&self) -> String {
        if self.host.is_cancelled() {
            return "the host no longer waits for it".to_owned();
        }
        if self.is_closed() {
            return CLOSED.to_owned();
        }
        format!("no answer within {:.1} s", self.time.as_secs_f64())
    }

    /// Reports the outcome of some events before the call returns. The report counts even if the call is cancelled then.
    pub fn report(&self, events: Range<usize>, outcome: &Outcome) {
        self.host.report(events.clone(), outcome);
        let mut reported = self.reported();
        match reported.last_mut() {
            Some(last) if last.end == events.start => last.end = events.end,
            _ => reported.push(events),
        }
    }

    /// The value that belongs to the runtime of this call, made by `make` at the first use. Each runtime of
    /// [`Runtimes::PerCall`](crate::Runtimes::PerCall) has its own, such as a client whose connections its tasks drive; a
    /// shared runtime has one. Another type `T` replaces it.
    ///
    /// # Errors
    /// That of `make`.
    pub fn of_runtime<T: Clone + Send + 'static, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.local.get_or(make)
    }

    /// Runs the work of a call until it is done, or the call is cancelled.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let next_tick = || self.deadline.min(Instant::now() + TICK).into();
        let (mut work, mut tick) = (pin!(work), pin!(sleep_until(next_tick())));
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            while tick.as_mut().poll(context).is_ready() {
                if self.is_cancelled() {
                    self.over.store(true, Ordering::Release);
                    if let Some(lease) = self.lease {
                        lease.ends();
                    }
                    self.told.notify_waiters();
                    return match work.as_mut().poll(context) {
                        Poll::Ready(done) => Poll::Ready(Some(done)),
                        Poll::Pending => Poll::Ready(None),
                    };
                }
                tick.as_mut().reset(next_tick());
            }
            Poll::Pending
        })
        .await
    }

    /// Reports a retry for each of so many events that has no outcome.
    pub(crate) fn fill_in(&self, events: usize) {
        let mut reported = self.reported();
        reported.sort_unstable_by_key(|range| range.start);
        let outcome = Outcome::retry(self.why_cancelled());
        let mut next = 0;
        for range in reported.iter() {
            if next < range.start.min(events) {
                self.host.report(next..range.start.min(events), &outcome);
            }
            next = next.max(range.end);
        }
        if next < events {
            self.host.report(next..events, &outcome);
        }
    }

    fn reported(&self) -> MutexGuard<'_, Vec<Range<usize>>> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}
