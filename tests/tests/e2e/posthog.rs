//! The plugin `posthog`, against a server of the tests, its body beside that of PostHog's own client package.

use std::{collections::BTreeSet, time::Duration};

use jackfield_loader::plugin_api::{Deletion, Outcome};
use jackfield_tests::peers::{
    http::{HttpServer, Received, Reply},
    python,
};
use serde_json::{Value, json};

use crate::vendor::{
    LONG, assert_delivered, assert_refused, assert_secret, backend, batch, event, events, full, id,
    rejection, send, with,
};

/// It must not be seen anywhere but in a request's body.
const KEY: &str = "phc_5ecre75ecre75ecre7";

/// What a server of PostHog says.
fn ok() -> Reply {
    Reply::status(200).header("Content-Type", "application/json").body(r#"{"status":1}"#)
}

fn config(server: &HttpServer) -> Value {
    json!({"api_key": KEY, "host": server.url("")})
}

/// The events of all requests, in order.
fn captured(received: &[Received]) -> Vec<Value> {
    received
        .iter()
        .flat_map(|request| request.json()["batch"].as_array().expect("an array").clone())
        .collect()
}

fn uuids(received: &[Received]) -> Vec<String> {
    captured(received).iter().map(|event| event["uuid"].as_str().expect("a UUID").to_owned()).collect()
}

/// Sends one event, and gives what came of it at the server.
fn sent(event: &Value) -> Value {
    let server = HttpServer::start(ok());
    assert_delivered(&send(&backend("posthog", &config(&server)), std::slice::from_ref(event)));
    captured(&server.received()).pop().expect("an event")
}

#[test]
fn every_field_of_an_event_is_in_what_posthog_gets() {
    let server = HttpServer::start(ok());
    let backend = backend("posthog", &config(&server));
    let event = full();
    assert_delivered(&send(&backend, std::slice::from_ref(&event)));
    let [request] = &server.received()[..] else { panic!("not one request") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/batch/"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    let properties = json!({
        "$lib": "jackfield",
        "$lib_version": env!("CARGO_PKG_VERSION"),
        "$geoip_disable": true,
        "$process_person_profile": false,
        "event_name": event["name"],
        "tool_name": "forge",
        "tool_version": "1.2.3+Build",
        "$os": "linux",
        "arch": "x86_64",
        "os_version": "12.4",
        "runtime_version": "rustc 1.89",
        "duration_ms": 1234,
        "exit_code": -7,
        "error": event["error"],
        "args": event["args"],
        "team": "core",
        "metadata_tool_name": "mine",
        "": "empty",
        "with.dot": "x",
        "pages": 12,
        "least": i64::MIN,
        "share": 0.5,
        "color": true,
        "text": "7",
        "extra": {"ticket": event["ticket"], "seen": "yes"},
    });
    assert_eq!(
        request.json(),
        json!({"api_key": KEY, "historical_migration": false, "batch": [{
            "uuid": id(1),
            "event": "command.invocation",
            "distinct_id": "m-4f1c",
            "properties": properties,
            "timestamp": event["timestamp"],
        }]})
    );
}

#[test]
fn gzip_can_be_off_and_a_migration_be_marked() {
    let server = HttpServer::start(ok());
    let options = json!({"gzip": false, "historical_migration": true});
    assert_delivered(&send(&backend("posthog", &with(config(&server), &options)), &events(1)));
    let [request] = &server.received()[..] else { panic!("not one request") };
    assert_eq!(request.header("content-encoding"), None);
    assert_eq!(request.json()["historical_migration"], true);
}

#[test]
fn an_id_that_is_no_uuid_becomes_one() {
    let change = |id: &str| sent(&with(event(1), &json!({"id": id})));
    let (first, again, other) = (change("evt-1"), change("evt-1"), change("evt-2"));
    // As Python's `uuid.uuid5(uuid.NAMESPACE_URL, "jackfield:event:evt-1")` has it.
    assert_eq!(first["uuid"], "b6906dfa-9a7b-5aac-bc69-bdc5cb504d62");
    assert_eq!((&first["uuid"], &first["properties"]["event_id"]), (&again["uuid"], &json!("evt-1")));
    assert_ne!(first["uuid"], other["uuid"]);
    assert_eq!(sent(&event(1))["properties"].get("event_id"), None);
}

#[test]
fn a_type_of_posthog_itself_is_renamed_and_kept() {
    for (kind, name) in
        [("$identify".to_owned(), "event_$identify".to_owned()), ("x".repeat(201), "x".repeat(200))]
    {
        let sent = sent(&with(event(1), &json!({"type": kind})));
        assert_eq!((&sent["event"], &sent["properties"]["event_type"]), (&json!(name), &json!(kind)));
    }
}

