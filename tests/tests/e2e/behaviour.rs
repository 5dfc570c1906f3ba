//! Plugins that load and then misbehave: each call is answered, in time, and the host goes on.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{Backend, CloseFailure, Error, Failure, OpenFailure, plugin_api::Outcome};
use jackfield_test_support::wait_for;
use jackfield_tests::{c_fixture, fixture};
use serde_json::json;

use crate::common::{MS, batch, lines, load, one_line, open, options, scratch};

fn open_failure(config: &serde_json::Value) -> OpenFailure {
    let path = fixture("hostile");
    match Backend::open(&load(&path), &options(config).timeout(300 * MS)) {
        Err(error @ Error::Open(_)) => {
            one_line(&error, &path);
            let Error::Open(error) = error else { unreachable!("matched above") };
            error.failure
        }
        other => panic!("{other:?}"),
    }
}

fn close_failure(config: &serde_json::Value) -> CloseFailure {
    let backend = open(&fixture("hostile"), config);
    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered));
    let started = Instant::now();
    let closed = backend.close(300 * MS);
    assert!(started.elapsed() < 2000 * MS, "{:?}", started.elapsed());
    match closed {
        Err(Error::Close(error)) => error.failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_panic_in_open_is_an_error_that_says_where() {
    let OpenFailure::Call(Failure::Panicked { message, position }) = open_failure(&json!({"panic": "open"}))
    else {
        panic!("no panic")
    };
    assert_eq!(message, "hostile by configuration");
    assert!(position.contains("lib.rs:"), "{position}");
}

#[test]
fn a_hang_in_open_is_an_error_in_time() {
    // What has to be built is built before the clock starts.
    drop(fixture("hostile"));
    let started = Instant::now();
    let failure = open_failure(&json!({"hang": "open"}));
    assert!(matches!(failure, OpenFailure::Call(Failure::TimedOut { .. })), "{failure:?}");
    assert!(started.elapsed() < 2000 * MS);
}

#[test]
fn a_panic_is_an_outcome_and_a_fresh_instance_follows() {
    let (_folder, trace) = scratch("trace");
    for payload in ["text", "number", "bomb"] {
        let until = trace.with_extension(payload);
        let backend = open(
            &fixture("hostile"),
            &json!({"panic": "send", "payload": payload, "until": until, "trace": trace}),
        );
        let report = backend.send(&batch(2));
        assert!(matches!(report.failure(), Some(Failure::Panicked { .. })), "{payload}: {report:?}");
        assert!(matches!(report.uniform(), Some(Outcome::Retry { .. })));
        std::fs::write(&until, "").expect("writable");
        assert_eq!(backend.send(&batch(2)).uniform(), Some(&Outcome::Delivered), "{payload}");
        backend.close(1000 * MS).expect("closes");
        assert_eq!(backend.stats().panics, 1);
    }
    let count = |what: &str| lines(&trace).iter().filter(|line| *line == what).count();
    assert_eq!(count("open"), 6, "each payload: the first instance and the fresh one");
    // The instance that panicked is freed by its own worker, whenever that gets to it.
    wait_for("all instances are freed", || count("drop"), |&freed| freed == 6);
}

#[test]
fn a_hang_in_send_opens_the_circuit_and_is_probed() {
    let (_folder, until) = scratch("until");
    let backend = open(&fixture("hostile"), &json!({"hang": "send", "until": until}));
    let started = Instant::now();
    let report = backend.send_within(&batch(1), 200 * MS);
    assert!(matches!(report.failure(), Some(Failure::TimedOut { .. })), "{report:?}");
    assert!(started.elapsed() < 1500 * MS, "{:?}", started.elapsed());
    let report = backend.send(&batch(1));
    assert!(matches!(report.failure(), Some(Failure::CircuitOpen { .. })), "{report:?}");

    // While the plugin still hangs, the probe fails and the circuit stays open for longer.
    thread::sleep(120 * MS);
    let report = backend.send_within(&batch(1), 100 * MS);
    assert!(matches!(report.failure(), Some(Failure::TimedOut { .. })), "{report:?}");
    let Some(Failure::CircuitOpen { retry_after, .. }) = backend.send(&batch(1)).failure().cloned() else {
        panic!("the circuit is closed")
    };
    assert!(retry_after > 100 * MS, "{retry_after:?}");

    std::fs::write(&until, "").expect("writable");
    thread::sleep(retry_after + 20 * MS);
    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered));
    let stats = backend.stats();
    assert_eq!((stats.timeouts, stats.delivered), (2, 1));
    assert!(stats.refused_calls >= 2 && stats.latency.max >= 200 * MS, "{stats:?}");
}

