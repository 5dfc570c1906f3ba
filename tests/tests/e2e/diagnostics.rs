//! Previews and probes, through the optional table of the ABI: what a preview shows is what arrives, and a probe says what
//! is so and delivers nothing.

use std::{fs, net::TcpListener, time::Instant};

use jackfield_loader::{
    Backend, Failure, Preview, PreviewError,
    plugin_api::{Outcome, Probe},
};
use jackfield_test_support::rerun;
use jackfield_tests::{
    c_fixture, fixture,
    peers::http::{HttpServer, REFUSED, Reply},
    plugin,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;
use serde_json::{Value, json};

use crate::{
    common::{MS, batch, load, open, options, scratch},
    vendor::{self, LONG, ago, event, full},
};

const SECRET: &str = "s3cret5ecret";

/// The plugins over HTTP with a configuration each for the server at this URL, which has a secret where it can have one,
/// and the path that their requests go to.
fn http_backends(url: &str) -> [(&'static str, Value, &'static str); 5] {
    [
        ("http", json!({"url": format!("{url}/in?key={SECRET}"), "bearer_token": SECRET}), "/in"),
        ("otlp", json!({"endpoint": url, "headers": {"x-api-key": SECRET}}), "/v1/logs"),
        (
            "otlp",
            json!({"endpoint": url, "protocol": "http/json", "headers": {"x-api-key": SECRET}}),
            "/v1/logs",
        ),
        ("datadog", json!({"url": url, "api_key": SECRET}), "/api/v2/logs"),
        ("posthog", json!({"host": url, "api_key": SECRET}), "/batch/"),
    ]
}

fn preview(backend: &Backend, events: &[Value]) -> Preview {
    backend.preview(&vendor::batch(events), LONG).unwrap_or_else(|error| panic!("{error}"))
}

/// A body with OTLP's observed times, which are those of the sending, set to zero.
fn without_observed_times(body: &[u8]) -> Option<ExportLogsServiceRequest> {
    let decoded = serde_json::from_slice(body).ok();
    let mut request = decoded.or_else(|| ExportLogsServiceRequest::decode(body).ok())?;
    for resource in &mut request.resource_logs {
        for record in resource.scope_logs.iter_mut().flat_map(|scope| &mut scope.log_records) {
            record.observed_time_unix_nano = 0;
        }
    }
    Some(request)
}

#[test]
fn the_plugins_say_that_they_offer_it() {
    for name in ["stdout", "file", "http", "otlp", "rabbitmq", "datadog", "posthog", "syslog"] {
        let offers = load(&plugin(name)).metadata().offers.clone();
        assert!(offers.iter().any(|offer| offer == "diagnostics"), "{name}: {offers:?}");
    }
}

#[test]
fn a_preview_over_http_is_what_the_server_gets() {
    for (name, at) in (0..5).map(|at| (http_backends("")[at].0, at)) {
        let server = HttpServer::start(Reply::status(200));
        let (_, config, path) = http_backends(&server.url(""))[at].clone();
        let backend = open(&plugin(name), &config);
        let events = [full(), event(2), event(3)];
        let shown = preview(&backend, &events);
        assert_eq!(server.served(), 0, "{name}: a preview sends nothing");
        vendor::assert_delivered(&vendor::send(&backend, &events));
        let received = server.received();
        assert_eq!((shown.messages.len(), received.len()), (1, 1), "{name}");
        let (message, received) = (&shown.messages[0], &received[0]);
        if name == "otlp" {
            assert_eq!(message.bytes.len(), received.body.len(), "{name}");
            let [shown, came] = [&message.bytes, &received.body].map(|body| without_observed_times(body));
            assert!(shown.is_some() && shown == came, "{name}: {shown:?}\n{came:?}");
        } else {
            assert_eq!(
                String::from_utf8_lossy(&message.bytes),
                String::from_utf8_lossy(&received.body),
                "{name}"
            );
        }
        let packed =
            if received.header("content-encoding") == Some("gzip") { "; shown before gzip" } else { "" };
        let form = received.header("content-type").expect("a type");
        assert_eq!(message.label, format!("POST {} ({form}{packed})", server.url(path)), "{name}");
        assert!(!format!("{shown:?}").contains(SECRET), "{name}: {shown:?}");
    }
}

#[test]
fn a_preview_divides_a_batch_as_send_does() {
    let server = HttpServer::start(Reply::status(202));
    let limits = json!({"max_events": 2, "max_body_bytes": 2000});
    let backend = open(&plugin("http"), &json!({"url": server.url("/"), "limits": limits}));
    let mut large = event(1);
    large["name"] = json!("x".repeat(3000));
    let events = [event(0), large, event(2), event(3), event(4)];
    let shown = preview(&backend, &events);
    let report = vendor::send(&backend, &events);
    let bodies: Vec<_> = server.received().into_iter().map(|received| received.body).collect();
    assert_eq!(
        shown.messages.iter().map(|message| &message.bytes).collect::<Vec<_>>(),
        bodies.iter().collect::<Vec<_>>()
    );
    assert_eq!(bodies.len(), 3);
    let [unsent] = &shown.unsent[..] else { panic!("{shown:?}") };
    assert_eq!((unsent.event, &unsent.outcome), (1, report.outcome(1)));
    assert!(matches!(&unsent.outcome, Outcome::Rejected { reason } if reason.contains("the limit is")));

    let datadog = open(&plugin("datadog"), &json!({"url": server.url(""), "api_key": SECRET}));
    let mut old = event(5);
    old["timestamp"] = json!(ago(30 * 60 * 60));
    let shown = preview(&datadog, &[old, event(6)]);
    assert_eq!((shown.messages.len(), shown.unsent.len(), shown.unsent[0].event), (1, 1, 0));
    let nothing = preview(&datadog, &[]);
    assert!(nothing.messages.is_empty() && nothing.unsent.is_empty());
}

/// What a probe of each plugin over HTTP is to find when the server says this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Reachable,
    Unreachable,
    Refused,
}

