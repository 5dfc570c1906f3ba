//! Calls from a tokio runtime.

use jackfield_test_support::wait_until;

use super::*;

static ENTERED: AtomicUsize = AtomicUsize::new(0);
static CANCELLED: AtomicUsize = AtomicUsize::new(0);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn a_current_thread_runtime_goes_on_while_a_call_runs() {
    backend!(gated, serial: false, |_batch, _call| {
        GATE.wait();
        Outcome::Delivered.into()
    });
    let backend = Backend::open_static::<gated::Test>(&options()).unwrap();
    runtime().block_on(async {
        let batch = batch(2);
        let (report, ()) = tokio::join!(backend.send_async(&batch, TIMEOUT), async {
            while !gated::GATE.has_a_call() {
                tokio::time::sleep(MS).await;
            }
            gated::GATE.open();
        });
        assert_eq!(report.uniform(), Some(&Outcome::Delivered));
    });
}

#[test]
fn a_missed_deadline_opens_the_circuit() {
    backend!(hangs, serial: false, |_batch, _call| {
        GATE.wait();
        Outcome::Delivered.into()
    });
    let backend = Backend::open_static::<hangs::Test>(&options()).unwrap();
    let batch = batch(1);
    runtime().block_on(async {
        let report = backend.send_async(&batch, 50 * MS).await;
        assert!(matches!(report.failure(), Some(Failure::TimedOut { .. })));
        let report = backend.send_async(&batch, 50 * MS).await;
        assert!(matches!(report.failure(), Some(Failure::CircuitOpen { .. })));
    });
    hangs::GATE.open();
}

#[test]
fn a_dropped_future_cancels_its_call_and_blames_nobody() {
    backend!(dropped, serial: false, |_batch, call| {
        ENTERED.fetch_add(1, Ordering::SeqCst);
        while !call.is_cancelled() {
            std::thread::sleep(MS);
        }
        CANCELLED.fetch_add(1, Ordering::SeqCst);
        Outcome::Delivered.into()
    });
    let backend = Backend::open_static::<dropped::Test>(&options()).unwrap();
    let batch = batch(1);
    runtime().block_on(async {
        let entered = async {
            while ENTERED.load(Ordering::SeqCst) == 0 {
                tokio::time::sleep(MS).await;
            }
        };
        tokio::select! {
            report = backend.send_async(&batch, FOREVER) => panic!("{report:?}"),
            () = entered => {}
        }
    });
    wait_until("the plugin sees the cancellation and returns", || {
        backend.stats().stuck_calls == 0 && CANCELLED.load(Ordering::SeqCst) == 1
    });
    assert_eq!(dropped::OPENED.load(Ordering::SeqCst), 1, "the instance stays in use");
}