#[test]
fn panics_and_hangs_in_close_are_answers_in_time() {
    let failure = close_failure(&json!({"panic": "close"}));
    assert!(matches!(failure, CloseFailure::Close(Failure::Panicked { .. })), "{failure:?}");
    let failure = close_failure(&json!({"hang": "close"}));
    assert!(matches!(failure, CloseFailure::Close(Failure::TimedOut { .. })), "{failure:?}");
    assert_eq!(close_failure(&json!({"panic": "drop"})), CloseFailure::FreePanicked);
    assert_eq!(close_failure(&json!({"hang": "drop"})), CloseFailure::FreeTimedOut);
}

#[test]
fn a_refused_configuration_names_the_key() {
    let OpenFailure::Config { key, message } = open_failure(&json!({"sleep_mss": 1})) else {
        panic!("opened")
    };
    assert_eq!((key.as_str(), message.as_str()), ("sleep_mss", "unknown key"));
    let OpenFailure::Config { key, message } = open_failure(&json!({"sleep_ms": "1"})) else {
        panic!("opened")
    };
    assert_eq!(key, "sleep_ms");
    assert!(message.contains("expected u64"), "{message}");
}

#[test]
fn an_outcome_an_event_comes_back_an_event() {
    let backend = open(&fixture("hostile"), &json!({"outcome": "each", "retry_after_ms": 1500}));
    let report = backend.send(&batch(3));
    let outcomes: Vec<_> = report.outcomes().cloned().collect();
    let reason = "hostile by configuration";
    let retry = Outcome::Retry { after: Some(Duration::from_millis(1500)), reason: reason.into() };
    assert_eq!(outcomes, [Outcome::Delivered, retry, Outcome::rejected(reason)]);
    let stats = backend.stats();
    assert_eq!((stats.delivered, stats.retried, stats.rejected), (1, 1, 1));
}

#[test]
fn events_without_an_outcome_are_to_be_retried() {
    for (outcome, delivered) in [("half", 2), ("silent", 0)] {
        let report = open(&fixture("hostile"), &json!({"outcome": outcome})).send(&batch(4));
        let count = report.outcomes().filter(|outcome| **outcome == Outcome::Delivered).count();
        assert_eq!(count, delivered);
        assert!(matches!(report.outcome(3), Outcome::Retry { .. }));
        assert_eq!(report.failure(), None);
    }
}

#[test]
fn what_was_reported_before_the_deadline_stands() {
    let (_folder, until) = scratch("until");
    let backend = open(&fixture("hostile"), &json!({"hang": "send", "report_first": 3, "until": until}));
    let report = backend.send_within(&batch(5), 200 * MS);
    assert!(matches!(report.failure(), Some(Failure::TimedOut { .. })));
    let delivered = report.outcomes().filter(|outcome| **outcome == Outcome::Delivered).count();
    assert_eq!(delivered, 3);
    std::fs::write(until, "").expect("writable");
}

#[test]
fn numbers_from_c_that_no_host_knows_lose_nothing() {
    let report = open(&c_fixture("UNKNOWN_OUTCOME"), &json!({})).send(&batch(2));
    assert!(matches!(report.uniform(), Some(Outcome::Retry { .. })), "{report:?}");
    let report = open(&c_fixture("UNKNOWN_STATUS"), &json!({})).send(&batch(2));
    assert!(matches!(report.failure(), Some(Failure::Failed { .. })), "{report:?}");
}

