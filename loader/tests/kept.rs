//! What a process keeps of closed backends: the handles that their plugins may still use, and stuck calls.
#![allow(clippy::unwrap_used, reason = "a test helper that fails fails the test")]

mod common;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::batch;
use jackfield_loader::plugin_api::{self, Call, Error, Host, NoConfig, Outcome, Outcomes};
use jackfield_loader::{Backend, BackendOptions, host_handles, stuck_calls};
use jackfield_test_support::wait_until;

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(500);

/// Held by a test that opens backends, since the tests of a file share a process.
static COUNTING: Mutex<()> = Mutex::new(());

struct Discards;

impl plugin_api::Backend for Discards {
    type Config = NoConfig;

    fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, Error> {
        Ok(Self)
    }

    fn send(&self, _: &plugin_api::Batch<'_>, _: &Call<'_>) -> Outcomes {
        Outcome::Delivered.into()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_thousand_lives_of_a_backend_leave_a_few_handles_and_those_of_a_value_none() {
    let _lock = lock(&COUNTING);
    let options = BackendOptions::new("main").config("{}");
    let (before, _) = host_handles();
    for _ in 0..20 {
        Backend::open_with(&options, || Discards).unwrap().close(LONG).unwrap();
    }
    assert_eq!(host_handles().0, before, "a value is made without a host");
    for _ in 0..1000 {
        Backend::open_static::<Discards>(&options).unwrap().close(LONG).unwrap();
    }
    // A handle comes back when the thread that has freed the instance ends, a moment after `close` has
    // returned.
    let (handles, bytes) = host_handles();
    assert!((before + 5..before + 20).contains(&handles), "{handles} handles");
    assert!((handles * 200..handles * 400).contains(&bytes), "{bytes} bytes of {handles} handles");
    let open: Vec<_> = (0..30).map(|_| Backend::open_static::<Discards>(&options).unwrap()).collect();
    let (handles, _) = host_handles();
    assert!(handles >= 30, "what is open has a handle of its own");
    drop(open);
    assert_eq!(host_handles().0, handles, "handles stay until the process ends");
}

static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// Hangs in this function until the gate opens.
struct Hangs(&'static str);

impl Hangs {
    fn in_function(&self, name: &str) {
        if self.0 == name {
            let _open = GATE.1.wait_while(lock(&GATE.0), |open| !*open).unwrap();
        }
    }
}

impl plugin_api::Backend for Hangs {
    type Config = NoConfig;

    fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, Error> {
        let hangs = Self("open");
        hangs.in_function("open");
        Ok(hangs)
    }

    fn send(&self, _: &plugin_api::Batch<'_>, _: &Call<'_>) -> Outcomes {
        self.in_function("send");
        Outcome::Delivered.into()
    }

    fn close(&self, _: &Call<'_>) -> Result<(), Error> {
        self.in_function("close");
        Ok(())
    }
}

impl Drop for Hangs {
    fn drop(&mut self) {
        self.in_function("free");
    }
}

#[test]
fn a_stuck_call_of_a_closed_backend_is_counted_until_it_returns() {
    let _lock = lock(&COUNTING);
    let options = BackendOptions::new("hangs").config("{}");
    Backend::open_static::<Hangs>(&options.clone().timeout(SHORT)).expect_err("hangs");
    assert_eq!(stuck_calls(), 1);

    for (function, count) in [("send", 2), ("close", 3), ("free", 4)] {
        let backend = Backend::open_with(&options.clone().timeout(LONG), move || Hangs(function)).unwrap();
        let _ = backend.send_within(&batch(1), SHORT);
        let _ = backend.close(SHORT);
        drop(backend);
        assert_eq!(stuck_calls(), count, "{function}");
    }

    *lock(&GATE.0) = true;
    GATE.1.notify_all();
    wait_until("all are back", || stuck_calls() == 0);
}
