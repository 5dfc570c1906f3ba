//! What telemetry that is off takes of the heap: nothing; what an event takes: nothing; and what a hostile schema can take: little. On its own, because it
//! counts what the whole process takes.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

mod common;

use std::{fs, path::Path};

use jackfield::forward::OptionsSchema;
use jackfield::{Builder, Deliver, EventKind, MemoryBackend, Telemetry};
use serde_json::json;

/// More than the calls that a shut gate turns away before it looks again.
const CALLS: u32 = 10_000;

fn builder(folder: &Path) -> Builder {
    common::builder(folder).backend("memory", MemoryBackend::new().maker())
}

/// Allocations of many calls.
fn allocations(telemetry: &Telemetry) -> u64 {
    let metadata = [("format", "pdf"), ("pages", "12")];
    let calls = || {
        for _ in 0..CALLS {
            telemetry.track(EventKind::FEATURE_USED, "export", &metadata);
            telemetry.track("own.kind", "export", &metadata);
        }
    };
    allocation_counter::measure(calls).count_total
}

#[test]
fn a_disabled_telemetry_allocates_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
    assert_eq!(allocations(&builder(folder.path()).enabled(false).build()), 0);
    // The same calls are seen when they do take something.
    assert!(allocations(&builder(folder.path()).build()) > 0);
}

#[test]
fn a_known_opt_out_allocates_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.toml");
    let unasked = builder(folder.path()).build();
    unasked.track("a", "b", &[]);
    assert_eq!(allocations(&unasked), 0, "nobody has answered");
    fs::write(&file, "[telemetry]\nenabled = false\n").expect("writable");
    let refused = builder(folder.path()).build();
    refused.track("a", "b", &[]);
    assert_eq!(allocations(&refused), 0, "the user has said no");
}

/// A tool that uses none of the author's rules pays nothing for them.
#[test]
fn a_recorded_event_allocates_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
    let telemetry = builder(folder.path()).deliver(Deliver::ByHand).build();
    let calls = |number: u32| {
        for _ in 0..number {
            telemetry.track(EventKind::FEATURE_USED, "export", &[("format", "pdf"), ("pages", "12")]);
        }
    };
    // Memory that is used again, the segment, and what is known of the files.
    calls(100);
    let taken = allocation_counter::measure(|| calls(1000)).count_total;
    // One allocation for each event would be 1000. Consent is read again from time to time.
    assert!(taken < 500, "{taken} allocations for 1000 events");
}

#[test]
fn a_long_word_of_a_schema_is_not_kept_for_each_place_that_has_it() {
    let long = "x".repeat(100 << 10);
    for keyword in ["anyOf", "oneOf", "allOf"] {
        for word in [json!({"enum": [long]}), json!({"const": {"a": long}}), json!({"required": [long]})] {
            let forms = vec![json!({"$ref": "#/$defs/word"}); 5000];
            let schema = json!({keyword: forms, "$defs": {"word": word}}).to_string();
            let schema = OptionsSchema::parse(&schema).expect("a schema");
            let mut faults = Vec::new();
            let taken = allocation_counter::measure(|| faults = schema.faults(&json!({})));
            assert!(taken.bytes_max < 16 << 20, "{} bytes for {keyword}", taken.bytes_max);
            assert!(!faults.is_empty() && faults.iter().all(|fault| fault.what.len() < 8 << 10));
        }
    }
}
