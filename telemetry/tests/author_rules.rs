//! What a tool's author decides of each event, and what a call returns.
#![allow(clippy::disallowed_methods, reason = "a test reads the files of the tool")]

mod common;

use std::{fs, time::Duration};

use common::KIND;
use jackfield::{
    Event, EventKind, PersonalData, REDACTED, Telemetry, Value,
    spool::{DropReason, Limits},
};
use serde_json::json;

/// What is stored of a tool that keeps its events.
fn stored(home: &std::path::Path) -> Vec<serde_json::Value> {
    let mut events = Vec::new();
    let read = common::spool(home).pending(|line| {
        events.push(serde_json::from_slice(line).expect("JSON"));
        true
    });
    read.expect("readable");
    events
}

#[test]
fn every_call_returns_the_id_of_the_event_that_is_stored() {
    let (telemetry, memory) = Telemetry::for_tests();
    let ids = [
        telemetry.track(KIND, "a", &[]),
        telemetry.track_command("b", Duration::ZERO, 0, &[]),
        telemetry.track_command_extended("c", Duration::ZERO, 1, &["-v"], Some("no"), &[]),
        telemetry.track_event(&Event::new(KIND, "d")),
        telemetry.command("e").finish(0),
    ];
    let events = memory.events();
    let stored: Vec<_> = events.iter().map(|event| event["id"].as_str().map(str::to_owned)).collect();
    assert_eq!(ids.map(|id| id.map(|id| id.to_string())).to_vec(), stored);
    assert_eq!(events.len(), 5, "a command that was finished is recorded once");
    telemetry.disable().expect("writable");
    assert_eq!(telemetry.track(KIND, "a", &[]), None);
    assert_eq!(telemetry.command("e").finish(0), None);
}

#[test]
fn arguments_of_a_command_need_extended_collection() {
    for extended in [false, true] {
        let builder = Telemetry::builder("tool", "1").extended_collection(extended);
        let (telemetry, memory) = builder.for_tests();
        let args = ["deploy", "--password", "hunter2"];
        let mut command = telemetry.command("deploy");
        command.set_args(args);
        command.add_metadata("hosts", 3);
        command.add_metadata("dry", false);
        command.finish(0);
        telemetry.track_command_extended("deploy", Duration::ZERO, 1, &args, Some("no host"), &[("a", "b")]);
        let events = memory.events();
        assert_eq!(events[0]["metadata"], json!({"hosts": 3, "dry": false}));
        assert_eq!(
            (&events[0]["type"], &events[1]["type"]),
            (&"command.invocation".into(), &"command.error".into())
        );
        assert_eq!((&events[1]["exit_code"], &events[1]["metadata"]), (&1.into(), &json!({"a": "b"})));
        let redacted = if extended { json!(["deploy", "--password", REDACTED]) } else { json!(null) };
        assert_eq!((&events[0]["args"], &events[1]["args"]), (&redacted, &redacted));
        assert_eq!(events[1]["error"], if extended { json!("no host") } else { json!(null) });
    }
}

#[test]
fn metadata_of_all_events_has_types_too() {
    let (telemetry, memory) =
        Telemetry::builder("tool", "1").metadata("build", 7).metadata("ci", true).for_tests();
    telemetry.track(KIND, "a", &[("build", "8")]);
    telemetry.track(KIND, "a", &[]);
    assert_eq!(memory.events()[0]["metadata"], json!({"build": "8", "ci": true}));
    assert_eq!(memory.events()[1]["metadata"], json!({"build": 7, "ci": true}));
}

#[test]
fn before_send_changes_and_drops_events_before_they_reach_the_disk() {
    let home = tempfile::tempdir().expect("a folder");
    let telemetry = common::tool(home.path())
        .extended_collection(true)
        .metadata("channel", "beta")
        .endpoint("http://127.0.0.1:9/v1")
        .before_send(|event| {
            event.metadata.remove("project");
            event.metadata.remove("channel");
            event.metadata.insert("token".to_owned(), "added-later".into());
            event.metadata.insert("pages".to_owned(), Value::Integer(2));
            event.error = event.error.take().map(|error| error.to_uppercase());
            event.name.push('!');
            event.name != "internal!"
        })
        .build();
    assert_eq!(telemetry.track(KIND, "internal", &[]), None);
    let id = telemetry.track(KIND, "export", &[("project", "x"), ("format", "pdf")]).expect("recorded");
    let mut command = telemetry.command("build");
    command.set_error("no password=hunter2");
    drop(command);
    let events = stored(home.path());
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["id"], &events[0]["name"]), (&id.to_string().into(), &"export!".into()));
    // What it adds is redacted like the rest.
    assert_eq!(events[0]["metadata"], json!({"format": "pdf", "pages": 2, "token": REDACTED}));
    assert_eq!(
        (&events[1]["type"], &events[1]["error"]),
        (&"command.error".into(), &"NO PASSWORD=[redacted]".into())
    );
}

