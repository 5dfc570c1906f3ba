//! The delivery of a process, which one thread at a time has.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::delivery::pass::SpoolDelivery;
use crate::process::deadline::left;

/// Where the delivery is while no thread has it.
#[derive(Debug, Default)]
pub(super) struct Lease {
    place: Mutex<Place>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct Place {
    is_taken: bool,
    /// `None` before there was any.
    delivery: Option<SpoolDelivery>,
}

/// The delivery in the hands of a thread, which gives it back at the end.
pub(super) struct Taken<'a> {
    lease: &'a Lease,
    pub(super) delivery: Option<SpoolDelivery>,
}

impl Lease {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other thread has it; `None` when one still does at `deadline`.
    pub(super) fn take(&self, deadline: Instant) -> Option<Taken<'_>> {
        let mut place = self.place();
        while place.is_taken {
            let left = left(deadline);
            if left.is_zero() {
                return None;
            }
            place = self.returned.wait_timeout(place, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        place.is_taken = true;
        Some(Taken { lease: self, delivery: place.delivery.take() })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut place = self.lease.place();
        (place.is_taken, place.delivery) = (false, self.delivery.take());
        self.lease.returned.notify_one();
    }
}
