//! A tool's telemetry as its author calls it.

mod common;

use std::{ffi::OsString, path::Path, time::Duration};

use common::builder;
use jackfield::{
    Builder, Deliver, Event, EventKind, MemoryBackend, Telemetry,
    spool::{DropReason, Limits, Spool},
};
use jackfield_test_support::{LONG, wait_for};

fn consented(folder: &Path) -> Builder {
    common::consent(folder);
    builder(folder)
}

#[test]
fn what_is_tracked_arrives_once_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let telemetry =
        consented(folder.path()).backend("memory", memory.maker()).metadata("channel", "beta").build();
    telemetry.track(EventKind::FEATURE_USED, "export", &[("format", "pdf")]);
    telemetry.track_command("build", Duration::from_millis(1500), 2, &[]);
    telemetry.track_event(&Event::new("own.kind", "x").args(&["a"]).error("e"));
    let flushed = telemetry.flush(LONG);
    assert_eq!((flushed.delivered, flushed.rejected, flushed.emptied), (3, 0, true));
    let events = memory.events();
    let names: Vec<_> = events.iter().map(|event| event["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["export", "build", "x"]);
    assert_eq!(events[0]["metadata"], serde_json::json!({"channel": "beta", "format": "pdf"}));
    assert_eq!((&events[1]["duration_ms"], &events[1]["exit_code"]), (&1500.into(), &2.into()));
    assert!(events[2].get("args").is_none() && events[2].get("error").is_none());
    telemetry.close();
    telemetry.close();
    assert_eq!(memory.events().len(), 3);
}

#[test]
fn a_close_before_the_first_event_ends_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let telemetry = consented(folder.path()).backend("memory", memory.maker()).build();
    assert!(telemetry.close().emptied);
    telemetry.track("feature.used", "late", &[]);
    assert_eq!(telemetry.close().delivered, 1);

    // By the drop of the last clone, too: a scope that ends behind the close.
    let telemetry = consented(folder.path()).backend("memory", memory.maker()).build();
    let scope = telemetry.command("export");
    assert!(telemetry.close().emptied);
    drop(scope);
    drop(telemetry);
    assert_eq!(memory.events().len(), 2);
}

#[test]
fn without_consent_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let silent = |telemetry: Telemetry| {
        telemetry.track("a", "b", &[]);
        telemetry.flush(LONG);
        telemetry.close();
        assert!(!telemetry.is_enabled() && memory.events().is_empty());
        assert!(!folder.path().join("data").exists());
    };
    silent(builder(folder.path()).backend("memory", memory.maker()).build());
    silent(consented(folder.path()).enabled(false).backend("memory", memory.maker()).build());
    silent(consented(folder.path()).backend("m", memory.maker()).environment(do_not_track).build());
}

fn do_not_track(name: &str) -> Option<OsString> {
    (name == "DO_NOT_TRACK").then(|| OsString::from("1"))
}

#[test]
fn a_service_delivers_in_the_background() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let deliver = Deliver::InBackground { interval: Duration::from_secs(3600), events: 10, within: LONG };
    let telemetry = consented(folder.path()).deliver(deliver).backend("memory", memory.maker()).build();
    for _ in 0..10 {
        telemetry.track("a", "b", &[]);
    }
    wait_for("ten events arrive", || memory.events().len(), |&arrived| arrived >= 10);
    telemetry.track("a", "last", &[]);
    drop(telemetry);
    assert_eq!(memory.events().len(), 11);
}

#[test]
fn a_command_is_recorded_also_after_a_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let telemetry =
        consented(folder.path()).extended_collection(true).backend("memory", memory.maker()).build();
    telemetry.command("fine").finish(0);
    let mut scope = telemetry.command("failed");
    scope.set_error("no");
    drop(scope);
    let thrown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _scope = telemetry.command("thrown");
        panic!("thrown on purpose");
    }));
    assert!(thrown.is_err());
    telemetry.flush(LONG);
    let events = memory.events();
    let seen: Vec<_> = events
        .iter()
        .map(|e| {
            (
                e["type"].as_str().expect("text"),
                e["exit_code"].as_i64().expect("a number"),
                e["error"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("command.invocation", 0, None),
            ("command.error", 1, Some("no")),
            ("command.error", 101, Some("panicked"))
        ]
    );
    assert!(events.iter().all(|event| event["duration_ms"].is_u64()));
}

#[test]
fn an_event_longer_than_a_line_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let telemetry = consented(folder.path()).backend("memory", memory.maker()).build();
    telemetry.track("a", "first", &[]);
    let long = "password=hunter2 ".repeat(3 << 20);
    let started = std::time::Instant::now();
    telemetry.track("a", "long", &[("text", &long)]);
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    telemetry.track("a", "last", &[]);
    assert!(telemetry.flush(LONG).emptied);
    assert_eq!(memory.events().len(), 2);
    let spool = Spool::on_disk(folder.path().join("data/spool"), Limits::default());
    assert_eq!(spool.stats().drops.into_iter().collect::<Vec<_>>(), [(DropReason::TooLong, 1)]);
}
