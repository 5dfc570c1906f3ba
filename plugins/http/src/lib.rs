//! Posts events to any HTTP server, as a JSON array.
//!
//! Each request has the events in Jackfield's JSON, `[{...},{...}]`, so any endpoint that reads JSON can accept them.
//! The outcomes follow the definitions of the statuses in HTTP (RFC 9110, and RFC 6585 for 429):
//!
//! | status | outcome |
//! | --- | --- |
//! | 2xx | delivered |
//! | 408, 425, 429, 5xx | retry, not before `Retry-After` |
//! | 413 | halves are sent, down to single events, which are rejected |
//! | other 4xx, and 3xx that are no redirects | rejected |
//! | anything else | retry |
//!
//! Redirects and failures of the transport are as in the crate `jackfield-http-client`.
//!
//! # Diagnostics
//!
//! A probe sends `[]`. A server that answers 2xx accepts events; `Client::probe` of the same crate has the meaning of
//! other statuses.
#![forbid(unsafe_code)]

mod config;

use jackfield_http_client::{Client, ClientOptions, Entry, Limits, Platform, Request, StatusTable, Verdict};
use jackfield_plugin_api::{
    Backend, Batch, Call, Diagnoses, Error, Host, Outcomes, Probe,
    deletion::{DeletesData, Deletion, DeletionRequest},
    export,
};

use crate::config::Config;

const STATUSES: StatusTable = StatusTable::new(
    &[
        (200, 299, Verdict::Accepted),
        (408, 408, Verdict::Retry),
        (413, 413, Verdict::Split),
        (425, 425, Verdict::Retry),
        (429, 429, Verdict::Retry),
        (300, 499, Verdict::Rejected),
    ],
    Verdict::Retry,
);

struct Server {
    limits: Limits,
}

impl Platform for Server {
    fn statuses(&self) -> &StatusTable {
        &STATUSES
    }

    fn limits(&self) -> Limits {
        self.limits
    }
}

struct Http {
    client: Client,
    events: Request,
    deletion: Option<Request>,
    server: Server,
}

fn entries<'a>(batch: &Batch<'a>) -> impl Iterator<Item = Entry<'a>> {
    batch.iter().enumerate().map(|(event, e)| Entry { event, bytes: e.json().as_bytes() })
}

impl Backend for Http {
    type Config = Config;

    fn open(config: Config, _host: Host, _call: &Call<'_>) -> Result<Self, Error> {
        let (events, deletion) = config.requests()?;
        let user_agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        let client = Client::open(&ClientOptions::new(user_agent, config.tls))?;
        events.warn_if_exposed();
        let limits = Limits::from_options(config.limits.max_body_bytes, config.limits.max_events);
        Ok(Self { client, events, deletion, server: Server { limits } })
    }

    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        self.client.deliver(&self.events, &self.server, entries(batch), call)
    }

    fn close(&self, call: &Call<'_>) -> Result<(), Error> {
        self.client.close(call);
        Ok(())
    }
}

impl DeletesData for Http {
    fn request_deletion(&self, request: &DeletionRequest<'_>, call: &Call<'_>) -> Deletion {
        let Some(deletion) = &self.deletion else {
            return Deletion::Unsupported("no deletion_url is configured".to_owned());
        };
        let body = serde_json::json!({ "machine_id": request.machine_id() }).to_string();
        let outcome = self.client.request(deletion, body.into_bytes(), &STATUSES, call);
        Deletion::from_outcome(outcome, || format!("{} has taken the request", deletion.endpoint().host()))
    }
}

impl Diagnoses for Http {
    fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &Call<'_>,
    ) -> Result<(), Error> {
        self.events.preview(&self.server, entries(batch), sink, call);
        Ok(())
    }

    fn probe(&self, call: &Call<'_>) -> Probe {
        self.client.probe(&self.events, &self.server, call)
    }
}

export! {
    backend: Http,
    name: "http",
    vendor: "Jackfield",
    description: "events posted as a JSON array over HTTP",
    offers: [deletion, diagnostics],
    config_schema: include_str!("../config.schema.json"),
}
