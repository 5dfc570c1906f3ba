//! Servers that fail, and what each HTTP backend makes of it: an outcome for every event, in time.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    time::{Duration, Instant, SystemTime},
};

use jackfield_loader::{Backend, Batch, EventFields, Report, plugin_api::Outcome};
use jackfield_tests::{
    peers::{
        http::{HttpServer, REFUSED, Received, Reply},
        pki::{Pki, ServerCertificate},
    },
    plugin,
};
use serde_json::{Value, json};

use crate::common::{MS, load, options};

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
    /// Statuses that mean "try again".
    pub(crate) retried: &'static [u16],
    /// Statuses that mean "never".
    pub(crate) rejected: &'static [u16],
    /// Whether an accepting answer counts by its head alone.
    pub(crate) by_head: bool,
}

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        plugin: "http",
        config: |url, ca_file| json!({"url": url, "tls": {"ca_file": ca_file}}),
        accepts: || Reply::status(200),
        ids: |received| strings(&received.json(), "/id"),
        retried: &[408, 429, 500, 502, 503, 504],
        rejected: &[400, 401, 403, 404, 422],
        by_head: true,
    },
    Subject {
        plugin: "otlp",
        config: |url, ca_file| json!({"endpoint": url, "tls": {"ca_file": ca_file}}),
        accepts: || Reply::status(200),
        ids: crate::otlp::ids,
        retried: &[429, 502, 503, 504],
        rejected: &[400, 401, 403, 404, 408, 422, 500, 501, 505],
        by_head: false,
    },
    Subject {
        plugin: "datadog",
        config: |url, ca_file| json!({"api_key": "key", "url": url, "tls": {"ca_file": ca_file}}),
        accepts: || Reply::status(202).body("{}"),
        ids: |received| strings(&received.json(), "/id"),
        retried: &[408, 429, 500, 502, 503, 504],
        rejected: &[400, 401, 403, 404, 422],
        by_head: true,
    },
    Subject {
        plugin: "posthog",
        config: |url, ca_file| json!({"api_key": "phc_key", "host": url, "tls": {"ca_file": ca_file}}),
        accepts: || Reply::status(200).body(r#"{"status":1}"#),
        ids: |received| strings(&received.json()["batch"], "/uuid"),
        retried: &[408, 429, 500, 502, 503, 504],
        rejected: &[400, 401, 403, 404, 422],
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
const SHORT: Duration = Duration::from_millis(1500);

pub(crate) fn id(n: usize) -> String {
    format!("019a9d4e-0000-7000-8000-{n:012x}")
}

/// Events of this moment with the ids that [`id`] gives.
pub(crate) fn events(count: usize) -> Batch {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let nanos = i64::try_from(now.as_nanos()).expect("before 2262");
    let lines: Vec<(String, String, String)> = (0..count)
        .map(|n| {
            let time = rfc3339(now.as_secs());
            let json = json!({
                "id": id(n), "timestamp": time, "type": "command.invocation", "name": format!("build {n}"),
                "machine_id": "machine-1", "tool_name": "tool", "version": "1.2.3", "os": "linux", "arch": "x86_64",
                "duration_ms": 12, "exit_code": 0, "metadata": {"key": "välue"},
            });
            (id(n), time, json.to_string())
        })
        .collect();
    Batch::build(lines, |lines, writer| {
        for (id, timestamp, json) in lines {
            writer.push(&EventFields {
                json,
                id,
                timestamp,
                kind: "command.invocation",
                name: "build",
                machine_id: "machine-1",
                tool_name: "tool",
                tool_version: "1.2.3",
                os: "linux",
                arch: "x86_64",
                time_unix_nanos: nanos,
                duration_ms: Some(12),
                exit_code: Some(0),
                metadata: Some(&[("key", "välue")]),
                ..EventFields::default()
            });
        }
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

/// Seconds since 1970 as a date and a time, UTC.
fn rfc3339(seconds: u64) -> String {
    // Days since 0000-03-01, by the usual reckoning with years that begin in March.
    let (days, time) = ((seconds / 86_400 + 719_468) as i64, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + carry;
    format!("{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60)
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
    assert!(started.elapsed() < timeout, "{}: {:?}", subject.plugin, started.elapsed());
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

fn rejection(report: &Report) -> String {
    match report.uniform() {
        Some(Outcome::Rejected { reason }) => {
            assert!(!reason.contains('\n') && reason.len() < 400, "{reason}");
            reason.to_string()
        }
        other => panic!("not rejected: {other:?}"),
    }
}

/// Every event arrived, once.
fn assert_arrived(subject: &Subject, server: &HttpServer, count: usize) {
    let received: Vec<String> = server.received().iter().flat_map(subject.ids).collect();
    let expected: Vec<String> = (0..count).map(id).collect();
    assert_eq!(received, expected, "{}", subject.plugin);
}

#[test]
fn events_arrive_in_order_and_close_works_twice() {
    for subject in SUBJECTS {
        let server = HttpServer::start((subject.accepts)());
        let report = send(subject, &server.url("/"), 100, TIMEOUT);
        assert_delivered(&report);
        assert_arrived(subject, &server, 100);
        let agent = server.received()[0].header("user-agent").expect("a user agent").to_owned();
        assert!(agent.starts_with(&format!("jackfield-{}/", subject.plugin)), "{agent}");
    }
}

#[test]
fn close_works_when_nothing_was_sent() {
    for subject in SUBJECTS {
        let backend = open(subject, REFUSED);
        backend.close(TIMEOUT).expect("closes");
        backend.close(TIMEOUT).expect("closes again");
    }
}

#[test]
fn a_refused_connection_is_a_retry() {
    for subject in SUBJECTS {
        let (reason, _) = retry(&send(subject, REFUSED, 3, TIMEOUT));
        assert!(reason.ends_with("connection refused") && reason.contains("127.0.0.1:1"), "{reason}");
    }
}

#[test]
fn a_host_name_that_nobody_knows_is_a_retry() {
    for subject in SUBJECTS {
        // The name can't be one by the rules for names, so that no resolver takes long over it.
        let (reason, _) = retry(&send(subject, "http://garbage.invalid/", 3, TIMEOUT));
        let known = ["can't be resolved", "no answer within"];
        assert!(known.iter().any(|known| reason.contains(known)), "{reason}");
        assert!(reason.contains("garbage.invalid"), "{reason}");
    }
}

#[test]
fn a_server_that_accepts_and_never_answers_is_a_retry_in_time() {
    for subject in SUBJECTS {
        let server = HttpServer::start(Reply::silence());
        let (reason, _) = retry(&send(subject, &server.url("/"), 3, SHORT));
        assert!(reason.contains("no answer within 1.4 s"), "{reason}");
    }
}

#[test]
fn an_answer_of_one_byte_a_second_is_a_retry_in_time() {
    for subject in SUBJECTS {
        let server = HttpServer::start((subject.accepts)().drip());
        let (reason, _) = retry(&send(subject, &server.url("/"), 3, SHORT));
        assert!(reason.contains("no answer within"), "{reason}");
    }
}

#[test]
fn a_yes_with_a_body_of_one_byte_a_second_ends_in_time() {
    for subject in SUBJECTS {
        let server = HttpServer::start((subject.accepts)().length(100_000).drip_body());
        let started = Instant::now();
        let report = send(subject, &server.url("/"), 3, 3 * SHORT);
        if subject.by_head {
            assert_delivered(&report);
            assert!(started.elapsed() < 2 * SHORT, "waited {:?} for what says nothing", started.elapsed());
        }
    }
}

#[test]
fn a_connection_that_closes_without_an_answer_is_a_retry() {
    for subject in SUBJECTS {
        let server = HttpServer::start(Reply::close());
        let (reason, _) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
        assert!(reason.contains("closed before the answer"), "{reason}");
        assert_eq!(server.served(), 1, "the plugin tries again by itself");
    }
}

#[test]
fn a_connection_that_closes_in_the_middle_of_a_body_keeps_what_the_status_said() {
    for subject in SUBJECTS {
        let server = HttpServer::start(Reply::status(503).body("x".repeat(1000)).cut());
        let (reason, _) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
        assert!(reason.contains("503 Service Unavailable"), "{reason}");
        if subject.by_head {
            let server = HttpServer::start((subject.accepts)().body("x".repeat(1000)).cut());
            let report = send(subject, &server.url("/"), 3, TIMEOUT);
            assert_delivered(&report);
        }
    }
}

#[test]
fn statuses_that_mean_try_again_are_retries_with_the_servers_words() {
    for subject in SUBJECTS {
        for status in subject.retried {
            let server = HttpServer::start(Reply::status(*status).body("{\"why\":\n\t\"busy\u{7}\"}"));
            let (reason, after) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
            assert!(reason.contains(&format!("answers {status} ")), "{reason}");
            assert!(reason.ends_with(r#": {"why": "busy "}"#), "{reason}");
            assert_eq!(after, None);
            assert_eq!(server.served(), 1, "{} {status}: the plugin tries again by itself", subject.plugin);
        }
    }
}

#[test]
fn statuses_that_mean_never_are_rejections_with_the_servers_words() {
    for subject in SUBJECTS {
        for status in subject.rejected {
            let server = HttpServer::start(Reply::status(*status).body("no such thing"));
            let reason = rejection(&send(subject, &server.url("/"), 3, TIMEOUT));
            assert!(reason.contains(&format!("answers {status} ")), "{reason}");
            assert!(reason.ends_with(": no such thing"), "{reason}");
            assert_eq!(server.served(), 1, "{} {status}", subject.plugin);
        }
    }
}

#[test]
fn retry_after_is_passed_on_in_seconds_and_as_a_date() {
    for subject in SUBJECTS {
        for status in [429, 503] {
            let server = HttpServer::start(Reply::status(status).header("Retry-After", "7"));
            let (_, after) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
            assert_eq!(after, Some(7000 * MS), "{} {status}", subject.plugin);

            let date = SystemTime::now() + Duration::from_secs(90);
            let server = HttpServer::start(Reply::status(status).header("Retry-After", &http_date(date)));
            let (_, after) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
            let after = after.expect("a wait");
            assert!(after > 60_000 * MS && after <= 90_000 * MS, "{} {status}: {after:?}", subject.plugin);
        }
    }
}

/// A date as HTTP writes it. The name of the day says nothing, and is not looked at.
fn http_date(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let (iso, days) = (rfc3339(seconds), seconds / 86_400);
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        [iso[5..7].parse::<usize>().expect("a month") - 1];
    let day = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    format!("{day}, {} {month} {} {} GMT", &iso[8..10], &iso[..4], &iso[11..19])
}

#[test]
fn a_413_is_halved_until_it_passes() {
    for subject in SUBJECTS {
        let (ids, accepts) = (subject.ids, subject.accepts);
        let server = HttpServer::start(Reply::with(move |received| {
            if ids(received).len() > 3 { Reply::status(413) } else { accepts() }
        }));
        let report = send(subject, &server.url("/"), 50, TIMEOUT);
        assert_delivered(&report);
        let arrived: Vec<String> =
            server.received().iter().map(subject.ids).filter(|ids| ids.len() <= 3).flatten().collect();
        assert_eq!(arrived, (0..50).map(id).collect::<Vec<_>>(), "{}: each once, in order", subject.plugin);
    }
}

#[test]
fn an_event_that_is_too_large_by_itself_is_rejected_and_holds_up_no_other() {
    for subject in SUBJECTS {
        let (ids, accepts) = (subject.ids, subject.accepts);
        let server = HttpServer::start(Reply::with(move |received| {
            if ids(received).contains(&id(13)) { Reply::status(413) } else { accepts() }
        }));
        let report = send(subject, &server.url("/"), 50, TIMEOUT);
        for n in 0..50 {
            match report.outcome(n) {
                Outcome::Delivered => assert_ne!(n, 13),
                Outcome::Rejected { reason } => {
                    assert_eq!(n, 13);
                    assert!(reason.contains("413"), "{reason}");
                }
                other => panic!("{}: event {n}: {other:?}", subject.plugin),
            }
        }
    }
}

#[test]
fn what_is_known_when_time_runs_out_is_kept() {
    for subject in SUBJECTS {
        let (ids, accepts) = (subject.ids, subject.accepts);
        // The first half of the batch passes, the second one is never answered.
        let server = HttpServer::start(Reply::with(move |received| match ids(received) {
            ids if ids.len() > 5 => Reply::status(413),
            ids if ids.contains(&id(0)) => accepts(),
            _ => Reply::silence(),
        }));
        let report = send(subject, &server.url("/"), 10, SHORT);
        for n in 0..10 {
            let delivered = report.outcome(n) == &Outcome::Delivered;
            assert_eq!(delivered, n < 5, "{}: event {n}: {:?}", subject.plugin, report.outcome(n));
        }
    }
}

#[test]
fn a_response_of_a_gibibyte_is_not_read() {
    for subject in SUBJECTS {
        for (reply, delivered) in
            [((subject.accepts)(), subject.by_head), (Reply::status(503).body("busy"), false)]
        {
            let server = HttpServer::start(reply.length(1 << 30));
            let started = Instant::now();
            let report = send(subject, &server.url("/"), 3, TIMEOUT);
            assert!(started.elapsed() < 5000 * MS, "{}: {:?}", subject.plugin, started.elapsed());
            if delivered {
                assert_delivered(&report);
            }
        }
    }
}

#[test]
fn a_redirect_to_another_host_is_refused_by_name_and_nothing_is_sent_there() {
    for subject in SUBJECTS {
        let other = HttpServer::start((subject.accepts)());
        for (status, for_good) in [(301, true), (308, true), (302, false), (307, false)] {
            let server = HttpServer::start(Reply::redirect(status, &other.url("/elsewhere?token=hunter2")));
            let report = send(subject, &server.url("/"), 3, TIMEOUT);
            let reason = if for_good { rejection(&report) } else { retry(&report).0 };
            assert!(reason.contains(&other.address().to_string()), "{reason}");
            assert!(!reason.contains("hunter2"), "{reason}");
            assert_eq!((server.served(), other.served()), (1, 0), "{} {status}", subject.plugin);
        }
    }
}

#[test]
fn a_redirect_within_the_host_is_followed_with_the_method_and_the_body() {
    for subject in SUBJECTS {
        for status in [301, 302, 307, 308] {
            let server = HttpServer::script([Reply::redirect(status, "/moved")], (subject.accepts)());
            let report = send(subject, &server.url("/"), 3, TIMEOUT);
            assert_delivered(&report);
            let received = server.received();
            assert_eq!((received.len(), received[1].path.as_str()), (2, "/moved"));
            assert_eq!(received[0].method, received[1].method);
            assert_eq!(received[0].body, received[1].body);
        }
        let server = HttpServer::start(Reply::redirect(307, "/again"));
        let (reason, _) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
        assert!(reason.contains("redirects more than 3 times"), "{reason}");
        assert_eq!(server.served(), 4);
    }
}

#[test]
fn a_certificate_of_the_configured_authority_is_accepted_and_others_are_retries_that_say_why() {
    let pki = Pki::new();
    for subject in SUBJECTS {
        for (kind, with_root, why) in [
            (ServerCertificate::Good, true, None),
            (ServerCertificate::Good, false, Some("unknown issuer; tls.ca_file")),
            (ServerCertificate::OtherAuthority, true, Some("unknown issuer")),
            (ServerCertificate::OtherName, true, Some("only valid for")),
            (ServerCertificate::Expired, true, Some("has expired")),
        ] {
            let server = HttpServer::tls(&pki, kind, false, (subject.accepts)());
            let ca_file = with_root.then(|| pki.ca_file());
            let config = (subject.config)(&server.url("/"), ca_file.as_deref());
            let backend = Backend::open(&load(&plugin(subject.plugin)), &options(&config))
                .unwrap_or_else(|error| panic!("{}: {error}", subject.plugin));
            let report = backend.send_within(&events(3), TIMEOUT);
            match why {
                None => {
                    assert_delivered(&report);
                    assert_arrived(subject, &server, 3);
                }
                Some(why) => {
                    let (reason, _) = retry(&report);
                    assert!(reason.contains(why), "{kind:?}: {reason}");
                    assert_eq!(server.served(), 0, "{kind:?}");
                }
            }
        }
    }
}

#[test]
fn a_port_that_does_not_speak_tls_or_http_is_a_retry_that_says_so() {
    for subject in SUBJECTS {
        let plain = HttpServer::start((subject.accepts)());
        let (reason, _) = retry(&send(subject, &plain.url("/").replace("http:", "https:"), 3, TIMEOUT));
        assert!(reason.contains("does not speak TLS") || reason.contains("closed before"), "{reason}");
        let pki = Pki::new();
        let tls = HttpServer::tls(&pki, ServerCertificate::Good, false, (subject.accepts)());
        let (reason, _) = retry(&send(subject, &tls.url("/").replace("https:", "http:"), 3, TIMEOUT));
        assert!(reason.contains("not HTTP") || reason.contains("closed before"), "{reason}");
    }
}

#[test]
fn connections_are_kept_and_one_that_the_server_has_closed_costs_nothing() {
    for subject in SUBJECTS {
        let server = HttpServer::start((subject.accepts)());
        let backend = open(subject, &server.url("/"));
        let batch = events(2);
        for _ in 0..20 {
            assert_delivered(&backend.send(&batch));
        }
        assert_eq!(server.connections(), 1, "{}", subject.plugin);
        for round in 2..7 {
            server.close_connections();
            std::thread::sleep(20 * MS);
            let report = backend.send(&batch);
            assert_delivered(&report);
            assert_eq!(server.connections(), round, "{}", subject.plugin);
        }
    }
}

#[test]
fn four_threads_send_at_once_and_every_event_arrives_once() {
    for subject in SUBJECTS {
        let server = HttpServer::start((subject.accepts)().delay(5 * MS));
        let backend = open(subject, &server.url("/"));
        let batch = events(400);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (backend, batch) = (&backend, &batch);
                scope.spawn(move || {
                    for at in (thread * 100..thread * 100 + 100).step_by(10) {
                        let report = backend.send(&batch.select(&(at..at + 10).collect::<Vec<_>>()));
                        assert_delivered(&report);
                    }
                });
            }
        });
        let received: Vec<String> = server.received().iter().flat_map(subject.ids).collect();
        let distinct: BTreeSet<&String> = received.iter().collect();
        assert_eq!((received.len(), distinct.len()), (400, 400), "{}", subject.plugin);
        assert!(server.connections() <= 4, "{}: {}", subject.plugin, server.connections());
    }
}
