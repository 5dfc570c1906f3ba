//! What a flush waits for, and what it says of the rest.

mod common;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{Send0, arrived_once, hangs, names, scripted, to_file, track};
use jackfield::{Builder, Deliver, FlushReport, Telemetry};
use jackfield_loader::plugin_api::Outcome;
use jackfield_test_support::{LONG, wait_until};

/// Far more than a flush takes that waits for no backend, and less than the 5 s that a call may take which hangs.
const AT_ONCE: Duration = Duration::from_millis(2500);
/// What a flush may take that waits for one call that hangs, on a busy machine.
const ONE_CALL: Duration = Duration::from_secs(12);

const SERVICE: Deliver =
    Deliver::InBackground { interval: Duration::from_millis(5), events: 10, within: Duration::from_secs(1) };

/// Delivers nothing before a flush or the end asks for it.
const ON_DEMAND: Deliver = Deliver::InBackground {
    interval: Duration::from_secs(3600),
    events: 1_000_000,
    within: Duration::from_secs(1),
};

fn beside_a_hung_one(home: &Path, deliver: Deliver) -> Builder {
    common::tool(home)
        .deliver(deliver)
        .backend("hung", hangs())
        .backend("healthy", to_file(&home.join("healthy")))
}

fn timed_flush(telemetry: &Telemetry) -> (FlushReport, Duration) {
    let started = Instant::now();
    let flushed = telemetry.flush(LONG);
    (flushed, started.elapsed())
}

/// The names and numbers of what a flush has left.
fn left(flushed: &FlushReport) -> Vec<(&str, u64)> {
    flushed.waiting.iter().map(|waiting| (&*waiting.backend, waiting.events)).collect()
}

#[test]
fn a_flush_waits_one_call_for_a_hung_backend() {
    for deliver in [SERVICE, Deliver::ByHand] {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path();
        let telemetry = beside_a_hung_one(home, deliver).build();
        track(&telemetry, 0..10);
        let (flushed, took) = timed_flush(&telemetry);
        assert!(took < ONE_CALL, "{deliver:?}: {took:?}");
        assert_eq!(arrived_once(&home.join("healthy")), names(0..10));
        assert_eq!((flushed.emptied, left(&flushed)), (false, vec![("hung", 10)]), "{deliver:?}");
        let hung = &flushed.waiting[0];
        assert!(hung.reason.as_raw().contains("no answer within") && hung.again_in.is_some(), "{hung}");
    }
}

#[test]
fn a_flush_does_not_wait_for_a_paused_backend() {
    for deliver in [SERVICE, Deliver::ByHand] {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path();
        let down: Send0 = Box::new(|_, _| {
            Outcome::Retry { after: Some(Duration::from_secs(3600)), reason: "closed for an hour".into() }
                .into()
        });
        let builder = common::tool(home).deliver(deliver).backend("down", scripted(down));
        let telemetry = builder.backend("healthy", to_file(&home.join("healthy"))).build();
        for first in [0, 10] {
            track(&telemetry, first..first + 10);
            let (flushed, took) = timed_flush(&telemetry);
            assert!(took < AT_ONCE, "{deliver:?}: {took:?}: {flushed:?}");
            assert_eq!(left(&flushed), [("down", u64::from(first) + 10)], "{deliver:?}");
            assert!(flushed.waiting[0].to_string().contains("closed for an hour"), "{}", flushed.waiting[0]);
        }
        assert_eq!(arrived_once(&home.join("healthy")), names(0..20));
        // The backend alone.
        drop(telemetry);
        let down: Send0 = Box::new(|_, _| Outcome::retry("not yet its time").into());
        let telemetry = common::tool(home).deliver(deliver).backend("down", scripted(down)).build();
        let (flushed, took) = timed_flush(&telemetry);
        assert!(took < AT_ONCE, "{deliver:?}: {took:?}: {flushed:?}");
        assert_eq!(left(&flushed), [("down", 20)], "{deliver:?}");
        assert!(flushed.waiting[0].reason.as_raw().contains("closed for an hour"), "{}", flushed.waiting[0]);
    }
}

