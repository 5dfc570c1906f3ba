//! Sends events to PostHog, through `POST /batch/` of PostHog Cloud in the US or the EU, or of a self-hosted server.
//!
//! # Mapping of an event's fields
//!
//! | field | where it is in PostHog's event |
//! | --- | --- |
//! | `id` | `uuid`. An id that is no UUID becomes the UUIDv5 of `jackfield:event:ID` in the namespace for URLs, the same on every retry; the id itself is the property `event_id` |
//! | `type` | `event`. A type that begins with `$`, as PostHog's own do, or has more than 200 characters, of which PostHog drops the rest, gets `event_` before it or is cut off; the type itself is the property `event_type` |
//! | `machine_id` | `distinct_id`. An event without one is rejected, because PostHog would drop it with a 200; so is one with more than 200 characters, which PostHog cuts off |
//! | `timestamp` | `timestamp` |
//! | `os` | the property `$os` |
//! | `name`, `version` | the properties `event_name` and `tool_version` |
//! | `tool_name`, `arch`, `os_version`, `runtime_version`, `duration_ms`, `exit_code`, `error`, `args` | properties of the same name |
//! | `metadata` | properties, see below |
//! | other members of the event's JSON | nested under the property `extra` |
//!
//! Empty text is left out. `$lib` and `$lib_version` name this plugin. `sent_at` is never sent: PostHog would use it to
//! shift the time of an event that is sent late.
//!
//! A key of the metadata becomes a property of the same name, unless it begins with `$`, is the name of a property or
//! field above (or another that PostHog reads), or begins with `metadata_`. Then `metadata_` is put before it. So no
//! property is overwritten, no two keys become the same property, and no key has a meaning for PostHog.
//!
//! # Privacy
//!
//! Each event has `$process_person_profile: false` (PostHog makes no person profile) and `$geoip_disable: true`
//! (PostHog does not look up the location of the request's address), and no event has `$ip`. Metadata can't change
//! these.
//!
//! # Limits
//!
//! A request has at most 20 MB before compression, an event at most 1 MB, as PostHog's pages say. An event that is larger is
//! rejected, with its size as the reason.
//!
//! # Statuses
//!
//! | status | outcome | PostHog's page of the capture API says |
//! | --- | --- | --- |
//! | 2xx with `quota_limited` that has `events` in it | retry, in an hour | the project is over its billing limit; the events were dropped |
//! | 2xx with any other JSON object, or with no body at all | delivered | 200: received |
//! | 2xx with something else, or that is not complete | retry | nothing: some other server has answered, or the answer is cut off. The `uuid` lets PostHog drop the double |
//! | 429, 500, 502, 503, 504 | retry, not before `Retry-After` | to be retried |
//! | 413 | halves are sent, down to single events, which are rejected | the payload is too large |
//! | 400, 401 | rejected | malformed; a wrong key |
//! | 408, other 5xx | retry | nothing |
//! | other 4xx | rejected | nothing |
//! | anything else | retry | nothing |
//!
//! A 200 means that PostHog has received the request, not that a project has the key. Check once in PostHog that events
//! arrive, when you set the backend up.
//!
//! Redirects and failures of the transport are as in the crate `jackfield-http-client`.
//!
//! # Deletion
//!
//! The key of a project may only send events. The event `data.deletion_request` is sent, and the answer says that a
//! person has to act on this request.
//!
//! # Diagnostics
//!
//! A probe sends a batch without events. An answer of 400 or 422 only means that there are no events. The bodies in a
//! preview contain the project's key, because PostHog requires it there.
#![forbid(unsafe_code)]

mod answer;
mod config;
mod event;
mod properties;

use jackfield_http_client::{
    Answer, Client, ClientOptions, Entry, EntryBuffer, Limits, Platform, Request, StatusTable, Verdict,
};
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
        (429, 429, Verdict::Retry),
        (400, 499, Verdict::Rejected),
    ],
    Verdict::Retry,
);

struct Capture {
    /// The beginning of the body, up to its first event. It contains the key.
    head: Vec<u8>,
}

impl Platform for Capture {
    fn statuses(&self) -> &StatusTable {
        &STATUSES
    }

    fn limits(&self) -> Limits {
        Limits { body_bytes: 20_000_000, entries: usize::MAX, entry_bytes: 1_000_000 }
    }

    fn overhead(&self, entries: usize) -> usize {
        self.head.len() + 3 + entries.saturating_sub(1)
    }

    fn frame(&self, part: &[Entry<'_>], body: &mut Vec<u8>) {
        body.extend_from_slice(&self.head);
        jackfield_http_client::json_array(part, body);
        body.push(b'}');
    }

    fn needs_body(&self) -> bool {
        true
    }

    fn dislikes_empty(&self, status: u16) -> bool {
        matches!(status, 400 | 422)
    }

    fn accepted(&self, _part: &[Entry<'_>], answer: &Answer<'_>) -> Outcomes {
        answer::outcome(answer.body, answer.complete).into()
    }
}

struct PostHog {
    client: Client,
    request: Request,
    capture: Capture,
}

/// The events of a batch in PostHog's form. Events that can't be sent are reported as rejected.
fn entries(batch: &Batch<'_>, call: &Call<'_>) -> EntryBuffer {
    EntryBuffer::of_batch(batch, call, event::encode)
}

impl Backend for PostHog {
    type Config = Config;

    fn open(config: Config, _host: Host, _call: &Call<'_>) -> Result<Self, Error> {
        let request = config.request()?;
        let head = config.body_head();
        let user_agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        let client = Client::open(&ClientOptions::new(user_agent, config.tls))?;
        request.warn_if_exposed();
        Ok(Self { client, request, capture: Capture { head } })
    }

    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        self.client.deliver(&self.request, &self.capture, entries(batch, call).iter(), call)
    }

    fn close(&self, call: &Call<'_>) -> Result<(), Error> {
        self.client.close(call);
        Ok(())
    }
}

impl DeletesData for PostHog {
    fn request_deletion(&self, request: &DeletionRequest<'_>, call: &Call<'_>) -> Deletion {
        self.client.send_deletion_event(
            (&self.request, &self.capture),
            request,
            event::encode,
            "PostHog project has to delete the events",
            call,
        )
    }
}

impl Diagnoses for PostHog {
    fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &Call<'_>,
    ) -> Result<(), Error> {
        self.request.preview(&self.capture, entries(batch, call).iter(), sink, call);
        Ok(())
    }

    fn probe(&self, call: &Call<'_>) -> Probe {
        self.client.probe(&self.request, &self.capture, call)
    }
}

export! {
    backend: PostHog,
    name: "posthog",
    vendor: "Jackfield",
    description: "events for PostHog",
    offers: [deletion, diagnostics],
    config_schema: include_str!("../config.schema.json"),
}
