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
//! | `metadata` | properties, see below; numbers and booleans stay such |
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
//! # Outcomes
//!
//! | 2xx with | outcome | PostHog's page of the capture API says |
//! | --- | --- | --- |
//! | `quota_limited` that has `events` in it | retry, in an hour | the project is over its billing limit; the events were dropped |
//! | any other JSON object, or no body at all | delivered | 200: received |
//! | something else, or a body that is not complete | retry | nothing: some other server has answered, or the answer is cut off. The `uuid` lets PostHog drop the double |
//!
//! The outcomes of other statuses and of each failure are those of the crate `jackfield-http-client`. A 200 means that
//! PostHog has received the request, not that a project has the key. Check once in PostHog that events arrive, when you
//! set the backend up.
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

use jackfield_http_client::{
    Answer, Connection, DeletionBy, Entries, Entry, HttpBackend, Limits, Platform, Request, json_array,
};
use jackfield_plugin_api::{Batch, Error, Outcome, plugin};

use crate::config::Config;

/// PostHog's capture API.
struct Capture {
    /// The beginning of the body, up to its list of events. It contains the key.
    head: Vec<u8>,
}

impl Platform for Capture {
    type Config = Config;
    type Shared = ();
    const USER_AGENT: &'static str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    const READS_BODY: bool = true;

    fn open(config: Config) -> Result<(Self, Request, Connection), Error> {
        let request = config.request()?;
        Ok((Self { head: config.body_head() }, request, config.connection()))
    }

    fn encode(&self, batch: &Batch<'_>) -> Entries {
        Entries::encode(batch, event::encode)
    }

    fn refuses_empty(&self) -> bool {
        true
    }

    fn limits(&self) -> Limits {
        Limits { body_bytes: 20_000_000, entries: usize::MAX, entry_bytes: 1_000_000 }
    }

    fn overhead(&self, (): &(), entries: usize) -> usize {
        self.head.len() + 3 + entries.saturating_sub(1)
    }

    fn frame(&self, (): &(), part: &[Entry<'_>], body: &mut Vec<u8>) {
        body.extend_from_slice(&self.head);
        json_array(part, body);
        body.push(b'}');
    }

    fn accepted(&self, answer: &Answer<'_>) -> Outcome {
        answer::outcome(answer.body, answer.complete).unwrap_or_else(|| answer.is_not_of("PostHog"))
    }

    fn deletion(&self, _machine_id: &str) -> DeletionBy<'_> {
        DeletionBy::Event("the owner of that PostHog project has to delete the events")
    }
}

plugin! {
    backend: HttpBackend<Capture>,
    name: "posthog",
    vendor: "Jackfield",
    description: "events for PostHog",
    offers: [deletion, diagnostics],
    config_schema: include_str!("../config.schema.json"),
}
