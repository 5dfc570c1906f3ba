//! Encoding for OTLP, beside what OpenTelemetry's own exporter does with the same attributes.

use std::{
    convert::Infallible,
    hint::black_box,
    time::{Duration, SystemTime},
};

use jackfield_loader::{Batch, EventFields};
use opentelemetry::{
    InstrumentationScope, Key,
    logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity},
};
use opentelemetry_proto::{
    tonic::collector::logs::v1::ExportLogsServiceRequest,
    transform::{common::tonic::ResourceAttributesWithSchema, logs::tonic::group_logs_by_resource_and_scope},
};
use opentelemetry_sdk::{
    Resource,
    logs::{LogBatch, SdkLogRecord, SdkLoggerProvider},
};
use prost::Message as _;

use crate::rows::{Rows, median, time};

/// The plugin's encoder, as it is in the plugin: a `cdylib` can't be linked, and the library's door shows no bodies.
#[allow(dead_code, unused_imports, reason = "a part of another crate")]
#[path = "../../../plugins/otlp/src/encode/mod.rs"]
mod encode;

use encode::{Encoder, Encoding};

/// Events in a batch.
const EVENTS: usize = 100;
/// Rounds, each of which measures everything once, so that a slow spell of the machine hits all alike.
const ROUNDS: usize = 400;
const OBSERVED: u64 = 1_767_323_046_000_000_000;

struct Owned {
    json: String,
    id: String,
    name: String,
    time: i64,
    duration: u64,
    arguments: Vec<String>,
    metadata: Vec<(String, String)>,
}

fn owned() -> Vec<Owned> {
    (0..EVENTS)
        .map(|n| Owned {
            json: json(n),
            id: format!("019a9d4e-0000-7000-8000-{n:012x}"),
            name: format!("build-{}", n % 7),
            time: 1_767_323_045_000_000_000 + n as i64,
            duration: n as u64 * 13,
            arguments: vec!["--release".to_owned(), format!("--jobs={n}")],
            metadata: vec![
                ("edition".to_owned(), "2024".to_owned()),
                ("count".to_owned(), (n * 1000).to_string()),
            ],
        })
        .collect()
}

/// The line that an event came by, in which the encoder looks for members beyond those that every event may have.
fn json(n: usize) -> String {
    serde_json::json!({
        "id": format!("019a9d4e-0000-7000-8000-{n:012x}"), "timestamp": "2026-01-02T03:04:05Z",
        "type": "command.invocation", "name": format!("build-{}", n % 7), "machine_id": MACHINE, "tool_name": "tool",
        "version": "1.2.3", "os": "linux", "arch": "x86_64", "os_version": "6.1", "runtime_version": "1.95",
        "duration_ms": n * 13, "exit_code": 0, "args": ["--release", format!("--jobs={n}")],
        "metadata": {"edition": "2024", "count": (n * 1000).to_string()},
    })
    .to_string()
}

const MACHINE: &str = "0123456789abcdef0123456789abcdef";

