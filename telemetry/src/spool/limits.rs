//! How much a spool may hold, and the reasons for which an event is lost to it.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

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

/// Why events were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// The spool had [`Limits::max_bytes`].
    Size,
    /// The spool had [`Limits::max_events`].
    Count,
    /// The event was older than [`Limits::max_age`].
    Age,
    /// No room on the disk, or none left for this user.
    DiskFull,
    /// The disk can't be written to, for another reason than its size.
    Unwritable,
    /// The line is no event: torn by a crash, overwritten, or with a line feed inside.
    Damaged,
    /// The line is longer than a line may be.
    TooLong,
    /// The folder belongs to somebody else, or others can write to it.
    FolderRefused,
    /// Somebody deleted the file that it was in.
    Deleted,
    /// The quarantine had [`Limits::quarantine_bytes`] or [`Limits::quarantine_events`].
    Quarantine,
}

impl DropReason {
    pub(crate) const ALL: [Self; 10] = [
        Self::Size,
        Self::Count,
        Self::Age,
        Self::DiskFull,
        Self::Unwritable,
        Self::Damaged,
        Self::TooLong,
        Self::FolderRefused,
        Self::Deleted,
        Self::Quarantine,
    ];
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "spool full (bytes)",
            Self::Count => "spool full (events)",
            Self::Age => "too old",
            Self::DiskFull => "disk full",
            Self::Unwritable => "disk not writable",
            Self::Damaged => "damaged line",
            Self::TooLong => "line too long",
            Self::FolderRefused => "folder refused",
            Self::Deleted => "file deleted by others",
            Self::Quarantine => "quarantine full",
        })
    }
}