fn found(probe: &Probe) -> (Found, &str) {
    let (found, text) = match probe {
        Probe::Reachable(text) => (Found::Reachable, text),
        Probe::Unreachable(text) => (Found::Unreachable, text),
        Probe::Refused(text) => (Found::Refused, text),
        Probe::Unsupported(text) => panic!("it is supported: {text}"),
    };
    assert!(!text.is_empty() && !text.contains('\n') && !text.contains(SECRET), "{text}");
    (found, text)
}

#[test]
fn a_probe_over_http_is_judged_by_the_status() {
    use Found::{Reachable, Refused, Unreachable};
    for status in
        [200, 202, 204, 304, 400, 401, 403, 404, 405, 407, 409, 413, 422, 429, 431, 500, 502, 503, 504, 600]
    {
        let server = HttpServer::start(Reply::status(status));
        for (name, config, _) in http_backends(&server.url("")) {
            let vendors = matches!(name, "datadog" | "posthog");
            let expected = match status {
                200..=299 => Reachable,
                400 | 409 | 422 if vendors => Reachable,
                400 | 401 | 403 | 409 | 413 | 422 | 431 => Refused,
                _ => Unreachable,
            };
            let probe = open(&plugin(name), &config).probe(LONG);
            let (found, text) = found(&probe);
            assert_eq!(found, expected, "{name}, {status}: {text}");
            assert!(text.contains(&status.to_string()), "{name}: {text}");
        }
        let received = server.received();
        assert_eq!(received.len(), 5, "{status}");
        let bodies: Vec<_> =
            received.iter().map(|received| String::from_utf8_lossy(&received.body)).collect();
        assert_eq!(bodies[0], "[]");
        assert_eq!(bodies[1], "", "an empty ExportLogsServiceRequest");
        assert_eq!(bodies[2], r#"{"resourceLogs":[]}"#);
        assert_eq!(bodies[3], "[]");
        assert_eq!(received[4].json()["batch"], json!([]));
        assert_eq!(received[0].header("authorization"), Some(&*format!("Bearer {SECRET}")));
        assert_eq!(received[3].header("dd-api-key"), Some(SECRET));
    }
}

#[test]
fn a_probe_without_a_valid_answer_is_unreachable() {
    let away = HttpServer::start(Reply::redirect(302, "http://login.example/"));
    let gone = HttpServer::start(Reply::redirect(308, "http://elsewhere.example/"));
    let closes = HttpServer::start(Reply::close());
    for url in [away.url(""), gone.url(""), closes.url(""), REFUSED.trim_end_matches('/').to_owned()] {
        for (name, config, _) in http_backends(&url) {
            let probe = open(&plugin(name), &config).probe(LONG);
            let (found, text) = found(&probe);
            assert_eq!(found, Found::Unreachable, "{name} at {url}: {text}");
        }
    }
    let silent = HttpServer::start(Reply::silence());
    for (name, config, _) in http_backends(&silent.url("")) {
        let backend = open(&plugin(name), &config);
        let started = Instant::now();
        let probe = backend.probe(500 * MS);
        assert!(started.elapsed() < 5000 * MS, "{name}");
        assert!(found(&probe).1.contains("no answer within"), "{name}: {probe:?}");
    }
}

#[test]
fn a_200_with_a_refusing_body_is_not_reachable() {
    let probe_at = |name: &str, config: &Value| open(&plugin(name), config).probe(LONG);
    let page = HttpServer::start(Reply::status(200).body("<html>log in</html>"));
    let limited = HttpServer::start(Reply::status(200).body(r#"{"quota_limited":["events"]}"#));
    for (server, said) in [(&page, "no answer of PostHog"), (&limited, "billing limit")] {
        let probe = probe_at("posthog", &json!({"host": server.url(""), "api_key": SECRET}));
        assert!(matches!(&probe, Probe::Unreachable(text) if text.contains(said)), "{probe:?}");
    }
    let rejects =
        r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"wrong tenant s3cret5ecret"}}"#;
    let rejecting = HttpServer::start(Reply::status(200).body(rejects));
    let config =
        json!({"endpoint": rejecting.url(""), "protocol": "http/json", "headers": {"x-api-key": SECRET}});
    let probe = probe_at("otlp", &config);
    assert_eq!(found(&probe).0, Found::Refused);
    assert!(found(&probe).1.contains("wrong tenant ***"), "{probe:?}");
}

#[test]
fn a_preview_of_a_file_is_what_it_then_holds() {
    let (folder, path) = scratch("events.jsonl");
    let backend = open(&plugin("file"), &json!({"path": path}));
    let events = [full(), event(2)];
    let shown = preview(&backend, &events);
    assert_eq!(fs::read(&path).expect("made when it opens"), b"", "a preview writes nothing");
    assert!(matches!(backend.probe(LONG), Probe::Reachable(text) if text.contains("events.jsonl")));
    assert_eq!(fs::read(&path).expect("there"), b"", "a probe writes nothing");
    vendor::assert_delivered(&vendor::send(&backend, &events));
    let [message] = &shown.messages[..] else { panic!("{shown:?}") };
    assert_eq!(message.label, format!("append to {}", path.display()));
    assert_eq!(message.bytes, fs::read(&path).expect("there"));
    drop(folder);
    assert!(
        matches!(backend.probe(LONG), Probe::Unreachable(text) if text.contains("folder does not exist"))
    );
    let device = open(&plugin("file"), &json!({"path": "/dev/null"}));
    assert!(matches!(device.probe(LONG), Probe::Reachable(_)));
}

/// Writes what a preview shows to a file, then sends.
#[test]
#[ignore = "run by a_preview_of_standard_output_is_what_is_then_written"]
fn child_that_previews_and_sends() {
    let folder = std::env::var("JACKFIELD_TEST_FOLDER").expect("set");
    for format in ["pretty", "lines"] {
        let backend = open(&plugin("stdout"), &json!({"format": format}));
        let events = [full(), event(2)];
        let shown = preview(&backend, &events);
        let [message] = &shown.messages[..] else { panic!("{shown:?}") };
        assert_eq!(message.label, "write to standard output");
        fs::write(format!("{folder}/{format}"), &message.bytes).expect("writable");
        vendor::assert_delivered(&vendor::send(&backend, &events));
        assert!(matches!(backend.probe(LONG), Probe::Reachable(_)));
    }
}

#[test]
fn a_preview_of_standard_output_is_what_is_then_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = rerun("diagnostics::child_that_previews_and_sends")
        .env("JACKFIELD_TEST_FOLDER", folder.path())
        .output()
        .expect("runs");
    let written = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{written}{}", String::from_utf8_lossy(&output.stderr));
    for format in ["pretty", "lines"] {
        let shown = fs::read_to_string(folder.path().join(format)).expect("written");
        assert!(shown.contains("build-2") && shown.ends_with('\n'), "{shown}");
        assert_eq!(written.matches(&shown).count(), 1, "{format}: {shown}\nin:\n{written}");
    }
}

