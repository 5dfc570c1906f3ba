//! What the plugin `otlp` makes of events, as OpenTelemetry's own types read it.

use std::convert::Infallible;

use jackfield_loader::{Batch, EventFields};
use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
};
use prost::Message as _;

/// The encoder as it is in the plugin, whose library shows nobody its bodies.
#[allow(dead_code, unused_imports, reason = "a part of another crate")]
#[path = "../../../plugins/otlp/src/encode/mod.rs"]
mod encode;

use encode::{Encoder, Encoding};

const OBSERVED: u64 = 1_767_323_045_000_000_002;
const STRANGE: &str = "\"q\\ \n\r\t\u{1}\u{7f} é \u{1F980}";

fn batch(events: &[EventFields<'_, 'static>]) -> Batch {
    Batch::build((), |(), writer| {
        events.iter().for_each(|event| writer.push(event));
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

/// An event with everything in it.
fn full<'l>() -> EventFields<'l, 'static> {
    EventFields {
        id: "019a9d4e-0000-7000-8000-000000000001",
        timestamp: "2026-01-02T03:04:05.000000001Z",
        kind: "command.invocation",
        name: "build",
        machine_id: "m1",
        tool_name: "tool",
        tool_version: "1.2.3",
        os: "linux",
        arch: "x86_64",
        os_version: "6.1",
        runtime_version: "1.95",
        error: Some(STRANGE),
        args: Some(&["build", "", STRANGE]),
        metadata: Some(&[
            ("k", "v"),
            (STRANGE, ""),
            ("i", "-12"),
            ("u", "18446744073709551615"),
            ("f", "0.5"),
            ("t", "true"),
            ("b", "false"),
            ("digits", "7"),
        ]),
        time_unix_nanos: 1_767_323_045_000_000_001,
        duration_ms: Some(u64::MAX),
        exit_code: Some(-1),
        json: concat!(
            r#"{"id":"1","error":"e","host":"h\u0031","nested":{"a":[1.50,null]},"metadata":"#,
            r#"{"k":"v","i":-12,"u":18446744073709551615,"f":0.5,"t":"true","b":false,"digits":"7"}}"#
        ),
    }
}

fn text(value: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.into())) }
}

fn int(value: i64) -> AnyValue {
    AnyValue { value: Some(Value::IntValue(value)) }
}

fn pair(key: impl Into<String>, value: AnyValue) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value), key_strindex: 0 }
}

/// What [`full`] has to become.
fn full_record() -> LogRecord {
    let args = ["build", "", STRANGE].map(text).into();
    LogRecord {
        time_unix_nano: 1_767_323_045_000_000_001,
        observed_time_unix_nano: OBSERVED,
        severity_number: 17,
        severity_text: "ERROR".to_owned(),
        body: Some(text("command.invocation: build")),
        attributes: vec![
            pair("event.type", text("command.invocation")),
            pair("event.name", text("build")),
            pair("event.id", text("019a9d4e-0000-7000-8000-000000000001")),
            pair("machine.id", text("m1")),
            pair("command.duration_ms", int(i64::MAX)),
            pair("command.exit_code", int(-1)),
            pair("command.args", AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: args })) }),
            pair("exception.message", text(STRANGE)),
            pair("metadata.k", text("v")),
            pair(format!("metadata.{STRANGE}"), text("")),
            pair("metadata.i", int(-12)),
            // No signed integer can be so large.
            pair("metadata.u", AnyValue { value: Some(Value::DoubleValue(u64::MAX as f64)) }),
            pair("metadata.f", AnyValue { value: Some(Value::DoubleValue(0.5)) }),
            pair("metadata.t", text("true")),
            pair("metadata.b", AnyValue { value: Some(Value::BoolValue(false)) }),
            pair("metadata.digits", text("7")),
            pair("event.extra", text(r#"{"host":"h\u0031","nested":{"a":[1.50,null]}}"#)),
        ],
        event_name: "command.invocation".to_owned(),
        ..LogRecord::default()
    }
}

fn encoder(encoding: Encoding) -> Encoder {
    Encoder::new(encoding, "9.9", [("deployment.environment.name".to_owned(), "test".to_owned())])
}

/// The body of all events.
fn body(encoding: Encoding, batch: &Batch) -> Vec<u8> {
    let encoded = encoder(encoding).encode(&batch.view(), OBSERVED);
    let mut body = Vec::new();
    let entries: Vec<_> = encoded.iter().collect();
    encoded.shared.frame(&entries, &mut body);
    let records: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
    assert!(body.len() <= records + encoded.shared.overhead(batch.len()), "the limit of a body counts on it");
    body
}

/// The body of all events in either encoding, read.
fn read(batch: &Batch) -> ExportLogsServiceRequest {
    let protobuf = ExportLogsServiceRequest::decode(&*body(Encoding::Protobuf, batch)).expect("protobuf");
    let json: ExportLogsServiceRequest = serde_json::from_slice(&body(Encoding::Json, batch)).expect("JSON");
    assert_eq!(protobuf, json, "both encodings say the same");
    protobuf
}

