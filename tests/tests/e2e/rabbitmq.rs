//! The plugin `rabbitmq` against real brokers. What arrives is taken out of the queue by plain lapin and compared.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    fs,
    net::TcpListener,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use jackfield_loader::{Backend, BackendOptions, Batch, EventFields, plugin_api::Deletion};
use jackfield_plugin_api::Outcome;
use jackfield_test_support::{rerun, wait_for};
use jackfield_tests::{
    peers::{
        free_port,
        rabbitmq::{Message, broker},
    },
    plugin,
};
use serde_json::{Value, json};

use crate::common::{MS, load};

/// The machine may be busy.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A name that no other test uses.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) struct Sample {
    pub(crate) id: String,
    name: String,
    json: String,
}

impl Sample {
    pub(crate) fn new(prefix: &str, n: usize) -> Self {
        let (id, name) = (format!("{prefix}-{n:06}"), format!("name-{}", n % 2));
        let json = format!(r#"{{"id":"{id}","type":"feature.used","name":"{name}","n":{n}}}"#);
        Self { id, name, json }
    }
}

/// 2026-01-02T03:04:05Z, and a bit.
const NANOS: i64 = 1_767_323_045_000_000_000 + 678_000_000;

fn batch(samples: Vec<Sample>) -> Batch {
    Batch::build(samples, |samples, writer| {
        for Sample { id, name, json } in samples {
            writer.push(&EventFields {
                json,
                id,
                name,
                kind: "feature.used",
                timestamp: "2026-01-02T03:04:05.678Z",
                machine_id: "machine-7",
                tool_name: "tool",
                tool_version: "1.2.3",
                os: "linux",
                arch: "x86_64",
                time_unix_nanos: NANOS,
                ..EventFields::default()
            });
        }
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

pub(crate) fn events(prefix: &str, count: usize) -> Batch {
    batch((0..count).map(|n| Sample::new(prefix, n)).collect())
}

fn try_open(config: &Value) -> Result<Backend, jackfield_loader::Error> {
    let options =
        BackendOptions::new("rabbit").config(config.to_string()).timeout(LONG).tool("e2e-tool", "1.2.3");
    Backend::open(&load(&plugin("rabbitmq")), &options)
}

pub(crate) fn open(config: &Value) -> Backend {
    try_open(config).unwrap_or_else(|error| panic!("{error}"))
}

/// The reason that every event is to be sent again for.
pub(crate) fn retry_reason(report: &jackfield_loader::Report) -> String {
    assert!(report.failure().is_none(), "{report:?}");
    match report.uniform().unwrap_or_else(|| report.outcome(0)) {
        Outcome::Retry { reason, .. } => {
            assert!(!reason.contains('\n'), "{reason}");
            reason.to_string()
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn delivered(report: &jackfield_loader::Report) -> usize {
    report.outcomes().filter(|outcome| **outcome == Outcome::Delivered).count()
}

pub(crate) fn assert_all_delivered(report: &jackfield_loader::Report) {
    assert!(report.failure().is_none(), "{report:?}");
    for outcome in report.outcomes() {
        assert_eq!(outcome, &Outcome::Delivered);
    }
}

/// How often each id has arrived.
pub(crate) fn by_id(messages: &[Message]) -> BTreeMap<&str, usize> {
    let mut ids = BTreeMap::new();
    for message in messages {
        *ids.entry(message.id.as_str()).or_default() += 1;
    }
    ids
}

pub(crate) fn assert_each_arrived_once(messages: &[Message], prefix: &str, count: usize) {
    assert_eq!(messages.len(), count);
    let ids = by_id(messages);
    for n in 0..count {
        let sample = Sample::new(prefix, n);
        assert_eq!(ids.get(sample.id.as_str()), Some(&1), "{}", sample.id);
    }
}

#[test]
fn the_default_exchange_delivers_every_field_and_property() {
    let client = broker().client();
    let queue = unique("arrive");
    client.queue(&queue, &json!({}));
    let backend = open(&json!({"url": broker().url(), "queue": queue}));
    assert_all_delivered(&backend.send(&events("a", 1500)));
    backend.close(LONG).expect("closes");
    let messages = client.take(&queue);
    assert_each_arrived_once(&messages, "a", 1500);
    let sent: HashMap<String, Sample> =
        (0..1500).map(|n| Sample::new("a", n)).map(|sample| (sample.id.clone(), sample)).collect();
    for message in &messages {
        let expected = Message {
            routing_key: queue.clone(),
            id: message.id.clone(),
            kind: "feature.used".to_owned(),
            app_id: "tool".to_owned(),
            content_type: "application/json".to_owned(),
            delivery_mode: Some(2),
            timestamp: Some(NANOS as u64 / 1_000_000_000),
            json: sent[&message.id].json.clone(),
        };
        assert_eq!(message, &expected);
    }
}

#[test]
fn closing_works_twice_and_when_nothing_was_sent() {
    let never_used = open(&json!({"url": "amqp://guest:guest@127.0.0.1:1", "queue": "q"}));
    never_used.close(LONG).expect("closes");
    never_used.close(LONG).expect("closes again");
    let client = broker().client();
    let queue = unique("close");
    client.queue(&queue, &json!({}));
    let used = open(&json!({"url": broker().url(), "queue": queue}));
    assert_all_delivered(&used.send(&events("a", 3)));
    used.close(LONG).expect("closes");
    used.close(LONG).expect("closes again");
    assert_eq!(used.send(&events("a", 1)).failure(), Some(&jackfield_loader::Failure::Closed));
}

#[test]
fn a_topic_exchange_gets_routing_keys_of_event_fields() {
    let client = broker().client();
    let (exchange, queue) = (unique("topic"), unique("bound"));
    client.queue(&queue, &json!({}));
    client.topic(&exchange, &queue, "telemetry.feature.used.#");
    let key = "telemetry.{type}.{tool_name}.{name}";
    let backend =
        open(&json!({"url": broker().url(), "exchange": exchange, "routing_key": key, "app_id": "other"}));
    assert_all_delivered(&backend.send(&events("a", 4)));
    let messages = client.take(&queue);
    assert_each_arrived_once(&messages, "a", 4);
    for message in messages {
        let n: Value = serde_json::from_str(&message.json).expect("JSON");
        let name = n["name"].as_str().expect("a text");
        assert_eq!(message.routing_key, format!("telemetry.feature.used.tool.{name}"));
        assert_eq!(message.app_id, "other");
    }
}

#[test]
fn an_exchange_is_declared_with_its_queue_and_bindings() {
    let client = broker().client();
    let (exchange, queue) = (unique("declared"), unique("declared"));
    let backend = open(&json!({
        "url": broker().url(), "exchange": exchange, "queue": queue, "routing_key": "t.{type}",
        "declare": {"exchange": "topic", "queue": "classic", "bindings": ["t.#"]},
    }));
    assert_all_delivered(&backend.send(&events("a", 10)));
    assert_each_arrived_once(&client.take(&queue), "a", 10);
}

#[test]
fn a_quorum_queue_and_a_stream_are_declared_and_filled() {
    let client = broker().client();
    for kind in ["quorum", "stream"] {
        let queue = unique(kind);
        let backend = open(&json!({"url": broker().url(), "queue": queue, "declare": {"queue": kind}}));
        assert_all_delivered(&backend.send(&events(kind, 1200)));
        backend.close(LONG).expect("closes");
        let messages = match kind {
            "stream" => client.read_stream(&queue, 1200),
            _ => client.take(&queue),
        };
        assert_each_arrived_once(&messages, kind, 1200);
        let listed = broker().ctl(&["list_queues", "name", "type"]);
        assert!(
            listed.lines().any(|line| line.contains(&queue) && line.contains(kind)),
            "{queue} is no {kind}:\n{listed}"
        );
    }
}

#[test]
fn a_passive_declaration_names_the_missing_queue() {
    let client = broker().client();
    let queue = unique("passive");
    let backend = open(&json!({"url": broker().url(), "queue": queue, "declare": {"queue": "passive"}}));
    let reason = retry_reason(&backend.send(&events("a", 5)));
    assert!(reason.starts_with("what `declare` expects is not there: "), "{reason}");
    assert!(reason.contains(&format!("no queue '{queue}'")), "{reason}");
    client.queue(&queue, &json!({}));
    assert_all_delivered(&backend.send(&events("a", 5)));
    assert_each_arrived_once(&client.take(&queue), "a", 5);
}

#[test]
fn a_queue_with_other_arguments_is_reported() {
    let client = broker().client();
    let queue = unique("inequivalent");
    client.queue(&queue, &json!({}));
    let backend = open(&json!({"url": broker().url(), "queue": queue, "declare": {"queue": "quorum"}}));
    let reason = retry_reason(&backend.send(&events("a", 1)));
    assert!(reason.starts_with("`declare` failed: ") && reason.contains("x-queue-type"), "{reason}");
}

#[test]
fn unroutable_events_alone_are_undelivered() {
    let client = broker().client();
    let queue = unique("there");
    client.queue(&queue, &json!({"x-queue-type": "quorum"}));
    // Even events go to the queue, odd ones to one that is not there.
    let samples = |prefix: &str| {
        let named = |n: usize| Sample {
            name: if n.is_multiple_of(2) { queue.clone() } else { format!("{queue}-not") },
            ..Sample::new(prefix, n)
        };
        batch((0..3000).map(named).collect())
    };
    let backend = open(&json!({"url": broker().url(), "routing_key": "{name}", "window": 64}));
    let report = backend.send(&samples("a"));
    assert!(report.failure().is_none());
    for (n, outcome) in report.outcomes().enumerate() {
        match outcome {
            Outcome::Delivered => assert!(n.is_multiple_of(2), "{n} can't have arrived"),
            Outcome::Retry { reason, .. } => {
                assert!(!n.is_multiple_of(2), "{n}: {reason}");
                assert_eq!(reason, &format!("unroutable: no queue is named `{queue}-not`"));
            }
            other => panic!("{n}: {other:?}"),
        }
    }
    let arrived = client.take(&queue);
    assert_eq!(by_id(&arrived).len(), 1500);
    assert_eq!(arrived.len(), 1500);
}

#[test]
fn an_exchange_without_a_binding_returns_the_events() {
    let client = broker().client();
    let (exchange, queue) = (unique("unbound"), unique("unbound"));
    client.queue(&queue, &json!({}));
    client.topic(&exchange, &queue, "only.this");
    let backend = open(&json!({"url": broker().url(), "exchange": exchange, "routing_key": "that"}));
    let reason = retry_reason(&backend.send(&events("a", 20)));
    assert_eq!(
        reason,
        format!("unroutable: no queue is bound to exchange `{exchange}` for routing key `that`")
    );
}

#[test]
fn an_event_larger_than_a_frame_arrives() {
    let client = broker().client();
    let queue = unique("large");
    client.queue(&queue, &json!({}));
    let backend = open(&json!({"url": broker().url(), "queue": queue}));
    let json = format!(r#"{{"id":"large","pad":"{}"}}"#, "x".repeat(3 << 20));
    let large = || Sample { id: "large".into(), name: "n".into(), json: json.clone() };
    assert_all_delivered(&backend.send(&batch(vec![large()])));
    assert_eq!(client.take(&queue)[0].json, json);
}

#[test]
fn a_routing_key_that_is_too_long_rejects_one_event() {
    let client = broker().client();
    let queue = unique("key");
    client.queue(&queue, &json!({}));
    let backend = open(&json!({"url": broker().url(), "routing_key": "{name}"}));
    let named = |name: &str, n| Sample { name: name.to_owned(), ..Sample::new("a", n) };
    let report = backend.send(&batch(vec![named(&queue, 0), named(&"k".repeat(300), 1), named(&queue, 2)]));
    assert_eq!(report.outcome(0), &Outcome::Delivered);
    assert!(
        matches!(report.outcome(1), Outcome::Rejected { reason } if reason.contains("300 bytes")),
        "{report:?}"
    );
    assert_eq!(report.outcome(2), &Outcome::Delivered);
}

#[test]
fn a_wrong_password_is_said_plainly_and_without_the_password() {
    let url = format!("amqp://guest:s3cret-passw0rd@127.0.0.1:{}/%2f", broker().port());
    let backend = open(&json!({"url": url, "queue": "q"}));
    let reason = retry_reason(&backend.send(&events("a", 3)));
    assert_eq!(
        reason,
        "access refused for user `guest` on vhost `/`: the user name or the password is wrong"
    );
}

#[test]
fn a_missing_permission_and_an_unknown_vhost_are_said_plainly_unless_they_repeat_the_password() {
    let user = unique("limited");
    broker().ctl(&["add_user", &user, "s3cret-passw0rd"]);
    broker().ctl(&["set_permissions", &user, "", "", ""]);
    let client = broker().client();
    let (exchange, queue) = (unique("forbidden"), unique("forbidden"));
    client.queue(&queue, &json!({}));
    client.topic(&exchange, &queue, "#");
    let login = format!("amqp://{user}:s3cret-passw0rd@127.0.0.1:{}", broker().port());
    let backend = open(&json!({"url": format!("{login}/%2f"), "exchange": exchange}));
    let reason = retry_reason(&backend.send(&events("a", 3)));
    assert!(reason.starts_with(&format!("access refused for user `{user}` on vhost `/`: ")), "{reason}");
    assert!(reason.contains(&exchange) && !reason.contains("s3cret"), "{reason}");
    // The broker's own sentence has the password in it.
    broker().ctl(&["change_password", &user, "refused"]);
    let login_by_word = login.replace("s3cret-passw0rd", "refused");
    let backend = open(&json!({"url": format!("{login_by_word}/%2f"), "exchange": exchange}));
    assert_eq!(
        retry_reason(&backend.send(&events("a", 3))),
        format!(
            "access refused for user `{user}` on vhost `/`: (not shown, because it repeats a credential)"
        )
    );
    broker().ctl(&["change_password", &user, "s3cret-passw0rd"]);
    let backend = open(&json!({"url": format!("{login}/elsewhere"), "queue": "q"}));
    let reason = retry_reason(&backend.send(&events("a", 3)));
    assert!(
        reason.starts_with(&format!("access refused for user `{user}` on vhost `elsewhere`: ")),
        "{reason}"
    );
}

#[test]
fn amqps_trusts_only_a_named_private_authority() {
    let broker = broker();
    let client = broker.client();
    let queue = unique("tls");
    client.queue(&queue, &json!({}));
    let config = |ca: Option<_>| json!({"url": broker.tls_url(), "queue": queue, "tls": {"ca_file": ca}});
    let trusting = open(&config(Some(broker.ca_file())));
    assert_all_delivered(&trusting.send(&events("a", 600)));
    trusting.close(LONG).expect("closes");
    for ca in [None, Some(broker.other_ca_file())] {
        let reason = retry_reason(&open(&config(ca)).send(&events("b", 1)));
        assert!(reason.contains("the server's certificate is of an unknown issuer; tls.ca_file"), "{reason}");
    }
    assert_each_arrived_once(&client.take(&queue), "a", 600);
}

#[test]
fn wrong_options_are_refused_by_key_without_the_password() {
    for (config, key, reason) in [
        (json!({"url": "amqp://u:s3cret@h"}), "queue", "name a queue"),
        (json!({"url": "amqp://u:s3cret@h:x", "queue": "q"}), "url", "is no URL"),
        (json!({"url": "amqp://u:s3cret@h", "routing_key": "{tool_nam}"}), "routing_key", "`{tool_name}`"),
        (json!({"url": "amqp://u:s3cret@h", "queue": "q", "windw": 1}), "windw", "unknown key"),
        (json!({"url": "amqp://u:s3cret@h", "queue": "q", "declare": {"quue": 1}}), "quue", "unknown key"),
        (json!({"url": "amqps://u:s3cret@h", "queue": "q", "tls": {"ca_file": "/no"}}), "tls.ca_file", "/no"),
    ] {
        let Err(error) = try_open(&config) else { panic!("opens with {config}") };
        let line = error.to_string();
        assert!(line.contains(key) && line.contains(reason), "{config}: {line}");
        assert!(!line.contains("s3cret"), "{line}");
    }
}

#[test]
fn eight_threads_share_one_connection() {
    let client = broker().client();
    let (queue, user) = (unique("threads"), unique("threads"));
    client.queue(&queue, &json!({}));
    broker().ctl(&["add_user", &user, "pw-of-threads"]);
    broker().ctl(&["set_permissions", &user, ".*", ".*", ".*"]);
    let url = format!("amqp://{user}:pw-of-threads@127.0.0.1:{}/%2f", broker().port());
    let config = json!({"url": url, "queue": queue});
    let options = BackendOptions::new("rabbit").config(config.to_string()).timeout(LONG).concurrency(8);
    let backend = Backend::open(&load(&plugin("rabbitmq")), &options).expect("opens");
    thread::scope(|scope| {
        for thread in 0..8 {
            let backend = &backend;
            scope.spawn(move || {
                for round in 0..5 {
                    assert_all_delivered(&backend.send(&events(&format!("{thread}-{round}"), 200)));
                }
            });
        }
    });
    let listed = broker().ctl(&["list_connections", "user"]);
    assert_eq!(listed.lines().filter(|line| line.trim() == user).count(), 1, "{listed}");
    let messages = client.take(&queue);
    assert_eq!((messages.len(), by_id(&messages).len()), (8000, 8000));
}

#[test]
fn a_deletion_request_is_an_event_of_that_type() {
    let client = broker().client();
    let queue = unique("deletion");
    client.queue(&queue, &json!({}));
    let request = |url: String| {
        let backend = open(&json!({"url": url, "queue": queue}));
        backend.request_deletion("machine-7", &events("deletion", 1), LONG)
    };
    let Deletion::Sent(text) = request(broker().url()) else { panic!("not sent") };
    assert!(text.contains("it is a request") && text.contains(&format!("queue `{queue}`")), "{text}");
    assert_each_arrived_once(&client.take(&queue), "deletion", 1);
    let port = free_port();
    assert_eq!(
        request(format!("amqp://guest:guest@127.0.0.1:{port}")),
        Deletion::Failed(format!("127.0.0.1:{port}: Connection refused"))
    );
}

/// Names of this process's threads that are the plugin's or lapin's.
#[cfg(target_os = "linux")]
fn plugin_threads() -> usize {
    let mut count = 0;
    for task in fs::read_dir("/proc/self/task").expect("readable").flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.starts_with("jackfield-amqp") || name.starts_with("lapin-io-loop") {
            count += 1;
        }
    }
    count
}

/// Opens, sends, loses connections and closes, in a process of its own.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by no_thread_is_left_after_close"]
fn child_that_counts_its_threads() {
    let (url, queue) = (
        std::env::var("JACKFIELD_TEST_URL").expect("set"),
        std::env::var("JACKFIELD_TEST_QUEUE").expect("set"),
    );
    assert_eq!(plugin_threads(), 0);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("bound").to_string();
    for (url, arrives) in [(url, true), (format!("amqp://guest:guest@{address}"), false)] {
        let backend = open(&json!({"url": url, "queue": queue}));
        for _ in 0..3 {
            let report = backend.send_within(&events("a", 10), if arrives { LONG } else { 500 * MS });
            assert_eq!(delivered(&report), if arrives { 10 } else { 0 });
        }
        assert!(plugin_threads() > 0);
        backend.close(LONG).expect("closes");
        wait_for("no thread is left", plugin_threads, |&threads| threads == 0);
    }
    eprintln!("no thread is left");
}

#[cfg(target_os = "linux")]
#[test]
fn no_thread_is_left_after_close() {
    let client = broker().client();
    let queue = unique("threads-gone");
    client.queue(&queue, &json!({}));
    let output = rerun("rabbitmq::child_that_counts_its_threads")
        .env("JACKFIELD_TEST_URL", broker().url())
        .env("JACKFIELD_TEST_QUEUE", &queue)
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("no thread is left"), "{said}");
}