/// What becomes of metadata, key by key.
#[test]
fn metadata_overwrites_nothing_and_is_not_lost() {
    let table = [
        ("team", "team"),
        ("metadata", "metadata"),
        ("with space", "with space"),
        ("größe", "größe"),
        ("", ""),
        ("event_name", "metadata_event_name"),
        ("tool_name", "metadata_tool_name"),
        ("tool_version", "metadata_tool_version"),
        ("arch", "metadata_arch"),
        ("os", "metadata_os"),
        ("os_version", "metadata_os_version"),
        ("runtime_version", "metadata_runtime_version"),
        ("duration_ms", "metadata_duration_ms"),
        ("exit_code", "metadata_exit_code"),
        ("error", "metadata_error"),
        ("args", "metadata_args"),
        ("extra", "metadata_extra"),
        ("event_id", "metadata_event_id"),
        ("distinct_id", "metadata_distinct_id"),
        ("token", "metadata_token"),
        ("ip", "metadata_ip"),
        ("$ip", "metadata_$ip"),
        ("$os", "metadata_$os"),
        ("$set", "metadata_$set"),
        ("$geoip_disable", "metadata_$geoip_disable"),
        ("$process_person_profile", "metadata_$process_person_profile"),
        ("$lib", "metadata_$lib"),
        ("metadata_tool_name", "metadata_metadata_tool_name"),
        ("metadata_$ip", "metadata_metadata_$ip"),
    ];
    let plain = sent(&without_metadata(full()));
    let metadata: Value =
        table.iter().map(|(key, _)| (key.to_string(), json!(format!("value of {key}")))).collect();
    let sent = sent(&with(full(), &json!({"metadata": metadata})));
    let mut properties = sent["properties"].as_object().expect("an object").clone();
    for (key, property) in table {
        assert_eq!(properties.remove(property), Some(json!(format!("value of {key}"))), "{key}");
    }
    assert_eq!(Value::Object(properties), plain["properties"], "what is left is as it is without metadata");
}

fn without_metadata(mut event: Value) -> Value {
    event.as_object_mut().expect("an object").remove("metadata");
    event
}

#[test]
fn every_event_has_privacy_flags_and_no_address() {
    let server = HttpServer::start(ok());
    let backend = backend("posthog", &config(&server));
    let mut all = events(50);
    for event in &mut all[25..] {
        event["metadata"] =
            json!({"$ip": "10.0.0.1", "$geoip_disable": "false", "$process_person_profile": "true"});
    }
    assert_delivered(&send(&backend, &all));
    let request = batch(&[with(event(99), &json!({"type": "data.deletion_request"}))]);
    assert!(matches!(backend.request_deletion("m-4f1c", &request, LONG), Deletion::Sent(_)));
    let captured = captured(&server.received());
    assert_eq!(captured.len(), 51);
    for event in captured {
        let properties = &event["properties"];
        assert_eq!(properties["$geoip_disable"], true, "{event}");
        assert_eq!(properties["$process_person_profile"], false, "{event}");
        assert_eq!((properties.get("$ip"), properties.get("ip")), (None, None), "{event}");
    }
}

