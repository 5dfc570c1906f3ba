//! What the tests of the vendors' plugins share: events with all that an event can have, and what became of them.

use std::{convert::Infallible, time::Duration};

use jackfield_loader::{Backend, BackendOptions, Batch, Error, EventFields, Report, plugin_api::Outcome};
use jackfield_tests::{
    peers::http::{HttpServer, Reply},
    plugin,
};
use serde_json::{Value, json};

use crate::{
    common::{load, open},
    logs,
};

/// Enough for the largest batches on a busy machine. What is sent to a server that answers ends long before.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// The time so many seconds ago, as events have it.
pub(crate) fn ago(seconds: i64) -> String {
    let time = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
    format!("{time:.3}")
}

/// The id of the event `n`: a UUIDv7.
pub(crate) fn id(n: usize) -> String {
    format!("01920000-0000-7000-8000-{n:012}")
}

/// The event `n`, with all that an event has without fail.
pub(crate) fn event(n: usize) -> Value {
    json!({
        "id": id(n),
        "timestamp": ago(60),
        "type": "command.invocation",
        "name": format!("build-{n}"),
        "machine_id": "m-4f1c",
        "tool_name": "forge",
        "version": "1.2.3+Build",
        "os": "linux",
        "arch": "x86_64",
        "os_version": "12.4",
        "runtime_version": "rustc 1.89",
    })
}

/// An event with all that an event may have.
pub(crate) fn full() -> Value {
    let mut event = event(1);
    for (member, value) in [
        ("name", json!("build \"all\"\n\u{1}")),
        ("duration_ms", json!(1234)),
        ("exit_code", json!(-7)),
        ("error", json!("no such file: größe 😀")),
        ("args", json!(["build", "", "--all"])),
        (
            "metadata",
            json!({
                "team": "core", "tool_name": "mine", "": "empty", "with.dot": "x", "pages": 12, "least": i64::MIN,
                "share": 0.5, "color": true, "text": "7"
            }),
        ),
        ("ticket", json!({"n": 1.50, "list": [null, true]})),
        ("seen", json!("yes")),
    ] {
        event[member] = value;
    }
    event
}

/// A batch of events in Jackfield's JSON.
pub(crate) fn batch(events: &[Value]) -> Batch {
    let texts = |event: &Value| -> Option<Vec<(String, String)>> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(event["metadata"].as_object()?.iter().map(|(key, value)| (key.clone(), text(value))).collect())
    };
    let owner: Vec<(String, Value, _)> =
        events.iter().map(|event| (event.to_string(), event.clone(), texts(event))).collect();
    Batch::build(owner, |owner, writer| {
        for (json, event, metadata) in owner {
            let text = |member: &str| event[member].as_str().unwrap_or_default();
            let args = event["args"]
                .as_array()
                .map(|args| args.iter().map(|arg| arg.as_str().expect("text")).collect::<Vec<_>>());
            let metadata = metadata
                .as_ref()
                .map(|pairs| pairs.iter().map(|(key, value)| (&**key, &**value)).collect::<Vec<_>>());
            let time = text("timestamp").parse().map_or(0, |time: jiff::Timestamp| {
                i64::try_from(time.as_nanosecond()).expect("a time of these centuries")
            });
            writer.push(&EventFields {
                json,
                id: text("id"),
                timestamp: text("timestamp"),
                kind: text("type"),
                name: text("name"),
                machine_id: text("machine_id"),
                tool_name: text("tool_name"),
                tool_version: text("version"),
                os: text("os"),
                arch: text("arch"),
                os_version: text("os_version"),
                runtime_version: text("runtime_version"),
                error: event["error"].as_str(),
                args: args.as_deref(),
                metadata: metadata.as_deref(),
                time_unix_nanos: time,
                duration_ms: event["duration_ms"].as_u64(),
                exit_code: event["exit_code"].as_i64(),
            });
        }
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

pub(crate) fn events(count: usize) -> Vec<Value> {
    (0..count).map(event).collect()
}

/// One of the vendors' plugins, opened.
pub(crate) fn backend(name: &str, config: &Value) -> Backend {
    open(&plugin(name), config)
}

/// Sends events, with the time that it takes.
pub(crate) fn send(backend: &Backend, events: &[Value]) -> Report {
    backend.send_within(&batch(events), LONG)
}

#[track_caller]
pub(crate) fn assert_delivered(report: &Report) {
    let other = (0..report.len()).find(|at| report.outcome(*at) != &Outcome::Delivered);
    assert_eq!(other.map(|at| (at, report.outcome(at))), None, "{:?}", report.failure());
}

/// Why the event at `index` was rejected.
#[track_caller]
pub(crate) fn rejection(report: &Report, index: usize) -> &str {
    match report.outcome(index) {
        Outcome::Rejected { reason } => reason,
        other => panic!("{other:?}"),
    }
}

/// `object` with these members, in the place of those that it has.
pub(crate) fn with(mut object: Value, members: &Value) -> Value {
    for (key, value) in members.as_object().expect("members") {
        object[key] = value.clone();
    }
    object
}

/// The plugin refuses this configuration when it is opened, says what was `expected`, and does not repeat `secret`.
pub(crate) fn assert_refused(name: &str, config: &Value, expected: &str, secret: &str) {
    let options = BackendOptions::new("under-test").config(config.to_string());
    let error = Backend::open(&load(&plugin(name)), &options).expect_err("it is refused");
    let text = format!("{error} {error:?}");
    assert!(matches!(error, Error::Open(_)) && text.contains(expected), "{text}");
    assert!(!text.contains(secret), "{text}");
}

/// The key is in nothing that comes back from servers that repeat it, and in no log.
pub(crate) fn assert_secret(name: &str, config: fn(&HttpServer) -> Value, key: &str, replies: &[Reply]) {
    logs::collect();
    for reply in replies {
        let server = HttpServer::start(reply.clone());
        let backend = backend(name, &config(&server));
        let said = format!("{:?} {backend:?}", send(&backend, &events(2)));
        // A host's name is written in lower case.
        assert!(!said.to_lowercase().contains(&key.to_lowercase()), "{said}");
    }
    assert!(logs::seen(key).is_empty(), "{:?}", logs::seen(key));
}
