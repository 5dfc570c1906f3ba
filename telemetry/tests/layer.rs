//! Marked events and spans of `tracing` as telemetry.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

mod common;

use std::{
    ffi::OsString,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jackfield::{Builder, MemoryBackend};
use serde_json::{Value, json};
use tracing::{Level, field::Empty, info, info_span, subscriber::with_default};
use tracing_subscriber::{
    filter::filter_fn,
    fmt::{
        MakeWriter,
        format::{DefaultFields, Format},
    },
    prelude::*,
    registry,
};

const SOON: Duration = Duration::from_secs(10);

/// Consented to, in this folder.
fn builder(folder: &Path) -> Builder {
    std::fs::create_dir_all(folder).expect("a folder");
    common::consent(folder);
    common::builder(folder)
}

/// The events that `run` makes.
fn recorded_with(change: impl FnOnce(Builder) -> Builder, run: impl FnOnce()) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let telemetry = change(builder(folder.path())).backend("memory", memory.maker()).build();
    with_default(registry().with(telemetry.layer()), run);
    telemetry.flush(SOON);
    memory.events()
}

fn recorded(run: impl FnOnce()) -> Vec<Value> {
    recorded_with(|builder| builder, run)
}

fn extended(run: impl FnOnce()) -> Vec<Value> {
    recorded_with(|builder| builder.extended_collection(true), run)
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["name"].as_str().expect("a name")).collect()
}

/// Kind, name, exit code and error.
fn ends(events: &[Value]) -> Vec<(&str, &str, Option<i64>, Option<&str>)> {
    events
        .iter()
        .map(|event| {
            (
                event["type"].as_str().expect("a kind"),
                event["name"].as_str().expect("a name"),
                event["exit_code"].as_i64(),
                event["error"].as_str(),
            )
        })
        .collect()
}

#[test]
fn only_marked_events_are_recorded_at_any_level() {
    let events = recorded(|| {
        info!(target: "telemetry", name = "export", kind = "feature.used", format = "pdf", pages = 3, draft = true);
        tracing::trace!(target: "telemetry", name = "traced", kind = "own.kind", size = ?Some(1.5), by = %"me");
        info!(name = "unmarked", "no");
        info!(target: "telemetry::inner", name = "unmarked");
        info!(target: "Telemetry", name = "unmarked");
        let _span = info_span!("unmarked").entered();
    });
    assert_eq!(names(&events), ["export", "traced"]);
    assert_eq!((&events[0]["type"], &events[1]["type"]), (&json!("feature.used"), &json!("own.kind")));
    assert_eq!(events[0]["metadata"], json!({"format": "pdf", "pages": "3", "draft": "true"}));
    assert_eq!(events[1]["metadata"], json!({"size": "Some(1.5)", "by": "me"}));
    assert!(
        events.iter().all(|event| event.get("exit_code").is_none() && event.get("duration_ms").is_none())
    );
}

#[test]
fn an_event_without_a_name_hides_its_place() {
    let events = recorded(|| {
        info!(name: "given", target: "telemetry", "a message");
        info!(target: "telemetry", kind = "update.check");
        info!(target: "telemetry", "a message alone");
        info!(target: "telemetry", name = "timed", duration_ms = 12, exit_code = 3u8);
        info!(target: "telemetry", name = "odd", duration_ms = "long", exit_code = ?None::<i32>);
    });
    assert_eq!(names(&events), ["given", "update.check", "feature.used", "timed", "odd"]);
    assert!(events.iter().all(|event| !event.to_string().contains("layer.rs")));
    assert_eq!((&events[3]["duration_ms"], &events[3]["exit_code"]), (&json!(12), &json!(3)));
    assert_eq!(events[4]["metadata"], json!({"duration_ms": "long", "exit_code": "None"}));
}

