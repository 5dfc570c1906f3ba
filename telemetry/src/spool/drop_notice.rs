//! The warning about events that the spool has dropped.

use crate::error::drop_reason::DropReason;

/// A warning for the time when no lock is held: a subscriber may record it as an event of this telemetry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notice {
    pub(crate) reason: DropReason,
    pub(crate) number: u64,
}

impl Notice {
    pub(crate) fn warn(self) {
        tracing::warn!(events = self.number, reason = %self.reason, "telemetry spool: events dropped");
    }
}
