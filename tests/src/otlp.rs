//! Reads requests of OTLP over HTTP.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest, common::v1::any_value::Value, logs::v1::LogRecord,
};
use prost::Message as _;

use crate::peers::http::Received;

/// The request that a body holds, in whichever encoding its media type says.
fn request(received: &Received) -> ExportLogsServiceRequest {
    match received.header("content-type") {
        Some("application/json") => serde_json::from_slice(&received.body).expect("OTLP's JSON"),
        _ => ExportLogsServiceRequest::decode(&*received.body).expect("OTLP's protobuf"),
    }
}

/// A text attribute of every record in a request.
///
/// # Panics
/// When a record has none of this name.
#[must_use]
pub fn attribute(received: &Received, name: &str) -> Vec<String> {
    let request = request(received);
    let records =
        request.resource_logs.iter().flat_map(|logs| &logs.scope_logs).flat_map(|logs| &logs.log_records);
    records.map(|record| text(record, name).to_owned()).collect()
}

fn text<'r>(record: &'r LogRecord, name: &str) -> &'r str {
    let found = record.attributes.iter().find(|pair| pair.key == name).expect(name);
    match found.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{name}: {other:?}"),
    }
}