#[test]
fn a_marked_span_is_a_command_with_its_duration() {
    let events = extended(|| {
        let span =
            info_span!(target: "telemetry", "build", exit_code = Empty, profile = "debug", crates = Empty);
        span.in_scope(|| std::thread::sleep(Duration::from_millis(30)));
        std::thread::sleep(Duration::from_millis(30));
        span.record("crates", 3);
        span.record("crates", 4);
        span.record("exit_code", 2);
        drop(span.clone());
        info!(target: "telemetry", name = "before the close");
        drop(span);
        let span = info_span!(target: "telemetry", "failed", error = Empty);
        span.record("error", tracing::field::display("no such file"));
        drop(span);
        drop(info_span!(target: "telemetry", "own name", name = "named", kind = "job.run", duration_ms = 5));
    });
    assert_eq!(
        ends(&events),
        [
            ("feature.used", "before the close", None, None),
            ("command.invocation", "build", Some(2), None),
            ("command.error", "failed", Some(1), Some("no such file")),
            ("job.run", "named", None, None),
        ]
    );
    assert_eq!(events[1]["metadata"], json!({"profile": "debug", "crates": "4"}));
    let taken = events[1]["duration_ms"].as_u64().expect("timed");
    assert!((60..10_000).contains(&taken), "{taken}");
    assert!(events[3]["duration_ms"].is_u64() && events[3].get("metadata").is_none());
}

#[test]
fn a_span_that_a_panic_ends_is_a_failed_command() {
    let events = extended(|| {
        let thrown = catch_unwind(|| {
            let _outer = info_span!(target: "telemetry", "outer", exit_code = 0).entered();
            let _inner = info_span!(target: "telemetry", "inner", error = "told").entered();
            panic!("thrown on purpose");
        });
        assert!(thrown.is_err());
    });
    assert_eq!(
        ends(&events),
        [
            ("command.error", "inner", Some(101), Some("told")),
            ("command.error", "outer", Some(101), Some("panicked")),
        ]
    );
}

#[test]
fn a_span_with_a_panic_has_failed_unless_it_says_otherwise() {
    let events = extended(|| {
        for caught in [false, true] {
            // As an async runtime does with a task.
            let span = info_span!(target: "telemetry", "task", exit_code = Empty);
            let thrown = catch_unwind(AssertUnwindSafe(|| span.in_scope(|| panic!("thrown on purpose"))));
            assert!(thrown.is_err());
            span.in_scope(|| {});
            if caught {
                span.record("exit_code", 4);
            }
        }
    });
    assert_eq!(
        ends(&events),
        [
            ("command.error", "task", Some(101), Some("panicked")),
            ("command.invocation", "task", Some(4), None),
        ]
    );
}

#[test]
fn a_span_inside_another_panic_has_not_failed() {
    struct CleansUp;
    impl Drop for CleansUp {
        fn drop(&mut self) {
            let _span = info_span!(target: "telemetry", "cleanup").entered();
        }
    }
    let events = recorded(|| {
        let thrown = catch_unwind(|| {
            let _cleans_up = CleansUp;
            panic!("thrown on purpose");
        });
        assert!(thrown.is_err());
    });
    assert_eq!(ends(&events), [("command.invocation", "cleanup", Some(0), None)]);
}

#[test]
fn spans_inside_one_another_are_an_event_each() {
    let events = recorded(|| {
        let _outer = info_span!(target: "telemetry", "outer", which = 1).entered();
        let _between = info_span!("between").entered();
        let _inner = info_span!(target: "telemetry", "inner", which = 2).entered();
        info!(target: "telemetry", name = "innermost");
        std::thread::sleep(Duration::from_millis(5));
    });
    assert_eq!(names(&events), ["innermost", "inner", "outer"]);
    assert_eq!(
        (&events[1]["metadata"]["which"], &events[2]["metadata"]["which"]),
        (&json!("2"), &json!("1"))
    );
    assert!(events[0].get("metadata").is_none());
    let [inner, outer] = [1, 2].map(|at| events[at]["duration_ms"].as_u64().expect("timed"));
    assert!(5 <= inner && inner <= outer, "{inner} {outer}");
}

