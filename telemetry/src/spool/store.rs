//! The folder of a spool, its limits, and the file system that it is on.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::error::Error;
use crate::spool::counters::Pending;
use crate::spool::fs::{Folder, FolderError, Fs};

/// Where a spool is, and what it may hold.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) path: PathBuf,
    pub(super) limits: Limits,
    pub(super) fs: Arc<dyn Fs>,
}

impl Store {
    /// The folder, or `None` when there is none.
    pub(super) fn folder(&self, doing: &'static str) -> Result<Option<Arc<dyn Folder>>, Error> {
        match self.fs.folder(&self.path, false) {
            Ok(folder) => Ok(Some(folder)),
            Err(FolderError::Missing) => Ok(None),
            Err(FolderError::Refused(reason)) => {
                Err(Error::SpoolFolder { folder: self.path.clone(), reason: reason.into() })
            }
            Err(FolderError::Io(source)) => Err(self.error(doing, source)),
        }
    }

    /// Writes losses down that are not in the file yet, where the folder can be had.
    pub(super) fn flush_drops(&self, drops: &Pending) {
        if drops.is_empty() {
            return;
        }
        if let Ok(folder) = self.fs.folder(&self.path, false) {
            drops.flush(&*self.fs, &*folder);
        }
    }

    pub(super) fn error(&self, doing: &'static str, source: std::io::Error) -> Error {
        Error::Spool { doing, folder: self.path.clone(), source }
    }
}

/// How much a spool may hold. Before a new segment is begun, whole segments are dropped, the oldest first, unless the spool
/// [refuses when full](Self::refuse_when_full).
///
/// With one writer, [`max_bytes`](Self::max_bytes) and [`max_events`](Self::max_events) hold exactly. With several writers
/// each may exceed them by one segment, because a segment with a writer is never dropped.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes in all segments. Default: 10 MB.
    pub max_bytes: u64,
    /// Events in all segments. Default: 100,000.
    pub max_events: u64,
    /// The greatest age of an event. Default: 30 days. A segment takes events for a thirtieth of this time, and is dropped
    /// when its first event may be that old: an event leaves after 29 to 30 days.
    pub max_age: Duration,
    /// Bytes after which a segment is closed. Default: 1 MiB; at most a quarter of [`max_bytes`](Self::max_bytes).
    pub segment_bytes: u64,
    /// Bytes of dead letters after which a backend that rejects further events gets no more. `None`, the default: a quarter
    /// of [`max_bytes`](Self::max_bytes). The last batch of dead letters may exceed it.
    pub dead_letter_bytes: Option<u64>,
    /// The greatest age of a dead letter. Default: 30 days.
    pub dead_letter_age: Duration,
    /// Whether a full spool refuses new events and keeps the old ones. Default: no. For a forwarder, which can stop reading
    /// its input.
    pub refuse_when_full: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 10_000_000,
            max_events: 100_000,
            max_age: Duration::from_secs(30 * 24 * 60 * 60),
            segment_bytes: 1 << 20,
            dead_letter_bytes: None,
            dead_letter_age: Duration::from_secs(30 * 24 * 60 * 60),
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

    pub(crate) fn dead_letter_bytes(&self) -> u64 {
        self.dead_letter_bytes.unwrap_or(self.max_bytes / 4).max(1)
    }

    pub(crate) fn dead_letter_age_ms(&self) -> u64 {
        milliseconds(self.dead_letter_age)
    }

    pub(crate) fn max_age_ms(&self) -> u64 {
        milliseconds(self.max_age)
    }

    /// How long a segment takes events.
    pub(crate) fn span_ms(&self) -> u64 {
        self.max_age_ms() / 30
    }
}

fn milliseconds(age: Duration) -> u64 {
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}
