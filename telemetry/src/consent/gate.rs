//! A fast check before recording: whether events are recorded now.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::consent::consent::Collection;
use crate::consent::source::ConsentSource;

/// The number of calls that a closed gate refuses before it reads consent again.
const TURNED_AWAY: u32 = 1024;

/// Decides whether a call records. A closed gate costs a few nanoseconds, because it does not read consent each time: after
/// an opt-in it opens within [`TURNED_AWAY`] events. An open gate follows [`ConsentSource::current`].
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The number of calls that are still refused without reading consent.
    shut_for: AtomicU32,
}

impl Gate {
    pub(crate) fn is_open(&self, consent: &ConsentSource) -> bool {
        let left = self.shut_for.load(Ordering::Relaxed);
        if left > 0 {
            // Another thread's decrement may be lost, which only delays the next read.
            self.shut_for.store(left - 1, Ordering::Relaxed);
            return false;
        }
        let open = consent.current() != Collection::Off;
        if !open {
            self.shut_for.store(TURNED_AWAY, Ordering::Relaxed);
        }
        open
    }

    /// Makes the next call read consent.
    pub(crate) fn look_again(&self) {
        self.shut_for.store(0, Ordering::Relaxed);
    }
}
