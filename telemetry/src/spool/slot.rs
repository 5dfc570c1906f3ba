//! What belongs to one process, also after a fork.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::{counters::Pending, writer::Writer};

/// What belongs to one process. A forked child finds its parent's slot, whose mutex a thread may have held that the
/// child has not got; so the child makes the next slot its own and never waits for another.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) process: u32,
    writer: Mutex<Writer>,
    /// Losses that are not in the file yet.
    pub(crate) drops: Pending,
    next: OnceLock<Box<Slot>>,
}

impl Slot {
    pub(crate) fn new(process: u32) -> Self {
        Self { process, writer: Mutex::default(), drops: Pending::default(), next: OnceLock::new() }
    }

    /// This process's own.
    pub(crate) fn of(&self, process: u32) -> &Self {
        let mut slot = self;
        while slot.process != process {
            slot = slot.next.get_or_init(|| {
                if let Ok(mut inherited) = slot.writer.try_lock() {
                    // Closed without a word, the lock stays the parent's.
                    inherited.live = None;
                }
                Box::new(Self::new(process))
            });
        }
        slot
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
