//! Whether events are recorded at this moment, for less than it costs to find out.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::consent::consent::Collection;
use crate::consent::source::ConsentSource;

/// Calls that a shut gate turns away before it looks again.
const TURNED_AWAY: u32 = 1024;

/// Stands before recording. A shut gate costs a tool nothing worth naming, so it does not look each time: whoever opts
/// in while the tool runs is heard after at most [`TURNED_AWAY`] events. An open one follows
/// [`ConsentSource::current`].
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// How many calls are still turned away without a look.
    shut_for: AtomicU32,
}

impl Gate {
    pub(crate) fn is_open(&self, consent: &ConsentSource) -> bool {
        let left = self.shut_for.load(Ordering::Relaxed);
        if left > 0 {
            // A call of another thread that is lost by this makes the next look a little later.
            self.shut_for.store(left - 1, Ordering::Relaxed);
            return false;
        }
        let open = consent.current() != Collection::Off;
        if !open {
            self.shut_for.store(TURNED_AWAY, Ordering::Relaxed);
        }
        open
    }

    /// Looks again at the next call.
    pub(crate) fn look_again(&self) {
        self.shut_for.store(0, Ordering::Relaxed);
    }
}
