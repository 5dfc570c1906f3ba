//! What the workers of a pass share.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool},
    time::{Duration, Instant},
};

use crate::delivery::backend_state::{BackendState, States};
use crate::delivery::in_flight_lock::Slot;
use crate::delivery::settle::DeliveryMode;
use crate::delivery::wake_signal::WakeSignal;
use crate::event::defaults::EventDefaults;
use crate::process::lock;
use crate::spool::handle::Spool;
use crate::spool::reader::Deliverer;

/// How often a long pass writes down what it has come to: a process that is killed has then noted most of it.
pub(super) const SAVE_INTERVAL: Duration = Duration::from_millis(250);

/// Whether something may be done at this moment.
pub(super) type Permission = Box<dyn Fn() -> bool + Send + Sync>;

/// What the workers of a pass share. The claim of the spool lasts as long as it does.
pub(super) struct PassContext {
    pub(super) spool: Spool,
    pub(super) deliverer: Mutex<Deliverer>,
    /// For the batches of all calls.
    pub(super) slot: Arc<Slot>,
    pub(super) mode: DeliveryMode,
    pub(super) fill: EventDefaults,
    /// Whether a further batch may be begun.
    pub(super) may_send: Permission,
    /// Whether there is the consent that a running call needs: without it, the call is cancelled.
    pub(super) consented: Permission,
    pub(super) deadline: Instant,
    /// Whether it was said that a delivery could not be noted.
    pub(super) unnoted: AtomicBool,
    pub(super) states: Arc<States>,
    /// When the states were saved last, and whether the disk lacks something since.
    pub(super) saved: Mutex<(Instant, bool)>,
    /// Given when a backend has nothing more to do. `None` where nobody waits by it.
    pub(super) signal: Option<Arc<WakeSignal>>,
}

impl fmt::Debug for PassContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassContext").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl PassContext {
    pub(super) fn deliverer(&self) -> MutexGuard<'_, Deliverer> {
        lock(&self.deliverer)
    }

    /// Writes the states of the backends down when the last time is long ago, if there is anything new.
    pub(super) fn save_states(&self, is_new: bool, states: impl FnOnce() -> BTreeMap<String, BackendState>) {
        let (at, unsaved) = &mut *lock(&self.saved);
        *unsaved |= is_new;
        if *unsaved && at.elapsed() >= SAVE_INTERVAL {
            (*at, *unsaved) = (Instant::now(), false);
            self.states.keep(&states());
        }
    }
}
