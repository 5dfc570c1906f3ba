//! Flush and close in an async host: its only thread goes on, and a future may be dropped.

mod common;

use std::{
    future::poll_fn,
    path::Path,
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    task::Poll,
    thread,
    time::Duration,
};

use common::{Send0, arrived_once, names, scripted, track};
use jackfield::{Deliver, Telemetry};
use jackfield_loader::plugin_api::Outcome;
use jackfield_test_support::{LONG, wait_until};

/// A tool whose backend waits in each call until it is told to go on.
fn gated(home: &Path, deliver: Deliver) -> (Telemetry, Sender<()>) {
    let (go, gate) = mpsc::channel();
    let (gate, log) = (Mutex::new(gate), common::Log::at(&home.join("arrived")));
    let send: Send0 = Box::new(move |batch, _| {
        gate.lock().expect("no panic").recv().expect("told to");
        log.line(&common::ids(batch));
        Outcome::Delivered.into()
    });
    (common::tool(home).deliver(deliver).backend("gated", scripted(send)).build(), go)
}

fn on_a_current_thread_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// Whether the future is ready at its first poll.
async fn poll_once(future: &mut (impl Future + Unpin)) -> bool {
    poll_fn(|task| Poll::Ready(Pin::new(&mut *future).poll(task).is_ready())).await
}

const SERVICE: Deliver =
    Deliver::InBackground { interval: Duration::from_millis(5), events: 10, within: Duration::from_secs(20) };

#[test]
fn another_task_makes_progress_during_a_flush_and_a_close() {
    for deliver in [SERVICE, Deliver::ByHand, Deliver::AtExit { within: LONG }] {
        let home = tempfile::tempdir().expect("a folder");
        let (telemetry, go) = gated(home.path(), deliver);
        on_a_current_thread_runtime(async {
            track(&telemetry, 0..3);
            // The backend answers when this task has run: not at all while the thread of the runtime waits for it.
            let of_task = go.clone();
            let task =
                tokio::spawn(async move { (0..3).for_each(|_| of_task.send(()).expect("waited for")) });
            let flushed = telemetry.flush_async(LONG).await;
            task.await.expect("no panic");
            assert!(flushed.emptied, "{deliver:?}: {flushed:?}");
            assert_eq!(arrived_once(&home.path().join("arrived")), names(0..3));

            track(&telemetry, 3..6);
            let task = tokio::spawn(async move { (0..3).for_each(|_| go.send(()).expect("waited for")) });
            telemetry.close_async().await;
            task.await.expect("no panic");
            let expected = if deliver == Deliver::ByHand { names(0..3) } else { names(0..6) };
            assert_eq!(arrived_once(&home.path().join("arrived")), expected, "{deliver:?}");
        });
    }
}

#[test]
fn a_dropped_flush_loses_nothing_and_sends_nothing_twice() {
    let home = tempfile::tempdir().expect("a folder");
    let (telemetry, go) = gated(home.path(), Deliver::ByHand);
    on_a_current_thread_runtime(async {
        track(&telemetry, 0..3);
        let mut unpolled = telemetry.flush_async(LONG);
        let mut flush = telemetry.flush_async(LONG);
        assert!(!poll_once(&mut flush).await);
        drop(flush);
        (0..4).for_each(|_| go.send(()).expect("waited for"));
        assert!(telemetry.flush_async(LONG).await.emptied);
        assert_eq!(arrived_once(&home.path().join("arrived")), names(0..3));
        // One that nobody polled does nothing before.
        track(&telemetry, [3]);
        assert!(!poll_once(&mut unpolled).await);
        assert!(unpolled.await.emptied);
        assert_eq!(arrived_once(&home.path().join("arrived")), names(0..4));
    });
}

#[test]
fn a_telemetry_waits_at_its_drop_for_a_close_that_goes_on() {
    let home = tempfile::tempdir().expect("a folder");
    let (telemetry, go) = gated(home.path(), Deliver::AtExit { within: LONG });
    let drops = AtomicBool::new(false);
    on_a_current_thread_runtime(async {
        track(&telemetry, 0..3);
        let mut close = telemetry.close_async();
        assert!(!poll_once(&mut close).await);
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("the drop begins", || drops.load(Ordering::Relaxed));
            thread::sleep(Duration::from_millis(50));
            (0..3).for_each(|_| go.send(()).unwrap_or_default());
        });
        drops.store(true, Ordering::Relaxed);
        drop(telemetry);
        assert_eq!(arrived_once(&home.path().join("arrived")), names(0..3));
    });
}

#[test]
fn a_flush_without_consent_is_ready_and_reports_nothing_that_waits() {
    let home = tempfile::tempdir().expect("a folder");
    let telemetry = common::builder(home.path()).build();
    let flushed = on_a_current_thread_runtime(telemetry.flush_async(LONG));
    assert!(flushed.emptied && flushed.waiting.is_empty());
}