#[test]
fn a_plugin_in_c_delivers_and_closes() {
    let plugin = load(&c_fixture("GOOD"));
    assert_eq!(plugin.metadata().language, "c");
    let backend = Backend::open(&plugin, &options(&json!({}))).expect("opens");
    assert_eq!(backend.send(&batch(3)).uniform(), Some(&Outcome::Delivered));
    backend.close(1000 * MS).expect("closes");
    backend.close(1000 * MS).expect("closes again");
}

#[test]
fn two_plugins_bring_their_own_tokio() {
    let backends = ["tokio-a", "tokio-b"].map(|name| Arc::new(open(&fixture(name), &json!({}))));
    let senders: Vec<_> = backends
        .iter()
        .flat_map(|backend| [backend; 4])
        .map(|backend| {
            let backend = Arc::clone(backend);
            thread::Builder::new()
                .spawn(move || {
                    (0..20).all(|_| backend.send(&batch(10)).uniform() == Some(&Outcome::Delivered))
                })
                .expect("a thread")
        })
        .collect();
    assert!(senders.into_iter().all(|sender| sender.join().expect("no panic")));
    for backend in &backends {
        backend.close(2000 * MS).expect("closes");
        assert_eq!(backend.stats().delivered, 800);
    }
}

#[test]
fn a_serial_plugin_gets_one_call_at_once() {
    let backend = Arc::new(open(&fixture("serial"), &json!({})));
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let backend = Arc::clone(&backend);
            thread::Builder::new()
                .spawn(move || {
                    (0..10).all(|_| backend.send(&batch(1)).uniform() == Some(&Outcome::Delivered))
                })
                .expect("a thread")
        })
        .collect();
    assert!(senders.into_iter().all(|sender| sender.join().expect("no panic")));
}

#[test]
fn other_plugins_are_entered_by_several_calls_at_once() {
    let backend = Arc::new(open(&fixture("hostile"), &json!({"outcome": "concurrency", "sleep_ms": 50})));
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let backend = Arc::clone(&backend);
            thread::Builder::new()
                .spawn(move || backend.send(&batch(1)).outcome(0).clone())
                .expect("a thread")
        })
        .collect();
    let most = senders.into_iter().map(|sender| match sender.join().expect("no panic") {
        Outcome::Rejected { reason } => reason.parse::<usize>().expect("a number"),
        other => panic!("{other:?}"),
    });
    assert_eq!(most.max(), Some(4));
}

#[test]
fn the_same_bytes_are_loaded_once() {
    let (folder, copy) = scratch("libcopy.so");
    std::fs::copy(fixture("hostile"), &copy).expect("copies");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("chmod");
    let first = open(&fixture("hostile"), &json!({"outcome": "rejected"}));
    let before = jackfield_loader::loaded_images();
    let second = open(&copy, &json!({}));
    assert_eq!(jackfield_loader::loaded_images(), before);
    assert_eq!(first.send(&batch(1)).uniform(), Some(&Outcome::rejected("hostile by configuration")));
    assert_eq!(second.send(&batch(1)).uniform(), Some(&Outcome::Delivered));
}

#[test]
fn a_tool_without_its_backend_uses_noop() {
    crate::logs::collect();
    let missing = jackfield_loader::Plugin::load(
        std::path::Path::new("/nonexistent/libx.so"),
        jackfield_loader::Trust::Owner,
    );
    let backend = Backend::open_or_noop(missing, &options(&json!({})));
    assert!(backend.is_noop());
    let broken = Ok(load(&fixture("hostile")));
    let backend = Backend::open_or_noop(broken, &options(&json!({"panic": "open"})));
    assert!(backend.is_noop());
    let warnings = crate::logs::seen("its events go nowhere");
    assert!(
        warnings.iter().any(|record| record.message.contains("find") || record.message.contains("inspect"))
    );
    assert!(
        warnings.iter().any(|record| record.message.contains("hostile by configuration")),
        "{warnings:?}"
    );
}
