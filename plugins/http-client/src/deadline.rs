//! How long a request may take.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use jackfield_plugin_tokio::Call;
use tokio::time::timeout_at;

/// The time at which a call has to have its answer: that of the call, or the limit of the options if that is earlier.
pub(crate) struct Deadline<'a> {
    pub(crate) call: &'a Call<'a>,
    pub(crate) at: Instant,
    longest: Duration,
}

impl<'a> Deadline<'a> {
    /// `longest` is the limit of the options.
    pub(crate) fn new(call: &'a Call<'a>, longest: Option<Duration>) -> Self {
        let longest = longest.unwrap_or(Duration::MAX);
        Self { call, at: Instant::now() + call.remaining().min(longest), longest }
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.at <= Instant::now() || self.call.is_cancelled()
    }

    /// The time that is left for requests.
    pub(crate) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Why a request has no answer.
    pub(crate) fn missed(&self) -> String {
        if self.call.is_cancelled() {
            return self.call.why_cancelled();
        }
        format!("no answer within {:.1} s", self.longest.as_secs_f64())
    }

    /// Runs `work` until `until` or the deadline has passed, or the call is cancelled.
    pub(crate) async fn limit<T>(&self, until: Instant, work: impl Future<Output = T>) -> Option<T> {
        let (until, work) = (until.min(self.at), self.call.run_until_cancelled(work));
        // The end of the call needs no further timer.
        if until >= self.call.deadline() {
            return work.await;
        }
        timeout_at(until.into(), work).await.ok().flatten()
    }
}
