//! What is lost, and what is not, where no event is to be sent twice.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use jackfield::DeliveryMode;
use jackfield_loader::plugin_api::Outcome;
use jackfield_test_support::{LONG, wait_for, wait_until};

use super::{
    PAUSE,
    common::{self, Clocked, Send0, arrived_once, names, scripted, to_file, track},
};

#[test]
fn at_most_once_never_sends_again_what_may_have_arrived() {
    let home = tempfile::tempdir().expect("a folder");
    let clock = Clocked::new();
    let seen = common::Log::at(&home.path().join("seen"));
    let calls = AtomicUsize::new(0);
    // The first batch may have arrived when the backend fails, the second has.
    let fails_first: Send0 = Box::new(move |batch, _| {
        seen.line(&common::ids(batch));
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 => Outcome::retry("the line went dead").into(),
            _ => Outcome::Delivered.into(),
        }
    });
    let telemetry = common::tool(home.path())
        .delivery_mode(DeliveryMode::AtMostOnce)
        .file_system(clock.clone())
        .backend("a", scripted(fails_first))
        .build();
    track(&telemetry, 0..3);
    telemetry.flush(Duration::ZERO);
    telemetry.flush(LONG);
    track(&telemetry, 3..6);
    clock.forward(PAUSE);
    assert!(telemetry.flush(LONG).emptied);
    assert_eq!(arrived_once(&home.path().join("seen")), names(0..6));
    let status = telemetry.status();
    assert_eq!((status.backends[0].lost, status.backends[0].delivered), (3, 3), "{status}");
}

#[test]
fn at_most_once_loses_nothing_to_a_backend_left_alone() {
    let home = tempfile::tempdir().expect("a folder");
    let clock = Clocked::new();
    let seen = common::Log::at(&home.path().join("seen"));
    let calls = AtomicUsize::new(0);
    let hangs_first: Send0 = Box::new(move |batch, _| {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            loop {
                std::thread::park();
            }
        }
        seen.line(&common::ids(batch));
        Outcome::Delivered.into()
    });
    let telemetry = common::tool(home.path())
        .delivery_mode(DeliveryMode::AtMostOnce)
        .file_system(clock.clone())
        .backend("a", scripted(hangs_first))
        .backend("healthy", to_file(&home.path().join("healthy")))
        .build();
    track(&telemetry, 0..3);
    telemetry.flush(Duration::from_millis(300));
    wait_for("they may have arrived", || telemetry.status().backends[0].lost, |&lost| lost == 3);
    // By its clock the circuit lets it be tried, while the guard, by the machine's, lets nothing in.
    track(&telemetry, 3..6);
    wait_until("the second call", || {
        clock.forward(PAUSE * 100);
        telemetry.flush(LONG).emptied
    });
    let status = telemetry.status();
    assert_eq!((status.backends[0].lost, status.backends[0].delivered), (3, 3), "{status}");
    assert_eq!(arrived_once(&home.path().join("seen")), names(3..6));
    assert_eq!(arrived_once(&home.path().join("healthy")), names(0..6));
}