#[test]
fn a_flush_of_a_busy_service_sends_what_came_before_it() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let log = common::Log::at(&home.join("slow"));
    // A few events come during every call, so that there is never nothing left.
    let slow: Send0 = Box::new(move |batch, _| {
        thread::sleep(Duration::from_millis(20));
        log.line(&common::ids(batch));
        Outcome::Delivered.into()
    });
    let telemetry = common::tool(home).deliver(SERVICE).backend("slow", scripted(slow)).build();
    let done = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                telemetry.track(common::KIND, "more", &[]);
                thread::sleep(Duration::from_millis(2));
            }
        });
        for number in 0..20_u32 {
            track(&telemetry, [number]);
            let (flushed, took) = timed_flush(&telemetry);
            assert!(flushed.emptied && flushed.waiting.is_empty(), "{flushed:?}");
            assert!(took < LONG / 4, "{took:?}");
            let arrived = arrived_once(&home.join("slow"));
            assert!(arrived.contains(&number.to_string()), "{number} is not in {arrived:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_short_flush_names_the_backends_without_an_answer() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let telemetry = beside_a_hung_one(home, SERVICE).build();
    track(&telemetry, 0..10);
    wait_until("the healthy one has all", || common::arrived(&home.join("healthy")).len() == 10);
    let started = Instant::now();
    let flushed = telemetry.flush(Duration::from_millis(300));
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    assert_eq!(left(&flushed), [("hung", 10)]);
    assert!(flushed.waiting[0].reason.as_raw().contains("has said nothing for"), "{}", flushed.waiting[0]);
}

#[test]
fn a_flush_that_another_process_keeps_from_delivering_says_so() {
    for deliver in [SERVICE, Deliver::ByHand] {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path();
        let telemetry =
            common::tool(home).deliver(deliver).backend("healthy", to_file(&home.join("healthy"))).build();
        track(&telemetry, [0]);
        assert!(telemetry.flush(LONG).emptied);
        let spool = common::spool(home);
        let claim = loop {
            if let Some(claim) = spool.try_claim(&["healthy"]).expect("a folder") {
                break claim;
            }
        };
        track(&telemetry, [1]);
        let flushed = telemetry.flush(Duration::from_millis(300));
        assert_eq!(left(&flushed), [("healthy", 1)]);
        assert_eq!(flushed.waiting[0].reason, "another process delivers");
        drop(claim);
        assert!(telemetry.flush(LONG).emptied, "{deliver:?}");
        assert_eq!(arrived_once(&home.join("healthy")), names(0..2));
    }
}

#[test]
fn a_flush_counts_what_the_service_delivers_and_ends_with_it() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let telemetry = beside_a_hung_one(home, ON_DEMAND).build();
    // With the service's first pass over, nothing is delivered before the flush counts.
    assert!(telemetry.flush(LONG).emptied);
    track(&telemetry, 0..10);
    let (flushed, took) = thread::scope(|scope| {
        let flush = scope.spawn(|| timed_flush(&telemetry));
        wait_until("the healthy one has all", || common::arrived(&home.join("healthy")).len() == 10);
        telemetry.close();
        flush.join().expect("no panic")
    });
    assert!(took < ONE_CALL, "{took:?}");
    assert_eq!(left(&flushed), [("hung", 10)]);
    assert_eq!(flushed.delivered, 10);
}

#[test]
fn each_of_many_concurrent_flushes_delivers_its_event() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let builder = common::tool(home).deliver(SERVICE).backend("one", to_file(&home.join("one")));
    let telemetry = builder.backend("two", to_file(&home.join("two"))).build();
    thread::scope(|scope| {
        for first in [0, 1000, 2000] {
            let telemetry = &telemetry;
            scope.spawn(move || {
                for number in first..first + 100 {
                    track(telemetry, [number]);
                    let (flushed, took) = timed_flush(telemetry);
                    assert!(flushed.emptied && flushed.waiting.is_empty(), "{number}: {flushed:?}");
                    assert!(took < LONG / 4, "{number}: {took:?}");
                }
            });
        }
    });
    for name in ["one", "two"] {
        assert_eq!(arrived_once(&home.join(name)).len(), 300, "{name}");
    }
}
