//! Servers that fail, and what each HTTP backend makes of it: an outcome for every event, in time.

mod answers;
mod connections;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime},
};

use jackfield_loader::{Backend, Batch, Report, plugin_api::Outcome};
use jackfield_tests::{
    peers::{
        http::{HttpServer, REFUSED, Received, Reply},
        pki::{Pki, ServerCertificate},
    },
    plugin,
};
use serde_json::{Value, json};

use crate::{
    common::{MS, load, options},
    vendor::{self, id},
};

/// A backend under test, and how its platform speaks. Every test here runs over all of [`SUBJECTS`].
pub(crate) struct Subject {
    /// Name of the plugin.
    pub(crate) plugin: &'static str,
    /// The configuration that sends to a server, whose URL ends with a slash, with the file of its root certificate.
    pub(crate) config: fn(&str, Option<&std::path::Path>) -> Value,
    /// The answer of a platform that takes everything.
    pub(crate) accepts: fn() -> Reply,
    /// The ids of the events in a request, in order.
    pub(crate) ids: fn(&Received) -> Vec<String>,
    /// Whether an accepting answer counts by its head alone.
    pub(crate) by_head: bool,
}

/// Statuses by which a platform says that it has no time.
const BUSY: &[u16] = &[408, 425, 429, 500, 501, 502, 503, 504, 505, 520, 600];
/// Statuses by which a platform refuses whatever a backend sends.
const REFUSING: &[u16] = &[300, 401, 402, 403, 404, 405, 407, 410, 431];
/// Statuses by which a platform says that the content of a request is wrong.
const WRONG_CONTENT: &[u16] = &[400, 409, 422];

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        plugin: "http",
        config: |url, ca_file| json!({"url": url, "tls": {"ca_file": ca_file}}),
        accepts: || Reply::status(200),
        ids: |received| strings(&received.json(), "/id"),
        by_head: true,
    },
    Subject {
        plugin: "otlp",
        config: |url, ca_file| json!({"endpoint": url, "tls": {"ca_file": ca_file}}),
        accepts: || Reply::status(200),
        ids: crate::otlp::ids,
        by_head: false,
    },
    Subject {
        plugin: "datadog",
        config: |url, ca_file| json!({"api_key": "key", "url": url, "tls": {"ca_file": ca_file}}),
        accepts: || Reply::status(202).body("{}"),
        ids: |received| strings(&received.json(), "/id"),
        by_head: false,
    },
    Subject {
        plugin: "posthog",
        config: |url, ca_file| json!({"api_key": "phc_key", "host": url, "tls": {"ca_file": ca_file}}),
        accepts: || Reply::status(200).body(r#"{"status":1}"#),
        ids: |received| strings(&received.json()["batch"], "/uuid"),
        by_head: false,
    },
];

/// The string at `pointer` in each element of an array.
pub(crate) fn strings(array: &Value, pointer: &str) -> Vec<String> {
    let elements = array.as_array().unwrap_or_else(|| panic!("no array: {array}"));
    elements
        .iter()
        .map(|element| {
            element
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_else(|| panic!("no {pointer}: {element}"))
        })
        .map(str::to_owned)
        .collect()
}

/// What a call is given. Long enough for a machine that is busy with something else.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What a call is given that has to run out of time.
const SHORT: Duration = Duration::from_secs(4);

/// Events of a minute ago, with the ids that [`id`] gives.
pub(crate) fn events(count: usize) -> Batch {
    let more = json!({"duration_ms": 12, "exit_code": 0, "metadata": {"key": "välue"}});
    vendor::batch(&(0..count).map(|n| vendor::with(vendor::event(n), &more)).collect::<Vec<_>>())
}

fn open(subject: &Subject, url: &str) -> Backend {
    Backend::open(&load(&plugin(subject.plugin)), &options(&(subject.config)(url, None)))
        .unwrap_or_else(|error| panic!("{}: {error}", subject.plugin))
}

/// Sends events to a server, within a time that must suffice.
fn send(subject: &Subject, url: &str, count: usize, timeout: Duration) -> Report {
    let backend = open(subject, url);
    let started = Instant::now();
    let report = backend.send_within(&events(count), timeout);
    assert!(report.failure().is_none(), "{}: {:?}", subject.plugin, report.failure());
    // That the guard did not have to end the call says that the plugin kept the deadline; how soon this thread then runs
    // is the machine's business.
    assert!(started.elapsed() < 2 * timeout, "{}: {:?}", subject.plugin, started.elapsed());
    backend.close(TIMEOUT).expect("closes");
    backend.close(TIMEOUT).expect("closes again");
    report
}

/// Every event was delivered.
pub(crate) fn assert_delivered(report: &Report) {
    for (at, outcome) in report.outcomes().enumerate() {
        assert_eq!(outcome, &Outcome::Delivered, "event {at}");
    }
}

/// The reason of a retry of all events, which is one line.
fn retry(report: &Report) -> (String, Option<Duration>) {
    match report.uniform() {
        Some(Outcome::Retry { reason, after }) => {
            assert!(!reason.contains('\n') && reason.len() < 400, "{reason}");
            (reason.to_string(), *after)
        }
        other => panic!("no retry: {other:?}"),
    }
}

/// Every event arrived, once.
fn assert_arrived(subject: &Subject, server: &HttpServer, count: usize) {
    let received: Vec<String> = server.received().iter().flat_map(subject.ids).collect();
    let expected: Vec<String> = (0..count).map(id).collect();
    assert_eq!(received, expected, "{}", subject.plugin);
}
