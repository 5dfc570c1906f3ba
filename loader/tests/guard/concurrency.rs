//! Concurrent calls.

use std::{
    cell::UnsafeCell,
    sync::{Arc, Barrier},
};

use jackfield_test_support::wait_until;

use super::*;

static INSIDE: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];
static MOST: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

/// Counts the calls inside, and waits until there are `expected`.
fn visit(which: usize, expected: usize) -> Outcomes {
    let inside = INSIDE[which].fetch_add(1, Ordering::SeqCst) + 1;
    MOST[which].fetch_max(inside, Ordering::SeqCst);
    wait_until("other calls come in", || MOST[which].load(Ordering::SeqCst) >= expected);
    // Time for one call more than are allowed.
    std::thread::sleep(5 * MS);
    INSIDE[which].fetch_sub(1, Ordering::SeqCst);
    Outcome::Delivered.into()
}

#[test]
fn calls_run_up_to_the_limit_at_once_or_serially() {
    backend!(side_by_side, serial: false, |_batch, _call| visit(0, 3));
    backend!(one_by_one, serial: true, |_batch, _call| visit(1, 1));
    let crowd = |backend: Backend| {
        let backend = Arc::new(backend);
        let barrier = Arc::new(Barrier::new(8));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (backend, barrier) = (Arc::clone(&backend), Arc::clone(&barrier));
                std::thread::Builder::new()
                    .spawn(move || {
                        barrier.wait();
                        (0..5).all(|_| backend.send(&batch(1)).uniform() == Some(&Outcome::Delivered))
                    })
                    .unwrap()
            })
            .collect();
        assert!(callers.into_iter().all(|caller| caller.join().unwrap()));
        backend.close(1000 * MS).unwrap();
    };
    crowd(Backend::open_static::<side_by_side::Test>(&options().concurrency(3)).unwrap());
    crowd(Backend::open_static::<one_by_one::Test>(&options().concurrency(3)).unwrap());
    assert_eq!(MOST[0].load(Ordering::SeqCst), 3);
    assert_eq!(MOST[1].load(Ordering::SeqCst), 1);
}

/// A counter without a lock, as a serial backend may have one.
struct Unguarded(UnsafeCell<u64>);

// SAFETY: calls of a serial backend do not overlap, and the test reads it after the last.
unsafe impl Sync for Unguarded {}

static COUNT: Unguarded = Unguarded(UnsafeCell::new(0));

/// The thread sanitizer reports a race here, unless the guard orders the calls.
#[test]
fn what_a_serial_backend_counts_without_a_lock_is_right() {
    backend!(counts, serial: true, |_batch, _call| {
        // SAFETY: no other call is inside the backend.
        unsafe { *COUNT.0.get() += 1 };
        Outcome::Delivered.into()
    });
    let backend = Backend::open_static::<counts::Test>(&options()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered));
                }
            });
        }
    });
    // SAFETY: every call has ended.
    assert_eq!(unsafe { *COUNT.0.get() }, 160);
}

#[test]
fn a_call_without_a_free_worker_is_busy() {
    backend!(busy, serial: true, |_batch, _call| {
        GATE.wait();
        Outcome::Delivered.into()
    });
    let backend = Arc::new(Backend::open_static::<busy::Test>(&options()).unwrap());
    let first = {
        let backend = Arc::clone(&backend);
        std::thread::Builder::new().spawn(move || backend.send(&batch(1))).unwrap()
    };
    busy::GATE.wait_for_a_call();
    assert!(matches!(failure(&backend, 50 * MS), Failure::Busy { .. }));
    busy::GATE.open();
    assert_eq!(first.join().unwrap().uniform(), Some(&Outcome::Delivered));
    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered), "the circuit stays closed");
    assert_eq!(backend.stats().timeouts, 0);
}