#[test]
fn personal_data_leave_arguments_and_messages_unless_the_author_keeps_them() {
    for (kept, expected) in [
        (PersonalData::Redact, json!([["--to", "[redacted]"], "no route to [redacted]"])),
        (PersonalData::Keep, json!([["--to", "ada@example.com"], "no route to 10.1.2.3"])),
    ] {
        let builder = Telemetry::builder("tool", "1").extended_collection(true).personal_data(kept);
        let (telemetry, memory) = builder.for_tests();
        let args = ["--to", "ada@example.com"];
        let message = Some("no route to 10.1.2.3");
        let metadata = [("server", "10.1.2.3")];
        telemetry.track_command_extended("send", Duration::ZERO, 1, &args, message, &metadata);
        let event = &memory.events()[0];
        assert_eq!(json!([event["args"], event["error"]]), expected);
        assert_eq!(event["metadata"]["server"], "10.1.2.3", "metadata are the author's own words");
    }
}

#[test]
fn before_send_sees_arguments_and_errors_only_with_extended_collection() {
    let (telemetry, memory) = Telemetry::builder("tool", "1")
        .before_send(|event| {
            assert_eq!((&event.args, &event.error), (&None, &None));
            event.args = Some(vec!["added".to_owned()]);
            true
        })
        .for_tests();
    telemetry.track_command_extended("a", Duration::ZERO, 1, &["-v"], Some("no"), &[("k", "v")]);
    let events = memory.events();
    assert_eq!(events[0]["metadata"], json!({"k": "v"}), "it did not panic");
    assert_eq!(events[0].get("args"), None);
}

#[test]
fn a_panic_of_before_send_drops_no_event_and_lets_no_text_pass() {
    let (telemetry, memory) = Telemetry::builder("tool", "1")
        .extended_collection(true)
        .metadata("channel", "beta")
        .before_send(|_| panic!("a fault of the author"))
        .for_tests();
    let id = telemetry.track_command_extended(
        "deploy",
        Duration::from_secs(1),
        2,
        &["x"],
        Some("y"),
        &[("k", "v")],
    );
    let events = memory.events();
    assert_eq!((events.len(), &events[0]["id"]), (1, &id.expect("recorded").to_string().into()));
    assert_eq!(
        (&events[0]["name"], &events[0]["exit_code"], &events[0]["duration_ms"]),
        (&"deploy".into(), &2.into(), &1000.into())
    );
    for part in ["args", "error", "metadata"] {
        assert_eq!(events[0].get(part), None, "{part}");
    }
}

#[test]
fn an_event_that_before_send_tracks_itself_is_not_recorded() {
    let cell = std::sync::Arc::new(std::sync::OnceLock::<Telemetry>::new());
    let inside = std::sync::Arc::downgrade(&cell);
    let (telemetry, memory) = Telemetry::builder("tool", "1")
        .before_send(move |_| {
            let inside = inside.upgrade().expect("alive");
            assert_eq!(inside.get().expect("set").track(KIND, "inner", &[]), None);
            true
        })
        .for_tests();
    assert!(cell.set(telemetry).is_ok());
    let telemetry = cell.get().expect("set");
    assert!(telemetry.track(KIND, "outer", &[]).is_some());
    assert!(telemetry.track(KIND, "another", &[]).is_some());
    let names: Vec<_> = memory.events().iter().map(|event| event["name"].clone()).collect();
    assert_eq!(names, ["outer", "another"]);
}