#[test]
fn misbehaviour_of_a_hostile_plugin_is_an_error_in_time() {
    let hostile = |way: &str| open(&fixture("hostile"), &json!({"diagnostics": way}));
    let shown = hostile("lines").preview(&batch(2), LONG).expect("well");
    let labels: Vec<_> = shown.messages.iter().map(|message| message.label.as_str()).collect();
    assert_eq!(labels, ["event\\n0", "event\\n1"], "labels are made one line");
    assert_eq!(shown.messages[1].bytes, batch(2).view().get(1).expect("two").json().as_bytes());

    for (way, part) in
        [("panic", "the plugin panicked"), ("refused", "hostile by configuration"), ("flood", "more than")]
    {
        let backend = hostile(way);
        let failed = backend.preview(&batch(1), LONG).expect_err(way).to_string();
        assert!(failed.contains(part), "{failed}");
        assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered), "{way}: it goes on");
    }
    let text = "hostile by configuration".to_owned();
    assert_eq!(hostile("reachable").probe(LONG), Probe::Reachable(text.clone()));
    assert_eq!(hostile("unreachable").probe(LONG), Probe::Unreachable(text.clone()));
    assert_eq!(hostile("refused").probe(LONG), Probe::Refused(text.clone()));
    assert_eq!(hostile("unsupported").probe(LONG), Probe::Unsupported(text));
    assert!(matches!(hostile("panic").probe(LONG), Probe::Unreachable(text) if text.contains("panicked")));

    for hang in [
        |backend: &Backend| backend.preview(&batch(1), 300 * MS).expect_err("it hangs").to_string(),
        |backend: &Backend| found(&backend.probe(300 * MS)).1.to_owned(),
    ] {
        let backend = hostile("hang");
        let started = Instant::now();
        assert!(hang(&backend).contains("no answer within"));
        assert!(started.elapsed() < 5000 * MS);
        let refused = hang(&backend);
        assert!(refused.contains("circuit open"), "{refused}");
    }
}