#[test]
fn secrets_messages_and_arguments_do_not_get_through() {
    let run = || {
        info!(
            target: "telemetry",
            name = "login token=abcdef",
            password = "hunter2",
            url = %"https://me:hunter2@host/",
            args = ?["--key", "hunter2"],
            error = "login with password=hunter2 failed",
            "logged in with hunter2 at /home/me"
        );
        let span = info_span!(target: "telemetry", "login", token = Empty, args = Empty, error = Empty);
        span.record("token", "hunter2");
        span.record("args", "hunter2");
        span.record("error", "login with password=hunter2 failed");
    };
    let events = recorded(run);
    let text = format!("{events:?}");
    assert!(events.len() == 2 && !text.contains("hunter2") && !text.contains("/home"), "{text}");
    assert!(events.iter().all(|event| event.get("error").is_none()), "{text}");
    assert_eq!(events[0]["name"], "login token=[redacted]");
    assert_eq!(events[0]["metadata"], json!({"password": "[redacted]", "url": "https://[redacted]@host/"}));
    assert_eq!(events[1]["type"], "command.error");
    for event in extended(run) {
        assert_eq!(event["error"], "login with password=[redacted] failed");
    }
}

/// Counts how often it is formatted.
struct Counted<'a>(&'a AtomicU32);

impl fmt::Debug for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Ordering::Relaxed);
        f.write_str("counted")
    }
}

#[test]
fn without_both_consents_nothing_is_made_nor_even_formatted() {
    let formatted = AtomicU32::new(0);
    let silent = |name: &str, change: fn(Builder) -> Builder| {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = MemoryBackend::new();
        let telemetry = change(builder(folder.path())).backend("memory", memory.maker()).build();
        with_default(registry().with(telemetry.layer()), || {
            let span = info_span!(target: "telemetry", "span", a = ?Counted(&formatted), b = Empty);
            span.record("b", tracing::field::debug(Counted(&formatted)));
            info!(target: "telemetry", name = "event", a = ?Counted(&formatted));
        });
        telemetry.close();
        assert!(!folder.path().join("data").exists() && memory.events().is_empty(), "{name}");
        assert_eq!(formatted.load(Ordering::Relaxed), 0, "{name}");
    };
    silent("the author", |builder| builder.enabled(false));
    silent("the user", |builder| {
        builder.environment(|name: &str| (name == "DO_NOT_TRACK").then(|| OsString::from("1")))
    });
}

/// What a log would show.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("unharmed").clone()).expect("text")
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("unharmed").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn a_log_beside_it_sees_what_its_own_filter_lets_through() {
    let say = || {
        let _span = info_span!(target: "telemetry", "command").entered();
        info!(target: "telemetry", name = "event");
        info!("unmarked");
        tracing::debug!(target: "telemetry", name = "detail");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let telemetry = builder(folder.path()).backend("memory", memory.maker()).build();
    let (all, unmarked, first) = (Log::default(), Log::default(), Log::default());
    fn fmt<S>(log: &Log) -> tracing_subscriber::fmt::Layer<S, DefaultFields, Format, Log> {
        tracing_subscriber::fmt::layer().with_writer(log.clone())
    }
    let subscriber = registry()
        .with(fmt(&first).with_filter(filter_fn(|metadata| *metadata.level() <= Level::INFO)))
        .with(telemetry.layer())
        .with(fmt(&unmarked).with_filter(filter_fn(|metadata| metadata.target() != "telemetry")))
        .with(fmt(&all));
    with_default(subscriber, say);
    telemetry.flush(SOON);
    assert_eq!(names(&memory.events()), ["event", "detail", "command"]);
    let seen = |log: &Log| ["event", "unmarked", "detail"].map(|what| log.text().contains(what));
    assert_eq!(seen(&all), [true, true, true]);
    assert_eq!(seen(&unmarked), [false, true, false]);
    assert_eq!(seen(&first), [true, true, false]);
}

#[test]
fn two_instances_keep_to_themselves_in_two_subscribers_and_share_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let memories = [MemoryBackend::new(), MemoryBackend::new()];
    let [a, b] = [0, 1].map(|which| {
        let memory: &MemoryBackend = &memories[which];
        builder(&folder.path().join(which.to_string())).backend("memory", memory.maker()).build()
    });
    let say = |name: &str| {
        info!(target: "telemetry", name);
        let span = info_span!(target: "telemetry", "span", name, late = Empty);
        span.record("late", "yes");
    };
    with_default(registry().with(a.layer()), || {
        say("first");
        with_default(registry().with(b.layer()), || say("second"));
    });
    with_default(registry().with(a.layer()).with(b.layer()), || say("both"));
    a.flush(SOON);
    b.flush(SOON);
    let [of_a, of_b] = memories.map(|memory| memory.events());
    assert_eq!(names(&of_a), ["first", "first", "both", "both"]);
    assert_eq!(names(&of_b), ["second", "second", "both", "both"]);
    for span in [&of_a[1], &of_a[3], &of_b[1], &of_b[3]] {
        assert_eq!(span["metadata"], json!({"late": "yes"}));
    }
}

