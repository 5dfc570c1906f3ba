//! When a backend that failed is tried again.
//!
//! | event | the circuit | asked for by |
//! | --- | --- | --- |
//! | the backend delivers or rejects an event | closes: its platform can be reached | `send.rs`, `resend.rs` |
//! | an event failed, or its rejection can't be stored as a dead letter | opens | `send.rs`, `resend.rs` |
//! | both in one attempt | opens for the first pause | `send.rs`, `resend.rs` |
//! | opening the backend fails after it has cost time | opens | `send.rs`, `resend.rs` |
//! | the plugin's file is missing or refused, which costs little time | stays as it is | |
//! | the backend was not asked | stays as it is | |
//! | the pause is over | the backend may be tried; the next failure makes a longer pause | |
//! | the backend gets another configuration | closes | `backend_state.rs`, `backend_changes.rs` |
//! | a reload, the start of `jackfield run`, or `jackfield retry` | closes | `backends.rs`, `backend_state.rs` |

use std::time::Duration;

use jackfield_loader::Backoff;
use serde::{Deserialize, Serialize};

use crate::delivery::open_backend::OpenError;
use crate::delivery::settle::Settlement;
use crate::process::milliseconds;
use crate::random;

/// The first pause, unless the backend asks for a longer one. Each further pause is twice as long, up to the longest pause
/// of the backend's configuration.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that a backend gets when it asks for it. A server's mistake must not end telemetry.
const LONGEST_REQUESTED: Duration = Duration::from_secs(24 * 60 * 60);

/// The circuit breaker of a backend. It is kept on disk, because a short-lived tool makes one pass in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CircuitBreaker {
    /// The number of failures in a row.
    failures: u32,
    /// The end of the pause, in milliseconds since 1970; 0 after `close`.
    open_until_ms: u64,
    /// The time when the circuit was opened, in milliseconds since 1970.
    opened_ms: u64,
}

impl CircuitBreaker {
    /// The rest of the pause; `None` when the backend may be tried.
    pub(crate) fn open_for(&self, now_ms: u64) -> Option<Duration> {
        // The clock was set back, so the end of the pause may be very far.
        if now_ms < self.opened_ms {
            return None;
        }
        let left = self.open_until_ms.saturating_sub(now_ms);
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// Whether there were failures since the last success.
    pub(crate) fn has_failures(&self) -> bool {
        *self != Self::default()
    }

    /// Applies the result of an attempt. `longest` is the longest pause of the configuration.
    pub(crate) fn settled(&mut self, settlement: &Settlement, now_ms: u64, longest: Duration) {
        if settlement.is_progress() {
            self.close();
        }
        if let Some(failure) = &settlement.failure {
            self.open(now_ms, longest, failure.retry_after);
        }
    }

    /// Applies a failure to open the backend.
    pub(crate) fn not_opened(&mut self, error: &OpenError, now_ms: u64, longest: Duration) {
        if error.costs_time() {
            self.open(now_ms, longest, None);
        }
    }

    /// Closes the circuit, so that the backend is tried at once.
    pub(crate) fn close(&mut self) {
        *self = Self::default();
    }

    fn open(&mut self, now_ms: u64, longest: Duration, requested: Option<Duration>) {
        let backoff = Backoff::new(FIRST_PAUSE.min(longest), longest);
        let jittered = backoff.jittered_pause(self.failures, random::fraction());
        let pause = jittered.max(requested.unwrap_or_default().min(LONGEST_REQUESTED));
        self.failures = self.failures.saturating_add(1);
        self.opened_ms = now_ms;
        self.open_until_ms = now_ms.saturating_add(milliseconds(pause));
    }
}
