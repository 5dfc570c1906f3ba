//! How long a request may take.

use std::{
    future::Future,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use jackfield_plugin_api::Call;

/// How often a waiting request checks whether the host still waits for the call.
const CANCELLATION_TICK: Duration = Duration::from_millis(50);

/// The time at which a call has to have its answer, a little before the host stops waiting for it.
pub(crate) struct Deadline<'a> {
    call: &'a Call<'a>,
    pub(crate) at: Instant,
    total: Duration,
}

impl<'a> Deadline<'a> {
    /// `longest` is a limit beside the host's.
    pub(crate) fn new(call: &'a Call<'a>, longest: Option<Duration>) -> Self {
        let left = call.remaining();
        let margin = (left / 20).clamp(Duration::from_millis(5), Duration::from_millis(250));
        let total = left.saturating_sub(margin).min(longest.unwrap_or(Duration::MAX));
        let now = Instant::now();
        // A call without a deadline gets one after a day.
        let at = now.checked_add(total).unwrap_or_else(|| now + Duration::from_secs(24 * 60 * 60));
        Self { call, at, total }
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.at <= Instant::now() || self.call.is_cancelled()
    }

    /// The time that is left for requests.
    pub(crate) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Why a request to `host` has no answer.
    pub(crate) fn missed(&self, what: &str) -> String {
        if self.call.is_cancelled() {
            return "the host no longer waits for it".to_owned();
        }
        format!("{what} within {:.1} s", self.total.as_secs_f64())
    }

    /// Runs `work` until `until` or the deadline has passed, or the host has stopped waiting.
    pub(crate) async fn limit<T>(&self, until: Instant, work: impl Future<Output = T>) -> Option<T> {
        let until = until.min(self.at);
        let mut work = pin!(work);
        let next_tick = || until.min(Instant::now() + CANCELLATION_TICK).into();
        let mut tick = pin!(tokio::time::sleep_until(next_tick()));
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            while tick.as_mut().poll(context).is_ready() {
                if Instant::now() >= until || self.call.is_cancelled() {
                    return Poll::Ready(None);
                }
                tick.as_mut().reset(next_tick());
            }
            Poll::Pending
        })
        .await
    }
}
