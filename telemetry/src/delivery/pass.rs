//! One pass over all backends.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::consent::consent::Collection;
use crate::delivery::backend_state::States;
use crate::delivery::backends::Backends;
use crate::delivery::in_flight_lock::{InFlightLock, Slot};
use crate::delivery::pass_context::{PassContext, SAVE_INTERVAL};
use crate::delivery::progress::PassResult;
use crate::delivery::settle::DeliveryMode;
use crate::delivery::target::Target;
use crate::delivery::wake_signal::{WakeSignal, Woken};
use crate::event::defaults::EventDefaults;
use crate::process::left;
use crate::spool::handle::Spool;
use crate::spool::reader::Deliverer;

/// Asked before anything leaves: what the user consents to at this moment.
pub(crate) type ConsentCheck = Arc<dyn Fn() -> Collection + Send + Sync>;

/// What a delivery is made of.
pub(crate) struct DeliveryConfig {
    pub(crate) spool: Spool,
    pub(crate) states: Arc<States>,
    pub(crate) in_flight: InFlightLock,
    pub(crate) mode: DeliveryMode,
    pub(crate) fill: EventDefaults,
    /// What the backends were chosen by.
    pub(crate) collection: Collection,
    /// Whether the events are those that stay on this machine.
    pub(crate) local: bool,
    /// Answers `collection` as long as the backends are the right ones.
    pub(crate) may_send: ConsentCheck,
    /// Asked while a call runs.
    pub(crate) consented: ConsentCheck,
}

/// Delivers one spool to the configured backends.
pub(crate) struct SpoolDelivery {
    pub(super) config: DeliveryConfig,
    pub(super) backends: Arc<Backends>,
    process: u32,
}

impl fmt::Debug for SpoolDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolDelivery").field("backends", &self.backends).finish_non_exhaustive()
    }
}

/// What a service's pass listens to.
#[derive(Clone, Copy)]
pub(crate) struct Service<'a> {
    pub(crate) signal: &'a Arc<WakeSignal>,
    /// How long an event waits for others at most.
    pub(crate) interval: Duration,
}

impl SpoolDelivery {
    /// A delivery to these backends, which are those of the table from now on.
    pub(crate) fn new(config: DeliveryConfig, targets: Vec<Target>, backends: &Arc<Backends>) -> Self {
        backends.begin(targets, config.local);
        Self { config, backends: Arc::clone(backends), process: std::process::id() }
    }

    /// Whether it is right for what may be done now.
    pub(crate) fn is_for(&self, collection: Collection) -> bool {
        self.config.collection == collection && !self.backends.is_stale()
    }

    /// Gives each backend what waits for it, until nothing does, `stop` is set or `deadline` comes. That of a `service`
    /// gives them also what comes meanwhile.
    pub(crate) fn pass(
        &mut self,
        deadline: Instant,
        stop: &Arc<AtomicBool>,
        service: Option<Service<'_>>,
    ) -> PassResult {
        let nothing = PassResult::default();
        let DeliveryConfig { spool, states, in_flight, collection, .. } = &self.config;
        let names = self.backends.names();
        if names.is_empty() || *collection == Collection::Off || stop.load(Ordering::Relaxed) {
            return nothing;
        }
        let known = states.load();
        let pauses = self.backends.enter(&known, spool.now_ms());
        // While all are down, a look at their states is all that it costs.
        if pauses.iter().all(Option::is_some) {
            return PassResult { again_in: pauses.into_iter().flatten().min(), ..nothing };
        }
        // Somebody may have deleted the folder since the last event.
        spool.rescue();
        let deliverer = match spool.try_claim(&names) {
            Ok(Some(deliverer)) => deliverer,
            // Another process delivers, or there is nothing yet.
            Ok(None) => {
                let emptied = !spool.folder().exists();
                return PassResult { emptied, busy: !emptied, ..nothing };
            }
            Err(error) => {
                tracing::warn!("telemetry waits: {error}");
                return nothing;
            }
        };
        let slot = match in_flight.slot() {
            Ok(Some(slot)) => slot,
            Ok(None) => return PassResult { busy: true, ..nothing },
            Err(error) => {
                // Who opts out could not be told that a call is under way.
                tracing::warn!("telemetry waits: sending.lock: {error}");
                return nothing;
            }
        };
        // Whoever delivered until a moment ago may have learned that a backend is down.
        let known = match states.load_if_changed() {
            Some(changed) => {
                self.backends.enter(&changed, spool.now_ms());
                changed
            }
            None => known,
        };
        let context = Arc::new(self.context(deliverer, slot, deadline, stop, service));
        let before = self.backends.start_pass(&context, &names);
        match service {
            Some(service) => attend(&self.backends, &context, service),
            None => {
                self.backends.assign(&context, true);
                self.backends.wait_for_rest();
            }
        }
        let result = self.backends.end_pass(before, spool.now_ms());
        let kept = self.backends.states();
        if kept != known {
            states.keep(&kept);
        }
        result
    }

    fn context(
        &self,
        deliverer: Deliverer,
        slot: Arc<Slot>,
        deadline: Instant,
        stop: &Arc<AtomicBool>,
        service: Option<Service<'_>>,
    ) -> PassContext {
        let DeliveryConfig { spool, states, mode, fill, collection, may_send, consented, .. } = &self.config;
        let (stop, collection) = (Arc::clone(stop), *collection);
        let (may_send, consented) = (Arc::clone(may_send), Arc::clone(consented));
        PassContext {
            spool: spool.clone(),
            deliverer: Mutex::new(deliverer),
            slot,
            mode: *mode,
            fill: fill.clone(),
            may_send: Box::new(move || !stop.load(Ordering::Relaxed) && may_send() == collection),
            // The end of a tool lets a call finish; without consent it may not go on.
            consented: Box::new(move || consented() == collection),
            deadline,
            unnoted: AtomicBool::new(false),
            states: Arc::clone(states),
            saved: Mutex::new((Instant::now(), false)),
            signal: service.map(|service| Arc::clone(service.signal)),
        }
    }

    /// Closes every backend. Their workers end.
    pub(crate) fn close(&mut self, limit: Duration) {
        self.backends.end();
        let deadline = Instant::now() + limit;
        for target in self.backends.configured().iter().flatten() {
            target.close(left(deadline));
        }
    }
}

impl Drop for SpoolDelivery {
    fn drop(&mut self) {
        // A forked child has none of the threads, one of which may have held the table's lock.
        if self.process == std::process::id() {
            self.backends.end();
        }
    }
}

/// What the thread of a service's pass does while the workers work: it passes on that there may be more, and which backends
/// are new or may be tried again, until none has anything to do.
fn attend(backends: &Arc<Backends>, context: &Arc<PassContext>, Service { signal, interval }: Service<'_>) {
    let mut woken = Woken::News;
    loop {
        let mut overview = backends.overview();
        if woken != Woken::Stopped && !overview.is_stale {
            backends.assign(context, false);
            overview = backends.overview();
        }
        if !overview.is_busy || woken == Woken::Stopped || overview.is_stale {
            backends.wait_for_rest();
            if woken == Woken::Events {
                // They are for the next pass, which follows at once.
                signal.enough();
            }
            return;
        }
        if woken == Woken::Events {
            signal.looking();
            backends.look_again();
            backends.assign(context, false);
        }
        context.save_states(false, || backends.states());
        let next = Instant::now() + SAVE_INTERVAL;
        woken = signal.wait(interval, Some(overview.next_pause.map_or(next, |pause| pause.min(next))));
    }
}
