//! One call of a test, and what is said in it.

use std::{
    ffi::c_void,
    ptr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{abi, call::Outcome};

/// What became of the events of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The outcome of each event; `None` for an event of which the backend has said nothing, which a host retries.
    pub outcomes: Vec<Option<Outcome>>,
    /// How long the call took. A host does not wait longer than the timeout.
    pub took: Duration,
}

impl Report {
    /// Whether every event was delivered.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.outcomes.iter().all(|outcome| *outcome == Some(Outcome::Delivered))
    }
}

/// The context of a call.
pub(super) struct Recorder {
    started: Instant,
    cancelled_after: Option<Duration>,
    outcomes: Mutex<Vec<Option<Outcome>>>,
}

impl Recorder {
    pub(super) fn new(events: usize, cancelled_after: Option<Duration>) -> Self {
        Self { started: Instant::now(), cancelled_after, outcomes: Mutex::new(vec![None; events]) }
    }

    /// The call, valid as long as `self`.
    pub(super) fn to_abi(&self, timeout: Duration) -> abi::Call {
        abi::Call {
            size: size_of::<abi::Call>() as u32,
            reserved: 0,
            timeout_ns: u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX),
            context: ptr::from_ref(self).cast(),
            cancelled,
            report,
            explain,
            tables: abi::Tables::EMPTY,
        }
    }

    pub(super) fn report(self) -> Report {
        let outcomes = self.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        Report { outcomes, took: self.started.elapsed() }
    }
}

unsafe extern "C" fn cancelled(context: *const c_void) -> u32 {
    // SAFETY: the context is a recorder that lives as long as its call.
    let recorder = unsafe { &*context.cast::<Recorder>() };
    u32::from(recorder.cancelled_after.is_some_and(|after| recorder.started.elapsed() >= after))
}

unsafe extern "C" fn report(context: *const c_void, first: u64, count: u64, outcome: *const abi::Outcome) {
    // SAFETY: as above; the outcome and its reason live until this function returns.
    let (recorder, outcome) = unsafe { (&*context.cast::<Recorder>(), Outcome::from_abi(&*outcome)) };
    let mut outcomes = recorder.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(outcomes.len());
    let (first, end) = (place(first), place(first.saturating_add(count)));
    outcomes[first..end].fill(Some(outcome));
}

/// Errors come back as values.
unsafe extern "C" fn explain(_: *const c_void, _: abi::Str, _: abi::Str) {}
