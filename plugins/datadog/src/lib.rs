//! Sends events to Datadog as logs, through the intake's version 2 (`POST /api/v2/logs`).
//!
//! # Mapping of an event's fields
//!
//! | field | where it is in the log |
//! | --- | --- |
//! | `type`, `name` | `message` is `type: name`; both are attributes, too; the tag `event_type` |
//! | `tool_name` | `service`, unless the configuration names one; an attribute |
//! | `machine_id` | `hostname` |
//! | `version` | the tag and the attribute `tool_version` |
//! | `os`, `arch` | tags and attributes |
//! | `timestamp` | the attribute `timestamp`, which Datadog takes for the log's own date |
//! | `duration_ms` | an attribute; also `duration`, in nanoseconds as in Datadog's standard attributes |
//! | `error` | the attribute `error.message`, a standard one |
//! | `id`, `os_version`, `runtime_version`, `exit_code`, `args` | attributes |
//! | `metadata` | nested under `metadata`; numbers and booleans stay such |
//! | other members of the event's JSON | nested under `extra` |
//!
//! An empty text is left out. Tags are changed to what Datadog's rules for tags allow; attributes keep the text.
//!
//! # Limits
//!
//! A request has at most 1000 logs and 5 MB before compression, as Datadog's page of the intake says. That page also
//! says that a log of more than 1 MB is truncated and still accepted. Here such an event is rejected, with its size as
//! the reason, because the truncated part would be lost without a message.
//!
//! The intake accepts logs with a timestamp of up to 18 hours in the past. An event that is older than 18 hours minus
//! five minutes is rejected with the reason; the five minutes allow for the transport and for clocks that differ. With
//! `old_events` = `"attribute"` it is sent with its time in the attribute `event_timestamp`, and the log's own date is
//! that of its arrival. An event without a time is sent without one.
//!
//! # Outcomes
//!
//! The outcomes of each status and of each failure are those of the crate `jackfield-http-client`. A 2xx delivers when its
//! body is a JSON object, as Datadog's `{}`, or empty; a page of a login or of a proxy does not. Datadog's page of the
//! intake says of 202 that it is accepted for processing, of 408, 429, 500 and 503 that they are to be retried, of 413
//! that the payload is too large, of 400 that the request is bad, and of 401 and 403 that the key is missing or has no
//! permission. It says nothing of 502 and 504, which come from servers in front of the intake. A request that arrived all
//! the same is then doubled, which the attribute `id` shows.
//!
//! # Deletion
//!
//! Datadog has no API that deletes the logs of one host. The event `data.deletion_request` is sent as a log, and the
//! answer says that a person has to act on this request.
//!
//! # Diagnostics
//!
//! A probe sends `[]`. The intake checks the key first, so an answer of 400 or 422 only means that the request has no
//! logs.
#![forbid(unsafe_code)]

mod config;
mod log;
mod tags;

use std::time::SystemTime;

use jackfield_http_client::{
    Answer, Connection, DeletionBy, Entries, HttpBackend, Limits, Platform, Request, json_object,
};
use jackfield_plugin_api::{Batch, Error, Outcome, plugin};

use crate::{
    config::{Config, OldEvents},
    log::{Age, Log, LogOptions},
};

/// Datadog's intake of logs.
struct Intake {
    old_events: OldEvents,
    options: LogOptions,
}

impl Platform for Intake {
    type Config = Config;
    type Shared = ();
    const USER_AGENT: &'static str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    const READS_BODY: bool = true;

    fn open(config: Config) -> Result<(Self, Request, Connection), Error> {
        let request = config.request()?;
        let options = config.log_options()?;
        Ok((Self { old_events: config.old_events, options }, request, config.connection()))
    }

    fn encode(&self, batch: &Batch<'_>) -> Entries {
        let now = SystemTime::now();
        Entries::encode(batch, |event, log| {
            let age = Age::of(&event, now);
            if let (Age::Old { hours }, OldEvents::Reject) = (age, self.old_events) {
                return Err(format!(
                    "the event is {hours:.1} hours old; Datadog takes events of up to 18 hours (old_events = \"attribute\" sends it)"
                ));
            }
            let log_of_event = Log { event, age, options: &self.options };
            serde_json::to_writer(log, &log_of_event).map_err(|error| error.to_string())
        })
    }

    fn refuses_empty(&self) -> bool {
        true
    }

    fn limits(&self) -> Limits {
        Limits { body_bytes: 5_000_000, entries: 1000, entry_bytes: 1_000_000 }
    }

    fn accepted(&self, answer: &Answer<'_>) -> Outcome {
        if is_of_datadog(answer.body, answer.complete) {
            Outcome::Delivered
        } else {
            answer.is_not_of("Datadog")
        }
    }

    fn deletion(&self, _machine_id: &str) -> DeletionBy<'_> {
        DeletionBy::Event("the owner of that Datadog account has to delete the logs")
    }
}

/// Whether the body of a successful answer is `{}`, another JSON object, or empty, as far as it has come.
fn is_of_datadog(body: &[u8], complete: bool) -> bool {
    if complete {
        return json_object(body).is_some();
    }
    body.trim_ascii_start().first().is_none_or(|first| *first == b'{')
}

plugin! {
    backend: HttpBackend<Intake>,
    name: "datadog",
    vendor: "Jackfield",
    description: "events as Datadog logs",
    offers: [deletion, diagnostics],
    config_schema: include_str!("../config.schema.json"),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_others_is_no_answer() {
        for (body, complete, expected) in [
            ("{}", true, true),
            (r#"{"status":"ok"}"#, true, true),
            ("", true, true),
            (" {", false, true),
            ("", false, true),
            ("{", true, false),
            ("[]", true, false),
            ("ok", true, false),
            ("<html>log in</html>", true, false),
            ("<html>", false, false),
        ] {
            assert_eq!(is_of_datadog(body.as_bytes(), complete), expected, "{body} {complete}");
        }
    }
}
