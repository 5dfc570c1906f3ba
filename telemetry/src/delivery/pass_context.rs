//! The parts of a delivery, and the context that the workers of one pass share.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::consent::consent::Collection;
use crate::delivery::backend_state::{BackendState, States};
use crate::delivery::in_flight_lock::{InFlightLock, Slot};
use crate::delivery::settle::DeliveryMode;
use crate::delivery::unconfirmed::{UnconfirmedFile, UnconfirmedRecord};
use crate::delivery::wake_signal::WakeSignal;
use crate::event::defaults::EventDefaults;
use crate::process::lock;
use crate::spool::handle::Spool;
use crate::spool::reader::Deliverer;

/// The pause between two writes of the backends' states in a long pass. A process that is killed has then written most of
/// what happened.
pub(super) const SAVE_INTERVAL: Duration = Duration::from_millis(250);

/// Reads what the user consents to now.
pub(crate) type ConsentCheck = Arc<dyn Fn() -> Collection + Send + Sync>;

/// The parts of a delivery.
pub(crate) struct DeliveryConfig {
    pub(crate) spool: Spool,
    pub(crate) states: States,
    pub(crate) in_flight: InFlightLock,
    /// The record of unconfirmed events; `None` when all events stay on this machine.
    pub(crate) unconfirmed: Option<UnconfirmedFile>,
    pub(crate) mode: DeliveryMode,
    pub(crate) fill: EventDefaults,
    /// The consent by which the backends were chosen.
    pub(crate) collection: Collection,
    /// Whether the spool holds the events that stay on this machine.
    pub(crate) local: bool,
    /// Returns `collection` while this delivery may begin a batch.
    pub(crate) may_send: ConsentCheck,
    /// Returns `collection` while a running call may go on.
    pub(crate) consented: ConsentCheck,
}

/// The context of a pass. The claim of the spool lasts as long as this value.
pub(super) struct PassContext {
    pub(super) config: Arc<DeliveryConfig>,
    deliverer: Mutex<Deliverer>,
    /// The slot for the batches of all calls.
    pub(super) slot: Arc<Slot>,
    pub(super) unconfirmed: Option<UnconfirmedRecord>,
    pub(super) deadline: Instant,
    stop: Arc<AtomicBool>,
    /// Whether the log says that a delivery could not be noted.
    pub(super) unnoted: AtomicBool,
    /// The time of the last write of the states, and whether they have changed since.
    saved: Mutex<(Instant, bool)>,
    /// Set when a backend has nothing more to do; `None` when no thread waits for it.
    pub(super) signal: Option<Arc<WakeSignal>>,
}

impl PassContext {
    pub(super) fn new(
        config: &Arc<DeliveryConfig>,
        deliverer: Deliverer,
        slot: Arc<Slot>,
        deadline: Instant,
        stop: &Arc<AtomicBool>,
        signal: Option<Arc<WakeSignal>>,
    ) -> Self {
        Self {
            config: Arc::clone(config),
            deliverer: Mutex::new(deliverer),
            slot,
            unconfirmed: config.unconfirmed.as_ref().map(UnconfirmedRecord::new),
            deadline,
            stop: Arc::clone(stop),
            unnoted: AtomicBool::new(false),
            saved: Mutex::new((Instant::now(), false)),
            signal,
        }
    }

    pub(super) fn deliverer(&self) -> MutexGuard<'_, Deliverer> {
        lock(&self.deliverer)
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.config.spool.now_ms()
    }

    /// Whether another batch may be begun.
    pub(super) fn may_send(&self) -> bool {
        !self.stop.load(Ordering::Relaxed) && (self.config.may_send)() == self.config.collection
    }

    /// Whether a running call may go on. Without consent it is cancelled, and when the end of the tool has no more time for
    /// it: its outcomes so far are then noted.
    pub(super) fn lets_calls_run(&self) -> bool {
        self.signal.as_ref().is_none_or(|signal| signal.lets_calls_run()) && self.consented()
    }

    pub(super) fn consented(&self) -> bool {
        (self.config.consented)() == self.config.collection
    }

    /// Writes the states of the backends, if they have changed and the last write is long ago.
    pub(super) fn save_states(&self, changed: bool, states: impl FnOnce() -> BTreeMap<String, BackendState>) {
        let (at, unsaved) = &mut *lock(&self.saved);
        *unsaved |= changed;
        if *unsaved && at.elapsed() >= SAVE_INTERVAL {
            (*at, *unsaved) = (Instant::now(), false);
            self.config.states.keep(&states());
        }
    }
}