/// How a key of our body stands to the same key in the body of PostHog's own package.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Match {
    /// In both, with the same value.
    Same,
    /// In both; the values are the same moment.
    SameTime,
    /// In both; the values differ, for this reason.
    Differs(&'static str),
    /// In ours alone, for this reason.
    Ours(&'static str),
    /// In theirs alone, for this reason.
    Theirs(&'static str),
    /// In both, and compared by a table of its own.
    Within,
}

const BODY: &[(&str, Match)] = &[
    ("api_key", Match::Same),
    ("historical_migration", Match::Same),
    ("batch", Match::Within),
    ("sent_at", Match::Theirs("PostHog shifts timestamps by it, and an event may leave the spool days late")),
];

const EVENT: &[(&str, Match)] = &[
    ("uuid", Match::Same),
    ("event", Match::Same),
    ("distinct_id", Match::Same),
    ("timestamp", Match::SameTime),
    ("properties", Match::Within),
];

const PROPERTIES: &[(&str, Match)] = &[
    ("$geoip_disable", Match::Same),
    ("$process_person_profile", Match::Same),
    ("event_name", Match::Same),
    ("tool_name", Match::Same),
    ("tool_version", Match::Same),
    ("arch", Match::Same),
    ("os_version", Match::Same),
    ("runtime_version", Match::Same),
    ("duration_ms", Match::Same),
    ("exit_code", Match::Same),
    ("error", Match::Same),
    ("args", Match::Same),
    ("team", Match::Same),
    ("with.dot", Match::Same),
    ("$os", Match::Differs("the package writes the system of its own process over what it is given")),
    ("$lib", Match::Differs("each names itself")),
    ("$lib_version", Match::Differs("each names itself")),
    ("extra", Match::Ours("members of the JSON that the package knows nothing of")),
    ("$os_version", Match::Theirs("the system of the package's own process; ours is in os_version")),
    ("$os_distro", Match::Theirs("as $os_version")),
    ("$python_runtime", Match::Theirs("what the package runs in")),
    ("$python_version", Match::Theirs("what the package runs in")),
    ("$is_server", Match::Theirs("the package's word for not being a browser")),
];

/// Compares two objects by a table that has a row for each key of either.
fn compare(ours: &Value, theirs: &Value, table: &[(&str, Match)]) {
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let rows: BTreeSet<String> = table.iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(keys(ours).union(&keys(theirs)).cloned().collect::<BTreeSet<_>>(), rows, "a row for each key");
    for (key, expected) in table {
        let (a, b) = (ours.get(key), theirs.get(key));
        let holds = match expected {
            Match::Same => a.is_some() && a == b,
            Match::SameTime => time(a) == time(b),
            Match::Differs(_) => a.is_some() && b.is_some() && a != b,
            Match::Ours(_) => a.is_some() && b.is_none(),
            Match::Theirs(_) => a.is_none() && b.is_some(),
            Match::Within => a.is_some() && b.is_some(),
        };
        assert!(holds, "{key}: expected {expected:?}, found {a:?} in ours and {b:?} in theirs");
    }
}

fn time(value: Option<&Value>) -> jiff::Timestamp {
    value.and_then(Value::as_str).and_then(|text| text.parse().ok()).expect("a time")
}

#[test]
fn the_body_equals_that_of_posthogs_own_client() {
    let event = with(full(), &json!({"metadata": {"team": "core", "with.dot": "x"}}));
    let server = HttpServer::start(ok());
    assert_delivered(&send(&backend("posthog", &config(&server)), std::slice::from_ref(&event)));
    let given = json!({"api_key": KEY, "event": event}).to_string();
    let _ = python::run("posthog_capture", &[&server.url("")], &given);
    let [ours, theirs] = &server.received()[..] else { panic!("not two requests: {:?}", server.received()) };
    assert!(theirs.header("user-agent").is_some_and(|agent| agent.starts_with("posthog-python/")));
    assert_eq!((&ours.method, &ours.path), (&theirs.method, &theirs.path));
    for header in ["content-type", "content-encoding"] {
        assert_eq!(ours.header(header), theirs.header(header), "{header}");
    }
    let (ours, theirs) = (ours.json(), theirs.json());
    compare(&ours, &theirs, BODY);
    assert_eq!((ours["batch"][1].clone(), theirs["batch"][1].clone()), (Value::Null, Value::Null));
    let (ours, theirs) = (&ours["batch"][0], &theirs["batch"][0]);
    compare(ours, theirs, EVENT);
    compare(&ours["properties"], &theirs["properties"], PROPERTIES);
}

#[test]
fn an_event_without_a_machine_id_is_rejected() {
    let server = HttpServer::start(ok());
    let mut all = events(4);
    all[1]["machine_id"] = json!("");
    all[2]["machine_id"] = json!(" ");
    all[3]["machine_id"] = json!("m".repeat(201));
    let report = send(&backend("posthog", &config(&server)), &all);
    assert_eq!(report.outcome(0), &Outcome::Delivered);
    assert!(rejection(&report, 1).contains("no machine_id"));
    assert!(rejection(&report, 2).contains("no machine_id"));
    assert!(rejection(&report, 3).contains("201 characters"));
    assert_eq!(uuids(&server.received()), [id(0)]);
}

#[test]
fn events_arrive_once_and_in_order() {
    let server = HttpServer::start(ok());
    let backend = backend("posthog", &config(&server));
    for part in events(2500).chunks(500) {
        assert_delivered(&send(&backend, part));
    }
    assert_eq!(uuids(&server.received()), (0..2500).map(id).collect::<Vec<_>>());
    assert_eq!((server.served(), server.connections()), (5, 1));
}

#[test]
fn bodies_stay_below_twenty_megabytes() {
    let server = HttpServer::start(ok());
    let large: Vec<Value> =
        events(30).into_iter().map(|event| with(event, &json!({"error": "x".repeat(800_000)}))).collect();
    assert_delivered(&send(&backend("posthog", &config(&server)), &large));
    let received = server.received();
    let sizes: Vec<usize> = received.iter().map(|request| request.body.len()).collect();
    assert!(sizes.iter().all(|size| *size <= 20_000_000), "{sizes:?}");
    assert_eq!(received.len(), 2, "as many to a body as fit: {sizes:?}");
    assert_eq!(uuids(&received), (0..30).map(id).collect::<Vec<_>>());
}

#[test]
fn an_event_of_more_than_a_megabyte_is_rejected() {
    let server = HttpServer::start(ok());
    let mut all = events(3);
    all[1]["error"] = json!("x".repeat(1_000_000));
    let report = send(&backend("posthog", &config(&server)), &all);
    assert_eq!((report.outcome(0), report.outcome(2)), (&Outcome::Delivered, &Outcome::Delivered));
    assert!(rejection(&report, 1).contains("the limit is 1000000"));
    assert_eq!(uuids(&server.received()), [id(0), id(2)]);
}

#[test]
fn a_200_delivers_unless_its_body_says_otherwise() {
    for (reply, expected) in [
        (ok(), None),
        (Reply::status(200), None),
        (Reply::status(200).body(r#"{"status":"Ok","quota_limited":["recordings"]}"#), None),
        (
            Reply::status(200).body(r#"{"status":"Ok","quota_limited":["events"]}"#),
            Some((Some(3600), "billing limit")),
        ),
        (Reply::status(200).body("<html>log in</html>"), Some((Some(30), "no answer of PostHog"))),
        (Reply::status(200).body(r#"{"status":1}"#).cut(), Some((None, "cut off"))),
    ] {
        let server = HttpServer::start(reply.clone());
        let report = send(&backend("posthog", &config(&server)), &events(2));
        let outcome = report.uniform().unwrap_or_else(|| panic!("{report:?}"));
        match (outcome, expected) {
            (Outcome::Delivered, None) => {}
            (Outcome::Retry { after, reason }, Some((seconds, why))) => {
                assert_eq!(*after, seconds.map(Duration::from_secs), "{reply:?}");
                assert!(reason.contains(why), "{reason}");
            }
            _ => panic!("{reply:?}: {outcome:?}"),
        }
    }
}

#[test]
fn a_deletion_is_an_event_and_called_a_request() {
    let request = batch(&[with(event(1), &json!({"type": "data.deletion_request", "name": "deletion"}))]);
    let ask =
        |server: &HttpServer| backend("posthog", &config(server)).request_deletion("m-4f1c", &request, LONG);
    let server = HttpServer::start(ok());
    let Deletion::Sent(text) = ask(&server) else { panic!("not sent") };
    assert!(text.contains("it is a request"), "{text}");
    let event = &captured(&server.received())[0];
    assert_eq!((&event["event"], &event["distinct_id"]), (&json!("data.deletion_request"), &json!("m-4f1c")));

    for (reply, why) in [
        (Reply::status(401).body(format!("no such key {KEY}")), "401"),
        (Reply::status(200).body(r#"{"quota_limited":["events"]}"#), "billing limit"),
    ] {
        let Deletion::Failed(text) = ask(&HttpServer::start(reply)) else { panic!("sent") };
        assert!(text.contains(why) && !text.contains(KEY), "{text}");
    }
}

#[test]
fn a_wrong_option_is_refused_with_the_key() {
    for (config, expected) in [
        (json!({"api_key": KEY}), "expected \"us\" or \"eu\""),
        (json!({"api_key": KEY, "region": "asia"}), "expected `us` or `eu`"),
        (json!({"api_key": KEY, "region": "us", "host": "http://h"}), "expected one of the two"),
        (json!({"api_key": KEY, "host": format!("http://{KEY}@h")}), "user name or a password"),
        (json!({"api_key": format!("phx_{KEY}"), "region": "us"}), "personal key"),
        (json!({"api_key": KEY, "region": "us", "tls": {"ca_file": "/no/such/file"}}), "tls.ca_file"),
    ] {
        assert_refused("posthog", &config, expected, KEY);
    }
}

#[test]
fn the_api_key_is_in_no_outcome_and_no_log() {
    let replies = [
        Reply::status(401).body(format!("the key {KEY} is wrong")),
        Reply::status(503).body(format!("{{\"errors\":[\"{KEY}\"]}}")),
        Reply::status(200).body(format!("{{\"quota_limited\":[\"events\"],\"key\":\"{KEY}\"}}")),
        Reply::status(200).body(KEY),
        Reply::redirect(302, &format!("http://elsewhere.invalid/{KEY}")),
        Reply::close(),
    ];
    assert_secret("posthog", config, KEY, &replies);
}
