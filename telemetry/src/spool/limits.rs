//! How much a spool may hold, and the reasons for which an event is lost to it.

use std::time::Duration;

/// What a spool may hold. Whole segments leave, the oldest first, before a new one is begun, unless it
/// [refuses when full](Self::refuse_when_full).
///
/// One writer keeps to [`max_bytes`](Self::max_bytes) and [`max_events`](Self::max_events) exactly. Of several writers
/// each may hold a segment of its own beyond them, because a segment that is being written to is never dropped.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes in all segments; 10 MB unless said otherwise.
    pub max_bytes: u64,
    /// Events in all segments; 100,000 unless said otherwise.
    pub max_events: u64,
    /// No event is kept longer; 30 days unless said otherwise. A segment takes events for a thirtieth of it and leaves
    /// when its first one may be that old, so that events leave at 29 to 30 days.
    pub max_age: Duration,
    /// Bytes after which a segment is closed; 1 MiB unless said otherwise, and at most a quarter of the bytes in all.
    pub segment_bytes: u64,
    /// Bytes in the quarantine; 1 MB unless said otherwise.
    pub quarantine_bytes: u64,
    /// Events in the quarantine; 1,000 unless said otherwise.
    pub quarantine_events: u64,
    /// Whether what waits stays at [`max_bytes`](Self::max_bytes) and [`max_events`](Self::max_events), and it is the new
    /// events that are refused; not so unless said otherwise. For a forwarder, which can hold back whoever writes to it.
    pub refuse_when_full: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 10_000_000,
            max_events: 100_000,
            max_age: Duration::from_secs(30 * 24 * 60 * 60),
            segment_bytes: 1 << 20,
            quarantine_bytes: 1_000_000,
            quarantine_events: 1_000,
            refuse_when_full: false,
        }
    }
}

impl Limits {
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes.min(self.max_bytes / 4).max(1)
    }

    pub(crate) fn segment_events(&self) -> u64 {
        (self.max_events / 4).max(1)
    }

    pub(crate) fn max_age_ms(&self) -> u64 {
        u64::try_from(self.max_age.as_millis()).unwrap_or(u64::MAX)
    }

    /// How long a segment takes events.
    pub(crate) fn span_ms(&self) -> u64 {
        self.max_age_ms() / 30
    }
}
