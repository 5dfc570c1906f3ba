//! The warning about events that the spool has dropped.

use crate::error::drop_reason::DropReason;

/// What is to be said once no lock is held: a subscriber may turn it into an event of ours.
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
