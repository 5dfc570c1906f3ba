//! Calls that do not return.

use std::{sync::Arc, time::Instant};

use jackfield_test_support::{wait_for, wait_until};

use super::*;

#[test]
fn a_hang_is_answered_and_its_thread_freed_later() {
    backend!(hangs_once, serial: false, |_batch, call| {
        GATE.wait();
        assert!(call.is_cancelled());
        Outcome::Delivered.into()
    });
    let backend = Backend::open_static::<hangs_once::Test>(&options()).unwrap();
    let started = Instant::now();
    let Failure::TimedOut { after } = failure(&backend, 200 * MS) else { panic!("no timeout") };
    assert!(after >= 200 * MS && started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
    assert_eq!(backend.stats().stuck_calls, 1);

    assert!(matches!(failure(&backend, TIMEOUT), Failure::CircuitOpen { .. }));
    let stats = backend.stats();
    assert_eq!((stats.calls, stats.refused_calls, stats.stuck_calls), (1, 1, 1), "it is not called");

    hangs_once::GATE.open();
    wait_until("the thread and the instance of the call are freed", || {
        backend.stats().stuck_calls == 0 && hangs_once::FREED.load(Ordering::SeqCst) == 1
    });
}

#[test]
fn a_successful_probe_closes_the_circuit() {
    backend!(hangs_first, serial: false, |_batch, _call| {
        if OPENED.load(Ordering::SeqCst) == 1 {
            GATE.wait();
        }
        Outcome::Delivered.into()
    });
    let options = options().circuit_backoff(Backoff { first: 50 * MS, longest: 50 * MS });
    let backend = Backend::open_static::<hangs_first::Test>(&options).unwrap();
    assert!(matches!(failure(&backend, 50 * MS), Failure::TimedOut { .. }));
    wait_until("the probe passes", || {
        let report = backend.send(&batch(1));
        assert!(matches!(report.failure(), None | Some(Failure::CircuitOpen { .. })), "{report:?}");
        report.uniform() == Some(&Outcome::Delivered)
    });
    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered), "and so does the next");
    assert_eq!(hangs_first::OPENED.load(Ordering::SeqCst), 2);
    hangs_first::GATE.open();
}

#[test]
fn a_backend_that_keeps_hanging_holds_at_most_four_threads() {
    backend!(hangs_always, serial: false, |_batch, _call| {
        GATE.wait();
        Outcome::Delivered.into()
    });
    let backoff = Backoff { first: MS, longest: MS };
    let backend = Backend::open_static::<hangs_always::Test>(&options().circuit_backoff(backoff)).unwrap();
    let fail = || failure(&backend, 20 * MS);
    let is_full = |failure: &Failure| matches!(failure, Failure::CircuitOpen { reason, .. } if reason.contains("4 calls"));
    wait_for("no more calls are made", fail, is_full);
    for _ in 0..5 {
        std::thread::sleep(3 * MS);
        assert!(is_full(&fail()));
    }
    assert_eq!(backend.stats().stuck_calls, 4);
    hangs_always::GATE.open();
}

#[test]
fn queued_calls_are_answered_when_a_hang_is_noticed() {
    backend!(blocked, serial: true, |_batch, _call| {
        GATE.wait();
        Outcome::Delivered.into()
    });
    let backend = Arc::new(Backend::open_static::<blocked::Test>(&options()).unwrap());
    let hanging = {
        let backend = Arc::clone(&backend);
        std::thread::Builder::new().spawn(move || failure(&backend, 300 * MS)).unwrap()
    };
    blocked::GATE.wait_for_a_call();
    let started = Instant::now();
    assert!(matches!(failure(&backend, FOREVER), Failure::CircuitOpen { .. }));
    assert!(started.elapsed() < FOREVER / 2, "{:?}", started.elapsed());
    assert!(matches!(hanging.join().unwrap(), Failure::TimedOut { .. }));
    blocked::GATE.open();
}

#[test]
fn a_call_cancelled_during_open_leaves_the_circuit_closed() {
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    static GATE: Gate = Gate::new();
    struct OpensSlowlyAgain;
    impl api::Backend for OpensSlowlyAgain {
        type Config = api::export::NoConfig;
        fn open(_: Self::Config, _: Host, _: &Call<'_>) -> Result<Self, api::Error> {
            if OPENED.fetch_add(1, Ordering::SeqCst) > 0 {
                GATE.wait();
            }
            Ok(Self)
        }
        fn send(&self, _: &api::Batch<'_>, _: &Call<'_>) -> Outcomes {
            assert!(OPENED.load(Ordering::SeqCst) > 1, "the first instance panics");
            Outcome::Delivered.into()
        }
    }
    let backend = Backend::open_static::<OpensSlowlyAgain>(&options()).unwrap();
    assert!(matches!(failure(&backend, TIMEOUT), Failure::Panicked { .. }));
    let report = backend.send_while(&batch(1), FOREVER, &|| !GATE.has_a_call());
    assert!(matches!(report.failure(), Some(Failure::Busy { .. })), "{report:?}");
    assert!(!report.was_handed_over());
    GATE.open();
    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered));
    let stats = backend.stats();
    assert_eq!((stats.timeouts, stats.stuck_calls), (0, 0));
    assert_eq!(OPENED.load(Ordering::SeqCst), 2, "the instance that opened was used");
}

#[test]
fn a_free_that_hangs_after_a_panic_is_a_stuck_call() {
    static GATE: Gate = Gate::new();
    struct HangsInDrop;
    impl Drop for HangsInDrop {
        fn drop(&mut self) {
            GATE.wait();
        }
    }
    impl api::Backend for HangsInDrop {
        type Config = api::export::NoConfig;
        fn open(_: Self::Config, _: Host, _: &Call<'_>) -> Result<Self, api::Error> {
            Ok(Self)
        }
        fn send(&self, _: &api::Batch<'_>, _: &Call<'_>) -> Outcomes {
            panic!("and its instance is discarded")
        }
    }
    let backend = Backend::open_static::<HangsInDrop>(&options()).unwrap();
    assert!(matches!(failure(&backend, TIMEOUT), Failure::Panicked { .. }));
    GATE.wait_for_a_call();
    assert_eq!(backend.stats().stuck_calls, 1);
    GATE.open();
    wait_until("it has returned", || backend.stats().stuck_calls == 0);
}
