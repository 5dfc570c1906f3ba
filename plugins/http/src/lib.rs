//! Posts events to any HTTP server, as a JSON array.
//!
//! Each request has the events in Jackfield's JSON, `[{...},{...}]`, so any endpoint that reads JSON can accept them.
//! The outcomes of each status and of each failure are those of the crate `jackfield-http-client`.
//!
//! # Diagnostics
//!
//! A probe sends `[]`. A server that answers 2xx accepts events; `HttpBackend::probe` of the same crate has the meaning
//! of other statuses.
#![forbid(unsafe_code)]

mod config;

use jackfield_http_client::{DeletionBy, Entries, HttpBackend, Limits, Platform, Request, TlsConfig};
use jackfield_plugin_api::{Batch, Error, export};

use crate::config::Config;

/// Any HTTP server.
struct Server {
    limits: Limits,
    deletion: Option<Request>,
}

impl Platform for Server {
    type Config = Config;
    type Shared = ();
    const USER_AGENT: &'static str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

    fn open(config: Config) -> Result<(Self, Request, TlsConfig), Error> {
        let (events, deletion) = config.requests()?;
        let limits = Limits::from_options(config.limits.max_body_bytes, config.limits.max_events);
        Ok((Self { limits, deletion }, events, config.tls))
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

export! {
    backend: HttpBackend<Server>,
    name: "http",
    vendor: "Jackfield",
    description: "events posted as a JSON array over HTTP",
    offers: [deletion, diagnostics],
    config_schema: include_str!("../config.schema.json"),
}
