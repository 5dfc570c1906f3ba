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
//! | option `resource` | resource |
//! | `timestamp` | time, to the nanosecond; before 1970, which OTLP can't express: attribute `event.timestamp` |
//! | the moment of sending | observed time |
//! | `type: name` | body |
//! | `type` | event name, attribute `event.type` |
//! | `name`, `id` | attributes `event.name`, `event.id` |
//! | `machine_id` | attribute `machine.id` |
//! | `duration_ms`, `exit_code`, `args` | attributes `command.duration_ms`, `command.exit_code`, `command.args` |
//! | `error` | attribute `exception.message` |
//! | `metadata` | attributes `metadata.KEY` |
//! | other members of the event's JSON | attribute `event.extra`, a JSON object of them |
//! | an error, or an exit code other than 0 | severity ERROR (17), otherwise INFO (9) |
//!
//! A duration above 2^63 − 1 ms becomes 2^63 − 1 ms.
//!
//! # Statuses
//!
//! The outcomes follow the section "OTLP/HTTP Response" of the OpenTelemetry Protocol specification. It names the
//! statuses that may be retried and forbids a retry for others:
//!
//! | status | outcome |
//! | --- | --- |
//! | 2xx | delivered, unless the body's `partial_success` says otherwise: see `answer.rs` |
//! | 429, 502, 503, 504 | retry, not before `Retry-After` |
//! | 413 | halves are sent, down to single events, which are rejected |
//! | any other, 408 and 500 included | rejected |
//!
//! Redirects, 407 of a proxy and failures of the transport are as in the crate `jackfield-http-client`.
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

use std::time::{SystemTime, UNIX_EPOCH};

use jackfield_http_client::{
    Answer, Client, ClientOptions, Entry, Limits, Platform, Request, StatusTable, Verdict,
};
use jackfield_plugin_api::{
    Backend, Batch, Call, Diagnoses, Error, Host, Outcomes, Probe,
    deletion::{DeletesData, Deletion, DeletionRequest},
    export,
};

use crate::{
    config::Config,
    encode::{Encoded, Encoder, Encoding},
};

const STATUSES: StatusTable = StatusTable::new(
    &[
        (200, 299, Verdict::Accepted),
        (413, 413, Verdict::Split),
        (429, 429, Verdict::Retry),
        (502, 504, Verdict::Retry),
    ],
    Verdict::Rejected,
);

struct Otlp {
    client: Client,
    request: Request,
    encoding: Encoding,
    encoder: Encoder,
    limits: Limits,
}

/// The delivery of a batch to the collector.
struct Logs<'a> {
    backend: &'a Otlp,
    encoded: &'a Encoded,
}

impl Platform for Logs<'_> {
    fn statuses(&self) -> &StatusTable {
        &STATUSES
    }

    fn limits(&self) -> Limits {
        self.backend.limits
    }

    fn overhead(&self, entries: usize) -> usize {
        self.encoded.overhead(entries)
    }

    fn frame(&self, part: &[Entry<'_>], body: &mut Vec<u8>) {
        self.encoded.frame(part.iter().map(|entry| entry.event), body);
    }

    fn needs_body(&self) -> bool {
        true
    }

    fn accepted(&self, part: &[Entry<'_>], answer: &Answer<'_>) -> Outcomes {
        let (outcome, warning) = answer::judge(self.backend.encoding, part.len(), answer.body);
        if let Some(warning) = warning {
            tracing::warn!(
                "{}: {}",
                self.backend.request.endpoint().host(),
                self.backend.request.clean(&warning)
            );
        }
        outcome.into()
    }
}

fn entries(encoded: &Encoded) -> impl Iterator<Item = Entry<'_>> {
    encoded.records().enumerate().map(|(event, bytes)| Entry { event, bytes })
}

impl Otlp {
    fn encode(&self, batch: &Batch<'_>) -> Encoded {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.encoder.encode(batch, u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The platform for an encoded batch.
    const fn logs<'a>(&'a self, encoded: &'a Encoded) -> Logs<'a> {
        Logs { backend: self, encoded }
    }
}

impl Backend for Otlp {
    type Config = Config;

    fn open(mut config: Config, _host: Host, _call: &Call<'_>) -> Result<Self, Error> {
        let request = config.request()?;
        let encoding = config.encoding();
        let encoder = Encoder::new(encoding, env!("CARGO_PKG_VERSION"), config.resource()?);
        let user_agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        let mut options = ClientOptions::new(user_agent, config.tls);
        options.not_http = "; a collector takes OTLP over HTTP at port 4318, as a rule, and gRPC at 4317";
        let limits = Limits::from_options(config.limits.max_body_bytes, config.limits.max_events);
        Ok(Self { client: Client::open(&options)?, request, encoding, encoder, limits })
    }

    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        let encoded = self.encode(batch);
        self.client.deliver(&self.request, &self.logs(&encoded), entries(&encoded), call)
    }

    fn close(&self, call: &Call<'_>) -> Result<(), Error> {
        self.client.close(call);
        Ok(())
    }
}

impl DeletesData for Otlp {
    fn request_deletion(&self, request: &DeletionRequest<'_>, call: &Call<'_>) -> Deletion {
        let encoded = self.encode(request.event());
        let entries: Vec<Entry<'_>> = entries(&encoded).collect();
        let outcome = self.client.deliver_once(&self.request, &self.logs(&encoded), &entries, call);
        Deletion::from_outcome(outcome, || {
            format!(
                "{} has taken the event data.deletion_request; it is a request: the operator of the server has to act on it",
                self.request.endpoint().host()
            )
        })
    }
}

impl Diagnoses for Otlp {
    fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &Call<'_>,
    ) -> Result<(), Error> {
        let encoded = self.encode(batch);
        self.request.preview(&self.logs(&encoded), entries(&encoded), sink, call);
        Ok(())
    }

    fn probe(&self, call: &Call<'_>) -> Probe {
        let nothing = self.encode(&Batch::empty());
        self.client.probe(&self.request, &self.logs(&nothing), call)
    }
}

export! {
    backend: Otlp,
    name: "otlp",
    vendor: "Jackfield",
    description: "events as OpenTelemetry logs over OTLP/HTTP",
    offers: [deletion, diagnostics],
    config_schema: include_str!("../config.schema.json"),
}
