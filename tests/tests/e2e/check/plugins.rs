//! Plugins that are right pass: every one of ours, and fixtures that do what is unusual and allowed.

use jackfield_tests::{c_conduct, fixture, panic_abort, plugin};
use serde_json::json;

use super::{check, fails, passes, report};
use crate::site::Site;

#[test]
fn the_plugins_without_a_network_pass() {
    let no_network = ["unreachable", "deadline", "cancel", "close-in-flight", "deletion"];
    passes(&plugin("stdout"), &[], &[&no_network[..], &["stdout"]].concat());
    let site = Site::new(&[]);
    let config = json!({ "path": site.path("events") }).to_string();
    passes(&plugin("file"), &["--config-json", &config], &no_network);
    assert!(!site.read("events").is_empty(), "the events went where they were sent");
}

#[test]
fn http_plugins_pass_with_a_platform_that_is_away() {
    let away = "http://127.0.0.1:9";
    for (name, config) in [
        ("http", json!({ "url": away })),
        ("otlp", json!({ "endpoint": away })),
        ("datadog", json!({ "api_key": "0123456789abcdef0123456789abcdef", "url": away })),
        ("posthog", json!({ "api_key": "phc_check", "host": away })),
    ] {
        passes(&plugin(name), &["--config-json", &config.to_string()], &["delivery"]);
    }
}

#[test]
fn a_plugin_over_http_passes_with_a_platform_that_answers() {
    use jackfield_tests::peers::http::{HttpServer, Reply};
    let server = HttpServer::start(Reply::status(200));
    let config = json!({ "url": server.url("/events") }).to_string();
    passes(&plugin("http"), &["--config-json", &config], &[]);
    let got = server.received();
    assert!(got.iter().any(|request| request.json().as_array().is_some_and(|events| events.len() == 1000)));
}

#[test]
fn the_plugin_in_c_passes_by_every_transport() {
    for address in ["tcp://127.0.0.1:9", "udp://127.0.0.1:9", "unix:/no/such/socket"] {
        let config = json!({ "address": address }).to_string();
        passes(&plugin("syslog"), &["--config-json", &config], &["delivery", "deletion"]);
    }
}

#[test]
fn rabbitmq_passes_with_a_broker_that_is_away() {
    let config = json!({ "url": "amqp://guest:guest@127.0.0.1:9/%2f", "queue": "check" }).to_string();
    passes(&plugin("rabbitmq"), &["--config-json", &config], &["delivery"]);
}

#[test]
fn the_plugin_for_rabbitmq_passes_with_a_broker_that_answers() {
    use jackfield_tests::peers::rabbitmq::broker;
    let declare = json!({ "queue": "classic" });
    let config = json!({ "url": broker().url(), "queue": "conformance", "declare": declare }).to_string();
    passes(&plugin("rabbitmq"), &["--config-json", &config], &[]);
}

/// That of the guide for C is the one of `jackfield new --lang c`, of which `new.rs` tests the same.
#[test]
fn the_plugin_of_the_guide_for_rust_passes_with_a_broker_that_is_away_and_one_that_answers() {
    use jackfield_tests::{guide, peers::rabbitmq::broker};
    let (broker, queue) = (broker(), "guide-check");
    broker.client().queue(queue, &json!({}));
    let away = "amqp://guest:guest@127.0.0.1:9/%2f".to_owned();
    // It is serial.
    for (url, skipped) in [(away, &["delivery", "close-in-flight"][..]), (broker.url(), &["close-in-flight"])]
    {
        let config = json!({ "url": url, "queue": queue }).to_string();
        // lapin has one thread for the whole process.
        passes(&guide::library(), &["--config-json", &config, "--kept-threads", "1"], skipped);
    }
    broker.client().delete(queue);
}