#[test]
fn many_threads_lose_and_mix_up_nothing() {
    const THREADS: usize = 8;
    const EACH: usize = 100;
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let telemetry = builder(folder.path()).backend("memory", memory.maker()).build();
    let dispatch = tracing::Dispatch::new(registry().with(telemetry.layer()));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let dispatch = &dispatch;
            scope.spawn(move || {
                tracing::dispatcher::with_default(dispatch, || {
                    for number in 0..EACH {
                        let span = info_span!(target: "telemetry", "span", thread, number = Empty);
                        span.in_scope(|| info!(target: "telemetry", name = "event", thread, number));
                        span.record("number", number);
                    }
                });
            });
        }
    });
    telemetry.flush(SOON);
    let events = memory.events();
    for name in ["span", "event"] {
        let mut seen: Vec<_> = events.iter().filter(|event| event["name"] == name).collect();
        seen.sort_by_key(|event| event["metadata"].to_string());
        assert_eq!(seen.len(), THREADS * EACH);
        seen.dedup_by_key(|event| &event["metadata"]);
        assert_eq!(seen.len(), THREADS * EACH);
    }
}

#[test]
fn a_subscriber_that_stays_does_not_keep_telemetry_from_being_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let build = || {
        let deliver = jackfield::Deliver::AtExit { within: SOON };
        builder(folder.path()).deliver(deliver).backend("memory", memory.maker()).build()
    };
    let telemetry = build();
    with_default(registry().with(telemetry.layer()), || {
        info!(target: "telemetry", name = "in time");
        drop(telemetry);
        assert_eq!(names(&memory.events()), ["in time"]);
        info!(target: "telemetry", name = "late");
    });
    assert_eq!(names(&memory.events()), ["in time"]);
    build().flush(SOON);
    assert_eq!(names(&memory.events()), ["in time", "late"]);
}

mod bridged {
    //! Records that do not come from a macro of the program: those of plugins, and of the crate `log`.

    use tracing::{
        Event, Level, Metadata,
        callsite::{Callsite, Identifier},
        field::FieldSet,
        metadata::Kind,
        subscriber::Interest,
    };

    struct Site;

    static SITE: Site = Site;
    static METADATA: Metadata<'static> = Metadata::new(
        "plugin log",
        "telemetry",
        Level::INFO,
        None,
        None,
        None,
        FieldSet::new(&["message"], Identifier(&SITE)),
        Kind::EVENT,
    );

    impl Callsite for Site {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            &METADATA
        }
    }

    #[test]
    fn the_record_of_a_plugin_is_not_telemetry_whatever_its_target() {
        let events = super::recorded(|| {
            let field = METADATA.fields().field("message").expect("declared");
            let value = "sent a batch";
            let values = [(&field, Some(&value as &dyn tracing::Value))];
            tracing::dispatcher::get_default(|dispatch| {
                let values = METADATA.fields().value_set(&values);
                let event = Event::new(&METADATA, &values);
                // One that asks first, and one that does not.
                if dispatch.enabled(&METADATA) {
                    dispatch.event(&event);
                }
                dispatch.event(&event);
            });
            tracing::info!(target: "telemetry", name = "marked");
        });
        assert_eq!(super::names(&events), ["marked"]);
    }
}
