//! Platforms that refuse whatever a backend sends: no event is rejected, all wait, and all arrive once the platform
//! accepts. Real time passes: [`Outcome::REFUSED_PAUSE`](jackfield_loader::plugin_api::Outcome::REFUSED_PAUSE).

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jackfield_tests::{
    peers::http::{HttpServer, Reply},
    plugin,
};
use serde_json::Value;

use crate::{
    http_faults::{SUBJECTS, Subject},
    site::{Site, backend, events, id},
};

const EVENTS: usize = 300;

/// What the backends say in the status of a run.
fn backends(site: &Site) -> Vec<Value> {
    site.status()["spools"][0]["backends"].as_array().cloned().unwrap_or_default()
}

/// Runs until every backend has been refused every event, says yes through `accept`, and ends when the events have
/// arrived. `why` is a part of what the status says of a backend.
fn refused_then_accepted(site: &Site, why: impl Fn(&str) -> String, accept: impl FnOnce()) {
    let mut running = site.runs(&["--json"]);
    let mut stdin = running.stdin();
    std::io::Write::write_all(&mut stdin, events(0..EVENTS).as_bytes()).expect("writable");
    running.until("the refusals", || {
        let backends = backends(site);
        let refused = |backend: &Value| {
            let name = backend["name"].as_str().expect("a name");
            assert_eq!((&backend["rejected"], &backend["delivered"]), (&0.into(), &0.into()), "{backend}");
            let said = backend["last_error"].as_str().is_some_and(|error| error.contains(&why(name)));
            said && backend["circuit"] == "open" && backend["waiting"] == EVENTS
        };
        !backends.is_empty() && backends.iter().all(refused)
    });
    accept();
    running.until("the deliveries", || {
        backends(site).iter().all(|backend| backend["delivered"] == EVENTS && backend["waiting"] == 0)
    });
    drop(stdin);
    let summary = running.end().with_code(0).summary();
    assert_eq!((&summary["dead_letters"], &summary["waiting"]), (&0.into(), &0.into()), "{summary}");
}

/// The options of a plugin for a server.
fn options(subject: &Subject, url: &str) -> String {
    match subject.plugin {
        "http" => format!("url = {url:?}"),
        "otlp" => format!("endpoint = {url:?}"),
        // The events of these tests are old.
        "datadog" => format!("api_key = \"key\", old_events = \"attribute\", url = {url:?}"),
        "posthog" => format!("api_key = \"phc_key\", host = {url:?}"),
        other => panic!("the options of {other} are not here"),
    }
}

#[test]
fn events_wait_for_a_server_that_refuses_them() {
    let accepts = Arc::new(AtomicBool::new(false));
    let mut servers = Vec::new();
    for subject in SUBJECTS {
        for status in [401, 403, 404, 302] {
            let accepts = Arc::clone(&accepts);
            let arrived = Arc::new(Mutex::new(Vec::new()));
            let ids = Arc::clone(&arrived);
            let server = HttpServer::start(Reply::with(move |received| {
                if accepts.load(Ordering::Acquire) {
                    ids.lock().expect("no panic").extend((subject.ids)(received));
                    return (subject.accepts)();
                }
                match status {
                    302 => Reply::redirect(302, "http://login.invalid/"),
                    _ => Reply::status(status).body("not for you"),
                }
            }));
            servers.push((subject, status, server, arrived));
        }
    }
    let tables: Vec<String> = servers
        .iter()
        .map(|(subject, status, server, _)| {
            let config = format!("config = {{ {} }}", options(subject, &server.url("/")));
            backend(&format!("{}-{status}", subject.plugin), &plugin(subject.plugin), &config)
        })
        .collect();
    let why = |name: &str| match name.rsplit_once('-').expect("plugin and status").1 {
        "302" => "redirects (302) to login.invalid".to_owned(),
        status => format!("answers {status}"),
    };
    refused_then_accepted(&Site::new(&tables), why, || accepts.store(true, Ordering::Release));
    let expected: Vec<String> = (0..EVENTS).map(id).collect();
    for (subject, status, _, arrived) in servers {
        assert_eq!(*arrived.lock().expect("no panic"), expected, "{} {status}", subject.plugin);
    }
}

