//! The plugin `otlp`: what a real collector receives, and what a scripted one's answers mean.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use jackfield_loader::{Backend, Batch, EventFields, Report};
use jackfield_plugin_api::{Deletion, Outcome};
use jackfield_tests::{
    peers::{
        http::{HttpServer, REFUSED, Received, Reply},
        proxy::one_that_says,
        rotel::{LogRecord, Rotel},
    },
    plugin,
};
use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse},
    common::v1::any_value::Value,
};
use prost::Message as _;
use serde_json::json;

use crate::{
    common::{MS, batch, load, options},
    logs,
};

const SECOND: Duration = Duration::from_secs(1);

fn open(config: &serde_json::Value) -> Backend {
    Backend::open(&load(&plugin("otlp")), &options(config)).unwrap_or_else(|error| panic!("{error}"))
}

/// A backend for a server's base URL.
fn open_at(endpoint: &str, protocol: &str) -> Backend {
    open(&json!({"endpoint": endpoint, "protocol": protocol}))
}

fn all_delivered(report: &Report) {
    for (at, outcome) in report.outcomes().enumerate() {
        assert_eq!(outcome, &Outcome::Delivered, "event {at}");
    }
}

/// How many warnings there were with this text.
fn warnings(text: &str) -> usize {
    logs::seen(text).iter().filter(|record| record.level == tracing::Level::WARN).count()
}

/// An event with fields that depend on its number, of one of three tools.
struct Owned {
    number: usize,
    id: String,
    name: String,
    tool: String,
    args: Vec<String>,
    metadata: Vec<(String, String)>,
}

fn owned(number: usize) -> Owned {
    Owned {
        number,
        id: format!("019a9d4e-0000-7000-8000-{number:012x}"),
        name: format!("n\u{e9}m {number}\nsecond line \"quoted\""),
        tool: format!("tool-{}", number % 3),
        args: (0..number % 4).map(|arg| format!("--arg={arg}, \\{number}")).collect(),
        metadata: (0..number % 3).map(|key| (format!("key{key}"), format!("value {number}"))).collect(),
    }
}

impl Owned {
    fn time(&self) -> i64 {
        1_767_323_045_000_000_000 + self.number as i64
    }
    fn duration(&self) -> Option<u64> {
        self.number.is_multiple_of(2).then_some(self.number as u64 * 1000)
    }
    fn exit_code(&self) -> Option<i64> {
        (!self.number.is_multiple_of(5)).then_some(self.number as i64 % 5 - 2)
    }
    fn error(&self) -> Option<&'static str> {
        self.number.is_multiple_of(7).then_some("it \u{2014} failed\nfor a reason")
    }

    /// What a collector has to show of it, from a plugin of this version.
    fn expected(&self, version: &str) -> LogRecord {
        let text = |text: &str| format!("Str({text})");
        let map = |pairs: Vec<(&str, String)>| {
            pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<BTreeMap<_, _>>()
        };
        let resource = map(vec![
            ("service.name", text(&self.tool)),
            ("service.version", text("1.2.3")),
            ("os.type", text("darwin")),
            ("os.version", text("14.1")),
            ("host.arch", text("arm64")),
            ("process.runtime.version", text("1.95")),
            ("deployment.environment.name", text("test")),
        ]);
        let mut attributes = map(vec![
            ("event.type", text("command.invocation")),
            ("event.name", text(&self.name)),
            ("event.id", text(&self.id)),
            ("machine.id", text("machine-1")),
        ]);
        let mut also = |key: &str, value: String| attributes.insert(key.to_owned(), value);
        if let Some(duration) = self.duration() {
            also("command.duration_ms", format!("Int({duration})"));
        }
        if let Some(code) = self.exit_code() {
            also("command.exit_code", format!("Int({code})"));
        }
        if !self.args.is_empty() {
            let args: Vec<String> = self.args.iter().map(|arg| text(arg)).collect();
            also("command.args", format!("Slice({})", args.join(", ")));
        }
        if let Some(error) = self.error() {
            also("exception.message", text(error));
        }
        for (key, value) in &self.metadata {
            also(&format!("metadata.{key}"), text(value));
        }
        let failed = self.error().is_some() || self.exit_code().is_some_and(|code| code != 0);
        let fields = map(vec![
            ("Timestamp", self.time().to_string()),
            ("SeverityText", if failed { "ERROR" } else { "INFO" }.to_owned()),
            (
                "SeverityNumber",
                if failed { "SEVERITY_NUMBER_ERROR(17)" } else { "SEVERITY_NUMBER_INFO(9)" }.to_owned(),
            ),
            ("EventName", "command.invocation".to_owned()),
            ("Body", text(&format!("command.invocation: {}", self.name))),
            ("Flags", "0".to_owned()),
        ]);
        let scope = format!("Jackfield {version}");
        LogRecord { resource, scope, fields, attributes }
    }
}

