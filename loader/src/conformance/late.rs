//! What a plugin does when a call, or its last instance, has ended.

use std::sync::atomic::{AtomicUsize, Ordering};

static USES: AtomicUsize = AtomicUsize::new(0);
static RECORDS: AtomicUsize = AtomicUsize::new(0);

/// The number of instances, and of calls of `open`, that have not ended.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Number of uses of a call by plugins after its end.
#[must_use]
pub fn late_uses() -> usize {
    USES.load(Ordering::Relaxed)
}

/// Number of log records of plugins while they had no instance.
#[must_use]
pub fn late_records() -> usize {
    RECORDS.load(Ordering::Relaxed)
}

/// Takes note of the use of a call that has ended.
pub(super) fn note_use() {
    USES.fetch_add(1, Ordering::Relaxed);
}

/// Takes note of a log record.
pub(super) fn note_record() {
    if LIVE.load(Ordering::Relaxed) == 0 {
        RECORDS.fetch_add(1, Ordering::Relaxed);
    }
}

/// Begins the life of an instance.
pub(super) fn begin_life() {
    LIVE.fetch_add(1, Ordering::Relaxed);
}

/// Ends the life of an instance, or of one that could not be opened.
pub(super) fn end_life() {
    LIVE.fetch_sub(1, Ordering::Relaxed);
}
