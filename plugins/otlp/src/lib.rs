//! Sends events as OpenTelemetry logs over OTLP/HTTP, in protobuf or in JSON.
//!
//! # Mapping of an event
//!
//! Events of the same tool, version and machine share a resource; the instrumentation scope is `Jackfield` with the
//! version of this library. Names are those of OpenTelemetry's semantic conventions where these have one.
//!
//! | event | OTLP |
//! | --- | --- |
//! | `tool_name`, `version` | resource: `service.name`, `service.version` |
//! | `os`, `os_version` | resource: `os.type` (`macos` is `darwin`), `os.version` |
//! | `arch` | resource: `host.arch` (`x86_64` is `amd64`, `aarch64` is `arm64`) |
//! | `runtime_version` | resource: `process.runtime.version` |
//! | option `resource`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME` | resource, instead of the values above |
//! | `tool_name`, where a variable sets `service.name` | resource: `tool.name` |
//! | `timestamp` | time, to the nanosecond; before 1970, which OTLP can't express: attribute `event.timestamp` |
//! | the moment of sending | observed time |
//! | `type: name` | body |
//! | `type` | event name, attribute `event.type` |
//! | `name`, `id` | attributes `event.name`, `event.id` |
//! | `machine_id` | attribute `machine.id` |
//! | `duration_ms`, `exit_code`, `args` | attributes `command.duration_ms`, `command.exit_code`, `command.args` |
//! | `error` | attribute `exception.message` |
//! | `metadata` | attributes `metadata.KEY`: text, boolean, integer; another number is a double |
//! | other members of the event's JSON | attribute `event.extra`, a JSON object of them |
//! | an error, or an exit code other than 0 | severity ERROR (17), otherwise INFO (9) |
//!
//! A duration above 2^63 − 1 ms becomes 2^63 − 1 ms.
//!
//! If the option `endpoint` is left out, options come from OpenTelemetry's variables: see `environment.rs`.
//!
//! # Outcomes
//!
//! A 2xx delivers, unless `partial_success` in its body says otherwise or the body is not OTLP's: see `answer.rs`. The
//! outcomes of other statuses and of each failure are those of the crate `jackfield-http-client`.
//!
//! The OpenTelemetry Protocol specification lets a client send a request again after 429, 502, 503 and 504 alone. Here
//! events also wait after a status by which the server refuses every request, such as 401, 404 or 500, because the
//! specification would have the client drop them. A request whose content the server refuses (400, 413, 422) is never
//! sent again; its halves are.
//!
//! OTLP has no request for deletion. It is sent as an event of the type `data.deletion_request`, and the operator of
//! the collector's backend has to act on it.
//!
//! A probe sends an `ExportLogsServiceRequest` without records, which the specification allows a server to accept. The
//! observed time in a preview is the time of the preview.
#![forbid(unsafe_code)]

mod answer;
mod config;
mod encode;
mod environment;

use std::time::{SystemTime, UNIX_EPOCH};

use jackfield_http_client::{
    Answer, Connection, DeletionBy, Entries, Entry, HttpBackend, Limits, Platform, Request,
};
use jackfield_plugin_api::{Batch, Error, Outcome, plugin};

use crate::{
    config::{Config, Settings},
    encode::{Encoder, Groups},
};

/// A collector, or anything else that takes OTLP/HTTP.
struct Collector {
    encoder: Encoder,
    limits: Limits,
}

impl Platform for Collector {
    type Config = Config;
    type Shared = Groups;
    const USER_AGENT: &'static str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    const NOT_HTTP: &'static str =
        "; a collector takes OTLP over HTTP at port 4318, as a rule, and gRPC at 4317";
    const READS_BODY: bool = true;

    fn open(config: Config) -> Result<(Self, Request, Connection), Error> {
        let Settings { request, encoding, resource, limits, connection } =
            config.settings(&|name| std::env::var(name).ok())?;
        let encoder = Encoder::new(encoding, env!("CARGO_PKG_VERSION"), resource);
        Ok((Self { encoder, limits }, request, connection))
    }

    fn encode(&self, batch: &Batch<'_>) -> Entries<Groups> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.encoder.encode(batch, u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX))
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn overhead(&self, groups: &Groups, entries: usize) -> usize {
        groups.overhead(entries)
    }

    fn frame(&self, groups: &Groups, part: &[Entry<'_>], body: &mut Vec<u8>) {
        groups.frame(part, body);
    }

    fn accepted(&self, answer: &Answer<'_>) -> Outcome {
        let Some((outcome, warning)) = answer::judge(answer) else {
            return answer.is_not_of("OTLP");
        };
        if let Some(warning) = warning {
            tracing::warn!("{}: {warning}", answer.request.endpoint().host());
        }
        outcome
    }

    fn deletion(&self, _machine_id: &str) -> DeletionBy<'_> {
        DeletionBy::Event("the operator of the server has to act on it")
    }
}

plugin! {
    backend: HttpBackend<Collector>,
    name: "otlp",
    vendor: "Jackfield",
    description: "events as OpenTelemetry logs over OTLP/HTTP",
    offers: [deletion, diagnostics],
    config_schema: include_str!("../config.schema.json"),
}
