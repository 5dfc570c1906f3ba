//! Which instance of a backend calls may enter, and how the end of a call changes that.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jackfield_plugin_api::abi;

use super::call::{Explanation, Origin};
use super::circuit_breaker::{Admission, Backoff, CircuitBreaker};
use super::instance::{GuardedInstance, InstancePhase};
use super::report::Failure;
use super::stats::Counters;
use crate::boundary::process::lock;

/// Limit of the calls that are stuck inside the plugin, each with its thread. Then no further call enters it.
const MOST_STUCK: u64 = 4;

pub(super) struct Health {
    backend: String,
    backoff: Backoff,
    counters: Arc<Counters>,
    pub(super) state: Mutex<HealthState>,
}

pub(super) struct HealthState {
    /// The instance that calls enter; `None` until a call starts the next one.
    pub(super) current: Option<Arc<GuardedInstance>>,
    pub(super) breaker: CircuitBreaker,
}

impl HealthState {
    fn is_current(&self, instance: &Arc<GuardedInstance>) -> bool {
        self.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, instance))
    }

    /// Retires the current instance. The next call starts another one.
    fn discard(&mut self, instance: &Arc<GuardedInstance>) {
        instance.retire();
        self.current = None;
    }

    /// The failure of an instance that did not open. The circuit breaker counts it once.
    pub(super) fn opening_failed(&mut self, instance: &Arc<GuardedInstance>) -> Option<Failure> {
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
        let state = Mutex::new(HealthState { current: None, breaker: CircuitBreaker::new(backoff) });
        Self { backend: backend.to_owned(), backoff, counters, state }
    }

    /// Lets a call enter, or says why it may not. Returns whether the call is the probe.
    pub(super) fn admit(&self, state: &mut HealthState, now: Instant) -> Result<bool, Failure> {
        let stuck = self.counters.stuck();
        if stuck >= MOST_STUCK {
            let reason = format!("{stuck} calls never came back from the plugin");
            return Err(Failure::CircuitOpen { retry_after: self.backoff.longest, reason });
        }
        match state.breaker.admit(now) {
            Admission::Pass => Ok(false),
            Admission::Probe => Ok(true),
            Admission::Refused { retry_after, reason } => Err(Failure::CircuitOpen { retry_after, reason }),
        }
    }

    /// Notes that a call has returned. `gave_up`: the plugin has crashed too often to be tried again.
    pub(super) fn returned(&self, instance: &Arc<GuardedInstance>, failure: Option<&Failure>, gave_up: bool) {
        let mut state = lock(&self.state);
        if !state.is_current(instance) {
            // The instance was discarded meanwhile, and the call says nothing about its successor.
            return;
        }
        let now = Instant::now();
        let (failure, consequence) = match failure {
            Some(failure @ Failure::Crashed { .. }) if gave_up => {
                state.breaker.give_up(now, &failure.to_string());
                (failure, "left alone until its file changes")
            }
            Some(failure @ Failure::Crashed { .. }) => {
                state.breaker.trip(now, &failure.to_string());
                (failure, "circuit opened")
            }
            Some(failure @ Failure::Panicked { .. }) => {
                state.breaker.failed(now, &failure.to_string());
                (failure, "opening a fresh instance")
            }
            // A plugin that answers in time is healthy, also if its platform is not.
            _ => return state.breaker.succeeded(),
        };
        state.discard(instance);
        drop(state);
        self.warn(failure, consequence);
    }

    /// Not under the lock: a subscriber may call the backend.
    fn warn(&self, failure: &Failure, consequence: &str) {
        tracing::warn!(backend = %self.backend, "{failure}; {consequence}");
    }

    /// Notes that a cancelled call did not return in time. That does not open the circuit.
    pub(super) fn cancelled(&self, instance: &Arc<GuardedInstance>) -> Failure {
        self.counters.call_got_stuck();
        instance.executor.kill();
        let mut state = lock(&self.state);
        state.breaker.probe_again(Instant::now());
        if state.is_current(instance) {
            state.discard(instance);
        }
        let message = "the call was cancelled, and the plugin did not return".to_owned();
        Failure::Failed { status: abi::STATUS_UNAVAILABLE, message }
    }

    /// Notes that a call was cancelled, or missed its deadline, in the queue of an instance that is open. A call
    /// that was cancelled while the instance opened says nothing about the plugin either.
    pub(super) fn left_the_queue(&self, after: Duration) -> Failure {
        lock(&self.state).breaker.probe_again(Instant::now());
        Failure::Busy { after }
    }

    /// Notes that a call has missed its deadline, inside the plugin (`running`) or in the queue.
    pub(super) fn expired(&self, instance: &Arc<GuardedInstance>, running: bool, after: Duration) -> Failure {
        // A hanging `open` counts as a stuck call, once for all calls that wait for it.
        let opening = !running && instance.phase() == InstancePhase::Opening;
        if running || (opening && instance.abandon_open()) {
            self.counters.call_got_stuck();
        }
        if !running && !opening {
            return self.left_the_queue(after);
        }
        // This ends a call in a child process. A call in this process continues.
        instance.executor.kill();
        let mut state = lock(&self.state);
        let failure = Failure::TimedOut { after };
        if state.is_current(instance) {
            state.breaker.trip(Instant::now(), &failure.to_string());
            state.discard(instance);
            drop(state);
            self.warn(&failure, "circuit opened");
        }
        failure
    }
}

/// A plugin's message, for the end of a sentence.
pub(super) fn or_no_message(message: String) -> String {
    if message.is_empty() { "(no message)".to_owned() } else { message }
}

pub(super) fn failure_of(status: abi::Status, explanation: Explanation) -> Option<Failure> {
    let Explanation { subject, message, origin } = explanation;
    match status {
        abi::STATUS_OK => None,
        _ if origin == Origin::Crash => Some(Failure::Crashed { how: message }),
        abi::STATUS_PANIC => Some(Failure::Panicked { message: or_no_message(message), position: subject }),
        _ => Some(Failure::Failed { status, message }),
    }
}
