//! Posts events to any HTTP server, as a JSON array, as lines of JSON, or one by one.
//!
//! Each request has events in Jackfield's JSON, so any endpoint that reads JSON can accept them. The option `format` is the
//! form of a body: `[{...},{...}]`, a line for each event, or one event.
//! The outcomes of each status and of each failure are those of the crate `jackfield-http-client`.
//!
//! # Diagnostics
//!
//! A probe sends `[]`, or an empty body where the form of bodies has no array; then 400, 409 and 422 only mean that the body
//! has no event. A server that answers 2xx accepts events; `HttpBackend::probe` of the same crate has the meaning
//! of other statuses.
#![forbid(unsafe_code)]

mod config;

use jackfield_http_client::{
    Connection, DeletionBy, Entries, Entry, HttpBackend, Limits, Platform, Request, json_array,
};
use jackfield_plugin_api::{Batch, Error, plugin};

use crate::config::{Config, Format};

/// Any HTTP server.
struct Server {
    format: Format,
    limits: Limits,
    deletion: Option<Request>,
}

impl Platform for Server {
    type Config = Config;
    type Shared = ();
    const USER_AGENT: &'static str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

    fn open(config: Config) -> Result<(Self, Request, Connection), Error> {
        let (events, deletion) = config.requests()?;
        let (format, limits) = (config.format, config.limits());
        Ok((Self { format, limits, deletion }, events, config.connection()))
    }

    fn encode(&self, batch: &Batch<'_>) -> Entries {
        Entries::encode(batch, |event, entry| {
            entry.extend_from_slice(event.json().as_bytes());
            Ok(())
        })
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn refuses_empty(&self) -> bool {
        self.format != Format::Array
    }

    fn overhead(&self, (): &(), entries: usize) -> usize {
        match self.format {
            Format::Array => 2 + entries.saturating_sub(1),
            Format::Ndjson => entries,
            Format::Single => 0,
        }
    }

    fn frame(&self, (): &(), part: &[Entry<'_>], body: &mut Vec<u8>) {
        match self.format {
            Format::Array => json_array(part, body),
            Format::Ndjson => {
                for entry in part {
                    body.extend_from_slice(entry.bytes);
                    body.push(b'\n');
                }
            }
            // A body has at most one entry.
            Format::Single => part.iter().for_each(|entry| body.extend_from_slice(entry.bytes)),
        }
    }

    fn deletion(&self, machine_id: &str) -> DeletionBy<'_> {
        match &self.deletion {
            Some(request) => {
                let body = serde_json::json!({ "machine_id": machine_id }).to_string();
                DeletionBy::Request(request, body.into_bytes())
            }
            None => DeletionBy::Nothing("no deletion_url is configured"),
        }
    }
}

plugin! {
    backend: HttpBackend<Server>,
    name: "http",
    vendor: "Jackfield",
    description: "events posted as JSON over HTTP",
    offers: [deletion, diagnostics],
    config_schema: include_str!("../config.schema.json"),
}
