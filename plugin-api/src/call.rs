//! One call, as a plugin sees it.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use crate::{abi, outcome::Outcome};

/// One call of the host: how long it may take, whether the host still waits, and the functions that report outcomes.
///
/// Usable from any thread until the called method returns.
pub struct Call<'a> {
    raw: &'a abi::Call,
    started: Instant,
}

// SAFETY: the contract makes a call's functions callable from any thread until the call ends, and 'a ends no later.
unsafe impl Send for Call<'_> {}
// SAFETY: as above.
unsafe impl Sync for Call<'_> {}

impl<'a> Call<'a> {
    /// Views a call that came over the boundary; `None` when it is null or not of this ABI.
    ///
    /// # Safety
    /// `call` is null, or points to a call that is valid for `'a` as [`abi::Call`] says.
    #[must_use]
    pub unsafe fn from_abi(call: *const abi::Call) -> Option<Self> {
        // SAFETY: the caller guarantees a valid call unless it is null.
        let raw = unsafe { call.as_ref() }?;
        (raw.size as usize == size_of::<abi::Call>()).then(|| Self { raw, started: Instant::now() })
    }

    /// How long the call may take in all.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_nanos(self.raw.timeout_ns)
    }

    /// How long the call may still take; zero when its time is up.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.timeout().saturating_sub(self.started.elapsed())
    }

    /// Whether the host has stopped waiting for this call. A long `send` checks it regularly, and returns when it is set.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        // SAFETY: the call is live for 'a, and its context belongs to its functions.
        unsafe { (self.raw.cancelled)(self.raw.context) != 0 }
    }

    /// Reports the outcome of some events before the call returns. The report counts even if the call then exceeds its
    /// deadline, so fewer events are sent again.
    pub fn report(&self, events: Range<usize>, outcome: &Outcome) {
        let count = events.end.saturating_sub(events.start);
        let outcome = outcome.to_abi();
        // SAFETY: the call is live for 'a; the outcome is copied before `report` returns.
        unsafe { (self.raw.report)(self.raw.context, events.start as u64, count as u64, &raw const outcome) };
    }

    /// Says why the call is about to fail.
    pub(crate) fn explain(&self, subject: &str, message: &str) {
        // SAFETY: the call is live for 'a; both strings are copied before `explain` returns.
        unsafe {
            (self.raw.explain)(self.raw.context, abi::Str::new(subject), abi::Str::new(message));
        }
    }
}
