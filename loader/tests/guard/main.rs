//! The guard of backends that are compiled in, which is that of plugins.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, which is what it is for")]
#![allow(unsafe_code, reason = "a backend that relies on the guard's order")]

#[path = "../common/mod.rs"]
mod common;

/// Declares a backend whose `send` is the given closure, with counters of its life.
macro_rules! backend {
    ($name:ident, serial: $serial:expr, |$batch:ident, $call:ident| $body:expr) => {
        #[allow(dead_code)]
        mod $name {
            use super::*;
            pub(super) static OPENED: AtomicUsize = AtomicUsize::new(0);
            pub(super) static FREED: AtomicUsize = AtomicUsize::new(0);
            pub(super) static CLOSED: AtomicUsize = AtomicUsize::new(0);
            pub(super) static GATE: Gate = Gate::new();
            pub(super) struct Test;
            impl Drop for Test {
                fn drop(&mut self) {
                    FREED.fetch_add(1, Ordering::SeqCst);
                }
            }
            impl api::Backend for Test {
                type Config = api::export::NoConfig;
                const SERIAL: bool = $serial;
                fn open(_: Self::Config, _: Host, _: &Call<'_>) -> Result<Self, api::Error> {
                    OPENED.fetch_add(1, Ordering::SeqCst);
                    Ok(Self)
                }
                fn send(&self, $batch: &api::Batch<'_>, $call: &Call<'_>) -> Outcomes {
                    $body
                }
                fn close(&self, _: &Call<'_>) -> Result<(), api::Error> {
                    CLOSED.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                }
            }
        }
    };
}

mod concurrency;
mod faults;
mod hangs;
mod lifecycle;
mod subscribers;
#[cfg(feature = "tokio")]
mod tokio_hosts;

use std::{
    sync::{
        Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::batch;
use jackfield_loader::{
    Backend, BackendOptions, Backoff, Failure,
    plugin_api::{self as api, Call, Host, Outcome, Outcomes},
};
use jackfield_test_support::LONG;

const MS: Duration = Duration::from_millis(1);
/// The time limit of a call, unless a test sets another.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any of these tests takes.
const FOREVER: Duration = Duration::from_secs(60);

/// A gate that calls wait at, and tests open.
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

struct GateState {
    open: bool,
    calls: usize,
}

impl Gate {
    const fn new() -> Self {
        Self { state: Mutex::new(GateState { open: false, calls: 0 }), changed: Condvar::new() }
    }

    /// Waits until the test opens the gate.
    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.open).unwrap());
    }

    fn has_a_call(&self) -> bool {
        self.state.lock().unwrap().calls > 0
    }

    fn wait_for_a_call(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| state.calls == 0).unwrap());
    }

    fn open(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }
}

/// The circuit stays open for longer than any test runs.
fn options() -> BackendOptions {
    BackendOptions::new("test").timeout(TIMEOUT).circuit_backoff(Backoff { first: LONG, longest: LONG })
}

fn failure(backend: &Backend, timeout: Duration) -> Failure {
    backend.send_within(&batch(1), timeout).failure().cloned().expect("the call fails")
}
