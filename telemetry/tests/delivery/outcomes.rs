//! What backends say of events, and what is noted of it.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jackfield::spool::Limits;
use jackfield_loader::plugin_api::{Outcome, Outcomes};
use jackfield_test_support::LONG;

use super::{
    HOUR,
    common::{self, Clocked, Send0, arrived_once, names, scripted, track},
};

#[test]
fn rejected_events_are_kept_with_their_reasons() {
    let home = tempfile::tempdir().expect("a folder");
    let telemetry = common::tool(home.path()).backend("even", scripted(takes_even())).build();
    track(&telemetry, 0..10);
    let flushed = telemetry.flush(LONG);
    assert_eq!((flushed.delivered, flushed.rejected, flushed.emptied), (5, 5, true));
    let rejected = common::spool(home.path()).rejected().expect("readable");
    let kept = rejected.iter().map(|rejected| {
        let event: serde_json::Value = serde_json::from_str(rejected.event.get()).expect("JSON");
        let name = event["name"].as_str().expect("text").to_owned();
        assert_eq!(
            (rejected.backend.as_raw(), rejected.reason.as_raw()),
            ("even", &*format!("{name} is odd"))
        );
        name
    });
    assert_eq!(kept.collect::<Vec<_>>(), names([1, 3, 5, 7, 9]));
    assert_eq!(telemetry.status().dead_letters, 5);
}

#[test]
fn full_dead_letters_stop_the_delivery_and_nothing_is_lost() {
    let home = tempfile::tempdir().expect("a folder");
    let mut limits = Limits::default();
    limits.dead_letter_bytes = Some(1);
    let telemetry = common::tool(home.path()).limits(limits).backend("even", scripted(takes_even())).build();
    track(&telemetry, 0..10);
    assert_eq!(telemetry.flush(LONG).rejected, 5, "the first batch has room");
    track(&telemetry, 10..20);
    let flushed = telemetry.flush(LONG);
    assert_eq!((flushed.delivered, flushed.rejected, flushed.emptied), (5, 0, false));
    let reason = &flushed.waiting[0].reason;
    assert!(reason.as_raw().contains("dead letters have reached their limit of 1 bytes"), "{reason}");
    let status = telemetry.status();
    assert_eq!((status.events, status.dead_letters), (5, 5), "{status}");
    assert!(common::spool(home.path()).stats().drops.is_empty());
}

fn takes_even() -> Send0 {
    Box::new(|batch, _| {
        let outcome = |number: u32| match number % 2 {
            0 => Outcome::Delivered,
            _ => Outcome::rejected(format!("{number} is odd")),
        };
        Outcomes::Each(batch.iter().map(|event| outcome(event.name().parse().expect("a number"))).collect())
    })
}

#[test]
fn a_large_batch_is_split_and_a_large_event_is_rejected() {
    let home = tempfile::tempdir().expect("a folder");
    let log = common::Log::at(&home.path().join("small"));
    let small: Send0 = Box::new(move |batch, _| {
        if batch.len() > 7 || batch.iter().any(|event| event.name() == "13") {
            return Outcome::too_large("at most 7, and not 13").into();
        }
        log.line(&common::ids(batch));
        Outcome::Delivered.into()
    });
    let telemetry = common::tool(home.path()).backend("small", scripted(small)).build();
    track(&telemetry, 0..100);
    let flushed = telemetry.flush(LONG);
    assert_eq!((flushed.delivered, flushed.rejected, flushed.emptied), (99, 1, true));
    let expected = names((0..100).filter(|number| *number != 13));
    assert_eq!(arrived_once(&home.path().join("small")), expected, "all, once, in order");
    let rejected = common::spool(home.path()).rejected().expect("readable");
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0].reason.as_raw().contains("too large even alone"), "{}", rejected[0].reason);
}

#[test]
fn a_long_delivery_notes_meanwhile_what_has_arrived() {
    let home = tempfile::tempdir().expect("a folder");
    let states = home.path().join("data/backends.v1.json");
    let calls = Arc::new(AtomicUsize::new(0));
    let noted = Arc::new(AtomicUsize::new(0));
    let (counted, found) = (Arc::clone(&calls), Arc::clone(&noted));
    let slow: Send0 = Box::new(move |_, _| {
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            // Longer than a note takes to be due.
            std::thread::sleep(Duration::from_millis(300));
        } else {
            let text = fs::read_to_string(&states).unwrap_or_default();
            let states: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let delivered = states["slow"]["delivered"].as_u64().unwrap_or_default();
            found.fetch_max(usize::try_from(delivered).expect("few"), Ordering::Relaxed);
        }
        Outcome::Delivered.into()
    });
    let clock = Clocked::new();
    clock.back(HOUR);
    let tool = common::tool(home.path()).file_system(clock);
    let telemetry = tool.backend("slow", scripted(slow)).build();
    track(&telemetry, 0..1500);
    assert!(telemetry.flush(LONG).emptied);
    assert_eq!((calls.load(Ordering::Relaxed), noted.load(Ordering::Relaxed)), (2, 1000));
    let backend = &telemetry.status().backends[0];
    assert_eq!(backend.delivered, 1500);
    assert!(backend.last_delivery_s.is_some_and(|ago| ago < 60), "{backend:?}");
}
