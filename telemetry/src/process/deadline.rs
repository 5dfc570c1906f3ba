//! The time that is left until a deadline.

use std::time::{Duration, Instant};

/// The time until `deadline`.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