fn batch() -> Batch {
    Batch::build_with_capacity(owned(), EVENTS, |events, writer| {
        for event in events {
            let arguments: Vec<&str> = event.arguments.iter().map(String::as_str).collect();
            let metadata: Vec<(&str, &str)> =
                event.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            writer.push(&EventFields {
                json: &event.json,
                id: &event.id,
                timestamp: "2026-01-02T03:04:05Z",
                kind: "command.invocation",
                name: &event.name,
                machine_id: MACHINE,
                tool_name: "tool",
                tool_version: "1.2.3",
                os: "linux",
                arch: "x86_64",
                os_version: "6.1",
                runtime_version: "1.95",
                args: Some(&arguments),
                metadata: Some(&metadata),
                time_unix_nanos: event.time,
                duration_ms: Some(event.duration),
                exit_code: Some(0),
                ..EventFields::default()
            });
        }
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

/// The same events as records of OpenTelemetry's SDK.
fn records(provider: &SdkLoggerProvider, scope: &InstrumentationScope) -> Vec<SdkLogRecord> {
    let logger = provider.logger_with_scope(scope.clone());
    let at = |nanos: u64| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
    owned()
        .into_iter()
        .map(|event| {
            let mut record = logger.create_log_record();
            record.set_timestamp(at(event.time as u64));
            record.set_observed_timestamp(at(OBSERVED));
            record.set_severity_number(Severity::Info);
            record.set_severity_text("INFO");
            record.set_body(AnyValue::from(format!("command.invocation: {}", event.name)));
            record.set_event_name("command.invocation");
            record.add_attribute("event.type", "command.invocation");
            record.add_attribute("event.name", event.name);
            record.add_attribute("event.id", event.id);
            record.add_attribute("machine.id", MACHINE);
            record.add_attribute("command.duration_ms", event.duration as i64);
            record.add_attribute("command.exit_code", 0_i64);
            let arguments: Vec<AnyValue> = event.arguments.into_iter().map(AnyValue::from).collect();
            record.add_attribute("command.args", AnyValue::ListAny(Box::new(arguments)));
            for (key, value) in event.metadata {
                record.add_attribute(Key::new(format!("metadata.{key}")), value);
            }
            record
        })
        .collect()
}

pub(crate) fn measure(rows: &mut Rows) {
    let batch = batch();
    let encoder = |encoding| Encoder::new(encoding, "0.1.0", []);
    let (protobuf, json) = (encoder(Encoding::Protobuf), encoder(Encoding::Json));
    let ours = |encoder: &Encoder| {
        let encoded = encoder.encode(&batch.view(), OBSERVED);
        let entries: Vec<_> = encoded.iter().collect();
        let records: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
        let mut body = Vec::with_capacity(records + encoded.shared.overhead(EVENTS));
        encoded.shared.frame(&entries, &mut body);
        body
    };

    let provider = SdkLoggerProvider::builder().build();
    let scope = InstrumentationScope::builder("Jackfield").with_version("0.1.0").build();
    let resource = Resource::builder_empty().with_attributes(
        [
            ("service.name", "tool"),
            ("service.version", "1.2.3"),
            ("os.type", "linux"),
            ("os.version", "6.1"),
            ("host.arch", "amd64"),
            ("process.runtime.version", "1.95"),
        ]
        .map(|(key, value)| opentelemetry::KeyValue::new(key, value)),
    );
    let resource = ResourceAttributesWithSchema::from(&resource.build());
    let records = records(&provider, &scope);
    let pairs: Vec<(&SdkLogRecord, &InstrumentationScope)> =
        records.iter().map(|record| (record, &scope)).collect();
    // What opentelemetry-otlp does with a batch before it is compressed and sent.
    let request = || ExportLogsServiceRequest {
        resource_logs: group_logs_by_resource_and_scope(&LogBatch::new(&pairs), &resource),
    };

    let (our_body, mut read) = (ours(&protobuf), request());
    let mut sent = ExportLogsServiceRequest::decode(&*our_body).expect("protobuf");
    // The order of a resource's attributes is not the SDK's to keep.
    for request in [&mut sent, &mut read] {
        for resource in request.resource_logs.iter_mut().filter_map(|logs| logs.resource.as_mut()) {
            resource.attributes.sort_by(|a, b| a.key.cmp(&b.key));
        }
    }
    assert_eq!(sent, read, "both send the same");

    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(time(|| black_box(ours(&protobuf))).0);
        times[1].push(time(|| black_box(request().encode_to_vec())).0);
        times[2].push(time(|| black_box(ours(&json))).0);
        times[3].push(time(|| black_box(serde_json::to_vec(&request()).expect("JSON"))).0);
    }
    let [ours_protobuf, theirs_protobuf, ours_json, theirs_json] =
        times.map(|times| median(times) / EVENTS as u32);
    rows.ratio(
        "otlp: an event into protobuf, in a batch of 100",
        ours_protobuf,
        ("opentelemetry-otlp, from a record", theirs_protobuf),
        Some(1.0),
    );
    rows.ratio(
        "otlp: an event into JSON, in a batch of 100",
        ours_json,
        ("opentelemetry-otlp's types, from a record", theirs_json),
        Some(1.0),
    );
}