#[test]
fn fixtures_that_are_right_pass() {
    let options = ["schema", "wrong-types", "schema-keys", "required-keys"];
    let platform = ["unreachable", "deadline", "cancel"];
    let tables = ["deletion", "preview", "probe"];
    for name in ["minimal", "lean"] {
        passes(&fixture(name), &[], &[&options[..], &platform, &tables].concat());
    }
    let serial = [&options[..], &platform, &["close-in-flight"], &tables].concat();
    passes(&fixture("serial"), &["--config-json", r#"{"sleep_ms":1}"#], &serial);
    passes(&fixture("hostile"), &[], &[&options[..], &platform].concat());
    let well_behaved = c_conduct("WELL_BEHAVED");
    passes(&well_behaved, &[], &["delivery", "deletion", "preview", "probe"]);
    let site = Site::new(&[]);
    let text =
        site.run(&["check", well_behaved.to_str().expect("UTF-8"), "--only", "delivery"]).with_code(0).stdout;
    let not_shown =
        "Not shown: delivery (by its metadata it does not know whether the platform has got an event).";
    assert!(text.lines().last().expect("a conclusion").ends_with(not_shown), "{text}");
}

#[test]
fn silence_about_an_event_counts_as_a_retry() {
    let skipped = ["delivery", "deletion", "preview", "probe"];
    for variant in ["SAYS_NOTHING", "FAILS", "ASKS_FOR_PARTS"] {
        passes(&c_conduct(variant), &[], &skipped);
    }
    let site = Site::new(&[]);
    // Half a batch, when there was no more time.
    fails(&site, &c_conduct("SPEAKS_TOO_LONG"), &["--only", "outcomes", "--only", "deadline"], &[]);
    let silent = c_conduct("SAYS_NOTHING");
    let arguments = ["check", silent.to_str().expect("UTF-8"), "--only", "outcomes", "--only", "delivery"];
    let text = site.run(&arguments).with_code(0).stdout;
    let last = text.lines().last().expect("a conclusion");
    assert!(
        last.contains("Not shown: delivery (no event is delivered with these options: 10 to be retried)"),
        "{last}"
    );
}

#[test]
fn what_belongs_to_a_process_of_its_own_is_skipped_there() {
    let site = Site::new(&[]);
    let skipped = ["delivery", "after-free", "process-state", "deletion", "preview", "probe", "process-exit"];
    passes(&c_conduct("SETS_HANDLER"), &["--isolation", "process"], &skipped);
    // Its metadata says where it runs.
    let needs = c_conduct("NEEDS_PROCESS");
    passes(&needs, &[], &skipped);
    let refused = fails(&site, &needs, &["--isolation", "thread"], &["verdict"]);
    assert!(refused.to_string().contains("can run only in a process of its own"), "{refused:#}");
    let text = site.run(&["check", needs.to_str().expect("UTF-8"), "--cycles", "20"]).with_code(0).stdout;
    let last = text.lines().last().expect("a conclusion");
    assert!(
        last.starts_with("It keeps the contract in ")
            && last.contains(", for a process of its own. Not shown: "),
        "{last}"
    );
    assert!(last.contains("after-free, process-state, process-exit (in a process of its own)"), "{last}");
    let abort = ["--isolation", "process", "--only", "panic-strategy", "--only", "load"];
    passes(&panic_abort("minimal"), &abort, &["panic-strategy"]);
    // The rest of the contract is the same.
    fails(&site, &c_conduct("LEAKS_MEMORY"), &["--isolation", "process"], &["leaks"]);
}

/// A busy machine fails no good plugin. Prints the false alarms; `JACKFIELD_CHECK_ROUNDS` is the number of rounds.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes long, and every processor"]
fn twenty_runs_of_every_plugin_at_load_ten_fail_none() {
    use std::{process::Command, sync::Mutex, thread};

    let rounds =
        std::env::var("JACKFIELD_CHECK_ROUNDS").map_or(20, |rounds| rounds.parse().expect("a number"));
    let away = "http://127.0.0.1:9";
    let plugins: Vec<_> = [
        ("stdout", json!({})),
        ("file", json!({ "path": "events" })),
        ("http", json!({ "url": away })),
        ("otlp", json!({ "endpoint": away })),
        ("datadog", json!({ "api_key": "0123456789abcdef0123456789abcdef", "url": away })),
        ("posthog", json!({ "api_key": "phc_check", "host": away })),
        ("rabbitmq", json!({ "url": "amqp://guest:guest@127.0.0.1:9/%2f", "queue": "check" })),
        ("syslog", json!({ "address": "udp://127.0.0.1:9" })),
    ]
    .map(|(name, config)| (name, plugin(name), config.to_string()))
    .into();
    // Of ten processes that want to run, two are kits.
    let mut busy: Vec<_> = (0..8)
        .map(|_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell"))
        .collect();
    let work: Mutex<Vec<_>> = Mutex::new((0_usize..rounds).flat_map(|_| plugins.iter()).collect());
    let alarms = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = work.lock().expect("no panic").pop();
                    let Some((name, file, config)) = next else { return };
                    let site = Site::new(&[]);
                    let report = report(&check(&site, file, &["--config-json", config]));
                    let failed = report["checks"].as_array().expect("a list").iter();
                    let failed = failed.filter(|it| it["verdict"] == "fail");
                    let failed = failed.map(|it| format!("{name}: {}: {}", it["name"], it["found"]));
                    let failed: Vec<_> = failed.collect();
                    println!("{name}: {} false alarms {failed:?}", failed.len());
                    alarms.lock().expect("no panic").extend(failed);
                }
            });
        }
    });
    for process in &mut busy {
        let _ = process.kill();
        let _ = process.wait();
    }
    let alarms = alarms.into_inner().expect("no panic");
    println!("{} runs of {} plugins, {} false alarms", rounds * plugins.len(), plugins.len(), alarms.len());
    assert!(alarms.is_empty(), "{alarms:#?}");
}
