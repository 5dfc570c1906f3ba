//! When a backend that failed is tried again.
//!
//! | what happens | the circuit |
//! | --- | --- |
//! | the backend delivers or rejects an event | closes: its platform is there |
//! | an event is to be retried | opens |
//! | opening the backend fails after it has cost time | opens |
//! | the plugin's file is missing or refused, which costs little to find out | stays |
//! | the backend was not asked | stays |
//! | the backend has another configuration | closes |
//! | a reload, the start of `jackfield run`, or `jackfield retry` | closes |

use std::time::Duration;

use jackfield_loader::Backoff;
use serde::{Deserialize, Serialize};

use crate::delivery::open_backend::OpenError;
use crate::delivery::settle::Settlement;

/// The first pause, unless the backend asks for a longer one. Each further pause is twice as long, up to the longest pause
/// of the backend's configuration.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// No wish of a backend is followed further than this: a server's mistake must not end its telemetry.
const LONGEST_WISH: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a backend may be tried. Kept on disk, because a short-lived tool has one pass in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CircuitBreaker {
    /// Failures in a row.
    failures: u32,
    /// Milliseconds since 1970 until which nothing is tried; 0 when it is closed.
    open_until_ms: u64,
    /// When it was opened: the clock may have jumped back since.
    opened_ms: u64,
}

impl CircuitBreaker {
    /// How long nothing is tried yet.
    pub(crate) fn open_for(&self, now_ms: u64) -> Option<Duration> {
        // With a clock that jumped back behind the opening, waiting for the end could take for ever.
        if now_ms < self.opened_ms {
            return None;
        }
        let left = self.open_until_ms.saturating_sub(now_ms);
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// Whether there were failures since the last success.
    pub(crate) fn is_open(&self) -> bool {
        *self != Self::default()
    }

    /// An attempt has come to this.
    pub(crate) fn settled(&mut self, settlement: &Settlement, now_ms: u64, longest: Duration) {
        if settlement.is_progress() {
            self.close();
        }
        if let Some(failure) = &settlement.failure {
            self.open(now_ms, longest, failure.wish);
        }
    }

    /// The backend can't be opened.
    pub(crate) fn not_opened(&mut self, error: &OpenError, now_ms: u64, longest: Duration) {
        if error.costs_time() {
            self.open(now_ms, longest, None);
        }
    }

    /// The backend deserves a try at once: it has another configuration, or somebody has asked for it.
    pub(crate) fn close(&mut self) {
        *self = Self::default();
    }

    fn open(&mut self, now_ms: u64, longest: Duration, wish: Option<Duration>) {
        let backoff = Backoff::new(FIRST_PAUSE.min(longest), longest);
        let jittered = backoff.jittered_pause(self.failures, fastrand::f64());
        let pause = jittered.max(wish.unwrap_or_default().min(LONGEST_WISH));
        self.failures = self.failures.saturating_add(1);
        self.opened_ms = now_ms;
        self.open_until_ms = now_ms.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
    }
}
