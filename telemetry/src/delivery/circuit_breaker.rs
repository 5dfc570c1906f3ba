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

use std::time::Duration;

use jackfield_loader::Backoff;
use serde::{Deserialize, Serialize};

use crate::delivery::open_backend::OpenError;
use crate::delivery::settle::Settlement;

/// The pauses, unless the backend asks for more.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(15 * 60));
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

    /// An attempt has come to this.
    pub(crate) fn settled(&mut self, settlement: &Settlement, now_ms: u64) {
        if settlement.is_progress() {
            self.close();
        }
        if let Some(failure) = &settlement.failure {
            self.open(now_ms, failure.wish);
        }
    }

    /// The backend can't be opened.
    pub(crate) fn not_opened(&mut self, error: &OpenError, now_ms: u64) {
        if error.costs_time() {
            self.open(now_ms, None);
        }
    }

    /// The backend has another configuration, which deserves a try.
    pub(crate) fn reconfigured(&mut self) {
        self.close();
    }

    fn close(&mut self) {
        *self = Self::default();
    }

    fn open(&mut self, now_ms: u64, wish: Option<Duration>) {
        let jittered = BACKOFF.jittered_pause(self.failures, fastrand::f64());
        let pause = jittered.max(wish.unwrap_or_default().min(LONGEST_WISH));
        self.failures = self.failures.saturating_add(1);
        self.opened_ms = now_ms;
        self.open_until_ms = now_ms.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
    }
}
