//! What belongs to one process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::spool::counters::Pending;
use crate::spool::cursor::Cursors;
use crate::spool::writer::Writer;

/// What one process has of a spool.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    writer: Mutex<Writer>,
    /// Losses that are not in the file yet.
    pub(crate) drops: Pending,
    /// What a delivery of this process noted and could not write down.
    unsaved: Mutex<Option<Cursors>>,
}

impl Slot {
    /// That of a forked child, whose parent has `inherited`.
    pub(crate) fn after(inherited: &Self) -> Self {
        if let Ok(mut writer) = inherited.writer.try_lock() {
            // Closed without a word, the lock stays the parent's.
            writer.live = None;
        }
        Self::default()
    }

    pub(crate) fn unsaved(&self) -> MutexGuard<'_, Option<Cursors>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
