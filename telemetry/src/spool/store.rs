//! The place of a spool: its folder, its limits, and the file system.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use crate::error::{DropReason, Error};
use crate::files::data_refusal;
use crate::process::milliseconds;
use crate::spool::counters::{Notice, Pending};
use crate::spool::fs::{Folder, FolderError, Fs};

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

    /// The time for which a segment takes events.
    pub(crate) fn span_ms(&self) -> u64 {
        self.max_age_ms() / 30
    }
}

/// The place of a spool.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) path: PathBuf,
    /// The data folder around the spool. While others can write to it, the spool can't be used.
    pub(super) data: Option<PathBuf>,
    pub(super) limits: Limits,
    pub(super) fs: Arc<dyn Fs>,
}

impl Store {
    /// The folder. A missing folder is made when `create` is set.
    pub(super) fn open(&self, create: bool) -> Result<Arc<dyn Folder>, FolderError> {
        match self.data.as_deref().and_then(data_refusal) {
            Some(reason) => Err(FolderError::Refused(reason)),
            None => self.fs.folder(&self.path, create),
        }
    }

    /// The folder, or `None` when it is missing.
    pub(super) fn folder(&self, doing: &'static str) -> Result<Option<Arc<dyn Folder>>, Error> {
        match self.open(false) {
            Ok(folder) => Ok(Some(folder)),
            Err(FolderError::Missing) => Ok(None),
            Err(error) => Err(self.folder_error(doing, error)),
        }
    }

    /// Writes the losses into the file of counters, if the folder can be opened.
    pub(super) fn flush_drops(&self, drops: &Pending) {
        if !drops.is_empty()
            && let Ok(folder) = self.open(false)
        {
            drops.flush(&*self.fs, &*folder);
        }
    }

    pub(super) fn folder_error(&self, doing: &'static str, error: FolderError) -> Error {
        match error {
            FolderError::Missing => self.error(doing, io::ErrorKind::NotFound.into()),
            FolderError::Refused(reason) => {
                Error::SpoolFolder { folder: self.path.clone(), reason: reason.into() }
            }
            FolderError::Io(source) => self.error(doing, source),
        }
    }

    pub(super) fn error(&self, doing: &'static str, error: io::Error) -> Error {
        Error::Spool { doing, folder: self.path.clone(), error }
    }
}

/// The data of one call of a writer.
pub(crate) struct Session<'a> {
    pub(crate) store: &'a Store,
    pub(crate) drops: &'a Pending,
    /// The time of the call.
    pub(crate) now: u64,
    /// Warnings to log once the writer is unlocked. Most calls have none, which allocates nothing.
    pub(crate) notices: Vec<Notice>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(store: &'a Store, drops: &'a Pending) -> Self {
        Self { store, drops, now: store.fs.now_ms(), notices: Vec::new() }
    }

    pub(crate) fn notice(&mut self, reason: DropReason, number: u64) {
        self.notices.push(Notice { reason, number });
    }
}