#[test]
fn every_field_of_an_event_is_where_it_belongs() {
    let resource = Resource {
        attributes: vec![
            pair("service.name", text("tool")),
            pair("service.version", text("1.2.3")),
            pair("os.type", text("linux")),
            pair("os.version", text("6.1")),
            pair("host.arch", text("amd64")),
            pair("process.runtime.version", text("1.95")),
            pair("deployment.environment.name", text("test")),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "Jackfield".to_owned(),
        version: "9.9".to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_logs =
        ScopeLogs { scope: Some(scope), log_records: vec![full_record()], ..ScopeLogs::default() };
    let expected = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource),
            scope_logs: vec![scope_logs],
            ..ResourceLogs::default()
        }],
    };
    let batch = batch(&[full()]);
    assert_eq!(read(&batch), expected);
    assert_eq!(body(Encoding::Protobuf, &batch), expected.encode_to_vec(), "to the byte");
}

#[test]
fn json_is_as_the_specification_has_it() {
    let json: serde_json::Value =
        serde_json::from_slice(&body(Encoding::Json, &batch(&[full()]))).expect("JSON");
    let record = &json["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(record["timeUnixNano"], "1767323045000000001", "64 bits are text");
    assert_eq!(record["observedTimeUnixNano"], OBSERVED.to_string());
    assert_eq!(record["severityNumber"], 17, "an enumeration is a number");
    assert_eq!(record["eventName"], "command.invocation");
    let value = |key: &str| {
        let attributes = record["attributes"].as_array().expect("a list");
        attributes.iter().find(|pair| pair["key"] == key).expect(key)["value"].clone()
    };
    assert_eq!(value("command.exit_code"), serde_json::json!({"intValue": "-1"}));
    assert_eq!(value("exception.message"), serde_json::json!({"stringValue": STRANGE}));
    assert_eq!(value("command.args")["arrayValue"]["values"][1], serde_json::json!({"stringValue": ""}));
}

#[test]
fn what_an_event_does_not_have_is_left_out() {
    let least = EventFields { kind: "k", name: "n", id: "1", tool_name: "t", ..EventFields::default() };
    let before_1970 = EventFields { time_unix_nanos: -1, timestamp: "1969-12-31T23:59:59Z", ..least };
    let read = read(&batch(&[least, before_1970]));
    let logs = &read.resource_logs[0];
    let keys = |attributes: &[KeyValue]| {
        attributes.iter().map(|pair| pair.key.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        keys(&logs.resource.as_ref().expect("a resource").attributes),
        "service.name deployment.environment.name"
    );
    let records = &logs.scope_logs[0].log_records;
    assert_eq!(keys(&records[0].attributes), "event.type event.name event.id machine.id");
    assert_eq!(keys(&records[1].attributes), "event.type event.name event.id event.timestamp machine.id");
    assert!(records.iter().all(|record| record.time_unix_nano == 0 && record.severity_number == 9));
}

#[test]
fn an_error_or_a_nonzero_exit_code_is_severe() {
    let with = |error, exit_code| EventFields { error, exit_code, ..EventFields::default() };
    let events = [with(None, None), with(None, Some(0)), with(None, Some(3)), with(Some(""), Some(0))];
    let read = read(&batch(&events));
    let records = &read.resource_logs[0].scope_logs[0].log_records;
    let severities: Vec<_> = records.iter().map(|record| record.severity_text.as_str()).collect();
    assert_eq!(severities, ["INFO", "INFO", "ERROR", "ERROR"]);
}

#[test]
fn each_tool_has_a_resource_and_ordered_events() {
    let of = |tool_name, id| EventFields { tool_name, id, ..EventFields::default() };
    let events = [of("a", "1"), of("b", "2"), of("a", "3"), of("", "4"), of("b", "5")];
    let read = read(&batch(&events));
    let ids = |logs: &ResourceLogs| {
        let name = logs.resource.as_ref().expect("a resource").attributes[0].value.clone();
        let Some(Value::StringValue(name)) = name.and_then(|name| name.value) else { panic!("no name") };
        let ids = logs.scope_logs[0].log_records.iter().map(|record| {
            let id = record.attributes.iter().find(|pair| pair.key == "event.id").expect("an id");
            match id.value.as_ref().and_then(|id| id.value.as_ref()) {
                Some(Value::StringValue(id)) => id.clone(),
                other => panic!("{other:?}"),
            }
        });
        format!("{name}: {}", ids.collect::<Vec<_>>().join(" "))
    };
    let all: Vec<String> = read.resource_logs.iter().map(ids).collect();
    assert_eq!(all, ["a: 1 3", "b: 2 5", ": 4"]);
}

#[test]
fn lengths_of_one_to_four_bytes_are_right() {
    for length in [0, 1, 100, 127, 128, 129, 16_383, 16_384, 300_000, 2_097_152] {
        let long: &'static str = "x".repeat(length).leak();
        let event = EventFields {
            name: long,
            error: Some(long),
            args: Some(&[long, long]),
            metadata: Some(&[(long, long)]),
            tool_name: long,
            ..EventFields::default()
        };
        let read = read(&batch(&[event]));
        let again = body(Encoding::Protobuf, &batch(&[event]));
        assert_eq!(read.encode_to_vec(), again, "{length}");
    }
}
