//! The plugin `datadog`, against a server of the tests and judged by Datadog's own client package.

use jackfield_loader::plugin_api::{Deletion, Outcome};
use jackfield_tests::peers::{
    http::{HttpServer, Received, Reply},
    python,
};
use serde_json::{Value, json};

use crate::vendor::{
    LONG, ago, assert_delivered, assert_refused, assert_secret, backend, batch, event, events, full, id,
    rejection, send, with,
};

/// It must not be seen anywhere but in a request's header.
const KEY: &str = "d0g5ecre7d0g5ecre7d0g5ecre7";

fn server() -> HttpServer {
    HttpServer::start(Reply::status(202).body("{}"))
}

fn config(server: &HttpServer) -> Value {
    json!({"api_key": KEY, "url": server.url("")})
}

/// The logs of all requests, in order.
fn logs_of(received: &[Received]) -> Vec<Value> {
    received.iter().flat_map(|request| request.json().as_array().expect("an array").clone()).collect()
}

fn ids(received: &[Received]) -> Vec<String> {
    logs_of(received).iter().map(|log| log["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn every_field_of_an_event_is_in_its_log() {
    let server = server();
    let backend = backend("datadog", &config(&server));
    let event = full();
    assert_delivered(&send(&backend, std::slice::from_ref(&event)));
    let [request] = &server.received()[..] else { panic!("not one request") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v2/logs"));
    assert_eq!(request.header("dd-api-key"), Some(KEY));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("jackfield-datadog/")));
    assert_eq!(
        request.json(),
        json!([{
            "message": format!("command.invocation: {}", event["name"].as_str().expect("text")),
            "ddsource": "jackfield",
            "ddtags": "event_type:command.invocation,tool_version:1.2.3_build,os:linux,arch:x86_64",
            "hostname": "m-4f1c",
            "service": "forge",
            "timestamp": event["timestamp"],
            "id": id(1),
            "type": "command.invocation",
            "name": event["name"],
            "tool_name": "forge",
            "tool_version": "1.2.3+Build",
            "os": "linux",
            "arch": "x86_64",
            "os_version": "12.4",
            "runtime_version": "rustc 1.89",
            "duration_ms": 1234,
            "duration": 1_234_000_000,
            "exit_code": -7,
            "error": {"message": event["error"]},
            "args": event["args"],
            "metadata": event["metadata"],
            "extra": {"ticket": event["ticket"], "seen": "yes"},
        }])
    );
}

#[test]
fn what_an_event_does_not_have_is_left_out() {
    let server = server();
    let backend = backend("datadog", &config(&server));
    let events = [
        json!({"id": "x", "type": "t", "name": "n"}),
        json!({"id": "y", "type": "t", "name": "n",
        "duration_ms": u64::MAX, "args": [], "exit_code": 0, "error": ""}),
    ];
    assert_delivered(&send(&backend, &events));
    let log = |id: &str| json!({"message": "t: n", "ddsource": "jackfield", "ddtags": "event_type:t", "id": id, "type": "t", "name": "n"});
    let rest = json!({"duration_ms": u64::MAX, "args": [], "exit_code": 0, "error": {"message": ""}});
    assert_eq!(logs_of(&server.received()), [log("x"), with(log("y"), &rest)]);
}

#[test]
fn service_source_tags_and_gzip_are_as_configured() {
    let server = server();
    for (tags, sent) in [
        (json!(["Env:Prod", "team:a,b", "plain"]), "env:prod,team:a_b,plain"),
        (json!({"env": "Prod", "team": "a b"}), "env:prod,team:a_b"),
        (json!([]), ""),
    ] {
        let options = json!({"service": "cli", "source": "forge-src", "tags": tags, "gzip": false});
        let backend = backend("datadog", &with(config(&server), &options));
        assert_delivered(&send(&backend, &[event(1)]));
        let request = server.received().pop().expect("a request");
        assert_eq!(request.header("content-encoding"), None);
        let log = &request.json()[0];
        assert_eq!((&log["service"], &log["ddsource"]), (&json!("cli"), &json!("forge-src")));
        assert_eq!(log["tool_name"], "forge", "the tool is kept beside the service");
        let all = log["ddtags"].as_str().expect("text");
        let own =
            all.strip_prefix("event_type:command.invocation,tool_version:1.2.3_build,os:linux,arch:x86_64");
        assert_eq!(own.expect("own tags first").trim_start_matches(','), sent);
    }
}

#[test]
fn every_log_is_accepted_by_datadogs_own_client_package() {
    let server = server();
    let old = json!({"old_events": "attribute", "tags": ["env:prod"]});
    let backend = backend("datadog", &with(config(&server), &old));
    let mut all = events(1200);
    all.extend([full(), json!({"id": "bare", "type": "t", "name": "n"})]);
    all[3]["timestamp"] = json!(ago(40 * 3600));
    assert_delivered(&send(&backend, &all));
    let machine = batch(&[with(event(9), &json!({"type": "data.deletion_request"}))]);
    assert!(matches!(backend.request_deletion("m-4f1c", &machine, LONG), Deletion::Sent(_)));
    let bodies: Vec<Value> = server.received().iter().map(Received::json).collect();
    assert_eq!(bodies.iter().map(|body| body.as_array().expect("an array").len()).sum::<usize>(), 1203);
    let judged = python::run("datadog_entries", &[], &json!(bodies).to_string());
    let judged: Vec<Value> = serde_json::from_str(&judged).expect("JSON");
    assert_eq!(judged, bodies, "the package would send what the plugin sent");
}

#[test]
fn datadogs_own_client_package_refuses_what_is_no_log() {
    for wrong in [
        json!([[{"ddtags": "a:b"}]]),
        json!([[{"message": 5}]]),
        json!([[{"message": "m", "ddtags": ["a:b"]}]]),
    ] {
        let judged = std::panic::catch_unwind(|| python::run("datadog_entries", &[], &wrong.to_string()));
        assert!(judged.is_err(), "{wrong} was accepted");
    }
}

#[test]
fn events_arrive_once_in_order_1000_to_a_request() {
    let server = server();
    let backend = backend("datadog", &config(&server));
    assert_delivered(&send(&backend, &events(2500)));
    let received = server.received();
    let counts: Vec<usize> =
        received.iter().map(|request| logs_of(std::slice::from_ref(request)).len()).collect();
    assert_eq!(counts, [1000, 1000, 500]);
    assert_eq!(ids(&received), (0..2500).map(id).collect::<Vec<_>>());
    assert_eq!(server.connections(), 1);
}

#[test]
fn bodies_stay_below_five_megabytes() {
    let server = server();
    let backend = backend("datadog", &config(&server));
    let large: Vec<Value> =
        events(30).into_iter().map(|event| with(event, &json!({"error": "x".repeat(400_000)}))).collect();
    assert_delivered(&send(&backend, &large));
    let received = server.received();
    let sizes: Vec<usize> = received.iter().map(|request| request.body.len()).collect();
    assert!(sizes.iter().all(|size| *size <= 5_000_000), "{sizes:?}");
    assert_eq!(received.len(), 3, "as many to a body as fit: {sizes:?}");
    assert_eq!(ids(&received), (0..30).map(id).collect::<Vec<_>>());
}

#[test]
fn an_event_of_more_than_a_megabyte_is_rejected() {
    let server = server();
    let backend = backend("datadog", &config(&server));
    let mut all = events(3);
    all[1]["error"] = json!("x".repeat(1_000_000));
    let report = send(&backend, &all);
    assert_eq!((report.outcome(0), report.outcome(2)), (&Outcome::Delivered, &Outcome::Delivered));
    let reason = rejection(&report, 1);
    assert!(reason.contains("the limit is 1000000"), "{reason}");
    assert_eq!(ids(&server.received()), [id(0), id(2)]);
}

#[test]
fn events_older_than_18_hours_follow_their_option() {
    let hour = 3600;
    let all: Vec<Value> = [1, 17, 19, 400]
        .iter()
        .enumerate()
        .map(|(n, hours)| with(event(n), &json!({"timestamp": ago(hours * hour)})))
        .collect();

    let server = server();
    let report = send(&backend("datadog", &config(&server)), &all);
    assert_eq!((report.outcome(0), report.outcome(1)), (&Outcome::Delivered, &Outcome::Delivered));
    assert!(
        rejection(&report, 2)
            .starts_with("the event is 19.0 hours old; Datadog takes events of up to 18 hours")
    );
    assert!(rejection(&report, 3).starts_with("the event is 400.0 hours old"));
    assert_eq!(ids(&server.received()), [id(0), id(1)]);

    let server = self::server();
    let attribute = with(config(&server), &json!({"old_events": "attribute"}));
    assert_delivered(&send(&backend("datadog", &attribute), &all));
    for (log, (event, old)) in
        logs_of(&server.received()).iter().zip(all.iter().zip([false, false, true, true]))
    {
        let (with_time, without) =
            if old { ("event_timestamp", "timestamp") } else { ("timestamp", "event_timestamp") };
        assert_eq!((&log[with_time], log.get(without)), (&event["timestamp"], None));
    }
}

#[test]
fn each_status_of_success_delivers() {
    for status in [200, 202, 204] {
        let server = HttpServer::start(Reply::status(status));
        assert_delivered(&send(&backend("datadog", &config(&server)), &events(1)));
    }
}

#[test]
fn a_deletion_is_an_event_and_called_a_request() {
    let server = server();
    let backend = backend("datadog", &config(&server));
    let request = batch(&[with(event(1), &json!({"type": "data.deletion_request", "name": "deletion"}))]);
    let Deletion::Sent(text) = backend.request_deletion("m-4f1c", &request, LONG) else { panic!("not sent") };
    assert!(text.contains("it is a request"), "{text}");
    let logs = logs_of(&server.received());
    assert_eq!((&logs[0]["type"], &logs[0]["hostname"]), (&json!("data.deletion_request"), &json!("m-4f1c")));

    let refusing = HttpServer::start(Reply::status(403).body(format!("no such key {KEY}")));
    let backend = self::backend("datadog", &config(&refusing));
    let Deletion::Failed(text) = backend.request_deletion("m-4f1c", &request, LONG) else { panic!("sent") };
    assert!(text.contains("403") && !text.contains(KEY), "{text}");
}

#[test]
fn a_wrong_option_is_refused_with_the_nearest_value() {
    for (options, expected) in [
        (json!({"site": "datadog.eu"}), "did you mean \"datadoghq.eu\"?"),
        (json!({"site": format!("{KEY}.com")}), "unknown site (expected one of"),
        (json!({"tags": 5}), "a list of tags"),
        (json!({"old_events": "drop"}), "expected `reject` or `attribute`"),
        (json!({"tags": ["12"]}), "tags[0]"),
        (json!({"url": "http://h", "site": "datadoghq.eu"}), "expected one of the two"),
        (json!({"tls": {"ca_file": "/no/such/file"}}), "tls.ca_file"),
        (json!({"api_kee": "x"}), "api_kee"),
    ] {
        let config = with(json!({"api_key": KEY}), &options);
        assert_refused("datadog", &config, expected, KEY);
    }
}

#[test]
fn the_api_key_is_in_no_outcome_and_no_log() {
    let replies = [
        Reply::status(403).body(format!("the key {KEY} is wrong")),
        Reply::status(503).body(format!("{{\"errors\":[\"{KEY}\"]}}")),
        Reply::redirect(302, &format!("http://elsewhere.invalid/{KEY}")),
        Reply::redirect(308, &format!("http://{KEY}.invalid/")),
        Reply::close(),
    ];
    assert_secret("datadog", config, KEY, &replies);
}