#[test]
fn a_plugin_without_the_table_is_unsupported() {
    for path in [fixture("minimal"), c_fixture("EXTRA_TABLE")] {
        let backend = Backend::open(&load(&path), &options(&json!({}))).expect("opens");
        assert_eq!(backend.preview(&batch(1), LONG), Err(PreviewError::Unsupported));
        assert!(matches!(backend.probe(LONG), Probe::Unsupported(text) if !text.is_empty()));
    }
    let closed = open(&fixture("hostile"), &json!({}));
    closed.close(1000 * MS).expect("closes");
    assert_eq!(closed.preview(&batch(1), LONG), Err(PreviewError::Failed(Failure::Closed)));
}

#[cfg(unix)]
mod rabbitmq {
    use jackfield_tests::peers::{
        free_port,
        rabbitmq::{broker, own_broker},
    };

    use super::*;

    fn backend(config: &Value) -> Backend {
        let options = options(config).timeout(LONG);
        Backend::open(&load(&plugin("rabbitmq")), &options).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_preview_is_what_arrives_in_the_queue() {
        let client = broker().client();
        client.queue("diagnostics-preview", &json!({}));
        let backend = backend(&json!({"url": broker().url(), "routing_key": "diagnostics-{tool_name}"}));
        let named = |n, tool: &str| {
            let mut event = event(n);
            event["tool_name"] = json!(tool);
            event
        };
        let events = [named(1, "preview"), named(2, &"x".repeat(300)), named(3, "preview")];
        let shown = preview(&backend, &events);
        assert_eq!(client.depth("diagnostics-preview"), 0, "a preview sends nothing");
        let report = vendor::send(&backend, &events);
        let arrived = client.take("diagnostics-preview");
        assert_eq!((shown.messages.len(), arrived.len()), (2, 2));
        for (message, arrived) in shown.messages.iter().zip(&arrived) {
            assert_eq!(message.bytes, arrived.json.as_bytes());
            let label = "publish to exchange \"\", routing key \"diagnostics-preview\" (application/json)";
            assert_eq!(message.label, label);
        }
        let [unsent] = &shown.unsent[..] else { panic!("{shown:?}") };
        assert_eq!((unsent.event, &unsent.outcome), (1, report.outcome(1)));
    }

    #[test]
    fn a_probe_checks_exchange_queue_and_permission() {
        let client = broker().client();
        client.queue("diagnostics-probe", &json!({}));
        client.topic("diagnostics-exchange", "diagnostics-probe", "#");
        let probe = |config: Value| {
            let mut config = config;
            config["url"] = json!(broker().url());
            backend(&config).probe(LONG)
        };
        for (config, expected, part) in [
            (json!({"queue": "diagnostics-probe"}), Found::Reachable, "queue `diagnostics-probe` is there"),
            (json!({"queue": "diagnostics-probe"}), Found::Reachable, "the user may publish"),
            (
                json!({"exchange": "diagnostics-exchange", "routing_key": "a"}),
                Found::Reachable,
                "exchange `diagnostics-exchange` is there, the user may publish",
            ),
            (
                json!({"exchange": "diagnostics-exchange", "routing_key": "{type}"}),
                Found::Reachable,
                "exchange `diagnostics-exchange` is there",
            ),
            (json!({"queue": "diagnostics-none"}), Found::Unreachable, "no queue 'diagnostics-none'"),
            (
                json!({"exchange": "diagnostics-none", "routing_key": "a"}),
                Found::Unreachable,
                "no exchange 'diagnostics-none'",
            ),
            (
                json!({"queue": "diagnostics-later", "declare": {"queue": "classic"}}),
                Found::Reachable,
                "queue `diagnostics-later` is not there yet",
            ),
            (
                json!({"exchange": "diagnostics-later", "routing_key": "a", "declare": {"exchange": "topic"}}),
                Found::Reachable,
                "exchange `diagnostics-later` is not there yet",
            ),
        ] {
            let probe = probe(config.clone());
            let (found, text) = found(&probe);
            assert_eq!(found, expected, "{config}: {text}");
            assert!(text.contains(part), "{config}: {text}");
        }
        assert!(client.take("diagnostics-probe").is_empty(), "a probe delivers nothing");
        let listed = broker().ctl(&["list_queues", "name"]);
        assert!(!listed.contains("diagnostics-later"), "a probe declares nothing: {listed}");
    }

    #[test]
    fn a_probe_tells_a_refusal_from_a_missing_broker() {
        let client = broker().client();
        client.queue("diagnostics-refused", &json!({}));
        broker().ctl(&["add_user", "diagnostics", SECRET]);
        broker().ctl(&["set_permissions", "diagnostics", "", "", ".*"]);
        let probe =
            |url: String, limit| backend(&json!({"url": url, "queue": "diagnostics-refused"})).probe(limit);
        let login = |user: &str, password: &str| {
            probe(format!("amqp://{user}:{password}@127.0.0.1:{}/%2f", broker().port()), LONG)
        };
        for (user, password, part) in [
            ("diagnostics", SECRET, "access to exchange 'amq.default' in vhost '/' refused"),
            ("diagnostics", "wr0ng", "the user name or the password is wrong"),
            ("nobody", SECRET, "the user name or the password is wrong"),
        ] {
            let probe = login(user, password);
            let (found, text) = found(&probe);
            assert_eq!(found, Found::Refused, "{text}");
            assert!(text.contains(part) && !text.contains("wr0ng"), "{text}");
        }
        broker().ctl(&["delete_user", "diagnostics"]);
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let silent = silent.local_addr().expect("bound").port();
        for (port, part) in [(free_port(), "Connection refused"), (silent, "")] {
            let probe = probe(format!("amqp://guest:guest@127.0.0.1:{port}"), 3000 * MS);
            let (found, text) = found(&probe);
            assert_eq!(found, Found::Unreachable, "{text}");
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_probe_of_a_blocked_broker_says_so() {
        let broker = own_broker();
        broker.client().queue("diagnostics-blocked", &json!({}));
        let backend = backend(&json!({"url": broker.url(), "queue": "diagnostics-blocked"}));
        vendor::assert_delivered(&vendor::send(&backend, &[event(1)]));
        broker.ctl(&["set_disk_free_limit", "1000000GB"]);
        let started = Instant::now();
        let probe = backend.probe(4 * LONG);
        broker.ctl(&["set_disk_free_limit", "50MB"]);
        let (found, text) = found(&probe);
        assert!(found == Found::Unreachable && text.contains("blocked by the broker"), "{text}");
        assert!(started.elapsed() < 2 * LONG, "{:?}", started.elapsed());
        vendor::assert_delivered(&vendor::send(&backend, &[event(2)]));
        assert!(matches!(backend.probe(LONG), Probe::Reachable(_)));
    }
}
