//! One pass over all backends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::consent::consent::Collection;
use crate::delivery::backends::Backends;
use crate::delivery::configured_backend::ConfiguredBackend;
use crate::delivery::pass_context::{DeliveryConfig, PassContext, SAVE_INTERVAL};
use crate::delivery::progress::PassResult;
use crate::delivery::wake_signal::{WakeSignal, Woken};
use crate::process::left;

/// Delivers one spool to the configured backends.
pub(crate) struct SpoolDelivery {
    pub(crate) config: Arc<DeliveryConfig>,
    pub(super) backends: Arc<Backends>,
    process: u32,
}

/// The signal of a service, whose pass goes on while events come.
#[derive(Clone, Copy)]
pub(crate) struct Service<'a> {
    pub(crate) signal: &'a Arc<WakeSignal>,
    /// The longest time that an event waits for others.
    pub(crate) interval: Duration,
}

impl SpoolDelivery {
    /// A delivery to `targets`, which replace the backends of the table.
    pub(crate) fn new(
        config: DeliveryConfig,
        targets: Vec<ConfiguredBackend>,
        backends: &Arc<Backends>,
    ) -> Self {
        backends.begin(targets, config.local);
        let process = std::process::id();
        Self { config: Arc::new(config), backends: Arc::clone(backends), process }
    }

    /// Whether the delivery has the right backends for this consent.
    pub(crate) fn is_for(&self, collection: Collection) -> bool {
        self.config.collection == collection && !self.backends.is_stale()
    }

    /// Delivers to each backend what waits for it, until nothing waits, `stop` is set or `deadline` comes. A pass of a
    /// `service` also delivers the events that come meanwhile.
    pub(crate) fn pass(
        &mut self,
        deadline: Instant,
        stop: &Arc<AtomicBool>,
        service: Option<Service<'_>>,
    ) -> PassResult {
        let nothing = PassResult::default();
        let DeliveryConfig { spool, states, in_flight, collection, .. } = &*self.config;
        let names = self.backends.names();
        if names.is_empty() || *collection == Collection::Off || stop.load(Ordering::Relaxed) {
            return nothing;
        }
        let known = states.load();
        let pauses = self.backends.enter(&known, spool.now_ms());
        // While all circuits are open, the pass costs no more than a look at the states.
        if pauses.iter().all(Option::is_some) {
            return PassResult { again_in: pauses.into_iter().flatten().min(), ..nothing };
        }
        // Somebody may have deleted the folder since the last event.
        spool.rescue();
        let deliverer = match spool.try_claim(&names) {
            Ok(Some(deliverer)) => deliverer,
            // Another process delivers, or there is no spool yet.
            Ok(None) => {
                let emptied = !spool.folder().exists();
                return PassResult { emptied, busy: !emptied, ..nothing };
            }
            Err(error) => {
                self.backends.warnings.telemetry_waits(&error.to_string());
                return nothing;
            }
        };
        let slot = match in_flight.slot_until(Instant::now()) {
            Ok(Some(slot)) => slot,
            Ok(None) => return PassResult { busy: true, ..nothing },
            Err(error) => {
                // Without the slot, an opt-out would not wait for the calls.
                self.backends.warnings.telemetry_waits(&format!("sending.lock: {error}"));
                return nothing;
            }
        };
        // The process that delivered before may have opened a circuit.
        let known = match states.load_if_changed() {
            Some(changed) => {
                self.backends.enter(&changed, spool.now_ms());
                changed
            }
            None => known,
        };
        let signal = service.map(|service| Arc::clone(service.signal));
        let context = Arc::new(PassContext::new(&self.config, deliverer, slot, deadline, stop, signal));
        let before = self.backends.start_pass(&context, &names);
        match service {
            Some(service) => attend(&self.backends, &context, service),
            None => {
                self.backends.assign(&context, true);
                self.backends.wait_for_rest();
            }
        }
        let result = self.backends.end_pass(before, spool.now_ms());
        states.keep_changes(&self.backends.states(), &known);
        result
    }

    /// Closes every backend, and ends the workers.
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
        // In a forked child, a thread of the parent may have held the table's lock.
        if self.process == std::process::id() {
            self.backends.end();
        }
    }
}

/// Runs the pass of a service: assigns work to the backends whenever there are new events, new backends or ended pauses,
/// until no backend has anything to do.
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
                // The next pass, which follows at once, delivers them.
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
