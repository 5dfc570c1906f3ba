//! Backends that hang or panic, beside healthy ones.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jackfield::{Builder, Deliver, Telemetry};
use jackfield_loader::plugin_api::Outcome;
use jackfield_test_support::{LONG, wait_until};

use super::{
    PAUSE,
    common::{self, Clocked, Send0, arrived_once, hangs, names, scripted, to_file, track},
};

/// What the end of a tool may take here.
const BOUND: Duration = Duration::from_secs(2);
/// How long a call may take without a configuration that says so: what does not wait for a hung one ends before.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn beside_a_hung_one(home: &Path) -> Builder {
    common::tool(home)
        .deliver(Deliver::AtExit { within: BOUND })
        .backend("hung", hangs())
        .backend("healthy", to_file(&home.join("healthy")))
}

#[test]
fn beside_a_hung_backend_a_healthy_one_gets_all_in_time() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let clock = Clocked::new();
    let telemetry = beside_a_hung_one(home).file_system(clock.clone()).build();
    track(&telemetry, 0..10);
    let started = Instant::now();
    let flushed = telemetry.close();
    let took = started.elapsed();
    assert_eq!((flushed.delivered, flushed.emptied), (10, false));
    assert!(took < TIMEOUT, "{BOUND:?} were allowed, it took {took:?}");
    assert_eq!(arrived_once(&home.join("healthy")), names(0..10));
    let waiting = |telemetry: &Telemetry| {
        let backends = telemetry.status().backends;
        backends.into_iter().map(|backend| (backend.name, backend.waiting)).collect::<Vec<_>>()
    };
    assert_eq!(waiting(&telemetry), [("hung".to_owned(), 10), ("healthy".to_owned(), 0)]);

    // The next run does not wait for it at all.
    let telemetry = beside_a_hung_one(home).file_system(clock.clone()).build();
    track(&telemetry, 10..20);
    let started = Instant::now();
    assert_eq!(telemetry.close().delivered, 10);
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());

    // It is mended.
    clock.forward(PAUSE);
    let telemetry = common::tool(home)
        .file_system(clock)
        .backend("hung", to_file(&home.join("hung")))
        .backend("healthy", to_file(&home.join("healthy")))
        .build();
    assert!(telemetry.flush(LONG).emptied);
    assert_eq!(arrived_once(&home.join("hung")), names(0..20));
    assert_eq!(arrived_once(&home.join("healthy")), names(0..20));
}

#[test]
fn a_process_with_a_hung_call_ends_in_time() {
    let home = tempfile::tempdir().expect("a folder");
    let mut child = common::child("tool", home.path(), 0).stdout(Stdio::piped()).spawn().expect("it starts");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut lines = output.lines().map(|line| line.expect("text"));
    assert!(lines.any(|line| line.ends_with("leaving")), "it ended early");
    let started = Instant::now();
    let status = child.wait().expect("it ends");
    let took = started.elapsed();
    assert!(status.success());
    assert!(took < TIMEOUT, "{BOUND:?} were allowed, it took {took:?}");
    assert_eq!(arrived_once(&home.path().join("healthy")), names(0..10));
}

#[test]
fn a_service_goes_on_beside_a_hung_backend() {
    let home = tempfile::tempdir().expect("a folder");
    let interval = Duration::from_millis(5);
    let deliver = Deliver::InBackground { interval, events: 10, within: BOUND };
    let telemetry = beside_a_hung_one(home.path()).deliver(deliver).build();
    let healthy = home.path().join("healthy");
    let started = Instant::now();
    track(&telemetry, 0..10);
    wait_until("the first events arrive", || common::arrived(&healthy).len() == 10);
    // These come while the hung one is being called, one batch after the other.
    for first in [10, 13, 16] {
        track(&telemetry, first..first + 3);
        let all = usize::try_from(first).expect("small") + 3;
        wait_until("the next events arrive", || common::arrived(&healthy).len() == all);
    }
    track(&telemetry, 19..20);
    wait_until("the last event arrives", || common::arrived(&healthy).len() == 20);
    let took = started.elapsed();
    assert!(took < TIMEOUT, "they waited for the hung one: {took:?}");
    track(&telemetry, 20..30);
    let started = Instant::now();
    drop(telemetry);
    assert!(started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
    let telemetry = common::tool(home.path())
        .backend("healthy", to_file(&healthy))
        .backend("hung", to_file(&home.path().join("hung")))
        .build();
    // The hung one was left alone, which a flush does not wait for.
    wait_until("all is delivered", || telemetry.flush(LONG).emptied);
    assert_eq!(arrived_once(&healthy), names(0..30));
    assert_eq!(arrived_once(&home.path().join("hung")), names(0..30));
}

#[test]
fn a_panicking_backend_harms_nobody_and_gets_its_events_later() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let clock = Clocked::new();
    let broken = Arc::new(AtomicBool::new(true));
    let (is_broken, log) = (Arc::clone(&broken), common::Log::at(&home.join("panicking")));
    let panicking: Send0 = Box::new(move |batch, _| {
        assert!(!is_broken.load(Ordering::Relaxed), "on purpose");
        log.line(&common::ids(batch));
        Outcome::Delivered.into()
    });
    let tool = common::tool(home)
        .file_system(clock.clone())
        .backend("panicking", scripted(panicking))
        .backend("healthy", to_file(&home.join("healthy")));
    let telemetry = tool.build();
    track(&telemetry, 0..5);
    let flushed = telemetry.flush(LONG);
    assert_eq!((flushed.delivered, flushed.emptied), (5, false));
    assert_eq!(arrived_once(&home.join("healthy")), names(0..5));
    let status = telemetry.status();
    let error = status.backends[0].last_error.clone().expect("an error");
    assert!(error.as_raw().contains("panic"), "{error}");
    broken.store(false, Ordering::Relaxed);
    clock.forward(PAUSE);
    assert!(telemetry.flush(LONG).emptied);
    assert_eq!(arrived_once(&home.join("panicking")), names(0..5));
    assert_eq!(arrived_once(&home.join("healthy")), names(0..5));
}