fn rich_batch(numbers: std::ops::Range<usize>) -> Batch {
    Batch::build(numbers.map(owned).collect::<Vec<_>>(), |events, writer| {
        for event in events {
            let args: Vec<&str> = event.args.iter().map(String::as_str).collect();
            let metadata: Vec<(&str, &str)> =
                event.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            writer.push(&EventFields {
                json: "{}",
                id: &event.id,
                timestamp: "2026-01-02T03:04:05Z",
                kind: "command.invocation",
                name: &event.name,
                machine_id: "machine-1",
                tool_name: &event.tool,
                tool_version: "1.2.3",
                os: "macos",
                arch: "aarch64",
                os_version: "14.1",
                runtime_version: "1.95",
                error: event.error(),
                args: (!args.is_empty()).then_some(&args),
                metadata: (!metadata.is_empty()).then_some(&metadata),
                time_unix_nanos: event.time(),
                duration_ms: event.duration(),
                exit_code: event.exit_code(),
            });
        }
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

fn by_id(records: Vec<LogRecord>) -> BTreeMap<String, LogRecord> {
    let count = records.len();
    let by_id: BTreeMap<_, _> =
        records.into_iter().map(|record| (record.attributes["event.id"].clone(), record)).collect();
    assert_eq!(by_id.len(), count, "no event comes twice");
    by_id
}

/// Sends events, in bodies of at most 40, and compares what comes out of a collector one by one and field by field.
fn events_arrive(protocol: &str, gzip: bool) {
    const EVENTS: usize = 130;
    let rotel = Rotel::start();
    let backend = open(&json!({
        "endpoint": rotel.endpoint(),
        "protocol": protocol,
        "gzip": gzip,
        "resource": {"deployment.environment.name": "test"},
        "limits": {"max_events": 40},
    }));
    let before = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    for numbers in [0..100, 100..EVENTS] {
        all_delivered(&backend.send_within(&rich_batch(numbers), 20 * SECOND));
    }
    backend.close(5 * SECOND).expect("closes");
    let version = load(&plugin("otlp")).metadata().version.clone();
    let mut received = by_id(rotel.records(EVENTS));
    for number in 0..EVENTS {
        let expected = owned(number).expected(version.as_raw());
        let id = &expected.attributes["event.id"];
        let mut record = received.remove(id).unwrap_or_else(|| panic!("{id} is missing"));
        let observed = record.fields.remove("ObservedTimestamp").expect("observed");
        let observed: u128 = observed.parse().expect("a number");
        assert!((before..before + 60_000_000_000).contains(&observed), "{observed}");
        assert_eq!(record, expected);
    }
    assert!(received.is_empty(), "nothing else: {received:?}");
}

#[test]
fn a_collector_receives_every_event_and_field_in_protobuf() {
    events_arrive("http/protobuf", false);
}

#[test]
fn a_collector_receives_every_event_and_field_in_compressed_protobuf() {
    events_arrive("http/protobuf", true);
}

#[test]
fn a_collector_receives_every_event_and_field_in_json() {
    events_arrive("http/json", false);
}

#[test]
fn a_collector_receives_every_event_and_field_in_compressed_json() {
    events_arrive("http/json", true);
}

#[test]
fn the_collector_of_these_tests_refuses_garbage() {
    let rotel = Rotel::start();
    let address = rotel.endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream
        .write_all(
            b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-protobuf\r\n\
            Content-Length: 7\r\n\r\ngarbage",
        )
        .expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("UTF-8");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_collector_that_is_not_there_is_a_retry_within_the_deadline_and_no_error() {
    let backend = open_at(REFUSED, "http/protobuf");
    let started = Instant::now();
    let report = backend.send(&batch(3));
    assert!(report.failure().is_none(), "{report:?}");
    assert!(
        matches!(report.uniform(), Some(Outcome::Retry { reason, .. }) if reason.contains("connection refused")),
        "{report:?}"
    );
    assert!(started.elapsed() < 5 * SECOND);

    let silent = HttpServer::start(Reply::silence());
    let backend = open_at(&silent.url(""), "http/json");
    let started = Instant::now();
    let report = backend.send_within(&batch(3), SECOND);
    assert!(report.failure().is_none(), "the plugin answers before the guard has to: {report:?}");
    assert!(matches!(report.uniform(), Some(Outcome::Retry { .. })), "{report:?}");
    assert!(started.elapsed() < 3 * SECOND);
}

#[test]
fn it_closes_twice_and_when_nothing_was_sent() {
    let backend = open_at(REFUSED, "http/protobuf");
    backend.close(SECOND).expect("closes");
    backend.close(SECOND).expect("closes again");

    let server = HttpServer::start(Reply::status(200));
    let backend = open_at(&server.url(""), "http/protobuf");
    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered));
    backend.close(SECOND).expect("closes");
    backend.close(SECOND).expect("closes again");
}

#[test]
fn the_option_alone_chooses_encoding_and_media_type_and_the_path_is_that_of_logs() {
    let server = HttpServer::start(Reply::status(200));
    for (base, protocol, path) in [
        ("", "http/protobuf", "/v1/logs"),
        ("/otlp/", "http/json", "/otlp/v1/logs"),
        ("/v1/logs", "http/protobuf", "/v1/logs"),
    ] {
        let backend = open(&json!({
            "endpoint": server.url(base), "protocol": protocol, "headers": {"X-Tenant": "blue"},
        }));
        assert_eq!(backend.send(&batch(2)).uniform(), Some(&Outcome::Delivered));
        let received = server.received().pop().expect("a request");
        assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", path));
        assert_eq!(received.header("x-tenant"), Some("blue"));
        assert!(received.header("user-agent").is_some_and(|agent| agent.starts_with("jackfield-otlp/")));
        let media_type = received.header("content-type");
        assert_eq!(
            media_type,
            Some(
                protocol
                    .replace("http/protobuf", "application/x-protobuf")
                    .replace("http/json", "application/json")
                    .as_str()
            )
        );
        assert_eq!(ids(&received), ["0", "1"]);
    }
}

/// The request that a body holds, in whichever encoding its media type says.
fn request(received: &Received) -> ExportLogsServiceRequest {
    match received.header("content-type") {
        Some("application/json") => serde_json::from_slice(&received.body).expect("OTLP's JSON"),
        _ => ExportLogsServiceRequest::decode(&*received.body).expect("OTLP's protobuf"),
    }
}

/// A text attribute of every record in a request.
fn attribute(received: &Received, name: &str) -> Vec<String> {
    let request = request(received);
    let records =
        request.resource_logs.iter().flat_map(|logs| &logs.scope_logs).flat_map(|logs| &logs.log_records);
    records
        .map(|record| {
            let found = record.attributes.iter().find(|pair| pair.key == name).expect(name);
            match found.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(Value::StringValue(text)) => text.clone(),
                other => panic!("{name}: {other:?}"),
            }
        })
        .collect()
}

/// The ids of the events in a request.
pub(crate) fn ids(received: &Received) -> Vec<String> {
    attribute(received, "event.id")
}

/// An answer with `partial_success` in this encoding.
fn partial(protocol: &str, rejected_log_records: i64, message: &str) -> Reply {
    let error_message = message.to_owned();
    if protocol == "http/json" {
        // 64 bits are text in protobuf's JSON.
        let partial =
            json!({"rejectedLogRecords": rejected_log_records.to_string(), "errorMessage": error_message});
        return Reply::status(200)
            .header("Content-Type", "application/json")
            .body(json!({"partialSuccess": partial}).to_string());
    }
    let partial_success = Some(ExportLogsPartialSuccess { rejected_log_records, error_message });
    Reply::status(200)
        .header("Content-Type", "application/x-protobuf")
        .body(ExportLogsServiceResponse { partial_success }.encode_to_vec())
}

#[test]
fn a_partial_success_is_never_sent_again_and_says_what_is_known() {
    logs::collect();
    for protocol in ["http/protobuf", "http/json"] {
        let send = |rejected, message: &str| {
            let server = HttpServer::start(partial(protocol, rejected, message));
            let backend = open_at(&server.url(""), protocol);
            let report = backend.send(&batch(3));
            assert_eq!(server.served(), 1, "one request, whatever it says");
            (report.uniform().expect("the same for all").clone(), server.address().to_string())
        };
        assert_eq!(send(0, "").0, Outcome::Delivered);

        let (outcome, host) = send(0, "slow down, please");
        assert_eq!(outcome, Outcome::Delivered);
        assert_eq!(warnings(&format!("{host}: the server warns: slow down, please")), 1);

        let (outcome, host) = send(3, "too old");
        assert_eq!(outcome, Outcome::rejected("the server rejects it: too old"));
        assert_eq!(warnings(&host), 0, "the outcome says it");

        let said = "the server rejects 2 of 3 events and took 1, and does not say which: too old";
        let (outcome, host) = send(2, "too old");
        assert_eq!(outcome, Outcome::rejected(said));
        assert_eq!(warnings(&format!("{host}: {said}")), 1);
    }
}

#[test]
fn with_one_event_a_request_a_partial_success_says_which() {
    for protocol in ["http/protobuf", "http/json"] {
        let server =
            HttpServer::script([Reply::status(200), partial(protocol, 1, "too old")], Reply::status(200));
        let backend = open(&json!({
            "endpoint": server.url(""), "protocol": protocol, "limits": {"max_events": 1},
        }));
        let report = backend.send(&batch(3));
        let outcomes: Vec<_> = report.outcomes().cloned().collect();
        let rejected = Outcome::rejected("the server rejects it: too old");
        assert_eq!(outcomes, [Outcome::Delivered, rejected, Outcome::Delivered]);
    }
}

#[test]
fn an_answer_that_says_yes_and_then_makes_no_sense_is_a_yes() {
    for reply in [
        Reply::status(200).body("<html>ok</html>"),
        Reply::status(202).body("{\"partialSuccess\":"),
        Reply::status(200).body("x".repeat(1000)).cut(),
        Reply::status(204),
    ] {
        let server = HttpServer::start(reply.clone());
        let report = open_at(&server.url(""), "http/protobuf").send(&batch(3));
        assert_eq!(report.uniform(), Some(&Outcome::Delivered), "{reply:?}");
    }
}

#[test]
fn only_what_the_protocol_names_is_a_retry() {
    for (status, retry) in [
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (408, false),
        (413, false),
        (429, true),
        (500, false),
        (501, false),
        (502, true),
        (503, true),
        (504, true),
        (505, false),
    ] {
        let server = HttpServer::start(Reply::status(status).header("Retry-After", "7").body("because"));
        let report = open_at(&server.url(""), "http/protobuf").send(&batch(1));
        match report.outcome(0) {
            Outcome::Retry { after, reason } => {
                assert!(retry, "{status}");
                assert_eq!(*after, Some(7 * SECOND), "{status}");
                assert!(reason.contains(&status.to_string()) && reason.contains("because"), "{reason}");
            }
            Outcome::Rejected { reason } => {
                assert!(!retry && reason.contains(&status.to_string()), "{status}: {reason}");
            }
            other => panic!("{status}: {other:?}"),
        }
        assert_eq!(server.served(), 1, "{status}: the host alone tries again");
    }
}

#[test]
fn a_body_that_is_too_large_is_halved_and_the_one_event_that_is_is_rejected() {
    for protocol in ["http/protobuf", "http/json"] {
        let server = HttpServer::start(Reply::with(|received| {
            let ids = ids(received);
            let large = ids.len() > 2 || ids.contains(&"5".to_owned());
            Reply::status(if large { 413 } else { 200 })
        }));
        let report = open_at(&server.url(""), protocol).send(&batch(8));
        for (at, outcome) in report.outcomes().enumerate() {
            let rejected = matches!(outcome, Outcome::Rejected { reason } if reason.contains("413"));
            assert_eq!(rejected, at == 5, "{at}: {outcome:?}");
        }
    }
}

#[test]
fn no_body_is_larger_than_its_limit() {
    for protocol in ["http/protobuf", "http/json"] {
        let server = HttpServer::start(Reply::status(200));
        let backend = open(&json!({
            "endpoint": server.url(""), "protocol": protocol, "limits": {"max_body_bytes": 4000},
        }));
        all_delivered(&backend.send(&rich_batch(0..60)));
        let received = server.received();
        assert!(received.len() > 3, "{} requests", received.len());
        assert!(received.iter().all(|request| request.body.len() <= 4000));
        assert!(received.iter().any(|request| request.body.len() > 2500), "and not for nothing");
        let mut all: Vec<String> = received.iter().flat_map(ids).collect();
        all.sort();
        assert_eq!(all, (0..60).map(|number| owned(number).id).collect::<Vec<_>>());
    }
}

#[test]
fn an_endpoint_that_can_be_none_is_refused_at_open() {
    let long = format!("http://h/{}", "x".repeat(2048));
    for (endpoint, reason) in [
        ("", "is empty"),
        ("collector:4318", "has no scheme; write http:// or https://"),
        ("localhost", "has no scheme"),
        ("grpc://collector:4317", "`grpc`; expected http or https"),
        ("file:///etc/passwd", "`file`"),
        ("http://", "is no URL"),
        ("http://user:hunter2@collector", "a user name or a password"),
        ("http://collector/#hunter2", "fragment"),
        ("http://collector/\u{7}", "control character"),
        ("http://collector/\r\nX-Hunter2: 1", "control character"),
        (&long, "expected at most 2048"),
    ] {
        let error = Backend::open(&load(&plugin("otlp")), &options(&json!({"endpoint": endpoint})))
            .expect_err(endpoint)
            .to_string();
        assert!(error.contains("`endpoint`") && error.contains(reason), "{endpoint:?}: {error}");
        assert!(!error.to_lowercase().contains("hunter2") && !error.contains('\n'), "{error}");
    }
    for endpoint in ["http://collector.invalid", "https://collector.invalid:4317/base", "http://[::1]:4318"] {
        drop(open_at(endpoint, "http/protobuf"));
    }
}

#[test]
fn a_port_for_grpc_is_answered_with_the_one_for_http() {
    // The settings of HTTP/2, which such a server begins with.
    let address = one_that_says(b"\0\0\0\x04\0\0\0\0\0");
    let backend = open_at(&format!("http://{address}"), "http/protobuf");
    let report = backend.send(&batch(1));
    let Outcome::Retry { reason, .. } = report.outcome(0) else { panic!("{report:?}") };
    // Said before the request or in the middle of it, it is told in one way or another; the hint is there both times.
    assert!(reason.contains("at port 4318"), "{reason}");
}

#[test]
fn credentials_over_plain_http_are_warned_of_without_their_value() {
    logs::collect();
    for (endpoint, header, warned) in [
        ("http://plain-1.invalid", "Authorization", true),
        ("http://plain-2.invalid", "x-api-key", true),
        ("http://plain-3.invalid", "X-Scope-OrgID", false),
        ("https://plain-4.invalid", "Authorization", false),
    ] {
        let backend = open(&json!({"endpoint": endpoint, "headers": {header: "hunter2-value"}}));
        let host = endpoint.split_once("://").expect("a scheme").1;
        assert_eq!(warnings(&format!("credentials for {host} ")), usize::from(warned), "{endpoint} {header}");
        drop(backend);
    }
    drop(open(&json!({"endpoint": "http://127.0.0.1:1", "headers": {"Authorization": "hunter2-value"}})));
    assert_eq!(warnings("credentials for 127.0.0.1:1 "), 0, "loopback is no network");
    assert!(logs::seen("hunter2-value").is_empty());
}

#[test]
fn a_secret_that_the_server_repeats_is_in_no_reason_and_no_log() {
    logs::collect();
    const SECRET: &str = "hunter2-echoed";
    for (status, header) in [(400, "Authorization"), (503, "X-Team"), (200, "X-Team")] {
        let server = HttpServer::start(Reply::with(move |received| {
            let echo = received.header(&header.to_lowercase()).expect("the header").to_owned();
            match status {
                200 => partial("http/json", 1, &format!("{echo} is not welcome")),
                _ => Reply::status(status).body(format!("{echo} is not welcome")),
            }
        }));
        let backend = open(&json!({
            "endpoint": server.url(""), "protocol": "http/json", "headers": {header: SECRET},
        }));
        let report = format!("{:?}", backend.send(&batch(2)));
        assert!(report.contains("*** is not welcome") && !report.contains(SECRET), "{report}");
    }
    assert!(logs::seen(SECRET).is_empty());
}

#[test]
fn a_request_for_deletion_is_sent_as_an_event_and_called_a_request() {
    let event = Batch::build((), |(), writer| {
        writer.push(&EventFields {
            id: "d1",
            kind: "data.deletion_request",
            name: "deletion",
            machine_id: "machine-1",
            ..EventFields::default()
        });
        Ok::<_, Infallible>(())
    })
    .expect("infallible");
    for protocol in ["http/protobuf", "http/json"] {
        let ask = |reply: Reply| {
            let server = HttpServer::start(reply);
            let answer = open_at(&server.url(""), protocol).request_deletion("machine-1", &event, 5 * SECOND);
            (answer, server.received())
        };
        let (answer, received) = ask(Reply::status(200));
        assert!(matches!(&answer, Deletion::Sent(text) if text.contains("it is a request")), "{answer:?}");
        assert_eq!(received.len(), 1);
        assert_eq!(attribute(&received[0], "event.type"), ["data.deletion_request"]);
        assert_eq!(attribute(&received[0], "machine.id"), ["machine-1"]);

        let (answer, _) = ask(Reply::status(503).body("busy"));
        assert!(
            matches!(&answer, Deletion::Failed(text) if text.contains("503") && text.contains("busy")),
            "{answer:?}"
        );
        let (answer, _) = ask(partial(protocol, 1, "no such thing"));
        assert!(matches!(&answer, Deletion::Failed(text) if text.contains("no such thing")), "{answer:?}");
    }
    let answer = open_at(REFUSED, "http/json").request_deletion("machine-1", &event, 300 * MS);
    assert!(matches!(&answer, Deletion::Failed(text) if text.contains("connection refused")), "{answer:?}");
}
