//! The part of a spool that belongs to one process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::spool::counters::Pending;
use crate::spool::cursor::Cursors;
use crate::spool::writer::Writer;

/// The writer, the counters and the unsaved cursors of one process.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    writer: Mutex<Writer>,
    /// Losses that are not in the file of counters yet.
    pub(crate) drops: Pending,
    /// Cursors of a delivery of this process that could not be written.
    unsaved: Mutex<Option<Cursors>>,
}

impl Slot {
    /// The slot of a forked child whose parent has `inherited`.
    pub(crate) fn after(inherited: &Self) -> Self {
        if let Ok(mut writer) = inherited.writer.try_lock() {
            // Closing the copy of the handle leaves the parent's lock in force.
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
