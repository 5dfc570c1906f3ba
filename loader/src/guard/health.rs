//! Which instance of a backend calls enter, and what the end of a call says about the next ones.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use jackfield_plugin_api::abi;

use super::{
    call::{Explanation, Origin},
    circuit_breaker::{Admission, CircuitBreaker},
    instance::{Instance, InstancePhase},
    report::Failure,
    stats::Counters,
};
use crate::boundary::{backoff::Backoff, process::lock};

/// How many calls of one backend may be stuck inside the plugin before it is not tried again. Each holds a thread.
const MOST_STUCK: u64 = 4;

pub(super) struct Health {
    backend: String,
    backoff: Backoff,
    counters: Arc<Counters>,
    state: Mutex<State>,
}

pub(super) struct State {
    /// The instance that calls enter; `None` until a call opens the next one.
    pub(super) current: Option<Arc<Instance>>,
    pub(super) breaker: CircuitBreaker,
}

impl State {
    fn is_current(&self, instance: &Arc<Instance>) -> bool {
        self.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, instance))
    }

    /// Lets no further call enter the current instance. The next call opens another.
    fn discard(&mut self, instance: &Arc<Instance>) {
        instance.retire();
        self.current = None;
    }

    /// The failure of an instance that did not open. The first call that notices it counts it.
    pub(super) fn opening_failed(&mut self, instance: &Arc<Instance>) -> Option<Failure> {
        let (status, explanation) = instance.open_failure()?;
        let mut failure = failure_of(status, explanation)?;
        let text = failure.to_string();
        if let Failure::Failed { message, .. } = &mut failure {
            *message = format!("a fresh instance could not be opened: {text}");
        } else if let Failure::Panicked { message, .. } = &mut failure {
            message.insert_str(0, "a fresh instance could not be opened: ");
        }
        if self.is_current(instance) {
            self.breaker.failed(Instant::now(), &failure.to_string());
            self.discard(instance);
        }
        Some(failure)
    }
}

impl Health {
    pub(super) fn new(backend: &str, backoff: Backoff, counters: Arc<Counters>) -> Self {
        let state = Mutex::new(State { current: None, breaker: CircuitBreaker::new(backoff) });
        Self { backend: backend.to_owned(), backoff, counters, state }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Why a call may not enter now.
    pub(super) fn barred(&self, state: &mut State, now: Instant) -> Option<Failure> {
        let stuck = self.counters.stuck();
        if stuck >= MOST_STUCK {
            let reason = format!("{stuck} calls never came back from the plugin");
            return Some(Failure::CircuitOpen { retry_after: self.backoff.longest, reason });
        }
        match state.breaker.admit(now) {
            Admission::Pass => None,
            Admission::Probe => {
                tracing::debug!(backend = %self.backend, "circuit half-open: this call is the probe");
                None
            }
            Admission::Refused { retry_after, reason } => Some(Failure::CircuitOpen { retry_after, reason }),
        }
    }

    /// A call has returned. `gave_up`: the plugin has crashed too often to be tried again.
    pub(super) fn returned(&self, instance: &Arc<Instance>, failure: Option<&Failure>, gave_up: bool) {
        let mut state = self.lock();
        if !state.is_current(instance) {
            // Discarded while this call was inside: it says nothing about the instance that took its place.
            return;
        }
        if let Some(failure @ Failure::Crashed { .. }) = failure {
            let now = Instant::now();
            if gave_up {
                tracing::warn!(backend = %self.backend, "{failure}; left alone until its file changes");
                state.breaker.give_up(now, &failure.to_string());
            } else {
                tracing::warn!(backend = %self.backend, "{failure}; circuit opened");
                state.breaker.trip(now, &failure.to_string());
            }
            state.discard(instance);
        } else if let Some(failure @ Failure::Panicked { .. }) = failure {
            tracing::warn!(backend = %self.backend, "{failure}; opening a fresh instance");
            state.breaker.failed(Instant::now(), &failure.to_string());
            state.discard(instance);
        } else {
            // The plugin answered in time: it is well, whatever it says of its platform.
            state.breaker.succeeded();
        }
    }

    /// A call that was no longer wanted did not return when it was told so. That does not open the circuit.
    pub(super) fn cancelled(&self, instance: &Arc<Instance>) -> Failure {
        self.counters.call_got_stuck();
        instance.executor().kill();
        let mut state = self.lock();
        state.breaker.probe_again(Instant::now());
        if state.is_current(instance) {
            state.discard(instance);
        }
        let message = "the call was cancelled, and the plugin did not return".to_owned();
        Failure::Failed { status: abi::STATUS_UNAVAILABLE, message }
    }

    /// The deadline of a call has passed, with the call inside the plugin (`running`) or still in the queue.
    pub(super) fn expired(&self, instance: &Arc<Instance>, running: bool, after: Duration) -> Failure {
        // A call that still waits for `open` hangs as one inside `send` does; the first call that notices counts the thread.
        let opening = !running && instance.phase() == InstancePhase::Opening;
        if running || (opening && instance.abandon_open()) {
            self.counters.call_got_stuck();
        }
        if running || opening {
            // In a process of its own a call can be ended; in this one it goes on.
            instance.executor().kill();
        }
        let mut state = self.lock();
        if !running && !opening {
            state.breaker.probe_again(Instant::now());
            return Failure::Busy { after };
        }
        let failure = Failure::TimedOut { after };
        if state.is_current(instance) {
            tracing::warn!(backend = %self.backend, "{failure}; circuit opened");
            state.breaker.trip(Instant::now(), &failure.to_string());
            state.discard(instance);
        }
        failure
    }
}

/// What a plugin said, for a sentence that ends with it.
pub(super) fn or_no_message(message: String) -> String {
    if message.is_empty() { "(no message)".to_owned() } else { message }
}

/// The failure that a status and its explanation stand for.
pub(super) fn failure_of(status: abi::Status, explanation: Explanation) -> Option<Failure> {
    let Explanation { subject, message, origin } = explanation;
    match status {
        abi::STATUS_OK => None,
        _ if origin == Origin::Crash => Some(Failure::Crashed { how: message }),
        abi::STATUS_PANIC => Some(Failure::Panicked { message: or_no_message(message), position: subject }),
        _ => Some(Failure::Failed { status, message }),
    }
}
