//! The plugin `otlp`: what a real collector receives, and what a scripted one's answers mean.

mod answers;
mod collector;
#[cfg(unix)]
mod environment;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use jackfield_loader::{Backend, Batch, EventFields, Report};
use jackfield_plugin_api::{Deletion, Outcome};
use jackfield_tests::{
    otlp::attribute,
    peers::{
        http::{HttpServer, REFUSED, Received, Reply},
        proxy::one_that_says,
        rotel::{LogRecord, Rotel},
    },
    plugin,
};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message as _;
use serde_json::json;

use crate::{
    common::{MS, batch, load, options},
    logs,
};

use answers::partial;

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

#[test]
fn the_option_alone_chooses_encoding_media_type_and_path() {
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

/// The ids of the events in a request.
pub(crate) fn ids(received: &Received) -> Vec<String> {
    attribute(received, "event.id")
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
fn a_grpc_port_is_reported_with_the_http_port() {
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
fn a_secret_that_the_server_repeats_is_concealed() {
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
    let server = HttpServer::start(partial("http/json", 1, "the tenant rejects it"));
    let headers = json!({"X-Token": "rejects"});
    let backend = open(&json!({"endpoint": server.url(""), "protocol": "http/json", "headers": headers}));
    let report = format!("{:?}", backend.send(&batch(1)));
    assert!(report.contains("the server rejects it: (not shown, because it repeats"), "{report}");
}

#[test]
fn a_deletion_request_is_an_event_and_called_a_request() {
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