#[test]
fn rules_of_the_author_redact_every_text_before_it_is_stored() {
    let rule = |text: &str| text.contains("ACME-").then(|| text.replace("ACME-1", "[customer]"));
    let home = tempfile::tempdir().expect("a folder");
    let telemetry = common::tool(home.path())
        .extended_collection(true)
        .metadata("site", "ACME-1")
        .endpoint("http://127.0.0.1:9/v1")
        .redact(rule)
        .redact(|text| (text == "faulty").then(|| panic!("a fault of the author")))
        .build();
    let event = Event::new("kind.ACME-1", "of ACME-1")
        .args(&["--of=ACME-1", "--token", "x"])
        .error("no ACME-1")
        .metadata(&[("ACME-1", "ACME-1"), ("password", "p"), ("fault", "faulty")]);
    telemetry.track_event(&event.values(&[("pages", 1.into())]));
    let stored = &stored(home.path())[0];
    assert_eq!((&stored["type"], &stored["name"]), (&"kind.[customer]".into(), &"of [customer]".into()));
    assert_eq!(stored["args"], json!(["--of=[customer]", "--token", REDACTED]));
    assert_eq!(stored["error"], "no [customer]");
    let metadata = json!({
        "site": "[customer]", "[customer]": "[customer]", "password": REDACTED, "fault": REDACTED, "pages": 1
    });
    assert_eq!(stored["metadata"], metadata);
    let text = fs::read_dir(home.path().join("data/spool"))
        .expect("a spool")
        .flatten()
        .fold(String::new(), |text, file| {
            text + &String::from_utf8_lossy(&fs::read(file.path()).expect("readable"))
        });
    assert!(text.contains("[customer]") && !text.contains("ACME"), "{text}");
}

#[test]
fn a_sample_is_decided_by_the_id() {
    const EVENTS: usize = 4000;
    let (telemetry, memory) = Telemetry::builder("tool", "1").sample(0.25).for_tests();
    let ids: Vec<_> = (0..EVENTS).filter_map(|_| telemetry.track(KIND, "a", &[])).collect();
    let events = memory.events();
    assert_eq!(ids.len(), events.len());
    // Ten standard deviations around a quarter.
    assert!((EVENTS / 4).abs_diff(ids.len()) < 274, "{}", ids.len());
    for id in &ids {
        let digits: String = id.to_string().split('-').skip(3).collect();
        let random = u64::from_str_radix(&digits, 16).expect("hexadecimal") & ((1 << 62) - 1);
        assert!(random < 1 << 60, "{id} is in no quarter");
    }
    for (share, kept) in [(0.0, 0), (-1.0, 0), (1.0, 10), (7.0, 10), (f64::NAN, 10)] {
        let (telemetry, memory) = Telemetry::builder("tool", "1").sample(share).for_tests();
        for _ in 0..10 {
            telemetry.track(EventKind::FEATURE_USED, "a", &[]);
        }
        assert_eq!(memory.events().len(), kept, "{share}");
        assert!(telemetry.flush(Duration::ZERO).dropped.is_empty(), "no loss");
    }
}

#[test]
fn a_flush_reports_each_loss_once_by_its_reason() {
    let home = tempfile::tempdir().expect("a folder");
    let mut limits = Limits::default();
    limits.max_events = 40;
    let telemetry = common::tool(home.path())
        .backend("a", common::to_file(&home.path().join("arrived")))
        .limits(limits)
        .build();
    let long = "x".repeat(2 << 20);
    assert_eq!(telemetry.track(KIND, &long, &[]), None);
    common::track(&telemetry, 0..100);
    let report = telemetry.flush(jackfield_test_support::LONG);
    let arrived = common::arrived_once(&home.path().join("arrived")).len() as u64;
    assert_eq!(report.dropped.get(&DropReason::TooLong), Some(&1));
    let count = report.dropped.get(&DropReason::Count).copied().unwrap_or(0);
    assert!(count > 0 && arrived + count == 100, "{arrived} arrived: {report:?}");
    assert_eq!(report.dropped.len(), 2, "{report:?}");
    let second = telemetry.flush(jackfield_test_support::LONG);
    assert!(second.dropped.is_empty(), "{second:?}");
    telemetry.track(KIND, &long, &[]);
    assert_eq!(telemetry.close().dropped.get(&DropReason::TooLong), Some(&1));
}
