//! The telemetry for tests of tools: what was tracked is there when `track` returns, however busy the machine is.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

use std::{fs, panic::catch_unwind, process::Command, thread, time::Duration};

use jackfield::{Deliver, EventKind, Telemetry};
use jackfield_test_support::{Load, rerun_by};

/// The recipe of the guide.
fn recipe() {
    let builder = Telemetry::builder("mytool", "1.4.0").metadata("channel", "stable");
    let (telemetry, memory) = builder.for_tests();
    telemetry.track(EventKind::FEATURE_USED, "export", &[("format", "pdf")]);
    let events = memory.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["name"], "export");
    assert_eq!(events[0]["metadata"], serde_json::json!({"channel": "stable", "format": "pdf"}));
}

#[test]
fn an_event_is_there_when_track_returns() {
    recipe();
}

#[test]
fn nothing_of_the_machine_counts_and_nothing_is_left_on_it() {
    let (telemetry, memory) = Telemetry::builder("mytool", "1.4.0")
        .endpoint("http://127.0.0.1:9/v1")
        .deliver(Deliver::in_background())
        .config_file("/nowhere/config.toml")
        .ops_file_required(true)
        .for_tests();
    let folder = telemetry.data_folder().expect("a folder").parent().expect("of the test").to_owned();
    assert!(folder.is_dir());
    telemetry.command("build").finish(3);
    let flushed = telemetry.flush(Duration::ZERO);
    assert!(flushed.emptied && flushed.waiting.is_empty(), "{flushed:?}");
    telemetry.close();
    telemetry.track("a.b", "after the close", &[]);
    assert_eq!(memory.events().len(), 2);
    assert_eq!(memory.events()[0]["exit_code"], 3);
    let clone = telemetry.clone();
    drop(telemetry);
    assert!(folder.is_dir(), "a clone has it");
    drop(clone);
    assert!(!folder.exists());
    assert_eq!(memory.events().len(), 2, "the events stay with the backend");
}

#[test]
fn a_test_of_an_opt_out_sees_no_more_events() {
    let (telemetry, memory) = Telemetry::for_tests();
    telemetry.track("a.b", "before", &[]);
    telemetry.disable().expect("writable");
    telemetry.track("a.b", "after", &[]);
    assert_eq!(memory.events().len(), 1);
}

#[test]
fn fifty_thousand_events_arrive_whole() {
    const EVENTS: usize = 50_000;
    let (telemetry, memory) = Telemetry::for_tests();
    thread::scope(|scope| {
        for thread in 0..4 {
            let telemetry = &telemetry;
            scope.spawn(move || {
                for number in (thread..EVENTS).step_by(4) {
                    telemetry.track("a.b", "c", &[("number", &number.to_string())]);
                }
            });
        }
    });
    let mut numbers: Vec<usize> = memory
        .events()
        .iter()
        .map(|event| event["metadata"]["number"].as_str().expect("a text").parse().expect("a number"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>());
}

/// How often the recipe has to pass.
const RUNS: usize = 1000;

#[test]
#[ignore = "run by another test, in a process of its own"]
fn the_recipe_a_thousand_times() {
    let passed = (0..RUNS).filter(|_| catch_unwind(recipe).is_ok()).count();
    println!("\npassed {passed} times");
}

#[test]
#[ignore = "loads the machine for some minutes; CONTRIBUTING.md has the command"]
#[cfg(unix)]
fn a_thousand_of_a_thousand_pass_at_nice_19_under_load() {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let load = Load::start(2 * cores);
    let folder = tempfile::tempdir().expect("a folder");
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).env("TMPDIR", folder.path());
    let done = rerun_by(nice, "the_recipe_a_thousand_times").output().expect("nice");
    drop(load);
    let said = String::from_utf8_lossy(&done.stdout);
    let passed = said.lines().find(|line| line.starts_with("passed")).unwrap_or("no answer");
    println!("{passed} of {RUNS} at nice 19, beside {} busy processes on {cores} cores", 2 * cores);
    assert_eq!(passed, format!("passed {RUNS} times"), "{}", String::from_utf8_lossy(&done.stderr));
    let left: Vec<_> = fs::read_dir(folder.path()).expect("readable").collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