#[cfg(unix)]
#[test]
fn events_wait_for_a_broker_that_refuses_them() {
    use crate::rabbitmq::unique;
    use jackfield_tests::peers::rabbitmq::broker;

    let client = broker().client();
    let (user, queue, exchange) = (unique("refused"), unique("refused"), unique("missing"));
    client.queue(&queue, &serde_json::json!({}));
    let bound = unique("bound");
    client.queue(&bound, &serde_json::json!({}));
    broker().ctl(&["add_user", &user, "pw-of-refused"]);
    broker().ctl(&["set_permissions", &user, ".*", "", ".*"]);
    let limited = format!("amqp://{user}:pw-of-refused@127.0.0.1:{}/%2f", broker().port());
    let tables = [
        ("permission", format!("url = {limited:?}, queue = {queue:?}")),
        ("exchange", format!("url = {:?}, exchange = {exchange:?}, routing_key = \"k\"", broker().url())),
    ]
    .map(|(name, config)| backend(name, &plugin("rabbitmq"), &format!("config = {{ {config} }}")));
    let why = |name: &str| match name {
        "permission" => format!("access refused for user `{user}`"),
        _ => format!("no exchange '{exchange}'"),
    };
    refused_then_accepted(&Site::new(&tables), why, || {
        broker().ctl(&["set_permissions", &user, ".*", ".*", ".*"]);
        client.topic(&exchange, &bound, "#");
    });
    for queue in [queue, bound] {
        assert_eq!(client.take(&queue).len(), EVENTS, "{queue}");
    }
}

#[test]
fn a_slow_server_rejects_one_event_of_500() {
    const EVENTS: usize = 500;
    let servers: Vec<HttpServer> = SUBJECTS
        .iter()
        .map(|subject| {
            HttpServer::start(Reply::with(move |received| {
                let wrong = (subject.ids)(received).contains(&id(77));
                let reply = if wrong { Reply::status(400).body("not this one") } else { (subject.accepts)() };
                reply.delay(Duration::from_secs(1))
            }))
        })
        .collect();
    let tables = SUBJECTS.iter().zip(&servers).map(|(subject, server)| {
        let rest = format!("timeout = \"2s\"\nconfig = {{ {} }}", options(subject, &server.url("/")));
        backend(subject.plugin, &plugin(subject.plugin), &rest)
    });
    let site = Site::new(&tables.collect::<Vec<_>>());
    let mut running = site.runs(&["--json"]);
    let mut stdin = running.stdin();
    std::io::Write::write_all(&mut stdin, events(0..EVENTS).as_bytes()).expect("writable");
    running.until("the deliveries", || {
        let backends = backends(&site);
        let is_done = |backend: &Value| {
            (&backend["delivered"], &backend["rejected"]) == (&(EVENTS - 1).into(), &1.into())
        };
        backends.len() == SUBJECTS.len() && backends.iter().all(is_done)
    });
    drop(stdin);
    let summary = running.end().with_code(6).summary();
    let kept = (&summary["dead_letters"], &summary["waiting"]);
    assert_eq!(kept, (&SUBJECTS.len().into(), &0.into()), "{summary}");
}

#[test]
fn one_wrong_event_of_a_batch_is_rejected() {
    for subject in SUBJECTS {
        let server = HttpServer::start(Reply::with(move |received| {
            let wrong = (subject.ids)(received).contains(&id(7));
            if wrong { Reply::status(400).body("not this one") } else { (subject.accepts)() }
        }));
        let config = format!("config = {{ {} }}", options(subject, &server.url("/")));
        let site = Site::new(&[backend("main", &plugin(subject.plugin), &config)]);
        let mut running = site.runs(&["--json"]);
        running.feed(events(0..EVENTS).into());
        let summary = running.end().summary();
        let backend = &summary["backends"][0];
        let counts = ["delivered", "rejected", "waiting"].map(|key| backend[key].as_u64());
        assert_eq!(counts, [Some(EVENTS as u64 - 1), Some(1), Some(0)], "{}: {summary}", subject.plugin);
    }
}
